import AllyHW
import AllySimulator
import Testing

extension Table1Tests {
  @Suite("BIOS: boot DPI appliance and hide DPI cores and memory")
  struct BootAndHide {
    /// A machine up to the moment when its BIOS is done: DRAM, cores, interrupts.
    @safe
    private final class Machine {
      let dram: DRAM
      var memory: PhysicalMemory
      var interrupts: InterruptUnit
      var bios: BIOS
      let key = SigningKey()
      let ids: [LocalAPICID]
      static let hidden = PhysicalRange(base: PhysicalAddress(0x400_0000), length: 0x100_0000)!

      init(cores: Int = 4, dram bytes: UInt64 = 128 << 20) throws {
        ids = (0..<UInt32(cores)).map { LocalAPICID($0) }
        dram = try DRAM(size: bytes)
        memory = PhysicalMemory()
        try dram.map(into: &memory)
        interrupts = InterruptUnit(cores: ids)
        bios = try BIOS(
          cores: ids, memoryMap: BIOS.memoryMap(dram: bytes), memory: memory, interrupts: &interrupts)
      }

      func put(_ bytes: [UInt8], at address: PhysicalAddress = hidden.base) {
        for (offset, byte) in bytes.enumerated() {
          #expect(memory.store(byte, at: address.advanced(by: UInt64(offset))) == true)
        }
      }

      func sequester(_ core: UInt32, minimumVersion: UInt32 = 0) throws -> PhysicalAddress {
        try bios.sequester(
          LocalAPICID(core), hiding: Self.hidden, verifier: key.verifier, minimumVersion: minimumVersion,
          memory: memory, interrupts: &interrupts)
      }

      /// The cores that an OS finds: by ACPI, and by the MP table.
      func coresOfTheOS() throws -> (acpi: [UInt32], mp: [UInt32], affinity: [UInt32]) {
        let directory = try FirmwareDirectory(in: memory)
        let acpi = try MADT(parsing: #require(directory.table(.madt)).bytes).cores.map(\.apicID.rawValue)
        let affinity = try SRAT(parsing: #require(directory.table(.srat)).bytes).cores.map(\.rawValue)
        let mp = try MPTable(parsing: #require(directory.mpTable).bytes).cores.map { UInt32($0.apicID) }
        return (acpi, mp, affinity)
      }
    }

    @Test("every core comes up, and the OS finds and starts all of them", arguments: [2, 4, 64])
    func conventional(cores: Int) throws {
      let machine = try Machine(cores: cores)
      #expect(machine.bios.cores.states.dropFirst().allSatisfy { $0 == .halted })
      let found = try machine.coresOfTheOS()
      let all = (0..<UInt32(cores)).map { $0 }
      #expect(found.acpi == all && found.mp == all && found.affinity == all)
      var boot = machine.bios.cores
      for core in machine.ids.dropFirst() {
        boot.start(core, page: 0x8, by: machine.ids[0], on: &machine.interrupts)
        #expect(boot.takeSignals(from: &machine.interrupts) == [core])
        #expect(boot.state(of: core) == .running(PhysicalAddress(0x8000)))
      }
    }

    @Test("the OS finds neither the core nor the memory, and the core runs the image", arguments: [2, 4, 64])
    func sequestered(cores: Int) throws {
      let machine = try Machine(cores: cores)
      let last = UInt32(cores - 1)
      machine.put(try machine.key.sign([UInt8](repeating: 0x90, count: 5000), entry: 0x40).bytes)
      let usable = machine.bios.memoryMap.usableBytes

      let entry = try machine.sequester(last)
      #expect(entry == Machine.hidden.base.advanced(by: 128 + 0x40))
      #expect(machine.bios.cores.state(of: LocalAPICID(last)) == .running(entry))

      let rest = (0..<last).map { $0 }
      let found = try machine.coresOfTheOS()
      #expect(found.acpi == rest && found.mp == rest && found.affinity == rest)
      #expect(machine.bios.memoryMap.usableBytes == usable - Machine.hidden.length)
      #expect(!machine.bios.memoryMap.isUsable(Machine.hidden))
      let speaksOfIt = machine.bios.memoryMap.entries.contains {
        PhysicalRange(base: PhysicalAddress($0.base), length: $0.length)?.overlaps(Machine.hidden) == true
      }
      #expect(!speaksOfIt)
    }

    @Test("an OS that guesses the core's id cannot restart it")
    func restart() throws {
      let machine = try Machine()
      machine.put(try machine.key.sign([1, 2, 3]).bytes)
      let entry = try machine.sequester(3)
      var boot = machine.bios.cores
      boot.start(LocalAPICID(3), page: 0x8, by: LocalAPICID(0), on: &machine.interrupts)
      boot.start(nil, page: 0x8, by: LocalAPICID(0), on: &machine.interrupts)
      #expect(boot.takeSignals(from: &machine.interrupts) == [LocalAPICID(1), LocalAPICID(2)])
      #expect(boot.state(of: LocalAPICID(3)) == .running(entry))
      #expect(machine.interrupts.droppedInterrupts(at: LocalAPICID(3)) > 0)
    }

    /// What may be wrong with an image, and how the BIOS refuses it.
    enum Damage: CaseIterable {
      case absent, otherKey, contents, entry, version, length, signature, old

      var error: DPIImageError {
        switch self {
        case .absent: .absent
        case .otherKey, .entry, .version, .length, .signature: .signature
        case .contents: .digest
        case .old: .version(4)
        }
      }
    }

    @Test("an image that is not as it was signed does not run, and nothing is hidden", arguments: Damage.allCases)
    func damaged(_ damage: Damage) throws {
      let machine = try Machine()
      let contents = (0..<3000).map { UInt8(truncatingIfNeeded: $0) }
      var bytes = try machine.key.sign(contents, version: 4).bytes
      switch damage {
      case .absent: bytes = [UInt8](repeating: 0, count: 200)
      case .otherKey: bytes = try SigningKey().sign(contents, version: 4).bytes
      case .contents: bytes[2000] ^= 1
      case .entry: bytes[24] ^= 1
      case .version: bytes[8] = 5
      case .length: bytes[16] ^= 1
      case .signature: bytes[100] ^= 1
      case .old: break
      }
      machine.put(bytes)
      let map = machine.bios.memoryMap
      #expect(throws: BIOS.SequestrationError.image(damage.error)) {
        try machine.sequester(3, minimumVersion: damage == .old ? 5 : 0)
      }
      #expect(try machine.coresOfTheOS().acpi == [0, 1, 2, 3])
      #expect(machine.bios.memoryMap == map)
      #expect(machine.bios.cores.state(of: LocalAPICID(3)) == .halted)
    }

    @Test("a signed image whose length or entry cannot be is refused")
    func impossible() throws {
      let machine = try Machine()
      machine.put(try machine.key.sign([1, 2, 3], entry: 3).bytes)
      #expect(throws: BIOS.SequestrationError.image(.entry(3))) { try machine.sequester(3) }
      let large = [UInt8](repeating: 7, count: Int(Machine.hidden.length) - 127)
      machine.put(Array(try machine.key.sign(large).bytes.prefix(4096)))
      #expect(throws: BIOS.SequestrationError.image(.length(UInt64(large.count)))) { try machine.sequester(3) }
    }

    @Test("the boot core, a core that is not there, and memory that is not all there stay as they are")
    func refused() throws {
      let machine = try Machine(dram: 64 << 20 | 8 << 20)
      machine.put(try machine.key.sign([1]).bytes)
      for core: UInt32 in [0, 9] {
        #expect(throws: BIOS.SequestrationError.core(LocalAPICID(core))) { try machine.sequester(core) }
      }
      // 16 MiB from 64 MiB up, of a machine with 72 MiB.
      let before = try machine.coresOfTheOS().acpi
      #expect(throws: BIOS.SequestrationError.table(FirmwareTableError(.memoryNotUsable, in: .e820, at: 0))) {
        try machine.sequester(3)
      }
      #expect(try machine.coresOfTheOS().acpi == before)
    }
  }
}
