import AllyHW
import Testing

@Suite("APICs: registers, delivery modes and destinations")
struct APICRegisterTests {
  private let disk = RequesterID(bus: 0, device: 7, function: 0)

  private func unit(cores: Int = 4, dpiCores: [LocalAPICID] = []) -> InterruptUnit {
    var unit = InterruptUnit(cores: (0..<cores).map { LocalAPICID(UInt32($0)) }, dpiCores: dpiCores)
    unit.connect(disk, pin: 3)
    return unit
  }

  private func core(_ index: Int) -> LocalAPICID { LocalAPICID(UInt32(index)) }

  private func write(_ offset: UInt64, _ value: UInt32, _ unit: inout InterruptUnit, by core: Int = 0) {
    unit.writeRegister(LocalAPICRegister.base.advanced(by: offset), value, by: self.core(core))
  }

  private func read(_ offset: UInt64, _ unit: borrowing InterruptUnit, by core: Int = 0) -> UInt32 {
    unit.readRegister(LocalAPICRegister.base.advanced(by: offset), by: self.core(core))
  }

  private func writeIOAPIC(_ register: UInt32, _ value: UInt32, _ unit: inout InterruptUnit) {
    unit.writeRegister(IOAPIC.base.advanced(by: IOAPIC.Register.select), register, by: core(0))
    unit.writeRegister(IOAPIC.base.advanced(by: IOAPIC.Register.window), value, by: core(0))
  }

  private func readIOAPIC(_ register: UInt32, _ unit: inout InterruptUnit) -> UInt32 {
    unit.writeRegister(IOAPIC.base.advanced(by: IOAPIC.Register.select), register, by: core(0))
    return unit.readRegister(IOAPIC.base.advanced(by: IOAPIC.Register.window), by: core(0))
  }

  /// Which cores have a vector pending; they take it.
  private func takers(_ vector: UInt8, _ unit: inout InterruptUnit, cores: Int = 4) -> [Int] {
    var found: [Int] = []
    for index in 0..<cores where unit.pending(at: core(index)) == vector {
      _ = unit.acknowledge(at: core(index))
      unit.endInterrupt(at: core(index))
      found.append(index)
    }
    return found
  }

  @Test("each core sees its own local APIC at the same address")
  func ownAPIC() {
    var unit = unit()
    for index in 0..<4 {
      #expect(read(LocalAPICRegister.id, unit, by: index) == UInt32(index) << 24)
    }
    write(LocalAPICRegister.taskPriority, 0x40, &unit, by: 2)
    #expect(read(LocalAPICRegister.taskPriority, unit, by: 2) == 0x40)
    #expect(read(LocalAPICRegister.processorPriority, unit, by: 2) == 0x40)
    #expect(read(LocalAPICRegister.taskPriority, unit, by: 1) == 0)
  }

  @Test("IRR, ISR and EOI, through the page")
  func vectorRegisters() {
    var unit = unit()
    unit.sendIPI(0x61, from: core(1), to: core(0))
    // Vector 0x61 is bit 1 of the fourth register.
    #expect(read(LocalAPICRegister.requested + 0x30, unit) == 2)
    _ = unit.acknowledge(at: core(0))
    #expect(read(LocalAPICRegister.requested + 0x30, unit) == 0)
    #expect(read(LocalAPICRegister.inService + 0x30, unit) == 2)
    #expect(read(LocalAPICRegister.processorPriority, unit) == 0x60)
    write(LocalAPICRegister.endOfInterrupt, 0, &unit)
    #expect(read(LocalAPICRegister.inService + 0x30, unit) == 0)
  }

  @Test("an APIC that software has disabled takes no vectors, and takes NMIs")
  func disabled() {
    var unit = unit()
    write(LocalAPICRegister.spuriousVector, 0xFF, &unit)
    unit.sendIPI(0x61, from: core(1), to: core(0))
    #expect(unit.pending(at: core(0)) == nil)
    unit.send(InterruptCommand(vector: 0, mode: .nonMaskable, destination: 0), from: core(1))
    #expect(unit.takeSignals(at: core(0)).nonMaskable)
    write(LocalAPICRegister.spuriousVector, 0x1FF, &unit)
    unit.sendIPI(0x61, from: core(1), to: core(0))
    #expect(unit.pending(at: core(0)) == 0x61)
  }

  @Test("the command register: shorthands, physical and logical destinations")
  func commands() {
    var unit = unit()
    func send(_ command: InterruptCommand, _ unit: inout InterruptUnit) {
      write(LocalAPICRegister.commandHigh, UInt32(command.rawValue >> 32), &unit, by: 1)
      write(LocalAPICRegister.commandLow, UInt32(truncatingIfNeeded: command.rawValue), &unit, by: 1)
    }
    send(InterruptCommand(vector: 0x50, destination: 3), &unit)
    #expect(takers(0x50, &unit) == [3])
    send(InterruptCommand(vector: 0x51, shorthand: .itself), &unit)
    #expect(takers(0x51, &unit) == [1])
    send(InterruptCommand(vector: 0x52, shorthand: .allIncludingSelf), &unit)
    #expect(takers(0x52, &unit) == [0, 1, 2, 3])
    send(InterruptCommand(vector: 0x53, shorthand: .allExcludingSelf), &unit)
    #expect(takers(0x53, &unit) == [0, 2, 3])
    send(InterruptCommand(vector: 0x54, destination: 0b1001, isLogical: true), &unit)
    #expect(takers(0x54, &unit) == [0, 3])
    send(InterruptCommand(vector: 0x55, destination: 0xFF), &unit)
    #expect(takers(0x55, &unit) == [0, 1, 2, 3])
  }

  @Test("logical destinations in the cluster model")
  func clusters() {
    var unit = unit()
    for index in 0..<4 {
      write(LocalAPICRegister.destinationFormat, 0x0FFF_FFFF, &unit, by: index)
      // Cores 0 and 1 in cluster 0, 2 and 3 in cluster 1.
      let id = UInt32(index / 2) << 4 | 1 << UInt32(index % 2)
      write(LocalAPICRegister.logicalDestination, id << 24, &unit, by: index)
    }
    unit.send(InterruptCommand(vector: 0x50, destination: 0x13, isLogical: true), from: core(0))
    #expect(takers(0x50, &unit) == [2, 3])
    unit.send(InterruptCommand(vector: 0x51, destination: 0x02, isLogical: true), from: core(0))
    #expect(takers(0x51, &unit) == [1])
  }

  @Test("lowest priority goes to one core, the least busy, equals in turn, and never to one that would drop it")
  func lowestPriority() {
    var unit = unit(dpiCores: [core(3)])
    write(LocalAPICRegister.taskPriority, 0x80, &unit, by: 0)
    var taken: [Int] = []
    for _ in 0..<6 {
      unit.send(
        InterruptCommand(vector: 0x90, mode: .lowestPriority, destination: 0x0F, isLogical: true), from: core(0))
      taken += takers(0x90, &unit)
    }
    #expect(taken == [1, 2, 1, 2, 1, 2])
    #expect(unit.droppedInterrupts(at: core(3)) == 0)
  }

  @Test("INIT stops a core, and the first start-up interrupt starts it at its page")
  func startUp() {
    var unit = unit()
    unit.send(InterruptCommand(vector: 0x8, mode: .startUp, destination: 2), from: core(0))
    #expect(unit.takeSignals(at: core(2)) == CoreSignals(), "a core that runs does not hear it")
    unit.sendIPI(0x61, from: core(0), to: core(2))
    unit.send(InterruptCommand(vector: 0, mode: .initialize, destination: 2), from: core(0))
    #expect(unit.pending(at: core(2)) == nil)
    #expect(unit.takeSignals(at: core(2)).isInitialized)
    for page: UInt8 in [0x9A, 0x9B] {
      unit.send(InterruptCommand(vector: page, mode: .startUp, destination: 2), from: core(0))
    }
    #expect(unit.takeSignals(at: core(2)).startUpPage == 0x9A)
    #expect(unit.takeSignals(at: core(2)) == CoreSignals())
    // The de-assertion of an INIT does nothing.
    unit.send(InterruptCommand(rawValue: 0x8500 | 2 << 56), from: core(0))
    #expect(unit.takeSignals(at: core(2)) == CoreSignals())
  }

  @Test("the I/O APIC's registers: two halves of an entry, read-only bits, version and id")
  func ioAPICRegisters() {
    var unit = unit()
    #expect(readIOAPIC(1, &unit) == 0x17_0020)
    #expect(readIOAPIC(0x10, &unit) == 0x1_0000, "masked after a reset")
    writeIOAPIC(0x16, 0xFFFF_FFFF, &unit)
    writeIOAPIC(0x17, 0xFFFF_FFFF, &unit)
    #expect(readIOAPIC(0x16, &unit) == 0x1_AFFF)
    #expect(readIOAPIC(0x17, &unit) == 0xFF00_0000)
    writeIOAPIC(0, 0x0900_0000, &unit)
    #expect(readIOAPIC(0, &unit) == 0x0900_0000)
    #expect(readIOAPIC(0x40, &unit) == 0)
    #expect(readIOAPIC(0xFF, &unit) == 0)
  }

  @Test("an edge-triggered pin interrupts once for each rise")
  func edge() {
    var unit = unit()
    writeIOAPIC(0x17, 2 << 24, &unit)
    writeIOAPIC(0x16, 0x45, &unit)
    for _ in 0..<2 {
      unit.setLevel(of: disk, asserted: true)
      #expect(takers(0x45, &unit) == [2])
      #expect(takers(0x45, &unit) == [])
      unit.setLevel(of: disk, asserted: false)
    }
  }

  @Test("a level-triggered pin: Remote IRR until EOI, through the local APIC or the I/O APIC")
  func level() {
    var unit = unit()
    writeIOAPIC(0x17, 2 << 24, &unit)
    writeIOAPIC(0x16, 0x8045, &unit)
    unit.setLevel(of: disk, asserted: true)
    #expect(readIOAPIC(0x16, &unit) == 0xC045)
    _ = unit.acknowledge(at: core(2))
    #expect(read(LocalAPICRegister.triggerMode + 0x20, unit, by: 2) == 1 << 5)
    write(LocalAPICRegister.endOfInterrupt, 0, &unit, by: 2)
    #expect(unit.pending(at: core(2)) == 0x45, "the level is still high")
    _ = unit.acknowledge(at: core(2))
    unit.setLevel(of: disk, asserted: false)
    unit.writeRegister(IOAPIC.base.advanced(by: IOAPIC.Register.endOfInterrupt), 0x45, by: core(0))
    #expect(readIOAPIC(0x16, &unit) == 0x8045)
  }

  @Test("a pin whose entry names an NMI, or nothing that exists")
  func otherModes() {
    var unit = unit()
    writeIOAPIC(0x17, 2 << 24, &unit)
    writeIOAPIC(0x16, 0x400, &unit)
    unit.setLevel(of: disk, asserted: true)
    #expect(unit.takeSignals(at: core(2)).nonMaskable)
    unit.setLevel(of: disk, asserted: false)
    // Delivery mode 3 is reserved.
    writeIOAPIC(0x16, 0x345, &unit)
    unit.setLevel(of: disk, asserted: true)
    #expect(unit.counters.undeliverable == 1)
  }

  @Test("messages: the redirection hint, logical destinations, MSI-X entries")
  func messages() {
    var unit = unit()
    // Hint, physical: to core 2.
    unit.signal(MessageSignaledInterrupt(address: 0xFEE0_2008, data: 0x60), from: disk)
    #expect(takers(0x60, &unit) == [2])
    // Hint, logical: to one of cores 0 and 1.
    unit.signal(MessageSignaledInterrupt(address: 0xFEE0_300C, data: 0x61), from: disk)
    #expect(takers(0x61, &unit).count == 1)
    // No hint: bit 2 does not count.
    unit.signal(MessageSignaledInterrupt(address: 0xFEE0_3004, data: 0x62), from: disk)
    #expect(takers(0x62, &unit) == [3])
    let entry = MSIXTableEntry(address: 0xFEE0_1003, dataAndControl: 1 << 32 | 0x63)
    #expect(entry.isMasked)
    #expect(entry.message == MessageSignaledInterrupt(core: core(1), vector: 0x63))
  }

  @Test("random writes to any register neither trap nor reach a DPI core", arguments: [UInt64(5), 99, 2024])
  func randomRegisters(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var unit = unit(dpiCores: [core(3)])
    for _ in 0..<20_000 {
      let base = Bool.random(using: &random) ? LocalAPICRegister.base : IOAPIC.base
      let offset = UInt64.random(in: 0..<0x400, using: &random) & (Bool.random(using: &random) ? ~0xF : ~3)
      let writer = core(Int.random(in: 0..<3, using: &random))
      unit.writeRegister(base.advanced(by: offset), UInt32.random(in: 0 ... .max, using: &random), by: writer)
      _ = unit.readRegister(base.advanced(by: offset), by: writer)
      unit.setLevel(of: disk, asserted: Bool.random(using: &random))
      _ = unit.acknowledge(at: writer)
    }
    #expect(unit.pending(at: core(3)) == nil, "seed \(seed)")
    #expect(unit.takeSignals(at: core(3)) == CoreSignals(), "seed \(seed)")
    #expect(unit.droppedInterrupts(at: core(3)) > 0, "seed \(seed)")
  }
}
