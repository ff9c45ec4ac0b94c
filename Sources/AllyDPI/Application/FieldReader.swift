internal import AllyPacket

/// Reads fields of binary messages one after the other. Reading beyond the end gives zeros and sets ``isShort``.
struct FieldReader: ~Escapable {
  let data: RawSpan
  private(set) var offset: Int
  private(set) var isShort: Bool
  var isLittleEndian: Bool

  @_lifetime(copy data)
  init(_ data: RawSpan, at offset: Int = 0, isLittleEndian: Bool = true) {
    self.data = data
    self.offset = min(max(0, offset), data.byteCount)
    isShort = offset < 0 || offset > data.byteCount
    self.isLittleEndian = isLittleEndian
  }

  var left: Int { max(0, data.byteCount - offset) }

  @_lifetime(self: copy self)
  mutating func move(to offset: Int) {
    if offset < 0 || offset > data.byteCount { isShort = true }
    self.offset = min(max(0, offset), data.byteCount)
  }

  @_lifetime(self: copy self)
  mutating func skip(_ count: Int) { move(to: count > left ? data.byteCount + 1 : offset + count) }

  @_lifetime(self: copy self)
  mutating func u8() -> UInt8 {
    guard left >= 1 else {
      isShort = true
      return 0
    }
    offset += 1
    return data.byte(at: offset - 1)
  }

  @_lifetime(self: copy self)
  mutating func u16() -> UInt16 { UInt16(truncatingIfNeeded: number(2)) }
  @_lifetime(self: copy self)
  mutating func u32() -> UInt32 { UInt32(truncatingIfNeeded: number(4)) }
  @_lifetime(self: copy self)
  mutating func u64() -> UInt64 { number(8) }

  @_lifetime(self: copy self)
  private mutating func number(_ count: Int) -> UInt64 {
    guard left >= count else {
      isShort = true
      offset = data.byteCount
      return 0
    }
    var value: UInt64 = 0
    for index in 0..<count {
      let byte = UInt64(data.byte(at: offset + index))
      value = isLittleEndian ? value | byte << UInt64(8 * index) : value << 8 | byte
    }
    offset += count
    return value
  }

  /// The next bytes, fewer when there are no more.
  @_lifetime(copy self)
  mutating func bytes(_ count: Int) -> RawSpan {
    let taken = min(max(0, count), left)
    if taken < count { isShort = true }
    let range = offset..<(offset + taken)
    offset += taken
    return data.extracting(range)
  }
}
