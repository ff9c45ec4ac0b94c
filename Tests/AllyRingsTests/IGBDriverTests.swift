import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import Testing

extension DriverHarness where Driver.NICReceive == E1000EReceiveDescriptor {
  /// As Linux does it: the queue, its format, its enable, the tail. `first` is the queue's first register.
  func startQueue(_ first: UInt32, base: UInt32, isTransmit: Bool = false) {
    write(first + 0x28, 0)
    write(first, base)
    write(first + 4, 0)
    write(first + 8, 128)
    write(first + 0x10, 0)
    write(first + 0x18, 0)
    if !isTransmit { write(first + 0x0C, 1 << 25 | 2) }
    write(first + 0x28, 1 << 25)
  }

  func serviceQueue(_ queue: Int) {
    _ = rings.service(
      queue: queue, inspecting: &inspector, receiveClock: &clock, transmitClock: &transmitClock,
      memory: machine.memory, registers: registers, nic: &nic)
  }

  func offer(_ slots: Range<UInt32>, queue: Int, first: UInt32, base: UInt64) {
    for slot in slots { machine.store((TestMachine.buffer(slot), 0), PhysicalAddress(base), slot) }
    write(first + 0x18, slots.upperBound % 8)
    serviceQueue(queue)
  }

  func completeQueue(_ queue: Int, _ bytes: [UInt8], at head: UInt32) {
    let twin = rings[queue].receive.state.dpiQueue
    machine.write(bytes, at: machine.words(twin.base, head).0)
    machine.store((0x1234_5678_0000_0111, UInt64(bytes.count) << 32 | 3), twin.base, head)
    serviceQueue(queue)
  }
}

@Suite struct IGBDriverTests {
  @Test func aQueueStartsWithItsOwnEnableAndAtBothPlaces() throws {
    let harness = try DriverHarness<IGBDriver>()
    harness.write(0x100, 0x0400_8002)
    #expect(harness.nic.values[0x100].map { $0 & 2 } == 0, "there is no queue yet")
    harness.startQueue(0x2900, base: 0x2000)
    #expect(harness.rings[1].receive.state.isRunning)
    let twin = harness.rings[1].receive.state.dpiQueue
    #expect(harness.nic.values[0xC040] == twin.base.rawValue)
    #expect(harness.nic.values[0xC04C] == 1 << 25 | 2)
    #expect(harness.nic.values[0xC068] == 1 << 25)
    #expect(harness.nic.values[0x100] == 0x0400_8002)
    #expect(harness.registers.load(0xC040) == 0x2000 && harness.registers.load(0x2900) == 0x2000)
    harness.offer(0..<4, queue: 1, first: 0x2900, base: 0x2000)
    #expect(harness.nic.values[0xC058] == 4)
    harness.completeQueue(1, frame(1), at: 0)
    #expect(harness.inspector.seen == [frame(1)])
    #expect(harness.machine.words(PhysicalAddress(0x2000), 0) == (0x1234_5678_0000_0111, 60 << 32 | 3))
    #expect(harness.registers.load(0x2910) == 1 && harness.registers.load(0xC050) == 1)
  }

  @Test func allSixteenQueuePairsAreTheirOwn() throws {
    let harness = try DriverHarness<IGBDriver>()
    harness.write(0x100, 0x0400_8002)
    harness.write(0x400, 2)
    for queue in UInt32(0)..<16 {
      harness.startQueue(0xC000 + queue * 0x40, base: 0x1_0000 + queue * 0x100)
      harness.startQueue(0xE000 + queue * 0x40, base: 0x1_2000 + queue * 0x100, isTransmit: true)
    }
    for queue in 0..<16 {
      #expect(harness.rings[queue].receive.state.isRunning && harness.rings[queue].transmit.state.isRunning)
    }
    harness.write(0xC168, 0)
    #expect(!harness.rings[5].receive.state.isRunning && harness.rings[6].receive.state.isRunning)
    #expect(harness.nic.values[0xC168] == 0 && harness.nic.values[0xC148] == 0)
    harness.write(0x100, 0)
    #expect((0..<16).allSatisfy { !harness.rings[$0].receive.state.isRunning })
    #expect(harness.nic.values[0x100].map { $0 & 2 } == 0)
    #expect(harness.rings[5].transmit.state.isRunning)
  }

  @Test func formatsWithSplitHeadersAreNotServed() throws {
    let harness = try DriverHarness<IGBDriver>()
    harness.write(0x100, 0x0400_8002)
    harness.startQueue(0xC000, base: 0x2000)
    for type in [UInt32(0), 2, 5] {
      harness.write(0xC00C, type << 25 | 2)
      #expect(!harness.rings[0].receive.state.isRunning)
    }
    #expect(harness.rings[0].receive.state.counters.faults[.descriptorFormat] == 3)
    harness.write(0xC00C, 1 << 25 | 8)
    #expect(harness.rings[0].receive.state.isRunning)
    #expect(harness.rings[0].receive.state.receive.bufferLength == 8192)
  }

  @Test func messagesFollowIVARAndMaskThemselves() throws {
    let harness = try DriverHarness<IGBDriver>()
    harness.write(0x1514, 0xC000_0011)
    harness.write(0x1740, 0x8000)
    // Queue 1 on vector 3, queue 9 on vector 4.
    harness.write(0x1704, 0x0084_0083)
    harness.write(0x152C, 0x1F)
    harness.write(0x1530, 0x1F)
    harness.write(0x1524, 0x1F)
    harness.write(0xD0, 4)
    harness.write(0x100, 0x0400_8002)
    harness.startQueue(0xC040, base: 0x2000)
    harness.startQueue(0xC240, base: 0x4000)
    harness.offer(0..<4, queue: 1, first: 0xC040, base: 0x2000)
    harness.offer(0..<4, queue: 9, first: 0xC240, base: 0x4000)
    harness.completeQueue(9, frame(1), at: 0)
    #expect(harness.messages(at: 0) == 1 << 4)
    #expect(harness.registers.load(0x1524) == 0x0F)
    harness.completeQueue(9, frame(2), at: 1)
    harness.completeQueue(1, frame(3), at: 0)
    #expect(harness.messages(at: 1) == 1 << 3)
    harness.write(0x1524, 1 << 4)
    #expect(harness.messages(at: 2) == 1 << 4)
    // A link change of the NIC's.
    harness.nic.values[0xC0] = 4
    #expect(harness.takeNICInterrupt())
    #expect(harness.messages(at: 3) == 1)
    #expect(harness.read(0xC0) == 0x8000_0004)
    #expect(harness.read(0x1500) == 0)
  }

  @Test func withOneVectorItIsThePinAndICR() throws {
    let harness = try DriverHarness<IGBDriver>()
    harness.write(0xE0, 0x80)
    harness.write(0xD0, 0x84)
    harness.write(0x100, 0x0400_8002)
    harness.startQueue(0x2800, base: 0x2000)
    harness.offer(0..<4, queue: 0, first: 0x2800, base: 0x2000)
    harness.completeQueue(0, frame(1), at: 0)
    #expect(harness.interrupts(at: 0))
    #expect(harness.read(0xC0) == 0x8000_0080)
    #expect(harness.registers.load(0xD0) == 4, "masked by the read")
  }

  @Test func theNICInterruptsTheDPICoreAlone() throws {
    let harness = try DriverHarness<IGBDriver>()
    harness.write(0x1514, 0xC000_0011)
    harness.write(0x1524, 0x1F)
    harness.write(0x1700, 0x8281)
    #expect(harness.nic.values[0x1514] == 0)
    #expect(!harness.nic.writes.contains { [0x1524, 0x1700, 0x152C].contains($0.0) })
    // TIPG is the NIC's.
    harness.write(0x410, 0x0060_2008)
    #expect(harness.nic.contains(0x410, 0x0060_2008))
  }

  /// Any access an OS core can make: no trap, and the NIC's queues stay in DPI memory.
  @Test(arguments: 1...20)
  func anyRegisterAccessIsSurvived(seed: Int) throws {
    let harness = try DriverHarness<IGBDriver>()
    harness.expectSurvival(
      seed: seed,
      offsets: [
        0, 4, 0xC0, 0xC8, 0xD0, 0xE0, 0x100, 0x110, 0x400, 0x410, 0x438, 0x1500, 0x1508, 0x1514, 0x1520, 0x1524, 0x152C,
        0x1580, 0x1680, 0x1700, 0x1740, 0x2800, 0x2808, 0x280C, 0x2818, 0x2828, 0x2838, 0x3800, 0x3808, 0x3818, 0x3828,
        0xC000, 0xC008, 0xC018, 0xC028, 0xC3C0, 0xC3C8, 0xC3CC, 0xC3D8, 0xC3E8, 0xC3FC, 0xE000, 0xE008, 0xE018, 0xE028,
        0xE03C, 0x17FF, 0xFFFF_FFFC,
      ],
      rings: [
        (0xC000, 0xC028, 1 << 25), (0xC3C0, 0xC3E8, 1 << 25), (0xE000, 0xE028, 1 << 25),
      ])
  }
}

@Suite struct IGBVirtualFunctionDriverTests {
  @Test func queuesAndMessagesAreTheFunctionsOwn() throws {
    let harness = try DriverHarness<IGBVirtualFunctionDriver>()
    // The NIC's vectors are the DPI core's.
    #expect(harness.nic.values[0x1700] == 0x8080_8080 && harness.nic.values[0x1524] == 3)
    harness.write(0x1700, 0x8081)
    harness.write(0x1740, 0x82)
    for offset: UInt32 in [0x152C, 0x1530, 0x1524] { harness.write(offset, 7) }
    #expect(harness.nic.values[0x1700] == 0x8080_8080)
    harness.startQueue(0x2800, base: 0x2000)
    #expect(harness.rings[0].receive.state.isRunning)
    #expect(harness.rings[0].receive.state.receive.trailerLength == 0)
    harness.offer(0..<4, queue: 0, first: 0x2800, base: 0x2000)
    harness.completeQueue(0, frame(1), at: 0)
    #expect(harness.inspector.seen == [frame(1)])
    #expect(harness.messages(at: 0) == 2)
    #expect(harness.registers.load(0x1524) == 5)
    // The mailbox.
    harness.nic.values[0x1580] = 2
    #expect(harness.takeNICInterrupt())
    #expect(harness.messages(at: 1) == 4)
  }

  @Test func aResetReachesTheNICAndTakesItsVectorsBack() throws {
    let harness = try DriverHarness<IGBVirtualFunctionDriver>()
    harness.startQueue(0x2800, base: 0x2000)
    harness.nic.values[0x1524] = 0
    harness.write(0, 1 << 26)
    #expect(harness.nic.contains(0, 1 << 26))
    #expect(!harness.rings[0].receive.state.isRunning)
    #expect(harness.nic.values[0x1524] == 3)
    #expect(harness.registers.load(0x2800) == 0)
  }

  /// Any access an OS core can make: no trap, and the NIC's queues stay in DPI memory.
  @Test(arguments: 1...10)
  func anyRegisterAccessIsSurvived(seed: Int) throws {
    let harness = try DriverHarness<IGBVirtualFunctionDriver>()
    harness.expectSurvival(
      seed: seed,
      offsets: [
        0, 4, 0x1500, 0x1514, 0x1520, 0x1524, 0x1528, 0x152C, 0x1580, 0x1680, 0x1690, 0x1700, 0x1704, 0x1740, 0x2800,
        0x2808, 0x280C, 0x2818, 0x2828, 0x2900, 0x2908, 0x290C, 0x2918, 0x2928, 0x3800, 0x3808, 0x3818, 0x3828, 0x17FF,
      ], rings: [(0x2800, 0x2828, 1 << 25), (0x2900, 0x2928, 1 << 25), (0x3800, 0x3828, 1 << 25)])
  }

  @Test func fewRowsAreNeeded() {
    #expect(E1000ERegisters.map.count < 10 && IGBRegisters.map.count < 10)
    #expect(IGBRegisters.virtualFunctionMap.count < 10)
  }

  /// A pool strips check sequences only where RCTL does: otherwise its frames' last bytes would escape inspection.
  @Test func aPoolsChoiceAboutCheckSequencesIsTheNICs() throws {
    let harness = try DriverHarness<IGBDriver>()
    let register: UInt32 = 0x5AD0 + 4 * 3
    harness.write(register, 1 << 31 | 1 << 24)
    #expect(harness.nic.values[register] == 1 << 24)
    #expect(harness.read(register) == 1 << 31 | 1 << 24, "the OS reads what it wrote")
    harness.write(0x0100, 1 << 26)
    #expect(harness.nic.values[register] == 1 << 31 | 1 << 24)
    harness.write(0x0100, 0)
    #expect(harness.nic.values[register] == 1 << 24)
    // Between the queues of the two directions there is nothing.
    harness.write(0xC800, 5)
    #expect(harness.read(0xC800) == 0)
    #expect(harness.nic.values[0xC800] == nil)
  }
}
