public import AllyHW

/// How many cores a ``SimulatedPlatform`` has of each kind, and how much memory.
public struct PlatformLayout: Sendable, Equatable {
  /// Cores of the OS, with local APIC ids from 0 on.
  public var osCores: Int
  /// Sequestered cores, with the ids that follow.
  public var dpiCores: Int
  /// Bytes of memory in all: a multiple of 2 MiB, up to 1 TiB.
  public var memory: UInt64
  /// Bytes of it that are DPI memory, the uppermost: a multiple of 2 MiB.
  public var dpiMemory: UInt64

  public init(osCores: Int = 3, dpiCores: Int = 1, memory: UInt64 = 64 << 20, dpiMemory: UInt64 = 16 << 20) {
    self.osCores = osCores
    self.dpiCores = dpiCores
    self.memory = memory
    self.dpiMemory = dpiMemory
  }

  /// Cores in all; 2 to 64.
  public var cores: Int { osCores + dpiCores }

  /// Where DPI memory is. A piece of it below 4 GiB would be cut by the devices' addresses, so it then lies above.
  public var partition: Partition {
    let boundary = DRAM.address(after: memory - dpiMemory).rawValue
    return Partition(
      boundary: PhysicalAddress(boundary), end: PhysicalAddress(DRAM.address(after: memory - 1).rawValue + 1))
  }

  /// The local APIC id of an OS core.
  public func osCore(_ index: Int = 0) -> LocalAPICID { LocalAPICID(UInt32(index)) }
  /// The local APIC id of a DPI core.
  public func dpiCore(_ index: Int = 0) -> LocalAPICID { LocalAPICID(UInt32(osCores + index)) }

  func check() throws(SimulatorError) {
    guard osCores > 0, dpiCores > 0, cores <= 64 else {
      throw .layout("\(osCores) OS cores and \(dpiCores) DPI cores; expected at least one of each and 64 at most")
    }
    guard memory % (2 << 20) == 0, dpiMemory % (2 << 20) == 0, dpiMemory > 0, dpiMemory < memory else {
      throw .layout("\(dpiMemory) of \(memory) bytes are DPI memory; expected multiples of 2 MiB, and some for the OS")
    }
    let osMemory = memory - dpiMemory
    guard osMemory >= DRAM.holeStart || memory <= DRAM.holeStart else {
      throw .layout("DPI memory would reach over the devices' addresses; expected 3 GiB of OS memory, or 3 GiB in all")
    }
  }
}

/// Nothing at any address that is not memory or the platform's own.
public struct NoDevices: MMIOBus, ~Copyable {
  public init() {}
  public mutating func readDevice(_ address: PhysicalAddress, width: RegisterWidth) -> UInt64? { nil }
  public mutating func writeDevice(_ address: PhysicalAddress, value: UInt64, width: RegisterWidth) -> Bool { false }
}

/// The hardware of paper §2.1 and §4.2 without software: 2 to 64 cores, some of them sequestered, memory up to 1 TiB, the
/// northbridge between, and what devices there are.
///
/// What an attacker's code on an OS core can do is here: loads and stores through the core's MMU, whose tables it writes
/// itself, and control registers. The Remapping Table lies first in DPI memory; cores begin with paging off.
@safe
public struct SimulatedPlatform<Devices: MMIOBus & ~Copyable>: ~Copyable {
  public let layout: PlatformLayout
  public var northbridge: Northbridge
  public var devices: Devices
  /// Invariant: `layout.cores` cores are initialized, each at the index of its local APIC id.
  private let cores: UnsafeMutablePointer<Core<AllyExtension>>
  // Owns the storage behind the northbridge's memory.
  private let dram: DRAM

  public init(layout: PlatformLayout = PlatformLayout(), devices: consuming Devices) throws(SimulatorError) {
    try layout.check()
    let partition = layout.partition
    let dram = try DRAM(size: layout.memory)
    var memory = PhysicalMemory()
    do { try dram.map(into: &memory) } catch { throw .layout("memory cannot be mapped: \(error)") }
    guard let remapping = unsafe RemappingTable(at: partition.boundary, in: memory) else {
      throw .layout("the Remapping Table does not fit into DPI memory")
    }
    // Devices' addresses are uncacheable whatever page tables say.
    var uncacheable = UncacheableRanges()
    guard uncacheable.add(PhysicalAddress(DRAM.holeStart), length: DRAM.holeEnd - DRAM.holeStart) else {
      throw .layout("the devices' addresses are no uncacheable range")
    }
    let ids = (0..<layout.cores).map { LocalAPICID(UInt32($0)) }
    self.layout = layout
    self.dram = dram
    self.devices = devices
    self.northbridge = Northbridge(
      memory: memory, iommu: IOMMU(partition: partition),
      interrupts: InterruptUnit(cores: ids, dpiCores: Array(ids[layout.osCores...])), remapping: remapping)
    unsafe cores = .allocate(capacity: layout.cores)
    for (index, id) in ids.enumerated() {
      let role: CoreRole = index < layout.osCores ? .os : .dpi
      let handler = TLBMissHandler(role: role, partition: partition, uncacheable: uncacheable)
      unsafe (cores + index).initialize(to: Core(id: id, mmu: MMU(handler: handler)))
    }
  }

  deinit {
    unsafe cores.deinitialize(count: layout.cores)
    unsafe cores.deallocate()
  }

  /// Lends a core, with all that its accesses need: `platform.withCore(id) { core, northbridge, devices in … }`.
  ///
  /// - Precondition: the platform has the core.
  public mutating func withCore<Result>(
    _ id: LocalAPICID, _ body: (inout Core<AllyExtension>, inout Northbridge, inout Devices) -> Result
  ) -> Result {
    precondition(id.rawValue < UInt32(layout.cores), "there is no core \(id.rawValue)")
    return unsafe body(&cores[Int(id.rawValue)], &northbridge, &devices)
  }

  /// A core's load.
  public mutating func load(
    _ address: UInt64, width: RegisterWidth = .doubleWord, by core: LocalAPICID
  ) -> AccessOutcome {
    withCore(core) { core, northbridge, devices in
      core.load(VirtualAddress(address), width: width, on: &northbridge, devices: &devices)
    }
  }

  /// A core's store.
  @discardableResult
  public mutating func store(
    _ value: UInt64, at address: UInt64, width: RegisterWidth = .doubleWord, by core: LocalAPICID
  ) -> AccessOutcome {
    withCore(core) { core, northbridge, devices in
      core.store(value, at: VirtualAddress(address), width: width, on: &northbridge, devices: &devices)
    }
  }

  /// A core's load of one of Ally's configuration registers, which lie where its paging is off or identity-mapped.
  public mutating func configuration(_ register: UInt64, by core: LocalAPICID) -> UInt64? {
    load(AllyConfiguration.base.rawValue + register, width: .quadWord, by: core).value
  }

  /// A core's store to one of Ally's configuration registers.
  ///
  /// - Returns: what the error register says afterwards to a DPI core; it is cleared before.
  @discardableResult
  public mutating func configure(_ register: UInt64, _ value: UInt64, by core: LocalAPICID) -> ConfigurationError {
    let error = AllyConfiguration.base.rawValue + AllyConfiguration.Register.error
    store(0, at: error, width: .quadWord, by: layout.dpiCore())
    store(value, at: AllyConfiguration.base.rawValue + register, width: .quadWord, by: core)
    return northbridge.configuration.error
  }
}

extension SimulatedPlatform where Devices == NoDevices {
  /// A platform without devices.
  public init(layout: PlatformLayout = PlatformLayout()) throws(SimulatorError) {
    try self.init(layout: layout, devices: NoDevices())
  }
}
