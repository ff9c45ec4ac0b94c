public import AllyHW

/// The interrupt side of an 82574L (datasheet §7.4): causes, mask, auto-clear, auto-mask, and to which MSI-X messages causes
/// lead.
struct E1000EInterrupts {
  private(set) var cause: IntelCause = []
  private(set) var mask: IntelCause = []
  /// EIAC.
  var autoClear: IntelCause = []
  /// IAM.
  var autoMask: IntelCause = []
  /// IVAR: for each of five groups of causes a vector in three bits, and a bit that makes it valid.
  var vectors: UInt32 = 0
  /// ITR in nanoseconds.
  var pinInterval: UInt64 = 0
  /// EITR in nanoseconds, by vector.
  var intervals = InlineArray<5, UInt64>(repeating: 0)
  /// CTRL_EXT.IAME: reading ICR masks what IAM says.
  var masksOnRead = false
  /// CTRL_EXT.EIAME: a message masks what IAM says.
  var masksOnMessage = false
  /// How the OS takes interrupts; MSI-X changes what some registers do.
  var delivery: InterruptDelivery = .pin

  private var pin = InterruptPin()
  private var moderation = InterruptModeration()
  /// Causes whose message has been sent and that have been neither cleared nor masked since.
  private var announced: IntelCause = []

  /// The causes that have vectors, in IVAR's order.
  private static let groups: InlineArray<5, IntelCause> = [
    E1000ECause.receiveQueue0, E1000ECause.receiveQueue1, E1000ECause.transmitQueue0, E1000ECause.transmitQueue1,
    E1000ECause.other,
  ]

  mutating func reset() {
    let (now, delivery) = (pin.now, delivery)
    self = E1000EInterrupts()
    advance(to: now)
    self.delivery = delivery
  }

  mutating func advance(to now: UInt64?) {
    pin.now = now
    moderation.now = now
  }

  private var isWanted: Bool { !cause.isDisjoint(with: mask) }

  /// The level of the interrupt pin.
  var isPinAsserted: Bool { delivery == .pin && pin.level(isWanted: isWanted, interval: pinInterval) }

  mutating func raise(_ causes: IntelCause) {
    cause.formUnion(causes)
    if delivery == .messageTable, !causes.isDisjoint(with: E1000ECause.others) { cause.insert(E1000ECause.other) }
  }

  mutating func enable(_ causes: IntelCause) { mask.formUnion(causes) }

  mutating func disable(_ causes: IntelCause) {
    mask.subtract(causes)
    announced.formIntersection(mask)
  }

  mutating func clear(_ causes: IntelCause) {
    cause.subtract(causes)
    announced.formIntersection(cause)
  }

  /// A read of ICR (§10.2.4.1): clears all when nothing is enabled or an interrupt is asserted, and always while MSI-X is off
  /// (§7.4.3); an asserted interrupt masks what IAM says.
  mutating func read() -> UInt32 {
    let isAsserted = isWanted
    let value = cause.union(isAsserted ? E1000ECause.asserted : [])
    if isAsserted || mask.isEmpty || delivery != .messageTable { clear(E1000ECause.all) }
    if isAsserted, masksOnRead { disable(autoMask) }
    return value.rawValue
  }

  // MARK: Out

  mutating func take(by delivery: InterruptDelivery) -> NICInterrupts {
    self.delivery = delivery
    guard delivery == .messageTable else {
      let hasRisen = pin.update(isWanted: isWanted, interval: pinInterval)
      return NICInterrupts(isPinAsserted: isPinAsserted, messages: hasRisen ? 1 : 0)
    }
    var messages: UInt32 = 0
    for group in 0..<5 {
      guard let vector = pendingVector(of: group), moderation.earliest(vector, interval: intervals[vector]) == nil
      else { continue }
      messages |= 1 << UInt32(vector)
      moderation.interrupted(vector)
      sent(Self.groups[group])
    }
    return NICInterrupts(messages: messages)
  }

  /// The vector of a group's message that is to be sent, now or later; nil when none is.
  private func pendingVector(of group: Int) -> Int? {
    let bit = Self.groups[group]
    guard cause.intersection(mask).contains(bit), !announced.contains(bit) else { return nil }
    let allocation = vectors >> (4 * UInt32(group)) & 15
    guard allocation & 8 != 0, allocation & 7 < 5 else { return nil }
    return Int(allocation & 7)
  }

  /// A message went out: what EIAC says clears itself, and the mask follows (§7.4.3, §10.2.2.5).
  private mutating func sent(_ causes: IntelCause) {
    announced.formUnion(causes)
    if masksOnMessage { disable(autoMask.intersection(causes)) }
    let cleared = autoClear.intersection(causes)
    clear(cleared)
    if !masksOnRead { disable(cleared) }
  }

  /// When something that throttling holds back will be due; nil when nothing is.
  var nextTimer: UInt64? {
    guard delivery == .messageTable else { return pin.nextRise(isWanted: isWanted, interval: pinInterval) }
    var next: UInt64?
    for group in 0..<5 {
      guard let vector = pendingVector(of: group),
        let time = moderation.earliest(vector, interval: intervals[vector])
      else { continue }
      next = min(next ?? time, time)
    }
    return next
  }
}

extension E1000EModel {
  public var assertsInterrupt: Bool { interrupts.isPinAsserted }

  public mutating func takeInterrupts(by delivery: InterruptDelivery) -> NICInterrupts {
    let taken = interrupts.take(by: delivery)
    for _ in 0..<taken.count { controller.statistics.count(.interruptsAsserted) }
    return taken
  }

  public mutating func advance(to now: UInt64) { interrupts.advance(to: now) }

  public var nextTimer: UInt64? { interrupts.nextTimer }
}
