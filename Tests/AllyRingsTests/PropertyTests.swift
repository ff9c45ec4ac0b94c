import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import Testing

/// Random posting, traffic, verdicts and restarts: what arrives at the other end is exactly what was accepted, in order.
@Suite struct PropertyTests {
  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory], 1...25)
  func whatTheOSReceivesIsWhatWasAccepted(_ protection: PacketProtection, seed: Int) throws {
    try checkReceived(ScriptedInspector(dropping: 200, 201), protection, seed)
  }

  /// The same for an inspector that hears of frames before it is asked about them.
  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory], 1...25)
  func whatTheOSReceivesIsWhatWasAcceptedInBatches(_ protection: PacketProtection, seed: Int) throws {
    try checkReceived(ForewarnedInspector(ScriptedInspector(dropping: 200, 201)), protection, seed)
  }

  private func checkReceived<Inspector: InspectorWithScript>(
    _ inspector: Inspector, _ protection: PacketProtection, _ seed: Int
  ) throws {
    var inspector = inspector
    var random = SeededGenerator(seed: UInt64(seed))
    let count = UInt32([8, 16, 24, 64].randomElement(using: &random)!)
    let harness = try ReceiveHarness(
      count: count, protection: protection, limits: RingLimits(copyMemory: 0x2_0000))
    var expected: [[UInt8]] = []
    var received: [[UInt8]] = []
    var arrived = 0
    for step in 0..<400 {
      switch Int.random(in: 0..<5, using: &random) {
      case 0:
        let free = (harness.driverHead + count - harness.driverTail - 1) % count
        harness.post(UInt32.random(in: 0...free, using: &random))
      case 1: _ = harness.copyPosted()
      case 2:
        let length = Int.random(in: 1..<6000, using: &random)
        let sent = frame(UInt8.random(in: 198...203, using: &random), count: length)
        if harness.arrive(sent) {
          arrived += 1
          if sent[0] != 200, sent[0] != 201 { expected.append(sent) }
        }
      case 3:
        _ = harness.publish(&inspector)
        if step % 7 == 0 {
          harness.rings = try E1000Receive(
            region: harness.machine.region, memory: harness.machine.memory, partition: harness.machine.partition,
            limits: RingLimits(copyMemory: 0x2_0000), start: .resuming)
        }
      default: received += harness.take()
      }
    }
    // Let what is on its way arrive.
    for _ in 0..<(3 * arrived + 3) {
      _ = harness.copyPosted()
      _ = harness.publish(&inspector)
      received += harness.take()
      harness.post((harness.driverHead + count - harness.driverTail - 1) % count)
    }
    #expect(inspector.complaint == nil, "seed \(seed), \(protection)")
    #expect(received == expected, "seed \(seed), \(protection)")
    #expect(inspector.script.seen.count == arrived, "seed \(seed), \(protection)")
    #expect(inspector.script.ordinals == (0..<arrived).map { UInt64($0 + 1) }, "seed \(seed), \(protection)")
    #expect(harness.rings.state.counters.faults.total == 0, "seed \(seed), \(protection)")
  }

  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory], 1...25)
  func whatTheNICSendsIsWhatWasAccepted(_ protection: PacketProtection, seed: Int) throws {
    try checkSent(ScriptedInspector(dropping: 200, 201), protection, seed)
  }

  /// The same for an inspector that hears of frames before it is asked about them.
  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory], 1...25)
  func whatTheNICSendsIsWhatWasAcceptedInBatches(_ protection: PacketProtection, seed: Int) throws {
    try checkSent(ForewarnedInspector(ScriptedInspector(dropping: 200, 201)), protection, seed)
  }

  private func checkSent<Inspector: InspectorWithScript>(
    _ inspector: Inspector, _ protection: PacketProtection, _ seed: Int
  ) throws {
    var inspector = inspector
    var random = SeededGenerator(seed: UInt64(seed))
    let count = UInt32([8, 16, 24, 64].randomElement(using: &random)!)
    // Little more than the longest frame, so that copies wait for each other; or room for many.
    let limits = RingLimits(copyMemory: seed % 2 == 0 ? 0x1800 : 0x2_0000)
    let harness = try TransmitHarness(count: count, protection: protection, limits: limits)
    var expected: [[UInt8]] = []
    var sent: [[UInt8]] = []
    var posted = 0
    for step in 0..<400 {
      switch Int.random(in: 0..<5, using: &random) {
      case 0, 1:
        let pieces = Int.random(in: 1...3, using: &random)
        // A driver reuses a buffer only when its slot is done.
        let head = harness.rings.osHead
        let free = (head + count - harness.driverTail - 1) % count
        guard pieces <= free else { continue }
        let first = UInt8.random(in: 198...203, using: &random)
        var whole: [[UInt8]] = []
        for piece in 0..<pieces {
          whole.append(frame(piece == 0 ? first : 1, count: Int.random(in: 1...1500, using: &random)))
        }
        let reports = Bool.random(using: &random)
        for (index, piece) in whole.enumerated() {
          let last = index == pieces - 1
          harness.put(
            piece, command: (last ? Command.endOfPacket : 0) | (reports && last ? Command.report : 0))
        }
        posted += 1
        if first != 200, first != 201 { expected.append(whole.flatMap { $0 }) }
      case 2:
        _ = harness.copy(&inspector)
        if step % 7 == 0 {
          harness.rings = try E1000Transmit(
            region: harness.machine.region, memory: harness.machine.memory, partition: harness.machine.partition,
            limits: limits, start: .resuming)
        }
      case 3: sent += harness.send()
      default: _ = harness.complete()
      }
    }
    for _ in 0..<(posted + 3) {
      _ = harness.copy(&inspector)
      sent += harness.send()
      _ = harness.complete()
    }
    #expect(inspector.complaint == nil, "seed \(seed), \(protection)")
    #expect(sent == expected, "seed \(seed), \(protection)")
    #expect(inspector.script.seen.count == posted, "seed \(seed), \(protection)")
    #expect(harness.rings.osHead == harness.driverTail, "seed \(seed), \(protection): everything completes")
    #expect(harness.rings.state.counters.faults.total == 0, "seed \(seed), \(protection)")
  }

  /// A hostile OS writes anything anywhere in its queue and its tail: no trap, bounded steps, and no byte of DPI memory
  /// reaches the wire or the OS.
  @Test(arguments: 1...40)
  func anythingInTheOSQueueIsSurvived(seed: Int) throws {
    try survive(ScriptedInspector(dropping: 3), seed)
    try survive(ForewarnedInspector(ScriptedInspector(dropping: 3)), seed)
  }

  private func survive<Inspector: InspectorWithScript>(_ inspector: Inspector, _ seed: Int) throws {
    var inspector = inspector
    var random = SeededGenerator(seed: UInt64(seed))
    let protection = seed % 2 == 0 ? PacketProtection.inPlace : .copyToDPIMemory
    let transmit = try TransmitHarness(protection: protection, limits: RingLimits(copyMemory: 0x8000))
    let receive = try ReceiveHarness(protection: protection, limits: RingLimits(copyMemory: 0x8000))
    let addresses: [UInt64] = [
      0, 0x2000, 0x5_0000, TestMachine.osLength - 5, TestMachine.dpiBase - 3, TestMachine.dpiBase,
      TestMachine.dpiBase + 0x1000, 0x7000_0000, .max, .max - 200,
    ]
    for _ in 0..<300 {
      let slot = UInt32.random(in: 0..<8, using: &random)
      let address = addresses.randomElement(using: &random)!
      let fields = UInt64.random(in: 0...(.max), using: &random)
      transmit.machine.store((address, fields), TestMachine.queue, slot)
      receive.machine.store((address, fields), TestMachine.queue, slot)
      let tail = UInt32.random(in: 0..<9, using: &random)
      _ = transmit.rings.moveTail(to: tail)
      _ = receive.rings.moveTail(to: tail)
      _ = transmit.rings.copyPosted(
        inspecting: &inspector, clock: &transmit.clock, memory: transmit.machine.memory)
      // What the NIC would read: only OS memory in place, only copies otherwise.
      let queue = transmit.rings.state.dpiQueue
      var at = transmit.nic.head
      while at != queue.tail {
        let (buffer, asked) = transmit.machine.words(queue.base, at)
        let isContext = asked & 1 << 29 != 0 && asked >> 20 & 0xF == 0
        let length = asked & 1 << 29 != 0 ? asked & 0xF_FFFF : asked & 0xFFFF
        if !isContext, length > 0 {
          let isDPI = transmit.machine.partition.touchesDPI(PhysicalAddress(buffer), length: length)
          #expect(isDPI == (protection == .copyToDPIMemory), "seed \(seed)")
        }
        if asked & 1 << 27 != 0 { transmit.machine.store((buffer, asked | 1 << 32), queue.base, at) }
        at = queue.next(after: at)
      }
      transmit.nic.head = at
      _ = transmit.complete()
      _ = receive.copyPosted()
      _ = receive.arrive(frame(UInt8.random(in: 0..<5, using: &random), count: 100))
      _ = receive.publish(&inspector)
    }
    #expect(!inspector.script.seen.contains { $0.count > 8 && $0.suffix(8).allSatisfy { $0 == 0xD1 } }, "seed \(seed)")
  }
}
