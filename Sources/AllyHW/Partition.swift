/// The two partitions of physical memory, told apart by one boundary address (paper §4.2).
///
/// Memory from ``boundary`` up to ``end`` is DPI memory; all else, memory-mapped devices above ``end`` included, belongs
/// to the OS side. The check is one comparison each way, so that it costs nothing beside a TLB miss.
@frozen
public struct Partition: Sendable, BitwiseCopyable, Equatable {
  /// The first byte of DPI memory.
  public var boundary: PhysicalAddress
  /// The first byte after DPI memory.
  public var end: PhysicalAddress

  /// - Precondition: `boundary <= end`.
  @inlinable
  public init(boundary: PhysicalAddress, end: PhysicalAddress) {
    precondition(boundary.rawValue <= end.rawValue, "the boundary lies beyond the end of DPI memory")
    self.boundary = boundary
    self.end = end
  }

  /// Whether the byte at `address` is DPI memory.
  @inlinable
  @inline(__always)
  public func isDPI(_ address: PhysicalAddress) -> Bool {
    address.rawValue >= boundary.rawValue && address.rawValue < end.rawValue
  }

  /// Whether any of `length` bytes from `address` is DPI memory. A range that wraps around 2^64 counts as touching it.
  @inlinable
  @inline(__always)
  public func touchesDPI(_ address: PhysicalAddress, length: UInt64) -> Bool {
    let (last, overflow) = address.rawValue.addingReportingOverflow(length)
    return overflow || (address.rawValue < end.rawValue && last > boundary.rawValue && length > 0)
  }
}
