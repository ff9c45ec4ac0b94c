/// An IPv4 or IPv6 address as one 128-bit value; IPv4 addresses stand in the IPv4-mapped range (RFC 4291 §2.5.5.2),
/// so that one comparison serves both families.
@frozen
public struct IPAddress: Sendable, BitwiseCopyable, Hashable, Comparable {
  /// The most significant 64 bits, in host order.
  public var high: UInt64
  /// The least significant 64 bits, in host order.
  public var low: UInt64

  @inlinable
  @inline(__always)
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// The IPv4 address whose 32 bits are given in host order (0x7F000001 is 127.0.0.1).
  @inlinable
  @inline(__always)
  public init(v4 bits: UInt32) {
    self.init(high: 0, low: 0x0000_FFFF_0000_0000 | UInt64(bits))
  }

  /// Whether this is an IPv4 address.
  @inlinable
  @inline(__always)
  public var isIPv4: Bool { high == 0 && low &>> 32 == 0xFFFF }

  /// The 32 bits of an IPv4 address, in host order; meaningless for others.
  @inlinable
  public var v4Bits: UInt32 { UInt32(truncatingIfNeeded: low) }

  @inlinable
  public static func < (left: IPAddress, right: IPAddress) -> Bool {
    left.high != right.high ? left.high < right.high : left.low < right.low
  }
}
