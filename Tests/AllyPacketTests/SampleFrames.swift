import AllyPacket

/// Frames made by hand, field by field from the RFCs.
enum SampleFrames {
  static let ethernetAddresses: [UInt8] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]

  static func ethernet(_ type: UInt16, tags: [(UInt16, UInt16)] = [], _ payload: [UInt8]) -> [UInt8] {
    var frame = ethernetAddresses
    for (tagType, identifier) in tags { frame += word(tagType) + word(identifier) }
    return frame + word(type) + payload
  }

  static func ipv4(
    _ ipProtocol: UInt8, options: [UInt8] = [], flagsAndOffset: UInt16 = 0, identification: UInt16 = 0x1234,
    totalLength: UInt16? = nil, _ payload: [UInt8]
  ) -> [UInt8] {
    let headerLength = 20 + options.count
    var packet: [UInt8] = [UInt8(0x40 + headerLength / 4), 0]
    packet += word(totalLength ?? UInt16(headerLength + payload.count)) + word(identification) + word(flagsAndOffset)
    packet += [64, ipProtocol, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7]
    return packet + options + payload
  }

  static func ipv6(_ nextHeader: UInt8, payloadLength: UInt16? = nil, _ payload: [UInt8]) -> [UInt8] {
    var packet: [UInt8] = [0x60, 0, 0, 0] + word(payloadLength ?? UInt16(payload.count)) + [nextHeader, 61]
    packet += [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1]
    packet += [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [2]
    return packet + payload
  }

  static func tcp(options: [UInt8] = [], _ payload: [UInt8] = []) -> [UInt8] {
    var segment = word(40_000) + word(443) + [0, 0, 0, 9, 0, 0, 0, 8]
    segment += [UInt8((20 + options.count) / 4) << 4, 0x12, 0x20, 0x00, 0, 0, 0, 0]
    return segment + options + payload
  }

  static func udp(_ payload: [UInt8] = []) -> [UInt8] {
    word(5353) + word(53) + word(UInt16(8 + payload.count)) + [0, 0] + payload
  }

  static func icmp(type: UInt8, code: UInt8 = 0) -> [UInt8] { [type, code, 0, 0, 0xAB, 0xCD, 0, 1] }

  static func word(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 255)] }

  /// One fragment header, one of each extension header that is stepped over, then a TCP segment.
  static let extensionHeaders: [UInt8] = {
    var bytes: [UInt8] = [60, 0, 1, 4, 0, 0, 0, 0]  // hop-by-hop options
    bytes += [43, 1] + [UInt8](repeating: 0, count: 14)  // destination options, 16 bytes
    bytes += [51, 0, 0, 0, 0, 0, 0, 0]  // routing
    bytes += [44, 1] + [UInt8](repeating: 0, count: 10)  // authentication, 12 bytes
    bytes += [6, 0, 0, 0, 0, 0, 0, 77]  // fragment header of a datagram that is whole
    return bytes + tcp([9, 9])
  }()

  /// Frames of many shapes, each well formed.
  static let all: [(name: String, linkType: LinkType, bytes: [UInt8])] = [
    ("tcp", .ethernet, ethernet(0x0800, ipv4(6, tcp([1, 2, 3])))),
    ("tcp with options", .ethernet, ethernet(0x0800, ipv4(6, options: [1, 1, 1, 0], tcp(options: [2, 4, 5, 180])))),
    ("vlan", .ethernet, ethernet(0x0800, tags: [(0x8100, 0x2064)], ipv4(17, udp([7])))),
    ("two tags", .ethernet, ethernet(0x86DD, tags: [(0x88A8, 5), (0x8100, 6)], ipv6(58, icmp(type: 128)))),
    ("extension headers", .ethernet, ethernet(0x86DD, ipv6(0, extensionHeaders))),
    ("first fragment", .ethernet, ethernet(0x0800, ipv4(17, flagsAndOffset: 0x2000, udp([1, 2, 3, 4, 5, 6, 7, 8])))),
    ("later fragment", .ethernet, ethernet(0x0800, ipv4(17, flagsAndOffset: 0x0002, [1, 2, 3, 4]))),
    ("later fragment, IPv6", .ethernet, ethernet(0x86DD, ipv6(44, [60, 0, 0, 0x10, 0, 1, 0, 2, 5, 5]))),
    ("arp", .ethernet, ethernet(0x0806, [UInt8](repeating: 1, count: 28))),
    ("raw", .raw, ipv4(1, icmp(type: 8))),
    ("raw, IPv6", .raw, ipv6(17, udp())),
    ("null, little-endian", .null, [2, 0, 0, 0] + ipv4(6, tcp())),
    ("null, big-endian", .null, [0, 0, 0, 30] + ipv6(6, tcp())),
    ("cooked", .linuxSLL, [UInt8](repeating: 0, count: 14) + [0x08, 0x00] + ipv4(6, tcp())),
    ("cooked 2", .linuxSLL2, [0x86, 0xDD] + [UInt8](repeating: 0, count: 18) + ipv6(6, tcp())),
    ("hdlc", .ciscoHDLC, [0x0F, 0, 0x08, 0x00] + ipv4(132, word(1) + word(2) + [UInt8](repeating: 0, count: 8))),
  ]
}

/// A generator whose numbers a seed repeats (splitmix64).
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

extension PacketLayers {
  init(of bytes: [UInt8], linkType: LinkType, lengthOnWire: Int = 0) {
    // The span is of plain bytes, all of which are initialized.
    unsafe self.init(of: bytes.span.bytes, linkType: linkType, lengthOnWire: lengthOnWire)
  }

  init(ofNetworkPacket bytes: [UInt8], cut: Bool = false) {
    unsafe self.init(ofNetworkPacket: bytes.span.bytes, cut: cut)
  }
}
