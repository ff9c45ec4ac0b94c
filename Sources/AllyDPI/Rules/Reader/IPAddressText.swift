internal import AllyPacket

/// Addresses as people write them.
enum IPAddressText {
  /// An address of either family; nil for other text.
  static func address(_ text: ArraySlice<UInt8>) -> IPAddress? {
    ipv4(text).map { IPAddress(v4: $0) } ?? ipv6(text)
  }

  /// Four decimal numbers without leading zeros, in host order.
  static func ipv4(_ text: ArraySlice<UInt8>) -> UInt32? {
    var bits: UInt32 = 0
    let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    for part in parts {
      guard let first = part.first, part.count <= 3, part.allSatisfy(\.isDigit) else { return nil }
      guard part.count == 1 || first != UInt8(ascii: "0") else { return nil }
      let value = part.reduce(0) { $0 * 10 + UInt32($1 - 0x30) }
      guard value <= 255 else { return nil }
      bits = bits << 8 | value
    }
    return bits
  }

  /// The forms of RFC 4291 §2.2: groups, `::` once, and a dotted IPv4 address at the end.
  static func ipv6(_ text: ArraySlice<UInt8>) -> IPAddress? {
    var groups: [UInt16] = []
    // Where `::` stands.
    var gap: Int? = nil
    var rest = text
    if rest.starts(with: [0x3A, 0x3A]) {
      gap = 0
      rest = rest.dropFirst(2)
    }
    while !rest.isEmpty {
      guard groups.count < 8 else { return nil }
      let part = rest.prefix { $0 != UInt8(ascii: ":") }
      if part.contains(UInt8(ascii: ".")) {
        guard part.endIndex == rest.endIndex, groups.count <= 6, let bits = ipv4(part) else { return nil }
        groups += [UInt16(bits >> 16), UInt16(truncatingIfNeeded: bits)]
        break
      }
      guard (1...4).contains(part.count) else { return nil }
      var group: UInt16 = 0
      for byte in part {
        guard let digit = byte.hexDigit else { return nil }
        group = group << 4 | UInt16(digit)
      }
      groups.append(group)
      rest = rest[part.endIndex...]
      guard !rest.isEmpty else { break }
      rest = rest.dropFirst()
      guard let next = rest.first else { return nil }
      if next == UInt8(ascii: ":") {
        guard gap == nil else { return nil }
        gap = groups.count
        rest = rest.dropFirst()
      }
    }
    if let gap {
      guard groups.count < 8 else { return nil }
      groups.insert(contentsOf: Array(repeating: 0, count: 8 - groups.count), at: gap)
    }
    guard groups.count == 8 else { return nil }
    return IPAddress(
      high: groups[..<4].reduce(0) { $0 << 16 | UInt64($1) }, low: groups[4...].reduce(0) { $0 << 16 | UInt64($1) })
  }
}
