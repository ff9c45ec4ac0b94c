/// Reads values of BitTorrent's encoding (BEP 3) one after the other. Nothing is copied.
struct BencodeReader {
  private(set) var rest: ArraySlice<UInt8>

  init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

  /// Values within each other.
  private static var deepest: Int { 16 }

  private mutating func skip(_ byte: UInt8) -> Bool {
    guard rest.first == byte else { return false }
    rest = rest.dropFirst()
    return true
  }

  /// The next value, if it is text.
  mutating func text() -> ArraySlice<UInt8>? {
    guard let colon = rest.firstIndex(of: UInt8(ascii: ":")),
      let length = BencodeReader.number(rest[..<colon]), length >= 0, length <= rest.endIndex - colon - 1
    else { return nil }
    let start = colon + 1
    defer { rest = rest[(start + length)...] }
    return rest[start..<(start + length)]
  }

  /// The next value, if it is a number.
  mutating func integer() -> Int? {
    guard rest.first == UInt8(ascii: "i"), let end = rest.firstIndex(of: UInt8(ascii: "e")),
      let value = BencodeReader.number(rest[(rest.startIndex + 1)..<end])
    else { return nil }
    rest = rest[(end + 1)...]
    return value
  }

  /// A number in decimal digits, without zeros in front.
  private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
    let isNegative = digits.first == UInt8(ascii: "-")
    let magnitude = isNegative ? digits.dropFirst() : digits
    guard let first = magnitude.first, magnitude.count <= 18, magnitude.allSatisfy(\.isDecimalDigit) else { return nil }
    if first == UInt8(ascii: "0"), magnitude.count > 1 || isNegative { return nil }
    let value = magnitude.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    return isNegative ? -value : value
  }

  /// The items of the next value, if it is a list.
  ///
  /// - Parameter take: is shown where each item begins; what it does not take is passed over.
  /// - Returns: whether it is a list, sound to its end.
  mutating func list(_ take: (inout BencodeReader) -> Bool) -> Bool {
    guard skip(UInt8(ascii: "l")) else { return false }
    while !skip(UInt8(ascii: "e")) {
      guard !rest.isEmpty, take(&self) else { return false }
    }
    return true
  }

  /// The entries of the next value, if it is a dictionary. Its keys must be in order.
  ///
  /// - Parameter take: is shown each key, and where its value begins.
  /// - Returns: whether it is a dictionary, sound to its end.
  mutating func dictionary(_ take: (ArraySlice<UInt8>, inout BencodeReader) -> Bool) -> Bool {
    guard skip(UInt8(ascii: "d")) else { return false }
    var last: ArraySlice<UInt8>?
    while !skip(UInt8(ascii: "e")) {
      guard let key = text() else { return false }
      if let last, !last.lexicographicallyPrecedes(key) { return false }
      last = key
      guard take(key, &self) else { return false }
    }
    return true
  }

  /// Passes over the next value, whatever it is.
  mutating func skipValue(depth: Int = 0) -> Bool {
    guard depth < BencodeReader.deepest, let first = rest.first else { return false }
    switch first {
    case UInt8(ascii: "i"): return integer() != nil
    case UInt8(ascii: "l"): return list { $0.skipValue(depth: depth + 1) }
    case UInt8(ascii: "d"): return dictionary { _, reader in reader.skipValue(depth: depth + 1) }
    default: return text() != nil
    }
  }
}
