public import AllyHW

/// The interrupt side of a NIC as the OS sees it: causes, a mask, and a rate limit, from which follows when an IPI
/// mimics a NIC interrupt (paper §4.3). Level-triggered: one IPI per rise of `cause & mask`, so a driver that polls
/// with interrupts masked (Linux NAPI) is left alone.
@frozen
public struct InterruptMimic: Sendable, BitwiseCopyable, Equatable {
  /// Causes that the OS has not acknowledged, a bit each as in the NIC's cause register.
  public private(set) var cause: UInt32 = 0
  /// Causes that may interrupt.
  public private(set) var mask: UInt32 = 0
  /// The shortest time between two IPIs, in nanoseconds; 0 for no limit.
  public var minimumInterval: UInt64 = 0
  /// Causes that do not interrupt at once when they are alone: they wait for another, which takes them along.
  public var patientCauses: UInt32 = 0
  /// How long patient causes wait at most, in nanoseconds; 0 for not at all. May change while they wait.
  public var patience: UInt64 = 0
  /// When the last IPI was sent, in the caller's nanoseconds.
  public private(set) var lastInterrupt: UInt64 = 0
  /// IPIs sent so far.
  public private(set) var interrupts: UInt64 = 0
  /// Causes added while one was pending already: interrupts that coalescing saved.
  public private(set) var coalesced: UInt64 = 0
  /// Whether the OS has been told of the present rise.
  private var isAsserted = false
  private var hasInterrupted = false
  /// Since when patient causes have been waiting; nil when none is.
  private var waitingSince: UInt64?

  public init() {}

  /// Something happened that the OS may want to know.
  public mutating func add(cause bits: UInt32) {
    if cause & mask != 0, bits & mask != 0 { coalesced &+= 1 }
    cause |= bits
  }

  /// The OS read or cleared causes; `remaining` are those that it has not seen. If one of these may interrupt, that is a
  /// new rise.
  public mutating func acknowledge(remaining: UInt32) {
    cause = remaining
    isAsserted = false
  }

  /// Whoever was to send the last IPI may have died before it did: what is pending is sent again.
  public mutating func repeatInterrupt() { isAsserted = false }

  /// The OS lets `bits` interrupt.
  public mutating func enable(_ bits: UInt32) { mask |= bits }

  /// The OS no longer lets `bits` interrupt.
  public mutating func disable(_ bits: UInt32) {
    mask &= ~bits
    if cause & mask == 0 { isAsserted = false }
  }

  /// Back to after power-on; the statistics and ``patientCauses`` stay.
  public mutating func reset() {
    cause = 0
    mask = 0
    minimumInterval = 0
    patience = 0
    waitingSince = nil
    isAsserted = false
  }

  /// Whether an IPI is to be sent now; true at most once per rise. The caller sends it.
  ///
  /// - Parameter now: nanoseconds of a clock that does not run backwards.
  public mutating func takeInterrupt(at now: UInt64) -> Bool {
    guard !isAsserted, cause & mask != 0 else {
      waitingSince = nil
      return false
    }
    if isPatient {
      let since = waitingSince ?? now
      waitingSince = since
      if now &- since < patience { return false }
    }
    if hasInterrupted, now &- lastInterrupt < minimumInterval { return false }
    waitingSince = nil
    isAsserted = true
    hasInterrupted = true
    lastInterrupt = now
    interrupts &+= 1
    return true
  }

  /// What the OS is to hear of a NIC that has one interrupt: the level of its pin, which is high from the interrupt until the
  /// OS has acknowledged or masked its causes, and message 0 at each rise.
  ///
  /// - Parameter now: nanoseconds of a clock that does not run backwards.
  public mutating func takeInterrupts(at now: UInt64) -> NICInterrupts {
    let rises = takeInterrupt(at: now)
    return NICInterrupts(isPinAsserted: isAsserted && cause & mask != 0, messages: rises ? 1 : 0)
  }

  /// Whether what is pending may wait.
  private var isPatient: Bool { patience != 0 && cause & mask & ~patientCauses == 0 }

  /// When the rate limit and its causes' patience let the pending interrupt out; nil when none is pending. For a caller that
  /// sleeps.
  public var nextInterrupt: UInt64? {
    guard !isAsserted, cause & mask != 0 else { return nil }
    let allowed = hasInterrupted ? lastInterrupt &+ minimumInterval : 0
    guard isPatient, let waitingSince else { return allowed }
    return max(allowed, waitingSince &+ patience)
  }
}
