import AllyHW
import Testing

@Suite("MMU: nested paging, five levels, and paging off")
struct NestedPagingTests {
  /// A machine with second-stage tables that map its first 4 MiB as they are: from 2 MiB on lie the tables themselves.
  private struct Guest {
    let machine = TestMachine()
    /// Where the second stage's last-level table for the first 2 MiB is.
    static let leaves: UInt64 = 0x20_3000

    init(marksAccess: Bool = true) {
      let links: [(UInt64, UInt64)] = [(0x20_0000, 0x20_1000), (0x20_1000, 0x20_2000), (0x20_2000, Self.leaves)]
      for (table, next) in links { put(NestedPageTableEntry(PhysicalAddress(next), .all), at: table) }
      for page in 0..<UInt64(512) { mapPage(page << 12, to: page << 12) }
      machine.core.mmu.nestedPaging = NestedPaging(root: PhysicalAddress(0x20_0000), marksAccess: marksAccess)
    }

    func put(_ entry: NestedPageTableEntry, at place: UInt64) {
      _ = machine.northbridge.memory.store(entry.rawValue, at: PhysicalAddress(place))
    }

    func mapPage(
      _ guest: UInt64, to physical: UInt64, _ flags: NestedPageTableEntry.Flags = .all, type: MemoryType = .writeBack
    ) {
      put(NestedPageTableEntry(PhysicalAddress(physical), flags, type: type), at: Self.leaves + guest >> 12 * 8)
    }

    func flags(_ guest: UInt64) -> NestedPageTableEntry.Flags {
      let raw = machine.northbridge.memory.load(UInt64.self, at: PhysicalAddress(Self.leaves + guest >> 12 * 8))
      return NestedPageTableEntry(rawValue: raw ?? 0).flags
    }
  }

  @Test("an address goes through both stages, and so do the guest's tables")
  func bothStages() {
    let guest = Guest()
    guest.mapPage(0x3_2000, to: 0x3_8000)
    guest.machine.map(0x1000, to: 0x3_2000)
    #expect(guest.machine.translate(0x1234) == .physical(PhysicalAddress(0x3_8234)))
    #expect(guest.flags(0x3_2000).contains(.accessed))
    #expect(guest.flags(0x10_0000).isSuperset(of: [.accessed, .dirty]), "the guest's top-level table")
    #expect(!guest.flags(0x3_2000).contains(.dirty))
    #expect(guest.machine.translate(0x1234, .write) == .physical(PhysicalAddress(0x3_8234)))
    #expect(guest.flags(0x3_2000).contains(.dirty))
  }

  @Test("what the second stage does not map or allow is the hypervisor's to see to")
  func violations() {
    let guest = Guest()
    guest.machine.map(0x1000, to: 0x3_2000)
    guest.mapPage(0x3_2000, to: 0x3_2000, [.readable])
    #expect(guest.machine.translate(0x1000) == .physical(PhysicalAddress(0x3_2000)))
    #expect(guest.machine.translate(0x1000, .write) == .fault(.nestedViolation))
    guest.mapPage(0x3_2000, to: 0, [])
    guest.machine.core.mmu.invalidateNested()
    #expect(guest.machine.translate(0x1000) == .fault(.nestedViolation))
    guest.machine.map(0x2000, to: 0x4000_0000)
    #expect(guest.machine.translate(0x2000) == .fault(.nestedViolation))
    guest.machine.map(0x3000, to: 1 << 48)
    #expect(guest.machine.translate(0x3000) == .fault(.nestedViolation))
  }

  @Test("entries of the second stage that make no sense are a misconfiguration")
  func misconfigurations() {
    let guest = Guest()
    guest.machine.map(0x1000, to: 0x3_2000)
    guest.mapPage(0x3_2000, to: 0x3_2000, [.writable])
    #expect(guest.machine.translate(0x1000) == .fault(.nestedMisconfiguration))
    // Memory types 2, 3 and 7 are reserved.
    for type in [UInt64(2), 3, 7] {
      guest.put(NestedPageTableEntry(rawValue: 0x3_2000 | 7 | type << 3), at: Guest.leaves + 0x32 * 8)
      #expect(guest.machine.translate(0x1000) == .fault(.nestedMisconfiguration))
    }
  }

  @Test("a guest's table that may not be written stops its accessed bits")
  func readOnlyTables() {
    let guest = Guest(marksAccess: false)
    guest.machine.map(0x1000, to: 0x3_2000)
    guest.mapPage(0x10_0000, to: 0x10_0000, [.readable])
    #expect(guest.machine.translate(0x1000) == .fault(.nestedViolation))
    // With the bit there already, nothing has to be written.
    let entry = PhysicalAddress(0x10_0000)
    let raw = guest.machine.northbridge.memory.load(UInt64.self, at: entry) ?? 0
    _ = guest.machine.northbridge.memory.store(raw | PageTableEntry.Flags.accessed.rawValue, at: entry)
    #expect(guest.machine.translate(0x1000) == .physical(PhysicalAddress(0x3_2000)))
    #expect(!guest.flags(0x3_2000).contains(.accessed), "accessed bits of the second stage are off")
  }

  @Test("entering and leaving a guest forgets every translation")
  func entryAndExit() {
    let guest = Guest()
    guest.mapPage(0x3_2000, to: 0x3_8000)
    guest.machine.map(0x1000, to: 0x3_2000, [.present, .writable, .global])
    #expect(guest.machine.translate(0x1000) == .physical(PhysicalAddress(0x3_8000)))
    guest.machine.core.mmu.nestedPaging = nil
    #expect(guest.machine.translate(0x1000) == .physical(PhysicalAddress(0x3_2000)))
  }

  @Test("five levels translate 57 bits of address, and leave the rest non-canonical")
  func fiveLevels() {
    let machine = TestMachine()
    machine.map(0x1000, to: 0x3_2000)
    // A fifth level above the four that are there.
    let top = PhysicalAddress(0x1F_0000)
    let entry = PageTableEntry(machine.tables.root, [.present, .writable])
    _ = machine.northbridge.memory.store(entry.rawValue, at: top)
    _ = machine.northbridge.memory.store(entry.rawValue, at: top.advanced(by: 3 * 8))
    machine.core.mmu.controls.insert(.fiveLevels)
    machine.core.mmu.pageTableRoot = top
    #expect(machine.translate(0x1000) == .physical(PhysicalAddress(0x3_2000)))
    #expect(machine.translate(3 << 48 | 0x1000) == .physical(PhysicalAddress(0x3_2000)))
    #expect(machine.translate(1 << 48 | 0x1000) == .fault(.notPresent))
    #expect(machine.translate(1 << 56 | 0x1000) == .fault(.nonCanonical))
    _ = machine.northbridge.memory.store(entry.rawValue | PageTableEntry.Flags.large.rawValue, at: top)
    machine.core.mmu.controls.remove(.fiveLevels)
    machine.core.mmu.controls.insert(.fiveLevels)
    #expect(machine.translate(0x2000) == .fault(.reservedBit))
  }

  @Test("without CR0.WP the kernel writes read-only pages, and programs still do not")
  func writeProtect() {
    let machine = TestMachine()
    machine.map(0x1000, to: 0x3_2000, [.present, .user])
    #expect(machine.translate(0x1000, .write) == .fault(.notWritable))
    machine.core.mmu.controls.remove(.writeProtect)
    #expect(machine.translate(0x1000, .write) == .physical(PhysicalAddress(0x3_2000)))
    #expect(machine.translate(0x1000, .write, .user) == .fault(.notWritable))
    #expect(machine.translate(0x1000, .read, .user) == .physical(PhysicalAddress(0x3_2000)))
  }

  @Test("without CR4.PGE loading CR3 forgets global pages; without EFER.NXE the XD bit is reserved")
  func otherControls() {
    let machine = TestMachine()
    machine.map(0x1000, to: 0x3_2000, [.present, .global])
    machine.core.mmu.controls.remove(.globalPages)
    _ = machine.translate(0x1000)
    machine.map(0x1000, to: 0x3_8000, [.present, .executeDisabled])
    machine.core.mmu.pageTableRoot = machine.tables.root
    #expect(machine.translate(0x1000) == .physical(PhysicalAddress(0x3_8000)))
    machine.core.mmu.controls.remove(.executeDisable)
    #expect(machine.translate(0x1000) == .fault(.reservedBit))
  }

  @Test("real-address mode: segment and offset, with and without line A20")
  func realAddressMode() {
    let machine = TestMachine()
    machine.core.mmu.pageTableRoot = nil
    let high = VirtualAddress(segment: 0xFFFF, offset: 0x0010)
    #expect(high.rawValue == 0x10_0000)
    #expect(machine.translate(high.rawValue) == .physical(PhysicalAddress(0x10_0000)))
    machine.core.mmu.controls.insert(.masksAddressLine20)
    #expect(machine.translate(high.rawValue) == .physical(PhysicalAddress(0)))
    #expect(machine.translate(1 << 52) == .fault(.nonCanonical))
  }

  @Test("a page attribute that makes memory uncacheable makes the walker look, whichever bits select it")
  func pageAttributes() {
    let machine = TestMachine()
    // PWT alone selects entry 1; make that one uncacheable.
    machine.core.mmu.pageAttributes = PageAttributeTable(rawValue: 0x0007_0406_0007_0006)
    machine.northbridge.remapping.cache.invalidate()
    let before = machine.northbridge.remapping.cache.counters
    machine.map(0x1000, to: 0x3_2000, [.present])
    _ = machine.translate(0x1000)
    #expect(machine.northbridge.remapping.cache.counters == before)
    machine.map(0x2000, to: 0x3_3000, [.present, .writeThrough])
    _ = machine.translate(0x2000)
    #expect(machine.northbridge.remapping.cache.counters.misses > before.misses)
  }
}
