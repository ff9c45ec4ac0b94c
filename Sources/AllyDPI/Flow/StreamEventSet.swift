/// A set of stream events: one bit each.
struct StreamEventSet: BitwiseCopyable, Sendable, Equatable {
  private var low: UInt64 = 0
  private var high: UInt64 = 0

  init() {}

  var isEmpty: Bool { low | high == 0 }

  @inline(__always)
  mutating func insert(_ event: StreamEvent) {
    if event.rawValue < 64 {
      low |= 1 &<< UInt64(event.rawValue)
    } else {
      high |= 1 &<< UInt64(event.rawValue &- 64)
    }
  }

  @inline(__always)
  func contains(_ event: StreamEvent) -> Bool {
    event.rawValue < 64
      ? low & (1 &<< UInt64(event.rawValue)) != 0 : high & (1 &<< UInt64(event.rawValue &- 64)) != 0
  }

  mutating func formUnion(_ other: StreamEventSet) {
    low |= other.low
    high |= other.high
  }
}

extension StreamEvent {
  /// - Returns: the event that a rule means by `name`; nil when there is none.
  static func named(_ name: String) -> StreamEvent? {
    allCases.first { $0.name.description == name }
  }
}
