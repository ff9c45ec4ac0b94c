import AllyAppliance
import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyRings
import AllySimulator
import Testing

/// Figure 2: the modified TLB Miss Handler keeps OS cores out of DPI memory. Figure 3: accesses to intercepted registers
/// go to the shadow in DPI memory, all others to the device. Both on the machine, from the OS core's side.
@Suite struct Figure2And3Tests {
  private static func hardware() throws -> E1000Hardware {
    try E1000Hardware(
      layout: MachineLayout(),
      model: E1000Model(requester: MachineLayout.nic, macAddress: [0x52, 0x54, 0, 0x12, 0x34, 0x56]))
  }

  /// A hostile kernel's own page table entry for a page of DPI memory, in a table of OS memory.
  private static func mapDPIMemory(_ hardware: inout E1000Hardware, at virtual: VirtualAddress) -> PhysicalAddress {
    let secret = hardware.dpi.virtualizer[0].receive.state.dpiQueue.base
    var tables = PageTables(arena: PhysicalAddress(0x30_0000), pages: 8)
    let isMapped = tables.map(
      virtual, to: PhysicalAddress(secret.rawValue & ~0xFFF), size: .size4KiB, in: hardware.northbridge.memory)
    #expect(isMapped)
    hardware.os.core.mmu.pageTableRoot = tables.root
    return secret
  }

  @Test func theKernelCannotMapDPIMemory() throws {
    var hardware = try Self.hardware()
    HandDrivenOS.start(&hardware, count: 8)
    HandDrivenOS.post(&hardware, slots: 0..<3)
    var inspector = ScriptedInspector()
    hardware.passDPI(inspecting: &inspector)
    let virtual = VirtualAddress(0x4000_0000)
    let secret = Self.mapDPIMemory(&hardware, at: virtual)
    let before = hardware.northbridge.memory.load(UInt64.self, at: secret)
    #expect(before != nil)

    let load = hardware.os.core.load(
      virtual, width: .quadWord, on: &hardware.northbridge, devices: &hardware.nic)
    #expect(load == .fault(.dpiMemory))
    let store = hardware.os.core.store(
      0xDEAD, at: virtual, width: .quadWord, on: &hardware.northbridge, devices: &hardware.nic)
    #expect(store == .fault(.dpiMemory))
    #expect(hardware.os.core.mmu.counters.refusedFills == 2)
    let after = hardware.northbridge.memory.load(UInt64.self, at: secret)
    #expect(after == before)
  }

  @Test func theCheckCostsNothingOnAHit() throws {
    var hardware = try Self.hardware()
    _ = hardware.load(HandDrivenOS.ring)
    let misses = hardware.os.core.mmu.counters.misses
    for _ in 0..<100 { _ = hardware.load(HandDrivenOS.ring) }
    #expect(hardware.os.core.mmu.counters.misses == misses)
    #expect(hardware.os.core.mmu.counters.remappingLookups == 0, "cacheable pages have no redirection bit")
  }

  @Test func aQueueRegisterIsRedirectedAndTheDPICoreTold() throws {
    var hardware = try Self.hardware()
    HandDrivenOS.start(&hardware, count: 8)
    let before = hardware.northbridge.interrupts.counters.redirectionIPIs
    let nicTail = hardware.nic.device.readRegister(QueueRegister.receiveTail, width: .doubleWord)
    hardware.writeRegister(QueueRegister.receiveTail, 5)
    #expect(hardware.northbridge.interrupts.counters.redirectionIPIs == before + 1)
    #expect(hardware.readRegister(QueueRegister.receiveTail) == 5, "the OS reads back what it wrote")
    #expect(
      hardware.nic.device.readRegister(QueueRegister.receiveTail, width: .doubleWord) == nicTail,
      "the NIC's own register stands still until the DPI core moves it")
  }

  @Test func mappingTheRegistersAsMemoryDoesNotGetAroundTheTable() throws {
    var hardware = try Self.hardware()
    HandDrivenOS.start(&hardware, count: 8)
    var tables = PageTables(arena: PhysicalAddress(0x30_0000), pages: 8)
    let virtual = VirtualAddress(0x4000_0000)
    let queuePage: UInt64 = 0x2000
    let isMapped = tables.map(
      virtual, to: MachineLayout.nicRegisters.advanced(by: queuePage), size: .size4KiB, uncacheable: false,
      in: hardware.northbridge.memory)
    #expect(isMapped)
    hardware.os.core.mmu.pageTableRoot = tables.root
    let before = hardware.northbridge.remapping.counters.stores
    let tail = VirtualAddress(virtual.rawValue + UInt64(QueueRegister.receiveTail) - queuePage)
    _ = hardware.os.core.store(7, at: tail, width: .doubleWord, on: &hardware.northbridge, devices: &hardware.nic)
    #expect(hardware.northbridge.remapping.counters.stores == before + 1)
    let nicTail = hardware.nic.device.readRegister(QueueRegister.receiveTail, width: .doubleWord)
    #expect(nicTail == 0)
  }

  @Test func aRegisterThatIsNotInterceptedReachesTheDevice() throws {
    var hardware = try Self.hardware()
    // RAL, the station address (8254x SDM §13.5.2).
    hardware.writeRegister(0x5400, 0x1234_5678)
    #expect(hardware.nic.device.readRegister(0x5400, width: .doubleWord) == 0x1234_5678)
    #expect(hardware.northbridge.interrupts.counters.redirectionIPIs == 0)
  }

  @Test func theOSNeverReadsAnAddressOfDPIMemoryFromARegister() throws {
    var hardware = try Self.hardware()
    HandDrivenOS.start(&hardware, count: 8)
    HandDrivenOS.post(&hardware, slots: 0..<3)
    var inspector = ScriptedInspector()
    hardware.passDPI(inspecting: &inspector)
    let partition = hardware.os.core.mmu.partition
    let real = hardware.nic.device.readRegister(QueueRegister.receiveBaseLow, width: .doubleWord)
    #expect(partition.isDPI(PhysicalAddress(real)), "the NIC works on the DPI queue")
    for offset in stride(from: UInt32(0), to: 0x8000, by: 4) {
      let value = hardware.readRegister(offset)
      #expect(!partition.isDPI(PhysicalAddress(UInt64(value))), "register 0x\(String(offset, radix: 16))")
    }
    #expect(hardware.readRegister(QueueRegister.receiveBaseLow) == UInt32(HandDrivenOS.ring.rawValue))
  }

  @Test func theRemappingTableIsSmall() {
    let rows = E1000Driver.registers.filter { $0.disposition != .passThrough }
    #expect(rows.count < 10, "fewer than ten entries per intercepted device (paper §4.3)")
  }
}
