import AllyPacket

extension PacketDecoder {
  /// IPv6 (RFC 8200 §3). A broken header leaves ``DecodedPacket/ipVersion`` at 0.
  func decodeIPv6(_ bytes: RawSpan, at offset: Int, layers: inout UInt8, into packet: inout DecodedPacket)
    -> CarriedPacket?
  {
    guard enter(&layers, &packet) else { return nil }
    guard let header = Window<40>(bytes, at: offset) else {
      packet.reject(.ipv6PacketTooSmall)
      return nil
    }
    guard header.u8(0) >> 4 == 6 else {
      packet.reject(.ipv6WrongIPVersion)
      return nil
    }
    let payloadLength = isToBeSegmented ? bytes.byteCount - offset - 40 : Int(header.u16(4))
    guard bytes.byteCount - offset - 40 >= payloadLength else {
      packet.reject(.ipv6TruncatedPacket)
      return nil
    }
    let end = offset + 40 + payloadLength
    packet.ipVersion = 6
    packet.hopLimit = header.u8(7)
    packet.trafficClass = UInt8(truncatingIfNeeded: header.u16(0) >> 4)
    packet.source = IPAddress(high: header.u64(8), low: header.u64(16))
    packet.destination = IPAddress(high: header.u64(24), low: header.u64(32))
    packet.networkOffset = UInt32(offset)
    packet.networkEnd = UInt32(end)
    return decodeExtensionHeaders(
      bytes.extracting(first: end), at: offset + 40, first: header.u8(6), layers: layers, into: &packet)
  }

  /// The chain of extension headers (RFC 8200 §4) up to the transport header. Bounded by the packet: each takes 8 bytes.
  private func decodeExtensionHeaders(
    _ bytes: RawSpan, at start: Int, first: UInt8, layers: UInt8, into packet: inout DecodedPacket
  ) -> CarriedPacket? {
    var offset = start
    var next = first
    var seen = SeenHeaders()
    // Where `next` was read: the fixed header's field, then the first byte of each extension header.
    var announcedAt = start - 34
    while true {
      packet.ipProtocol = Self.isExtensionHeader(next) ? first : next
      packet.transportOffset = UInt32(offset)
      packet.payloadOffset = UInt32(offset)
      let left = bytes.byteCount - offset
      // Behind an extension header that announces another one there must be something.
      if left < 2 && offset != start && next != IPProtocolNumber.noNextHeader {
        packet.reject(.ipv6TruncatedExtensionHeader)
        return nil
      }
      switch next {
      case IPProtocolNumber.tcp:
        decodeTCP(bytes, at: offset, into: &packet)
        return nil
      case IPProtocolNumber.udp: return decodeUDP(bytes, at: offset, layers: layers, into: &packet)
      case IPProtocolNumber.icmpv6:
        decodeICMPv6(bytes, at: offset, into: &packet)
        return nil
      case IPProtocolNumber.sctp:
        decodeSCTP(bytes, at: offset, into: &packet)
        return nil
      case IPProtocolNumber.gre: return decodeGRE(bytes, at: offset, layers: layers, into: &packet)
      case IPProtocolNumber.ipInIP: return carryIPv4(bytes, at: offset, layers: layers, into: &packet)
      case IPProtocolNumber.ipv6: return carryIPv6(bytes, at: offset, layers: layers, into: &packet)
      case IPProtocolNumber.icmp:
        packet.events.insert(.ipv6ICMPv4)
        return nil
      case IPProtocolNumber.noNextHeader:
        if left > 0 { packet.events.insert(.ipv6DataAfterNoneHeader) }
        return nil
      case IPProtocolNumber.hopByHop, IPProtocolNumber.destinationOptions, IPProtocolNumber.routing,
        IPProtocolNumber.mobility, IPProtocolNumber.hostIdentity, IPProtocolNumber.shim6:
        guard let head = Window<2>(bytes, at: offset) else {
          packet.reject(.ipv6TruncatedExtensionHeader)
          return nil
        }
        let length = 8 + Int(head.u8(1)) * 8
        guard length <= left else {
          packet.reject(.ipv6TruncatedExtensionHeader)
          return nil
        }
        let isOptions = next == IPProtocolNumber.hopByHop || next == IPProtocolNumber.destinationOptions
        if let duplicate = seen.insert(next) {
          packet.events.insert(duplicate)
        } else if isOptions {
          decodeOptions(bytes, from: offset + 2, to: offset + length, header: next, into: &packet)
        } else if next == IPProtocolNumber.routing && bytes.byte(at: offset + 2) == 0 {
          packet.events.insert(.ipv6RoutingHeaderType0)
        }
        next = head.u8(0)
        announcedAt = offset
        offset += length
      case IPProtocolNumber.fragment:
        guard let head = Window<8>(bytes, at: offset) else {
          packet.reject(.ipv6TruncatedExtensionHeader)
          return nil
        }
        if head.u8(1) != 0 { packet.events.insert(.ipv6FragmentHeaderNonZeroReservedField) }
        if let duplicate = seen.insert(next) {
          packet.events.insert(duplicate)
        } else {
          packet.fragment.identification = head.u32(4)
          packet.fragment.offset = head.u16(2) & 0xFFF8
          packet.fragment.more = head.u16(2) & 1 != 0
          packet.fragment.headerOffset = UInt32(offset)
          packet.fragment.nextHeaderOffset = UInt32(announcedAt)
          if packet.fragment.isFragment {
            // What follows is a piece of something: it is decoded once the datagram is whole.
            packet.fragment.nextHeader = head.u8(0)
            packet.payloadOffset = UInt32(offset + 8)
            return nil
          }
          packet.events.insert(.ipv6ExtensionHeaderUselessFragmentHeader)
        }
        next = head.u8(0)
        announcedAt = offset
        offset += 8
      case IPProtocolNumber.authentication:
        // RFC 4302 §2.2: length in 4-byte units less 2.
        guard let head = Window<12>(bytes, at: offset) else {
          packet.reject(.ipv6TruncatedExtensionHeader)
          return nil
        }
        let length = 12 + max(Int(head.u8(1)) - 1, 0) * 4
        guard length <= left else {
          packet.reject(.ipv6TruncatedExtensionHeader)
          return nil
        }
        if head.u16(2) != 0 { packet.events.insert(.ipv6ExtensionHeaderAHReservedNotNull) }
        if let duplicate = seen.insert(next) {
          packet.events.insert(duplicate)
        }
        next = head.u8(0)
        announcedAt = offset
        offset += length
      case IPProtocolNumber.esp:
        decodeESP(bytes, at: offset, into: &packet)
        return nil
      default:
        packet.events.insert(.ipv6UnknownNextHeader)
        return nil
      }
    }
  }

  private static func isExtensionHeader(_ number: UInt8) -> Bool {
    switch number {
    case IPProtocolNumber.hopByHop, IPProtocolNumber.destinationOptions, IPProtocolNumber.routing,
      IPProtocolNumber.fragment, IPProtocolNumber.authentication, IPProtocolNumber.mobility,
      IPProtocolNumber.hostIdentity, IPProtocolNumber.shim6, IPProtocolNumber.noNextHeader:
      true
    default: false
    }
  }

  /// Options of a Hop-by-Hop or Destination Options header (RFC 8200 §4.2).
  private func decodeOptions(
    _ bytes: RawSpan, from start: Int, to end: Int, header: UInt8, into packet: inout DecodedPacket
  ) {
    let isHopByHop = header == IPProtocolNumber.hopByHop
    var offset = start
    var paddings = 0
    var others = 0
    loop: while offset < end {
      let type = bytes.byte(at: offset)
      if type == 0 {
        paddings += 1
        offset += 1
        continue
      }
      guard offset + 1 < end else {
        packet.events.insert(.ipv6ExtensionHeaderInvalidOptionLength)
        break
      }
      let length = Int(bytes.byte(at: offset + 1))
      guard offset + 2 + length <= end else {
        packet.events.insert(.ipv6ExtensionHeaderInvalidOptionLength)
        break
      }
      switch type {
      case 1:
        paddings += 1
        if length == 0 { packet.events.insert(.ipv6ZeroLengthPadN) }
      case 5, 0xC2, 0xC9:
        // Router alert (RFC 2711), jumbo payload (RFC 2675), home address (RFC 6275).
        if type != 0xC2 { others += 1 }
        guard length == (type == 5 ? 2 : type == 0xC2 ? 4 : 16) else {
          packet.events.insert(.ipv6ExtensionHeaderInvalidOptionLength)
          break loop
        }
      default:
        others += 1
        packet.events.insert(
          isHopByHop ? .ipv6HopByHopOptionsUnknownOption : .ipv6DestinationOptionsUnknownOption)
      }
      offset += 2 + length
    }
    if paddings > 0 && others == 0 {
      packet.events.insert(isHopByHop ? .ipv6HopByHopOptionsOnlyPadding : .ipv6DestinationOptionsOnlyPadding)
    }
  }

  private func carryIPv4(_ bytes: RawSpan, at offset: Int, layers: UInt8, into packet: inout DecodedPacket)
    -> CarriedPacket?
  {
    guard let inner = Window<20>(bytes, at: offset) else {
      packet.reject(.ipv6IPv4InIPv6TooSmall)
      return nil
    }
    guard inner.u8(0) >> 4 == 4 else {
      packet.events.insert(.ipv6IPv4InIPv6WrongVersion)
      return nil
    }
    return CarriedPacket(layer: .ipv4, offset: offset, end: bytes.byteCount, origin: .ipv6, layers: layers)
  }

  private func carryIPv6(_ bytes: RawSpan, at offset: Int, layers: UInt8, into packet: inout DecodedPacket)
    -> CarriedPacket?
  {
    guard let inner = Window<40>(bytes, at: offset) else {
      packet.reject(.ipv6IPv6InIPv6TooSmall)
      return nil
    }
    guard inner.u8(0) >> 4 == 6 else {
      packet.events.insert(.ipv6IPv6InIPv6WrongVersion)
      return nil
    }
    return CarriedPacket(layer: .ipv6, offset: offset, end: bytes.byteCount, origin: .ipv6, layers: layers)
  }
}

/// Which extension headers a packet has shown so far.
private struct SeenHeaders: BitwiseCopyable {
  private var bits: UInt8 = 0

  /// - Returns: the event for a header that must not stand again. Destination options may stand twice (RFC 8200 §4.1).
  mutating func insert(_ header: UInt8) -> DecoderEvent? {
    switch header {
    case IPProtocolNumber.hopByHop: mark(1) ? nil : .ipv6ExtensionHeaderDuplicateHopByHop
    case IPProtocolNumber.routing: mark(2) ? nil : .ipv6ExtensionHeaderDuplicateRoutingHeader
    case IPProtocolNumber.fragment: mark(4) ? nil : .ipv6ExtensionHeaderDuplicateFragmentHeader
    case IPProtocolNumber.authentication: mark(8) ? nil : .ipv6ExtensionHeaderDuplicateAH
    case IPProtocolNumber.destinationOptions:
      mark(16) || mark(32) ? nil : .ipv6ExtensionHeaderDuplicateDestinationOptions
    default: nil
    }
  }

  private mutating func mark(_ bit: UInt8) -> Bool {
    defer { bits |= bit }
    return bits & bit == 0
  }
}
