/// A run of physical addresses.
public struct PhysicalRange: Sendable, Hashable {
  /// The first address.
  public let base: PhysicalAddress
  /// The length in bytes, never 0.
  public let length: UInt64

  /// - Returns: nil when `length` is 0 or the range reaches beyond 2^64.
  public init?(base: PhysicalAddress, length: UInt64) {
    guard length > 0, !base.rawValue.addingReportingOverflow(length - 1).overflow else { return nil }
    self.base = base
    self.length = length
  }

  /// The last address, which is in the range.
  public var last: PhysicalAddress { PhysicalAddress(base.rawValue + (length - 1)) }

  /// Whether all of `other` is in this range.
  public func contains(_ other: PhysicalRange) -> Bool { base <= other.base && other.last <= last }

  /// Whether the two have an address in common.
  public func overlaps(_ other: PhysicalRange) -> Bool { base <= other.last && other.base <= last }

  /// What is left of this range without `other`: nothing, one piece or two, in order.
  public func subtracting(_ other: PhysicalRange) -> [PhysicalRange] {
    guard overlaps(other) else { return [self] }
    var pieces: [PhysicalRange] = []
    if base < other.base, let piece = PhysicalRange(base: base, length: other.base.rawValue - base.rawValue) {
      pieces.append(piece)
    }
    if other.last < last,
      let piece = PhysicalRange(base: other.last.advanced(by: 1), length: last.rawValue - other.last.rawValue)
    {
      pieces.append(piece)
    }
    return pieces
  }
}
