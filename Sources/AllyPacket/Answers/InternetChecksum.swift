/// The one's complement sum of RFC 1071 over 16-bit words in network byte order.
@frozen
public struct InternetChecksum: Sendable, BitwiseCopyable {
  /// Carries stay in the upper half: 2^32 bytes cannot overflow it.
  @usableFromInline var sum: UInt64

  @inlinable
  public init() { sum = 0 }

  /// Adds a word.
  @inlinable
  public mutating func add(_ word: UInt16) { sum &+= UInt64(word) }

  /// Adds an address as a pseudo header has it: four bytes of an IPv4 address, 16 of another.
  @inlinable
  public mutating func add(_ address: IPAddress) {
    add32(UInt32(truncatingIfNeeded: address.low))
    guard !address.isIPv4 else { return }
    add32(UInt32(truncatingIfNeeded: address.low &>> 32))
    add32(UInt32(truncatingIfNeeded: address.high))
    add32(UInt32(truncatingIfNeeded: address.high &>> 32))
  }

  @inlinable
  mutating func add32(_ value: UInt32) { sum &+= UInt64(value &>> 16) &+ UInt64(value & 0xFFFF) }

  /// Adds the bytes from `start` up to `end`, as far as they are there; an odd one at the end counts as a word's upper half.
  @inlinable
  public mutating func add(_ bytes: RawSpan, from start: Int, to end: Int) {
    let end = min(end, bytes.byteCount)
    var offset = max(0, start)
    while offset &+ 4 <= end, let word = Window<4>(bytes, at: offset) {
      add32(word.u32(0))
      offset &+= 4
    }
    while offset &+ 2 <= end, let word = Window<2>(bytes, at: offset) {
      add(word.u16(0))
      offset &+= 2
    }
    if offset < end { add(UInt16(bytes.byte(at: offset)) &<< 8) }
  }

  /// The sum in 16 bits: all ones when a checksum that was added with the rest is right.
  @inlinable
  public var folded: UInt16 {
    var value = sum
    while value &>> 16 != 0 { value = (value & 0xFFFF) &+ (value &>> 16) }
    return UInt16(truncatingIfNeeded: value)
  }

  /// The checksum of what was added, with the field itself as zero.
  @inlinable public var checksum: UInt16 { ~folded }
}
