public import AllyHW
public import AllyRings

/// The driver module for the 82574L (Intel 82574 GbE Controller Family Datasheet, revision 3.4): two queue pairs with
/// extended receive descriptors, interrupts by pin, MSI or MSI-X.
///
/// The OS's choice of legacy or packet-split receive descriptors is not served (`ProgrammedQueue.hasKnownFormat`).
public struct E1000EDriver: NICDriver {
  public typealias OSReceive = E1000EReceiveDescriptor
  public typealias NICReceive = E1000EReceiveDescriptor
  public typealias OSTransmit = E1000ETransmitDescriptor
  public typealias NICTransmit = E1000ETransmitDescriptor

  public static var registers: [RegisterRange] { E1000ERegisters.map }

  /// Errors are set in the descriptor, upon which stock drivers count a receive error and reuse the buffer.
  public static var receiveDrop: ReceiveDropAppearance { .errorCompletion }

  /// 82574 datasheet 10.2.5.3 and 10.2.5.5: bases are 16-byte aligned, lengths are multiples of 128 bytes.
  public static var queueRules: QueueRules { QueueRules(baseAlignment: 16, lengthMultiple: 128) }

  public static var queuePairs: Int { 2 }

  private var interrupts = E1000EInterrupts()
  private var receiveControl: UInt32 = 0
  private var transmitControl: UInt32 = 0
  private var filterControl: UInt32 = 0
  // The control of a transmit queue is its TARC; receive queues have none of their own.
  private var receive = InlineArray<2, IntelQueueRegisters>(repeating: IntelQueueRegisters())
  private var transmit = InlineArray<2, IntelQueueRegisters>(repeating: Self.transmitAfterReset)

  private static var transmitAfterReset: IntelQueueRegisters {
    var queue = IntelQueueRegisters()
    queue.control = E1000EBits.arbitrationAfterReset
    return queue
  }

  private typealias Offset = E1000ERegisters

  public init() {}

  // MARK: - What the OS has programmed

  /// The second queue exists for the OS once it has a length.
  private func isReceiveEnabled(_ queue: Int) -> Bool {
    receiveControl & E1000EBits.enable != 0 && (queue == 0 || receive[queue].length != 0)
  }

  private func isTransmitEnabled(_ queue: Int) -> Bool {
    transmitControl & E1000EBits.enable != 0 && transmit[queue].control & E1000EBits.arbitrationEnable != 0
      && (queue == 0 || transmit[queue].length != 0)
  }

  public func receiveQueue(_ queue: Int) -> ProgrammedQueue {
    // RCTL.FLXBUF has the size in KiB, unless it is 0.
    let flexible = (receiveControl >> 27 & 15) * 1024
    return receive[queue].programmed(
      isEnabled: isReceiveEnabled(queue),
      bufferLength: flexible == 0 ? IntelReceiveControl.bufferLength(receiveControl) : flexible,
      trailerLength: receiveControl & E1000EBits.stripCRC != 0 ? 0 : 4,
      hasKnownFormat: filterControl & E1000EBits.extendedStatus != 0
        && receiveControl & E1000EBits.descriptorType == 0)
  }

  public func transmitQueue(_ queue: Int) -> ProgrammedQueue {
    transmit[queue].programmed(isEnabled: isTransmitEnabled(queue))
  }

  /// Both receive queues, of which the second is only there when it has, or had, a length.
  private var receiveQueues: RegisterEffects {
    RegisterEffects(receiveQueues: QueueSet(bits: receive[1].length != 0 || receive[1].isStarted ? 3 : 1))
  }

  private var transmitQueues: RegisterEffects {
    RegisterEffects(transmitQueues: QueueSet(bits: transmit[1].length != 0 || transmit[1].isStarted ? 3 : 1))
  }

  // MARK: - Register accesses of the OS

  public mutating func handle<NIC: NICDevice & ~Copyable>(
    _ access: RedirectedAccess, registers: RegisterFile, nic: inout NIC
  ) -> RegisterEffects {
    if access.offset == Offset.interruptCause {
      // The shadow has been cleared by the read, or of the ones that were written; what is left the OS has not seen.
      let remaining = UInt32(truncatingIfNeeded: registers.load(Offset.interruptCause)) & E1000EBits.allCauses
      if access.isWrite { interrupts.clear(remaining: remaining) } else { interrupts.read(remaining: remaining) }
      storeInterruptShadows(registers)
      return .interrupts
    }
    guard access.isWrite else { return .none }
    switch access.width {
    case .doubleWord:
      return write(access.offset, UInt32(truncatingIfNeeded: access.value), registers: registers, nic: &nic)
    case .quadWord:
      let low = write(access.offset, UInt32(truncatingIfNeeded: access.value), registers: registers, nic: &nic)
      let high = write(
        access.offset &+ 4, UInt32(truncatingIfNeeded: access.value >> 32), registers: registers, nic: &nic)
      return low.union(high)
    case .byte, .word:
      // Registers are 32 bits wide and written as such (10.1); anything narrower has no effect.
      restoreShadows(registers)
      return .none
    }
  }

  private mutating func write<NIC: NICDevice & ~Copyable>(
    _ offset: UInt32, _ value: UInt32, registers: RegisterFile, nic: inout NIC
  ) -> RegisterEffects {
    switch offset {
    case Offset.control, Offset.control + 4: return writeControl(value, registers: registers, nic: &nic)
    case Offset.extendedControl:
      interrupts.extendedControl = value
      nic.write(offset, value & ~(E1000EBits.readAutoMask | E1000EBits.messageAutoMask))
      return .none
    case Offset.interruptThrottle...(Offset.vectorThrottle + 16): return writeInterrupts(offset, value, registers)
    case Offset.receiveControl: return writeReceiveControl(value, nic: &nic)
    case Offset.transmitControl: return writeTransmitControl(value, nic: &nic)
    // TIPG and what else lies between Transmit Control and the old places of the transmit queue.
    case (Offset.transmitControl + 4)..<0x0420:
      nic.write(offset, value)
      return .none
    case Offset.receiveQueue..<(Offset.receiveQueue + 0x130):
      return writeReceiveQueue(offset, value, registers)
    case Offset.transmitQueue..<(Offset.transmitQueue + 0x144):
      return writeTransmitQueue(offset, value, registers)
    case Offset.receiveFilterControl:
      let isSame = (filterControl ^ value) & E1000EBits.extendedStatus == 0
      filterControl = value
      nic.write(offset, value | E1000EBits.extendedStatus)
      return isSame ? .none : receiveQueues
    default:
      // Delays and thresholds read as they were written, and do nothing; at the old places there are no queues.
      return .none
    }
  }

  private mutating func writeInterrupts(
    _ offset: UInt32, _ value: UInt32, _ registers: RegisterFile
  ) -> RegisterEffects {
    switch offset {
    case Offset.interruptThrottle: interrupts.setInterval(value)
    case Offset.interruptCauseSet: interrupts.raise(value & E1000EBits.allCauses)
    case Offset.interruptMaskSet: interrupts.enable(value & E1000EBits.allCauses)
    case Offset.interruptMaskClear: interrupts.disable(value)
    case Offset.interruptAutoClear: interrupts.autoClear = value & 0x01F0_0000
    case Offset.interruptAutoMask: interrupts.autoMask = value & E1000EBits.allCauses
    case Offset.interruptVectors: interrupts.vectors = value
    case Offset.vectorThrottle...(Offset.vectorThrottle + 16) where offset & 3 == 0:
      interrupts.setInterval(value, vector: Int(offset - Offset.vectorThrottle) / 4)
    default: return .none
    }
    storeInterruptShadows(registers)
    return .interrupts
  }

  private mutating func writeControl<NIC: NICDevice & ~Copyable>(
    _ value: UInt32, registers: RegisterFile, nic: inout NIC
  ) -> RegisterEffects {
    nic.write(Offset.control, value)
    guard value & E1000EBits.reset != 0 else {
      readControl(registers: registers, nic: &nic)
      return .none
    }
    // A reset takes queues, interrupts and their enables with it (4.6).
    let effects = receiveQueues.union(transmitQueues).union(.interrupts)
    interrupts.reset()
    receiveControl = 0
    transmitControl = 0
    filterControl = 0
    for queue in 0..<2 {
      receive[queue] = IntelQueueRegisters()
      transmit[queue] = Self.transmitAfterReset
    }
    restoreShadows(registers)
    readControl(registers: registers, nic: &nic)
    return effects
  }

  private mutating func writeReceiveControl<NIC: NICDevice & ~Copyable>(
    _ value: UInt32, nic: inout NIC
  ) -> RegisterEffects {
    let isSame = (receiveControl ^ value) & (E1000EBits.enable | E1000EBits.bufferLayout) == 0
    let wasChanging = receive[0].isChanging || receive[1].isChanging
    receiveControl = value
    receive[0].isChanging = false
    receive[1].isChanging = false
    guard isSame, !wasChanging else { return receiveQueues }
    // Filters and the like.
    writeControls(to: &nic)
    return .none
  }

  private mutating func writeTransmitControl<NIC: NICDevice & ~Copyable>(
    _ value: UInt32, nic: inout NIC
  ) -> RegisterEffects {
    let isSame = (transmitControl ^ value) & E1000EBits.enable == 0
    let wasChanging = transmit[0].isChanging || transmit[1].isChanging
    transmitControl = value
    transmit[0].isChanging = false
    transmit[1].isChanging = false
    guard isSame, !wasChanging else { return transmitQueues }
    writeControls(to: &nic)
    return .none
  }

  private mutating func writeReceiveQueue(
    _ offset: UInt32, _ value: UInt32, _ registers: RegisterFile
  ) -> RegisterEffects {
    let place = offset - Offset.receiveQueue
    let queue = Int(place / Offset.queueStride)
    let isEnabled = isReceiveEnabled(queue)
    switch receive[queue].write(
      place % Offset.queueStride, value, isEnabled: isEnabled, first: Self.first(Offset.receiveQueue, queue),
      registers: registers)
    {
    case .nothing: return .none
    case .tail: return .receiveTail(queue)
    case .queue: return .receiveQueue(queue)
    }
  }

  private mutating func writeTransmitQueue(
    _ offset: UInt32, _ value: UInt32, _ registers: RegisterFile
  ) -> RegisterEffects {
    let place = offset - Offset.transmitQueue
    let queue = Int(place / Offset.queueStride)
    if place % Offset.queueStride == Offset.transmitArbitration - Offset.transmitQueue {
      let isSame = (transmit[queue].control ^ value) & E1000EBits.arbitrationEnable == 0
      transmit[queue].control = value
      return isSame ? .none : .transmitQueue(queue)
    }
    let isEnabled = isTransmitEnabled(queue)
    switch transmit[queue].write(
      place % Offset.queueStride, value, isEnabled: isEnabled, first: Self.first(Offset.transmitQueue, queue),
      registers: registers)
    {
    case .nothing: return .none
    case .tail: return .transmitTail(queue)
    case .queue: return .transmitQueue(queue)
    }
  }

  private static func first(_ base: UInt32, _ queue: Int) -> UInt32 { base + UInt32(queue) * Offset.queueStride }

  // MARK: - Shadow copies

  public mutating func attach<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) {
    interrupts.extendedControl = nic.read(Offset.extendedControl)
    restoreShadows(registers)
    readControl(registers: registers, nic: &nic)
    for offset in stride(from: Offset.transmitControl + 4, to: 0x0420, by: 4) {
      registers.store(nic.read(offset), at: offset)
    }
    // The NIC reports to us alone, and only once there is a queue.
    nic.write(Offset.interruptMaskClear, .max)
  }

  private func readControl<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) {
    let control = nic.read(Offset.control)
    registers.store(control, at: Offset.control)
    registers.store(control, at: Offset.control + 4)
  }

  private func restoreShadows(_ registers: RegisterFile) {
    storeInterruptShadows(registers)
    registers.store(interrupts.extendedControl, at: Offset.extendedControl)
    registers.store(UInt32(clamping: interrupts.line.minimumInterval / 256), at: Offset.interruptThrottle)
    registers.store(interrupts.autoClear, at: Offset.interruptAutoClear)
    registers.store(interrupts.autoMask, at: Offset.interruptAutoMask)
    registers.store(interrupts.vectors, at: Offset.interruptVectors)
    registers.store(receiveControl, at: Offset.receiveControl)
    registers.store(transmitControl, at: Offset.transmitControl)
    registers.store(filterControl, at: Offset.receiveFilterControl)
    for queue in 0..<2 {
      receive[queue].storeShadows(at: Self.first(Offset.receiveQueue, queue), registers)
      transmit[queue].storeShadows(at: Self.first(Offset.transmitQueue, queue), registers)
      registers.store(transmit[queue].control, at: Self.first(Offset.transmitArbitration, queue))
    }
  }

  /// ICR, ICS and IMS read as causes and mask are now.
  private func storeInterruptShadows(_ registers: RegisterFile) {
    registers.store(interrupts.causeRegister, at: Offset.interruptCause)
    registers.store(interrupts.line.cause, at: Offset.interruptCauseSet)
    registers.store(interrupts.line.mask, at: Offset.interruptMaskSet)
    registers.store(0, at: Offset.interruptMaskClear)
  }

  private mutating func raise(_ causes: UInt32, _ registers: RegisterFile) {
    interrupts.raise(causes)
    storeInterruptShadows(registers)
  }

  // MARK: - The real NIC

  /// Writes RCTL and TCTL as the OS has them, enabled only while there is a DPI queue.
  private func writeControls<NIC: NICDevice & ~Copyable>(to nic: inout NIC) {
    let receives = receive[0].isStarted || receive[1].isStarted
    let transmits = transmit[0].isStarted || transmit[1].isStarted
    nic.write(
      Offset.receiveControl, receiveControl & ~E1000EBits.enable | (receives ? E1000EBits.enable : 0))
    nic.write(
      Offset.transmitControl, transmitControl & ~E1000EBits.enable | (transmits ? E1000EBits.enable : 0))
  }

  /// Lets the NIC go of a queue: it has no descriptors, and is disabled when it was the last.
  private func release<NIC: NICDevice & ~Copyable>(_ first: UInt32, on nic: inout NIC) {
    writeControls(to: &nic)
    for place in [UInt32(0x18), 0x10, 0x08] { nic.write(first + place, 0) }
  }

  public mutating func startReceive<NIC: NICDevice & ~Copyable>(_ queue: Int, on twin: DescriptorQueue, nic: inout NIC)
  {
    let first = Self.first(Offset.receiveQueue, queue)
    nic.write(Offset.receiveFilterControl, filterControl | E1000EBits.extendedStatus)
    IntelQueueRegisters.program(twin, first: first, on: &nic)
    // No delay (RDTR): the rate that the OS sees is made here.
    nic.write(first + 0x20, 0)
    receive[queue].isStarted = true
    writeControls(to: &nic)
    nic.write(Offset.interruptMaskSet, E1000EBits.wantedCauses)
  }

  public mutating func stopReceive<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC) {
    receive[queue].isStarted = false
    release(Self.first(Offset.receiveQueue, queue), on: &nic)
  }

  public func setReceiveTail<NIC: NICDevice & ~Copyable>(_ queue: Int, _ tail: UInt32, nic: inout NIC) {
    nic.write(Self.first(Offset.receiveQueue, queue) + 0x18, tail)
  }

  public mutating func startTransmit<NIC: NICDevice & ~Copyable>(
    _ queue: Int, on twin: DescriptorQueue, nic: inout NIC
  ) {
    let first = Self.first(Offset.transmitQueue, queue)
    IntelQueueRegisters.program(twin, first: first, on: &nic)
    nic.write(first + 0x20, 0)
    transmit[queue].isStarted = true
    writeControls(to: &nic)
    nic.write(Offset.interruptMaskSet, E1000EBits.wantedCauses)
  }

  public mutating func stopTransmit<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC) {
    transmit[queue].isStarted = false
    release(Self.first(Offset.transmitQueue, queue), on: &nic)
  }

  public func setTransmitTail<NIC: NICDevice & ~Copyable>(_ queue: Int, _ tail: UInt32, nic: inout NIC) {
    nic.write(Self.first(Offset.transmitQueue, queue) + 0x18, tail)
  }

  public mutating func takeInterrupt<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) -> Bool {
    let cause = nic.read(Offset.interruptCause) & E1000EBits.allCauses
    let others = cause & ~E1000EBits.queueCauses
    if others != 0 { raise(others, registers) }
    return cause != 0
  }

  // MARK: - What the OS hears

  public mutating func notePublished(_ queue: Int, head: UInt32, descriptors: UInt32, registers: RegisterFile) {
    receive[queue].head = head
    registers.store(head, at: Self.first(Offset.receiveQueue, queue) + 0x10)
    raise(E1000EBits.receiverTimer | E1000EBits.receiveQueue0 << UInt32(queue), registers)
  }

  public mutating func noteTransmitted(
    _ queue: Int, head: UInt32, _ completions: TransmitCompletions, registers: RegisterFile
  ) {
    transmit[queue].head = head
    registers.store(head, at: Self.first(Offset.transmitQueue, queue) + 0x10)
    var causes: UInt32 = 0
    if completions.isReported { causes |= E1000EBits.transmitWrittenBack | E1000EBits.transmitQueue0 << UInt32(queue) }
    if completions.isEmpty { causes |= E1000EBits.transmitQueueEmpty }
    if causes != 0 { raise(causes, registers) }
  }

  public mutating func takeOSInterrupts(
    at now: UInt64, by delivery: InterruptDelivery, registers: RegisterFile
  ) -> NICInterrupts {
    let taken = interrupts.take(at: now, by: delivery)
    // What cleared or masked itself.
    if taken.messages != 0 { storeInterruptShadows(registers) }
    return taken
  }

  public mutating func repeatOSInterrupts() { interrupts.repeatMessages() }

  public var nextOSInterrupt: UInt64? { interrupts.nextInterrupt }
}
