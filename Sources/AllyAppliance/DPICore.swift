public import AllyHW
public import AllyPacket
public import AllyRings

/// What a DPI core counted for one NIC: what the paper's Table 2 counts, besides instructions.
public struct DPICoreCounters: Sendable, BitwiseCopyable, Equatable {
  /// Redirected accesses of OS cores that it handled.
  public var registerAccesses: UInt64 = 0
  /// Interrupts of the NIC that it took.
  public var nicInterrupts: UInt64 = 0
  /// IPIs that it sent to an OS core in the NIC's place.
  public var osInterrupts: UInt64 = 0
  /// Passes over the queues.
  public var passes: UInt64 = 0
  /// Its own reads of the NIC's registers, each of which waits for the NIC.
  public var nicReads: UInt64 = 0
  /// Its own writes to the NIC's registers.
  public var nicWrites: UInt64 = 0
  /// Bytes of descriptors that it moved between OS queues and DPI queues.
  public var descriptorBytes: UInt64 = 0
  /// Bytes of register accesses, redirected and its own.
  public var registerBytes: UInt64 = 0

  /// What was counted since `earlier`.
  public func since(_ earlier: DPICoreCounters) -> DPICoreCounters {
    var difference = DPICoreCounters()
    difference.registerAccesses = registerAccesses &- earlier.registerAccesses
    difference.nicInterrupts = nicInterrupts &- earlier.nicInterrupts
    difference.osInterrupts = osInterrupts &- earlier.osInterrupts
    difference.passes = passes &- earlier.passes
    difference.nicReads = nicReads &- earlier.nicReads
    difference.nicWrites = nicWrites &- earlier.nicWrites
    difference.descriptorBytes = descriptorBytes &- earlier.descriptorBytes
    difference.registerBytes = registerBytes &- earlier.registerBytes
    return difference
  }

  /// Interrupts that it took or sent.
  public var interrupts: UInt64 { nicInterrupts &+ osInterrupts }

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

  /// Takes the NIC up after a core that died: `virtualizer` is one that resumes, and what that core had not handled yet is in
  /// the log.
  public mutating func resume<NIC: NICDevice & ~Copyable>(memory: borrowing PhysicalMemory, nic: inout NIC) {
    virtualizer.resume(on: &nic)
    handleAccesses(memory: memory, nic: &nic)
  }

  /// Handles the redirected accesses that wait, oldest first; what the IPI about an access calls for.
  ///
  /// Each is taken out of the log after it was handled, so that none is lost with a core that dies. Bounded by the log's
  /// capacity, however fast OS cores append.
  public mutating func handleAccesses<NIC: NICDevice & ~Copyable>(
    memory: borrowing PhysicalMemory, nic: inout NIC
  ) {
    counting(&nic) { core, nic in
      for _ in 0..<core.accesses.capacity {
        guard let access = core.accesses.first else { return }
        core.counters.registerAccesses &+= 1
        core.counters.registerBytes &+= access.width.byteCount
        core.virtualizer.handle(access, memory: memory, registers: core.registers, nic: &nic)
        core.accesses.removeFirst()
      }
    }
  }

  /// Counts what the body does to the NIC.
  private mutating func counting<NIC: NICDevice & ~Copyable>(
    _ nic: inout NIC, _ body: (inout Self, inout CountedNIC<NIC>) -> Void
  ) {
    unsafe withUnsafeMutablePointer(to: &nic) { place in
      var counted = unsafe CountedNIC(place)
      body(&self, &counted)
      counters.nicReads &+= counted.reads
      counters.nicWrites &+= counted.writes
      counters.registerBytes &+= counted.bytes
    }
  }

  /// Acknowledges an interrupt of the NIC, which the Interrupt Unit redirected here.
  public mutating func takeInterrupt<NIC: NICDevice & ~Copyable>(nic: inout NIC) {
    counting(&nic) { core, nic in
      if core.virtualizer.takeInterrupt(registers: core.registers, nic: &nic) { core.counters.nicInterrupts &+= 1 }
    }
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
    counting(&nic) { core, nic in
      for queue in 0..<core.virtualizer.queuePairs {
        let result = core.virtualizer.service(
          queue: queue, inspecting: &inspector, receiveClock: &receiveClock, transmitClock: &transmitClock,
          memory: memory, registers: core.registers, nic: &nic)
        core.counters.descriptorBytes &+= result.descriptorBytes
        hasMoved = hasMoved || result.hasMoved
      }
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

extension DPICore where Virtualizer: ~Copyable {
  /// Tells NIC and OS what the pass of a queue pair's own core did; see `RingVirtualizer.worker(for:)`.
  public mutating func report<Driver: NICDriver, NIC: NICDevice & ~Copyable>(
    _ report: QueueReport, nic: inout NIC
  ) where Virtualizer == RingVirtualizer<Driver> {
    counters.descriptorBytes &+= report.result.descriptorBytes
    counting(&nic) { core, nic in core.virtualizer.report(report, registers: core.registers, nic: &nic) }
  }
}
