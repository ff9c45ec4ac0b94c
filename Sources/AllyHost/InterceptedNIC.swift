public import AllyAppliance
internal import AllyDeviceModels
public import AllyHW
public import AllyPacket
public import AllyRings

/// A NIC with Ally between it and its guest, as the machine is today: the guest's register accesses come as messages,
/// which stands for the MMU's redirection and the IPI (paper §4.3, Figure 3), and memory is shared.
///
/// The Remapping Table, the shadow registers, the access log and the DPI core's software are those of the simulated
/// machine; only what is around them differs. One thread owns it.
public struct InterceptedNIC<
  Virtualizer: NICVirtualizer & ~Copyable, NIC: HostedNIC & ~Copyable
>: ~Copyable {
  /// The guest's memory and DPI memory, as the NIC's DMA reaches them.
  public var bus: HostBus
  public var nic: NIC
  public private(set) var dpi: DPICore<Virtualizer>
  private var remapping: RemappingTable
  private let arena: Arena
  /// What queues started before the last ``reset()`` counted.
  private var before = InterceptionCounters()
  private let settings: InterceptionSettings
  /// Where it is noted what a read takes away, of a NIC that outlives its worker, and the message that reads.
  var reads: (records: KeptRecords, message: UInt64)?

  /// How well frames are protected.
  public var protection: PacketProtection { settings.protection }

  private static var requester: RequesterID { RequesterID(bus: 0, device: 0, function: 0) }
  private static var core: LocalAPICID { LocalAPICID(1) }
  /// Nanoseconds for which a completed frame's arrival is remembered while nothing moves.
  private static var patience: UInt64 { 2_000_000_000 }

  /// Takes the NIC over.
  ///
  /// - Parameters:
  ///   - nic: the NIC, as after power-on.
  ///   - memory: what the NIC's DMA and the guest reach; `dpiMemory` in it is DPI memory, which the guest does not name.
  ///   - dpiMemory: at least ``requiredMemory(_:)`` bytes, at a multiple of 4,096, in one segment.
  ///   - settings: limits and protection.
  public init(
    _ nic: consuming NIC, memory: consuming PhysicalMemory, dpiMemory: DPIRegion, settings: InterceptionSettings
  ) throws(HostError) {
    let arena = Arena(dpiMemory, settings)
    guard dpiMemory.length >= Self.requiredMemory(settings) else {
      throw HostError("\(dpiMemory.length) bytes of DPI memory; expected \(Self.requiredMemory(settings))")
    }
    guard var table = unsafe RemappingTable(at: arena.table, in: memory),
      let registers = unsafe RegisterFile(at: arena.registers, length: Arena.registerLength, in: memory),
      let log = unsafe AccessLog(at: arena.log, capacity: settings.accessLogCapacity, in: memory)
    else { throw HostError("DPI memory is not mapped in one piece, or not aligned to a page") }
    let device = InterceptedDevice(
      requester: Self.requester, registerBase: PhysicalAddress(0), registers: registers, log: log, core: Self.core,
      vector: 0)
    do {
      try table.intercept(device, ranges: Virtualizer.registers)
      let virtualizer = try Virtualizer(
        region: arena.rings, memory: memory, partition: arena.partition, limits: settings.limits,
        protection: settings.protection, start: .fresh)
      dpi = DPICore(virtualizer: virtualizer, registers: registers, accesses: log)
    } catch {
      throw HostError("the NIC cannot be intercepted: \(error)")
    }
    self.remapping = table
    self.bus = HostBus(memory: memory)
    self.nic = nic
    self.arena = arena
    self.settings = settings
    dpi.attach(nic: &self.nic)
  }

  /// How many bytes of DPI memory it takes, a multiple of 4,096.
  public static func requiredMemory(_ settings: InterceptionSettings) -> UInt64 {
    Arena(DPIRegion(base: PhysicalAddress(0), length: .max >> 1), settings).rings.base.rawValue
      + (Virtualizer.requiredMemory(limits: settings.limits) + 0xFFF) & ~0xFFF
  }

  // MARK: - The guest's register accesses

  /// The guest reads a register.
  public mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 {
    let address = PhysicalAddress(UInt64(offset))
    guard let row = remapping.row(at: address, length: width.byteCount) else {
      return nic.readRegister(offset, width: width)
    }
    // What a worker read away that died before it could answer, and what this one is about to.
    var causes: UInt64 = 0
    if let reads, remapping.row(row).clearsOnRead {
      causes = reads.records.causesRead(by: reads.message) & width.mask
      reads.records.note(causes: causes | dpi.registers.load(offset, width: width), readBy: reads.message)
    }
    // Once more when the log was full: the DPI core has emptied it.
    for _ in 0..<2 {
      guard case .done(let value, let notify) = remapping.load(address, width: width, row: row) else {
        handleAccesses()
        continue
      }
      if notify { handleAccesses() }
      return value | causes
    }
    return width.mask
  }

  /// The guest writes a register.
  public mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    let address = PhysicalAddress(UInt64(offset))
    guard let row = remapping.row(at: address, length: width.byteCount) else {
      return nic.writeRegister(offset, value: value, width: width)
    }
    for _ in 0..<2 {
      guard case .done(_, let notify) = remapping.store(value, at: address, width: width, row: row) else {
        handleAccesses()
        continue
      }
      if notify { handleAccesses() }
      return
    }
  }

  private mutating func handleAccesses() { dpi.handleAccesses(memory: bus.memory, nic: &nic) }

  // MARK: - The DPI core's turn

  /// Lets the NIC work and makes one pass over the queues, each frame inspected on its way.
  ///
  /// - Parameters:
  ///   - inspector: what is asked about each frame.
  ///   - frames: the most frames that the NIC moves in each direction.
  ///   - now: nanoseconds of a clock that does not run backwards.
  /// - Returns: whether anything moved.
  @discardableResult
  public mutating func work<Inspector: PacketInspector & ~Copyable>(
    inspecting inspector: inout Inspector, frames: Int = 64, at now: UInt64
  ) -> Bool {
    var clock = nic.clock
    clock.readTime()
    let moved = nic.work(on: &bus, frames: frames, at: now)
    DeathPoint.reach(.beforePass)
    if nic.assertsInterrupt() { dpi.takeInterrupt(nic: &nic) }
    var sending = clock.forSending
    let passed = dpi.pass(
      inspecting: &inspector, receiveClock: &clock, transmitClock: &sending, memory: bus.memory, nic: &nic)
    if !moved, !passed { clock.forgetCompleted(before: clock.time &- Self.patience) }
    DeathPoint.reach(.afterPass)
    return moved || passed
  }

  /// Lends the virtualizer.
  public mutating func withVirtualizer<Result>(_ body: (inout Virtualizer) -> Result) -> Result {
    body(&dpi.virtualizer)
  }

  // MARK: - The interrupts that the guest sees

  /// What the guest is to hear now; see `NICVirtualizer.takeOSInterrupts(at:by:registers:)`. Asked after each access and after
  /// each ``work(inspecting:frames:at:)``.
  public mutating func takeInterrupts(at now: UInt64, by delivery: InterruptDelivery) -> NICInterrupts {
    dpi.takeOSInterrupts(at: now, by: delivery)
  }

  /// When there is something to do without anything else happening, in the nanoseconds of ``work(inspecting:frames:at:)``; nil
  /// when there is not.
  public var nextTimer: UInt64? {
    guard let interrupt = dpi.virtualizer.nextOSInterrupt else { return nic.nextTimer }
    return min(interrupt, nic.nextTimer ?? .max)
  }

  // MARK: - Reset

  /// A hardware reset of NIC and interception: queues are gone, registers are as after power-on. Counters go on.
  public mutating func reset() {
    let redirections = before
    before = counters
    // The Remapping Table goes on counting.
    before.redirections = redirections.redirections
    before.denied = redirections.denied
    nic.reset()
    nic.clock.forgetCompleted()
    // What could fail here has succeeded in `init` with the same memory and the same limits.
    if let virtualizer = try? Virtualizer(
      region: arena.rings, memory: bus.memory, partition: arena.partition, limits: settings.limits,
      protection: settings.protection, start: .fresh)
    {
      while dpi.accesses.removeFirst() != nil {}
      dpi = DPICore(virtualizer: virtualizer, registers: dpi.registers, accesses: dpi.accesses)
    }
    dpi.attach(nic: &nic)
  }

  // MARK: - Surviving

  /// Has the NIC go on where a worker died.
  mutating func restoreNIC() where NIC: PersistentNIC { nic.restore(on: &bus) }

  /// Goes on where a worker died: DPI memory is as that one left it, the NIC was restored, and the guest's memory is mapped.
  mutating func resume(at now: UInt64) throws(HostError) {
    do {
      let virtualizer = try Virtualizer(
        region: arena.rings, memory: bus.memory, partition: arena.partition, limits: settings.limits,
        protection: settings.protection, start: .resuming)
      dpi = DPICore(virtualizer: virtualizer, registers: dpi.registers, accesses: dpi.accesses)
    } catch {
      throw HostError("what a worker left cannot be taken up: \(error)")
    }
    // First the NIC ends what it had begun: completed descriptors of which it knows nothing must not be looked at.
    _ = nic.work(on: &bus, frames: 1, at: now)
    dpi.resume(memory: bus.memory, nic: &nic)
  }

  /// What of the counters is in no queue: DPI memory has those.
  mutating func exchangeCounters(with record: inout StateRecord) {
    guard !record.isRestoring else { return record.exchange(&before) }
    var counters = before
    counters.core.add(dpi.counters)
    counters.redirections = counters.redirections &+ remapping.counters.loads &+ remapping.counters.stores
    counters.denied = counters.denied &+ remapping.counters.denied
    record.exchange(&counters)
  }

  // MARK: - Counters

  /// What happened since the beginning, resets included.
  public var counters: InterceptionCounters {
    var counters = before
    counters.core.add(dpi.counters)
    for queue in 0..<dpi.virtualizer.queuePairs {
      let pair = dpi.virtualizer.counters(queue: queue)
      counters.receive.add(pair.receive)
      counters.transmit.add(pair.transmit)
    }
    let redirections = remapping.counters
    counters.redirections = counters.redirections &+ redirections.loads &+ redirections.stores
    counters.denied = counters.denied &+ redirections.denied
    return counters
  }
}

/// How a NIC is intercepted.
public struct InterceptionSettings: Sendable {
  public var limits: RingLimits
  public var protection: PacketProtection
  /// How many redirected accesses may wait; a power of two.
  public var accessLogCapacity: Int

  /// For a guest that one does not trust: frames are copied, 8 MiB each way.
  public init(
    limits: RingLimits = RingLimits(copyMemory: 8 << 20), protection: PacketProtection = .copyToDPIMemory,
    accessLogCapacity: Int = 256
  ) {
    self.limits = limits
    self.protection = protection
    self.accessLogCapacity = accessLogCapacity
  }
}

/// What an ``InterceptedNIC`` counted.
public struct InterceptionCounters: Sendable, BitwiseCopyable {
  public var core = DPICoreCounters()
  public var receive = QueueCounters()
  public var transmit = QueueCounters()
  /// The guest's accesses that the Remapping Table redirected, and those that it denied.
  public var redirections: UInt64 = 0
  public var denied: UInt64 = 0

  public init() {}
}

extension DPICoreCounters {
  fileprivate mutating func add(_ other: DPICoreCounters) {
    registerAccesses &+= other.registerAccesses
    nicInterrupts &+= other.nicInterrupts
    osInterrupts &+= other.osInterrupts
    passes &+= other.passes
    nicReads &+= other.nicReads
    nicWrites &+= other.nicWrites
    descriptorBytes &+= other.descriptorBytes
    registerBytes &+= other.registerBytes
  }
}

extension QueueCounters {
  fileprivate mutating func add(_ other: QueueCounters) {
    accepted &+= other.accepted
    dropped &+= other.dropped
    rejected &+= other.rejected
    replaced &+= other.replaced
    injected &+= other.injected
    faulted &+= other.faulted
    copiedBytes &+= other.copiedBytes
    highWater = max(highWater, other.highWater)
    faults.add(other.faults)
  }
}

/// What is where in DPI memory: the Remapping Table, the shadow registers, the access log, the queue pair.
private struct Arena: Sendable {
  static var registerLength: UInt32 { 0x1_0000 }

  let region: DPIRegion
  let logLength: UInt64

  init(_ region: DPIRegion, _ settings: InterceptionSettings) {
    self.region = region
    logLength = (UInt64(AccessLog.byteCount(capacity: settings.accessLogCapacity)) + 0xFFF) & ~0xFFF
  }

  var partition: Partition { Partition(boundary: region.base, end: region.base.advanced(by: region.length)) }
  var table: PhysicalAddress { region.base }
  var registers: PhysicalAddress { region.base.advanced(by: 0x1000) }
  var log: PhysicalAddress { registers.advanced(by: UInt64(Self.registerLength)) }
  var rings: DPIRegion {
    let base = log.advanced(by: logLength)
    return DPIRegion(base: base, length: region.length &- (base.rawValue &- region.base.rawValue))
  }
}
