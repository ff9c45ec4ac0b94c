/// A controller's interrupt pin, throttled by ITR (SDM §13.4.18): it rises when a cause may interrupt and the time for that
/// has come, and falls when no cause is left.
struct InterruptPin {
  private var moderation = InterruptModeration()
  private var isUp = false

  var now: UInt64? {
    get { moderation.now }
    set { moderation.now = newValue }
  }

  mutating func reset() {
    moderation.reset()
    isUp = false
  }

  /// The level, when `isWanted` says whether any cause may interrupt.
  func level(isWanted: Bool, interval: UInt64) -> Bool {
    isWanted && (isUp || moderation.earliest(0, interval: interval) == nil)
  }

  /// Moves the pin; true when it has risen.
  mutating func update(isWanted: Bool, interval: UInt64) -> Bool {
    let level = level(isWanted: isWanted, interval: interval)
    defer { isUp = level }
    guard level, !isUp else { return false }
    moderation.interrupted(0)
    return true
  }

  /// When the pin will rise; nil when it will not, or is up.
  func nextRise(isWanted: Bool, interval: UInt64) -> UInt64? {
    isWanted && !isUp ? moderation.earliest(0, interval: interval) : nil
  }
}
