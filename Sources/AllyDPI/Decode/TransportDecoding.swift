import AllyPacket

extension PacketDecoder {
  /// TCP (RFC 9293 §3.1).
  func decodeTCP(_ bytes: RawSpan, at offset: Int, into packet: inout DecodedPacket) {
    guard let header = Window<20>(bytes, at: offset) else {
      packet.reject(.tcpPacketTooSmall)
      return
    }
    let headerLength = Int(header.u8(12) >> 4) * 4
    guard headerLength <= bytes.byteCount - offset else {
      packet.reject(.tcpHeaderLengthTooSmall)
      return
    }
    guard headerLength >= 20 else {
      packet.reject(.tcpInvalidOptionLength)
      return
    }
    packet.transport = .tcp
    packet.sourcePort = header.u16(0)
    packet.destinationPort = header.u16(2)
    packet.tcp.sequence = header.u32(4)
    packet.tcp.acknowledgement = header.u32(8)
    packet.tcp.flags = header.u8(13)
    packet.tcp.window = header.u16(14)
    packet.tcp.urgentPointer = header.u16(18)
    packet.payloadOffset = UInt32(offset + headerLength)
    packet.payloadLength = UInt32(bytes.byteCount - offset - headerLength)
    if headerLength > 20 {
      packet.tcp.optionsLength = UInt8(headerLength - 20)
      decodeTCPOptions(bytes, from: offset + 20, to: offset + headerLength, into: &packet)
    }
    if validatesChecksums && !Checksum.transportIsValid(packet, in: bytes) {
      packet.flaws.insert(.transportChecksum)
    }
  }

  private func decodeTCPOptions(_ bytes: RawSpan, from start: Int, to end: Int, into packet: inout DecodedPacket) {
    var offset = start
    while offset < end {
      let type = bytes.byte(at: offset)
      if type == 0 { return }
      if type == 1 {
        offset += 1
        continue
      }
      guard end - offset >= 2 else { return }
      let length = Int(bytes.byte(at: offset + 1))
      guard length >= 2, length <= end - offset else {
        packet.events.insert(.tcpOptionInvalidLength)
        return
      }
      switch type {
      case 2:
        if take(.maximumSegmentSize, valid: length == 4, into: &packet), let value = Window<2>(bytes, at: offset + 2) {
          packet.tcp.maximumSegmentSize = value.u16(0)
        }
      case 3:
        // RFC 7323 §2.3: a shift above 14 counts as 14.
        if take(.windowScale, valid: length == 3, into: &packet) {
          packet.tcp.windowScale = min(bytes.byte(at: offset + 2), 14)
        }
      case 4: _ = take(.selectivePermitted, valid: length == 2, into: &packet)
      case 5 where length == 2: break  // no block at all: useless, but some hosts send it
      case 5:
        if take(.selective, valid: length >= 10 && length <= 34 && (length - 2) % 8 == 0, into: &packet) {
          packet.tcp.selectiveBlocks = UInt8((length - 2) / 8)
          packet.tcp.selectiveOffset = UInt32(offset + 2)
        }
      case 8:
        if take(.timestamp, valid: length == 10, into: &packet), let value = Window<8>(bytes, at: offset + 2) {
          packet.tcp.timestampValue = value.u32(0)
          packet.tcp.timestampEcho = value.u32(4)
        }
      case 34:
        _ = take(.fastOpen, valid: length == 2 || (length >= 4 && length <= 18 && length % 2 == 0), into: &packet)
      case 253, 254:
        // Experiments (RFC 6994); the one with this number is TCP Fast Open (RFC 7413 §4.1.1), and of its length must be others.
        if length != 4 && length != 12 {
          packet.events.insert(.tcpOptionInvalidLength)
        } else if let magic = Window<2>(bytes, at: offset + 2), magic.u16(0) == 0xF989 {
          _ = take(.fastOpen, valid: true, into: &packet)
        }
      case 19: if length != 18 { packet.events.insert(.tcpOptionInvalidLength) }
      case 29: if length < 4 { packet.events.insert(.tcpOptionInvalidLength) }
      default: break
      }
      offset += length
    }
  }

  /// - Returns: whether the option counts: of the right length, and the first of its kind.
  private func take(_ option: DecodedPacket.TCPOptions, valid: Bool, into packet: inout DecodedPacket) -> Bool {
    guard valid else {
      packet.events.insert(.tcpOptionInvalidLength)
      return false
    }
    guard packet.tcp.options.insert(option).inserted else {
      packet.events.insert(.tcpOptionDuplicate)
      return false
    }
    return true
  }

  /// UDP (RFC 768), and the tunnels that run over it.
  func decodeUDP(_ bytes: RawSpan, at offset: Int, layers: UInt8, into packet: inout DecodedPacket) -> CarriedPacket? {
    guard let header = Window<8>(bytes, at: offset) else {
      packet.reject(.udpHeaderLengthTooSmall)
      return nil
    }
    let length = Int(header.u16(4))
    guard length <= bytes.byteCount - offset else {
      packet.reject(.udpPacketTooSmall)
      return nil
    }
    guard length >= 8 else {
      packet.reject(.udpLengthInvalid)
      return nil
    }
    packet.transport = .udp
    packet.sourcePort = header.u16(0)
    packet.destinationPort = header.u16(2)
    packet.payloadOffset = UInt32(offset + 8)
    packet.payloadLength = UInt32(length - 8)
    return decodeUDPTunnel(
      bytes.extracting(first: offset + length), at: offset + 8, layers: layers, packet: &packet)
  }

  /// ESP (RFC 4303 §2): behind its first eight bytes all is encrypted.
  func decodeESP(_ bytes: RawSpan, at offset: Int, into packet: inout DecodedPacket) {
    guard bytes.byteCount - offset >= 8 else {
      packet.reject(.espPacketTooSmall)
      return
    }
    packet.payloadOffset = UInt32(offset + 8)
    packet.payloadLength = UInt32(bytes.byteCount - offset - 8)
  }

  /// SCTP (RFC 9260 §3): the common header; the chunks are the payload.
  func decodeSCTP(_ bytes: RawSpan, at offset: Int, into packet: inout DecodedPacket) {
    guard let header = Window<12>(bytes, at: offset) else {
      packet.reject(.sctpPacketTooSmall)
      return
    }
    packet.transport = .sctp
    packet.sourcePort = header.u16(0)
    packet.destinationPort = header.u16(2)
    packet.payloadOffset = UInt32(offset + 12)
    packet.payloadLength = UInt32(bytes.byteCount - offset - 12)
  }
}
