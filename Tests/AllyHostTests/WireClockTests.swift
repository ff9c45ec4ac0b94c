import AllyPacket
import AllyRings
import Testing

@testable import AllyHost

/// Arrival times of frames between the wire and the inspector.
@Suite struct WireClockTests {
  @Test func `Each completed frame has the time of its arrival`() {
    let storage = WireClockStorage()
    var clock = storage.clock
    let arrival = clock.readTime()
    clock.noteCompleted()
    let later = clock.readTime()
    #expect(clock.stamp(forFrameOf: 60) == FrameStamp(time: arrival, ordinal: 1, lengthOnWire: 60))
    #expect(clock.stamp(forFrameOf: 61) == FrameStamp(time: later, ordinal: 2, lengthOnWire: 61))
  }

  @Test func `Frames that a reset threw away leave no time behind`() {
    let storage = WireClockStorage()
    var clock = storage.clock
    let before = clock.readTime()
    while clock.hasRoom { clock.noteCompleted() }
    var now = clock.readTime()
    while now == before { now = clock.readTime() }
    clock.forgetCompleted(before: before)
    #expect(!clock.hasRoom, "they may still be looked at")
    clock.forgetCompleted(before: now)
    #expect(clock.hasRoom)
    clock.noteCompleted()
    #expect(clock.stamp(forFrameOf: 60).time == now)
  }
}
