import AllyHW

/// A small machine: 8 MiB of memory, of which the last 3 are DPI memory, an OS core, a DPI core, and a device that
/// records what reaches it, at 0xFEB0_0000.
@safe
final class TestMachine {
  static let osCore = LocalAPICID(0)
  static let dpiCore = LocalAPICID(3)
  static let nic = RequesterID(bus: 0, device: 3, function: 0)
  static let notifyVector: UInt8 = 0xE0
  static let memoryLength: UInt64 = 8 << 20
  /// In the middle of a 2 MiB page.
  static let boundary = PhysicalAddress(5 << 20)
  static let partition = Partition(boundary: boundary, end: PhysicalAddress(memoryLength))
  static let registerBase = PhysicalAddress(0xFEB0_0000)
  static let registerFileAddress = PhysicalAddress(6 << 20)
  static let logAddress = PhysicalAddress((6 << 20) + 0x10000)
  static let tableAddress = PhysicalAddress((6 << 20) + 0x20000)

  private let storage: UnsafeMutableRawPointer
  var northbridge: Northbridge
  var core: Core<AllyExtension>
  var dpiCore: Core<AllyExtension>
  var window: DeviceWindow<RecordingDevice>
  var tables: PageTables

  init(logCapacity: Int = 8, registers: [RegisterRange] = TestMachine.registers, isIntercepted: Bool = true) {
    unsafe storage = .allocate(byteCount: Int(Self.memoryLength), alignment: 4096)
    unsafe storage.initializeMemory(as: UInt8.self, repeating: 0, count: Int(Self.memoryLength))
    var memory = PhysicalMemory()
    // Nothing else is mapped, so this cannot fail.
    try! unsafe memory.map(
      base: PhysicalAddress(0), length: Self.memoryLength, storage: storage, rights: [.read, .write, .execute])
    let table = unsafe RemappingTable(at: Self.tableAddress, in: memory)!
    northbridge = Northbridge(
      memory: memory, iommu: IOMMU(partition: Self.partition),
      interrupts: InterruptUnit(cores: [Self.osCore, Self.dpiCore], dpiCores: [Self.dpiCore]), remapping: table)
    var uncacheable = UncacheableRanges()
    _ = uncacheable.add(PhysicalAddress(0xC000_0000), length: 0x4000_0000)
    core = Core(
      id: Self.osCore,
      mmu: MMU(handler: TLBMissHandler(role: .os, partition: Self.partition, uncacheable: uncacheable)))
    dpiCore = Core(id: Self.dpiCore, mmu: MMU(handler: TLBMissHandler(role: .dpi, partition: Self.partition)))
    window = DeviceWindow(RecordingDevice(), base: Self.registerBase, length: 0x2_0000)
    tables = PageTables(root: PhysicalAddress(0x10_0000))
    if isIntercepted {
      northbridge.interrupts.authorize(
        .redirection(Self.osCore), vector: Self.notifyVector, at: Self.dpiCore)
      try! northbridge.remapping.intercept(device(logCapacity: logCapacity), ranges: registers)
    }
    core.mmu.pageTableRoot = tables.root
    dpiCore.mmu.pageTableRoot = tables.root
  }

  deinit { unsafe storage.deallocate() }

  /// Interrupt causes and masks, and the two tail pointers, as on an e1000.
  static let registers = [
    RegisterRange(offset: 0xC0, length: 4, disposition: .redirect, clearsOnRead: true),
    RegisterRange(offset: 0xC8, length: 0x14, disposition: .redirect),
    RegisterRange(offset: 0x100, length: 4, disposition: .passThrough),
    RegisterRange(offset: 0x2800, length: 0x20, disposition: .redirect),
    RegisterRange(offset: 0x2820, length: 4, disposition: .shadowOnly),
    RegisterRange(offset: 0x5B00, length: 4, disposition: .deny),
  ]

  var registerFile: RegisterFile {
    unsafe RegisterFile(at: Self.registerFileAddress, length: 0x6000, in: northbridge.memory)!
  }
  func log(capacity: Int = 8) -> AccessLog {
    unsafe AccessLog(at: Self.logAddress, capacity: capacity, in: northbridge.memory)!
  }
  func device(logCapacity: Int = 8) -> InterceptedDevice {
    InterceptedDevice(
      requester: Self.nic, registerBase: Self.registerBase, registers: registerFile, log: log(capacity: logCapacity),
      core: Self.dpiCore, vector: Self.notifyVector)
  }

  func map(
    _ virtual: UInt64, to physical: UInt64, size: PageSize = .size4KiB,
    _ flags: PageTableEntry.Flags = [.present, .writable]
  ) {
    tables.map(VirtualAddress(virtual), to: PhysicalAddress(physical), size: size, flags, in: northbridge.memory)
  }

  /// Maps the device's registers at `virtual` as an OS does: uncacheable.
  func mapRegisters(at virtual: UInt64) {
    for page in stride(from: UInt64(0), to: 0x6000, by: 0x1000) {
      map(virtual + page, to: Self.registerBase.rawValue + page, [.present, .writable, .cacheDisabled])
    }
  }

  func translate(
    _ virtual: UInt64, length: UInt64 = 4, _ rights: AccessRights = .read, _ privilege: Privilege = .supervisor
  ) -> Translation {
    core.mmu.translate(
      VirtualAddress(virtual), length: length, rights: rights, privilege: privilege, memory: northbridge.memory,
      remapping: northbridge.remapping)
  }

  func load(_ virtual: UInt64, _ width: RegisterWidth = .doubleWord) -> AccessOutcome {
    core.load(VirtualAddress(virtual), width: width, on: &northbridge, devices: &window)
  }

  func store(_ value: UInt64, at virtual: UInt64, _ width: RegisterWidth = .doubleWord) -> AccessOutcome {
    core.store(value, at: VirtualAddress(virtual), width: width, on: &northbridge, devices: &window)
  }
}

/// A device of plain registers that remembers every access.
struct RecordingDevice: NICDevice, ~Copyable {
  struct Access: Equatable {
    var offset: UInt32
    var value: UInt64?
  }
  var accesses: [Access] = []
  var values: [UInt32: UInt64] = [:]

  mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 {
    accesses.append(Access(offset: offset, value: nil))
    return values[offset] ?? 0
  }
  mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    accesses.append(Access(offset: offset, value: value))
    values[offset] = value
  }
}

/// Builds page tables in memory, as an OS does.
struct PageTables {
  let root: PhysicalAddress
  private var next: PhysicalAddress

  init(root: PhysicalAddress) {
    self.root = root
    next = root.advanced(by: 0x1000)
  }

  /// The place of the leaf entry of a virtual address for a page of this size; makes the tables above it.
  mutating func leaf(
    _ virtual: VirtualAddress, size: PageSize, in memory: borrowing PhysicalMemory
  ) -> PhysicalAddress {
    let last = size == .size4KiB ? 1 : size == .size2MiB ? 2 : 3
    var table = root
    for level in stride(from: 4, to: last, by: -1) {
      let place = table.advanced(by: (virtual.rawValue >> UInt64(12 + 9 * (level - 1)) & 511) * 8)
      let entry = PageTableEntry(rawValue: memory.load(UInt64.self, at: place)!)
      if entry.flags.contains(.present) {
        table = entry.address
      } else {
        table = next
        next = next.advanced(by: 0x1000)
        _ = memory.store(PageTableEntry(table, [.present, .writable, .user]).rawValue, at: place)
      }
    }
    return table.advanced(by: (virtual.rawValue >> UInt64(12 + 9 * (last - 1)) & 511) * 8)
  }

  mutating func map(
    _ virtual: VirtualAddress, to physical: PhysicalAddress, size: PageSize, _ flags: PageTableEntry.Flags,
    in memory: borrowing PhysicalMemory
  ) {
    let place = leaf(virtual, size: size, in: memory)
    _ = memory.store(
      PageTableEntry(physical, size == .size4KiB ? flags : flags.union(.large)).rawValue, at: place)
  }
}
