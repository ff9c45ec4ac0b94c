import AllyHW
import Testing

@Suite("Register file and access log")
struct RegisterFileTests {
  @Test("every copy means the same registers")
  func isAView() {
    let machine = TestMachine()
    let first = machine.registerFile
    let second = machine.registerFile
    first.store(0x1234_5678, at: 0x10)
    #expect(second.load(0x10) == 0x1234_5678)
    #expect(second.load(0x12, width: .word) == 0x1234)
    #expect(second.set(1, at: 0x10) == 0x1234_5678)
    #expect(first.clear(0x78, at: 0x10) == 0x1234_5679)
    #expect(first.load(0x10) == 0x1234_5601)
  }

  @Test("an access that is not aligned reads and writes the right bytes")
  func unaligned() {
    let machine = TestMachine()
    machine.registerFile.store(0xAABB_CCDD, at: 0x11)
    #expect(machine.registerFile.load(0x11) == 0xAABB_CCDD)
    #expect(machine.registerFile.load(0x10, width: .quadWord) == 0xAA_BBCC_DD00)
  }

  @Test("outside the file, loads give zero and stores are lost")
  func outside() {
    let machine = TestMachine()
    machine.registerFile.store(.max, at: 0x5FFC, width: .quadWord)
    machine.registerFile.store(.max, at: .max, width: .byte)
    #expect(machine.registerFile.load(0x5FFC) == 0)
    #expect(machine.registerFile.load(.max) == 0)
    #expect(machine.registerFile.set(1, at: 0x6000) == 0)
  }

  @Test("memory that is absent, or read-only, holds no registers")
  func needsMemory() {
    let machine = TestMachine()
    #expect(
      unsafe RegisterFile(
        at: PhysicalAddress(TestMachine.memoryLength - 8), length: 16, in: machine.northbridge.memory) == nil)
    #expect(unsafe AccessLog(at: PhysicalAddress(4), capacity: 8, in: machine.northbridge.memory) == nil)
  }

  @Test("the log keeps order through many turns of its ring", arguments: [UInt64(5), 99])
  func logOrder(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let machine = TestMachine()
    let log = machine.log()
    var model: [RedirectedAccess] = []
    var ordinal: UInt64 = 0
    for _ in 0..<1000 {
      if Bool.random(using: &random) {
        ordinal += 1
        let access = RedirectedAccess(
          offset: UInt32.random(in: 0..<0x2_0000, using: &random),
          width: [.byte, .word, .doubleWord, .quadWord].randomElement(using: &random)!,
          isWrite: Bool.random(using: &random), value: ordinal)
        #expect(log.append(access) == (model.count < 8), "seed \(seed)")
        if model.count < 8 { model.append(access) }
      } else {
        #expect(log.removeFirst() == (model.isEmpty ? nil : model.removeFirst()), "seed \(seed)")
      }
      #expect(log.count == model.count, "seed \(seed)")
    }
  }

  @Test("a DPI core that takes over finds what its predecessor had not removed")
  func logPersists() {
    let machine = TestMachine()
    let access = RedirectedAccess(offset: 0x3818, width: .doubleWord, isWrite: true, value: 4)
    #expect(machine.log().append(access))
    #expect(machine.log().removeFirst() == access)
  }
}
