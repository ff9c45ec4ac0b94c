import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import Testing

/// What an OS may write into registers, queues and buffers: bounded steps, a counted fault, nothing leaks.
@Suite struct HostileOSTests {
  @Test func aTailOutsideTheQueueIsIgnored() throws {
    let harness = try ReceiveHarness()
    for value: UInt32 in [8, 9, 0xFFFF, .max] { #expect(harness.rings.moveTail(to: value) == .tailOutOfRange) }
    #expect(harness.rings.state.osQueue.tail == 0)
    #expect(harness.rings.state.counters.faults[.tailOutOfRange] == 4)
  }

  @Test func aTailThatRunsBackwardsIsIgnored() throws {
    let harness = try ReceiveHarness()
    harness.post(5)
    _ = harness.copyPosted()
    #expect(harness.rings.moveTail(to: 3) == .tailPassesHead)
    #expect(harness.rings.moveTail(to: 0) == .tailPassesHead)
    #expect(harness.rings.state.osQueue.tail == 5)
    #expect(harness.rings.moveTail(to: 7) == nil)
  }

  @Test(arguments: [
    (byteLength: UInt32(0), base: UInt64(0x2000), fault: RingFault.queueLength),
    (64, 0x2000, .queueLength), (129, 0x2000, .queueLength), (0xF_FF80, 0x2000, .queueLength),
    (128, 0x2008, .queueMisaligned),
    (128, TestMachine.dpiBase, .queueInDPIMemory), (256, TestMachine.dpiBase - 128, .queueInDPIMemory),
    (128, 0x4000_0000, .queueAbsent), (128, .max & ~0xF, .queueInDPIMemory),
    (256, TestMachine.osLength - 128, .queueAbsent),
  ])
  func aQueueThatCannotBeIsRefused(byteLength: UInt32, base: UInt64, fault: RingFault) throws {
    let machine = TestMachine()
    let programmed = ProgrammedQueue(
      base: BusAddress(base), byteLength: byteLength, head: 0, tail: 0, isEnabled: true, bufferLength: 2048)
    var receive = try E1000Receive(region: machine.region, memory: machine.memory, partition: machine.partition)
    #expect(
      receive.start(programmed, rules: E1000Driver.queueRules, protection: .inPlace, memory: machine.memory) == fault)
    #expect(!receive.state.isRunning)
    #expect(receive.state.counters.faults[fault] == 1)
    var transmit = try E1000Transmit(region: machine.region, memory: machine.memory, partition: machine.partition)
    #expect(
      transmit.start(programmed, rules: E1000Driver.queueRules, protection: .inPlace, memory: machine.memory) == fault)
    // A stopped queue takes nothing and gives nothing.
    var inspector = ScriptedInspector()
    var clock = CountingClock()
    _ = transmit.moveTail(to: 3)
    #expect(transmit.copyPosted(inspecting: &inspector, clock: &clock, memory: machine.memory) == 0)
    #expect(receive.copyPosted(memory: machine.memory) == 0)
  }

  /// The NIC may write DPI memory, because its queue is there. So a buffer of the OS there must never reach the NIC.
  @Test(arguments: [
    (TestMachine.dpiBase, RingFault.bufferInDPIMemory), (TestMachine.dpiBase - 1, .bufferInDPIMemory),
    (0x7000_0000, .bufferAbsent), (TestMachine.osLength - 100, .bufferAbsent), (.max - 10, .bufferInDPIMemory),
  ])
  func aReceiveBufferThatIsNotTheOSsIsNeverOffered(address: UInt64, fault: RingFault) throws {
    let harness = try ReceiveHarness()
    var inspector = ScriptedInspector()
    harness.post(3) { $0 == 1 ? address : TestMachine.buffer($0) }
    _ = harness.copyPosted()
    #expect(harness.rings.state.counters.faults[fault] == 1)
    let queue = harness.rings.state.dpiQueue
    let offered = harness.machine.words(queue.base, 1).0
    #expect(offered != address)
    for first: UInt8 in [1, 2, 3] { #expect(harness.arrive(frame(first))) }
    _ = harness.publish(&inspector)
    #expect(inspector.seen == [frame(1), frame(3)])
    #expect(harness.take() == [frame(1), frame(3)])
    #expect(harness.machine.words(TestMachine.queue, 1).0 == address, "the OS reads no address of ours")
    #expect(inspector.ordinals == [1, 3], "stamps stay in step")
  }

  @Test func withCopiesABadBufferCostsTheOSItsSlotOnly() throws {
    let harness = try ReceiveHarness(protection: .copyToDPIMemory, limits: RingLimits(copyMemory: 0x1_0000))
    var inspector = ScriptedInspector()
    harness.post(4) { $0 == 1 ? TestMachine.dpiBase : TestMachine.buffer($0) }
    for first: UInt8 in [1, 2, 3] { #expect(harness.arrive(frame(first))) }
    _ = harness.publish(&inspector)
    #expect(harness.picture.hasPrefix("OS C X C C . . . .  h4 t4"))
    #expect(harness.machine.read(60, at: TestMachine.dpiBase + 0x30_0000) == Array(repeating: 0xD1, count: 60))
    // Its third frame went to the fourth slot.
    #expect(harness.take() == [frame(1), frame(2), frame(3)])
  }

  @Test(arguments: [
    (TestMachine.dpiBase, RingFault.bufferInDPIMemory), (TestMachine.dpiBase - 8, .bufferInDPIMemory),
    (0x7000_0000, .bufferAbsent), (TestMachine.osLength - 30, .bufferAbsent), (.max - 10, .bufferInDPIMemory),
  ])
  func dpiMemoryIsNeverSent(address: UInt64, fault: RingFault) throws {
    for protection in [PacketProtection.inPlace, .copyToDPIMemory] {
      let harness = try TransmitHarness(protection: protection, limits: RingLimits(copyMemory: 0x4000))
      var inspector = ScriptedInspector()
      harness.put(frame(1))
      harness.put(address, 60 | Command.plain)
      harness.put(frame(2, count: 20), command: 1 << 25)
      harness.put(address, 60 | Command.plain)
      harness.put(frame(3))
      #expect(harness.copy(&inspector) == 5)
      #expect(harness.send() == [frame(1), frame(3)])
      #expect(harness.complete().descriptors == 5)
      #expect(harness.done == "C C . C C . . .", "only what asked for a report gets one")
      #expect(harness.rings.state.counters.faults[fault] == 2)
      #expect(inspector.seen == [frame(1), frame(3)])
    }
  }

  @Test func aDescriptorThatChangesAfterItWasCopiedChangesNothing() throws {
    let transmit = try TransmitHarness()
    var inspector = ScriptedInspector()
    transmit.put(frame(1))
    transmit.put(frame(2, count: 10), command: 1 << 25)
    _ = transmit.copy(&inspector)
    transmit.machine.store((TestMachine.dpiBase, 4000 | Command.plain), TestMachine.queue, 0)
    transmit.machine.store((TestMachine.dpiBase, 4000 | Command.plain), TestMachine.queue, 1)
    transmit.put(frame(3, count: 10))
    _ = transmit.copy(&inspector)
    #expect(transmit.send() == [frame(1), frame(2, count: 10) + frame(3, count: 10)])

    let receive = try ReceiveHarness()
    receive.post(1)
    _ = receive.copyPosted()
    receive.machine.store((TestMachine.dpiBase, 0), TestMachine.queue, 0)
    #expect(receive.arrive(frame(4)))
    _ = receive.publish(&inspector)
    #expect(receive.machine.read(60, at: TestMachine.buffer(0)) == frame(4))
    #expect(receive.machine.words(TestMachine.queue, 0).0 == TestMachine.buffer(0))
  }

  @Test func aDescriptorPostedAsDoneIsNotDone() throws {
    let harness = try TransmitHarness()
    var inspector = ScriptedInspector()
    harness.put(frame(1), command: Command.plain | 1 << 32)
    _ = harness.copy(&inspector)
    #expect(harness.complete() == TransmitCompletions(), "only the NIC says that it is done")
    #expect(harness.send() == [frame(1)])
    #expect(harness.complete().descriptors == 1)
  }

  @Test func aChainWithoutEndIsGivenUp() throws {
    let harness = try TransmitHarness()
    var inspector = ScriptedInspector()
    for _ in 0..<7 { harness.put(frame(1), command: Command.report) }
    _ = harness.copy(&inspector)
    #expect(harness.rings.state.counters.faults[.endlessChain] == 1)
    #expect(harness.send().isEmpty)
    #expect(harness.complete().descriptors == 7)
    harness.put(frame(2))
    harness.put(frame(3))
    _ = harness.copy(&inspector)
    #expect(harness.send() == [frame(3)], "the first of these two ended the chain")
    #expect(harness.complete().descriptors == 2)
    #expect(harness.rings.state.counters.faulted == 1)
  }

  @Test func emptyAndMalformedFramesNeverReachTheNIC() throws {
    let harness = try TransmitHarness(count: 16)
    var inspector = ScriptedInspector()
    harness.put([])
    harness.put(frame(1, count: 10), command: 1 << 25)
    harness.put(0, Command.extension)  // a context within a frame
    harness.put(frame(2, count: 10))
    harness.put(frame(3, count: 10), command: Command.extension | Command.plain | 7 << 20)  // no such type
    harness.put(frame(4))
    _ = harness.copy(&inspector)
    #expect(harness.send() == [frame(4)])
    #expect(harness.complete().descriptors == 6)
    #expect(harness.rings.state.counters.faults[.emptyFrame] == 1)
    #expect(harness.rings.state.counters.faults[.malformedChain] == 2)
  }

  @Test func aFrameBeyondTheLimitIsNotGathered() throws {
    let harness = try TransmitHarness(limits: RingLimits(maximumFrameLength: 4096))
    var inspector = ScriptedInspector()
    harness.put(pieces: [frame(1, count: 2000), frame(2, count: 2000), frame(3, count: 97)])
    harness.put(pieces: [frame(4, count: 2000), frame(5, count: 2000), frame(6, count: 96)])
    _ = harness.copy(&inspector)
    #expect(inspector.seen.map(\.count) == [4096])
    #expect(harness.rings.state.counters.faults[.frameTooLong] == 1)
    #expect(harness.send().count == 1)
    #expect(harness.complete().descriptors == 6)
  }

  @Test func aNICThatClaimsMoreThanTheBufferIsNotBelieved() throws {
    let harness = try ReceiveHarness()
    var inspector = ScriptedInspector()
    harness.post(2)
    _ = harness.copyPosted()
    let queue = harness.rings.state.dpiQueue
    harness.machine.store((harness.machine.words(queue.base, 0).0, 60_000 | 3 << 32), queue.base, 0)
    _ = harness.publish(&inspector)
    #expect(inspector.seen.isEmpty)
    #expect(harness.rings.state.counters.faults[.lengthAboveBuffer] == 1)
    #expect(harness.take().isEmpty)
  }

  @Test func memoryThatGoesAwayIsAFault() throws {
    let harness = try ReceiveHarness()
    var inspector = ScriptedInspector()
    harness.post(2)
    _ = harness.copyPosted()
    #expect(harness.arrive(frame(1)))
    try harness.machine.memory.unmap(base: PhysicalAddress(0), length: TestMachine.osLength)
    #expect(harness.publish(&inspector) == PublishResult())
    #expect(inspector.seen.isEmpty)
    #expect(harness.copyPosted() == 0)
  }
}
