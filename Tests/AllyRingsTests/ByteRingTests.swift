import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import Testing

/// A receive ring of bytes and transmit slots in registers: what arrives is what was accepted, in order, whoever works on it and
/// whatever the OS writes.
@Suite struct ByteRingTests {
  private static let protections: [PacketProtection] = [.inPlace, .copyToDPIMemory]

  @Test(arguments: protections, 1...16)
  func whatArrivesIsWhatWasAccepted(_ protection: PacketProtection, seed: Int) throws {
    var random = SeededGenerator(seed: UInt64(seed))
    let harness = try ByteRingHarness(protection)
    harness.start(length: Int.random(in: 0...3, using: &random), runsOver: Bool.random(using: &random))
    var inspector = ScriptedInspector(dropping: 200, 201)
    var (arrived, left) = (0, 0)
    var expectedIn: [[UInt8]] = []
    var received: [[UInt8]] = []
    var expectedOut: [[UInt8]] = []
    var sent: [[UInt8]] = []
    for step in 0..<400 {
      let next = frame(UInt8.random(in: 198...203, using: &random), count: Int.random(in: 14...1500, using: &random))
      let isDropped = next[0] == 200 || next[0] == 201
      switch Int.random(in: 0..<7, using: &random) {
      case 0, 1:
        guard harness.nic.receive(next, machine: harness.machine) else { continue }
        arrived += 1
        if !isDropped { expectedIn.append(next) }
      case 2:
        guard harness.post(next) else { continue }
        left += 1
        if !isDropped { expectedOut.append(next) }
      case 3:
        harness.service(&inspector)
        if step % 5 == 0 { try harness.replaceWorker() }
      case 4: sent += harness.nic.send(Int.random(in: 0...4, using: &random), machine: harness.machine)
      case 5: received += harness.take(Int.random(in: 0...4, using: &random), tells: Bool.random(using: &random))
      default: harness.tell()
      }
    }
    for _ in 0..<120 {
      harness.service(&inspector)
      sent += harness.nic.send(4, machine: harness.machine)
      received += harness.take()
    }
    harness.reclaim()
    // Not the frames themselves: a failure would print all of them.
    let (isExact, isExactOut) = (received == expectedIn, sent == expectedOut)
    #expect(isExact, "\(received.count) of \(expectedIn.count) frames, seed \(seed), \(protection)")
    #expect(isExactOut, "\(sent.count) of \(expectedOut.count) frames, seed \(seed), \(protection)")
    #expect(inspector.seen.count == arrived + left, "seed \(seed), \(protection)")
    #expect(harness.reclaimed == harness.posted, "seed \(seed), \(protection): everything completes")
    let counters = harness.rings.counters(queue: 0)
    #expect(counters.receive.faults.total == 0 && counters.transmit.faults.total == 0, "seed \(seed), \(protection)")
  }

  /// The OS reads CR.BUFE and the ring before the DPI core has heard how far it read.
  @Test func behindTheLastFrameNothingIsTakenForOne() throws {
    let harness = try ByteRingHarness(.copyToDPIMemory)
    harness.start()
    var inspector = ScriptedInspector()
    for round in 0..<40 {
      for index in 0..<3 {
        let isTaken = harness.nic.receive(frame(UInt8(index), count: 700 + round), machine: harness.machine)
        #expect(isTaken)
      }
      harness.service(&inspector)
      #expect(harness.take(tells: false).map(\.count) == [700 + round, 700 + round, 700 + round])
      #expect(harness.read(0x37, .byte) & 1 == 0, "nobody has told the DPI core")
      #expect(harness.take(tells: false) == [])
      harness.tell()
      #expect(harness.read(0x37, .byte) & 1 == 1)
    }
  }

  /// The OS clears a cause while its access before that waits for the DPI core.
  @Test func aCauseThatWasClearedStaysCleared() throws {
    let harness = try ByteRingHarness(.copyToDPIMemory)
    harness.start()
    var inspector = ScriptedInspector()
    let isTaken = harness.nic.receive(frame(1, count: 100), machine: harness.machine)
    harness.service(&inspector)
    #expect(isTaken && harness.read(0x3E, .word) & 1 == 1)
    let accesses = [harness.store(0x3C, 0xC07F, .word), harness.store(0x3E, 0xFFFF, .word)]
    for access in accesses { harness.handle(access) }
    #expect(harness.read(0x3E, .word) == 0)
  }

  /// Frames wait while the OS's ring is full, and then come in order; none is taken twice.
  @Test func aFullRingHoldsFramesUp() throws {
    let harness = try ByteRingHarness(.copyToDPIMemory)
    harness.start()
    var inspector = ScriptedInspector()
    let sent = (0..<20).map { frame(UInt8($0), count: 1000) }
    for next in sent {
      let isTaken = harness.nic.receive(next, machine: harness.machine)
      #expect(isTaken)
    }
    for _ in 0..<3 { harness.service(&inspector) }
    #expect(inspector.seen.count == 8, "8 KiB hold eight frames of 1,008 bytes")
    var received: [[UInt8]] = []
    for _ in 0..<20 {
      received += harness.take(1)
      harness.service(&inspector)
    }
    #expect(received == sent)
  }

  /// The OS changes what it wants to receive while frames are on their way.
  @Test func aNewFilterLosesNothingThatHadArrived() throws {
    let harness = try ByteRingHarness(.copyToDPIMemory)
    harness.start()
    var inspector = ScriptedInspector()
    let sent = (0..<12).map { frame(UInt8($0), count: 1000) }
    for next in sent {
      let isTaken = harness.nic.receive(next, machine: harness.machine)
      #expect(isTaken)
    }
    harness.write(0x44, 0x0E, .doubleWord)
    #expect(harness.read(0x44, .doubleWord) == 0x0E)
    var received: [[UInt8]] = []
    for _ in 0..<20 {
      harness.service(&inspector)
      received += harness.take(1)
    }
    #expect(received == sent)
    #expect(harness.nic.command & 8 != 0 && harness.nic.receiveConfiguration & 0x3F == 0x0E)
    let isTaken = harness.nic.receive(frame(99), machine: harness.machine)
    #expect(isTaken)
    harness.service(&inspector)
    #expect(harness.take() == [frame(99)])
  }

  @Test(arguments: [0, 1793, 0x1FFF] as [UInt64])
  func aFrameThatCannotBeSentIsAborted(length: UInt64) throws {
    let harness = try ByteRingHarness(.copyToDPIMemory)
    harness.start()
    var inspector = ScriptedInspector()
    harness.write(0x20, ByteRingHarness.buffer, .doubleWord)
    harness.write(0x10, length, .doubleWord)
    harness.service(&inspector)
    #expect(harness.read(0x10, .doubleWord) == length | 0x4000_2000)
    #expect(harness.read(0x3E, .word) == 8)
    #expect(inspector.seen.isEmpty && harness.nic.send(4, machine: harness.machine).isEmpty)
    #expect(harness.rings.counters(queue: 0).transmit.faults.total == 1)
  }

  @Test(arguments: [TestMachine.dpiBase, TestMachine.dpiBase - 4, 0x7000_0000, TestMachine.osLength - 8])
  func aRingThatIsNotTheOSsIsNotServed(base: UInt64) throws {
    let harness = try ByteRingHarness(.copyToDPIMemory)
    harness.start()
    harness.write(0x30, base, .doubleWord)
    #expect(harness.nic.command & 8 == 0, "the NIC does not receive for nobody")
    #expect(harness.rings.counters(queue: 0).receive.faults.total == 1)
    harness.write(0x30, ByteRingHarness.ring, .doubleWord)
    #expect(harness.nic.command & 8 != 0)
  }

  /// Memory behind the ring's end that is not there: with WRAP the frame has no place.
  @Test func aFrameThatRunsOverTheEndOfMemoryIsDropped() throws {
    let harness = try ByteRingHarness(.copyToDPIMemory)
    harness.start(runsOver: true)
    harness.write(0x30, TestMachine.osLength - 8192, .doubleWord)
    var inspector = ScriptedInspector()
    for index in 0..<9 {
      let isTaken = harness.nic.receive(frame(UInt8(index), count: 1000), machine: harness.machine)
      #expect(isTaken)
      harness.service(&inspector)
      harness.write(0x38, UInt64((harness.read(0x3A, .word) &- 16) & 0xFFFF), .word)
    }
    let counters = harness.rings.counters(queue: 0).receive
    #expect(counters.accepted == 8 && counters.faulted == 1 && counters.faults[.bufferAbsent] == 1)
  }

  /// A hostile OS writes anything to any register, in any width: no trap, bounded steps, no byte of DPI memory leaves, and
  /// nothing that was dropped arrives.
  @Test(arguments: 1...60)
  func anythingInTheRegistersIsSurvived(seed: Int) throws {
    var random = SeededGenerator(seed: UInt64(seed))
    let protection = seed % 2 == 0 ? PacketProtection.inPlace : .copyToDPIMemory
    let harness = try ByteRingHarness(protection)
    harness.start()
    var inspector = ScriptedInspector(dropping: 3)
    let values: [UInt64] = [
      0, 1, 4, 0x0C, 0x10, 60, 1792, 1793, 0x1FFF, 0x2000, 0x2_0000, TestMachine.osLength - 5, TestMachine.dpiBase - 3,
      TestMachine.dpiBase, TestMachine.dpiBase + 0x3000, 0x7000_0000, 0xFFF0, 0xFFFF, 0x1800, 0x1880, .max,
    ]
    let widths: [RegisterWidth] = [.byte, .word, .doubleWord, .doubleWord, .quadWord]
    for step in 0..<400 {
      if step % 50 == 49 { harness.start(length: step / 50 % 4, runsOver: step % 100 == 99) }
      let value = values.randomElement(using: &random)! | (Int.random(in: 0..<4, using: &random) == 0 ? 0x0C << 24 : 0)
      harness.write(
        UInt32.random(in: 0x10..<0x62, using: &random), value, widths.randomElement(using: &random)!)
      _ = harness.nic.receive(
        frame(UInt8.random(in: 0..<5, using: &random), count: Int.random(in: 1...3000, using: &random)),
        machine: harness.machine)
      // The NIC reads what it was told to: of the OS's memory in place, else of its buffers alone.
      for slot in 0..<4 where harness.nic.status[slot] & 0x2000 == 0 {
        let isDPI = harness.machine.partition.isDPI(PhysicalAddress(UInt64(harness.nic.address[slot])))
        #expect(isDPI == (protection == .copyToDPIMemory), "seed \(seed)")
      }
      harness.service(&inspector)
      _ = harness.nic.send(4, machine: harness.machine)
      harness.service(&inspector)
      #expect(
        harness.nic.command & 8 == 0 || harness.machine.partition.isDPI(PhysicalAddress(UInt64(harness.nic.ring))))
    }
    #expect(!inspector.seen.contains { $0.count > 8 && $0.suffix(8).allSatisfy { $0 == 0xD1 } }, "seed \(seed)")
    // And after a reset all is well.
    harness.start()
    inspector.seen.removeAll()
    let isTaken = harness.nic.receive(frame(7), machine: harness.machine)
    #expect(isTaken)
    harness.service(&inspector)
    #expect(harness.take() == [frame(7)])
    let isPosted = harness.post(frame(8))
    #expect(isPosted)
    harness.service(&inspector)
    #expect(harness.nic.send(4, machine: harness.machine) == [frame(8)])
  }

  /// A NIC whose ring makes no sense is started anew.
  @Test func aHeaderThatMakesNoSenseIsAFault() throws {
    let harness = try ByteRingHarness(.copyToDPIMemory)
    harness.start()
    var inspector = ScriptedInspector()
    var isTaken = harness.nic.receive(frame(1), machine: harness.machine)
    #expect(isTaken)
    harness.machine.write([1, 0, 0xF0, 0x7F], at: UInt64(harness.nic.ring))
    harness.service(&inspector)
    #expect(inspector.seen.isEmpty)
    #expect(harness.rings.counters(queue: 0).receive.faults[.lengthAboveBuffer] == 1)
    isTaken = harness.nic.receive(frame(2), machine: harness.machine)
    #expect(isTaken)
    harness.service(&inspector)
    #expect(harness.take() == [frame(2)])
  }

  @Test func theNICReachesItsMemory() {
    let machine = TestMachine()
    let high = DPIRegion(base: PhysicalAddress(0xFFFF_F000), length: 1 << 24)
    #expect(throws: RingSetupError.memoryUnusable) {
      _ = try ByteRingVirtualizer<RTL8139Driver>(
        region: high, memory: machine.memory, partition: machine.partition, protection: .copyToDPIMemory)
    }
  }

  /// Datasheet 5.1 and 5.3.
  @Test func formats() {
    for vector in RTL8139Vectors.headers {
      let word = vector.bytes.reversed().reduce(0 as UInt32) { $0 << 8 | UInt32($1) }
      let header = RTL8139ReceiveHeader(word: word)
      #expect(header.length == vector.length, "\(vector.name)")
      #expect(header.isUnfinished == vector.isUnfinished, "\(vector.name)")
      if let destination = vector.destination {
        #expect(RTL8139ReceiveHeader(destination: destination, length: vector.length) == header, "\(vector.name)")
      }
    }
    for vector in RTL8139Vectors.transmit {
      let status = RTL8139TransmitStatus(rawValue: vector.value)
      #expect(status.length == vector.length && status.isOwn == vector.isOwn, "\(vector.name)")
      #expect(status.isDone == vector.isDone && status.isFailed == vector.isFailed, "\(vector.name)")
    }
  }
}
