public import AllyHW
public import AllyRings

/// The driver module: what the NIC's registers mean, and how it is pointed at the queues in DPI memory.
public struct MinimalDriver: NICDriver {
  public typealias OSReceive = MinimalDescriptor
  public typealias OSTransmit = MinimalDescriptor

  // The registers, by offset; those of a ring lie one behind the other.
  public static let reset: UInt32 = 0x00
  public static let cause: UInt32 = 0x04
  public static let mask: UInt32 = 0x08
  public static let receiveRing = RingRegisters.Layout(
    base: 0x40, length: 0x48, head: 0x4C, tail: 0x50, control: 0x54, enable: 1)
  public static let transmitRing = RingRegisters.Layout(
    base: 0x80, length: 0x88, head: 0x8C, tail: 0x90, control: 0x94, enable: 1)
  // Bits of the cause and mask registers.
  public static let received: UInt32 = 1 << 0
  public static let sent: UInt32 = 1 << 1
  public static let linkChanged: UInt32 = 1 << 2

  /// All other registers (the station address, statistics) pass through.
  public static var registers: [RegisterRange] {
    [
      RegisterRange(offset: reset, length: 4, disposition: .redirect),
      RegisterRange(offset: cause, length: 4, disposition: .redirect, clearsOnRead: true),
      RegisterRange(offset: mask, length: 4, disposition: .redirect),
      // Both rings.
      RegisterRange(offset: 0x40, length: 0x58, disposition: .redirect),
    ]
  }
  public static var receiveDrop: ReceiveDropAppearance { .errorCompletion }
  public static var queueRules: QueueRules { QueueRules(baseAlignment: 16, lengthMultiple: 16) }

  private var interrupts = InterruptMimic()
  private var receive = RingRegisters(Self.receiveRing)
  private var transmit = RingRegisters(Self.transmitRing)

  public init() {}
  public func receiveQueue(_ queue: Int) -> ProgrammedQueue { receive.programmed(bufferLength: 2048) }
  public func transmitQueue(_ queue: Int) -> ProgrammedQueue { transmit.programmed() }

  // MARK: What the OS does to registers

  public mutating func handle<NIC: NICDevice & ~Copyable>(
    _ access: RedirectedAccess, registers: RegisterFile, nic: inout NIC
  ) -> RegisterEffects {
    if access.offset == Self.cause {
      // The shadow has been cleared; what is left the OS has not seen.
      interrupts.acknowledge(remaining: UInt32(truncatingIfNeeded: registers.load(Self.cause)))
      return .interrupts
    }
    // The shadows are to say what the NIC would have made of it; causes the OS clears while accesses wait.
    defer { restoreShadows(registers) }
    return access.forEachDoubleWord { offset, value in write(offset, value, registers) }
  }

  private mutating func write(_ offset: UInt32, _ value: UInt32, _ registers: RegisterFile) -> RegisterEffects {
    if offset == Self.reset, value & 1 != 0 {
      self = MinimalDriver()
      registers.store(0, at: Self.cause)
      return RegisterEffects(receiveQueues: QueueSet(0), transmitQueues: QueueSet(0), interrupts: true)
    }
    if offset == Self.mask {
      interrupts.disable(~value)
      interrupts.enable(value)
      return .interrupts
    }
    return receive.write(offset, value).ofReceiveQueue(0).union(transmit.write(offset, value).ofTransmitQueue(0))
  }

  private func restoreShadows(_ registers: RegisterFile) {
    registers.store(0, at: Self.reset)
    registers.store(UInt64(interrupts.mask), at: Self.mask)
    receive.storeShadows(registers)
    transmit.storeShadows(registers)
  }

  // MARK: The real NIC

  public mutating func attach<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) {
    nic.write(Self.reset, 1)
    // The NIC reports to us alone.
    nic.write(Self.mask, Self.received | Self.sent | Self.linkChanged)
    registers.store(0, at: Self.cause)
    restoreShadows(registers)
  }
  public mutating func startReceive<NIC: NICDevice & ~Copyable>(_ queue: Int, on twin: DescriptorQueue, nic: inout NIC)
  { receive.start(on: twin, stride: 16, nic: &nic) }
  public mutating func stopReceive<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC) { receive.stop(nic: &nic) }
  public func setReceiveTail<NIC: NICDevice & ~Copyable>(_ queue: Int, _ tail: UInt32, nic: inout NIC) {
    receive.setTail(tail, nic: &nic)
  }
  public mutating func startTransmit<NIC: NICDevice & ~Copyable>(_ queue: Int, on twin: DescriptorQueue, nic: inout NIC)
  { transmit.start(on: twin, stride: 16, nic: &nic) }
  public mutating func stopTransmit<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC) {
    transmit.stop(nic: &nic)
  }
  public func setTransmitTail<NIC: NICDevice & ~Copyable>(_ queue: Int, _ tail: UInt32, nic: inout NIC) {
    transmit.setTail(tail, nic: &nic)
  }
  public mutating func takeInterrupt<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) -> Bool {
    let causes = nic.read(Self.cause)
    raise(causes & Self.linkChanged, registers)
    return causes != 0
  }

  // MARK: What the OS hears

  private mutating func raise(_ causes: UInt32, _ registers: RegisterFile) {
    interrupts.add(cause: causes)
    registers.set(causes, at: Self.cause)
  }
  public mutating func notePublished(_ queue: Int, head: UInt32, descriptors: UInt32, registers: RegisterFile) {
    receive.setHead(head, registers: registers)
    raise(Self.received, registers)
  }
  public mutating func noteTransmitted(
    _ queue: Int, head: UInt32, _ completions: TransmitCompletions, registers: RegisterFile
  ) {
    transmit.setHead(head, registers: registers)
    if completions.isReported { raise(Self.sent, registers) }
  }
  public mutating func takeOSInterrupts(
    at now: UInt64, by delivery: InterruptDelivery, registers: RegisterFile
  ) -> NICInterrupts { interrupts.takeInterrupts(at: now) }
  public var nextOSInterrupt: UInt64? { interrupts.nextInterrupt }
}
