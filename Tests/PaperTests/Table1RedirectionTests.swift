import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyRings
import AllySimulator
import Testing

extension Table1Tests {
  @Suite("OS cores' MMU: redirect MMIO register accesses to DPI memory")
  struct RegisterRedirection {
    private static let target = VirtualAddress(0x4000_0000)
    /// Where the page of the receive queue's registers is in the BAR.
    private static let queuePage: UInt64 = 0x2000

    private static func hardware() throws -> E1000Hardware {
      var hardware = try E1000Hardware(
        layout: MachineLayout(), model: E1000Model(requester: MachineLayout.nic, macAddress: [0x52, 0x54, 0, 0, 0, 1]))
      HandDrivenOS.start(&hardware, count: 8)
      return hardware
    }

    /// The attacker's own page tables, with one page.
    private static func map(
      _ physical: PhysicalAddress, size: PageSize = .size4KiB, uncacheable: Bool = true, _ hardware: inout E1000Hardware
    ) {
      var tables = PageTables(arena: PhysicalAddress(0x30_0000), pages: 8)
      let isMapped = tables.map(
        target, to: physical, size: size, uncacheable: uncacheable, in: hardware.northbridge.memory)
      #expect(isMapped)
      hardware.os.core.mmu.pageTableRoot = tables.root
    }

    private static func nicTail(_ hardware: inout E1000Hardware) -> UInt64 {
      hardware.nic.device.readRegister(QueueRegister.receiveTail, width: .doubleWord)
    }

    /// A store to the tail register by this address goes to the shadow, and not to the NIC.
    private static func expectRedirected(
      _ address: VirtualAddress, _ hardware: inout E1000Hardware,
      sourceLocation: SourceLocation = #_sourceLocation
    ) {
      let nicTail = nicTail(&hardware)
      let stores = hardware.northbridge.remapping.counters.stores
      let outcome = hardware.os.core.store(
        5, at: address, width: .doubleWord, on: &hardware.northbridge, devices: &hardware.nic)
      #expect(outcome == .done(5), sourceLocation: sourceLocation)
      #expect(hardware.northbridge.remapping.counters.stores == stores + 1, sourceLocation: sourceLocation)
      let after = Self.nicTail(&hardware)
      #expect(after == nicTail, sourceLocation: sourceLocation)
    }

    @Test(
      "a kernel maps the registers as memory, or in a large page: redirected all the same",
      arguments: [PageSize.size4KiB, .size2MiB], [true, false])
    func mappings(size: PageSize, uncacheable: Bool) throws {
      var hardware = try Self.hardware()
      let register = MachineLayout.nicRegisters.advanced(by: UInt64(QueueRegister.receiveTail))
      let page = PhysicalAddress(register.rawValue & ~(size.rawValue - 1))
      Self.map(page, size: size, uncacheable: uncacheable, &hardware)
      Self.expectRedirected(VirtualAddress(Self.target.rawValue + register.rawValue - page.rawValue), &hardware)
    }

    @Test(
      "a hypervisor gives the NIC to a guest, as device memory or as cacheable memory",
      arguments: [MemoryType.uncacheable, .writeBack])
    func passThroughToAGuest(type: MemoryType) throws {
      var hardware = try Self.hardware()
      Self.map(PhysicalAddress(0x5000_0000), uncacheable: false, &hardware)
      var nested = NestedPageTables(arena: PhysicalAddress(0x20_0000), pages: 16)
      let areMapped = [
        nested.map(
          PhysicalAddress(0x5000_0000), to: MachineLayout.nicRegisters.advanced(by: Self.queuePage), size: .size4KiB,
          type: type, in: hardware.northbridge.memory),
        // The guest's page tables.
        nested.map(
          PhysicalAddress(0x20_0000), to: PhysicalAddress(0x20_0000), size: .size2MiB, in: hardware.northbridge.memory),
      ]
      #expect(areMapped == [true, true])
      hardware.os.core.mmu.nestedPaging = NestedPaging(root: nested.root)
      Self.expectRedirected(
        VirtualAddress(Self.target.rawValue + UInt64(QueueRegister.receiveTail) - Self.queuePage), &hardware)
    }

    @Test("with paging off")
    func pagingOff() throws {
      var hardware = try Self.hardware()
      hardware.os.core.mmu.pageTableRoot = nil
      Self.expectRedirected(
        VirtualAddress(MachineLayout.nicRegisters.rawValue + UInt64(QueueRegister.receiveTail)), &hardware)
    }

    @Test(
      "no access of any width, at any offset near the queue registers, changes a register of the NIC",
      arguments: [RegisterWidth.byte, .word, .doubleWord, .quadWord])
    func straddling(width: RegisterWidth) throws {
      var hardware = try Self.hardware()
      Self.map(MachineLayout.nicRegisters.advanced(by: Self.queuePage), &hardware)
      let queue = [
        QueueRegister.receiveBaseLow, QueueRegister.receiveBaseHigh, QueueRegister.receiveLength,
        QueueRegister.receiveHead, QueueRegister.receiveTail,
      ]
      let before = queue.map { hardware.nic.device.readRegister($0, width: .doubleWord) }
      for offset in UInt64(QueueRegister.receiveBaseLow) - 8...UInt64(QueueRegister.receiveTail) + 4 {
        // Between the registers there are others, which the table leaves to the NIC.
        let address = VirtualAddress(Self.target.rawValue + offset - Self.queuePage)
        _ = hardware.os.core.store(
          .max, at: address, width: width, on: &hardware.northbridge, devices: &hardware.nic)
      }
      let after = queue.map { hardware.nic.device.readRegister($0, width: .doubleWord) }
      #expect(after == before)
    }

    @Test("nor does one of a vector instruction, or a store of a whole cache line", arguments: [16, 32, 64])
    func wideAccesses(length: Int) throws {
      var hardware = try Self.hardware()
      Self.map(MachineLayout.nicRegisters.advanced(by: Self.queuePage), &hardware)
      let tail = UInt64(QueueRegister.receiveTail)
      let before = hardware.nic.device.readRegister(QueueRegister.receiveTail, width: .doubleWord)
      let source = [UInt8](repeating: 0xFF, count: length)
      for offset in tail - 64...tail + 3 where offset + UInt64(length) > tail {
        var loaded = [UInt8](repeating: 0xEE, count: length)
        let address = VirtualAddress(Self.target.rawValue + offset - Self.queuePage)
        let stored = hardware.os.core.store(
          source.span, at: address, on: &hardware.northbridge, devices: &hardware.nic)
        #expect(stored == .done(UInt64(length)))
        var span = loaded.mutableSpan
        let outcome = hardware.os.core.load(
          into: &span, from: address, on: &hardware.northbridge, devices: &hardware.nic)
        #expect(outcome == .done(UInt64(length)))
        #expect(loaded == [UInt8](repeating: 0, count: length))
      }
      let after = hardware.nic.device.readRegister(QueueRegister.receiveTail, width: .doubleWord)
      #expect(after == before)
      let shadow = hardware.os.core.load(
        VirtualAddress(Self.target.rawValue + tail - Self.queuePage), width: .doubleWord, on: &hardware.northbridge,
        devices: &hardware.nic)
      #expect(shadow == .done(0), "half a register is worse than none")
    }

    @Test("a page that was in the TLB before its device was intercepted has no stale way to the device")
    func staleEntry() throws {
      var hardware = try Self.hardware()
      Self.map(MachineLayout.nicRegisters.advanced(by: Self.queuePage), &hardware)
      let tail = VirtualAddress(Self.target.rawValue + UInt64(QueueRegister.receiveTail) - Self.queuePage)
      let intercepted = hardware.northbridge.remapping.device(MachineLayout.nic)
      let device = try #require(intercepted)
      hardware.northbridge.remapping.release(MachineLayout.nic)
      _ = hardware.os.core.load(tail, width: .doubleWord, on: &hardware.northbridge, devices: &hardware.nic)
      try hardware.northbridge.remapping.intercept(device, ranges: E1000Driver.registers)
      Self.expectRedirected(tail, &hardware)
    }

    @Test("the table's lines stay in the Last Level Cache: lookups after the first cost no memory access")
    func cachedTable() throws {
      var hardware = try Self.hardware()
      for value in UInt32(0)..<8 { hardware.writeRegister(QueueRegister.receiveTail, value) }
      let before = hardware.northbridge.remapping.cache.counters
      for value in UInt32(0)..<100 { hardware.writeRegister(QueueRegister.receiveTail, value % 8) }
      let after = hardware.northbridge.remapping.cache.counters
      #expect(after.misses == before.misses)
      #expect(after.hits >= before.hits + 100)
      // Pressure of other traffic drives the lines out, and the next lookup brings them back.
      hardware.northbridge.remapping.cache.fill(PhysicalAddress(0), length: 1 << 20)
      hardware.writeRegister(QueueRegister.receiveTail, 1)
      #expect(hardware.northbridge.remapping.cache.counters.misses > after.misses)
    }
  }
}
