import AllyHW
import Testing

@Suite("IOMMU: DMA stays out of DPI memory")
struct IOMMUTests {
  private let disk = RequesterID(bus: 0, device: 7, function: 0)
  private let dpi = BusAddress(TestMachine.boundary.rawValue)

  @Test("a device that is not authorized is refused, by one byte too")
  func refusesDPIMemory() {
    var iommu = IOMMU(partition: TestMachine.partition)
    #expect(iommu.translate(dpi, length: 1, rights: .read, requester: disk) == nil)
    let before = BusAddress(dpi.rawValue - 16)
    #expect(iommu.translate(before, length: 17, rights: .write, requester: disk) == nil)
    #expect(iommu.translate(before, length: 16, rights: .write, requester: disk) == PhysicalAddress(before.rawValue))
    #expect(iommu.faults.dpiMemory == 2)
    #expect(
      iommu.lastFault == DMAFaultRecord(requester: disk, address: before, rights: .write, cause: .dpiMemory))
  }

  @Test("an authorized one is not")
  func authorized() {
    var iommu = IOMMU(partition: TestMachine.partition)
    iommu.attach(TestMachine.nic, to: .identity, mayReachDPIMemory: true)
    #expect(iommu.translate(dpi, length: 16, rights: .write, requester: TestMachine.nic) == TestMachine.boundary)
    #expect(iommu.translate(dpi, length: 16, rights: .write, requester: disk) == nil)
    // And it can be taken back.
    iommu.attach(TestMachine.nic, to: .identity)
    #expect(iommu.translate(dpi, length: 16, rights: .write, requester: TestMachine.nic) == nil)
  }

  @Test("a mapped domain reaches its pages and no others, with the rights they have")
  func mappedDomain() throws {
    var iommu = IOMMU(partition: TestMachine.partition)
    iommu.attach(disk, to: .mapped)
    try iommu.map(BusAddress(0x10000), to: PhysicalAddress(0x3_2000), rights: .read, for: disk)
    #expect(
      iommu.translate(BusAddress(0x10123), length: 4, rights: .read, requester: disk) == PhysicalAddress(0x3_2123))
    #expect(iommu.translate(BusAddress(0x10123), length: 4, rights: .write, requester: disk) == nil)
    #expect(iommu.translate(BusAddress(0x10FFE), length: 4, rights: .read, requester: disk) == nil)
    #expect(iommu.translate(BusAddress(0x3_2000), length: 4, rights: .read, requester: disk) == nil)
    // Another requester's pages are its own.
    iommu.attach(TestMachine.nic, to: .mapped)
    #expect(iommu.translate(BusAddress(0x10123), length: 4, rights: .read, requester: TestMachine.nic) == nil)
    #expect(iommu.faults.notMapped == 4)
    #expect(iommu.unmap(BusAddress(0x10000), for: disk) == true)
    #expect(iommu.translate(BusAddress(0x10123), length: 4, rights: .read, requester: disk) == nil)
    #expect(iommu.unmap(BusAddress(0x10000), for: disk) == false)
  }

  @Test("a mapping into DPI memory is of no use to a device that is not authorized")
  func mappedIntoDPIMemory() throws {
    var iommu = IOMMU(partition: TestMachine.partition)
    iommu.attach(disk, to: .mapped)
    try iommu.map(BusAddress(0x10000), to: TestMachine.boundary, rights: .readWrite, for: disk)
    #expect(iommu.translate(BusAddress(0x10000), length: 4, rights: .write, requester: disk) == nil)
    #expect(iommu.faults.dpiMemory == 1)
  }

  @Test("a blocked device does no DMA")
  func blocked() {
    var iommu = IOMMU(partition: TestMachine.partition)
    iommu.attach(disk, to: .blocked)
    #expect(iommu.translate(BusAddress(0x1000), length: 4, rights: .read, requester: disk) == nil)
    #expect(iommu.faults.blocked == 1)
  }

  @Test("empty ranges, and those that wrap around, are refused")
  func badRanges() {
    var iommu = IOMMU(partition: TestMachine.partition)
    #expect(iommu.translate(BusAddress(0x1000), length: 0, rights: .read, requester: disk) == nil)
    #expect(iommu.translate(BusAddress(.max), length: 2, rights: .read, requester: disk) == nil)
    #expect(iommu.faults.badRange == 2)
  }

  @Test("mapping errors leave the table as it was, and slots are used again")
  func mappingErrors() throws {
    var iommu = IOMMU(partition: TestMachine.partition, pages: 2)
    iommu.attach(disk, to: .mapped)
    let physical = PhysicalAddress(0x3_2000)
    #expect(throws: DMAMappingError.notAligned) {
      try iommu.map(BusAddress(0x10), to: physical, rights: .read, for: disk)
    }
    for round in 0..<100 {
      let address = BusAddress(UInt64(round) << 12)
      try iommu.map(address, to: physical, rights: .read, for: disk)
      #expect(throws: DMAMappingError.alreadyMapped) {
        try iommu.map(address, to: physical, rights: .read, for: disk)
      }
      #expect(iommu.translate(address, length: 4096, rights: .read, requester: disk) == physical)
      #expect(iommu.unmap(address, for: disk) == true)
    }
    try iommu.map(BusAddress(0x1000), to: physical, rights: .read, for: disk)
    try iommu.map(BusAddress(0x2000), to: physical, rights: .read, for: disk)
    #expect(throws: DMAMappingError.full) {
      try iommu.map(BusAddress(0x3000), to: physical, rights: .read, for: disk)
    }
  }
}

@Suite("Northbridge: DMA")
struct NorthbridgeTests {
  private let bytes: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8]

  @Test("what a device writes, it and the cores read")
  func readsBack() {
    let machine = TestMachine()
    #expect(machine.northbridge.writeMemory(BusAddress(0x3_2000), bytes.span, requester: TestMachine.nic) == true)
    var back = [UInt8](repeating: 0, count: 10)
    var span = back.mutableSpan
    #expect(
      machine.northbridge.readMemory(BusAddress(0x3_2000), into: &span, range: 1..<9, requester: TestMachine.nic)
        == true)
    #expect(back == [0, 1, 2, 3, 4, 5, 6, 7, 8, 0])
  }

  @Test("a buffer over pages that are mapped to different places is read and written piece by piece")
  func scattered() throws {
    let machine = TestMachine()
    machine.northbridge.iommu.attach(TestMachine.nic, to: .mapped)
    try machine.northbridge.iommu.map(
      BusAddress(0x10000), to: PhysicalAddress(0x3_8000), rights: .readWrite, for: TestMachine.nic)
    try machine.northbridge.iommu.map(
      BusAddress(0x11000), to: PhysicalAddress(0x3_2000), rights: .readWrite, for: TestMachine.nic)
    #expect(machine.northbridge.writeMemory(BusAddress(0x10FFD), bytes.span, requester: TestMachine.nic) == true)
    #expect(machine.northbridge.memory.load(UInt8.self, at: PhysicalAddress(0x3_8FFF)) == 3)
    #expect(machine.northbridge.memory.load(UInt8.self, at: PhysicalAddress(0x3_2000)) == 4)
    var back = [UInt8](repeating: 0, count: 8)
    var span = back.mutableSpan
    #expect(
      machine.northbridge.readMemory(BusAddress(0x10FFD), into: &span, range: 0..<8, requester: TestMachine.nic) == true
    )
    #expect(back == bytes)
  }

  @Test("an address without memory is refused and counted")
  func absent() {
    let machine = TestMachine()
    #expect(
      machine.northbridge.writeMemory(BusAddress(0x10_0000_0000), bytes.span, requester: TestMachine.nic) == false)
    #expect(machine.northbridge.publish(1, at: BusAddress(0x10_0000_0000), requester: TestMachine.nic) == false)
    #expect(machine.northbridge.iommu.faults.absent == 2)
  }

  @Test("a descriptor word is published only where it is aligned and allowed")
  func publish() {
    let machine = TestMachine()
    #expect(machine.northbridge.publish(0x1122, at: BusAddress(0x3_2008), requester: TestMachine.nic) == true)
    #expect(machine.northbridge.memory.load(UInt64.self, at: PhysicalAddress(0x3_2008)) == 0x1122)
    #expect(machine.northbridge.publish(1, at: BusAddress(0x3_2004), requester: TestMachine.nic) == false)
    #expect(
      machine.northbridge.publish(1, at: BusAddress(TestMachine.boundary.rawValue), requester: TestMachine.nic) == false
    )
  }

  @Test("a write to the interrupt range is a message, not memory")
  func message() {
    let machine = TestMachine()
    let message = MessageSignaledInterrupt(core: TestMachine.osCore, vector: 0x41)
    let data: [UInt8] = [0x41, 0, 0, 0]
    #expect(machine.northbridge.writeMemory(BusAddress(message.address), data.span, requester: TestMachine.nic) == true)
    #expect(machine.northbridge.interrupts.pending(at: TestMachine.osCore) == 0x41)
  }
}

@Suite("IOMMU: the log of faults")
struct DMAFaultLogTests {
  private let secret = BusAddress(TestMachine.boundary.rawValue)

  private func fault(_ iommu: inout IOMMU, by requester: UInt16) {
    _ = iommu.translate(secret, length: 8, rights: .write, requester: RequesterID(rawValue: requester))
  }

  @Test("faults come out in their order, with who, where and why")
  func order() {
    var iommu = IOMMU(partition: TestMachine.partition)
    for requester: UInt16 in 1...3 { fault(&iommu, by: requester) }
    for requester: UInt16 in 1...3 {
      #expect(
        iommu.takeFault()
          == DMAFaultRecord(
            requester: RequesterID(rawValue: requester), address: secret, rights: .write, cause: .dpiMemory))
    }
    #expect(iommu.takeFault() == nil)
  }

  @Test("a requester has credit for a burst, and for one more each millisecond, up to a burst")
  func rate() {
    var iommu = IOMMU(partition: TestMachine.partition)
    func recorded(after nanoseconds: UInt64, _ iommu: inout IOMMU) -> Int {
      iommu.advanceClock(to: nanoseconds)
      for _ in 0..<20 { fault(&iommu, by: 9) }
      var count = 0
      while iommu.takeFault() != nil { count += 1 }
      return count
    }
    #expect(recorded(after: 0, &iommu) == 8)
    #expect(recorded(after: 999_999, &iommu) == 0)
    #expect(recorded(after: 3_000_000, &iommu) == 3)
    #expect(recorded(after: 3_000_000_000, &iommu) == 8)
    // Time does not run backwards.
    #expect(recorded(after: 1, &iommu) == 0)
    #expect(recorded(after: .max, &iommu) == 8)
    #expect(iommu.faults.dpiMemory == 120)
    #expect(iommu.faultLog.suppressed == 120 - 27)
  }

  @Test("a log that nobody reads is full, and that is counted")
  func overflow() {
    var iommu = IOMMU(partition: TestMachine.partition)
    for requester: UInt16 in 0..<64 { for _ in 0..<4 { fault(&iommu, by: requester) } }
    #expect(iommu.faultLog.count == DMAFaultLog.capacity)
    #expect(iommu.faultLog.overflowed == 64 * 4 - UInt64(DMAFaultLog.capacity))
    #expect(iommu.takeFault()?.requester == RequesterID(rawValue: 0))
  }
}
