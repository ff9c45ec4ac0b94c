import AllyPacket

extension PacketDecoder {
  /// GRE, version 0 (RFC 2784, RFC 2890, and RFC 1701's routing) and version 1 (RFC 2637, PPTP).
  func decodeGRE(_ bytes: RawSpan, at start: Int, layers: UInt8, into packet: inout DecodedPacket) -> CarriedPacket? {
    guard let header = Window<4>(bytes, at: start) else {
      packet.reject(.grePacketTooSmall)
      return nil
    }
    let flags = header.u16(0)
    let hasChecksum = flags & 0x8000 != 0
    let hasRouting = flags & 0x4000 != 0
    let hasKey = flags & 0x2000 != 0
    let hasSequence = flags & 0x1000 != 0
    let recursion = flags & 0x0700 != 0
    var offset = start + 4

    switch flags & 7 {
    case 0:
      if recursion {
        packet.reject(.greVersion0Recursion)
        return nil
      }
      if flags & 0x00F8 != 0 {
        packet.reject(.greVersion0Flags)
        return nil
      }
      offset += (hasChecksum || hasRouting ? 4 : 0) + (hasKey ? 4 : 0) + (hasSequence ? 4 : 0)
      guard offset <= bytes.byteCount else {
        packet.reject(.greVersion0HeaderTooBig)
        return nil
      }
      if hasRouting {
        // Source route entries until the empty one; each is at least four bytes.
        while true {
          guard let entry = Window<4>(bytes, at: offset) else {
            packet.reject(.greVersion0MalformedSREHeader)
            return nil
          }
          offset += 4 + Int(entry.u8(3))
          if entry.u16(0) == 0 && entry.u8(3) == 0 { break }
        }
        guard offset <= bytes.byteCount else {
          packet.reject(.greVersion0MalformedSREHeader)
          return nil
        }
      }
    case 1:
      let fault: DecoderEvent? =
        hasChecksum
        ? .greVersion1Checksum
        : hasRouting
          ? .greVersion1Route
          : flags & 0x0800 != 0
            ? .greVersion1SSR
            : recursion
              ? .greVersion1Recursion
              : flags & 0x0078 != 0
                ? .greVersion1Flags
                : header.u16(2) != EtherType.ppp.rawValue ? .greVersion1WrongProtocol : hasKey ? nil : .greVersion1NoKey
      if let fault {
        packet.reject(fault)
        return nil
      }
      offset += 4 + (hasSequence ? 4 : 0) + (flags & 0x0080 != 0 ? 4 : 0)
      guard offset <= bytes.byteCount else {
        packet.reject(.greVersion1HeaderTooBig)
        return nil
      }
    default:
      packet.reject(.greWrongVersion)
      return nil
    }

    func carried(_ layer: CarriedPacket.Layer, at offset: Int) -> CarriedPacket {
      CarriedPacket(layer: layer, offset: offset, end: bytes.byteCount, origin: .gre, layers: layers)
    }
    switch EtherType(rawValue: header.u16(2)) {
    case .ipv4: return carried(.ipv4, at: offset)
    case .ipv6: return carried(.ipv6, at: offset)
    case .ppp: return carried(.ppp, at: offset)
    case .vlan: return carried(.vlan, at: offset)
    case .transparentEthernet: return carried(.ethernet, at: offset)
    case .erspan:
      // Type I has no header and, told by the absent sequence number, is ambiguous; type II has eight bytes.
      guard hasSequence else { return nil }
      guard let erspan = Window<8>(bytes, at: offset) else {
        packet.reject(.erspanHeaderTooSmall)
        return nil
      }
      guard erspan.u8(0) >> 4 == 1 else {
        packet.reject(.erspanUnsupportedVersion)
        return nil
      }
      let vlan = erspan.u16(0) & 0x0FFF
      if vlan != 0, !packet.append(vlan: vlan) {
        packet.reject(.erspanTooManyVlanLayers)
        return nil
      }
      return carried(.ethernet, at: offset + 8)
    default: return nil
    }
  }

  /// Teredo, VXLAN and Geneve by their ports.
  func decodeUDPTunnel(_ bytes: RawSpan, at offset: Int, layers: UInt8, packet: inout DecodedPacket) -> CarriedPacket? {
    if tunnels.teredo.contains(packet.sourcePort) || tunnels.teredo.contains(packet.destinationPort) {
      if let carried = decodeTeredo(bytes, at: offset, layers: layers) { return carried }
    }
    if tunnels.geneve.contains(packet.destinationPort) {
      return decodeGeneve(bytes, at: offset, layers: layers, into: &packet)
    }
    if tunnels.vxlan.contains(packet.destinationPort) {
      return decodeVXLAN(bytes, at: offset, layers: layers, into: &packet)
    }
    return nil
  }

  /// Teredo (RFC 4380 §5.1.1): optional authentication and origin indications, then IPv6 whose length must fit exactly. Whatever else
  /// the port is for may look like that: no packet is sent with a hop limit of 0, and a hop-by-hop header has eight bytes.
  private func decodeTeredo(_ bytes: RawSpan, at start: Int, layers: UInt8) -> CarriedPacket? {
    var offset = start
    if let head = Window<4>(bytes, at: offset), head.u16(0) == 0x0001 {
      offset += 13 + Int(head.u8(2)) + Int(head.u8(3))
    }
    if let head = Window<2>(bytes, at: offset), head.u16(0) == 0x0000 { offset += 8 }
    guard let inner = Window<40>(bytes, at: offset), inner.u8(0) >> 4 == 6,
      Int(inner.u16(4)) + 40 == bytes.byteCount - offset, inner.u8(7) != 0, inner.u8(6) != 0 || inner.u16(4) >= 8
    else { return nil }
    return CarriedPacket(layer: .teredo, offset: offset, end: bytes.byteCount, origin: .teredo, layers: layers)
  }

  /// VXLAN (RFC 7348 §5).
  private func decodeVXLAN(_ bytes: RawSpan, at offset: Int, layers: UInt8, into packet: inout DecodedPacket)
    -> CarriedPacket?
  {
    guard let header = Window<16>(bytes, at: offset), header.u8(0) & 0x08 != 0, header.u8(7) == 0 else { return nil }
    guard bytes.byteCount - offset >= 8 + 14 else { return nil }
    return CarriedPacket(
      layer: .ethernet, offset: offset + 8, end: bytes.byteCount, origin: .vxlan, layers: layers)
  }

  /// Geneve (RFC 8926 §3.4).
  private func decodeGeneve(_ bytes: RawSpan, at offset: Int, layers: UInt8, into packet: inout DecodedPacket)
    -> CarriedPacket?
  {
    guard let header = Window<8>(bytes, at: offset), header.u8(0) >> 6 == 0, header.u8(7) == 0 else { return nil }
    let payload = offset + 8 + Int(header.u8(0) & 0x3F) * 4
    guard payload <= bytes.byteCount else { return nil }
    let layer: CarriedPacket.Layer
    switch EtherType(rawValue: header.u16(2)) {
    case .transparentEthernet: layer = .ethernet
    case .ipv4: layer = .ipv4
    case .ipv6: layer = .ipv6
    default:
      packet.events.insert(.geneveUnknownPayloadType)
      return nil
    }
    return CarriedPacket(layer: layer, offset: payload, end: bytes.byteCount, origin: .geneve, layers: layers)
  }
}
