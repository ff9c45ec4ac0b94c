import AllyHW
import AllySimulator
import Testing

extension Table1Tests {
  @Suite("BIOS: boot DPI appliance and hide DPI cores and memory")
  struct Concealment {
    /// What a BIOS tells an OS about cores and memory, as the bytes that the OS finds.
    private struct Tables {
      var madt: [UInt8]
      var mp: [UInt8]
      var srat: [UInt8]
      var memoryMap: [UInt8]

      /// The tables of a machine of which nothing is hidden yet.
      init(_ layout: PlatformLayout) throws {
        let oem: [UInt8] = Array("ALLY".utf8)
        let ids = (0..<UInt8(layout.cores))
        madt =
          MADT(
            header: ACPIHeader(signature: .madt, revision: 1, oemID: oem, oemTableID: oem, oemRevision: 1),
            entries: ids.map { .localAPIC(.init(processorUID: $0, apicID: $0)) }
              + [.ioAPIC(.init(apicID: 0, address: UInt32(IOAPIC.base.rawValue), firstInterrupt: 0))]
          ).bytes
        srat =
          SRAT(
            header: ACPIHeader(signature: .srat, revision: 1, oemID: oem, oemTableID: oem, oemRevision: 1),
            entries: ids.map { .core(.init(domain: 0, apicID: $0)) }
              + [.memory(.init(domain: 0, base: 0, length: layout.memory))]
          ).bytes
        mp =
          MPTable(
            revision: 4, oemID: oem, productID: oem,
            entries: ids.map {
              .core(.init(apicID: $0, apicVersion: 0x14, flags: $0 == 0 ? 3 : 1, signature: 0, features: 0))
            }
          ).bytes
        memoryMap = MemoryMap(entries: [.init(base: 0, length: layout.memory, kind: .usable)]).bytes
      }

      /// What the custom procedure of paper §4.1 does to them.
      mutating func hide(_ cores: [LocalAPICID], _ partition: Partition) throws {
        let length = partition.end.rawValue - partition.boundary.rawValue
        let range = try #require(PhysicalRange(base: partition.boundary, length: length))
        var madt = try MADT(parsing: self.madt)
        var mp = try MPTable(parsing: self.mp)
        var srat = try SRAT(parsing: self.srat)
        var memoryMap = try MemoryMap(parsing: self.memoryMap)
        try madt.hide(cores)
        try mp.hide(cores)
        try srat.hide(cores, memory: range)
        try memoryMap.hide(range)
        (self.madt, self.mp, self.srat, self.memoryMap) = (madt.bytes, mp.bytes, srat.bytes, memoryMap.bytes)
      }
    }

    private static let layout = PlatformLayout(osCores: 6, dpiCores: 2)

    @Test("an OS that reads the tables learns of no DPI core and of no byte of DPI memory")
    func tablesNameNothing() throws {
      let layout = Self.layout
      var tables = try Tables(layout)
      try tables.hide([layout.dpiCore(0), layout.dpiCore(1)], layout.partition)
      let osCores = (0..<layout.osCores).map { layout.osCore($0) }
      #expect(try MADT(parsing: tables.madt).cores.map(\.apicID) == osCores)
      #expect(try MPTable(parsing: tables.mp).cores.map { LocalAPICID(UInt32($0.apicID)) } == osCores)
      #expect(try SRAT(parsing: tables.srat).cores == osCores)
      let map = try MemoryMap(parsing: tables.memoryMap)
      #expect(map.usableBytes == layout.memory - layout.dpiMemory)
      for entry in map.entries {
        #expect(!layout.partition.touchesDPI(PhysicalAddress(entry.base), length: entry.length))
      }
      // An ACPI table whose bytes do not add up to zero is one that an OS does not believe.
      for table in [tables.madt, tables.srat] { #expect(table.reduce(0, &+) == 0) }
    }

    @Test("an OS that starts every core it can name, and some that it cannot, starts its own")
    func startsEveryAPIC() throws {
      let attacker = try Attacker(Self.layout)
      let layout = Self.layout
      var commands = (UInt8.min...UInt8.max).flatMap { id in
        [
          InterruptCommand(vector: 0, mode: .initialize, destination: id),
          InterruptCommand(vector: 0x9A, mode: .startUp, destination: id),
          InterruptCommand(vector: 0x9A, mode: .startUp, destination: id),
        ]
      }
      commands += [
        InterruptCommand(vector: 0, mode: .initialize, shorthand: .allExcludingSelf),
        InterruptCommand(vector: 0x9B, mode: .startUp, shorthand: .allExcludingSelf),
        InterruptCommand(vector: 0, mode: .initialize, destination: 0xFF, isLogical: true),
        InterruptCommand(vector: 0x9C, mode: .startUp, destination: 0xFF, isLogical: true),
      ]
      // A DPI core is in the middle of an interrupt; an INIT would make it forget that.
      let dpiCore = layout.dpiCore(1)
      attacker.platform.northbridge.interrupts.authorize(.device(RequesterID(rawValue: 8)), vector: 0xD0, at: dpiCore)
      attacker.platform.northbridge.interrupts.signal(
        MessageSignaledInterrupt(core: dpiCore, vector: 0xD0), from: RequesterID(rawValue: 8))
      #expect(attacker.platform.northbridge.interrupts.acknowledge(at: dpiCore) == 0xD0)

      for command in commands { attacker.platform.northbridge.interrupts.send(command, from: attacker.core) }
      for core in 1..<layout.osCores {
        #expect(attacker.platform.northbridge.interrupts.takeSignals(at: layout.osCore(core)).startUpPage == 0x9C)
      }
      for core in 0..<layout.dpiCores {
        let signals = attacker.platform.northbridge.interrupts.takeSignals(at: layout.dpiCore(core))
        #expect(signals == CoreSignals())
      }
      let apic = attacker.platform.northbridge.interrupts.localAPIC(of: dpiCore)
      #expect(apic?.inService.highest == 0xD0)
    }

    @Test("an OS that looks beyond its memory map, for memory that the BIOS forgot to mention")
    func probesMemory() throws {
      let attacker = try Attacker(Self.layout)
      let partition = Self.layout.partition
      var refused: UInt64 = 0
      for page in stride(from: UInt64(0), to: partition.end.rawValue + (4 << 20), by: 0x1000) {
        let outcome = attacker.platform.store(page, at: page, width: .quadWord, by: attacker.core)
        if outcome == .fault(.dpiMemory) { refused += 0x1000 }
      }
      #expect(refused == Self.layout.dpiMemory)
      attacker.expectSecretIsSafe()
    }

    @Test("a core becomes a DPI core: its filter goes on, and from then on the OS cores cannot interrupt it")
    func sequesters() throws {
      var unit = InterruptUnit(cores: (0..<4).map { LocalAPICID($0) })
      let core = LocalAPICID(3)
      // The BSP starts it, as any AP (paper §4.1).
      unit.send(InterruptCommand(vector: 0, mode: .initialize, destination: 3), from: LocalAPICID(0))
      unit.send(InterruptCommand(vector: 0x9A, mode: .startUp, destination: 3), from: LocalAPICID(0))
      #expect(unit.takeSignals(at: core).startUpPage == 0x9A)
      #expect(unit.setFilter(isEnabled: true, at: core) == true)
      unit.send(InterruptCommand(vector: 0, mode: .initialize, destination: 3), from: LocalAPICID(0))
      unit.sendIPI(0x40, from: LocalAPICID(0), to: core)
      #expect(unit.takeSignals(at: core) == CoreSignals())
      #expect(unit.pending(at: core) == nil)
      #expect(unit.droppedInterrupts(at: core) == 2)
      #expect(unit.setFilter(isEnabled: true, at: LocalAPICID(9)) == false)
    }
  }
}
