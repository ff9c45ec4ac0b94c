/// Reads little-endian numbers out of bytes that nobody vouches for: what is not there is nil.
struct LittleEndianReader {
  private let bytes: ArraySlice<UInt8>
  private var place: Int

  init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    place = bytes.startIndex
  }

  /// What has not been read.
  var rest: ArraySlice<UInt8> { bytes[place...] }

  mutating func take<T: FixedWidthInteger>(_ type: T.Type) -> T? {
    let count = T.bitWidth / 8
    guard bytes.endIndex - place >= count else { return nil }
    var value: T = 0
    for index in (place..<(place + count)).reversed() { value = value << 8 | T(truncatingIfNeeded: bytes[index]) }
    place += count
    return value
  }
}

extension [UInt8] {
  /// Appends a number, little-endian.
  mutating func append<T: FixedWidthInteger>(littleEndian value: T) {
    for shift in stride(from: 0, to: T.bitWidth, by: 8) { append(UInt8(truncatingIfNeeded: value >> T(shift))) }
  }
}
