import AllyPacket

/// Decodes one packet: from its link or network header down to its payload.
///
/// It holds settings only and no state: what it finds goes into a ``DecodedPacket``, and what the packet carries inside is
/// returned, to be decoded as a packet of its own. It reads nothing outside the bytes it is given, and its work is bounded by
/// ``maximumLayers`` and by the packet's own length.
struct PacketDecoder: BitwiseCopyable, Sendable {
  /// Headers of one packet, links and tunnels included, before it is given up.
  static var maximumLayers: UInt8 { 16 }

  /// Whether the checksums of IPv4 and TCP are computed.
  var validatesChecksums = true
  /// Whether the NIC is to cut the frame into segments: then a length of 0 in its IP header means the whole frame, because
  /// stock drivers leave the length to the NIC.
  var isToBeSegmented = false
  /// UDP ports behind which a tunnel is looked for.
  let tunnels: TunnelSettings

  init(validatesChecksums: Bool, tunnels: TunnelSettings = TunnelSettings()) {
    self.validatesChecksums = validatesChecksums
    self.tunnels = tunnels
  }
}

/// A packet within a packet, not decoded yet.
struct CarriedPacket: BitwiseCopyable, Sendable {
  /// What it begins with.
  var layer: Layer
  var offset: Int
  /// Behind its last byte.
  var end: Int
  var origin: DecodedPacket.Origin
  /// Headers around it so far.
  var layers: UInt8

  enum Layer: UInt8, BitwiseCopyable, Sendable {
    case ethernet, ipv4, ipv6, ppp, vlan
    /// An IPv6 packet that may as well be none: when it does not decode, the carrier is what it seems.
    case teredo
  }
}

extension PacketDecoder {
  /// Decodes a frame as the wire gave it.
  func decode(frame bytes: RawSpan, linkType: LinkType, into packet: inout DecodedPacket) -> CarriedPacket? {
    packet.accountedLength = UInt32(truncatingIfNeeded: bytes.byteCount)
    var layers: UInt8 = 0
    switch linkType {
    case .ethernet: return decodeEthernet(bytes, at: 0, layers: &layers, into: &packet)
    case .raw, .ipv4, .ipv6: return decodeRaw(bytes, at: 0, layers: &layers, into: &packet)
    case .null: return decodeNull(bytes, layers: &layers, into: &packet)
    case .linuxSLL: return decodeLinuxCooked(bytes, layers: &layers, into: &packet)
    case .linuxSLL2: return decodeLinuxCooked2(bytes, layers: &layers, into: &packet)
    case .ciscoHDLC: return decodeCiscoHDLC(bytes, layers: &layers, into: &packet)
    default:
      packet.flaws.insert(.invalid)
      return nil
    }
  }

  /// Decodes a packet that another one carries.
  ///
  /// - Parameter bytes: what the carrier's offsets count in.
  func decode(_ carried: CarriedPacket, in bytes: RawSpan, into packet: inout DecodedPacket) -> CarriedPacket? {
    packet.linkOffset = UInt32(carried.offset)
    packet.accountedLength = UInt32(carried.end - carried.offset)
    packet.origin = carried.origin
    var layers = carried.layers
    let inner = bytes.extracting(first: carried.end)
    switch carried.layer {
    case .ethernet: return decodeEthernet(inner, at: carried.offset, layers: &layers, into: &packet)
    case .ipv4: return decodeIPv4(inner, at: carried.offset, layers: &layers, into: &packet)
    case .ipv6, .teredo: return decodeIPv6(inner, at: carried.offset, layers: &layers, into: &packet)
    case .ppp: return decodePPP(inner, at: carried.offset, layers: &layers, into: &packet)
    case .vlan: return decodeEtherType(.vlan, inner, at: carried.offset, layers: &layers, into: &packet)
    }
  }

  /// Counts a header.
  ///
  /// - Returns: false when there are too many; the packet is then marked.
  func enter(_ layers: inout UInt8, _ packet: inout DecodedPacket) -> Bool {
    layers &+= 1
    if layers <= Self.maximumLayers { return true }
    packet.events.insert(.tooManyLayers)
    packet.flaws.insert(.invalid)
    return false
  }
}

extension DecodedPacket {
  /// Notes an event that makes the packet unusable.
  mutating func reject(_ event: DecoderEvent) {
    events.insert(event)
    flaws.insert(.invalid)
  }

  /// Takes the IP header back: what seemed to be one is none.
  mutating func clearNetwork() {
    ipVersion = 0
    ipProtocol = 0
    payloadLength = 0
  }
}
