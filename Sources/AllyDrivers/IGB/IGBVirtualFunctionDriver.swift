public import AllyHW
public import AllyRings

/// The driver module for a virtual function of the 82576 (82576 datasheet 7.10.2, 8.26): two queue pairs with advanced
/// descriptors and three messages, intercepted like a NIC of its own. What the function says to the physical function by its
/// mailbox passes through.
public struct IGBVirtualFunctionDriver: NICDriver {
  public typealias OSReceive = IGBReceiveDescriptor
  public typealias NICReceive = IGBReceiveDescriptor
  public typealias OSTransmit = IGBTransmitDescriptor
  public typealias NICTransmit = IGBTransmitDescriptor

  public static var registers: [RegisterRange] { IGBRegisters.virtualFunctionMap }

  /// Errors are set in the descriptor, upon which stock drivers count a receive error and reuse the buffer.
  public static var receiveDrop: ReceiveDropAppearance { .errorCompletion }

  /// 82576 datasheet 8.10.5 and 8.10.7: bases and lengths are multiples of 128 bytes.
  public static var queueRules: QueueRules { QueueRules(baseAlignment: 128, lengthMultiple: 128) }

  public static var queuePairs: Int { 2 }

  private var interrupts = Self.interruptsAfterReset
  private var queues = IGBQueues(enablesFirst: false)

  /// A virtual function has neither pin nor GPIE: its vectors are always several, and mask themselves as VTEIAM says.
  private static var interruptsAfterReset: IGBInterrupts {
    var interrupts = IGBInterrupts()
    interrupts.general = IGBBits.multipleVectors | IGBBits.messageAutoMask
    return interrupts
  }

  private typealias Offset = IGBRegisters
  private static var layout: IGBQueueLayout { .virtualFunction }
  /// The NIC's vectors as the DPI core uses them: one for the queues, one for the mailbox.
  private static var queueVector: UInt32 { 0 }
  private static var mailboxVector: UInt32 { 1 }

  public init() {}

  /// The physical function strips frame check sequences.
  public func receiveQueue(_ queue: Int) -> ProgrammedQueue {
    queues.receiveQueue(queue, isEnabled: true, bufferLength: 2048, trailerLength: 0)
  }

  public func transmitQueue(_ queue: Int) -> ProgrammedQueue { queues.transmitQueue(queue, isEnabled: true) }

  // MARK: - Register accesses of the OS

  public mutating func handle<NIC: NICDevice & ~Copyable>(
    _ access: RedirectedAccess, registers: RegisterFile, nic: inout NIC
  ) -> RegisterEffects {
    let value = UInt32(truncatingIfNeeded: access.value)
    guard access.isWrite else {
      guard access.offset == Offset.vectorCause else { return .none }
      interrupts.clearVectors(value)
      interrupts.storeVectorShadows(registers)
      return .interrupts
    }
    guard access.width == .doubleWord else {
      // Registers are 32 bits wide and written as such (8.1).
      restoreShadows(registers)
      return .none
    }
    if access.offset == Offset.control { return writeControl(value, registers: registers, nic: &nic) }
    // What the physical function alone has is not there.
    if access.offset < Offset.vectorCauseSet {
      registers.store(0 as UInt32, at: access.offset)
      return .none
    }
    // A function has three vectors.
    let isMask = access.offset < Offset.vectorThrottle
    if interrupts.write(access.offset, isMask ? value & 7 : value) {
      interrupts.storeVectorShadows(registers)
      return .interrupts
    }
    return queues.write(access.offset, value, layout: Self.layout, isEnabled: { _ in true }, registers: registers)
      ?? .none
  }

  private mutating func writeControl<NIC: NICDevice & ~Copyable>(
    _ value: UInt32, registers: RegisterFile, nic: inout NIC
  ) -> RegisterEffects {
    nic.write(Offset.control, value)
    guard value & IGBBits.reset != 0 else { return .none }
    let effects = RegisterEffects(
      receiveQueues: queues.receiveQueues, transmitQueues: queues.transmitQueues, interrupts: true)
    interrupts.reset()
    interrupts.general = Self.interruptsAfterReset.general
    queues = IGBQueues(enablesFirst: false)
    restoreShadows(registers)
    takeVectors(on: &nic)
    return effects
  }

  // MARK: - Shadow copies

  public mutating func attach<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) {
    restoreShadows(registers)
    takeVectors(on: &nic)
  }

  private func restoreShadows(_ registers: RegisterFile) {
    // RST clears itself, and there is nothing else.
    registers.store(0 as UInt32, at: Offset.control)
    registers.store(0 as UInt32, at: Offset.control + 4)
    interrupts.storeVectorShadows(registers)
    registers.store(interrupts.vectors[0], at: Offset.vectors)
    registers.store(interrupts.otherVectors, at: Offset.otherVectors)
    queues.storeShadows(layout: Self.layout, registers)
  }

  // MARK: - The real NIC

  /// The NIC reports to us alone.
  private func takeVectors<NIC: NICDevice & ~Copyable>(on nic: inout NIC) {
    let queue = Self.queueVector | 0x80
    nic.write(Offset.vectors, queue | queue << 8 | queue << 16 | queue << 24)
    nic.write(Offset.otherVectors, Self.mailboxVector | 0x80)
    nic.write(Offset.vectorAutoClear, 0)
    nic.write(Offset.vectorAutoMask, 0)
    nic.write(Offset.vectorMaskSet, 1 << Self.queueVector | 1 << Self.mailboxVector)
  }

  public mutating func startReceive<NIC: NICDevice & ~Copyable>(_ queue: Int, on twin: DescriptorQueue, nic: inout NIC)
  {
    queues.startReceive(queue, on: twin, layout: Self.layout, nic: &nic)
  }

  public mutating func stopReceive<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC) {
    queues.stopReceive(queue, layout: Self.layout, nic: &nic)
  }

  public func setReceiveTail<NIC: NICDevice & ~Copyable>(_ queue: Int, _ tail: UInt32, nic: inout NIC) {
    nic.write(Self.layout.first(queue, isTransmit: false) + 0x18, tail)
  }

  public mutating func startTransmit<NIC: NICDevice & ~Copyable>(
    _ queue: Int, on twin: DescriptorQueue, nic: inout NIC
  ) {
    queues.startTransmit(queue, on: twin, layout: Self.layout, nic: &nic)
  }

  public mutating func stopTransmit<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC) {
    queues.stopTransmit(queue, layout: Self.layout, nic: &nic)
  }

  public func setTransmitTail<NIC: NICDevice & ~Copyable>(_ queue: Int, _ tail: UInt32, nic: inout NIC) {
    nic.write(Self.layout.first(queue, isTransmit: true) + 0x18, tail)
  }

  public mutating func takeInterrupt<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) -> Bool {
    let cause = nic.read(Offset.vectorCause)
    if cause >> Self.mailboxVector & 1 == 1 {
      interrupts.raise(allocation: Self.ownVector(interrupts.otherVectors))
      interrupts.storeVectorShadows(registers)
    }
    return cause != 0
  }

  // MARK: - What the OS hears

  /// Allocations beyond the third vector are void.
  private static func ownVector(_ allocation: UInt32) -> UInt32 { allocation & 0x1F > 2 ? 0 : allocation & 0x9F }

  /// VTIVAR: a byte for receive and transmit of each queue.
  private func allocation(_ queue: Int, isTransmit: Bool) -> UInt32 {
    Self.ownVector(interrupts.vectors[0] >> (UInt32(queue) * 16 + (isTransmit ? 8 : 0)))
  }

  public mutating func notePublished(_ queue: Int, head: UInt32, descriptors: UInt32, registers: RegisterFile) {
    queues.setReceiveHead(queue, head, layout: Self.layout, registers)
    interrupts.raise(allocation: allocation(queue, isTransmit: false))
    interrupts.storeVectorShadows(registers)
  }

  public mutating func noteTransmitted(
    _ queue: Int, head: UInt32, _ completions: TransmitCompletions, registers: RegisterFile
  ) {
    queues.setTransmitHead(queue, head, layout: Self.layout, registers)
    guard completions.isReported else { return }
    interrupts.raise(allocation: allocation(queue, isTransmit: true))
    interrupts.storeVectorShadows(registers)
  }

  public mutating func takeOSInterrupts(
    at now: UInt64, by delivery: InterruptDelivery, registers: RegisterFile
  ) -> NICInterrupts {
    let taken = interrupts.take(at: now)
    // What cleared or masked itself.
    if taken.messages != 0 { interrupts.storeVectorShadows(registers) }
    return taken
  }

  public mutating func repeatOSInterrupts() { interrupts.repeatMessages() }

  public var nextOSInterrupt: UInt64? { interrupts.nextInterrupt }
}
