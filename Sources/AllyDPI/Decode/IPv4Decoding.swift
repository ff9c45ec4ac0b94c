import AllyPacket

extension PacketDecoder {
  /// IPv4 (RFC 791 §3.1). A broken header leaves ``DecodedPacket/ipVersion`` at 0.
  func decodeIPv4(_ bytes: RawSpan, at offset: Int, layers: inout UInt8, into packet: inout DecodedPacket)
    -> CarriedPacket?
  {
    guard enter(&layers, &packet) else { return nil }
    guard let header = Window<20>(bytes, at: offset) else {
      packet.reject(.ipv4PacketTooSmall)
      return nil
    }
    guard header.u8(0) >> 4 == 4 else {
      packet.reject(.ipv4WrongIPVersion)
      return nil
    }
    let headerLength = Int(header.u8(0) & 0x0F) * 4
    guard headerLength >= 20 else {
      packet.reject(.ipv4HeaderLengthTooSmall)
      return nil
    }
    // The NIC writes the length of each segment; what stands here is never sent.
    let totalLength = isToBeSegmented ? bytes.byteCount - offset : Int(header.u16(2))
    guard totalLength >= headerLength else {
      packet.reject(.ipv4LengthFieldSmallerThanHeaderLength)
      return nil
    }
    guard bytes.byteCount - offset >= totalLength else {
      packet.reject(.ipv4TruncatedPacket)
      return nil
    }

    let datagram = bytes.extracting(first: offset + totalLength)
    let payload = offset + headerLength
    let fragmentField = header.u16(6)
    packet.ipVersion = 4
    packet.ipProtocol = header.u8(9)
    packet.hopLimit = header.u8(8)
    packet.trafficClass = header.u8(1)
    packet.source = IPAddress(v4: header.u32(12))
    packet.destination = IPAddress(v4: header.u32(16))
    packet.networkOffset = UInt32(offset)
    packet.networkEnd = UInt32(offset + totalLength)
    packet.transportOffset = UInt32(payload)
    packet.payloadOffset = UInt32(payload)
    packet.fragment.identification = UInt32(header.u16(4))
    packet.fragment.dontFragment = fragmentField & 0x4000 != 0
    packet.fragment.more = fragmentField & 0x2000 != 0
    packet.fragment.offset = (fragmentField & 0x1FFF) << 3
    if headerLength > 20, !decodeIPv4Options(datagram, from: offset + 20, to: payload, into: &packet) {
      packet.clearNetwork()
      return nil
    }
    if validatesChecksums && !Checksum.networkIsValid(packet, in: bytes) { packet.flaws.insert(.networkChecksum) }
    if packet.fragment.isFragment { return nil }

    switch packet.ipProtocol {
    case IPProtocolNumber.tcp: decodeTCP(datagram, at: payload, into: &packet)
    case IPProtocolNumber.udp: return decodeUDP(datagram, at: payload, layers: layers, into: &packet)
    case IPProtocolNumber.icmp: decodeICMPv4(datagram, at: payload, into: &packet)
    case IPProtocolNumber.sctp: decodeSCTP(datagram, at: payload, into: &packet)
    case IPProtocolNumber.gre: return decodeGRE(datagram, at: payload, layers: layers, into: &packet)
    case IPProtocolNumber.ipInIP:
      return CarriedPacket(layer: .ipv4, offset: payload, end: datagram.byteCount, origin: .ipv4, layers: layers)
    case IPProtocolNumber.ipv6:
      return CarriedPacket(layer: .ipv6, offset: payload, end: datagram.byteCount, origin: .ipv4, layers: layers)
    case IPProtocolNumber.icmpv6: packet.reject(.ipv4ICMPv6)
    case IPProtocolNumber.esp:
      decodeESP(datagram, at: payload, into: &packet)
    default: break
    }
    return nil
  }

  /// IPv4 options (RFC 791 §3.1, RFC 1108, RFC 2113): only their form is of interest.
  ///
  /// - Returns: false when they cannot be told apart: no host takes such a packet.
  private func decodeIPv4Options(
    _ bytes: RawSpan, from start: Int, to end: Int, into packet: inout DecodedPacket
  ) -> Bool {
    if (end - start) % 8 != 0 { packet.events.insert(.ipv4OptionPadRequired) }
    var seen: UInt32 = 0
    var offset = start
    while offset < end {
      let type = bytes.byte(at: offset)
      if type == 0 { break }
      if type == 1 {
        offset += 1
        continue
      }
      guard end - offset >= 2 else {
        packet.events.insert(.ipv4OptionEndOfListRequired)
        break
      }
      let length = Int(bytes.byte(at: offset + 1))
      guard length >= 2, length <= end - offset else {
        if packet.events.contains(.ipv4OptionInvalidLength) { packet.repeatedEvent = .ipv4OptionInvalidLength }
        packet.reject(.ipv4OptionInvalidLength)
        return false
      }
      // Options that may stand once only; the numbers below 32 tell them apart.
      let bit: UInt32 = 1 << UInt32(type & 0x1F)
      switch type {
      case 7, 25, 68, 130, 131, 134, 136, 137, 148:
        if seen & bit != 0 {
          packet.events.insert(.ipv4OptionDuplicate)
        } else if let fault = fault(inIPv4Option: type, bytes, at: offset, length: length) {
          packet.events.insert(fault)
        } else {
          seen |= bit
        }
      default: packet.events.insert(.ipv4OptionInvalid)
      }
      offset += length
    }
    return true
  }

  /// What is wrong with the inside of one option whose length is known to fit.
  private func fault(inIPv4Option type: UInt8, _ bytes: RawSpan, at offset: Int, length: Int) -> DecoderEvent? {
    switch type {
    case 7, 131, 137:
      // Record route, loose and strict source route: pointer from 4, a multiple of 4, not far behind the end.
      guard length >= 3 else { return .ipv4OptionInvalidLength }
      let pointer = Int(bytes.byte(at: offset + 2))
      return pointer >= 4 && pointer % 4 == 0 && pointer <= length + 1 ? nil : .ipv4OptionMalformed
    case 68:
      // Timestamp.
      guard length >= 5 else { return .ipv4OptionInvalidLength }
      let pointer = Int(bytes.byte(at: offset + 2))
      guard pointer >= 5 else { return .ipv4OptionMalformed }
      let flag = bytes.byte(at: offset + 3) & 0x0F
      let recordLength = flag == 1 || flag == 3 ? 8 : 4
      return (pointer - 5) % recordLength == 0 && pointer <= length + 1 ? nil : .ipv4OptionMalformed
    case 25: return length >= 8 ? nil : .ipv4OptionInvalidLength
    case 130: return length >= 3 ? nil : .ipv4OptionInvalidLength
    case 136, 148: return length == 4 ? nil : .ipv4OptionInvalidLength
    default:
      // Commercial IP security (134): a domain of four bytes, then tags whose second byte is their length.
      guard length >= 10 else { return .ipv4OptionInvalidLength }
      var tag = offset + 6
      let end = offset + length
      while tag < end {
        guard end - tag >= 2 else { return .ipv4OptionMalformed }
        let tagType = bytes.byte(at: tag)
        let tagLength = Int(bytes.byte(at: tag + 1))
        guard tagType == 1 || tagType == 2 || (5...7).contains(tagType), tagLength >= 4, tagLength <= end - tag else {
          return .ipv4OptionMalformed
        }
        tag += tagLength
      }
      return nil
    }
  }
}
