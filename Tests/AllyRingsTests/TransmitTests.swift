import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import Testing

@Suite struct TransmitTests {
  @Test func framesGoOutInOrderAndCompleteInOrder() throws {
    let harness = try TransmitHarness()
    var inspector = ScriptedInspector()
    for first: UInt8 in 1...3 { harness.put(frame(first)) }
    #expect(harness.copy(&inspector) == 3)
    #expect(harness.complete() == TransmitCompletions(), "nothing is done before the NIC says so")
    #expect(harness.send() == [frame(1), frame(2), frame(3)])
    #expect(harness.done == ". . . . . . . .")
    #expect(harness.complete() == TransmitCompletions(descriptors: 3, isReported: true, isEmpty: true))
    #expect(harness.done == "C C C . . . . .")
    #expect(harness.rings.osHead == 3)
    #expect(inspector.seen == [frame(1), frame(2), frame(3)])
  }

  @Test func aDroppedFrameNeverReachesTheNICAndCompletesInItsTurn() throws {
    let harness = try TransmitHarness()
    var inspector = ScriptedInspector(dropping: 7)
    for first: UInt8 in [1, 7, 2, 7] { harness.put(frame(first)) }
    _ = harness.copy(&inspector)
    #expect(harness.complete() == TransmitCompletions(), "not before the frames in front of it")
    #expect(harness.send() == [frame(1), frame(2)])
    _ = harness.complete()
    #expect(harness.done == "C C C C . . . .")
    #expect(harness.rings.osHead == 4)
    #expect(harness.rings.state.counters.dropped == 2)
    // A drop alone needs no NIC at all.
    harness.put(frame(7))
    _ = harness.copy(&inspector)
    #expect(harness.complete() == TransmitCompletions(descriptors: 1, isReported: true, isEmpty: true))
  }

  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory])
  func aFrameInPiecesIsInspectedInOnePiece(_ protection: PacketProtection) throws {
    let harness = try TransmitHarness(protection: protection, limits: RingLimits(copyMemory: 0x1_0000))
    var inspector = ScriptedInspector(dropping: 7)
    for _ in 0..<7 {
      inspector.seen = []
      harness.put(pieces: [frame(1, count: 14), frame(2, count: 40), frame(3, count: 1000)])
      harness.put(pieces: [frame(7, count: 14), frame(2, count: 40)])
      #expect(harness.copy(&inspector) == 5)
      let whole = frame(1, count: 14) + frame(2, count: 40) + frame(3, count: 1000)
      #expect(inspector.seen == [whole, frame(7, count: 14) + frame(2, count: 40)])
      #expect(harness.send() == [whole])
      #expect(harness.complete().descriptors == 5)
    }
    #expect(harness.rings.state.counters.faults.total == 0)
  }

  @Test func aFrameMayBePostedPieceByPiece() throws {
    let harness = try TransmitHarness()
    var inspector = ScriptedInspector()
    harness.put(frame(1, count: 20), command: 1 << 25)
    #expect(harness.copy(&inspector) == 0)
    #expect(harness.send().isEmpty, "the NIC gets no part of a frame that was not inspected")
    harness.put(frame(2, count: 20))
    #expect(harness.copy(&inspector) == 2)
    #expect(harness.send() == [frame(1, count: 20) + frame(2, count: 20)])
  }

  @Test func contextDescriptorsPassEvenWhenTheNextFrameIsDropped() throws {
    let harness = try TransmitHarness()
    var inspector = ScriptedInspector(dropping: 7)
    harness.put(0x1234, Command.extension | Command.report)
    harness.put(frame(7), command: Command.plain | Command.extension | 1 << 20)
    harness.put(frame(1), command: Command.plain | Command.extension | 1 << 20)
    _ = harness.copy(&inspector)
    let queue = harness.rings.state.dpiQueue
    #expect(queue.tail == 2)
    #expect(harness.machine.words(queue.base, 0).0 == 0x1234)
    #expect(harness.send() == [frame(1)])
    #expect(harness.complete().descriptors == 3)
    #expect(harness.done == "C C C . . . . .")
  }

  @Test func whatTheOSDoesNotWantReportedIsNotReported() throws {
    let harness = try TransmitHarness()
    var inspector = ScriptedInspector()
    harness.put(frame(1), command: Command.endOfPacket)
    harness.put(frame(2), command: Command.endOfPacket)
    _ = harness.copy(&inspector)
    #expect(harness.send().count == 2)
    #expect(harness.complete() == TransmitCompletions(descriptors: 2, isReported: false, isEmpty: true))
    #expect(harness.done == ". . . . . . . .")
    #expect(harness.rings.osHead == 2)
  }

  @Test func withCopiesTheNICSendsWhatWasInspected() throws {
    let harness = try TransmitHarness(protection: .copyToDPIMemory, limits: RingLimits(copyMemory: 0x4000))
    var inspector = ScriptedInspector()
    harness.put(frame(1))
    _ = harness.copy(&inspector)
    harness.machine.write(frame(99), at: TestMachine.buffer(0))
    #expect(harness.send() == [frame(1)])
  }

  @Test func withCopiesFramesWaitForRoom() throws {
    // Room for two of these frames and a bit.
    let harness = try TransmitHarness(protection: .copyToDPIMemory, limits: RingLimits(copyMemory: 4096))
    var inspector = ScriptedInspector()
    var sent: [[UInt8]] = []
    for first: UInt8 in 1...5 { harness.put(frame(first, count: 1500)) }
    #expect(harness.copy(&inspector) == 2)
    for _ in 0..<5 {
      sent += harness.send()
      _ = harness.complete()
      _ = harness.copy(&inspector)
    }
    #expect(sent == (1...5).map { frame($0, count: 1500) })
    #expect(inspector.seen.count == 5, "no frame is inspected twice")
  }
}
