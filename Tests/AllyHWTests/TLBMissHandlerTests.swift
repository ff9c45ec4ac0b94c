import AllyHW
import Testing

@Suite("Figure 2: the TLB Miss Handler keeps OS cores out of DPI memory")
struct TLBMissHandlerTests {
  @Test("a fill from DPI memory is refused, counted, and not cached")
  func refusesFill() {
    let machine = TestMachine()
    machine.map(0x1000, to: TestMachine.boundary.rawValue)
    #expect(machine.translate(0x1000) == .fault(.dpiMemory))
    #expect(machine.translate(0x1000) == .fault(.dpiMemory))
    #expect(machine.core.mmu.counters.refusedFills == 2)
    #expect(machine.core.mmu.counters.hits == 0)
  }

  @Test("the last page of OS memory is filled, and the first of DPI memory is not")
  func boundaryPages() {
    let machine = TestMachine()
    machine.map(0x1000, to: TestMachine.boundary.rawValue - 0x1000)
    machine.map(0x2000, to: TestMachine.memoryLength - 0x1000)
    #expect(machine.translate(0x1FFC) == .physical(TestMachine.boundary.advanced(by: UInt64.max - 3)))
    #expect(machine.translate(0x2000) == .fault(.dpiMemory))
  }

  @Test("a large page of which any part is DPI memory is refused, also for its part in OS memory")
  func largePageTouchesBoundary() {
    let machine = TestMachine()
    // 4 to 6 MiB, with the boundary at 5.
    machine.map(0x4000_0000, to: 4 << 20, size: .size2MiB)
    #expect(machine.translate(0x4000_0000) == .fault(.dpiMemory))
    // The first GiB holds all memory of this machine.
    machine.map(0x80_0000_0000, to: 0, size: .size1GiB)
    #expect(machine.translate(0x80_0000_0000) == .fault(.dpiMemory))
    // 2 to 4 MiB ends before it.
    machine.map(0x4020_0000, to: 2 << 20, size: .size2MiB)
    #expect(machine.translate(0x403F_FFFC) == .physical(PhysicalAddress((4 << 20) - 4)))
  }

  @Test("page tables in DPI memory are not walked, and not marked")
  func tablesInDPIMemory() {
    let machine = TestMachine()
    let forged = TestMachine.boundary
    let entry = PageTableEntry(forged, [.present, .writable])
    _ = machine.northbridge.memory.store(entry.rawValue, at: forged)
    machine.core.mmu.pageTableRoot = forged
    #expect(machine.translate(0) == .fault(.dpiMemory))
    #expect(machine.northbridge.memory.load(UInt64.self, at: forged) == entry.rawValue)

    // A table further down counts as well.
    machine.core.mmu.pageTableRoot = machine.tables.root
    _ = machine.northbridge.memory.store(entry.rawValue, at: machine.tables.root)
    #expect(machine.translate(0) == .fault(.dpiMemory))
  }

  @Test("a DPI core reaches both partitions")
  func dpiCoreIsExempt() {
    let machine = TestMachine()
    machine.map(0x1000, to: TestMachine.boundary.rawValue)
    machine.map(0x2000, to: 0x3_2000)
    for (virtual, physical) in [(UInt64(0x1000), TestMachine.boundary.rawValue), (0x2000, 0x3_2000)] {
      let translation = machine.dpiCore.mmu.translate(
        VirtualAddress(virtual), length: 8, rights: .readWrite, memory: machine.northbridge.memory,
        remapping: machine.northbridge.remapping)
      #expect(translation == .physical(PhysicalAddress(physical)))
    }
  }

  @Test("with paging off, as early in the boot, the check holds too")
  func realMode() {
    let machine = TestMachine()
    machine.core.mmu.pageTableRoot = nil
    #expect(machine.translate(0x3_2000) == .physical(PhysicalAddress(0x3_2000)))
    #expect(machine.translate(TestMachine.boundary.rawValue) == .fault(.dpiMemory))
    #expect(
      machine.translate(TestMachine.registerBase.rawValue + 0x2818, .write)
        == .redirected(TestMachine.registerBase.advanced(by: 0x2818), row: 2))
  }

  @Test("moving the boundary forgets what was checked against the old one")
  func boundaryMoves() {
    let machine = TestMachine()
    machine.map(0x1000, to: 4 << 20)
    #expect(machine.translate(0x1000) == .physical(PhysicalAddress(4 << 20)))
    machine.core.mmu.partition = Partition(
      boundary: PhysicalAddress(4 << 20), end: PhysicalAddress(TestMachine.memoryLength))
    #expect(machine.translate(0x1000) == .fault(.dpiMemory))
  }

  @Test("no page table makes an OS core read or write a byte of DPI memory", arguments: [UInt64(3), 1001, 0xA11A])
  func randomTables(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let machine = TestMachine()
    var refused = 0
    for round in 0..<300 {
      let size: PageSize = [.size4KiB, .size4KiB, .size2MiB].randomElement(using: &random)!
      // Each round its own 2 MiB of virtual addresses: the entry above decides about the size.
      let virtual = UInt64(round) << 21
      let physical = UInt64.random(in: 0..<12 << 20, using: &random) & ~(size.rawValue - 1)
      machine.map(virtual, to: physical, size: size)
      let address = virtual + UInt64.random(in: 0..<size.rawValue - 8, using: &random) & ~0xFFF
      switch machine.translate(address, length: 8, .write) {
      case .physical(let found):
        #expect(!TestMachine.partition.touchesDPI(found, length: 8), "seed \(seed), round \(round)")
      case .redirected: Issue.record("memory was taken for a register: seed \(seed), round \(round)")
      case .fault(let fault):
        #expect(fault == .dpiMemory, "seed \(seed), round \(round)")
        refused += 1
      }
    }
    #expect(refused > 0 && refused < 300, "seed \(seed)")
  }
}
