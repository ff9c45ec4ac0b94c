import AllyHW
import AllyRings

/// An 82574L's interrupts as the OS sees them (82574 datasheet 7.4): causes and mask as in the older family, and with MSI-X
/// up to five messages, which clear and mask what EIAC and IAM say.
struct E1000EInterrupts: BitwiseCopyable, Sendable {
  /// Causes, mask, and the pin with its rate.
  private(set) var line = InterruptMimic()
  /// EIAC.
  var autoClear: UInt32 = 0
  /// IAM.
  var autoMask: UInt32 = 0
  /// IVAR.
  var vectors: UInt32 = 0
  /// CTRL_EXT, for IAME and EIAME.
  var extendedControl: UInt32 = 0
  /// How the OS took its interrupts last.
  private var delivery = InterruptDelivery.pin
  private var rates = MessageRates()
  /// Causes whose message has been sent and that have been neither cleared nor masked since.
  private var announced: UInt32 = 0

  /// After a device reset; what was sent stays counted.
  mutating func reset() {
    line.reset()
    autoClear = 0
    autoMask = 0
    vectors = 0
    extendedControl = 0
    rates.reset()
    announced = 0
  }

  /// ICR: the causes, and whether they assert an interrupt.
  var causeRegister: UInt32 { line.cause | (isAsserted ? E1000EBits.asserted : 0) }
  private var isAsserted: Bool { line.cause & line.mask != 0 }
  private var hasMessages: Bool { delivery == .messageTable }

  /// ITR.
  mutating func setInterval(_ value: UInt32) { line.minimumInterval = UInt64(value & 0xFFFF) * 256 }
  /// EITR.
  mutating func setInterval(_ value: UInt32, vector: Int) {
    rates.setInterval(UInt64(value & 0xFFFF) * 256, of: vector)
  }

  mutating func raise(_ causes: UInt32) {
    let isOther = hasMessages && causes & E1000EBits.otherCauses != 0
    line.add(cause: causes | (isOther ? E1000EBits.other : 0))
  }

  mutating func enable(_ causes: UInt32) { line.enable(causes) }

  mutating func disable(_ causes: UInt32) {
    line.disable(causes)
    announced &= line.mask
  }

  private mutating func setCauses(_ causes: UInt32) {
    line.acknowledge(remaining: causes)
    announced &= causes
  }

  /// A write of ICR: `remaining` are the causes that it left.
  mutating func clear(remaining: UInt32) { setCauses(remaining) }

  /// A read of ICR: all is cleared when nothing is enabled or an interrupt is asserted, and always without MSI-X (7.4.3,
  /// 10.2.4.1). `remaining` are causes that the read did not see.
  mutating func read(remaining: UInt32) {
    let wasAsserted = isAsserted
    if wasAsserted || line.mask == 0 || !hasMessages { setCauses(remaining) }
    if wasAsserted, extendedControl & E1000EBits.readAutoMask != 0 { disable(autoMask) }
  }

  // MARK: Out

  /// What was to be sent last may not have been: it is sent again.
  mutating func repeatMessages() {
    line.repeatInterrupt()
    announced = 0
  }

  mutating func take(at now: UInt64, by delivery: InterruptDelivery) -> NICInterrupts {
    self.delivery = delivery
    guard hasMessages else { return line.takeInterrupts(at: now) }
    var messages: UInt32 = 0
    for group in UInt32(0)..<5 {
      guard let vector = pendingVector(of: group), rates.take(vector, at: now) else { continue }
      messages |= 1 << UInt32(vector)
      sent(Self.cause(of: group))
    }
    return NICInterrupts(messages: messages)
  }

  /// RxQ0, RxQ1, TxQ0, TxQ1, Other: IVAR's order and ICR's.
  private static func cause(of group: UInt32) -> UInt32 { E1000EBits.receiveQueue0 << group }

  /// The vector of a cause's message that is to be sent, now or later; nil when none is.
  private func pendingVector(of group: UInt32) -> Int? {
    let cause = Self.cause(of: group)
    guard line.cause & line.mask & ~announced & cause != 0 else { return nil }
    let allocation = vectors >> (4 * group) & 15
    return allocation & 8 != 0 && allocation & 7 < 5 ? Int(allocation & 7) : nil
  }

  private mutating func sent(_ cause: UInt32) {
    announced |= cause
    if extendedControl & E1000EBits.messageAutoMask != 0 { disable(autoMask & cause) }
    let cleared = autoClear & cause
    guard cleared != 0 else { return }
    setCauses(line.cause & ~cleared)
    if extendedControl & E1000EBits.readAutoMask == 0 { disable(cleared) }
  }

  var nextInterrupt: UInt64? {
    guard hasMessages else { return line.nextInterrupt }
    var next: UInt64?
    for group in UInt32(0)..<5 {
      guard let vector = pendingVector(of: group) else { continue }
      next = min(next ?? .max, rates.next(vector))
    }
    return next
  }
}
