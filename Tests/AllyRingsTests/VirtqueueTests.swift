import AllyHW
import AllyRings
import Testing

/// The device's half of a virtqueue, against bytes as the specification draws them (virtio 1.2, §2.7 and §2.8).
@Suite struct VirtqueueTests {
  // MARK: - Split (§2.7)

  @Test func aChainOfTheDescriptorTable() throws {
    let bench = try QueueBench(size: 8)
    // le64 addr, le32 len, le16 flags (1 NEXT, 2 WRITE), le16 next (§2.7.5).
    bench.machine.write([0, 0, 2, 0, 0, 0, 0, 0, 12, 0, 0, 0, 1, 0, 5, 0], at: bench.table + 16 * 3)
    bench.machine.write([0, 0, 3, 0, 0, 0, 0, 0, 100, 0, 0, 0, 3, 0, 7, 0], at: bench.table + 16 * 5)
    bench.machine.write([0, 0, 4, 0, 0, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 0], at: bench.table + 16 * 7)
    // le16 flags, le16 idx, le16 ring[] (§2.7.6).
    bench.machine.write([0, 0, 1, 0, 3, 0], at: bench.driverArea)
    try bench.withQueue { queue, memory in
      #expect(queue.take(memory: memory) == .chain)
      let chain = queue.chain
      #expect(chain.id == 3 && chain.count == 3 && chain.readable == 1)
      #expect(chain.readableLength == 12 && chain.writableLength == 356)
      #expect((0..<3).map { queue.segment($0).address } == [0x2_0000, 0x3_0000, 0x4_0000])
      queue.skip()
      #expect(queue.take(memory: memory) == .none)
      _ = queue.stage(chain, length: 300)
      queue.decide(far: 0)
      queue.show()
      queue.finish()
    }
    // le16 flags, le16 idx, then le32 id, le32 len (§2.7.8).
    #expect(bench.machine.read(12, at: bench.deviceArea) == [0, 0, 1, 0, 3, 0, 0, 0, 0x2C, 1, 0, 0])
  }

  @Test func anIndirectTable() throws {
    let bench = try QueueBench(size: 4) { $0.hasIndirectDescriptors = true }
    bench.machine.write([0, 0, 5, 0, 0, 0, 0, 0, 32, 0, 0, 0, 4, 0, 0, 0], at: bench.table)
    bench.machine.write([0, 0, 2, 0, 0, 0, 0, 0, 12, 0, 0, 0, 1, 0, 1, 0], at: 0x5_0000)
    bench.machine.write([0, 0, 3, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0], at: 0x5_0010)
    bench.machine.write([0, 0, 1, 0, 0, 0], at: bench.driverArea)
    try bench.withQueue { queue, memory in
      #expect(queue.take(memory: memory) == .chain)
      let chain = queue.chain
      #expect(chain.count == 2 && chain.readableLength == 72 && chain.slots == 1)
    }
  }

  @Test func eventIndexesOfASplitQueue() throws {
    let bench = try QueueBench(size: 4) { $0.hasEventIndex = true }
    for slot in 0..<4 as Range<UInt64> {
      bench.machine.write([0, 0, 2, 0, 0, 0, 0, 0, 64, 0, 0, 0, 2, 0, 0, 0], at: bench.table + 16 * slot)
    }
    bench.machine.write([0, 0, 2, 0, 0, 0, 1, 0], at: bench.driverArea)
    // used_event behind the available ring: an interrupt once the buffer of place 1 is used (§2.7.7.2).
    bench.machine.write([1, 0], at: bench.driverArea + 4 + 2 * 4)
    try bench.withQueue { queue, memory in
      for place in 0..<2 {
        #expect(queue.take(memory: memory) == .chain)
        queue.skip()
        _ = queue.stage(queue.chain, length: 1)
        queue.decide(far: 0)
        queue.show()
        queue.finish()
        #expect(queue.wantsInterrupt() == (place == 1))
      }
      #expect(queue.take(memory: memory) == .none)
      queue.requestNotification()
    }
    // avail_event behind the used ring: a notification of place 2 (§2.7.10).
    #expect(bench.machine.read(2, at: bench.deviceArea + 4 + 8 * 4) == [2, 0])
  }

  /// A device that found too few buffers asks to be told of the one behind them.
  @Test func theNotificationAskedForIsOfWhatIsMissing() throws {
    let bench = try QueueBench(size: 4) { $0.hasEventIndex = true }
    bench.machine.write([0, 0, 2, 0, 0, 0, 0, 0, 64, 0, 0, 0, 2, 0, 0, 0], at: bench.table)
    bench.machine.write([0, 0, 1, 0, 0, 0], at: bench.driverArea)
    try bench.withQueue { queue, memory in
      #expect(queue.take(memory: memory) == .chain)
      queue.skip()
      #expect(queue.take(memory: memory) == .none)
      queue.rewind()
      queue.requestNotification()
    }
    #expect(bench.machine.read(2, at: bench.deviceArea + 4 + 8 * 4) == [1, 0])
  }

  // MARK: - Packed (§2.8)

  @Test func aChainOfThePackedRing() throws {
    let bench = try QueueBench(size: 4) { $0.isPacked = true }
    // le64 addr, le32 len, le16 id, le16 flags; AVAIL is bit 7, USED bit 15 (§2.8.13).
    bench.machine.write([0, 0, 2, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0x81, 0], at: bench.table)
    bench.machine.write([0, 0, 3, 0, 0, 0, 0, 0, 60, 0, 0, 0, 9, 0, 0x82, 0], at: bench.table + 16)
    try bench.withQueue { queue, memory in
      #expect(queue.take(memory: memory) == .chain)
      let chain = queue.chain
      #expect(chain.id == 9 && chain.slots == 2 && chain.readableLength == 12 && chain.writableLength == 60)
      queue.skip()
      #expect(queue.take(memory: memory) == .none)
      _ = queue.stage(chain, length: 60)
      queue.decide(far: 0)
      queue.show()
      queue.finish()
    }
    // The used element: len, id, flags with AVAIL and USED alike, and WRITE because bytes were written (§2.8.8).
    #expect(bench.machine.read(8, at: bench.table + 8) == [60, 0, 0, 0, 9, 0, 0x82, 0x80])
  }

  @Test func thePackedRingWrapsWithItsBits() throws {
    let bench = try QueueBench(size: 3) { $0.isPacked = true }
    var place = 0
    var lap = true
    for number in 0..<20 {
      let flags: [UInt8] = lap ? [0x80, 0] : [0, 0x80]
      bench.machine.write(
        [0, 0, 2, 0, 0, 0, 0, 0, 60, 0, 0, 0, UInt8(number), 0] + flags, at: bench.table + 16 * UInt64(place))
      try bench.withQueue { queue, memory in
        #expect(queue.take(memory: memory) == .chain, "\(number)")
        #expect(queue.chain.id == UInt16(number))
        queue.skip()
        _ = queue.stage(queue.chain, length: 0)
        queue.decide(far: 0)
        queue.show()
        queue.finish()
        queue.requestNotification()
      }
      #expect(bench.machine.read(2, at: bench.table + 16 * UInt64(place) + 14) == (lap ? [0x80, 0x80] : [0, 0]))
      place += 1
      if place == 3 {
        place = 0
        lap.toggle()
      }
    }
  }

  @Test func eventsOfAPackedQueue() throws {
    let bench = try QueueBench(size: 4) {
      $0.isPacked = true
      $0.hasEventIndex = true
    }
    // Interrupt me at place 1 of the first lap: le16 off_wrap, le16 flags 2 (§2.8.14).
    bench.machine.write([1, 0x80, 2, 0], at: bench.driverArea)
    for place in 0..<2 as Range<UInt64> {
      bench.machine.write(
        [0, 0, 2, 0, 0, 0, 0, 0, 60, 0, 0, 0, UInt8(place), 0, 0x80, 0], at: bench.table + 16 * place)
    }
    try bench.withQueue { queue, memory in
      for place in 0..<2 {
        #expect(queue.take(memory: memory) == .chain)
        queue.skip()
        _ = queue.stage(queue.chain, length: 0)
        queue.decide(far: 0)
        queue.show()
        queue.finish()
        #expect(queue.wantsInterrupt() == (place == 1))
      }
      queue.requestNotification()
    }
    #expect(bench.machine.read(4, at: bench.deviceArea) == [2, 0x80, 2, 0])
  }

  // MARK: - Where a queue begins

  @Test func aQueueBeginsWhereAnotherDeviceLeftIt() throws {
    let bench = try QueueBench(size: 4) { $0.beginning = VirtqueuePosition(available: 0xFFFE, used: 0xFFFE) }
    bench.machine.write([0, 0, 2, 0, 0, 0, 0, 0, 60, 0, 0, 0, 2, 0, 0, 0], at: bench.table + 16)
    bench.machine.write([0, 0, 0xFF, 0xFF, 0, 0, 0, 0, 1, 0], at: bench.driverArea)
    try bench.withQueue { queue, memory in
      #expect(queue.position == VirtqueuePosition(available: 0xFFFE, used: 0xFFFE))
      #expect(queue.take(memory: memory) == .chain)
      #expect(queue.chain.id == 1)
      queue.skip()
      _ = queue.stage(queue.chain, length: 20)
      queue.decide(far: 0)
      queue.show()
      queue.finish()
      #expect(queue.position == VirtqueuePosition(available: 0xFFFF, used: 0xFFFF))
    }
    #expect(bench.machine.read(2, at: bench.deviceArea + 2) == [0xFF, 0xFF])
    #expect(bench.machine.read(8, at: bench.deviceArea + 4 + 8 * 2) == [1, 0, 0, 0, 20, 0, 0, 0])
  }

  @Test func aPackedQueueBeginsOnlyWithinItself() throws {
    #expect(throws: QueueBench.Refused(fault: .tailOutOfRange)) {
      _ = try QueueBench(size: 4) {
        $0.isPacked = true
        $0.beginning = VirtqueuePosition(available: 0x8004, used: 0x8000)
      }
    }
  }

  // MARK: - Workers that die

  /// A worker dies at each step of a hand-over: the driver sees each buffer once, whatever the layout.
  @Test(arguments: [false, true], 0...4)
  func aHandOverIsCarriedOutOnce(isPacked: Bool, stepsDone: Int) throws {
    let bench = try QueueBench(size: 8) { $0.isPacked = isPacked }
    for slot in 0..<8 as Range<UInt64> {
      let last: [UInt8] = isPacked ? [UInt8(slot), 0, 0x82, 0] : [2, 0, 0, 0]
      bench.machine.write([0, 0, 2, 0, 0, 0, 0, 0, 60, 0, 0, 0] + last, at: bench.table + 16 * slot)
      bench.machine.write([UInt8(slot), 0], at: bench.driverArea + 4 + 2 * slot)
    }
    bench.machine.write([0, 0, 8, 0], at: bench.driverArea)
    var used: [UInt16] = []
    var order = 0
    func look() {
      while order < 8 {
        if isPacked {
          let flags = bench.machine.read(2, at: bench.table + 16 * UInt64(order) + 14)
          guard flags == [0x82, 0x80] else { return }
          used.append(UInt16(bench.machine.read(1, at: bench.table + 16 * UInt64(order) + 12)[0]))
        } else {
          guard Int(bench.machine.read(1, at: bench.deviceArea + 2)[0]) > order else { return }
          used.append(UInt16(bench.machine.read(1, at: bench.deviceArea + 4 + 8 * UInt64(order))[0]))
        }
        order += 1
      }
    }
    while used.count < 8 {
      try bench.withQueue { queue, memory in
        if queue.resume() { queue.finish() }
        look()
        guard queue.take(memory: memory) == .chain else { return }
        queue.skip()
        _ = queue.stage(queue.chain, length: 60)
        if stepsDone == 0 { return }
        queue.decide(far: 0)
        if stepsDone == 1 { return }
        queue.show()
        if stepsDone == 2 { return }
        // The driver may have seen it before the worker notes that it is done.
        look()
        if stepsDone == 3 { return }
        queue.finish()
      }
      // The worker of the first step never gets anywhere; another does its work.
      if stepsDone == 0 {
        try bench.withQueue { queue, memory in
          #expect(queue.take(memory: memory) == .chain)
          queue.skip()
          _ = queue.stage(queue.chain, length: 60)
          queue.decide(far: 0)
          queue.show()
          queue.finish()
        }
        look()
      }
    }
    #expect(used == [0, 1, 2, 3, 4, 5, 6, 7])
  }
}

/// A virtqueue in a test's memory; each look at it is another worker's.
final class QueueBench {
  struct Refused: Error, Equatable { var fault: RingFault }

  let machine = TestMachine()
  let table: UInt64 = 0x2000
  let driverArea: UInt64 = 0x4000
  let deviceArea: UInt64 = 0x6000

  init(size: UInt32, _ change: (inout ProgrammedVirtqueue) -> Void = { _ in }) throws {
    var queue = ProgrammedVirtqueue()
    queue.size = size
    queue.descriptors = BusAddress(table)
    queue.driverArea = BusAddress(driverArea)
    queue.deviceArea = BusAddress(deviceArea)
    queue.isEnabled = true
    change(&queue)
    var side = try makeSide(.fresh)
    if let fault = side.start(queue, limits: RingLimits(), memory: machine.memory) { throw Refused(fault: fault) }
  }

  private func makeSide(_ start: RingStart) throws -> VirtqueueOSSide {
    let length = VirtqueueOSSide.byteCount
    guard let storage = unsafe machine.memory.pointer(at: machine.region.base, length: length, for: .readWrite) else {
      throw Refused(fault: .queueAbsent)
    }
    return unsafe VirtqueueOSSide(storage: storage, partition: machine.partition, start: start)
  }

  /// One pass of a worker that takes the queue up.
  func withQueue(_ body: (inout VirtqueueOSSide, borrowing PhysicalMemory) throws -> Void) throws {
    var side = try makeSide(.resuming)
    let hasBegun = side.begin(memory: machine.memory)
    #expect(hasBegun)
    try body(&side, machine.memory)
  }
}
