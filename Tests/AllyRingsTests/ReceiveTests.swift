import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import Testing

@Suite struct ReceiveTests {
  /// Figure 4 at ring level.
  @Test func theQueuesEvolveAsInFigure4() throws {
    let harness = try ReceiveHarness()
    var inspector = ScriptedInspector()
    #expect(harness.picture == "OS . . . . . . . .  h0 t0 | DPI . . . . . . . .  h0 t0")
    harness.post(3)
    #expect(harness.picture == "OS P P P . . . . .  h0 t3 | DPI . . . . . . . .  h0 t0", "(a)")
    #expect(harness.copyPosted() == 3)
    #expect(harness.picture == "OS P P P . . . . .  h0 t3 | DPI P P P . . . . .  h0 t3", "(b)")
    #expect(harness.arrive(frame(1)))
    #expect(harness.arrive(frame(2)))
    #expect(harness.picture == "OS P P P . . . . .  h0 t3 | DPI C C P . . . . .  h0 t3", "(c)")
    #expect(harness.publish(&inspector) == PublishResult(frames: 2, descriptors: 2))
    #expect(harness.picture == "OS C C P . . . . .  h2 t3 | DPI C C P . . . . .  h2 t3", "(d)")
    #expect(inspector.seen == [frame(1), frame(2)])
    #expect(inspector.ordinals == [1, 2])
    #expect(harness.take() == [frame(1), frame(2)])
  }

  @Test func aDroppedFrameLooksDamagedAndItsBytesAreGone() throws {
    let harness = try ReceiveHarness()
    var inspector = ScriptedInspector(dropping: 7)
    harness.post(4)
    _ = harness.copyPosted()
    for first: UInt8 in [1, 7, 2] { #expect(harness.arrive(frame(first))) }
    _ = harness.publish(&inspector)
    #expect(harness.picture == "OS C X C P . . . .  h3 t4 | DPI C C C P . . . .  h3 t4")
    #expect(harness.machine.read(64, at: TestMachine.buffer(1)) == Array(repeating: 0, count: 64))
    #expect(harness.take() == [frame(1), frame(2)])
    #expect(harness.rings.state.counters.accepted == 2)
    #expect(harness.rings.state.counters.dropped == 1)
  }

  @Test func aRejectIsADropThatIsCountedApart() throws {
    let harness = try ReceiveHarness()
    var inspector = ScriptedInspector()
    inspector.verdicts[7] = .reject
    harness.post(2)
    _ = harness.copyPosted()
    #expect(harness.arrive(frame(7)))
    _ = harness.publish(&inspector)
    #expect(harness.take().isEmpty)
    #expect(harness.rings.state.counters.rejected == 1)
    #expect(harness.rings.state.counters.dropped == 0)
  }

  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory])
  func aFrameOverSeveralDescriptorsIsInspectedInOnePiece(_ protection: PacketProtection) throws {
    let harness = try ReceiveHarness(protection: protection, limits: RingLimits(copyMemory: 0x1_0000))
    var inspector = ScriptedInspector(dropping: 9)
    let long = frame(3, count: 5000)
    // Twice around the queue, so that frames wrap.
    for _ in 0..<6 {
      inspector.seen = []
      harness.post((harness.driverHead + 8 - harness.driverTail - 1) % 8)
      _ = harness.copyPosted()
      #expect(harness.arrive(long))
      #expect(harness.arrive(frame(9, count: 4500)))
      _ = harness.publish(&inspector)
      #expect(inspector.seen == [long, frame(9, count: 4500)])
      #expect(harness.take() == [long])
    }
    #expect(harness.rings.state.counters.faults.total == 0)
  }

  @Test func theLastDescriptorMayHoldNothingButChecksum() throws {
    let harness = try ReceiveHarness()
    var inspector = ScriptedInspector()
    // 2,046 bytes and 4 of checksum: two of these end up alone in a second buffer.
    harness.post(4)
    _ = harness.copyPosted()
    #expect(harness.arrive(frame(5, count: 2046)))
    _ = harness.publish(&inspector)
    #expect(inspector.seen == [frame(5, count: 2046)])
  }

  @Test func anUnfinishedFrameWaits() throws {
    let harness = try ReceiveHarness()
    var inspector = ScriptedInspector()
    harness.post(4)
    _ = harness.copyPosted()
    let queue = harness.rings.state.dpiQueue
    let buffer = harness.machine.words(queue.base, 0).0
    harness.machine.store((buffer, 2048 | 1 << 32), queue.base, 0)
    #expect(harness.publish(&inspector) == PublishResult())
    #expect(harness.picture == "OS P P P P . . . .  h0 t4 | DPI C P P P . . . .  h0 t4")
    harness.machine.store((harness.machine.words(queue.base, 1).0, 100 | 3 << 32), queue.base, 1)
    #expect(harness.publish(&inspector) == PublishResult(frames: 1, descriptors: 2))
    #expect(inspector.seen.first?.count == 2144)
  }

  @Test func aFrameLongerThanTheQueueIsGivenBackAndCounted() throws {
    let harness = try ReceiveHarness()
    var inspector = ScriptedInspector()
    harness.post(7)
    _ = harness.copyPosted()
    let queue = harness.rings.state.dpiQueue
    for slot: UInt32 in 0..<7 {
      harness.machine.store((harness.machine.words(queue.base, slot).0, 2048 | 1 << 32), queue.base, slot)
    }
    harness.nic.head = 7
    #expect(harness.publish(&inspector) == PublishResult(frames: 0, descriptors: 7))
    #expect(harness.picture == "OS X X X X X X X .  h7 t7 | DPI C C C C C C C .  h7 t7")
    #expect(harness.take().isEmpty)
    harness.post(7)
    _ = harness.copyPosted()
    // The rest of the long frame, then a good one.
    #expect(harness.arrive(frame(8)))
    #expect(harness.arrive(frame(4)))
    _ = harness.publish(&inspector)
    #expect(inspector.seen == [frame(4)])
    #expect(harness.take() == [frame(4)])
    #expect(harness.rings.state.counters.faults[.endlessChain] == 1)
    #expect(harness.rings.state.counters.faulted == 1)
    #expect(harness.clock.count == 2, "a frame that is given up uses its stamp all the same")
  }

  @Test func aSyntheticHeaderIsTakenOff() throws {
    struct RawClock: FrameClock {
      mutating func stamp(forFrameOf length: UInt32) -> FrameStamp {
        FrameStamp(lengthOnWire: length - 14, linkType: .raw)
      }
    }
    let harness = try ReceiveHarness()
    var inspector = ScriptedInspector()
    var clock = RawClock()
    harness.post(2)
    _ = harness.copyPosted()
    #expect(harness.arrive(Array(repeating: 0, count: 14) + frame(0x45)))
    _ = harness.rings.publishCompleted(inspecting: &inspector, clock: &clock, memory: harness.machine.memory)
    #expect(inspector.seen == [frame(0x45)])
  }

  @Test func withCopiesADropLeavesNoTrace() throws {
    let harness = try ReceiveHarness(protection: .copyToDPIMemory, limits: RingLimits(copyMemory: 0x1_0000))
    var inspector = ScriptedInspector(dropping: 7)
    harness.post(3)
    #expect(harness.copyPosted() == 0, "the NIC never sees the OS's buffers")
    for first: UInt8 in [1, 7, 2] { #expect(harness.arrive(frame(first))) }
    _ = harness.publish(&inspector)
    #expect(harness.picture.hasPrefix("OS C C P . . . . .  h2 t3"))
    #expect(harness.take() == [frame(1), frame(2)])
    for slot: UInt32 in 0..<8 {
      #expect(!harness.machine.read(2048, at: TestMachine.buffer(slot)).starts(with: frame(7)))
    }
  }

  @Test func withCopiesFramesWaitForSlotsInOrder() throws {
    let harness = try ReceiveHarness(protection: .copyToDPIMemory, limits: RingLimits(copyMemory: 0x1_0000))
    var inspector = ScriptedInspector()
    for first: UInt8 in 1...5 { #expect(harness.arrive(frame(first))) }
    #expect(harness.publish(&inspector) == PublishResult())
    #expect(inspector.seen.isEmpty, "a verdict is final, so nothing is inspected before it can be published")
    harness.post(2)
    _ = harness.publish(&inspector)
    harness.post(4)
    _ = harness.publish(&inspector)
    #expect(harness.take() == (1...5).map { frame($0) })
    #expect(inspector.ordinals == [1, 2, 3, 4, 5])
  }
}
