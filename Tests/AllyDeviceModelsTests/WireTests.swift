import AllyDeviceModels
import Testing

@Suite("Wire")
struct WireTests {
  @Test("frames come out as they went in, in order, with their stamps", arguments: [UInt64(1), 12, 345])
  func queueIsAQueue(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var queue = FrameQueue<TestStamp>(capacity: 4096)
    var model: [(bytes: [UInt8], stamp: TestStamp)] = []
    var refused = 0
    for round in 0..<4000 {
      if Bool.random(using: &random) {
        let bytes = frame(Int.random(in: 0..<900, using: &random), seed: UInt8(truncatingIfNeeded: round))
        let stamp = TestStamp(ordinal: UInt64(round))
        let hasRoom = queue.hasRoom(forFrameOf: bytes.count)
        let isTaken = queue.append(bytes.span, stamp: stamp)
        #expect(isTaken == hasRoom, "seed \(seed), round \(round)")
        if isTaken { model.append((bytes, stamp)) } else { refused += 1 }
        // What is empty takes every frame of this size.
        #expect(isTaken || !model.isEmpty, "seed \(seed), round \(round)")
      } else {
        let first = queue.withFirst { span, stamp in ((0..<span.count).map { span[$0] }, stamp) }
        #expect(first?.0 == model.first?.bytes, "seed \(seed), round \(round)")
        #expect(first?.1 == model.first?.stamp, "seed \(seed), round \(round)")
        queue.removeFirst()
        if !model.isEmpty { model.removeFirst() }
      }
      #expect(queue.count == model.count, "seed \(seed), round \(round)")
    }
    #expect(refused > 0, "seed \(seed)")
  }

  @Test("a frame that never fits is refused")
  func neverFits() {
    var queue = FrameQueue<TestStamp>(capacity: 256)
    let isTaken = queue.append(frame(300).span, stamp: TestStamp(ordinal: 1))
    #expect(!isTaken)
    #expect(queue.count == 0)
    let isSmallTaken = queue.append(frame(100).span, stamp: TestStamp(ordinal: 1))
    #expect(isSmallTaken)
  }

  @Test("a NIC that answers \"wait\" gets the same frame again")
  func waits() {
    var wire = Wire(transmitStamp: TestStamp(ordinal: 0))
    _ = wire.toNIC.append(frame(60).span, stamp: TestStamp(ordinal: 7))
    #expect(wire.receive { _ in .mustWait } == .mustWait)
    #expect(wire.toNIC.count == 1)
    #expect(wire.receive { $0.count == 60 ? .completed : .lost } == .completed)
    #expect(wire.receive { _ in .completed } == nil)
    #expect(wire.completed.removeFirst() == TestStamp(ordinal: 7))
  }

  @Test("no frame is completed whose stamp has no place")
  func stampsAreFull() {
    var wire = Wire(transmitStamp: TestStamp(ordinal: 0))
    wire.completed = StampQueue(capacity: 2)
    for ordinal in 1...UInt64(3) { _ = wire.toNIC.append(frame(60).span, stamp: TestStamp(ordinal: ordinal)) }
    #expect(wire.receive { _ in .completed } == .completed)
    #expect(wire.receive { _ in .lost } == .lost)
    #expect(wire.receive { _ in .completed } == .completed)
    _ = wire.toNIC.append(frame(60).span, stamp: TestStamp(ordinal: 4))
    #expect(wire.receive { _ in .completed } == .mustWait)
    #expect(wire.completed.removeFirst() == TestStamp(ordinal: 1))
    #expect(wire.receive { _ in .completed } == .completed)
    #expect(wire.completed.removeFirst() == TestStamp(ordinal: 3))
    #expect(wire.completed.removeFirst() == TestStamp(ordinal: 4))
    #expect(wire.completed.removeFirst() == nil)
  }
}
