/// A ``NumberMatch`` as the packet path evaluates it: an interval, or all but an interval.
struct NumberTest: BitwiseCopyable, Sendable {
  private var low: UInt32
  private var high: UInt32
  private var isInverted: Bool

  init(_ match: NumberMatch) {
    switch match {
    case .equal(let n): self.init(n, n)
    case .notEqual(let n): self.init(n, n, isInverted: true)
    case .less(let n): self.init(n, .max, isInverted: true)
    case .lessOrEqual(let n): self.init(0, n)
    case .greater(let n): self.init(0, n, isInverted: true)
    case .greaterOrEqual(let n): self.init(n, .max)
    case .range(let range): self.init(range.lowerBound, range.upperBound)
    case .notRange(let range): self.init(range.lowerBound, range.upperBound, isInverted: true)
    }
  }

  private init(_ low: UInt32, _ high: UInt32, isInverted: Bool = false) {
    self.low = low
    self.high = high
    self.isInverted = isInverted
  }

  /// Whether every number beyond some number matches.
  var hasNoUpperBound: Bool { isInverted ? low == 0 && high < .max : high == .max }

  @inline(__always)
  func matches(_ value: UInt32) -> Bool { (value >= low && value <= high) != isInverted }
}
