import Glibc
import Testing

@testable import AllyHost

/// The book of buffers in flight that a front end keeps for back ends that die.
@Suite struct VhostUserInflightTests {
  /// The entry of a descriptor begins with whether it is in flight.
  private static func entry(_ head: Int) -> UInt64 { 16 + 16 * UInt64(head) }

  private func exchange(_ numbers: Range<Int>, _ front: FrontEnd) {
    for number in numbers {
      let frame = FrontEnd.frame(number, length: 80)
      front.wire(frame)
      front.transmit(frame)
      front.work()
      #expect(front.takeReceived() == [frame] && front.takeFromWire() == [frame], "frame \(number)")
    }
  }

  /// What is noted is what the ring says, pass by pass.
  @Test func theBookIsKept() throws {
    let front = try FrontEnd()
    front.keepsInflight = true
    try front.setUp(.split)
    exchange(0..<70, front)
    for (ring, used) in [(0, front.receivedCount), (1, front.transmittedCount)] {
      let region = front.readInflight(ring: ring)
      // Features are unsaid; version 1, 64 descriptors, the last one given back, the used index.
      #expect(Array(region[8..<16]) == [1, 0, 64, 0, UInt8((used - 1) % 64), 0, UInt8(used), 0])
      #expect((0..<64).allSatisfy { region[Int(Self.entry($0))] == 0 }, "all came back")
    }
  }

  /// A front end may take for the base what was made available, and leave the rest to the book: nothing is doubled or lost.
  @Test func aBackEndIsReplaced() throws {
    let front = try FrontEnd()
    front.keepsInflight = true
    try front.setUp(.split)
    exchange(0..<20, front)
    front.device.disconnect()
    // Three frames that the one that died had taken, and noted, and one that it had not.
    let late = (20..<24).map { FrontEnd.frame($0, length: 90) }
    try front.mapAgain()
    for frame in late { front.transmit(frame) }
    front.device.disconnect()
    let length = VhostUserInflightShape.regionLength(64)
    for head in 20..<23 { front.writeInflight([1], at: length + Self.entry(head)) }
    try front.connect(.split, bases: front.postedCounts)
    front.work()
    #expect(front.takeFromWire() == late)
    #expect(front.takeReceived() == [])
    exchange(24..<100, front)
    #expect(front.device.complaints == [])
  }

  /// One that died between the used ring and the book had given back what the book still has in flight.
  @Test func whatWasGivenBackIsNotTakenAgain() throws {
    let front = try FrontEnd()
    front.keepsInflight = true
    try front.setUp(.split)
    exchange(0..<20, front)
    front.device.disconnect()
    let length = VhostUserInflightShape.regionLength(64)
    front.writeInflight([17, 0], at: length + 14)
    for head in 17..<20 { front.writeInflight([1], at: length + Self.entry(head)) }
    try front.connect(.split, bases: front.postedCounts)
    front.work()
    #expect(front.takeFromWire() == [])
    exchange(20..<90, front)
  }

  /// A driver that begins anew, before a back end that goes on or while there is none.
  @Test(arguments: [false, true]) func aDriverBeginsAnew(dies: Bool) throws {
    let front = try FrontEnd()
    front.keepsInflight = true
    try front.setUp(.split)
    for _ in 0..<3 {
      exchange(0..<100, front)
      if dies { front.device.disconnect() } else { _ = try front.stop() }
      try front.setUp(.split)
    }
    exchange(0..<100, front)
    #expect(front.device.complaints == [])
  }

  /// Buffers in flight that are not the next of the ring: this back end cannot have left them, and does not guess.
  @Test func anotherOrderIsRefused() throws {
    let front = try FrontEnd()
    front.keepsInflight = true
    try front.setUp(.split)
    exchange(0..<20, front)
    front.device.disconnect()
    front.writeInflight([1], at: VhostUserInflightShape.regionLength(64) + Self.entry(40))
    try front.connect(.split, bases: front.postedCounts)
    front.work()
    #expect(front.device.complaints == ["ring 1: buffers in flight that are out of their order"])
  }

  @Test func nonsenseIsRefused() throws {
    let front = try FrontEnd()
    front.keepsInflight = true
    try front.setUp(.split)
    let (file, shape) = try #require(front.inflight)
    func answer(_ shape: VhostUserInflightShape, _ files: [Int32]) throws -> [UInt8]? {
      try front.send(32, shape.bytes, descriptors: files, wantsReply: true)
    }
    var cut = shape
    cut.length -= 64
    var beyond = shape
    beyond.offset = 64
    var askew = shape
    askew.offset = 8
    var wide = shape
    wide.queues = 300
    for wrong in [cut, beyond, askew, wide] { #expect(try answer(wrong, [dup(file)]) == [1, 0, 0, 0, 0, 0, 0, 0]) }
    #expect(try answer(shape, []) == [1, 0, 0, 0, 0, 0, 0, 0])
    for (queues, size) in [(0, 64), (300, 64), (2, 0), (2, 40_000)] as [(UInt16, UInt16)] {
      let asked = VhostUserInflightShape(length: 0, offset: 0, queues: queues, size: size)
      #expect(try front.send(31, asked.bytes) == asked.bytes, "no length: there is none")
    }
  }

  /// Whatever is in the book: rings start, or are refused; and a book of zeros makes good again.
  @Test func anyContentsAreHarmless() throws {
    let front = try FrontEnd()
    front.keepsInflight = true
    try front.setUp(.split)
    let seed: UInt64 = 0x1F11
    var random = SeededGenerator(seed: seed)
    let length = Int(VhostUserInflightShape.regionLength(64)) * 2
    for round in 0..<300 {
      front.device.disconnect()
      front.writeInflight((0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }, at: 0)
      // Half of them get further.
      for ring in 0..<2 where round % 2 == 0 {
        front.writeInflight([1, 0, 64, 0, 0, 0, UInt8(round % 60), 0], at: UInt64(ring * length / 2 + 8))
      }
      try front.connect(.split, bases: front.postedCounts)
      // A ring that was refused keeps what was posted.
      if Int(front.postedCounts[1]) - front.transmittedCount < 60 { front.transmit(FrontEnd.frame(round, length: 70)) }
      front.work()
      _ = front.takeFromWire()
      _ = front.takeReceived()
    }
    front.device.disconnect()
    front.writeInflight([UInt8](repeating: 0, count: length), at: 0)
    try front.connect(.split, bases: front.postedCounts)
    front.work()
    _ = front.takeFromWire()
    _ = front.takeReceived()
    exchange(0..<100, front)
  }
}
