import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import Testing

extension DriverHarness<E1000Driver> {
  /// As Linux does it: queue first, then the enable, then the tail.
  func startReceive(base: UInt32 = 0x2000, byteLength: UInt32 = 128) {
    write(0x2808, byteLength)
    write(0x2804, 0)
    write(0x2800, base)
    write(0x2810, 0)
    write(0x2818, 0)
    write(0x100, 0x0000_8002)
  }

  func startTransmit(base: UInt32 = 0x3000) {
    write(0x3808, 128)
    write(0x3804, 0)
    write(0x3800, base)
    write(0x3818, 0)
    write(0x3810, 0)
    write(0x400, 0x0003_F0FA)
  }

  func offer(_ slots: Range<UInt32>, base: UInt64 = 0x2000) {
    for slot in slots { machine.store((TestMachine.buffer(slot), 0), PhysicalAddress(base), slot) }
    write(0x2818, slots.upperBound % 8)
  }

  func arrive(_ frame: [UInt8], at head: UInt32) -> Bool {
    var plain = PlainNIC(head: head)
    return plain.receive(frame, on: rings[0].receive.state.dpiQueue, machine: machine)
  }
}

@Suite struct E1000DriverTests {
  @Test func theNICWorksOnTheQueueInDPIMemory() throws {
    let harness = try DriverHarness<E1000Driver>()
    harness.startReceive()
    let queue = harness.rings[0].receive.state.dpiQueue
    #expect(harness.machine.partition.isDPI(queue.base))
    #expect(harness.nic.contains(0x2800, queue.base.rawValue))
    #expect(harness.nic.contains(0x2808, 128))
    #expect(harness.nic.values[0x100] == 0x0000_8002)
    #expect(!harness.nic.writes.contains { $0.0 == 0x2800 && $0.1 == 0x2000 })
    #expect(harness.registers.load(0x2800) == 0x2000, "the OS reads what it wrote")
  }

  @Test func framesPassAndTheOSIsInterruptedOnce() throws {
    let harness = try DriverHarness<E1000Driver>()
    harness.startReceive()
    harness.write(0xD0, 0x80)
    harness.offer(0..<4)
    harness.service()
    #expect(harness.nic.values[0x2818] == 4)
    #expect(harness.arrive(frame(1), at: 0))
    #expect(harness.arrive(frame(2), at: 1))
    harness.service()
    #expect(harness.interrupts(at: 0))
    #expect(!harness.interrupts(at: 1))
    #expect(harness.registers.load(0x2810) == 2, "OS Head Pointer")
    #expect(harness.read(0xC0) == 0x80)
    #expect(harness.read(0xC0) == 0)
    #expect(!harness.interrupts(at: 2))
    #expect(harness.inspector.seen == [frame(1), frame(2)])
  }

  @Test func causesOfTheNICsOwnQueuesStayHere() throws {
    let harness = try DriverHarness<E1000Driver>()
    harness.startReceive()
    harness.write(0xD0, 0xFF)
    harness.nic.values[0xC0] = 0x83 | 1 << 4
    #expect(harness.takeNICInterrupt())
    #expect(harness.registers.load(0xC0) == 0)
    harness.nic.values[0xC0] = 0x84  // receive timer and link change
    #expect(harness.takeNICInterrupt())
    #expect(harness.read(0xC0) == 4)
    harness.nic.values[0xC0] = 0
    #expect(!harness.takeNICInterrupt())
  }

  @Test func maskThrottleAndSetRegistersAreTheOSsOwn() throws {
    let harness = try DriverHarness<E1000Driver>()
    harness.write(0xC4, 10)
    #expect(harness.rings.driver.interrupts.minimumInterval == 2560)
    harness.write(0xD0, 0x80)
    harness.write(0xD0, 0x04)
    #expect(harness.registers.load(0xD0) == 0x84)
    harness.write(0xD8, 0x80)
    #expect(harness.registers.load(0xD0) == 0x04)
    harness.write(0xC8, 0x04)
    #expect(harness.interrupts(at: 0))
    harness.write(0xC0, 0x04)
    #expect(harness.rings.driver.interrupts.cause == 0)
    #expect(!harness.nic.writes.contains { [0xC4, 0xC8, 0xD0].contains($0.0) }, "the NIC sees none of it")
  }

  /// What a stock OS does that receives in bulk: a burst, an acknowledgement, a burst.
  @Test func inBulkTheReportOfAnAcknowledgementGoesWithTheNextBurst() throws {
    let harness = try DriverHarness<E1000Driver>()
    var driver = E1000Driver()
    let acknowledgement = TransmitCompletions(descriptors: 1, isReported: true)
    func write(_ offset: UInt32, _ value: UInt64) {
      _ = driver.handle(
        RedirectedAccess(offset: offset, width: .doubleWord, isWrite: true, value: value), registers: harness.registers,
        nic: &harness.nic)
    }
    func interrupts(at now: UInt64) -> Bool {
      let taken = driver.takeOSInterrupts(at: now, by: .pin, registers: harness.registers).messages != 0
      if taken {
        harness.registers.store(0, at: 0xC0)
        write(0xC0, 0xFFFF_FFFF)
      }
      return taken
    }
    func receive(_ descriptors: UInt32) {
      driver.notePublished(0, head: 0, descriptors: descriptors, registers: harness.registers)
    }
    func send(_ completions: TransmitCompletions) {
      driver.noteTransmitted(0, head: 0, completions, registers: harness.registers)
    }
    write(0xD0, 0x81)

    receive(40)
    #expect(interrupts(at: 0))
    send(acknowledgement)
    #expect(interrupts(at: 1), "this OS has asked for no delay")

    write(0x3820, 8)
    send(acknowledgement)
    #expect(interrupts(at: 2), "it does not receive in bulk now")
    receive(40)
    #expect(interrupts(at: 3))
    send(acknowledgement)
    #expect(!interrupts(at: 4))
    #expect(driver.nextOSInterrupt == 4 + 10_000_000)
    receive(40)
    #expect(interrupts(at: 5), "with the burst")
    send(acknowledgement)
    #expect(!interrupts(at: 6))
    #expect(interrupts(at: 6 + 10_000_000), "no burst came")
    send(acknowledgement)
    #expect(interrupts(at: 7 + 10_000_000), "and the next waits for none")

    receive(40)
    #expect(interrupts(at: 20_000_000))
    send(TransmitCompletions(descriptors: 5, isReported: true))
    #expect(interrupts(at: 20_000_001), "more than acknowledgements")
  }

  @Test func aResetStopsTheQueuesAndReachesTheNIC() throws {
    let harness = try DriverHarness<E1000Driver>()
    harness.startReceive()
    harness.startTransmit()
    harness.offer(0..<4)
    harness.service()
    harness.write(0, 0x0400_0A41)
    #expect(harness.nic.contains(0, 0x0400_0A41))
    #expect(!harness.rings[0].receive.state.isRunning)
    #expect(!harness.rings[0].transmit.state.isRunning)
    #expect(harness.nic.values[0x100] == 0)
    #expect(harness.nic.values[0x400] == 0)
    #expect(harness.registers.load(0) == 0x0A41, "the reset bit reads as done")
    #expect(harness.registers.load(0x2800) == 0)
    // And up again.
    harness.startReceive()
    harness.offer(0..<4)
    harness.service()
    #expect(harness.arrive(frame(9), at: 0))
    harness.service()
    #expect(harness.inspector.seen == [frame(9)])
  }

  @Test func aQueueThatIsMovedInMidTrafficStartsClean() throws {
    let harness = try DriverHarness<E1000Driver>()
    harness.startReceive()
    harness.offer(0..<6)
    harness.service()
    #expect(harness.arrive(frame(1), at: 0))
    harness.service()
    // A new base while reception is enabled; nothing of the old queue is written any more.
    harness.write(0x2800, 0x4000)
    #expect(!harness.rings[0].receive.state.isRunning, "between base and length the registers contradict each other")
    #expect(harness.nic.values[0x100].map { $0 & 2 } == 0)
    harness.write(0x2808, 128)
    harness.write(0x2810, 0)
    harness.offer(0..<3, base: 0x4000)
    #expect(harness.rings[0].receive.state.isRunning)
    #expect(harness.nic.values[0x100].map { $0 & 2 } == 2)
    harness.service()
    #expect(harness.arrive(frame(2), at: 0))
    harness.service()
    #expect(harness.machine.words(PhysicalAddress(0x4000), 0).1 & 1 << 32 != 0)
    #expect(harness.machine.words(PhysicalAddress(0x2000), 1).1 & 1 << 32 == 0)
    #expect(harness.inspector.seen == [frame(1), frame(2)])
  }

  @Test(arguments: [
    (UInt32(0x2000), UInt32(0), RingFault.queueLength), (UInt32(TestMachine.dpiBase), 128, .queueInDPIMemory),
    (0x7000_0000, 128, .queueAbsent), (0x2000, 0xF_FF80, .queueLength),
  ])
  func aQueueThatCannotBeLeavesTheNICDisabled(base: UInt32, byteLength: UInt32, fault: RingFault) throws {
    let harness = try DriverHarness<E1000Driver>()
    harness.startReceive(base: base, byteLength: byteLength)
    #expect(harness.rings[0].receive.state.counters.faults[fault] == 1)
    #expect(harness.nic.values[0x100].map { $0 & 2 } == 0)
    harness.write(0x2818, 5)
    harness.service()
    #expect(harness.inspector.seen.isEmpty)
    // The OS thinks better of it.
    harness.startReceive()
    #expect(harness.rings[0].receive.state.isRunning)
  }

  @Test func bufferSizesAreTheDatasheets() throws {
    let sizes: [(UInt32, UInt32)] = [
      (0, 2048), (1 << 16, 1024), (2 << 16, 512), (3 << 16, 256),
      (1 << 25 | 1 << 16, 16384), (1 << 25 | 2 << 16, 8192), (1 << 25 | 3 << 16, 4096),
    ]
    for (bits, size) in sizes {
      let harness = try DriverHarness<E1000Driver>()
      harness.startReceive()
      harness.write(0x100, 2 | bits)
      #expect(harness.rings[0].receive.state.receive.bufferLength == size)
      #expect(harness.rings[0].receive.state.receive.trailerLength == 4)
      harness.write(0x100, 2 | bits | 1 << 26)
      #expect(harness.rings[0].receive.state.receive.trailerLength == 0)
    }
  }

  @Test func changedFiltersKeepTheQueue() throws {
    let harness = try DriverHarness<E1000Driver>()
    harness.startReceive()
    harness.offer(0..<4)
    harness.service()
    harness.write(0x100, 0x0000_8002 | 1 << 3)
    #expect(harness.rings[0].receive.state.osQueue.tail == 4)
    #expect(harness.nic.values[0x100] == 0x800A)
  }

  /// Any access an OS core can make: no trap, and the NIC's queues stay in DPI memory.
  @Test(arguments: 1...20)
  func anyRegisterAccessIsSurvived(seed: Int) throws {
    var random = SeededGenerator(seed: UInt64(seed))
    let harness = try DriverHarness<E1000Driver>()
    let offsets: [UInt32] = [
      0, 4, 0xC0, 0xC4, 0xC8, 0xD0, 0xD8, 0x100, 0x110, 0x128, 0x400, 0x2800, 0x2804, 0x2808, 0x2810, 0x2818, 0x2820,
      0x3800, 0x3804, 0x3808, 0x3810, 0x3818, 0x3828, 0x2FFF, 0xFFFF_FFFC,
    ]
    let values: [UInt32] = [0, 2, 5, 128, 256, 0x2000, 0x3000, 0x0100_0000, 0x8002, 0x0400_0000, 0xFFFF_FFFF]
    let widths: [RegisterWidth] = [.byte, .word, .doubleWord, .doubleWord, .doubleWord, .quadWord]
    for _ in 0..<500 {
      let offset = offsets.randomElement(using: &random)!
      let value = UInt64(values.randomElement(using: &random)!) << UInt64(Bool.random(using: &random) ? 0 : 32)
      harness.handle(
        RedirectedAccess(
          offset: offset, width: widths.randomElement(using: &random)!, isWrite: Bool.random(using: &random),
          value: value))
      harness.service()
      for (first, control) in [(UInt32(0x2800), UInt32(0x100)), (0x3800, 0x400)] {
        guard (harness.nic.values[control] ?? 0) & 2 != 0 else { continue }
        let base = (harness.nic.values[first + 4] ?? 0) << 32 | (harness.nic.values[first] ?? 0)
        let length = harness.nic.values[first + 8] ?? 0
        #expect(harness.machine.partition.isDPI(PhysicalAddress(base)), "seed \(seed)")
        #expect(length > 0 && length <= 4096 * 16, "seed \(seed)")
      }
    }
  }

  @Test func theDriverOutlivesItsWorker() throws {
    let harness = try DriverHarness<E1000Driver>()
    harness.startReceive()
    harness.write(0xD0, 0x80)
    harness.offer(0..<4)
    harness.service()
    harness.rings = try RingVirtualizer(
      region: harness.machine.region, memory: harness.machine.memory, partition: harness.machine.partition,
      limits: DriverHarness<E1000Driver>.limits, protection: .inPlace, start: .resuming)
    harness.nic.values[0x2818] = 0
    harness.rings.resume(on: &harness.nic)
    #expect(harness.nic.values[0x2818] == 4)
    #expect(harness.arrive(frame(1), at: 0))
    harness.service()
    #expect(harness.interrupts(at: 0))
    #expect(harness.inspector.seen == [frame(1)])
  }
}
