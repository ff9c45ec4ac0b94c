/// Interrupt throttling (SDM, ITR; 82574 datasheet §7.4.4; 82576 datasheet §7.3.4): the shortest time between two
/// interrupts of each vector.
///
/// A model has no clock of its own. Without one from its owner nothing is held back.
struct InterruptModeration {
  /// Nanoseconds, as far as the owner has told; nil for no moderation.
  var now: UInt64?
  /// When each vector last interrupted, and whether it has. No controller has more.
  private var last = InlineArray<25, UInt64?>(repeating: nil)

  mutating func reset() { last = InlineArray(repeating: nil) }

  /// When a vector may interrupt next; nil when it may now.
  func earliest(_ vector: Int, interval: UInt64) -> UInt64? {
    guard let now, interval > 0, let last = last[vector] else { return nil }
    let next = last &+ interval
    return next > now ? next : nil
  }

  mutating func interrupted(_ vector: Int) {
    if let now { last[vector] = now }
  }
}
