import AllyAppliance
import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import AllySimulator
import Testing

/// Verdicts beyond accept and drop on virtqueues, whatever the OS has negotiated, and with workers that are replaced.
@Suite struct VirtioNetAnswerTests {
  typealias Setting = VirtioNetTests.Setting

  private func machine(
    _ setting: Setting, queueSize: UInt32 = 32, bufferLength: UInt32 = 2048, maximumFrameLength: Int = 1518
  ) throws -> VirtioMachine {
    var machine = try VirtioMachine.virtioNet(
      layout: MachineLayout(limits: RingLimits(copyMemory: 1 << 20), protection: setting.protection),
      driver: VirtioNetOSDriver.Layout(
        base: MachineLayout.driverMemory, queueSize: queueSize, bufferLength: bufferLength,
        usesPackedQueues: setting.isPacked, usesIndirectDescriptors: !setting.isPlain,
        usesEventIndex: !setting.isPlain, mergesBuffers: setting.merges),
      maximumFrameLength: maximumFrameLength)
    machine.bootOS()
    return machine
  }

  @Test(arguments: Setting.all)
  func receivedFramesAreReplaced(setting: Setting) throws {
    var machine = try self.machine(setting)
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
    #expect(machine.osDriver.counters.receiveErrors == 0 && machine.osDriver.counters.unknownBuffers == 0)
    let counters = machine.hardware.dpi.virtualizer.counters(queue: 0).receive
    #expect(counters.replaced == 100 && counters.dropped == 50 && counters.faults.total == 0)
  }

  /// A frame that fills several buffers gets a replacement in these, or with copies in as many as it needs.
  @Test(arguments: Setting.all.filter(\.merges))
  func framesInSeveralBuffersAreReplaced(setting: Setting) throws {
    var machine = try self.machine(setting, queueSize: 128, bufferLength: 512, maximumFrameLength: 20_000)
    var inspector = AnsweringInspector { number, _ in
      switch number {
      case 0: .shrink(100)
      case 1: .grow(10)
      case 2: .shrink(5000)
      default: .accept
      }
    }
    let sent = [2000, 3000, 9000, 70].enumerated().map { Frames.numbered($0.offset, length: $0.element) }
    let delivered = try machine.receive(sent, inspecting: &inspector)
    let expected = inspector.outcomes(of: sent, .receive)
    #expect(delivered == expected)
    #expect(machine.osDriver.counters.receiveErrors == 0)
  }

  @Test func inPlaceNothingGrowsPastTheBuffers() throws {
    var machine = try self.machine(Setting.all[0])
    var inspector = AnsweringInspector { number, _ in number == 1 ? .grow(1200) : .accept }
    let sent = (0..<3).map { Frames.numbered($0, length: 1000) }
    let delivered = try machine.receive(sent, inspecting: &inspector)
    #expect(delivered == [sent[0], sent[2]])
    #expect(machine.hardware.dpi.virtualizer.counters(queue: 0).receive.faults[.answerRefused] == 1)
  }

  @Test func inPlaceTheRestOfTheOriginalIsScrubbed() throws {
    var machine = try self.machine(Setting.all[0])
    var inspector = AnsweringInspector { _, _ in .shrink(60) }
    let original = Frames.numbered(7, length: 1400)
    machine.run(inspecting: &inspector) { _ in }
    try machine.put(original, ordinal: 1)
    // The buffer is looked at before the OS has given it back.
    machine.runNIC(frames: 1)
    machine.passDPI(inspecting: &inspector)
    var bytes: [UInt8] = []
    let buffer = machine.osDriver.layout.receiveBuffers
    let isRead = machine.hardware.read(buffer, count: 1412, into: &bytes)
    #expect(isRead)
    #expect(Array(bytes.dropFirst(12)) == Array(original.prefix(60)) + [UInt8](repeating: 0, count: 1340))
  }

  @Test(arguments: Setting.all)
  func transmittedFramesAreReplaced(setting: Setting) throws {
    var machine = try self.machine(setting)
    var inspector = AnsweringInspector { number, _ in
      switch number % 5 {
      case 1: .shrink(70)
      case 2: .grow(40)
      case 3: .drop
      default: .accept
      }
    }
    let sent = (0..<150).map { Frames.numbered($0, length: 100 + $0 * 531 % 1300) }
    let arrived = machine.transmit(sent, inspecting: &inspector)
    let expected = inspector.outcomes(of: sent, .transmit)
    #expect(arrived == expected)
    #expect(inspector.refused == 0)
    #expect(machine.osDriver.unfinishedTransmissions == 0)
    #expect(machine.hardware.dpi.virtualizer.counters(queue: 0).transmit.replaced == 60)
  }

  /// The sender of a connection attempt hears of it; the OS sees nothing.
  @Test(arguments: Setting.all)
  func aRejectedSegmentIsAnsweredWithAReset(setting: Setting) throws {
    var machine = try self.machine(setting)
    var inspector = AnsweringInspector { _, _ in .reject(.tcpReset) }
    let ip: [UInt8] = [0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2]
    let tcp: [UInt8] = [200, 0, 0, 23, 0, 0, 0, 9, 0, 0, 0, 0, 0x50, 2, 16, 0, 0, 0, 0, 0]
    try machine.put([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0] + ip + tcp, ordinal: 1)
    var delivered = 0
    machine.run(inspecting: &inspector) { _ in delivered += 1 }
    #expect(delivered == 0)
    let answers = machine.takeSent()
    try #require(answers.count == 1)
    #expect(answers[0].prefix(14) == [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0])
    #expect(answers[0][26..<34] == [198, 51, 100, 2, 192, 0, 2, 1])
    #expect(answers[0][34..<48] == [0, 23, 200, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0x50, 0x14])
    #expect(machine.hardware.dpi.virtualizer.counters(queue: 0).receive.rejected == 1)
  }

  /// Whatever inspectors answer, and however often the worker is replaced by another, each direction keeps its order and the OS
  /// gets every buffer back.
  @Test(arguments: Setting.all, 1...6)
  func anyAnswersByAnyWorkers(setting: Setting, seed: Int) throws {
    var random = SeededGenerator(seed: UInt64(seed))
    var script: [UInt32: Answer] = [:]
    for number in 0..<400 as Range<UInt32> {
      script[number] =
        switch random.next() % 8 {
        case 0: .drop
        case 1: .shrink(60 + Int(random.next() % 40))
        case 2: .grow(Int(random.next() % 400))
        case 3: .inject(.transmit, Frames.numbered(Int(number) + 5000, length: 60 + Int(random.next() % 1000)))
        case 4 where setting.protection == .copyToDPIMemory:
          .inject(.receive, Frames.numbered(Int(number) + 6000, length: 60 + Int(random.next() % 1400)))
        default: .accept
        }
    }
    var machine = try self.machine(setting, queueSize: 16, maximumFrameLength: 2000)
    var inspector = AnsweringInspector { number, _ in script[number] ?? .accept }
    var delivered: [[UInt8]] = []
    var arrived: [[UInt8]] = []
    var received: [[UInt8]] = []
    var sent: [[UInt8]] = []
    for number in 0..<400 {
      // In place, growth must fit into the buffer.
      let frame = Frames.numbered(number, length: 120 + Int(random.next() % 1390))
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
      switch random.next() % 12 {
      case 0: machine.run(inspecting: &inspector, batch: 1 + Int(random.next() % 8)) { delivered.append($0.array) }
      case 1: machine.runNIC(frames: 1 + Int(random.next() % 4))
      case 2: machine.passDPI(inspecting: &inspector)
      case 3: machine.runOS { delivered.append($0.array) }
      case 4: try machine.hardware.replaceWorker()
      default: break
      }
      arrived += machine.takeSent()
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
    #expect(machine.osDriver.counters.unknownBuffers == 0 && machine.osDriver.counters.receiveErrors == 0)
    #expect(inspector.refused == 0, "seed \(seed)")
  }

  /// A worker that dies while an inspector looks at a frame leaves memory as it is then; the next one has the same frame
  /// inspected again, and nothing else changes.
  @Test(arguments: Setting.all)
  func aWorkerThatDiesInAnInspection(setting: Setting) throws {
    var machine = try VirtioMachine.virtioNet(
      layout: MachineLayout(
        osMemory: 8 << 20, limits: RingLimits(maximumDescriptors: 64, maximumFrameLength: 4096, copyMemory: 1 << 18),
        protection: setting.protection),
      driver: VirtioNetOSDriver.Layout(
        base: MachineLayout.driverMemory, queueSize: 16, usesPackedQueues: setting.isPacked,
        usesIndirectDescriptors: !setting.isPlain, usesEventIndex: !setting.isPlain, mergesBuffers: setting.merges))
    machine.bootOS()
    var delivered: [[UInt8]] = []
    var arrived: [[UInt8]] = []
    var sent: [[UInt8]] = []
    var inspector = AnsweringInspector { number, _ in MortalInspector.answer(number) }
    for number in 0..<200 {
      let frame = Frames.numbered(number, length: 100 + number * 7 % 1300)
      sent.append(frame)
      try machine.put(frame, ordinal: number + 1)
      while unsafe !machine.send(frame.span.bytes) {
        machine.run(inspecting: &inspector) { delivered.append($0.array) }
        arrived += machine.takeSent()
      }
      machine.runNIC(frames: 2)
      guard number % 5 == 0 else { continue }
      // What the pass does from some inspection on has not happened.
      var mortal = MortalInspector(dram: machine.hardware.dram, framesToLive: 1 + number % 3)
      machine.passDPI(inspecting: &mortal)
      if let image = mortal.image {
        machine.hardware.dram.restore(image)
        try machine.hardware.replaceWorker()
      }
      machine.run(inspecting: &inspector) { delivered.append($0.array) }
      arrived += machine.takeSent()
    }
    machine.run(inspecting: &inspector) { delivered.append($0.array) }
    arrived += machine.takeSent()
    func expected(_ direction: Direction) -> [[UInt8]] {
      sent.enumerated().flatMap { MortalInspector.answer(UInt32($0.offset)).outcome(of: $0.element, direction) }
    }
    #expect(delivered == expected(.receive))
    #expect(arrived == expected(.transmit))
    #expect(machine.osDriver.unfinishedTransmissions == 0)
    #expect(machine.osDriver.counters.unknownBuffers == 0 && machine.osDriver.counters.receiveErrors == 0)
  }

  @Test func anApplianceThatNeedsMoreIsRefusedWhenComposed() throws {
    typealias Core = DPICore<VirtqueueVirtualizer<VirtioNetDriver>>
    let limits = RingLimits(copyMemory: 1 << 20)
    try Core.check(AnsweringInspector.self, protection: .copyToDPIMemory, limits: limits)
    let error = #expect(throws: CompositionError.self) {
      try Core.check(AnsweringInspector.self, protection: .inPlace, limits: limits)
    }
    #expect(error?.unsupported == [.growsReceived, .injectsTowardsOS])
  }
}

/// An inspector that takes a picture of memory when it is to die: what a worker that goes on finds.
private struct MortalInspector: PacketInspector {
  static var actions: InspectorActions { .all }
  let dram: DRAM
  var framesToLive: Int
  var image: [UInt8]?
  private var inspector = AnsweringInspector { number, _ in MortalInspector.answer(number) }

  init(dram: DRAM, framesToLive: Int) {
    self.dram = dram
    self.framesToLive = framesToLive
  }

  static func answer(_ number: UInt32) -> Answer {
    switch number % 5 {
    case 1: .shrink(80)
    case 2: .drop
    case 3: .grow(20)
    default: .accept
    }
  }

  mutating func inspect(_ packet: borrowing Packet) -> Verdict { .drop }

  mutating func inspect(_ packet: borrowing Packet, answering answers: inout FrameAnswers) -> Verdict {
    framesToLive -= 1
    if framesToLive == 0 { image = dram.image }
    return inspector.inspect(packet, answering: &answers)
  }
}
