/// Addresses as people write them: dotted decimal (RFC 6943 §3.1.1, strict form) and RFC 4291 §2.2, printed as RFC 5952
/// asks.
extension IPAddress: CustomStringConvertible {
  /// Reads `192.0.2.1` or `2001:db8::1`, also with a dotted tail (`::ffff:192.0.2.1`).
  ///
  /// - Returns: nil for anything else: octets with leading zeros, zone identifiers, surrounding blanks.
  public init?(_ text: String) {
    let bytes = Array(text.utf8)
    if let bits = IPAddress.dottedDecimal(bytes[...]) {
      self.init(v4: bits)
    } else if let groups = IPAddress.groups(bytes[...]) {
      var high: UInt64 = 0
      var low: UInt64 = 0
      for index in 0..<4 {
        high = high << 16 | UInt64(groups[index])
        low = low << 16 | UInt64(groups[index + 4])
      }
      self.init(high: high, low: low)
    } else {
      return nil
    }
  }

  /// Dotted decimal for the IPv4-mapped range, else RFC 5952's form.
  public var description: String { isIPv4 ? dottedDecimal : ipv6Text }

  /// RFC 5952's form, for IPv4-mapped addresses too (`::ffff:192.0.2.1`, its section 5): what an address in an IPv6
  /// header is called.
  public var ipv6Text: String {
    if isIPv4 { return "::ffff:" + dottedDecimal }
    var groups: [UInt16] = []
    for shift in [48, 32, 16, 0] { groups.append(UInt16(truncatingIfNeeded: high >> UInt64(shift))) }
    for shift in [48, 32, 16, 0] { groups.append(UInt16(truncatingIfNeeded: low >> UInt64(shift))) }
    // The longest run of at least two zero groups, the first of equals, becomes "::".
    var longest = 0..<0
    var index = 0
    while index < 8 {
      var end = index
      while end < 8, groups[end] == 0 { end += 1 }
      if end - index >= 2, end - index > longest.count { longest = index..<end }
      index = max(end, index + 1)
    }
    var text = ""
    index = 0
    while index < 8 {
      if index == longest.lowerBound, !longest.isEmpty {
        text += "::"
        index = longest.upperBound
      } else {
        if !text.isEmpty, index != longest.upperBound || longest.isEmpty { text += ":" }
        text += String(groups[index], radix: 16)
        index += 1
      }
    }
    return text
  }

  private var dottedDecimal: String {
    let bits = v4Bits
    return "\(bits >> 24).\(bits >> 16 & 255).\(bits >> 8 & 255).\(bits & 255)"
  }

  private static func dottedDecimal(_ text: ArraySlice<UInt8>) -> UInt32? {
    var bits: UInt32 = 0
    var octets = 0
    var rest = text
    while true {
      var value: UInt32 = 0
      var digits = 0
      while let digit = rest.first, digit >= 0x30, digit <= 0x39, digits < 3 {
        if digits > 0, value == 0 { return nil }
        value = value * 10 + UInt32(digit - 0x30)
        digits += 1
        rest = rest.dropFirst()
      }
      guard digits > 0, value <= 255 else { return nil }
      bits = bits << 8 | value
      octets += 1
      if octets == 4 { return rest.isEmpty ? bits : nil }
      guard rest.first == 0x2E else { return nil }
      rest = rest.dropFirst()
    }
  }

  private static func groups(_ text: ArraySlice<UInt8>) -> [UInt16]? {
    var groups: [UInt16] = []
    var gap: Int?
    var rest = text
    if rest.starts(with: [0x3A, 0x3A]) {
      gap = 0
      rest = rest.dropFirst(2)
    }
    while !rest.isEmpty {
      let field = rest.prefix { $0 != 0x3A }
      if rest.count == field.count, let bits = dottedDecimal(field) {
        groups += [UInt16(bits >> 16), UInt16(truncatingIfNeeded: bits)]
        rest = rest.dropFirst(field.count)
        break
      }
      guard (1...4).contains(field.count), groups.count < 8 else { return nil }
      var value: UInt16 = 0
      for byte in field {
        guard let digit = hexadecimalDigit(byte) else { return nil }
        value = value << 4 | digit
      }
      groups.append(value)
      rest = rest.dropFirst(field.count)
      if rest.isEmpty { break }
      rest = rest.dropFirst()
      if rest.first == 0x3A {
        guard gap == nil else { return nil }
        gap = groups.count
        rest = rest.dropFirst()
      } else if rest.isEmpty {
        return nil
      }
    }
    if let gap {
      // "::" stands for at least one group.
      guard groups.count < 8 else { return nil }
      groups.insert(contentsOf: repeatElement(0, count: 8 - groups.count), at: gap)
    }
    return groups.count == 8 ? groups : nil
  }

  private static func hexadecimalDigit(_ byte: UInt8) -> UInt16? {
    switch byte {
    case 0x30...0x39: UInt16(byte - 0x30)
    case 0x41...0x46: UInt16(byte - 0x41 + 10)
    case 0x61...0x66: UInt16(byte - 0x61 + 10)
    default: nil
    }
  }
}
