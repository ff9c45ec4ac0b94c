/// How often each message may be sent: EITR, for up to 25 vectors (82574 datasheet 7.4.4; 82576 datasheet 7.3.4).
struct MessageRates: BitwiseCopyable, Sendable {
  private struct Rate: BitwiseCopyable, Sendable {
    /// Nanoseconds; 0 for no limit.
    var interval: UInt64 = 0
    /// When the next one may be sent.
    var next: UInt64 = 0
  }

  private var rates = InlineArray<25, Rate>(repeating: Rate())

  mutating func reset() {
    for vector in 0..<25 { rates[vector].interval = 0 }
  }

  mutating func setInterval(_ interval: UInt64, of vector: Int) {
    guard vector < 25 else { return }
    // What was sent last counts with the new interval.
    let last = rates[vector].next &- rates[vector].interval
    rates[vector].interval = interval
    if rates[vector].next != 0 { rates[vector].next = last &+ interval }
  }

  /// When a vector's message may be sent next.
  func next(_ vector: Int) -> UInt64 { rates[vector].next }

  /// Whether a vector's message may be sent now, in which case it is.
  mutating func take(_ vector: Int, at now: UInt64) -> Bool {
    guard now >= rates[vector].next else { return false }
    rates[vector].next = now &+ rates[vector].interval
    return true
  }
}
