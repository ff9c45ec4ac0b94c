import AllyAppliance
import AllyDeviceModels
import AllyDrivers
import AllyPacket
import AllyRings
import AllySimulator
import Testing

/// Verdicts beyond accept and drop, from the wire to the OS's stack and back.
@Suite struct AnswerTests {
  private static let protections: [PacketProtection] = [.inPlace, .copyToDPIMemory]

  private static func machine(
    _ protection: PacketProtection, receiveDescriptors: UInt32 = 32, transmitDescriptors: UInt32 = 16
  ) throws -> E1000Machine {
    var machine = try E1000Machine.e1000(
      layout: MachineLayout(limits: RingLimits(copyMemory: 1 << 20), protection: protection),
      receiveDescriptors: receiveDescriptors, transmitDescriptors: transmitDescriptors)
    machine.bootOS()
    return machine
  }

  @Test(arguments: protections)
  func receivedFramesAreReplaced(protection: PacketProtection) throws {
    var machine = try Self.machine(protection)
    var inspector = AnsweringInspector { number, _ in
      switch number % 4 {
      case 1: .shrink(60)
      case 2: .grow(40)
      case 3: .drop
      default: .accept
      }
    }
    let sent = (0..<200).map { Frames.numbered($0, length: 100 + $0 * 61 % 1300) }
    let delivered = try machine.receive(sent, every: 20, inspecting: &inspector)
    let expected = inspector.outcomes(of: sent, .receive)
    #expect(delivered == expected)
    #expect(inspector.refused == 0)
    let counters = machine.hardware.dpi.virtualizer.counters(queue: 0).receive
    #expect(counters.replaced == 100)
    #expect(counters.dropped == 50)
    #expect(counters.faults.total == 0)
  }

  /// In place a replacement has the buffers of the frame that it replaces, and no others.
  @Test func inPlaceNothingGrowsPastTheBuffer() throws {
    var machine = try Self.machine(.inPlace)
    var inspector = AnsweringInspector { number, _ in number == 1 ? .grow(1200) : .accept }
    let sent = (0..<3).map { Frames.numbered($0, length: 1000) }
    let delivered = try machine.receive(sent, inspecting: &inspector)
    #expect(delivered == [sent[0], sent[2]])
    #expect(machine.hardware.dpi.virtualizer.counters(queue: 0).receive.faults[.answerRefused] == 1)
  }

  /// Nothing of a longer original is left behind its replacement.
  @Test func inPlaceTheRestOfTheOriginalIsScrubbed() throws {
    var machine = try Self.machine(.inPlace)
    var inspector = AnsweringInspector { _, _ in .shrink(60) }
    let original = Frames.numbered(7, length: 1400)
    try machine.put(original, ordinal: 1)
    machine.run(inspecting: &inspector) { _ in }
    var bytes: [UInt8] = []
    let buffer = machine.osDriver.layout.receiveBuffers
    let isRead = machine.hardware.read(buffer, count: 1400, into: &bytes)
    #expect(isRead)
    #expect(bytes == Array(original.prefix(60)) + [UInt8](repeating: 0, count: 1340))
  }

  @Test(arguments: protections)
  func transmittedFramesAreReplaced(protection: PacketProtection) throws {
    var machine = try Self.machine(protection)
    var inspector = AnsweringInspector { number, _ in
      switch number % 5 {
      case 1: .shrink(70)
      case 2: .grow(1000)
      case 3: .drop
      default: .accept
      }
    }
    // Some frames take several descriptors of 2,048 bytes.
    let sent = (0..<150).map { Frames.numbered($0, length: 100 + $0 * 531 % 7000) }
    let arrived = machine.transmit(sent, inspecting: &inspector)
    let expected = inspector.outcomes(of: sent, .transmit)
    #expect(arrived == expected)
    #expect(inspector.refused == 0)
    #expect(machine.osDriver.unfinishedTransmissions == 0)
    #expect(machine.hardware.dpi.virtualizer.counters(queue: 0).transmit.replaced == 60)
  }

  @Test(arguments: protections)
  func framesGoToTheWireBetweenTheOSs(protection: PacketProtection) throws {
    var machine = try Self.machine(protection)
    var inspector = AnsweringInspector { number, direction in
      number % 3 == 0 ? .inject(.transmit, Frames.numbered(Int(number) + 1000, length: 90)) : .accept
    }
    let sent = (0..<100).map { Frames.numbered($0, length: 200) }
    let arrived = machine.transmit(sent, inspecting: &inspector)
    #expect(arrived == inspector.outcomes(of: sent, .transmit))
    #expect(machine.osDriver.unfinishedTransmissions == 0)
    // Also while the OS sends nothing, for frames that it receives.
    for number in 0..<30 { try machine.put(Frames.numbered(number, length: 100), ordinal: number + 1) }
    var delivered = 0
    machine.run(inspecting: &inspector) { _ in delivered += 1 }
    #expect(delivered == 30)
    #expect(machine.takeSent() == stride(from: 0, to: 30, by: 3).map { Frames.numbered($0 + 1000, length: 90) })
    #expect(machine.hardware.dpi.virtualizer.counters(queue: 0).transmit.injected == 34 + 10)
  }

  @Test func framesGoToTheOSBetweenTheWires() throws {
    var machine = try Self.machine(.copyToDPIMemory, receiveDescriptors: 8)
    var inspector = AnsweringInspector { number, direction in
      number % 2 == 0 ? .inject(.receive, Frames.numbered(Int(number) + 1000, length: 3000)) : .accept
    }
    let sent = (0..<60).map { Frames.numbered($0, length: 300) }
    var delivered: [[UInt8]] = []
    for (index, frame) in sent.enumerated() { try machine.put(frame, ordinal: index + 1) }
    machine.run(inspecting: &inspector, batch: 4) { delivered.append($0.array) }
    #expect(delivered == inspector.outcomes(of: sent, .receive))
    // A frame of the OS may bring one back.
    let own = Frames.numbered(2, length: 100)
    let isTaken = unsafe machine.send(own.span.bytes)
    #expect(isTaken)
    delivered = []
    machine.run(inspecting: &inspector) { delivered.append($0.array) }
    #expect(delivered == [Frames.numbered(1002, length: 3000)])
    #expect(machine.takeSent() == [own])
  }

  @Test func inPlaceNothingIsSentToTheOS() throws {
    var machine = try Self.machine(.inPlace)
    var inspector = AnsweringInspector { _, _ in .inject(.receive, Frames.numbered(9)) }
    try machine.put(Frames.numbered(1), ordinal: 1)
    var delivered = 0
    machine.run(inspecting: &inspector) { _ in delivered += 1 }
    #expect(delivered == 1)
    #expect(inspector.refused == 1)
  }

  /// The sender of a connection attempt hears of it; the OS sees nothing.
  @Test(arguments: protections)
  func aRejectedSegmentIsAnsweredWithAReset(protection: PacketProtection) throws {
    var machine = try Self.machine(protection)
    var inspector = AnsweringInspector { _, _ in .reject(.tcpReset) }
    let ip: [UInt8] = [0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2]
    let tcp: [UInt8] = [200, 0, 0, 23, 0, 0, 0, 9, 0, 0, 0, 0, 0x50, 2, 16, 0, 0, 0, 0, 0]
    let syn = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0] + ip + tcp
    try machine.put(syn, ordinal: 1)
    var delivered = 0
    machine.run(inspecting: &inspector) { _ in delivered += 1 }
    #expect(delivered == 0)
    let answers = machine.takeSent()
    try #require(answers.count == 1)
    // Padded by the NIC to 60 bytes.
    let reset = Array(answers[0].prefix(54))
    #expect(reset.prefix(14) == [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0])
    #expect(reset[26..<34] == [198, 51, 100, 2, 192, 0, 2, 1])
    #expect(reset[34..<48] == [0, 23, 200, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0x50, 0x14])
    #expect(machine.hardware.dpi.virtualizer.counters(queue: 0).receive.rejected == 1)
  }

  /// Whatever inspectors answer, each direction keeps its order and the OS gets every descriptor back.
  @Test(arguments: 1...12)
  func anyAnswersInAnyOrder(seed: Int) throws {
    let protection = Self.protections[seed % 2]
    var random = SeededGenerator(seed: UInt64(seed))
    var script: [UInt32: Answer] = [:]
    for number in 0..<400 as Range<UInt32> {
      script[number] =
        switch random.next() % 8 {
        case 0: .drop
        case 1: .shrink(60 + Int(random.next() % 40))
        case 2: .grow(Int(random.next() % 400))
        case 3: .inject(.transmit, Frames.numbered(Int(number) + 5000, length: 60 + Int(random.next() % 1000)))
        case 4 where protection == .copyToDPIMemory:
          .inject(.receive, Frames.numbered(Int(number) + 6000, length: 60 + Int(random.next() % 5000)))
        default: .accept
        }
    }
    var machine = try Self.machine(protection, receiveDescriptors: 16, transmitDescriptors: 16)
    var inspector = AnsweringInspector { number, _ in script[number] ?? .accept }
    var delivered: [[UInt8]] = []
    var arrived: [[UInt8]] = []
    var received: [[UInt8]] = []
    var sent: [[UInt8]] = []
    for number in 0..<400 {
      // In place, growth must fit into the buffer.
      let frame = Frames.numbered(number, length: 120 + Int(random.next() % 1400))
      if Bool.random(using: &random) {
        try machine.put(frame, ordinal: number + 1)
        received.append(frame)
      } else {
        while unsafe !machine.send(frame.span.bytes) {
          machine.run(inspecting: &inspector) { delivered.append($0.array) }
          arrived += machine.takeSent()
        }
        sent.append(frame)
      }
      if random.next() % 16 == 0 {
        machine.run(inspecting: &inspector, batch: 1 + Int(random.next() % 8)) { delivered.append($0.array) }
        arrived += machine.takeSent()
      }
    }
    machine.run(inspecting: &inspector) { delivered.append($0.array) }
    arrived += machine.takeSent()

    // Frames of the inspector's own may come in between; those of either side are all there, in their order.
    func isOwn(_ frame: [UInt8]) -> Bool { frame.count >= 18 && (Int(frame[16]) << 8 | Int(frame[17])) >= 5000 }
    func expected(_ frames: [[UInt8]], _ direction: Direction) -> [[UInt8]] {
      frames.flatMap { frame -> [[UInt8]] in
        let number = UInt32(frame[16]) << 8 | UInt32(frame[17])
        return (script[number] ?? .accept).outcome(of: frame, direction).filter { !isOwn($0) }
      }
    }
    #expect(delivered.filter { !isOwn($0) } == expected(received, .receive), "seed \(seed)")
    #expect(arrived.filter { !isOwn($0) } == expected(sent, .transmit), "seed \(seed)")
    var own: (os: Set<[UInt8]>, wire: Set<[UInt8]>) = ([], [])
    for case .inject(let direction, let frame) in script.values {
      if direction == .receive { own.os.insert(frame) } else { own.wire.insert(frame) }
    }
    #expect(Set(delivered.filter(isOwn)) == own.os && delivered.filter(isOwn).count == own.os.count, "seed \(seed)")
    #expect(Set(arrived.filter(isOwn)) == own.wire && arrived.filter(isOwn).count == own.wire.count, "seed \(seed)")
    #expect(machine.osDriver.unfinishedTransmissions == 0, "seed \(seed)")
    #expect(inspector.refused == 0, "seed \(seed)")
  }

  @Test func anApplianceThatNeedsMoreIsRefusedWhenComposed() throws {
    typealias Core = DPICore<RingVirtualizer<E1000Driver>>
    let limits = RingLimits(copyMemory: 1 << 20)
    try Core.check(AnsweringInspector.self, protection: .copyToDPIMemory, limits: limits)
    try Core.check(ScriptedInspector.self, protection: .inPlace, limits: RingLimits())
    let error = #expect(throws: CompositionError.self) {
      try Core.check(AnsweringInspector.self, protection: .inPlace, limits: limits)
    }
    #expect(error?.unsupported == [.growsReceived, .injectsTowardsOS])
    #expect(
      error?.description
        == "the inspector would make received frames longer, send frames to the OS, which this NIC's virtualizer does "
        + "not do at protection inPlace")
    let without = #expect(throws: CompositionError.self) {
      try Core.check(AnsweringInspector.self, protection: .copyToDPIMemory, limits: RingLimits())
    }
    #expect(without?.unsupported == .all)
  }
}
