/// Reads numbers and pieces from bytes, one after the other; what lies beyond the end is nil, and nothing is consumed.
struct ByteReader {
  private(set) var rest: ArraySlice<UInt8>

  init(_ bytes: ArraySlice<UInt8>) { rest = bytes }
  init(_ bytes: [UInt8]) { rest = bytes[...] }

  var isEmpty: Bool { rest.isEmpty }
  var count: Int { rest.count }

  /// The byte at a distance from here, which stays.
  func peek(_ offset: Int = 0) -> UInt8? {
    offset >= 0 && offset < rest.count ? rest[rest.startIndex + offset] : nil
  }

  mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
    guard count >= 0, count <= rest.count else { return nil }
    let end = rest.startIndex + count
    defer { rest = rest[end...] }
    return rest[..<end]
  }

  /// - Returns: whether so many bytes were there.
  @discardableResult
  mutating func skip(_ count: Int) -> Bool { take(count) != nil }

  /// An unsigned number of up to 8 bytes in network order.
  private mutating func number(_ count: Int) -> UInt64? {
    guard let bytes = take(count) else { return nil }
    return bytes.reduce(0) { $0 << 8 | UInt64($1) }
  }

  mutating func u8() -> UInt8? { take(1)?.first }
  mutating func u16() -> UInt16? { number(2).map(UInt16.init) }
  mutating func u24() -> UInt32? { number(3).map(UInt32.init) }
  mutating func u32() -> UInt32? { number(4).map(UInt32.init) }
  mutating func u64() -> UInt64? { number(8) }

  /// Numbers with the lowest byte first.
  mutating func littleU16() -> UInt16? { u16().map(\.byteSwapped) }
  mutating func littleU32() -> UInt32? { u32().map(\.byteSwapped) }

  /// Bytes behind their length of one, two or three bytes.
  mutating func vector8() -> ArraySlice<UInt8>? { vector { $0.u8().map(Int.init) } }
  mutating func vector16() -> ArraySlice<UInt8>? { vector { $0.u16().map(Int.init) } }
  mutating func vector24() -> ArraySlice<UInt8>? { vector { $0.u24().map(Int.init) } }

  private mutating func vector(_ length: (inout ByteReader) -> Int?) -> ArraySlice<UInt8>? {
    var copy = self
    guard let count = length(&copy), let bytes = copy.take(count) else { return nil }
    self = copy
    return bytes
  }
}
