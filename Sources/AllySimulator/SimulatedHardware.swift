public import AllyAppliance
public import AllyDeviceModels
public import AllyHW
public import AllyPacket
public import AllyRings

/// The machine without its OS: northbridge, NIC on its wire, an OS core and a DPI core with its software.
///
/// To the OS's driver it is the ``OSEnvironment``: every access runs through the OS core's MMU, so that those to
/// intercepted registers end in shadow registers and an IPI. The DPI core answers IPIs about registers at once, as a
/// core does that has nothing else to do.
public struct SimulatedHardware<
  Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable
>: ~Copyable {
  public var northbridge: Northbridge
  public var nic: DeviceWindow<Model>
  public var wire: Wire<FrameStamp>
  public var os: OSMemory
  public var dpi: DPICore<Virtualizer>
  public var transmitClock = CountingClock()
  /// Nanoseconds since power-on, as far as anything has moved it.
  public private(set) var now: UInt64 = 0
  /// How the OS hears of the NIC, as it has set it in configuration space: by its pin, until its driver asks for messages.
  public var delivery = InterruptDelivery.pin
  /// Accesses of the OS core to the NIC's registers.
  public private(set) var osRegisterAccesses: UInt64 = 0

  let layout: MachineLayout
  private let partition: Partition
  /// The memory chips, which own the storage behind the northbridge's memory.
  public let dram: DRAM

  /// Powers the machine on: the firmware splits memory and cores, the DPI core takes over the NIC, the OS sets up its page
  /// tables.
  public init(layout: MachineLayout, model: consuming Model) throws(SimulatorError) {
    guard layout.osMemory > 0, layout.osMemory % (2 << 20) == 0 else {
      throw .layout("OS memory is \(layout.osMemory) bytes; expected a multiple of 2 MiB")
    }
    let shadowLength = MachineLayout.shadowLength(Virtualizer.registers)
    let end = layout.end(
      shadowLength, ringMemory: Virtualizer.requiredMemory(limits: layout.limits))
    let partition = Partition(boundary: layout.boundary, end: end)
    guard layout.boundary.rawValue >= DRAM.holeEnd || end.rawValue <= DRAM.holeStart else {
      throw .layout("DPI memory up to \(end.rawValue) reaches over the devices' addresses; expected less")
    }
    let dram = try DRAM(size: layout.memory(upTo: end))
    let memory = try MachineMemory.memory(of: dram)
    let registers = try Self.shadowRegisters(layout, shadowLength, memory)
    let accesses = try Self.accessLog(layout, shadowLength, memory)
    let remapping = try Self.remappingTable(layout, registers: registers, accesses: accesses, memory)
    let virtualizer = try Self.virtualizer(layout, shadowLength, partition, memory)
    let root = try MachineMemory.pageTables(layout, registerSpace: Self.registerSpace, memory)

    var iommu = IOMMU(partition: partition)
    iommu.attach(MachineLayout.nic, to: .identity, mayReachDPIMemory: true)
    // Registers are uncacheable whatever the OS's page tables say (the memory type range registers of a PC), so that
    // mapping them as memory does not get around the Remapping Table.
    var uncacheable = UncacheableRanges()
    guard uncacheable.add(MachineLayout.nicRegisters, length: Self.registerSpace) else {
      throw .layout("the NIC's registers are no uncacheable range")
    }
    var mmu = MMU(handler: TLBMissHandler(role: .os, partition: partition, uncacheable: uncacheable))
    mmu.pageTableRoot = root

    self.layout = layout
    self.partition = partition
    self.dram = dram
    self.northbridge = Northbridge(
      memory: memory, iommu: iommu, interrupts: Self.interruptUnit(), remapping: remapping)
    self.nic = DeviceWindow(
      model, base: MachineLayout.nicRegisters, length: Self.registerSpace)
    // Room for some of the longest frames, so that the NIC is offered batches.
    self.wire = Wire(
      transmitStamp: FrameStamp(), capacity: max(4 << 20, 4 * Int(layout.limits.maximumFrameLength)), isPaced: true)
    self.os = OSMemory(core: Core(id: MachineLayout.osCore, mmu: mmu))
    self.dpi = DPICore(virtualizer: virtualizer, registers: registers, accesses: accesses)
    self.dpi.attach(nic: &nic.device)
  }

  /// The bytes of the physical address space that the NIC's registers take: whole pages.
  private static var registerSpace: UInt64 { (Model.registerSpace + 0xFFF) & ~0xFFF }

  // What the DPI core has in DPI memory. The DRAM object keeps it mapped as long as the machine exists.

  private static func shadowRegisters(
    _ layout: MachineLayout, _ shadowLength: UInt32, _ memory: borrowing PhysicalMemory
  ) throws(SimulatorError) -> RegisterFile {
    guard
      let registers = unsafe RegisterFile(
        at: layout.shadowRegisters, length: shadowLength, in: memory)
    else { throw .layout("the shadow registers do not fit into DPI memory") }
    return registers
  }

  private static func accessLog(
    _ layout: MachineLayout, _ shadowLength: UInt32, _ memory: borrowing PhysicalMemory
  ) throws(SimulatorError) -> AccessLog {
    guard let log = unsafe AccessLog(at: layout.accessLog(shadowLength), capacity: layout.accessLogCapacity, in: memory)
    else {
      throw .layout("the access log does not fit into DPI memory")
    }
    return log
  }

  private static func remappingTable(
    _ layout: MachineLayout, registers: RegisterFile, accesses: AccessLog, _ memory: borrowing PhysicalMemory
  ) throws(SimulatorError) -> RemappingTable {
    guard var table = unsafe RemappingTable(at: layout.remappingTable, in: memory) else {
      throw .layout("the Remapping Table does not fit into DPI memory")
    }
    do {
      try table.intercept(
        InterceptedDevice(
          requester: MachineLayout.nic, registerBase: MachineLayout.nicRegisters, registers: registers,
          log: accesses, core: MachineLayout.dpiCore, vector: MachineLayout.redirectionVector),
        ranges: Virtualizer.registers)
    } catch { throw .layout("the driver's registers cannot be intercepted: \(error)") }
    return table
  }

  private static func virtualizer(
    _ layout: MachineLayout, _ shadowLength: UInt32, _ partition: Partition, _ memory: borrowing PhysicalMemory,
    start: RingStart = .fresh
  ) throws(SimulatorError) -> Virtualizer {
    let base = layout.rings(shadowLength)
    do {
      return try Virtualizer(
        region: DPIRegion(base: base, length: partition.end.rawValue - base.rawValue),
        memory: memory, partition: partition, limits: layout.limits, protection: layout.protection, start: start)
    } catch { throw .layout("the rings cannot be set up: \(error)") }
  }

  /// Pins, routes and filters: the NIC's interrupts go to the DPI core, which takes nothing else but IPIs about redirected
  /// accesses; what it sends in the NIC's place goes where the OS routed the pin.
  private static func interruptUnit() -> InterruptUnit {
    var unit = InterruptUnit(
      cores: [MachineLayout.osCore, MachineLayout.dpiCore], dpiCores: [MachineLayout.dpiCore])
    unit.connect(MachineLayout.nic, pin: MachineLayout.nicPin)
    unit.redirectInterrupts(of: MachineLayout.nic, to: MachineLayout.dpiCore, vector: MachineLayout.nicVector)
    unit.authorize(.device(MachineLayout.nic), vector: MachineLayout.nicVector, at: MachineLayout.dpiCore)
    unit.authorize(
      .redirection(MachineLayout.osCore), vector: MachineLayout.redirectionVector, at: MachineLayout.dpiCore)
    unit.route(
      pin: MachineLayout.nicPin, to: PinRoute(core: MachineLayout.osCore, vector: MachineLayout.osVector))
    return unit
  }

  // MARK: - The NIC

  /// Lets the NIC run: posted frames go to the wire, frames on the wire into its rings.
  ///
  /// - Returns: how many frames moved.
  @discardableResult
  public mutating func runNIC(frames: Int) -> Int {
    let moved = nic.device.run(on: &northbridge, wire: &wire, frames: frames)
    driveNICPin()
    return moved
  }

  /// The NIC interrupts by its pin, or by messages when it has none, whatever the OS has chosen: that goes to the DPI core.
  private mutating func driveNICPin() {
    guard nic.device.function.interruptPin == 0 else {
      let interrupts = nic.device.takeInterrupts(by: .pin)
      return northbridge.interrupts.setLevel(of: MachineLayout.nic, asserted: interrupts.isPinAsserted)
    }
    guard nic.device.takeInterrupts(by: .messageTable).messages != 0 else { return }
    northbridge.interrupts.signal(
      MessageSignaledInterrupt(core: MachineLayout.dpiCore, vector: MachineLayout.nicVector), from: MachineLayout.nic)
  }

  // MARK: - The clock

  /// Lets time pass, up to `time` nanoseconds since power-on; moderation timers run out. Not backwards.
  public mutating func advance(to time: UInt64) {
    now = max(now, time)
    nic.device.advance(to: now)
    driveNICPin()
    takeDPIInterrupts()
  }

  /// When the next timer runs out that somebody waits for; nil when none runs.
  public var nextTimer: UInt64? {
    guard let nicTimer = nic.device.nextTimer else { return dpi.virtualizer.nextOSInterrupt }
    return min(nicTimer, dpi.virtualizer.nextOSInterrupt ?? .max)
  }

  // MARK: - The DPI core

  /// Another worker goes on with what the DPI core's has left in DPI memory, as after a crash of that.
  public mutating func replaceWorker() throws(SimulatorError) {
    let shadowLength = MachineLayout.shadowLength(Virtualizer.registers)
    let virtualizer = try Self.virtualizer(layout, shadowLength, partition, northbridge.memory, start: .resuming)
    dpi = DPICore(virtualizer: virtualizer, registers: dpi.registers, accesses: dpi.accesses)
    dpi.virtualizer.resume(on: &nic.device)
  }

  /// The DPI core takes the interrupts that wait for it. Bounded: each kind is pending once at the most.
  public mutating func takeDPIInterrupts() {
    for _ in 0..<4 {
      guard let vector = northbridge.interrupts.acknowledge(at: MachineLayout.dpiCore) else { break }
      switch vector {
      case MachineLayout.redirectionVector:
        dpi.handleAccesses(memory: northbridge.memory, nic: &nic.device)
      default:
        dpi.takeInterrupt(nic: &nic.device)
      }
      driveNICPin()
      northbridge.interrupts.endInterrupt(at: MachineLayout.dpiCore)
    }
    mimicInterrupt()
  }

  /// One pass of the DPI core over the queues.
  ///
  /// - Returns: whether anything moved.
  @discardableResult
  public mutating func passDPI<Inspector: PacketInspector & ~Copyable>(inspecting inspector: inout Inspector) -> Bool {
    takeDPIInterrupts()
    let moved = dpi.pass(
      inspecting: &inspector, receiveClock: &wire.completed, transmitClock: &transmitClock,
      memory: northbridge.memory, nic: &nic.device)
    driveNICPin()
    mimicInterrupt()
    return moved
  }

  /// A queue pair's own core has made a pass; see `QueueWorker`.
  public mutating func report<Driver: NICDriver>(_ report: QueueReport)
  where Virtualizer == RingVirtualizer<Driver> {
    dpi.report(report, nic: &nic.device)
    driveNICPin()
    mimicInterrupt()
  }

  /// The machine's memory as another core sees it: cores of queue pairs run concurrently, and each looks it up for itself.
  ///
  /// It must not be used any more once the machine is gone.
  @unsafe
  public func memoryOfAnotherCore() throws(SimulatorError) -> PhysicalMemory {
    try MachineMemory.memory(of: dram)
  }

  /// Drives the pin that the OS sees, or sends the messages that it waits for, in the NIC's place.
  private mutating func mimicInterrupt() {
    let interrupts = dpi.takeOSInterrupts(at: now, by: delivery)
    guard delivery != .pin else {
      return northbridge.interrupts.mimicLevel(of: MachineLayout.nic, asserted: interrupts.isPinAsserted)
    }
    var messages = interrupts.messages
    while messages != 0 {
      let vector = UInt8(truncatingIfNeeded: messages.trailingZeroBitCount)
      messages &= messages &- 1
      northbridge.interrupts.mimic(
        MessageSignaledInterrupt(core: MachineLayout.osCore, vector: MachineLayout.osMessageVector + vector),
        of: MachineLayout.nic)
    }
  }
}

extension SimulatedHardware: OSEnvironment where Virtualizer: ~Copyable, Model: ~Copyable {
  public mutating func requestMessages(_ count: Int) -> Bool {
    guard let layout = nic.device.function.msix, count > 0, count <= layout.vectors else { return false }
    delivery = .messageTable
    return true
  }

  public mutating func readRegister(_ offset: UInt32) -> UInt32 { readRegister(offset, width: .doubleWord) }

  public mutating func writeRegister(_ offset: UInt32, _ value: UInt32) {
    writeRegister(offset, value, width: .doubleWord)
  }

  public mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt32 {
    osRegisterAccesses &+= 1
    let address = VirtualAddress(OSMemory.deviceMap &+ UInt64(offset))
    // Once more when the log was full: the DPI core has emptied it.
    for _ in 0..<2 {
      let outcome = os.core.load(address, width: width, on: &northbridge, devices: &nic)
      driveNICPin()
      takeDPIInterrupts()
      if let value = outcome.value { return UInt32(truncatingIfNeeded: value) }
    }
    return .max
  }

  public mutating func writeRegister(_ offset: UInt32, _ value: UInt32, width: RegisterWidth) {
    osRegisterAccesses &+= 1
    let address = VirtualAddress(OSMemory.deviceMap &+ UInt64(offset))
    for _ in 0..<2 {
      let outcome = os.core.store(UInt64(value), at: address, width: width, on: &northbridge, devices: &nic)
      driveNICPin()
      takeDPIInterrupts()
      if outcome.value != nil { return }
    }
  }

  public mutating func load(_ address: PhysicalAddress) -> UInt64 { os.load(address, &northbridge, &nic) }

  public mutating func store(_ value: UInt64, at address: PhysicalAddress) {
    os.store(value, at: address, &northbridge, &nic)
  }

  public mutating func read(_ address: PhysicalAddress, count: Int, into bytes: inout [UInt8]) -> Bool {
    os.read(address, count: count, into: &bytes, northbridge)
  }

  public mutating func write(_ source: RawSpan, to address: PhysicalAddress) -> Bool {
    os.write(source, to: address, northbridge)
  }
}

extension StampQueue: FrameClock where Stamp == FrameStamp {
  /// The stamp that came with the frame over the wire; ordinal 0 when the wire has none, which no frame of a wire is.
  public mutating func stamp(forFrameOf length: UInt32) -> FrameStamp {
    removeFirst() ?? FrameStamp(lengthOnWire: length)
  }
}
