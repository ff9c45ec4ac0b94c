import AllyPacket

/// What follows a link header (IEEE 802 numbers, EtherTypes).
struct EtherType: RawRepresentable, BitwiseCopyable, Equatable, Sendable {
  let rawValue: UInt16
  static var ipv4: EtherType { EtherType(rawValue: 0x0800) }
  static var transparentEthernet: EtherType { EtherType(rawValue: 0x6558) }
  static var vlan: EtherType { EtherType(rawValue: 0x8100) }
  static var ipv6: EtherType { EtherType(rawValue: 0x86DD) }
  static var ppp: EtherType { EtherType(rawValue: 0x880B) }
  static var mpls: EtherType { EtherType(rawValue: 0x8847) }
  static var mplsMulticast: EtherType { EtherType(rawValue: 0x8848) }
  static var pppoeDiscovery: EtherType { EtherType(rawValue: 0x8863) }
  static var pppoeSession: EtherType { EtherType(rawValue: 0x8864) }
  static var providerBridge: EtherType { EtherType(rawValue: 0x88A8) }
  /// Cisco's Data Center Ethernet, FabricPath.
  static var dataCenterEthernet: EtherType { EtherType(rawValue: 0x8903) }
  static var erspan: EtherType { EtherType(rawValue: 0x88BE) }
  static var backboneBridge: EtherType { EtherType(rawValue: 0x88E7) }
  static var vnTag: EtherType { EtherType(rawValue: 0x8926) }
  static var qinq: EtherType { EtherType(rawValue: 0x9100) }
}

extension PacketDecoder {
  /// Ethernet (IEEE 802.3 §3.2).
  func decodeEthernet(_ bytes: RawSpan, at offset: Int, layers: inout UInt8, into packet: inout DecodedPacket)
    -> CarriedPacket?
  {
    guard enter(&layers, &packet) else { return nil }
    guard let header = Window<14>(bytes, at: offset) else {
      packet.reject(.ethernetPacketTooSmall)
      return nil
    }
    return decodeEtherType(
      EtherType(rawValue: header.u16(12)), bytes, at: offset + 14, layers: &layers, into: &packet)
  }

  /// An IP header without anything before it.
  func decodeRaw(_ bytes: RawSpan, at offset: Int, layers: inout UInt8, into packet: inout DecodedPacket)
    -> CarriedPacket?
  {
    guard let header = Window<20>(bytes, at: offset) else {
      packet.reject(.ipv4PacketTooSmall)
      return nil
    }
    switch header.u8(0) >> 4 {
    case 4: return decodeIPv4(bytes, at: offset, layers: &layers, into: &packet)
    case 6: return decodeIPv6(bytes, at: offset, layers: &layers, into: &packet)
    default:
      packet.events.insert(.ipRawInvalidIPVersion)
      return nil
    }
  }

  /// BSD loopback: the address family of the capturing host in its own byte order. Families of IPv6 differ between systems.
  func decodeNull(_ bytes: RawSpan, layers: inout UInt8, into packet: inout DecodedPacket) -> CarriedPacket? {
    guard let header = Window<4>(bytes, at: 0) else {
      packet.reject(.nullPacketTooSmall)
      return nil
    }
    let family = header.u32(0) > 0xFFFF ? header.u32(0).byteSwapped : header.u32(0)
    switch family {
    case 2: return decodeIPv4(bytes, at: 4, layers: &layers, into: &packet)
    case 10, 24, 28, 30: return decodeIPv6(bytes, at: 4, layers: &layers, into: &packet)
    default:
      packet.events.insert(.nullUnsupportedType)
      return nil
    }
  }

  /// Linux "cooked" capture.
  func decodeLinuxCooked(_ bytes: RawSpan, layers: inout UInt8, into packet: inout DecodedPacket) -> CarriedPacket? {
    guard let header = Window<16>(bytes, at: 0) else {
      packet.reject(.sllPacketTooSmall)
      return nil
    }
    return decodeEtherType(EtherType(rawValue: header.u16(14)), bytes, at: 16, layers: &layers, into: &packet)
  }

  /// Linux "cooked" capture, version 2.
  func decodeLinuxCooked2(_ bytes: RawSpan, layers: inout UInt8, into packet: inout DecodedPacket) -> CarriedPacket? {
    guard let header = Window<20>(bytes, at: 0) else {
      packet.reject(.sllPacketTooSmall)
      return nil
    }
    return decodeEtherType(EtherType(rawValue: header.u16(0)), bytes, at: 20, layers: &layers, into: &packet)
  }

  /// Cisco HDLC.
  func decodeCiscoHDLC(_ bytes: RawSpan, layers: inout UInt8, into packet: inout DecodedPacket) -> CarriedPacket? {
    guard let header = Window<4>(bytes, at: 0) else {
      packet.reject(.chdlcPacketTooSmall)
      return nil
    }
    return decodeEtherType(EtherType(rawValue: header.u16(2)), bytes, at: 4, layers: &layers, into: &packet)
  }

  /// What stands behind a link header: tags, labels, sessions, and at last IP.
  func decodeEtherType(
    _ type: EtherType, _ bytes: RawSpan, at offset: Int, layers: inout UInt8, into packet: inout DecodedPacket
  ) -> CarriedPacket? {
    var type = type
    var offset = offset
    while true {
      switch type {
      case .ipv4: return decodeIPv4(bytes, at: offset, layers: &layers, into: &packet)
      case .ipv6: return decodeIPv6(bytes, at: offset, layers: &layers, into: &packet)
      case .vlan, .providerBridge, .qinq:
        guard enter(&layers, &packet) else { return nil }
        guard let tag = Window<4>(bytes, at: offset) else {
          packet.reject(.vlanHeaderTooSmall)
          return nil
        }
        guard packet.append(vlan: tag.u16(0) & 0x0FFF) else {
          packet.reject(.vlanTooManyLayers)
          return nil
        }
        type = EtherType(rawValue: tag.u16(2))
        offset += 4
        if !type.isDecoded { packet.reject(.vlanUnknownType) }
      case .vnTag:
        guard enter(&layers, &packet) else { return nil }
        guard let tag = Window<6>(bytes, at: offset) else {
          packet.reject(.vntagHeaderTooSmall)
          return nil
        }
        type = EtherType(rawValue: tag.u16(4))
        offset += 6
        if !type.isDecoded { packet.reject(.vntagUnknownType) }
      case .backboneBridge:
        // IEEE 802.1ah: instance tag, customer addresses, EtherType.
        guard enter(&layers, &packet) else { return nil }
        guard let tag = Window<18>(bytes, at: offset) else {
          packet.reject(.ieee8021ahHeaderTooSmall)
          return nil
        }
        type = EtherType(rawValue: tag.u16(16))
        offset += 18
      case .dataCenterEthernet:
        // A tag of two bytes, and another Ethernet header.
        guard offset + 16 <= bytes.byteCount else {
          packet.reject(.dcePacketTooSmall)
          return nil
        }
        return decodeEthernet(bytes, at: offset + 2, layers: &layers, into: &packet)
      case .transparentEthernet: return decodeEthernet(bytes, at: offset, layers: &layers, into: &packet)
      case .mpls, .mplsMulticast: return decodeMPLS(bytes, at: offset, layers: &layers, into: &packet)
      case .pppoeSession: return decodePPPoESession(bytes, at: offset, layers: &layers, into: &packet)
      case .pppoeDiscovery:
        decodePPPoEDiscovery(bytes, at: offset, into: &packet)
        return nil
      default: return nil
      }
    }
  }

  /// MPLS label stack (RFC 3032 §2.1), and what is under it, which no field names (RFC 4385 §3 tells control words).
  func decodeMPLS(_ bytes: RawSpan, at offset: Int, layers: inout UInt8, into packet: inout DecodedPacket)
    -> CarriedPacket?
  {
    guard enter(&layers, &packet) else { return nil }
    var offset = offset
    var label: UInt32 = 0
    while true {
      guard let entry = Window<4>(bytes, at: offset) else {
        packet.reject(.mplsHeaderTooSmall)
        return nil
      }
      label = entry.u32(0) >> 12
      offset += 4
      if entry.u32(0) & 0x100 != 0 { break }
    }
    switch label {
    case 0: return decodeIPv4(bytes, at: offset, layers: &layers, into: &packet)
    case 1:
      packet.reject(.mplsBadLabelRouterAlert)
      return nil
    case 2: return decodeIPv6(bytes, at: offset, layers: &layers, into: &packet)
    case 3:
      packet.reject(.mplsBadLabelImplicitNull)
      return nil
    case 4..<16:
      packet.reject(.mplsBadLabelReserved)
      return nil
    default: break
    }
    guard let word = Window<4>(bytes, at: offset) else {
      packet.reject(.mplsPacketTooSmall)
      return nil
    }
    switch word.u8(0) >> 4 {
    case 0: return decodeEthernet(bytes, at: offset + 4, layers: &layers, into: &packet)
    case 4: return decodeIPv4(bytes, at: offset, layers: &layers, into: &packet)
    case 6: return decodeIPv6(bytes, at: offset, layers: &layers, into: &packet)
    default:
      packet.reject(.mplsUnknownPayloadType)
      return nil
    }
  }

  /// PPP over Ethernet, session stage (RFC 2516 §6).
  func decodePPPoESession(_ bytes: RawSpan, at offset: Int, layers: inout UInt8, into packet: inout DecodedPacket)
    -> CarriedPacket?
  {
    guard enter(&layers, &packet) else { return nil }
    guard let header = Window<8>(bytes, at: offset) else {
      packet.reject(.pppoePacketTooSmall)
      return nil
    }
    // Compressed protocol field (RFC 1661 §6.5): an odd first byte is the whole of it.
    if header.u8(6) & 1 != 0 {
      return decodePPPProtocol(UInt16(header.u8(6)), bytes, at: offset + 7, layers: &layers, into: &packet)
    }
    return decodePPPProtocol(header.u16(6), bytes, at: offset + 8, layers: &layers, into: &packet)
  }

  /// PPP over Ethernet, discovery stage (RFC 2516 §5): only its form is checked.
  func decodePPPoEDiscovery(_ bytes: RawSpan, at offset: Int, into packet: inout DecodedPacket) {
    guard let header = Window<6>(bytes, at: offset) else {
      packet.reject(.pppoePacketTooSmall)
      return
    }
    switch header.u8(1) {
    case 0x09, 0x07, 0x19, 0x65, 0xA7: break
    default:
      packet.reject(.pppoeWrongCode)
      return
    }
    // Fewer than four bytes at the end are padding.
    var left = Int(header.u16(4))
    var tag = offset + 6
    while left >= 4 {
      guard let head = Window<4>(bytes, at: tag), tag + 4 + Int(head.u16(2)) <= bytes.byteCount else {
        packet.events.insert(.pppoeMalformedTags)
        return
      }
      left -= 4 + Int(head.u16(2))
      tag += 4 + Int(head.u16(2))
    }
  }

  /// PPP in HDLC-like framing (RFC 1662 §3.1), address and control field optional.
  func decodePPP(_ bytes: RawSpan, at offset: Int, layers: inout UInt8, into packet: inout DecodedPacket)
    -> CarriedPacket?
  {
    guard enter(&layers, &packet) else { return nil }
    guard let header = Window<4>(bytes, at: offset) else {
      packet.reject(.pppPacketTooSmall)
      return nil
    }
    if header.u16(0) == 0xFF03 {
      return decodePPPProtocol(header.u16(2), bytes, at: offset + 4, layers: &layers, into: &packet)
    }
    // Compressed protocol field (RFC 1661 §6.5): an odd first byte is the whole of it.
    if header.u8(0) & 1 != 0 {
      return decodePPPProtocol(UInt16(header.u8(0)), bytes, at: offset + 1, layers: &layers, into: &packet)
    }
    return decodePPPProtocol(header.u16(0), bytes, at: offset + 2, layers: &layers, into: &packet)
  }

  /// What a PPP protocol number names (IANA, PPP DLL Protocol Numbers).
  private func decodePPPProtocol(
    _ number: UInt16, _ bytes: RawSpan, at offset: Int, layers: inout UInt8, into packet: inout DecodedPacket
  ) -> CarriedPacket? {
    switch number {
    case 0x0021:
      guard let header = Window<20>(bytes, at: offset) else {
        packet.reject(.pppIPv4PacketTooSmall)
        return nil
      }
      guard header.u8(0) >> 4 == 4 else { return nil }
      return decodeIPv4(bytes, at: offset, layers: &layers, into: &packet)
    case 0x002F:
      // Van Jacobson, uncompressed (RFC 1144 §3.2.2): an IPv4 header whose protocol field is a connection number.
      guard let header = Window<20>(bytes, at: offset) else {
        packet.reject(.pppVJUncompressedPacketTooSmall)
        return nil
      }
      guard header.u8(0) >> 4 == 4 else { return nil }
      return decodeIPv4(bytes, at: offset, layers: &layers, into: &packet)
    case 0x0057:
      guard bytes.byteCount - offset >= 40 else {
        packet.reject(.pppIPv6PacketTooSmall)
        return nil
      }
      return decodeIPv6(bytes, at: offset, layers: &layers, into: &packet)
    // Other network protocols, their control protocols, link quality and authentication: known, and nothing to inspect.
    case 0x0023, 0x0025, 0x0027, 0x0029, 0x002B, 0x002D, 0x0031, 0x0033, 0x0035, 0x0231, 0x0233, 0x0281, 0x0283, 0x8021,
      0x8023, 0x8025, 0x8027, 0x8029, 0x802B, 0x8031, 0x8033, 0x8035, 0x8057, 0x8281, 0xC021, 0xC023, 0xC025, 0xC223:
      packet.events.insert(.pppUnsupportedProtocol)
      return nil
    default:
      packet.reject(.pppWrongType)
      return nil
    }
  }
}

extension EtherType {
  /// Whether this decoder, or nobody who inspects IP, has anything to do with what follows.
  fileprivate var isDecoded: Bool {
    switch self {
    case .ipv4, .ipv6, .vlan, .providerBridge, .qinq, .vnTag, .backboneBridge, .transparentEthernet, .mpls,
      .mplsMulticast, .pppoeSession, .pppoeDiscovery, .dataCenterEthernet:
      true
    default: rawValue == 0x0806
    }
  }
}

extension DecodedPacket {
  /// Adds a VLAN id behind those that are there.
  ///
  /// - Returns: false when there are three already.
  mutating func append(vlan identifier: UInt16) -> Bool {
    switch vlanCount {
    case 0: vlans.0 = identifier
    case 1: vlans.1 = identifier
    case 2: vlans.2 = identifier
    default: return false
    }
    vlanCount &+= 1
    return true
  }
}
