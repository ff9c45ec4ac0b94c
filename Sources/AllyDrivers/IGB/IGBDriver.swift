public import AllyHW
public import AllyRings

/// The driver module for the 82576 (Intel 82576EB Gigabit Ethernet Controller Datasheet, revision 2.63): 16 queue pairs with
/// advanced descriptors, interrupts by pin, MSI or MSI-X.
///
/// The OS's choice of legacy or header-split receive descriptors is not served (`ProgrammedQueue.hasKnownFormat`). Whether
/// frame check sequences are stripped is RCTL's to say, for all pools alike: a pool's own choice (VMOLR.STRCRC) reaches the NIC
/// only where it is the same, so that nobody can have frames whose last bytes are taken for a check sequence and are none.
public struct IGBDriver: NICDriver {
  public typealias OSReceive = IGBReceiveDescriptor
  public typealias NICReceive = IGBReceiveDescriptor
  public typealias OSTransmit = IGBTransmitDescriptor
  public typealias NICTransmit = IGBTransmitDescriptor

  public static var registers: [RegisterRange] { IGBRegisters.map }

  /// Errors are set in the descriptor, upon which stock drivers count a receive error and reuse the buffer.
  public static var receiveDrop: ReceiveDropAppearance { .errorCompletion }

  /// 82576 datasheet 8.10.5 and 8.10.7: bases and lengths are multiples of 128 bytes.
  public static var queueRules: QueueRules { QueueRules(baseAlignment: 128, lengthMultiple: 128) }

  public static var queuePairs: Int { 16 }

  private var interrupts = IGBInterrupts()
  private var queues = IGBQueues(enablesFirst: true)
  private var receiveControl: UInt32 = 0
  private var transmitControl: UInt32 = 0
  /// VMOLR.
  private var poolOffloads = InlineArray<8, UInt32>(repeating: 0)

  private typealias Offset = IGBRegisters
  private static var layout: IGBQueueLayout { .physicalFunction }

  public init() {}

  private var isReceiveEnabled: Bool { receiveControl & IGBBits.enable != 0 }
  private var isTransmitEnabled: Bool { transmitControl & IGBBits.enable != 0 }

  public func receiveQueue(_ queue: Int) -> ProgrammedQueue {
    queues.receiveQueue(
      queue, isEnabled: isReceiveEnabled, bufferLength: IntelReceiveControl.bufferLength(receiveControl & ~(1 << 25)),
      trailerLength: receiveControl & IGBBits.stripCRC != 0 ? 0 : 4)
  }

  public func transmitQueue(_ queue: Int) -> ProgrammedQueue {
    queues.transmitQueue(queue, isEnabled: isTransmitEnabled)
  }

  // MARK: - Register accesses of the OS

  /// Where a register is that has an older place as well.
  private static func canonical(_ offset: UInt32) -> UInt32 {
    switch offset {
    case Offset.control + 4: Offset.control
    case Offset.oldInterruptCause: Offset.interruptCause
    case Offset.oldInterruptCauseSet: Offset.interruptCauseSet
    case Offset.oldInterruptMaskSet: Offset.interruptMaskSet
    case Offset.oldInterruptMaskClear: Offset.interruptMaskClear
    case Offset.oldInterruptAutoMask: Offset.interruptAutoMask
    default: offset
    }
  }

  public mutating func handle<NIC: NICDevice & ~Copyable>(
    _ access: RedirectedAccess, registers: RegisterFile, nic: inout NIC
  ) -> RegisterEffects {
    switch Self.canonical(access.offset) {
    case Offset.interruptCause:
      handleCause(access, registers)
      return .interrupts
    case Offset.vectorCause where !access.isWrite:
      interrupts.clearVectors(UInt32(truncatingIfNeeded: access.value))
      storeInterruptShadows(registers)
      return .interrupts
    default: break
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
      // Registers are 32 bits wide and written as such (8.1); anything narrower has no effect.
      restoreShadows(registers)
      return .none
    }
  }

  /// ICR, at one of its places. What the read saw, or the write named, is what it clears.
  private mutating func handleCause(_ access: RedirectedAccess, _ registers: RegisterFile) {
    let remaining = interrupts.line.cause & ~UInt32(truncatingIfNeeded: access.value)
    if access.isWrite { interrupts.clear(remaining: remaining) } else { interrupts.read(remaining: remaining) }
    storeInterruptShadows(registers)
  }

  private mutating func write<NIC: NICDevice & ~Copyable>(
    _ given: UInt32, _ value: UInt32, registers: RegisterFile, nic: inout NIC
  ) -> RegisterEffects {
    let offset = Self.canonical(given)
    switch offset {
    case Offset.control: return writeControl(value, registers: registers, nic: &nic)
    case Offset.receiveControl: return writeReceiveControl(value, nic: &nic)
    case Offset.transmitControl: return writeTransmitControl(value, nic: &nic)
    // TIPG and what else lies between Transmit Control and the old places of the transmit queue.
    case (Offset.transmitControl + 4)..<0x0420:
      nic.write(offset, value)
      return .none
    case Offset.poolOffloads..<(Offset.poolOffloads + 0x20):
      let pool = Int(offset - Offset.poolOffloads) / 4
      poolOffloads[pool] = value
      writePoolOffloads(pool, to: &nic)
      return .none
    // Between the queues of the two directions.
    case (Offset.receiveQueue + 0x400)..<Offset.transmitQueue:
      registers.store(0 as UInt32, at: offset & ~3)
      return .none
    default: break
    }
    if interrupts.write(offset, value) {
      storeInterruptShadows(registers)
      return .interrupts
    }
    let (receives, transmits) = (isReceiveEnabled, isTransmitEnabled)
    let effects = queues.write(
      offset, value, layout: Self.layout, isEnabled: { $0 ? transmits : receives }, registers: registers)
    // What is no register has no effect.
    return effects ?? .none
  }

  private mutating func writeControl<NIC: NICDevice & ~Copyable>(
    _ value: UInt32, registers: RegisterFile, nic: inout NIC
  ) -> RegisterEffects {
    nic.write(Offset.control, value)
    guard value & IGBBits.reset != 0 else {
      readControl(registers: registers, nic: &nic)
      return .none
    }
    // A reset takes queues, interrupts and their enables with it (4.2.1.5).
    let effects = RegisterEffects(
      receiveQueues: queues.receiveQueues, transmitQueues: queues.transmitQueues, interrupts: true)
    interrupts.reset()
    queues = IGBQueues(enablesFirst: true)
    receiveControl = 0
    transmitControl = 0
    readPoolOffloads(from: &nic)
    restoreShadows(registers)
    readControl(registers: registers, nic: &nic)
    return effects
  }

  private mutating func readPoolOffloads<NIC: NICDevice & ~Copyable>(from nic: inout NIC) {
    for pool in 0..<8 { poolOffloads[pool] = nic.read(Offset.poolOffloads + 4 * UInt32(pool)) }
  }

  /// Writes a pool's settings, with RCTL's choice about frame check sequences.
  private func writePoolOffloads<NIC: NICDevice & ~Copyable>(_ pool: Int, to nic: inout NIC) {
    let mayStrip = receiveControl & IGBBits.stripCRC != 0
    nic.write(
      Offset.poolOffloads + 4 * UInt32(pool), poolOffloads[pool] & (mayStrip ? .max : ~IGBBits.poolStripsCRC))
  }

  private mutating func writeReceiveControl<NIC: NICDevice & ~Copyable>(
    _ value: UInt32, nic: inout NIC
  ) -> RegisterEffects {
    let changed = receiveControl ^ value
    let isSame = changed & (IGBBits.enable | IGBBits.stripCRC | 3 << 16) == 0
    receiveControl = value
    if changed & IGBBits.stripCRC != 0 { for pool in 0..<8 { writePoolOffloads(pool, to: &nic) } }
    let wasChanging = queues.endReceiveChanges()
    // Filters and the like; with a queue it takes effect when that starts anew.
    let used = queues.receiveQueues
    guard isSame && !wasChanging || used.isEmpty else { return RegisterEffects(receiveQueues: used) }
    writeControls(to: &nic)
    return .none
  }

  private mutating func writeTransmitControl<NIC: NICDevice & ~Copyable>(
    _ value: UInt32, nic: inout NIC
  ) -> RegisterEffects {
    let isSame = (transmitControl ^ value) & IGBBits.enable == 0
    transmitControl = value
    let wasChanging = queues.endTransmitChanges()
    let used = queues.transmitQueues
    guard isSame && !wasChanging || used.isEmpty else { return RegisterEffects(transmitQueues: used) }
    writeControls(to: &nic)
    return .none
  }

  // MARK: - Shadow copies

  public mutating func attach<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) {
    readPoolOffloads(from: &nic)
    restoreShadows(registers)
    readControl(registers: registers, nic: &nic)
    for offset in stride(from: Offset.transmitControl + 4, to: 0x0420, by: 4) {
      registers.store(nic.read(offset), at: offset)
    }
    // The NIC reports to us alone, by one vector, and only once there is a queue. At their old places its registers are on
    // every implementation.
    nic.write(Offset.oldInterruptMaskClear, .max)
    nic.write(Offset.vectorMaskClear, .max)
    nic.write(Offset.generalInterrupts, 0)
  }

  private func readControl<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) {
    let control = nic.read(Offset.control)
    registers.store(control, at: Offset.control)
    registers.store(control, at: Offset.control + 4)
  }

  private func restoreShadows(_ registers: RegisterFile) {
    storeInterruptShadows(registers)
    registers.store(interrupts.general, at: Offset.generalInterrupts)
    for index in 0..<8 { registers.store(interrupts.vectors[index], at: Offset.vectors + 4 * UInt32(index)) }
    registers.store(interrupts.otherVectors, at: Offset.otherVectors)
    registers.store(receiveControl, at: Offset.receiveControl)
    registers.store(transmitControl, at: Offset.transmitControl)
    for pool in 0..<8 { registers.store(poolOffloads[pool], at: Offset.poolOffloads + 4 * UInt32(pool)) }
    queues.storeShadows(layout: Self.layout, registers)
  }

  private func storeInterruptShadows(_ registers: RegisterFile) {
    interrupts.storeShadows(registers)
    registers.store(interrupts.causeRegister, at: Offset.oldInterruptCause)
    registers.store(interrupts.line.cause, at: Offset.oldInterruptCauseSet)
    registers.store(interrupts.line.mask, at: Offset.oldInterruptMaskSet)
    registers.store(0 as UInt32, at: Offset.oldInterruptMaskClear)
    registers.store(interrupts.autoMask, at: Offset.oldInterruptAutoMask)
  }

  // MARK: - The real NIC

  /// Writes RCTL and TCTL as the OS has them, enabled only while there is a DPI queue.
  private func writeControls<NIC: NICDevice & ~Copyable>(to nic: inout NIC) {
    nic.write(
      Offset.receiveControl, receiveControl & ~IGBBits.enable | (queues.receives ? IGBBits.enable : 0))
    nic.write(
      Offset.transmitControl, transmitControl & ~IGBBits.enable | (queues.transmits ? IGBBits.enable : 0))
  }

  public mutating func startReceive<NIC: NICDevice & ~Copyable>(_ queue: Int, on twin: DescriptorQueue, nic: inout NIC)
  {
    queues.startReceive(queue, on: twin, layout: Self.layout, nic: &nic)
    writeControls(to: &nic)
    nic.write(Offset.oldInterruptMaskSet, IGBBits.wantedCauses)
  }

  public mutating func stopReceive<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC) {
    queues.stopReceive(queue, layout: Self.layout, nic: &nic)
    writeControls(to: &nic)
  }

  public func setReceiveTail<NIC: NICDevice & ~Copyable>(_ queue: Int, _ tail: UInt32, nic: inout NIC) {
    nic.write(Self.layout.first(queue, isTransmit: false) + 0x18, tail)
  }

  public mutating func startTransmit<NIC: NICDevice & ~Copyable>(
    _ queue: Int, on twin: DescriptorQueue, nic: inout NIC
  ) {
    queues.startTransmit(queue, on: twin, layout: Self.layout, nic: &nic)
    writeControls(to: &nic)
    nic.write(Offset.oldInterruptMaskSet, IGBBits.wantedCauses)
  }

  public mutating func stopTransmit<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC) {
    queues.stopTransmit(queue, layout: Self.layout, nic: &nic)
    writeControls(to: &nic)
  }

  public func setTransmitTail<NIC: NICDevice & ~Copyable>(_ queue: Int, _ tail: UInt32, nic: inout NIC) {
    nic.write(Self.layout.first(queue, isTransmit: true) + 0x18, tail)
  }

  public mutating func takeInterrupt<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) -> Bool {
    let cause = nic.read(Offset.oldInterruptCause) & IGBBits.allCauses
    let others = cause & ~IGBBits.queueCauses
    if others != 0 {
      interrupts.raise(others)
      storeInterruptShadows(registers)
    }
    return cause != 0
  }

  // MARK: - What the OS hears

  public mutating func notePublished(_ queue: Int, head: UInt32, descriptors: UInt32, registers: RegisterFile) {
    queues.setReceiveHead(queue, head, layout: Self.layout, registers)
    interrupts.raise(queue: queue, isTransmit: false)
    storeInterruptShadows(registers)
  }

  public mutating func noteTransmitted(
    _ queue: Int, head: UInt32, _ completions: TransmitCompletions, registers: RegisterFile
  ) {
    queues.setTransmitHead(queue, head, layout: Self.layout, registers)
    guard completions.isReported else { return }
    interrupts.raise(queue: queue, isTransmit: true)
    storeInterruptShadows(registers)
  }

  public mutating func takeOSInterrupts(
    at now: UInt64, by delivery: InterruptDelivery, registers: RegisterFile
  ) -> NICInterrupts {
    let taken = interrupts.take(at: now)
    // What cleared or masked itself.
    if taken.messages != 0 { storeInterruptShadows(registers) }
    return taken
  }

  public mutating func repeatOSInterrupts() { interrupts.repeatMessages() }

  public var nextOSInterrupt: UInt64? { interrupts.nextInterrupt }
}
