import AllyHW
import Testing

@Suite("Figure 3: accesses to device registers are redirected")
struct RedirectionFlowTests {
  @Test("a store goes to the shadow, into the log, and raises an IPI; the device sees nothing")
  func storeFlow() throws {
    let machine = TestMachine()
    machine.mapRegisters(at: 0x7F00_0000_0000)
    #expect(machine.store(17, at: 0x7F00_0000_2818) == .done(17))

    #expect(machine.registerFile.load(0x2818) == 17)
    #expect(
      machine.log().removeFirst() == RedirectedAccess(offset: 0x2818, width: .doubleWord, isWrite: true, value: 17))
    #expect(machine.northbridge.interrupts.pending(at: TestMachine.dpiCore) == TestMachine.notifyVector)
    #expect(machine.window.device.accesses.isEmpty)
    #expect(machine.core.mmu.counters.redirections == 1)
    #expect(machine.core.counters.redirectedAccesses == 1)
    #expect(machine.northbridge.interrupts.counters.redirectionIPIs == 1)
  }

  @Test("a load gives the shadow's value, and the DPI core learns of it")
  func loadFlow() {
    let machine = TestMachine()
    machine.mapRegisters(at: 0x7F00_0000_0000)
    machine.registerFile.store(9, at: 0x2810)
    #expect(machine.load(0x7F00_0000_2810) == .done(9))
    #expect(
      machine.log().removeFirst() == RedirectedAccess(offset: 0x2810, width: .doubleWord, isWrite: false, value: 9))
    #expect(machine.window.device.accesses.isEmpty)
  }

  @Test("a register that is not in the table is the device's, in the same page and without an IPI")
  func passThrough() {
    let machine = TestMachine()
    machine.mapRegisters(at: 0x7F00_0000_0000)
    #expect(machine.store(0x8002, at: 0x7F00_0000_0100) == .done(0x8002))
    #expect(machine.load(0x7F00_0000_0100) == .done(0x8002))
    #expect(
      machine.window.device.accesses == [
        RecordingDevice.Access(offset: 0x100, value: 0x8002), RecordingDevice.Access(offset: 0x100, value: nil),
      ])
    #expect(machine.log().isEmpty)
    #expect(machine.northbridge.interrupts.counters.redirectionIPIs == 0)
    // The page has the redirection bit, because other registers in it are remapped.
    #expect(machine.core.mmu.counters.remappingLookups == 2)
    #expect(machine.core.mmu.counters.redirections == 0)
  }

  @Test("memory and register pages without rows cost no lookup")
  func noLookupWithoutBit() {
    let machine = TestMachine()
    machine.mapRegisters(at: 0x7F00_0000_0000)
    machine.map(0x1000, to: 0x3_2000)
    _ = machine.store(1, at: 0x1000)
    _ = machine.load(0x7F00_0000_3000)
    #expect(machine.core.mmu.counters.remappingLookups == 0)
    #expect(machine.core.counters.memoryAccesses == 1)
    #expect(machine.core.counters.deviceAccesses == 1)
  }

  @Test("mapping the registers as cacheable does not get round the table")
  func cacheableMapping() {
    let machine = TestMachine()
    machine.map(0x5000, to: TestMachine.registerBase.rawValue + 0x2000, [.present, .writable])
    #expect(machine.store(5, at: 0x5818) == .done(5))
    #expect(machine.window.device.accesses.isEmpty)
    #expect(machine.registerFile.load(0x2818) == 5)
  }

  @Test("a large page over the registers is redirected too")
  func largePage() {
    let machine = TestMachine()
    machine.map(0x4000_0000, to: 0xFEA0_0000, size: .size2MiB, [.present, .writable, .cacheDisabled])
    #expect(machine.store(5, at: 0x4010_2818) == .done(5))
    #expect(machine.load(0x4010_0100) == .done(0))
    #expect(machine.registerFile.load(0x2818) == 5)
    #expect(machine.window.device.accesses == [RecordingDevice.Access(offset: 0x100, value: nil)])
  }

  @Test("a DPI core's accesses reach the device")
  func dpiCoreReachesDevice() {
    let machine = TestMachine()
    machine.mapRegisters(at: 0x7F00_0000_0000)
    let outcome = machine.dpiCore.store(
      3, at: VirtualAddress(0x7F00_0000_2818), width: .doubleWord, on: &machine.northbridge, devices: &machine.window)
    #expect(outcome == .done(3))
    #expect(machine.window.device.accesses == [RecordingDevice.Access(offset: 0x2818, value: 3)])
    #expect(machine.log().isEmpty)
  }

  @Test("two writes to a set-bits register before the DPI core looks are both in the log")
  func nothingIsMerged() {
    let machine = TestMachine()
    machine.mapRegisters(at: 0x7F00_0000_0000)
    _ = machine.store(0x80, at: 0x7F00_0000_00D0)
    _ = machine.store(0x04, at: 0x7F00_0000_00D0)
    #expect(machine.log().removeFirst()?.value == 0x80)
    #expect(machine.log().removeFirst()?.value == 0x04)
    #expect(machine.log().removeFirst() == nil)
  }

  @Test("a full log makes the OS core wait; nothing happens until there is room")
  func fullLog() {
    let machine = TestMachine(logCapacity: 2)
    machine.mapRegisters(at: 0x7F00_0000_0000)
    let log = machine.log(capacity: 2)
    _ = machine.store(1, at: 0x7F00_0000_2818)
    _ = machine.store(2, at: 0x7F00_0000_2818)
    #expect(machine.store(3, at: 0x7F00_0000_2818) == .waits)
    machine.registerFile.set(0x80, at: 0xC0)
    #expect(machine.load(0x7F00_0000_00C0) == .waits)
    #expect(machine.registerFile.load(0x2818) == 2)
    #expect(machine.registerFile.load(0xC0) == 0x80)
    #expect(machine.core.counters.waits == 2)
    #expect(machine.northbridge.remapping.counters.waits == 2)

    #expect(log.removeFirst()?.value == 1)
    #expect(machine.store(3, at: 0x7F00_0000_2818) == .done(3))
    #expect(log.removeFirst()?.value == 2)
    #expect(log.removeFirst()?.value == 3)
  }

  @Test("releasing a device takes effect at once: no stale redirection bit, no flush by the OS")
  func releaseTakesEffect() {
    let machine = TestMachine()
    machine.mapRegisters(at: 0x7F00_0000_0000)
    _ = machine.store(1, at: 0x7F00_0000_2818)
    machine.northbridge.remapping.release(TestMachine.nic)
    _ = machine.store(2, at: 0x7F00_0000_2818)
    #expect(machine.window.device.accesses == [RecordingDevice.Access(offset: 0x2818, value: 2)])
  }

  @Test("and intercepting one: a page that was in the TLB before has its bit")
  func interceptTakesEffect() throws {
    let machine = TestMachine(isIntercepted: false)
    machine.mapRegisters(at: 0x7F00_0000_0000)
    _ = machine.store(1, at: 0x7F00_0000_2818)
    #expect(machine.window.device.accesses.count == 1)
    try machine.northbridge.remapping.intercept(machine.device(), ranges: TestMachine.registers)
    _ = machine.store(2, at: 0x7F00_0000_2818)
    #expect(machine.window.device.accesses.count == 1)
    #expect(machine.registerFile.load(0x2818) == 2)
  }
}

@Suite("Remapping Table")
struct RemappingTableTests {
  @Test("rows are derived from the register map, fewer than ten for a device, pass-through runs make none")
  func rows() {
    let machine = TestMachine()
    let rows = machine.northbridge.remapping.rows(of: TestMachine.nic)
    #expect(rows.map(\.offset) == [0xC0, 0xC8, 0x2800, 0x2820, 0x5B00])
    #expect(rows.allSatisfy { $0.base == TestMachine.registerBase.advanced(by: UInt64($0.offset)) })
    #expect(rows.count < 10)
  }

  @Test("a cause register: a load takes the causes, a store of ones clears them")
  func causeRegister() {
    let machine = TestMachine()
    machine.mapRegisters(at: 0x7F00_0000_0000)
    machine.registerFile.set(0x83, at: 0xC0)
    _ = machine.store(0x02, at: 0x7F00_0000_00C0)
    #expect(machine.load(0x7F00_0000_00C0) == .done(0x81))
    #expect(machine.load(0x7F00_0000_00C0) == .done(0))
  }

  @Test("part of a cause register: only the bits that were read are cleared")
  func partOfCauseRegister() {
    let machine = TestMachine()
    machine.mapRegisters(at: 0x7F00_0000_0000)
    machine.registerFile.set(0x1_8382, at: 0xC0)
    #expect(machine.load(0x7F00_0000_00C1, .byte) == .done(0x83))
    #expect(machine.load(0x7F00_0000_00C0, .word) == .done(0x82))
    #expect(machine.registerFile.load(0xC0) == 0x1_0000)
  }

  @Test("shadow-only registers keep their value and tell nobody")
  func shadowOnly() {
    let machine = TestMachine()
    machine.mapRegisters(at: 0x7F00_0000_0000)
    _ = machine.store(64, at: 0x7F00_0000_2820)
    #expect(machine.load(0x7F00_0000_2820) == .done(64))
    #expect(machine.log().isEmpty)
    #expect(machine.northbridge.interrupts.counters.redirectionIPIs == 0)
    #expect(machine.window.device.accesses.isEmpty)
    #expect(machine.northbridge.remapping.counters.shadowOnly == 2)
  }

  @Test("denied registers read as zero and ignore writes")
  func deny() {
    let machine = TestMachine()
    machine.mapRegisters(at: 0x7F00_0000_0000)
    _ = machine.store(.max, at: 0x7F00_0000_5B00)
    #expect(machine.load(0x7F00_0000_5B00) == .done(0))
    #expect(machine.window.device.accesses.isEmpty)
    #expect(machine.northbridge.remapping.counters.denied == 2)
  }

  @Test("an access that straddles the edge of a row never reaches the device, and does nothing")
  func straddling() {
    let machine = TestMachine()
    machine.mapRegisters(at: 0x7F00_0000_0000)
    // Before the row, behind it, and over two rows.
    for (offset, width) in [(UInt64(0x27FE), RegisterWidth.doubleWord), (0xC4, .quadWord), (0x281C, .quadWord)] {
      #expect(machine.store(.max, at: 0x7F00_0000_0000 + offset, width) == .done(width.mask))
      #expect(machine.load(0x7F00_0000_0000 + offset, width) == .done(0))
    }
    #expect(machine.window.device.accesses.isEmpty)
    #expect(machine.log().isEmpty)
    #expect(machine.northbridge.remapping.counters.straddling == 6)
  }

  @Test("a 64-bit store to a pair of registers is one access")
  func quadWord() {
    let machine = TestMachine()
    machine.mapRegisters(at: 0x7F00_0000_0000)
    _ = machine.store(0x1_2345_6780, at: 0x7F00_0000_2800, .quadWord)
    #expect(machine.registerFile.load(0x2800) == 0x2345_6780)
    #expect(machine.registerFile.load(0x2804) == 1)
    #expect(machine.log().removeFirst()?.width == .quadWord)
  }

  @Test("a device that cannot be intercepted leaves the table as it was")
  func errors() {
    let machine = TestMachine()
    func attempt(_ ranges: [RegisterRange], _ device: InterceptedDevice) -> RemappingError? {
      let before = machine.northbridge.remapping.rowCount
      do {
        try machine.northbridge.remapping.intercept(device, ranges: ranges)
        return nil
      } catch {
        #expect(machine.northbridge.remapping.rowCount == before)
        return error
      }
    }
    #expect(attempt([], machine.device()) == .alreadyIntercepted)
    var other = machine.device()
    other.requester = RequesterID(bus: 0, device: 4, function: 0)
    let good = RegisterRange(offset: 0, length: 4, disposition: .redirect)
    // At the same place as the first device.
    #expect(attempt([RegisterRange(offset: 0xC2, length: 4, disposition: .deny)], other) == .overlaps(0))
    other.registerBase = PhysicalAddress(0xFEB4_0000)
    #expect(attempt([good, good], other) == .overlaps(1))
    #expect(attempt([good, RegisterRange(offset: 8, length: 0, disposition: .redirect)], other) == .badRange(1))
    #expect(attempt([RegisterRange(offset: .max, length: 4, disposition: .deny)], other) == .badRange(0))
    #expect(attempt([RegisterRange(offset: 0x5FFE, length: 4, disposition: .redirect)], other) == .badRange(0))
    let many = (0..<32).map { RegisterRange(offset: UInt32($0) * 8, length: 4, disposition: .redirect) }
    #expect(attempt(many, other) == .full)
    #expect(attempt([good], other) == nil)
  }
}

@Suite("Core: loads and stores")
struct CoreTests {
  @Test("memory keeps what is stored, at every width", arguments: [RegisterWidth.byte, .word, .doubleWord, .quadWord])
  func widths(width: RegisterWidth) {
    let machine = TestMachine()
    machine.map(0x1000, to: 0x3_2000)
    _ = machine.store(.max, at: 0x1100, .quadWord)
    #expect(machine.store(0x1122_3344_5566_7788, at: 0x1100, width) == .done(0x1122_3344_5566_7788 & width.mask))
    #expect(machine.load(0x1100, width) == .done(0x1122_3344_5566_7788 & width.mask))
    #expect(machine.load(0x1100, .quadWord) == .done(0x1122_3344_5566_7788 & width.mask | ~width.mask))
  }

  @Test("an access to memory over two pages that are not adjacent works")
  func crossesPages() {
    let machine = TestMachine()
    machine.map(0x1000, to: 0x3_8000)
    machine.map(0x2000, to: 0x3_2000)
    #expect(machine.store(0x1122_3344_5566_7788, at: 0x1FFD, .quadWord) == .done(0x1122_3344_5566_7788))
    #expect(machine.load(0x1FFD, .quadWord) == .done(0x1122_3344_5566_7788))
    #expect(machine.northbridge.memory.load(UInt8.self, at: PhysicalAddress(0x3_2000)) == 0x55)
  }

  @Test("of an access over two pages nothing is stored when the second is refused")
  func crossesIntoDPIMemory() {
    let machine = TestMachine()
    machine.map(0x1000, to: TestMachine.boundary.rawValue - 0x1000)
    machine.map(0x2000, to: TestMachine.boundary.rawValue)
    #expect(machine.store(.max, at: 0x1FFC, .quadWord) == .fault(.dpiMemory))
    #expect(machine.load(0x1FF8, .quadWord) == .done(0))
  }

  @Test("an access that crosses from one page of registers into another is refused")
  func crossesRegisterPages() {
    let machine = TestMachine()
    machine.mapRegisters(at: 0x7F00_0000_0000)
    #expect(machine.store(1, at: 0x7F00_0000_2FFE) == .fault(.crossesPage))
    #expect(machine.window.device.accesses.isEmpty)
  }

  @Test("where nothing answers, loads give ones and stores are lost, counted")
  func unanswered() {
    let machine = TestMachine()
    machine.map(0x1000, to: 0x10_0000_0000)
    #expect(machine.load(0x1000) == .done(0xFFFF_FFFF))
    #expect(machine.store(1, at: 0x1000) == .done(1))
    #expect(machine.core.counters.unanswered == 2)
  }

  @Test("a page fault is the core's to raise, and nothing is accessed")
  func fault() {
    let machine = TestMachine()
    #expect(machine.load(0x1000) == .fault(.notPresent))
    #expect(machine.core.counters == CoreCounters())
  }

  @Test("wide accesses: memory at once, registers that are not intercepted piece by piece, DPI memory not at all")
  func wideAccesses() {
    let machine = TestMachine()
    machine.mapRegisters(at: 0x7F00_0000_0000)
    machine.map(0x1000, to: 0x3_2000)
    machine.map(0x2000, to: TestMachine.boundary.rawValue)
    let source = (0..<UInt8(64)).map { $0 &+ 1 }
    func move(_ address: UInt64, count: Int) -> (stored: AccessOutcome, loaded: [UInt8]) {
      let part = Array(source.prefix(count))
      let stored = machine.core.store(
        part.span, at: VirtualAddress(address), on: &machine.northbridge, devices: &machine.window)
      var bytes = [UInt8](repeating: 0xEE, count: count)
      var span = bytes.mutableSpan
      _ = machine.core.load(
        into: &span, from: VirtualAddress(address), on: &machine.northbridge, devices: &machine.window)
      return (stored, bytes)
    }
    for count in [1, 7, 16, 64] {
      let (stored, loaded) = move(0x1003, count: count)
      #expect(stored == .done(UInt64(count)))
      #expect(loaded == Array(source.prefix(count)))
    }
    // From an odd offset: a byte, a word, a double word, a quad word, a byte.
    let (stored, _) = move(0x7F00_0000_0301, count: 16)
    #expect(stored == .done(16))
    #expect(machine.window.device.accesses.prefix(5).map(\.offset) == [0x301, 0x302, 0x304, 0x308, 0x310])
    #expect(machine.window.device.values[0x308] == 0x0F0E_0D0C_0B0A_0908)
    let (refused, untouched) = move(0x2000, count: 16)
    #expect(refused == .fault(.dpiMemory))
    #expect(untouched == [UInt8](repeating: 0xEE, count: 16))
    #expect(move(0x1FF1, count: 16).stored == .fault(.crossesPage))
    #expect(move(0x1000, count: 0).stored == .fault(.crossesPage))
  }
}
