public import AllyHW
public import AllyRings

/// The driver module for the 82540EM and its siblings with legacy descriptors (Intel 8254x Software Developer's Manual,
/// 317453): what their queue and interrupt registers mean, and how the real NIC is pointed at the DPI queues.
public struct E1000Driver: NICDriver {
  public typealias OSReceive = E1000ReceiveDescriptor
  public typealias NICReceive = E1000ReceiveDescriptor
  public typealias OSTransmit = E1000TransmitDescriptor
  public typealias NICTransmit = E1000TransmitDescriptor

  public static var registers: [RegisterRange] { E1000Registers.map }

  /// Errors are set in the descriptor, upon which stock drivers count a receive error and reuse the buffer.
  public static var receiveDrop: ReceiveDropAppearance { .errorCompletion }

  /// SDM 13.4.25 and 13.4.27: bases are 16-byte aligned, lengths are multiples of 128 bytes.
  public static var queueRules: QueueRules { QueueRules(baseAlignment: 16, lengthMultiple: 128) }

  public var interrupts = InterruptMimic()

  private var patience = ReportPatience()

  // The control of a queue is RCTL or TCTL.
  private var receive = IntelQueueRegisters()
  private var transmit = IntelQueueRegisters()

  private static func isEnabled(_ queue: IntelQueueRegisters) -> Bool { queue.control & E1000Bits.enable != 0 }

  public init() {
    interrupts.patientCauses = E1000Bits.transmitWrittenBack | E1000Bits.transmitQueueEmpty
  }

  public func receiveQueue(_ queue: Int) -> ProgrammedQueue {
    receive.programmed(
      isEnabled: Self.isEnabled(receive), bufferLength: IntelReceiveControl.bufferLength(receive.control),
      trailerLength: receive.control & E1000Bits.stripCRC != 0 ? 0 : 4)
  }

  public func transmitQueue(_ queue: Int) -> ProgrammedQueue {
    transmit.programmed(isEnabled: Self.isEnabled(transmit))
  }

  // MARK: - Register accesses of the OS

  public mutating func handle<NIC: NICDevice & ~Copyable>(
    _ access: RedirectedAccess, registers: RegisterFile, nic: inout NIC
  ) -> RegisterEffects {
    if access.offset == E1000Registers.interruptCause {
      // Reading has cleared the shadow, writing ones has cleared these; what is left the OS has not seen (SDM 13.4.17).
      interrupts.acknowledge(
        remaining: UInt32(truncatingIfNeeded: registers.load(E1000Registers.interruptCause)))
      return .interrupts
    }
    guard access.isWrite else { return .none }
    switch access.width {
    case .doubleWord:
      return write(
        access.offset, UInt32(truncatingIfNeeded: access.value), registers: registers, nic: &nic)
    case .quadWord:
      let low = write(
        access.offset, UInt32(truncatingIfNeeded: access.value), registers: registers, nic: &nic)
      let high = write(
        access.offset &+ 4, UInt32(truncatingIfNeeded: access.value >> 32), registers: registers, nic: &nic)
      return low.union(high)
    case .byte, .word:
      // Registers are 32 bits wide and written as such (SDM 13.1); anything narrower has no effect.
      restoreShadows(registers)
      return .none
    }
  }

  private mutating func write<NIC: NICDevice & ~Copyable>(
    _ offset: UInt32, _ value: UInt32, registers: RegisterFile, nic: inout NIC
  ) -> RegisterEffects {
    switch offset {
    case E1000Registers.control, E1000Registers.control + 4:
      return writeControl(value, registers: registers, nic: &nic)

    case E1000Registers.interruptThrottle:
      interrupts.minimumInterval = UInt64(value & 0xFFFF) * 256
      return .interrupts
    case E1000Registers.interruptCauseSet:
      raise(value & E1000Bits.allCauses, registers)
      // Write-only: reads as zero.
      registers.store(0, at: E1000Registers.interruptCauseSet)
      return .interrupts
    case E1000Registers.interruptMaskSet, E1000Registers.interruptMaskClear:
      if offset == E1000Registers.interruptMaskSet {
        interrupts.enable(value & E1000Bits.allCauses)
      } else {
        interrupts.disable(value)
      }
      registers.store(UInt64(interrupts.mask), at: E1000Registers.interruptMaskSet)
      registers.store(0, at: E1000Registers.interruptMaskClear)
      return .interrupts

    case E1000Registers.receiveControl:
      return writeReceiveControl(value, nic: &nic)
    case E1000Registers.transmitControl:
      return writeTransmitControl(value, nic: &nic)
    case E1000Registers.receiveBaseLow...E1000Registers.receiveTail:
      return Self.writeQueue(
        &receive, offset, value, first: E1000Registers.receiveBaseLow, tail: .receiveTail(0), queue: .receiveQueue(0),
        registers: registers)
    case E1000Registers.transmitBaseLow...E1000Registers.transmitTail:
      return Self.writeQueue(
        &transmit, offset, value, first: E1000Registers.transmitBaseLow, tail: .transmitTail(0),
        queue: .transmitQueue(0), registers: registers)
    case E1000Registers.transmitDelay:
      patience.isAllowed = value & 0xFFFF != 0
      return .none
    default:
      // Other delays and thresholds read as they were written, and do nothing; the 82542's registers are not there.
      return .none
    }
  }

  private mutating func writeControl<NIC: NICDevice & ~Copyable>(
    _ value: UInt32, registers: RegisterFile, nic: inout NIC
  ) -> RegisterEffects {
    nic.writeRegister(E1000Registers.control, value: UInt64(value), width: .doubleWord)
    guard value & E1000Bits.reset != 0 else {
      readControl(registers: registers, nic: &nic)
      return .none
    }
    // A reset takes queues, interrupts and their enables with it (SDM 14.5).
    interrupts.reset()
    patience = ReportPatience()
    receive = IntelQueueRegisters()
    transmit = IntelQueueRegisters()
    restoreShadows(registers)
    readControl(registers: registers, nic: &nic)
    return RegisterEffects(receiveQueues: QueueSet(0), transmitQueues: QueueSet(0), interrupts: true)
  }

  private mutating func writeReceiveControl<NIC: NICDevice & ~Copyable>(
    _ value: UInt32, nic: inout NIC
  ) -> RegisterEffects {
    let layout = E1000Bits.enable | E1000Bits.stripCRC | E1000Bits.bufferSizeExtension | 3 << 16
    let isSame = (receive.control ^ value) & layout == 0 && !receive.isChanging
    receive.control = value
    receive.isChanging = false
    if isSame {
      // Filters and the like.
      writeControls(to: &nic)
      return .none
    }
    return .receiveQueue(0)
  }

  private mutating func writeTransmitControl<NIC: NICDevice & ~Copyable>(
    _ value: UInt32, nic: inout NIC
  ) -> RegisterEffects {
    let isSame = (transmit.control ^ value) & E1000Bits.enable == 0 && !transmit.isChanging
    transmit.control = value
    transmit.isChanging = false
    if isSame {
      writeControls(to: &nic)
      return .none
    }
    return .transmitQueue(0)
  }

  private static func writeQueue(
    _ queue: inout IntelQueueRegisters, _ offset: UInt32, _ value: UInt32, first: UInt32, tail: RegisterEffects,
    queue effect: RegisterEffects, registers: RegisterFile
  ) -> RegisterEffects {
    let isEnabled = isEnabled(queue)
    switch queue.write(offset &- first, value, isEnabled: isEnabled, first: first, registers: registers) {
    case .nothing: return .none
    case .tail: return tail
    case .queue: return effect
    }
  }

  // MARK: - Shadow copies

  public mutating func attach<NIC: NICDevice & ~Copyable>(
    registers: RegisterFile, nic: inout NIC
  ) {
    restoreShadows(registers)
    readControl(registers: registers, nic: &nic)
    // The NIC reports to us alone, and only once there is a queue.
    nic.writeRegister(E1000Registers.interruptMaskClear, value: 0xFFFF_FFFF, width: .doubleWord)
  }

  private func readControl<NIC: NICDevice & ~Copyable>(
    registers: RegisterFile, nic: inout NIC
  ) {
    let control = UInt32(truncatingIfNeeded: nic.readRegister(E1000Registers.control, width: .doubleWord))
    registers.store(UInt64(control), at: E1000Registers.control)
    registers.store(UInt64(control), at: E1000Registers.control + 4)
  }

  private func restoreShadows(_ registers: RegisterFile) {
    registers.store(UInt64(interrupts.cause), at: E1000Registers.interruptCause)
    registers.store(UInt64(UInt32(clamping: interrupts.minimumInterval / 256)), at: E1000Registers.interruptThrottle)
    registers.store(UInt64(interrupts.mask), at: E1000Registers.interruptMaskSet)
    registers.store(UInt64(receive.control), at: E1000Registers.receiveControl)
    registers.store(UInt64(transmit.control), at: E1000Registers.transmitControl)
    receive.storeShadows(at: E1000Registers.receiveBaseLow, registers)
    transmit.storeShadows(at: E1000Registers.transmitBaseLow, registers)
  }

  private mutating func raise(_ bits: UInt32, _ registers: RegisterFile) {
    interrupts.add(cause: bits)
    registers.set(bits, at: E1000Registers.interruptCause)
  }

  // MARK: - The real NIC

  /// Writes RCTL and TCTL as the OS has them, enabled only while there is a DPI queue.
  private func writeControls<NIC: NICDevice & ~Copyable>(to nic: inout NIC) {
    nic.writeRegister(
      E1000Registers.receiveControl, value: UInt64(Self.effectiveControl(receive)), width: .doubleWord)
    nic.writeRegister(
      E1000Registers.transmitControl, value: UInt64(Self.effectiveControl(transmit)), width: .doubleWord)
  }

  private static func effectiveControl(_ queue: IntelQueueRegisters) -> UInt32 {
    queue.isStarted ? queue.control | E1000Bits.enable : queue.control & ~E1000Bits.enable
  }

  private static func program<NIC: NICDevice & ~Copyable>(
    _ twin: DescriptorQueue, _ descriptorLength: UInt64, first: UInt32, on nic: inout NIC
  ) {
    IntelQueueRegisters.program(twin, descriptorLength: descriptorLength, first: first, on: &nic)
    // No delay (RDTR, TIDV): the rate that the OS sees is made here.
    nic.writeRegister(first &+ 0x20, value: 0, width: .doubleWord)
  }

  public mutating func startReceive<NIC: NICDevice & ~Copyable>(_ queue: Int, on twin: DescriptorQueue, nic: inout NIC)
  {
    startReceive(on: twin, descriptorLength: 16, nic: &nic)
  }

  mutating func startReceive<NIC: NICDevice & ~Copyable>(
    on twin: DescriptorQueue, descriptorLength: UInt64, nic: inout NIC
  ) {
    Self.program(twin, descriptorLength, first: E1000Registers.receiveBaseLow, on: &nic)
    receive.isStarted = true
    writeControls(to: &nic)
    nic.writeRegister(
      E1000Registers.interruptMaskSet, value: UInt64(E1000Bits.wantedCauses), width: .doubleWord)
  }

  public mutating func stopReceive<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC) {
    receive.isStarted = false
    writeControls(to: &nic)
  }

  public func setReceiveTail<NIC: NICDevice & ~Copyable>(_ queue: Int, _ tail: UInt32, nic: inout NIC) {
    nic.writeRegister(E1000Registers.receiveTail, value: UInt64(tail), width: .doubleWord)
  }

  public mutating func startTransmit<NIC: NICDevice & ~Copyable>(_ queue: Int, on twin: DescriptorQueue, nic: inout NIC)
  {
    startTransmit(on: twin, descriptorLength: 16, nic: &nic)
  }

  mutating func startTransmit<NIC: NICDevice & ~Copyable>(
    on twin: DescriptorQueue, descriptorLength: UInt64, nic: inout NIC
  ) {
    Self.program(twin, descriptorLength, first: E1000Registers.transmitBaseLow, on: &nic)
    transmit.isStarted = true
    writeControls(to: &nic)
    nic.writeRegister(
      E1000Registers.interruptMaskSet, value: UInt64(E1000Bits.wantedCauses), width: .doubleWord)
  }

  public mutating func stopTransmit<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC) {
    transmit.isStarted = false
    writeControls(to: &nic)
  }

  public func setTransmitTail<NIC: NICDevice & ~Copyable>(_ queue: Int, _ tail: UInt32, nic: inout NIC) {
    nic.writeRegister(E1000Registers.transmitTail, value: UInt64(tail), width: .doubleWord)
  }

  public mutating func takeInterrupt<NIC: NICDevice & ~Copyable>(
    registers: RegisterFile, nic: inout NIC
  ) -> Bool {
    let cause = UInt32(
      truncatingIfNeeded: nic.readRegister(E1000Registers.interruptCause, width: .doubleWord))
    let others = cause & E1000Bits.allCauses & ~E1000Bits.queueCauses
    if others != 0 { raise(others, registers) }
    return cause != 0
  }

  // MARK: - What the OS hears

  public mutating func notePublished(_ queue: Int, head: UInt32, descriptors: UInt32, registers: RegisterFile) {
    patience.noteReceived(descriptors)
    receive.head = head
    registers.store(UInt64(head), at: E1000Registers.receiveHead)
    raise(E1000Bits.receiverTimer, registers)
  }

  public mutating func noteTransmitted(
    _ queue: Int, head: UInt32, _ completions: TransmitCompletions, registers: RegisterFile
  ) {
    patience.noteSent(completions.descriptors)
    transmit.head = head
    registers.store(UInt64(head), at: E1000Registers.transmitHead)
    var causes: UInt32 = completions.isReported ? E1000Bits.transmitWrittenBack : 0
    if completions.isEmpty { causes |= E1000Bits.transmitQueueEmpty }
    if causes != 0 { raise(causes, registers) }
  }

  public mutating func takeOSInterrupts(
    at now: UInt64, by delivery: InterruptDelivery, registers: RegisterFile
  ) -> NICInterrupts {
    interrupts.patience = patience.delay
    let taken = interrupts.takeInterrupts(at: now)
    if taken.messages != 0 { patience.noteInterrupt() }
    return taken
  }

  public mutating func repeatOSInterrupts() { interrupts.repeatInterrupt() }

  public var nextOSInterrupt: UInt64? { interrupts.nextInterrupt }
}
