public import AllyHW

/// The simulated machine's BIOS (paper §4.1): the conventional procedure, which wakes every core and writes down what it
/// found, and the modified one, which takes a core and memory out of that again and starts the DPI image on the core.
public struct BIOS: Sendable {
  /// Why a core was not sequestered. The machine is then as it was: the OS has the core and the memory.
  public enum SequestrationError: Error, Equatable, Sendable {
    /// The boot core, a core that is not there, or one that has not come up.
    case core(LocalAPICID)
    /// The image was refused.
    case image(DPIImageError)
    /// A table cannot be changed as asked.
    case table(FirmwareTableError)
  }

  /// The cores that came up.
  public private(set) var cores: BootCores
  /// What INT 15h tells.
  public private(set) var memoryMap: MemoryMap

  /// Where the BIOS puts things: start-up code of the cores below 640 KiB, tables in its own segment.
  static var startUpPage: UInt8 { 0x9F }
  static var mpPointer: UInt64 { 0xF_0000 }
  static var mpTable: UInt64 { 0xF_0010 }
  static var rootPointer: UInt64 { 0xF_8000 }
  static var rootTable: UInt64 { 0xF_8040 }
  static var affinityTable: UInt64 { 0xF_8100 }
  static var interruptTable: UInt64 { 0xF_C000 }

  /// Runs the conventional procedure: the boot core wakes the others, each enters its id into the tables and halts.
  ///
  /// - Parameters:
  ///   - ids: all cores, the boot core first; up to 64.
  ///   - memoryMap: what the machine has.
  ///   - memory: DRAM; the tables go below 1 MiB.
  ///   - interrupts: through which the boot core wakes the others.
  public init(
    cores ids: [LocalAPICID], memoryMap: MemoryMap, memory: borrowing PhysicalMemory, interrupts: inout InterruptUnit
  ) throws(FirmwareTableError) {
    cores = BootCores(ids)
    self.memoryMap = memoryMap
    var found = [ids[0]]
    cores.start(nil, page: Self.startUpPage, by: ids[0], on: &interrupts)
    for core in cores.takeSignals(from: &interrupts) {
      found.append(core)
      cores.halt(core)
    }
    try writeTables(for: found, memory)
  }

  // MARK: - The modified procedure

  /// Takes an AP core and memory away from the OS and starts the DPI image on the core.
  ///
  /// The image lies at the start of the memory, where the service processor put it. Nothing is hidden before it was found
  /// to be good; afterwards the core has its Interrupt Descriptor Table and takes authorised interrupts only.
  ///
  /// - Returns: where the core runs: the image's entry, in hidden memory.
  @discardableResult
  public mutating func sequester(
    _ core: LocalAPICID, hiding range: PhysicalRange, verifier: some ImageVerifier, minimumVersion: UInt32 = 0,
    memory: borrowing PhysicalMemory, interrupts: inout InterruptUnit
  ) throws(SequestrationError) -> PhysicalAddress {
    guard core != cores.ids.first, cores.state(of: core) == .halted else { throw .core(core) }
    let image: DPIImage
    do throws(DPIImageError) {
      image = try DPIImage(verified: range, in: memory, by: verifier, minimumVersion: minimumVersion)
    } catch { throw .image(error) }
    do throws(FirmwareTableError) {
      try hide(core, range, memory)
    } catch { throw .table(error) }

    cores.start(core, page: Self.startUpPage, by: cores.ids[0], on: &interrupts)
    _ = cores.takeSignals(from: &interrupts)
    interrupts.setFilter(isEnabled: true, at: core)
    let entry = range.base.advanced(by: UInt64(DPIImage.headerLength) + image.entry)
    cores.run(core, at: entry)
    return entry
  }

  /// All tables are changed before the first is written.
  private mutating func hide(
    _ core: LocalAPICID, _ range: PhysicalRange, _ memory: borrowing PhysicalMemory
  ) throws(FirmwareTableError) {
    let directory = try FirmwareDirectory(in: memory)
    var changes: [(FirmwareDirectory.Placed, [UInt8])] = []
    if let placed = directory.table(.madt) {
      var table = try MADT(parsing: placed.bytes)
      try table.hide([core])
      changes.append((placed, table.bytes))
    }
    if let placed = directory.table(.srat) {
      var table = try SRAT(parsing: placed.bytes)
      // The cores only: a range of memory in two pieces may need more room than the table has, and that a range belongs to
      // a domain does not say that all of it is there.
      try table.hide([core])
      changes.append((placed, table.bytes))
    }
    // The MP table has 8-bit ids, and so does not list every core.
    if let placed = directory.mpTable, core.rawValue < 0xFF {
      var table = try MPTable(parsing: placed.bytes)
      try table.hide([core])
      changes.append((placed, table.bytes))
    }
    var map = memoryMap
    try map.hide(range)
    for (placed, bytes) in changes { try FirmwareDirectory.replace(placed, with: bytes, in: memory) }
    memoryMap = map
  }

  // MARK: - Tables

  private func writeTables(for found: [LocalAPICID], _ memory: borrowing PhysicalMemory) throws(FirmwareTableError) {
    func header(_ signature: TableSignature, revision: UInt8) -> ACPIHeader {
      ACPIHeader(
        signature: signature, revision: revision, oemID: Array("ALLY".utf8), oemTableID: Array("SIMULATE".utf8),
        oemRevision: 1)
    }
    var controllers: [MADT.Entry] = []
    var domains: [SRAT.Entry] = []
    var mpEntries: [MPTable.Entry] = []
    for (index, core) in found.enumerated() {
      if core.rawValue < 0xFF {
        let id = UInt8(core.rawValue)
        controllers.append(.localAPIC(.init(processorUID: UInt8(truncatingIfNeeded: index), apicID: id)))
        domains.append(.core(.init(domain: 0, apicID: id)))
        mpEntries.append(
          .core(.init(apicID: id, apicVersion: 0x14, flags: index == 0 ? 3 : 1, signature: 0x600, features: 0x201)))
      } else {
        controllers.append(.localX2APIC(.init(apicID: core.rawValue, processorUID: UInt32(index))))
        domains.append(.x2Core(.init(domain: 0, apicID: core.rawValue)))
      }
    }
    controllers.append(.ioAPIC(.init(apicID: 0, address: 0xFEC0_0000, firstInterrupt: 0)))
    controllers.append(.sourceOverride(.init(source: 0, interrupt: 2, flags: 0)))
    controllers.append(.localNMI(.init(flags: 0, pin: 1)))
    mpEntries.append(.fixed(type: 1, contents: [0] + Array("ISA   ".utf8)))
    mpEntries.append(.localInterrupt(.init(kind: 1, flags: 0, sourceBus: 0, sourceInterrupt: 0, apicID: 0xFF, pin: 1)))
    for entry in memoryMap.entries where entry.kind == .usable {
      domains.append(.memory(.init(domain: 0, base: entry.base, length: entry.length)))
    }

    let mp = MPTable(oemID: Array("ALLY".utf8), productID: Array("SIMULATOR".utf8), entries: mpEntries)
    try put(MPPointer(table: UInt32(Self.mpTable)).bytes, at: Self.mpPointer, .mpPointer, memory)
    try put(mp.bytes, at: Self.mpTable, .mpTable, memory)
    try put(
      MADT(header: header(.madt, revision: 5), entries: controllers).bytes, at: Self.interruptTable, .madt, memory)
    try put(SRAT(header: header(.srat, revision: 3), entries: domains).bytes, at: Self.affinityTable, .srat, memory)
    let root = RootTable(
      header: header(.extendedRootTable, revision: 1),
      addresses: [PhysicalAddress(Self.interruptTable), PhysicalAddress(Self.affinityTable)])
    try put(root.bytes, at: Self.rootTable, .extendedRootTable, memory)
    let pointer = RootPointer(oemID: Array("ALLY".utf8), rootTable: 0, extendedRootTable: Self.rootTable)
    try put(pointer.bytes, at: Self.rootPointer, .rootPointer, memory)
  }

  private func put(
    _ bytes: [UInt8], at address: UInt64, _ table: TableSignature, _ memory: borrowing PhysicalMemory
  ) throws(FirmwareTableError) {
    for (offset, byte) in bytes.enumerated() {
      let place = PhysicalAddress(address + UInt64(offset))
      guard memory.store(byte, at: place) else { throw FirmwareTableError(.absent(place), in: table, at: offset) }
    }
  }
}

extension BIOS {
  /// What a machine with so much DRAM has, as a BIOS tells: memory below 640 KiB and from 1 MiB up, around the devices.
  public static func memoryMap(dram bytes: UInt64) -> MemoryMap {
    let low = min(bytes, DRAM.holeStart)
    var entries: [MemoryMap.Entry] = [
      .init(base: 0, length: 0xA_0000, kind: .usable), .init(base: 0xF_0000, length: 0x1_0000, kind: .reserved),
      .init(base: 0x10_0000, length: low - 0x10_0000, kind: .usable),
    ]
    if bytes > low { entries.append(.init(base: DRAM.holeEnd, length: bytes - low, kind: .usable)) }
    return MemoryMap(entries: entries)
  }
}
