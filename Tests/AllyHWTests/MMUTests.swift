import AllyHW
import Testing

@Suite("MMU: the page-table walk")
struct MMUTests {
  @Test("pages of 4 KiB, 2 MiB and 1 GiB translate, offset included")
  func pageSizes() {
    let machine = TestMachine()
    machine.map(0x40_0000_1000, to: 0x3_2000)
    machine.map(0x40_4000_0000, to: 0x20_0000, size: .size2MiB)
    machine.map(0x80_0000_0000, to: 0x4000_0000, size: .size1GiB)
    #expect(machine.translate(0x40_0000_1234) == .physical(PhysicalAddress(0x3_2234)))
    #expect(machine.translate(0x40_4012_3450) == .physical(PhysicalAddress(0x32_3450)))
    #expect(machine.translate(0x80_1234_5678) == .physical(PhysicalAddress(0x5234_5678)))
    #expect(machine.core.mmu.counters.misses == 3)
  }

  @Test("the second access to a page is a TLB hit")
  func hit() {
    let machine = TestMachine()
    machine.map(0x1000, to: 0x3_2000)
    _ = machine.translate(0x1000)
    #expect(machine.translate(0x1FFC) == .physical(PhysicalAddress(0x3_2FFC)))
    #expect(machine.core.mmu.counters.hits == 1)
    #expect(machine.core.mmu.counters.misses == 1)
  }

  @Test("what the tables do not allow is a fault of its kind")
  func rights() {
    let machine = TestMachine()
    machine.map(0x1000, to: 0x3_2000, [.present, .executeDisabled])
    machine.map(0x2000, to: 0x3_3000, [.present, .writable, .user])
    #expect(machine.translate(0x1000, .write) == .fault(.notWritable))
    #expect(machine.translate(0x1000, .execute) == .fault(.notExecutable))
    #expect(machine.translate(0x1000, .read, .user) == .fault(.notUser))
    #expect(machine.translate(0x2000, .write, .user) == .physical(PhysicalAddress(0x3_3000)))
    #expect(machine.translate(0x3000) == .fault(.notPresent))
    #expect(machine.translate(0x8000_0000_0000) == .fault(.nonCanonical))
    #expect(machine.core.mmu.counters.faults == 5)
  }

  @Test("a program's access is refused on a hit too")
  func userOnHit() {
    let machine = TestMachine()
    machine.map(0x1000, to: 0x3_2000)
    _ = machine.translate(0x1000)
    #expect(machine.translate(0x1000, .read, .user) == .fault(.notUser))
  }

  @Test("an address whose upper bits are wrong does not hit the entry of the right one")
  func aliasOfCanonicalAddress() {
    let machine = TestMachine()
    machine.map(0x1000, to: 0x3_2000)
    _ = machine.translate(0x1000)
    #expect(machine.translate(0x5_0000_0000_1000) == .fault(.nonCanonical))
  }

  @Test("the accessed bit is set by a load, the dirty bit by a store")
  func accessedAndDirty() throws {
    let machine = TestMachine()
    machine.map(0x1000, to: 0x3_2000)
    let place = machine.tables.leaf(VirtualAddress(0x1000), size: .size4KiB, in: machine.northbridge.memory)
    func flags() throws -> PageTableEntry.Flags {
      let raw = machine.northbridge.memory.load(UInt64.self, at: place)
      return PageTableEntry(rawValue: try #require(raw)).flags
    }
    _ = machine.translate(0x1000)
    #expect(try flags().isDisjoint(with: .dirty))
    #expect(try flags().isSuperset(of: .accessed))
    _ = machine.translate(0x1000, .write)
    #expect(try flags().isSuperset(of: .dirty))
  }

  @Test("an access that reaches into the next page is refused, not cut")
  func crossesPage() {
    let machine = TestMachine()
    machine.map(0x1000, to: 0x3_2000)
    #expect(machine.translate(0x1FFD, length: 4) == .fault(.crossesPage))
    #expect(machine.translate(0x1FFC, length: 4) == .physical(PhysicalAddress(0x3_2FFC)))
    #expect(machine.translate(0x1000, length: 0) == .fault(.crossesPage))
  }

  @Test("page tables where no memory is are a fault")
  func absentTables() {
    let machine = TestMachine()
    machine.core.mmu.pageTableRoot = PhysicalAddress(0x10_0000_0000)
    #expect(machine.translate(0x1000) == .fault(.pageTableAbsent))
  }

  @Test("reserved bits of a large page's entry are a fault")
  func reservedBits() {
    let machine = TestMachine()
    let place = machine.tables.leaf(VirtualAddress(0x20_0000), size: .size2MiB, in: machine.northbridge.memory)
    let entry = PageTableEntry(PhysicalAddress(0x20_0000), [.present, .large])
    _ = machine.northbridge.memory.store(entry.rawValue | 1 << 13, at: place)
    #expect(machine.translate(0x20_0000) == .fault(.reservedBit))
  }
}

@Suite("TLB")
struct TLBTests {
  @Test("an entry outlives a change of the tables until INVLPG")
  func staleUntilInvalidated() {
    let machine = TestMachine()
    machine.map(0x1000, to: 0x3_2000)
    _ = machine.translate(0x1000)
    machine.map(0x1000, to: 0x3_8000)
    #expect(machine.translate(0x1000) == .physical(PhysicalAddress(0x3_2000)))
    machine.core.mmu.invalidatePage(VirtualAddress(0x1ABC))
    #expect(machine.translate(0x1000) == .physical(PhysicalAddress(0x3_8000)))
  }

  @Test("INVLPG forgets all pieces of a large page")
  func invalidatesLargePage() {
    let machine = TestMachine()
    machine.map(0x4000_0000, to: 0x20_0000, size: .size2MiB)
    _ = machine.translate(0x4000_0000)
    _ = machine.translate(0x4010_0000)
    machine.map(0x4000_0000, to: 0x0, size: .size2MiB)
    machine.core.mmu.invalidatePage(VirtualAddress(0x401F_F000))
    #expect(machine.translate(0x4000_0000) == .physical(PhysicalAddress(0)))
    #expect(machine.translate(0x4010_0000) == .physical(PhysicalAddress(0x10_0000)))
  }

  @Test("loading CR3 keeps global pages and forgets the rest")
  func loadingCR3() {
    let machine = TestMachine()
    machine.map(0x1000, to: 0x3_2000)
    machine.map(0x2000, to: 0x3_3000, [.present, .global])
    _ = machine.translate(0x1000)
    _ = machine.translate(0x2000)
    machine.map(0x1000, to: 0x3_8000)
    machine.map(0x2000, to: 0x3_9000)
    machine.core.mmu.pageTableRoot = machine.tables.root
    #expect(machine.translate(0x1000) == .physical(PhysicalAddress(0x3_8000)))
    #expect(machine.translate(0x2000) == .physical(PhysicalAddress(0x3_3000)))
  }

  @Test("a permission that was widened needs no flush")
  func widenedRights() {
    let machine = TestMachine()
    machine.map(0x1000, to: 0x3_2000, .present)
    _ = machine.translate(0x1000)
    machine.map(0x1000, to: 0x3_2000)
    #expect(machine.translate(0x1000, .write) == .physical(PhysicalAddress(0x3_2000)))
  }

  @Test("more pages than it holds: every translation stays right", arguments: [UInt64(1), 77, 4242])
  func evictionIsCorrect(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var tlb = TLB(sets: 4, ways: 2)
    var model: [UInt64: UInt64] = [:]
    for _ in 0..<2000 {
      let page = UInt64.random(in: 0..<64, using: &random)
      if Bool.random(using: &random) {
        let physical = UInt64.random(in: 0..<1 << 20, using: &random)
        model[page] = physical
        tlb.insert(
          TLBEntry(
            virtualPage: page, physicalPage: physical, rights: .read, allowsUser: false, isGlobal: false,
            isDirty: false, redirection: false, pageSize: .size4KiB))
        #expect(tlb.entry(for: page)?.physicalPage == physical, "seed \(seed)")
      } else if let entry = tlb.entry(for: page) {
        #expect(entry.physicalPage == model[page], "seed \(seed)")
      }
    }
    tlb.flush()
    for page in 0..<UInt64(64) { #expect(tlb.entry(for: page) == nil, "seed \(seed)") }
  }
}
