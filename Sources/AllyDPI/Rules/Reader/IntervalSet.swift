/// Numbers as sorted, disjoint intervals that do not touch: the arithmetic of address and port lists.
struct IntervalSet<Bound: Comparable & Sendable>: Sendable {
  struct Interval: Sendable {
    var first: Bound
    var last: Bound
  }
  private(set) var intervals: [Interval]
  /// The number behind another one; nil behind the last.
  let successor: @Sendable (Bound) -> Bound?
  let predecessor: @Sendable (Bound) -> Bound?

  init(
    _ intervals: [Interval], successor: @escaping @Sendable (Bound) -> Bound?,
    predecessor: @escaping @Sendable (Bound) -> Bound?
  ) {
    self.successor = successor
    self.predecessor = predecessor
    self.intervals = []
    for interval in intervals.sorted(by: { $0.first < $1.first }) { append(interval) }
  }

  var isEmpty: Bool { intervals.isEmpty }

  /// Adds an interval that begins no earlier than the last one, joined to it where they meet.
  private mutating func append(_ interval: Interval) {
    guard let last = intervals.last else {
      intervals = [interval]
      return
    }
    if let next = successor(last.last), next < interval.first {
      intervals.append(interval)
    } else if last.last < interval.last {
      intervals[intervals.count - 1].last = interval.last
    }
  }

  func union(_ other: IntervalSet) -> IntervalSet {
    IntervalSet(intervals + other.intervals, successor: successor, predecessor: predecessor)
  }

  func subtracting(_ other: IntervalSet) -> IntervalSet {
    var left: [Interval] = []
    for interval in intervals {
      var first: Bound? = interval.first
      for hole in other.intervals {
        guard let start = first, hole.first <= interval.last else { break }
        if hole.last < start { continue }
        if start < hole.first, let before = predecessor(hole.first) {
          left.append(Interval(first: start, last: before))
        }
        first = hole.last < interval.last ? successor(hole.last) : nil
      }
      if let start = first { left.append(Interval(first: start, last: interval.last)) }
    }
    return IntervalSet(left, successor: successor, predecessor: predecessor)
  }
}
