import AllyHW
import AllyRings

/// An 82576's interrupts as the OS sees them (82576 datasheet 7.3): with one vector, causes and mask as in the older families;
/// with several, a cause bit for each, which clears and masks itself as EIAC and EIAM say.
struct IGBInterrupts: BitwiseCopyable, Sendable {
  /// ICR and IMS, and the pin with its rate.
  private(set) var line = InterruptMimic()
  /// IAM.
  var autoMask: UInt32 = 0
  /// GPIE.
  var general: UInt32 = 0
  /// EICR.
  private(set) var cause: UInt32 = 0
  /// EIMS.
  private(set) var mask: UInt32 = 0
  /// EIAC.
  var autoClear: UInt32 = 0
  /// EIAM.
  var vectorAutoMask: UInt32 = 0
  /// IVAR.
  var vectors = InlineArray<8, UInt32>(repeating: 0)
  /// IVAR_MISC.
  var otherVectors: UInt32 = 0
  private var rates = MessageRates()
  /// Vectors whose message has been sent for causes that have been neither cleared nor masked since.
  private var announced: UInt32 = 0

  /// After a device reset; what was sent stays counted.
  mutating func reset() {
    line.reset()
    autoMask = 0
    general = 0
    cause = 0
    mask = 0
    autoClear = 0
    vectorAutoMask = 0
    vectors = InlineArray(repeating: 0)
    otherVectors = 0
    rates.reset()
    announced = 0
  }

  private var hasVectors: Bool { general & IGBBits.multipleVectors != 0 }
  private var isAsserted: Bool { line.cause & line.mask != 0 }
  /// ICR: the causes, and whether they assert an interrupt.
  var causeRegister: UInt32 { line.cause | (isAsserted ? IGBBits.asserted : 0) }

  /// EITR: bits 14–2 are microseconds (8.8.12).
  mutating func setInterval(_ value: UInt32, vector: Int) {
    let interval = UInt64(value >> 2 & 0x1FFF) * 1000
    rates.setInterval(interval, of: vector)
    if vector == 0 { line.minimumInterval = interval }
  }

  // MARK: Causes

  /// Something happened that is not about a queue.
  mutating func raise(_ causes: UInt32) {
    line.add(cause: causes)
    if causes & line.mask != 0 { raiseOther() }
  }

  /// A queue's descriptors were completed: its vector, or RXDW or TXDW while there is one vector only.
  mutating func raise(queue: Int, isTransmit: Bool) {
    guard hasVectors else {
      return line.add(cause: isTransmit ? IGBBits.transmitWrittenBack : IGBBits.receiveWrittenBack)
    }
    raise(allocation: vectors[queue & 7] >> (UInt32(truncatingIfNeeded: queue & 8) * 2 + (isTransmit ? 8 : 0)))
  }

  private mutating func raiseOther() {
    if hasVectors { raise(allocation: otherVectors >> 8) }
  }

  mutating func raise(allocation: UInt32) {
    guard allocation & 0x80 != 0, allocation & 0x1F < 25 else { return }
    cause |= 1 << (allocation & 0x1F)
  }

  mutating func enable(_ causes: UInt32) {
    line.enable(causes)
    if line.cause & causes != 0 { raiseOther() }
  }

  mutating func disable(_ causes: UInt32) { line.disable(causes) }

  /// A write of ICR: `remaining` are the causes that it left.
  mutating func clear(remaining: UInt32) { line.acknowledge(remaining: remaining) }

  /// A read of ICR: all is cleared when GPIE.NSICR says so, nothing is enabled, or an interrupt is asserted, which also masks
  /// what IAM says (8.8.8). `remaining` are causes that the read did not see.
  mutating func read(remaining: UInt32) {
    let wasAsserted = isAsserted
    if general & IGBBits.readClearsAll != 0 || line.mask == 0 || wasAsserted || !hasVectors {
      line.acknowledge(remaining: remaining)
    }
    if wasAsserted, !hasVectors { disable(autoMask) }
  }

  mutating func setVectors(_ bits: UInt32) { cause |= bits & IGBBits.allVectors }
  mutating func enableVectors(_ bits: UInt32) { mask |= bits & IGBBits.allVectors }

  mutating func disableVectors(_ bits: UInt32) {
    mask &= ~bits
    announced &= mask
  }

  mutating func clearVectors(_ bits: UInt32) {
    cause &= ~bits
    announced &= cause
  }

  // MARK: Out

  /// What was to be sent last may not have been: it is sent again.
  mutating func repeatMessages() {
    line.repeatInterrupt()
    announced = 0
  }

  private var pending: UInt32 { cause & mask & ~announced }

  mutating func take(at now: UInt64) -> NICInterrupts {
    guard hasVectors else { return line.takeInterrupts(at: now) }
    var messages: UInt32 = 0
    var left = pending
    while left != 0 {
      let vector = left.trailingZeroBitCount
      left &= left &- 1
      guard rates.take(vector, at: now) else { continue }
      let bit: UInt32 = 1 << UInt32(truncatingIfNeeded: vector)
      messages |= bit
      announced |= bit
      if general & IGBBits.messageAutoMask != 0 { disableVectors(vectorAutoMask & bit) }
      clearVectors(autoClear & bit)
    }
    return NICInterrupts(messages: messages)
  }

  var nextInterrupt: UInt64? {
    guard hasVectors else { return line.nextInterrupt }
    var next: UInt64?
    var left = pending
    while left != 0 {
      next = min(next ?? .max, rates.next(left.trailingZeroBitCount))
      left &= left &- 1
    }
    return next
  }
}

// MARK: - Registers

extension IGBInterrupts {
  private typealias Offset = IGBRegisters

  /// A write to a register from EICS to IVAR_MISC; false when there is none.
  mutating func write(_ offset: UInt32, _ value: UInt32) -> Bool {
    switch offset {
    case Offset.interruptCauseSet: raise(value & IGBBits.allCauses)
    case Offset.interruptMaskSet: enable(value & IGBBits.allCauses)
    case Offset.interruptMaskClear: disable(value)
    case Offset.interruptAutoMask: autoMask = value
    case Offset.generalInterrupts: general = value
    case Offset.vectorCauseSet: setVectors(value)
    case Offset.vectorMaskSet: enableVectors(value)
    case Offset.vectorMaskClear: disableVectors(value)
    case Offset.vectorAutoClear: autoClear = value & IGBBits.allVectors
    case Offset.vectorAutoMask: vectorAutoMask = value & IGBBits.allVectors
    case Offset.vectorCause: clearVectors(value)
    case Offset.vectorThrottle..<(Offset.vectorThrottle + 100) where offset & 3 == 0:
      setInterval(value, vector: Int(offset - Offset.vectorThrottle) / 4)
    case Offset.vectors..<(Offset.vectors + 32) where offset & 3 == 0:
      vectors[Int(offset - Offset.vectors) / 4] = value
    case Offset.otherVectors: otherVectors = value
    default: return false
    }
    return true
  }

  /// Causes and masks read as they are now, whatever was written last.
  func storeShadows(_ registers: RegisterFile) {
    registers.store(causeRegister, at: Offset.interruptCause)
    registers.store(line.cause, at: Offset.interruptCauseSet)
    registers.store(line.mask, at: Offset.interruptMaskSet)
    registers.store(0 as UInt32, at: Offset.interruptMaskClear)
    registers.store(autoMask, at: Offset.interruptAutoMask)
    storeVectorShadows(registers)
  }

  /// The same of the vectors alone: all that a virtual function has.
  func storeVectorShadows(_ registers: RegisterFile) {
    registers.store(cause, at: Offset.vectorCauseSet)
    registers.store(mask, at: Offset.vectorMaskSet)
    registers.store(0 as UInt32, at: Offset.vectorMaskClear)
    registers.store(autoClear, at: Offset.vectorAutoClear)
    registers.store(vectorAutoMask, at: Offset.vectorAutoMask)
    registers.store(cause, at: Offset.vectorCause)
  }
}
