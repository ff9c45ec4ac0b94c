/// The one's complement sum of RFC 1071, over 16-bit words in network byte order.
struct InternetChecksum {
  private var sum: UInt64 = 0

  /// Adds the bytes from `start` up to `end`; an odd one at the end counts as a word's upper half.
  mutating func add(_ bytes: Span<UInt8>, from start: Int, to end: Int) {
    var index = start
    while end - index >= 2 {
      sum &+= UInt64(bytes[index]) << 8 | UInt64(bytes[index + 1])
      index += 2
    }
    if index < end { sum &+= UInt64(bytes[index]) << 8 }
  }

  mutating func add(_ word: UInt16) { sum &+= UInt64(word) }

  /// The sum, folded into 16 bits. All ones when a checksum that is part of what was added is right.
  var folded: UInt16 {
    var value = sum
    while value >> 16 != 0 { value = value & 0xFFFF &+ value >> 16 }
    return UInt16(truncatingIfNeeded: value)
  }
}
