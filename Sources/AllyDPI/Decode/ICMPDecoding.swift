import AllyPacket

extension PacketDecoder {
  /// ICMP (RFC 792).
  func decodeICMPv4(_ bytes: RawSpan, at offset: Int, into packet: inout DecodedPacket) {
    guard let header = Window<8>(bytes, at: offset) else {
      packet.reject(.icmpv4PacketTooSmall)
      return
    }
    takeICMPHeader(bytes, at: offset, transport: .icmpv4, into: &packet)
    let code = header.u8(1)
    switch header.u8(0) {
    case 0, 8:
      packet.takeICMPIdentifier(header)
      if code != 0 { packet.events.insert(.icmpv4UnknownCode) }
    case 3: check(code, atMost: 15, bytes, at: offset, into: &packet)
    case 4: check(code, atMost: 0, bytes, at: offset, into: &packet)
    case 5: check(code, atMost: 3, bytes, at: offset, into: &packet)
    case 11: check(code, atMost: 1, bytes, at: offset, into: &packet)
    case 12: check(code, atMost: 0, bytes, at: offset, into: &packet)
    case 9:
      // Router advertisement (RFC 1256 §3.1): so many addresses of so many words.
      if Int(header.u8(4)) * Int(header.u8(5)) * 4 > bytes.byteCount - offset - 8 {
        packet.events.insert(.icmpv4IPv4TruncatedPacket)
      }
    case 13, 14:
      packet.takeICMPIdentifier(header)
      if code != 0 { packet.events.insert(.icmpv4UnknownCode) }
      if bytes.byteCount - offset < 20 { packet.events.insert(.icmpv4IPv4TruncatedPacket) }
    case 15, 16, 17, 18:
      packet.takeICMPIdentifier(header)
      if code != 0 { packet.events.insert(.icmpv4UnknownCode) }
    default: packet.events.insert(.icmpv4UnknownType)
    }
  }

  /// The code and the quoted packet of an ICMPv4 error message.
  private func check(
    _ code: UInt8, atMost limit: UInt8, _ bytes: RawSpan, at offset: Int, into packet: inout DecodedPacket
  ) {
    if code > limit {
      packet.events.insert(.icmpv4UnknownCode)
      return
    }
    let start = offset + 8
    guard bytes.byteCount > start else { return }
    guard let quoted = Window<20>(bytes, at: start) else {
      packet.events.insert(.icmpv4IPv4TruncatedPacket)
      return
    }
    guard quoted.u8(0) >> 4 == 4 else {
      packet.events.insert(.icmpv4IPv4UnknownVersion)
      return
    }
    packet.icmp.hasQuotation = true
    packet.icmp.quotedProtocol = quoted.u8(9)
    packet.icmp.quotedSource = IPAddress(v4: quoted.u32(12))
    packet.icmp.quotedDestination = IPAddress(v4: quoted.u32(16))
    quotePorts(bytes, at: start + Int(quoted.u8(0) & 0x0F) * 4, into: &packet)
  }

  /// ICMPv6 (RFC 4443), neighbour discovery (RFC 4861) and multicast listeners (RFC 2710).
  func decodeICMPv6(_ bytes: RawSpan, at offset: Int, into packet: inout DecodedPacket) {
    guard let header = Window<8>(bytes, at: offset) else {
      packet.reject(.icmpv6PacketTooSmall)
      return
    }
    takeICMPHeader(bytes, at: offset, transport: .icmpv6, into: &packet)
    let code = header.u8(1)
    switch header.u8(0) {
    case 1: checkV6(code, atMost: 7, bytes, at: offset, into: &packet)
    case 2: checkV6(code, atMost: 0, bytes, at: offset, into: &packet)
    case 3: checkV6(code, atMost: 1, bytes, at: offset, into: &packet)
    case 4: checkV6(code, atMost: 2, bytes, at: offset, into: &packet)
    case 128, 129:
      packet.takeICMPIdentifier(header)
      if code != 0 { packet.events.insert(.icmpv6UnknownCode) }
    case 130, 131, 132:
      if code != 0 { packet.events.insert(.icmpv6UnknownCode) }
      if packet.hopLimit != 1 { packet.events.insert(.icmpv6MLDMessageWithInvalidHopLimit) }
    case 133...137: if code != 0 { packet.events.insert(.icmpv6UnknownCode) }
    case 138: if code > 2 && code != 255 { packet.events.insert(.icmpv6UnknownCode) }
    case 139, 140: if code > 2 { packet.events.insert(.icmpv6UnknownCode) }
    case 141...145, 147...153, 157, 158: if code != 0 { packet.events.insert(.icmpv6UnknownCode) }
    case 146, 154...156, 159: break
    case 5...99, 102...126, 160...199, 202...254: packet.events.insert(.icmpv6UnassignedType)
    case 100, 101, 127, 200, 201: packet.events.insert(.icmpv6ExperimentationType)
    default: packet.events.insert(.icmpv6UnknownType)
    }
  }

  /// The code and the quoted packet of an ICMPv6 error message.
  private func checkV6(
    _ code: UInt8, atMost limit: UInt8, _ bytes: RawSpan, at offset: Int, into packet: inout DecodedPacket
  ) {
    if code > limit {
      packet.events.insert(.icmpv6UnknownCode)
      return
    }
    let start = offset + 8
    guard let quoted = Window<40>(bytes, at: start) else {
      packet.events.insert(.icmpv6IPv6TruncatedPacket)
      return
    }
    guard quoted.u8(0) >> 4 == 6 else {
      packet.events.insert(.icmpv6IPv6UnknownVersion)
      return
    }
    packet.icmp.hasQuotation = true
    packet.icmp.quotedProtocol = quoted.u8(6)
    packet.icmp.quotedSource = IPAddress(high: quoted.u64(8), low: quoted.u64(16))
    packet.icmp.quotedDestination = IPAddress(high: quoted.u64(24), low: quoted.u64(32))
    quotePorts(bytes, at: start + 40, into: &packet)
  }

  private func takeICMPHeader(
    _ bytes: RawSpan, at offset: Int, transport: DecodedPacket.Transport, into packet: inout DecodedPacket
  ) {
    packet.transport = transport
    packet.icmp.type = bytes.byte(at: offset)
    packet.icmp.code = bytes.byte(at: offset + 1)
    packet.payloadOffset = UInt32(offset + 8)
    packet.payloadLength = UInt32(bytes.byteCount - offset - 8)
  }

  /// The first four bytes behind a quoted IP header are the ports of those protocols that have any.
  private func quotePorts(_ bytes: RawSpan, at offset: Int, into packet: inout DecodedPacket) {
    switch packet.icmp.quotedProtocol {
    case IPProtocolNumber.tcp, IPProtocolNumber.udp, IPProtocolNumber.sctp:
      guard let ports = Window<4>(bytes, at: offset) else {
        packet.icmp.hasQuotation = false
        return
      }
      packet.icmp.quotedSourcePort = ports.u16(0)
      packet.icmp.quotedDestinationPort = ports.u16(2)
    default: break
    }
  }
}

extension DecodedPacket {
  fileprivate mutating func takeICMPIdentifier(_ header: borrowing Window<8>) {
    icmp.hasIdentifier = true
    icmp.identifier = header.u16(4)
    icmp.sequence = header.u16(6)
  }
}
