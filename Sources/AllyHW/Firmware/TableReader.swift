/// Reads the fields of a firmware table one after the other; what lies outside the bytes is an error, never a trap.
struct TableReader {
  let bytes: [UInt8]
  let table: TableSignature
  private(set) var offset: Int
  /// The first byte that must not be read.
  let end: Int

  init(_ bytes: [UInt8], table: TableSignature) {
    self.bytes = bytes
    self.table = table
    offset = 0
    end = bytes.count
  }

  var isAtEnd: Bool { offset >= end }

  /// What is wrong at the present place.
  func error(_ reason: FirmwareTableError.Reason, at offset: Int? = nil) -> FirmwareTableError {
    FirmwareTableError(reason, in: table, at: offset ?? self.offset)
  }

  /// The next little-endian integer.
  mutating func next<T: FixedWidthInteger & UnsignedInteger>(_ type: T.Type) throws(FirmwareTableError) -> T {
    let size = MemoryLayout<T>.size
    guard end - offset >= size else { throw error(.endsEarly(needed: size - (end - offset))) }
    var value: T = 0
    for index in 0..<size { value |= T(truncatingIfNeeded: bytes[offset + index]) << T(8 * index) }
    offset += size
    return value
  }

  /// The next `count` bytes as they are.
  mutating func next(count: Int) throws(FirmwareTableError) -> [UInt8] {
    guard end - offset >= count else { throw error(.endsEarly(needed: count - (end - offset))) }
    defer { offset += count }
    return Array(bytes[offset..<offset + count])
  }

  /// Passes over reserved bytes.
  mutating func skip(_ count: Int) throws(FirmwareTableError) {
    guard end - offset >= count else { throw error(.endsEarly(needed: count - (end - offset))) }
    offset += count
  }
}

/// The sum of bytes modulo 256, which is 0 for a whole firmware table.
func byteSum(_ bytes: some Sequence<UInt8>) -> UInt8 {
  var sum: UInt8 = 0
  for byte in bytes { sum &+= byte }
  return sum
}

extension [UInt8] {
  /// Appends an integer, its lowest byte first.
  mutating func append<T: FixedWidthInteger>(littleEndian value: T) {
    for index in 0..<MemoryLayout<T>.size {
      append(UInt8(truncatingIfNeeded: value >> T(truncatingIfNeeded: 8 * index)))
    }
  }

  /// Appends zeros.
  mutating func append(zeros count: Int) { append(contentsOf: repeatElement(0, count: count)) }

  /// Overwrites an integer that is inside the bytes.
  mutating func store<T: FixedWidthInteger>(littleEndian value: T, at offset: Int) {
    for index in 0..<MemoryLayout<T>.size {
      self[offset + index] = UInt8(truncatingIfNeeded: value >> T(truncatingIfNeeded: 8 * index))
    }
  }

  /// Sets the byte at `offset` so that all bytes add up to 0 modulo 256.
  mutating func balanceChecksum(at offset: Int) {
    self[offset] = 0
    self[offset] = 0 &- byteSum(self)
  }

  /// This, cut or filled up with spaces, as ACPI and MP tables write names.
  func asName(ofLength length: Int) -> [UInt8] {
    Array(prefix(length)) + [UInt8](repeating: 0x20, count: Swift.max(0, length - count))
  }
}
