import AllyHW
import AllySimulator
import Testing

extension Table1Tests {
  @Suite("OS cores' MMU: prevent memory accesses to DPI memory from OS cores")
  struct MemoryProtection {
    @Test(
      "a kernel maps DPI memory, by pages of every size, in tables of four and of five levels",
      arguments: [PageSize.size4KiB, .size2MiB, .size1GiB], [4, 5])
    func mapsDPIMemory(size: PageSize, levels: Int) throws {
      let attacker = try Attacker()
      let physical = attacker.secret.rawValue & ~(size.rawValue - 1)
      attacker.map(levels: levels, [(Attacker.target, physical, size)])
      attacker.expectRefused(Attacker.target + attacker.secret.rawValue - physical)
    }

    @Test("a page of 1 GiB begins in OS memory and ends in DPI memory: no part of it is loaded")
    func gigabytePageAcrossTheBoundary() throws {
      let attacker = try Attacker(PlatformLayout(memory: 3 << 30, dpiMemory: 512 << 20))
      attacker.map([(Attacker.target, 2 << 30, .size1GiB), (2 * Attacker.target, 1 << 30, .size1GiB)])
      attacker.expectRefused(Attacker.target)
      attacker.expectRefused(Attacker.target + attacker.secret.rawValue - 2 << 30)
      // The GiB before it is the OS's.
      #expect(attacker.store(7, at: 2 * Attacker.target) == .done(7))
    }

    @Test("page tables in DPI memory are not read, nor are their accessed bits written")
    func forgedTables() throws {
      let attacker = try Attacker()
      // An entry that is well-formed, as left-over data may be: a table of DPI memory that points to itself.
      let forged = attacker.secret.advanced(by: 0x1000)
      let entry = PageTableEntry(forged, [.present, .writable])
      #expect(attacker.platform.northbridge.memory.store(entry.rawValue, at: forged) == true)
      attacker.withMMU { $0.pageTableRoot = forged }
      #expect(attacker.load(0) == .fault(.dpiMemory))
      attacker.map([(Attacker.target, 0x20_0000, .size2MiB)])
      // The kernel's own top-level table now leads there.
      #expect(attacker.platform.northbridge.memory.store(entry.rawValue, at: Attacker.tables) == true)
      #expect(attacker.store(1, at: 0) == .fault(.dpiMemory))
      #expect(attacker.platform.northbridge.memory.load(UInt64.self, at: forged) == entry.rawValue)
    }

    @Test(
      "a hypervisor maps DPI memory into a guest, by pages of every size",
      arguments: [PageSize.size4KiB, .size2MiB, .size1GiB])
    func nestedMapping(size: PageSize) throws {
      let attacker = try Attacker()
      attacker.map([(Attacker.target, 0x8000_0000, .size1GiB)])
      let physical = attacker.secret.rawValue & ~(size.rawValue - 1)
      var nested = Self.hypervisor(attacker)
      let isMapped = nested.map(
        PhysicalAddress(0x8000_0000), to: PhysicalAddress(physical), size: size,
        in: attacker.platform.northbridge.memory)
      #expect(isMapped)
      attacker.withMMU { $0.nestedPaging = NestedPaging(root: nested.root) }
      attacker.expectRefused(Attacker.target + attacker.secret.rawValue - physical)
      // With paging off in the guest, too.
      attacker.withMMU { $0.pageTableRoot = nil }
      attacker.expectRefused(0x8000_0000 + attacker.secret.rawValue - physical)
    }

    @Test("a hypervisor puts a guest's page table into DPI memory: nothing is read from it, or written to it")
    func guestTablesInDPIMemory() throws {
      let attacker = try Attacker()
      attacker.map([(Attacker.target, 0x20_0000, .size2MiB)])
      var nested = Self.hypervisor(attacker)
      let table = PhysicalAddress(0x7000_0000)
      let isMapped = nested.map(
        table, to: PhysicalAddress(attacker.secret.rawValue & ~0xFFF), size: .size4KiB,
        in: attacker.platform.northbridge.memory)
      #expect(isMapped)
      let entry = PageTableEntry(PhysicalAddress(0x7000_0000), [.present, .writable])
      let place = attacker.secret
      #expect(attacker.platform.northbridge.memory.store(entry.rawValue, at: place) == true)
      attacker.withMMU {
        $0.nestedPaging = NestedPaging(root: nested.root)
        $0.pageTableRoot = table
      }
      #expect(attacker.load(0) == .fault(.dpiMemory))
      #expect(attacker.store(1, at: 0) == .fault(.dpiMemory))
      #expect(attacker.platform.northbridge.memory.load(UInt64.self, at: place) == entry.rawValue, "not even marked")
    }

    @Test("a hypervisor's own tables in DPI memory are not read", arguments: [true, false])
    func nestedTablesInDPIMemory(marksAccess: Bool) throws {
      let attacker = try Attacker()
      attacker.map([(Attacker.target, 0x20_0000, .size2MiB)])
      let forged = attacker.secret.advanced(by: 0x1000)
      let entry = NestedPageTableEntry(forged, .all)
      #expect(attacker.platform.northbridge.memory.store(entry.rawValue, at: forged) == true)
      attacker.withMMU { $0.nestedPaging = NestedPaging(root: forged, marksAccess: marksAccess) }
      #expect(attacker.load(Attacker.target) == .fault(.dpiMemory))
      #expect(attacker.platform.northbridge.memory.load(UInt64.self, at: forged) == entry.rawValue)
    }

    /// Second-stage tables that map the first 16 MiB as they are.
    private static func hypervisor(_ attacker: Attacker) -> NestedPageTables {
      var nested = NestedPageTables(arena: PhysicalAddress(0x40_0000), pages: 32)
      for page in stride(from: UInt64(0), to: 16 << 20, by: 2 << 20) {
        let isMapped = nested.map(
          PhysicalAddress(page), to: PhysicalAddress(page), size: .size2MiB, in: attacker.platform.northbridge.memory)
        #expect(isMapped)
      }
      return nested
    }

    @Test("real-address mode, with the segment limits of protected mode, reaches OS memory only")
    func realAddressMode() throws {
      let attacker = try Attacker()
      attacker.expectRefused(VirtualAddress(segment: 0, offset: UInt32(attacker.secret.rawValue)).rawValue)
      let low = VirtualAddress(segment: 0x1234, offset: 0x5678).rawValue
      #expect(low == 0x179B8)
      #expect(attacker.store(5, at: low) == .done(5))
    }

    @Test("an address that the masked line A20 turns into one of DPI memory is refused")
    func addressLine20() throws {
      let attacker = try Attacker(PlatformLayout(memory: 4 << 20, dpiMemory: 2 << 20))
      // DPI memory from 2 to 3 MiB, and OS memory again above it.
      attacker.platform.northbridge.setPartition(
        Partition(boundary: PhysicalAddress(2 << 20), end: PhysicalAddress(3 << 20)))
      #expect(attacker.store(1, at: 3 << 20) == .done(1))
      attacker.withMMU { $0.controls.insert(.masksAddressLine20) }
      #expect(attacker.store(1, at: 3 << 20) == .fault(.dpiMemory))
    }

    @Test("memory that becomes DPI memory is out of reach at once, though the TLB had it, on every core")
    func boundaryMoves() throws {
      let attacker = try Attacker(PlatformLayout(osCores: 3))
      let layout = attacker.platform.layout
      let taken = attacker.boundary.rawValue - (2 << 20)
      attacker.map([(Attacker.target, taken, .size2MiB)])
      for core in 0..<3 {
        attacker.platform.withCore(layout.osCore(core)) { core, _, _ in core.mmu.pageTableRoot = Attacker.tables }
        #expect(attacker.platform.store(9, at: Attacker.target, by: layout.osCore(core)) == .done(9))
      }
      let error = attacker.platform.configure(
        AllyConfiguration.Register.boundary, taken, by: layout.dpiCore())
      #expect(error == .none)
      for core in 0..<3 {
        #expect(attacker.platform.load(Attacker.target, by: layout.osCore(core)) == .fault(.dpiMemory))
      }
      // And back: what was taken may be used again.
      #expect(
        attacker.platform.configure(AllyConfiguration.Register.boundary, taken + 2 << 20, by: layout.dpiCore()) == .none
      )
      #expect(attacker.platform.load(Attacker.target, by: layout.osCore(1)) == .done(9))
    }

    @Test(
      "whichever of many cores it is, and however much memory there is",
      arguments: [(1, 1, UInt64(64 << 20)), (60, 4, 8 << 30), (63, 1, 1 << 40), (2, 62, 1 << 40)])
    func scale(osCores: Int, dpiCores: Int, memory: UInt64) throws {
      let layout = PlatformLayout(osCores: osCores, dpiCores: dpiCores, memory: memory, dpiMemory: 32 << 20)
      let attacker = try Attacker(layout, core: osCores - 1)
      let secret = attacker.secret.rawValue
      let lastOfOS = attacker.boundary.rawValue - 0x1000
      attacker.map([
        (Attacker.target, secret & ~0xFFF, .size4KiB), (Attacker.target + 0x1000, lastOfOS, .size4KiB),
      ])
      attacker.expectRefused(Attacker.target)
      #expect(attacker.store(11, at: Attacker.target + 0x1000) == .done(11))
      for core in 0..<dpiCores {
        #expect(
          attacker.platform.load(secret, width: .quadWord, by: layout.dpiCore(core)) == .done(Attacker.secretValue),
          "DPI cores reach both partitions")
      }
    }
  }
}
