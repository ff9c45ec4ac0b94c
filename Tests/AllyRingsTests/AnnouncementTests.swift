import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import Testing

/// Inspectors that hear of frames before they are asked about them: what they hear of is what they are asked, in batches, and what
/// does not pass leaves no gap.
@Suite struct AnnouncementTests {
  private let limits = RingLimits(copyMemory: 0x2_0000)

  @Test func aPassIsOneBatch() throws {
    let harness = try TransmitHarness(count: 64, protection: .copyToDPIMemory, limits: limits)
    var inspector = ForewarnedInspector(ScriptedInspector(dropping: 7))
    for first: UInt8 in [1, 7, 2, 3, 7] { harness.put(frame(first)) }
    #expect(harness.copy(&inspector) == 5)
    #expect(inspector.longestBatch == 5)
    #expect(inspector.script.seen.map(\.[0]) == [1, 7, 2, 3, 7])
    #expect(inspector.complaint == nil)
    #expect(harness.send() == [frame(1), frame(2), frame(3)])
    #expect(harness.complete().descriptors == 5)
    #expect(harness.done.hasPrefix("C C C C C ."))
    #expect(harness.rings.state.counters.accepted == 3)
    #expect(harness.rings.state.counters.dropped == 2)
  }

  @Test func aLongPassIsSeveral() throws {
    let harness = try TransmitHarness(count: 128, protection: .copyToDPIMemory, limits: limits)
    var inspector = ForewarnedInspector(ScriptedInspector(dropping: 7))
    let firsts = (0..<120).map { UInt8($0 % 10) }
    for first in firsts { harness.put(frame(first)) }
    #expect(harness.copy(&inspector) == 120)
    #expect(inspector.longestBatch == 64)
    #expect(inspector.complaint == nil)
    #expect(harness.send() == firsts.filter { $0 != 7 }.map { frame($0) })
  }

  /// Figure of the DPI queue: contexts stay where they are among the frames, and those behind a dropped frame move up.
  @Test func contextsMoveUpWithTheFramesBehindThem() throws {
    let harness = try TransmitHarness(count: 16, protection: .copyToDPIMemory, limits: limits)
    var inspector = ForewarnedInspector(ScriptedInspector(dropping: 7))
    for (context, first) in [(0x1111, 1), (0x2222, 7), (0x3333, 2)] as [(UInt64, UInt8)] {
      harness.put(context, Command.extension | Command.report)
      harness.put(frame(first), command: Command.plain | Command.extension | 1 << 20)
    }
    _ = harness.copy(&inspector)
    #expect(inspector.complaint == nil)
    let queue = harness.rings.state.dpiQueue
    #expect(queue.tail == 5)
    #expect([0, 2, 3].map { harness.machine.words(queue.base, $0).0 } == [0x1111, 0x2222, 0x3333])
    #expect(harness.send() == [frame(1), frame(2)])
    #expect(harness.complete().descriptors == 6)
  }

  @Test func aFrameThatIsPostedInPartMovesUpToo() throws {
    let harness = try TransmitHarness(count: 16, protection: .copyToDPIMemory, limits: limits)
    var inspector = ForewarnedInspector(ScriptedInspector(dropping: 7))
    harness.put(frame(7))
    harness.put(frame(7))
    harness.put(frame(1, count: 20), command: 1 << 25)
    #expect(harness.copy(&inspector) == 2)
    #expect(harness.send().isEmpty)
    harness.put(frame(2, count: 20))
    #expect(harness.copy(&inspector) == 2)
    #expect(harness.send() == [frame(1, count: 20) + frame(2, count: 20)])
    #expect(harness.complete().descriptors == 4)
    #expect(inspector.complaint == nil)
  }

  @Test func receivedFramesAreOneBatchAsFarAsTheOSHasRoom() throws {
    let harness = try ReceiveHarness(count: 16, protection: .copyToDPIMemory, limits: limits)
    var inspector = ForewarnedInspector(ScriptedInspector(dropping: 7))
    harness.post(4)
    for first: UInt8 in [1, 7, 2, 3, 4, 5] { #expect(harness.arrive(frame(first))) }
    _ = harness.publish(&inspector)
    #expect(inspector.longestBatch == 4)
    #expect(inspector.expected.isEmpty)
    #expect(harness.take() == [frame(1), frame(2), frame(3), frame(4)])
    harness.post(4)
    _ = harness.publish(&inspector)
    #expect(harness.take() == [frame(5)])
    #expect(inspector.complaint == nil)
    #expect(inspector.script.seen.count == 6)
  }
}
