/// A comparison with one or two numbers, as `dsize`, `ttl`, `itype` … write it.
public enum NumberMatch: Sendable, Equatable {
  case equal(UInt32)
  case notEqual(UInt32)
  case less(UInt32)
  case lessOrEqual(UInt32)
  case greater(UInt32)
  case greaterOrEqual(UInt32)
  /// Inclusive at both ends, whatever the keyword's own notation is: the reader converts.
  case range(ClosedRange<UInt32>)
  case notRange(ClosedRange<UInt32>)

  @inlinable
  public func matches(_ value: UInt32) -> Bool {
    switch self {
    case .equal(let n): value == n
    case .notEqual(let n): value != n
    case .less(let n): value < n
    case .lessOrEqual(let n): value <= n
    case .greater(let n): value > n
    case .greaterOrEqual(let n): value >= n
    case .range(let r): r.contains(value)
    case .notRange(let r): !r.contains(value)
    }
  }
}
