/// The ways in which FTP writes an address.
enum FTPAddress {
  /// `h1,h2,h3,h4,p1,p2` (RFC 959 §5.3.2).
  static func port(_ text: ArraySlice<UInt8>) -> (address: UInt32, port: UInt16)? {
    let parts = text.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
    guard parts.count == 6 else { return nil }
    var numbers: [UInt32] = []
    for (index, part) in parts.enumerated() {
      let digits = index == 5 ? part.prefix { $0.isDecimalDigit } : part.trimmed
      guard let number = number(digits), number < 256 else { return nil }
      numbers.append(number)
    }
    let address = numbers[0] << 24 | numbers[1] << 16 | numbers[2] << 8 | numbers[3]
    return (address, UInt16(numbers[4] << 8 | numbers[5]))
  }

  /// `|2|2001:db8::1|5282|` (RFC 2428 §2); any character may stand between.
  static func extendedPort(_ text: ArraySlice<UInt8>) -> UInt16? {
    guard let separator = text.first else { return nil }
    let parts = text.split(separator: separator, omittingEmptySubsequences: false)
    guard parts.count >= 4 else { return nil }
    return number(parts[3].prefix { $0.isDecimalDigit }).flatMap { UInt16(exactly: $0) }
  }

  /// `227 Entering Passive Mode (h1,h2,h3,h4,p1,p2)`.
  static func passivePort(_ text: ArraySlice<UInt8>) -> UInt16? {
    guard let start = text.dropFirst(4).firstIndex(where: { $0 == UInt8(ascii: "(") }) else {
      let digits = text.dropFirst(4).drop { !$0.isDecimalDigit }
      return port(digits)?.port
    }
    return port(text[(start + 1)...])?.port
  }

  /// `229 Entering Extended Passive Mode (|||port|)` (RFC 2428 §3).
  static func extendedPassivePort(_ text: ArraySlice<UInt8>) -> UInt16? {
    guard let start = text.firstIndex(of: UInt8(ascii: "(")) else { return nil }
    return extendedPort(text[(start + 1)...])
  }

  private static func number(_ digits: ArraySlice<UInt8>) -> UInt32? {
    guard !digits.isEmpty, digits.count <= 5, digits.allSatisfy(\.isDecimalDigit) else { return nil }
    return digits.reduce(0) { $0 * 10 + UInt32($1 &- 0x30) }
  }
}
