import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import Testing

/// A worker that dies is replaced by one that reads the state (decision 14 of Docs/Architecture.md).
@Suite struct PersistenceTests {
  @Test func aReceiveQueueGoesOnWhereItWas() throws {
    let harness = try ReceiveHarness()
    var inspector = ScriptedInspector(dropping: 7)
    harness.post(6)
    _ = harness.copyPosted()
    for first: UInt8 in [1, 7] { #expect(harness.arrive(frame(first))) }
    _ = harness.publish(&inspector)
    #expect(harness.arrive(frame(2)))
    harness.rings = try E1000Receive(
      region: harness.machine.region, memory: harness.machine.memory, partition: harness.machine.partition,
      start: .resuming)
    #expect(harness.arrive(frame(3)))
    _ = harness.publish(&inspector)
    var taken = harness.take()
    harness.post(3)
    #expect(harness.copyPosted() == 3)
    for first: UInt8 in [4, 5, 6] { #expect(harness.arrive(frame(first))) }
    _ = harness.publish(&inspector)
    taken += harness.take()
    #expect(taken == [1, 2, 3, 4, 5, 6].map { frame($0) })
    #expect(inspector.seen.count == 7)
    #expect(harness.rings.state.counters.accepted == 6)
  }

  @Test func aFrameThatWasPublishedButNotNotedIsNotPublishedAgain() throws {
    let harness = try ReceiveHarness()
    var inspector = ScriptedInspector()
    harness.post(4)
    _ = harness.copyPosted()
    for first: UInt8 in [1, 2] { #expect(harness.arrive(frame(first))) }
    // The worker stored the OS's descriptor and died before it stored the head.
    let queue = harness.rings.state.dpiQueue
    harness.machine.store(harness.machine.words(queue.base, 0), TestMachine.queue, 0)
    harness.rings = try E1000Receive(
      region: harness.machine.region, memory: harness.machine.memory, partition: harness.machine.partition,
      start: .resuming)
    _ = harness.publish(&inspector)
    #expect(inspector.seen == [frame(2)])
    #expect(harness.take() == [frame(1), frame(2)])
  }

  @Test func aTransmitQueueGoesOnWhereItWas() throws {
    let harness = try TransmitHarness()
    var inspector = ScriptedInspector(dropping: 7)
    for first: UInt8 in [1, 7, 2] { harness.put(frame(first)) }
    harness.put(frame(3, count: 20), command: 1 << 25)
    _ = harness.copy(&inspector)
    harness.rings = try E1000Transmit(
      region: harness.machine.region, memory: harness.machine.memory, partition: harness.machine.partition,
      start: .resuming)
    #expect(harness.send() == [frame(1), frame(2)])
    #expect(harness.complete().descriptors == 3)
    #expect(harness.done == "C C C . . . . .")
    // The beginning of the fourth frame is loaded again.
    harness.put(frame(4, count: 20))
    _ = harness.copy(&inspector)
    #expect(harness.send() == [frame(3, count: 20) + frame(4, count: 20)])
    #expect(harness.complete().descriptors == 2)
  }

  @Test func memoryThatHoldsNoStateIsRefused() throws {
    let machine = TestMachine()
    #expect(throws: RingSetupError.noState) {
      _ = try E1000Receive(
        region: machine.region, memory: machine.memory, partition: machine.partition, start: .resuming)
    }
    _ = try E1000Receive(region: machine.region, memory: machine.memory, partition: machine.partition)
    #expect(throws: RingSetupError.noState, "other limits, another layout") {
      _ = try E1000Receive(
        region: machine.region, memory: machine.memory, partition: machine.partition,
        limits: RingLimits(maximumDescriptors: 512), start: .resuming)
    }
  }

  @Test func unusableMemoryIsRefused() throws {
    let machine = TestMachine()
    let small = DPIRegion(base: machine.region.base, length: 4096)
    #expect(throws: RingSetupError.memoryTooSmall(needed: E1000Receive.requiredMemory(limits: RingLimits()))) {
      _ = try E1000Receive(region: small, memory: machine.memory, partition: machine.partition)
    }
    let osSide = DPIRegion(base: PhysicalAddress(0), length: 0x10_0000)
    #expect(throws: RingSetupError.memoryOutsideDPIMemory) {
      _ = try E1000Receive(region: osSide, memory: machine.memory, partition: machine.partition)
    }
    let crooked = DPIRegion(base: machine.region.base.advanced(by: 8), length: machine.region.length)
    #expect(throws: RingSetupError.memoryUnusable) {
      _ = try E1000Receive(region: crooked, memory: machine.memory, partition: machine.partition)
    }
    #expect(throws: RingSetupError.limits) {
      _ = try E1000Receive(
        region: machine.region, memory: machine.memory, partition: machine.partition,
        limits: RingLimits(maximumDescriptors: 4))
    }
  }
}
