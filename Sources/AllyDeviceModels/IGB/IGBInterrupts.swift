import AllyHW

/// The interrupt side of an 82576 (datasheet §7.3): causes that lead to 25 vectors, of which each virtual function has three.
struct IGBInterrupts {
  static var vectors: Int { 25 }

  // ICR, IMS, IAM: what is not about a queue, and everything while there is one vector only.
  private(set) var cause: IntelCause = []
  private(set) var mask: IntelCause = []
  var autoMask: IntelCause = []
  // EICR, EIMS, EIAC, EIAM: a bit for each vector.
  private(set) var vectorCause: UInt32 = 0
  private(set) var vectorMask: UInt32 = 0
  var vectorAutoClear: UInt32 = 0
  var vectorAutoMask: UInt32 = 0
  /// GPIE.
  var general: UInt32 = 0
  /// IVAR: for the queues n and n + 8 the vectors of receive and transmit, a byte each, whose bit 7 makes it valid.
  var queueVectors = InlineArray<8, UInt32>(repeating: 0)
  /// IVAR_MISC: the TCP timer's vector, and that of other causes in bits 15–8.
  var otherVectors: UInt32 = 0
  /// EITR in nanoseconds, by vector.
  var intervals = InlineArray<25, UInt64>(repeating: 0)

  private var pin = InterruptPin()
  private var moderation = InterruptModeration()
  /// Vectors whose message has been sent for causes that have been neither cleared nor masked since.
  private var announced: UInt32 = 0

  private enum General {
    static let readClearsAll: UInt32 = 1 << 0
    static let multipleVectors: UInt32 = 1 << 4
    static let messageAutoMask: UInt32 = 1 << 30
  }

  mutating func reset() {
    let now = pin.now
    self = IGBInterrupts()
    advance(to: now)
  }

  mutating func advance(to now: UInt64?) {
    pin.now = now
    moderation.now = now
  }

  private var hasVectors: Bool { general & General.multipleVectors != 0 }
  private var isWanted: Bool { !cause.isDisjoint(with: mask) }

  // MARK: Causes

  /// Something happened that is not about a queue.
  mutating func raise(_ causes: IntelCause) {
    cause.formUnion(causes)
    if !causes.isDisjoint(with: mask) { raiseOther() }
  }

  /// A queue's descriptors were completed: its vector, or, while there is one vector only, RXDW or TXDW.
  mutating func raise(queue: Int, isTransmit: Bool) {
    guard hasVectors else { return raise(isTransmit ? .transmitDescriptorWrittenBack : .receiverTimer) }
    let shift = UInt32(queue & 8) * 2 + (isTransmit ? 8 : 0)
    raise(allocation: queueVectors[queue & 7] >> shift)
  }

  private mutating func raiseOther() {
    if hasVectors { raise(allocation: otherVectors >> 8) }
  }

  mutating func raise(allocation: UInt32) {
    guard allocation & 0x80 != 0, allocation & 0x1F < 25 else { return }
    vectorCause |= 1 << (allocation & 0x1F)
  }

  mutating func enable(_ causes: IntelCause) {
    mask.formUnion(causes)
    if !cause.isDisjoint(with: causes) { raiseOther() }
  }

  mutating func disable(_ causes: IntelCause) { mask.subtract(causes) }

  mutating func clear(_ causes: IntelCause) { cause.subtract(causes) }

  /// A read of ICR (§8.8.8): clears all when GPIE.NSICR says so, nothing is enabled, or an interrupt is asserted, which also
  /// masks what IAM says.
  mutating func read() -> UInt32 {
    let isAsserted = isWanted
    let value = cause.union(isAsserted ? IGBCause.asserted : [])
    if general & General.readClearsAll != 0 || mask.isEmpty || isAsserted || !hasVectors { clear(IGBCause.all) }
    if isAsserted, !hasVectors { disable(autoMask) }
    return value.rawValue
  }

  mutating func setVectors(_ bits: UInt32) { vectorCause |= bits }
  mutating func enableVectors(_ bits: UInt32) { vectorMask |= bits }

  mutating func disableVectors(_ bits: UInt32) {
    vectorMask &= ~bits
    announced &= vectorMask
  }

  mutating func clearVectors(_ bits: UInt32) {
    vectorCause &= ~bits
    announced &= vectorCause
  }

  // MARK: Out

  /// The level of the interrupt pin.
  var isPinAsserted: Bool { !hasVectors && pin.level(isWanted: isWanted, interval: intervals[0]) }

  /// The messages that are to be sent now of those vectors that `owned` names. Nothing but messages leaves with several
  /// vectors, and nothing but the pin, or one message, without.
  mutating func take(_ owned: UInt32) -> NICInterrupts {
    guard hasVectors else {
      let hasRisen = pin.update(isWanted: isWanted, interval: intervals[0])
      return NICInterrupts(isPinAsserted: isPinAsserted, messages: hasRisen ? 1 : 0)
    }
    var messages: UInt32 = 0
    var pending = vectorCause & vectorMask & ~announced & owned
    while pending != 0 {
      let vector = pending.trailingZeroBitCount
      pending &= pending - 1
      guard moderation.earliest(vector, interval: intervals[vector]) == nil else { continue }
      let bit: UInt32 = 1 << UInt32(vector)
      messages |= bit
      moderation.interrupted(vector)
      announced |= bit
      if general & General.messageAutoMask != 0 { disableVectors(vectorAutoMask & bit) }
      clearVectors(vectorAutoClear & bit)
    }
    return NICInterrupts(messages: messages)
  }

  /// When something that throttling holds back will be due; nil when nothing is.
  func nextTimer(_ owned: UInt32) -> UInt64? {
    guard hasVectors else { return pin.nextRise(isWanted: isWanted, interval: intervals[0]) }
    var next: UInt64?
    var pending = vectorCause & vectorMask & ~announced & owned
    while pending != 0 {
      let vector = pending.trailingZeroBitCount
      pending &= pending - 1
      if let time = moderation.earliest(vector, interval: intervals[vector]) { next = min(next ?? time, time) }
    }
    return next
  }
}
