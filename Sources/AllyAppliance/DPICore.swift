public import AllyHW
public import AllyPacket
public import AllyRings

/// What a DPI core counted for one NIC.
public struct DPICoreCounters: Sendable, BitwiseCopyable, Equatable {
  /// Redirected accesses of OS cores that it handled.
  public var registerAccesses: UInt64 = 0
  /// Interrupts of the NIC that it took.
  public var nicInterrupts: UInt64 = 0
  /// IPIs that it sent to an OS core in the NIC's place.
  public var osInterrupts: UInt64 = 0
  /// Passes over the queues.
  public var passes: UInt64 = 0

  public init() {}
}

/// The software of one DPI core for one NIC: run to completion, from the interrupt to the last verdict (paper §4.3).
///
/// Whoever owns the machine calls it: a simulated machine, a process that serves a guest, or a loop on a sequestered
/// core. What is the machine's own (memory, NIC, interrupts) is handed to each call, so that nothing here knows which
/// machine it is. Not more than one core at a time may call.
public struct DPICore<Virtualizer: NICVirtualizer & ~Copyable>: ~Copyable {
  /// The NIC as the OS sees it.
  public var virtualizer: Virtualizer
  /// Where OS cores' redirected accesses arrive.
  public let accesses: AccessLog
  /// The shadow copies that OS cores read.
  public let registers: RegisterFile
  public private(set) var counters = DPICoreCounters()

  /// - Parameters:
  ///   - virtualizer: of the NIC, fresh or resuming.
  ///   - registers: the shadow registers that the Remapping Table leads to.
  ///   - accesses: the log that it appends to.
  public init(virtualizer: consuming Virtualizer, registers: RegisterFile, accesses: AccessLog) {
    self.virtualizer = virtualizer
    self.registers = registers
    self.accesses = accesses
  }

  /// Takes the NIC over before the OS starts: the shadow registers get the values that the NIC's have after power-on.
  public mutating func attach<NIC: NICDevice & ~Copyable>(nic: inout NIC) {
    virtualizer.attach(registers: registers, nic: &nic)
  }

  /// Handles the redirected accesses that wait, oldest first; what the IPI about an access calls for.
  ///
  /// Bounded by the log's capacity, however fast OS cores append.
  public mutating func handleAccesses<NIC: NICDevice & ~Copyable>(
    memory: borrowing PhysicalMemory, nic: inout NIC
  ) {
    for _ in 0..<accesses.capacity {
      guard let access = accesses.removeFirst() else { return }
      counters.registerAccesses &+= 1
      virtualizer.handle(access, memory: memory, registers: registers, nic: &nic)
    }
  }

  /// Acknowledges an interrupt of the NIC, which the Interrupt Unit redirected here.
  public mutating func takeInterrupt<NIC: NICDevice & ~Copyable>(nic: inout NIC) {
    if virtualizer.takeInterrupt(registers: registers, nic: &nic) { counters.nicInterrupts &+= 1 }
  }

  /// One pass over all queue pairs, in both directions: what the OS posted goes to the NIC, what the NIC completed goes to
  /// the OS, each frame inspected on its way.
  ///
  /// `receiveClock` stamps the frames that come from the wire, in its order; `transmitClock` those that the OS sends.
  ///
  /// - Returns: whether anything moved.
  @discardableResult
  public mutating func pass<
    Inspector: PacketInspector & ~Copyable, ReceiveClock: FrameClock & ~Copyable,
    TransmitClock: FrameClock & ~Copyable, NIC: NICDevice & ~Copyable
  >(
    inspecting inspector: inout Inspector, receiveClock: inout ReceiveClock, transmitClock: inout TransmitClock,
    memory: borrowing PhysicalMemory, nic: inout NIC
  ) -> Bool {
    counters.passes &+= 1
    var hasMoved = false
    for queue in 0..<virtualizer.queuePairs {
      let result = virtualizer.service(
        queue: queue, inspecting: &inspector, receiveClock: &receiveClock, transmitClock: &transmitClock,
        memory: memory, registers: registers, nic: &nic)
      hasMoved = hasMoved || result.hasMoved
    }
    return hasMoved
  }

  /// What the OS is to hear now in the NIC's place; see `NICVirtualizer.takeOSInterrupts(at:by:registers:)`.
  ///
  /// - Parameters:
  ///   - now: nanoseconds of a clock that does not run backwards.
  ///   - delivery: what the OS has set in the NIC's configuration space.
  public mutating func takeOSInterrupts(at now: UInt64, by delivery: InterruptDelivery) -> NICInterrupts {
    let interrupts = virtualizer.takeOSInterrupts(at: now, by: delivery, registers: registers)
    counters.osInterrupts &+= UInt64(interrupts.count)
    return interrupts
  }
}
