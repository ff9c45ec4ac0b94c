/// The timer: TCTR counts the PCI bus's clock, and raises an interrupt when it reaches TimerInt (datasheet 5.11 and 5.15).
struct RTL8139Timer {
  /// Nanoseconds of one count at 33 MHz.
  static let period: UInt64 = 30

  /// The time up to which the model was advanced, in nanoseconds.
  var now: UInt64 = 0
  /// When the counter was last written, which sets it to 0.
  var start: UInt64 = 0
  /// TimerInt; 0 for none.
  var limit: UInt32 = 0
  var hasExpired = false

  var count: UInt32 { UInt32(truncatingIfNeeded: (now &- start) / Self.period) }

  /// When the counter reaches the limit, in nanoseconds; nil when it never does.
  var expiry: UInt64? {
    guard limit != 0, !hasExpired else { return nil }
    return start &+ UInt64(limit) &* Self.period
  }

  mutating func restart() {
    start = now
    hasExpired = false
  }

  mutating func setLimit(_ value: UInt32) {
    limit = value
    hasExpired = false
  }

  /// Lets time pass; true when the counter has reached its limit since.
  mutating func advance(to time: UInt64) -> Bool {
    now = max(now, time)
    guard let expiry, now >= expiry else { return false }
    hasExpired = true
    return true
  }
}

extension RTL8139Model {
  /// Lets time pass up to `now`, in nanoseconds of a clock that does not run backwards.
  public mutating func advance(to now: UInt64) {
    if timer.advance(to: now) { interruptStatus.insert(.timeOut) }
  }

  /// When the timer next interrupts, in the nanoseconds of ``advance(to:)``; nil when it does not.
  public var nextTimer: UInt64? { timer.expiry }
}
