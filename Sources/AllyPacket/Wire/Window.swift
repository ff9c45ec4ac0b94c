/// `N` bytes of a frame whose presence was checked once, so that the accessors cannot fail.
///
/// Offsets are literals and `N` is a constant, so that after inlining no check is left. All integers are big-endian,
/// as on the wire.
@frozen
public struct Window<let N: Int>: ~Escapable {
  @usableFromInline let span: RawSpan
  @usableFromInline let base: Int

  /// - Returns: nil when fewer than `N` bytes are left at `base`.
  @_lifetime(copy span)
  @inlinable
  @inline(__always)
  public init?(_ span: RawSpan, at base: Int) {
    guard base >= 0, span.byteCount &- base >= N else { return nil }
    self.span = span
    self.base = base
  }

  @inlinable
  @inline(__always)
  public func u8(_ offset: Int) -> UInt8 {
    precondition(offset >= 0 && offset &+ 1 <= N)
    // The initializer checked that base ..< base + N lies within the span.
    return unsafe span.unsafeLoadUnaligned(fromUncheckedByteOffset: base &+ offset, as: UInt8.self)
  }

  @inlinable
  @inline(__always)
  public func u16(_ offset: Int) -> UInt16 {
    precondition(offset >= 0 && offset &+ 2 <= N)
    return unsafe UInt16(bigEndian: span.unsafeLoadUnaligned(fromUncheckedByteOffset: base &+ offset, as: UInt16.self))
  }

  @inlinable
  @inline(__always)
  public func u32(_ offset: Int) -> UInt32 {
    precondition(offset >= 0 && offset &+ 4 <= N)
    return unsafe UInt32(bigEndian: span.unsafeLoadUnaligned(fromUncheckedByteOffset: base &+ offset, as: UInt32.self))
  }

  @inlinable
  @inline(__always)
  public func u64(_ offset: Int) -> UInt64 {
    precondition(offset >= 0 && offset &+ 8 <= N)
    return unsafe UInt64(bigEndian: span.unsafeLoadUnaligned(fromUncheckedByteOffset: base &+ offset, as: UInt64.self))
  }
}

extension RawSpan {
  /// The byte at `offset`; `offset` must lie within the span.
  @inlinable
  @inline(__always)
  public func byte(at offset: Int) -> UInt8 {
    precondition(offset >= 0 && offset < byteCount)
    return unsafe unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt8.self)
  }
}
