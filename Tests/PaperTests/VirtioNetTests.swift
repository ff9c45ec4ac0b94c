import AllyAppliance
import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import AllySimulator
import Testing

typealias VirtioMachine = SimulatedMachine<VirtqueueVirtualizer<VirtioNetDriver>, VirtioNetModel, VirtioNetOSDriver>

/// The whole path of paper §4.3 with a NIC whose queues are virtqueues: what the OS negotiates is its own affair, and the NIC's
/// twins are always the same.
@Suite struct VirtioNetTests {
  /// What the OS negotiates, and how frames are protected.
  struct Setting: CustomTestStringConvertible, Sendable {
    var protection: PacketProtection
    var isPacked: Bool
    var isPlain: Bool
    var merges: Bool

    static let all: [Setting] = [PacketProtection.inPlace, .copyToDPIMemory].flatMap { protection in
      [(false, false, true), (false, true, false), (true, false, true), (true, true, false)].map {
        Setting(protection: protection, isPacked: $0.0, isPlain: $0.1, merges: $0.2)
      }
    }

    var copies: Bool { protection == .copyToDPIMemory }

    var testDescription: String {
      "\(protection), \(isPacked ? "packed" : "split")\(isPlain ? "" : ", indirect, event index")\(merges ? ", mergeable" : "")"
    }

    func machine(queueSize: UInt32 = 256, bufferLength: UInt32 = 2048, maximumFrameLength: Int = 1518) throws
      -> VirtioMachine
    {
      try VirtioMachine.virtioNet(
        layout: MachineLayout(
          limits: RingLimits(copyMemory: protection == .copyToDPIMemory ? 1 << 20 : 0), protection: protection),
        driver: VirtioNetOSDriver.Layout(
          base: MachineLayout.driverMemory, queueSize: queueSize, bufferLength: bufferLength,
          usesPackedQueues: isPacked,
          usesIndirectDescriptors: !isPlain, usesEventIndex: !isPlain, mergesBuffers: merges),
        maximumFrameLength: maximumFrameLength)
    }
  }

  @Test(arguments: Setting.all)
  func everyAcceptedFrameReachesTheStackInOrder(setting: Setting) throws {
    var machine = try setting.machine(queueSize: 32)
    machine.bootOS()
    #expect(machine.osDriver.isUp == true)
    var inspector = ScriptedInspector()
    let sent = (1...500).map { Frames.numbered($0, length: 60 + $0 * 37 % 1400) }
    let delivered = try machine.receive(sent, every: 50, inspecting: &inspector)
    #expect(delivered == sent)
    #expect(inspector.seen.map(\.bytes) == sent)
    #expect(inspector.seen.map(\.ordinal) == Array(1...500))
    #expect(machine.osDriver.counters.receiveErrors == 0 && machine.osDriver.counters.unknownBuffers == 0)
    #expect(machine.osDriver.counters.interrupts > 0 && machine.osDriver.counters.spuriousInterrupts == 0)
    let bytes = setting.copies ? sent.map(\.count).reduce(0, +) : 0
    #expect(machine.hardware.dpi.virtualizer.counters(queue: 0).receive.copiedBytes == UInt64(bytes))
    // DPI buffers keep their descriptors.
    #expect(machine.hardware.dpi.counters.descriptorBytes >= (setting.copies ? 0 : 500 * 16))
  }

  @Test(arguments: Setting.all)
  func aDroppedFrameLeavesNoTrace(setting: Setting) throws {
    var machine = try setting.machine(queueSize: 16)
    machine.bootOS()
    var inspector = ScriptedInspector { $0 % 3 == 0 }
    let sent = (1...300).map { Frames.numbered($0, length: 200) }
    let delivered = try machine.receive(sent, inspecting: &inspector)
    #expect(delivered == sent.enumerated().filter { ($0.offset + 1) % 3 != 0 }.map(\.element))
    #expect(inspector.seen.count == 300)
    #expect(machine.osDriver.counters.receiveErrors == 0 && machine.osDriver.counters.unknownBuffers == 0)
    let counters = machine.hardware.dpi.virtualizer.counters(queue: 0).receive
    #expect(counters.accepted == 200 && counters.dropped == 100 && counters.faults.total == 0)
  }

  @Test(arguments: Setting.all)
  func framesTheOSSendsAreInspectedAndReachTheWire(setting: Setting) throws {
    var machine = try setting.machine(queueSize: 16)
    machine.bootOS()
    var inspector = ScriptedInspector { $0 % 4 == 0 }
    let sent = (1...300).map { Frames.numbered($0, length: 60 + $0 * 53 % 1400) }
    let arrived = machine.transmit(sent, inspecting: &inspector)
    #expect(inspector.seen.map(\.bytes) == sent)
    #expect(inspector.seen.allSatisfy { $0.direction == .transmit })
    #expect(arrived == sent.enumerated().filter { ($0.offset + 1) % 4 != 0 }.map(\.element))
    // All came back, dropped ones too: a driver that asks for every report has none left but what came after the last.
    #expect(machine.osDriver.counters.unknownBuffers == 0)
    #expect(machine.osDriver.unfinishedTransmissions == 0)
    let bytes = setting.copies ? sent.map(\.count).reduce(0, +) : 0
    #expect(machine.hardware.dpi.virtualizer.counters(queue: 0).transmit.copiedBytes == UInt64(bytes))
  }

  /// What the device is to write after the inspection goes into the TCP header alone, where frames are protected.
  @Test(arguments: Setting.all, [16, 30] as [UInt64])
  func theDeviceWritesIntoHeadersAlone(setting: Setting, checksumOffset: UInt64) throws {
    var machine = try setting.machine(queueSize: 16)
    machine.bootOS()
    let ip: [UInt8] = [0x45, 0, 0, 80, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2]
    let tcp: [UInt8] = [200, 0, 0, 23, 0, 0, 0, 9, 0, 0, 0, 0, 0x50, 2, 16, 0, 0, 0, 0, 0]
    let frame = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0] + ip + tcp + [UInt8](repeating: 7, count: 40)
    let isSent = unsafe machine.send(frame.span.bytes, doorbell: false)
    #expect(isSent)
    // The header of whichever buffer it is in: the checksum is to be completed (virtio 1.2, §5.1.6).
    let layout = machine.osDriver.layout
    for index in 0..<UInt64(layout.queueSize) {
      let buffer = layout.transmitBuffers.advanced(by: index * UInt64(layout.transmitBufferLength))
      machine.hardware.store(1 << 32, at: buffer)
      machine.hardware.store(34 << 16 | checksumOffset << 32, at: buffer.advanced(by: 8))
    }
    machine.osDriver.ringDoorbell(on: &machine.hardware)
    var inspector = ScriptedInspector()
    machine.run(inspecting: &inspector) { _ in }
    let passes = checksumOffset == 16 || !setting.copies
    #expect(inspector.seen.count == (passes ? 1 : 0))
    let counters = machine.hardware.dpi.virtualizer.counters(queue: 0).transmit
    #expect(counters.faults[.misplacedHeaders] == (passes ? 0 : 1) && counters.accepted == (passes ? 1 : 0))
    #expect(machine.osDriver.unfinishedTransmissions == 0)
  }

  @Test(arguments: Setting.all.filter(\.merges))
  func aFrameInSeveralBuffersIsInspectedWhole(setting: Setting) throws {
    var machine = try setting.machine(queueSize: 128, bufferLength: 512, maximumFrameLength: 20_000)
    machine.bootOS()
    var inspector = ScriptedInspector { $0 == 2 }
    let sent = [400, 9000, 1500, 16_000].enumerated().map { Frames.numbered($0.offset, length: $0.element) }
    let delivered = try machine.receive(sent, inspecting: &inspector)
    #expect(inspector.seen.map(\.bytes) == sent)
    #expect(delivered == [sent[0], sent[2], sent[3]])
    #expect(machine.osDriver.counters.receiveErrors == 0)
  }

  /// Connections are spread over three queue pairs, on the driver's command through the control queue; each stays in order, and
  /// every frame is inspected once.
  @Test(arguments: Setting.all)
  func connectionsAreSpreadOverTheQueues(setting: Setting) throws {
    var machine = try VirtioMachine.virtioNet(
      layout: MachineLayout(
        limits: RingLimits(copyMemory: setting.protection == .copyToDPIMemory ? 1 << 20 : 0),
        protection: setting.protection),
      driver: VirtioNetOSDriver.Layout(
        base: MachineLayout.driverMemory, usesPackedQueues: setting.isPacked,
        usesIndirectDescriptors: !setting.isPlain, usesEventIndex: !setting.isPlain, mergesBuffers: setting.merges,
        usesMessages: true, queuePairs: 3))
    machine.bootOS()
    var inspector = ScriptedInspector()
    machine.run(inspecting: &inspector) { _ in }
    let isSpread = machine.osDriver.hasAllPairs(on: &machine.hardware)
    #expect(machine.osDriver.isUp && isSpread)
    var delivered: [[UInt8]] = []
    var sent: [[UInt8]] = []
    for round in 0..<20 {
      for connection in UInt8(0)..<32 {
        let frame = TCPSegments.frame(payload: 100 + round, number: UInt8(round), port: UInt16(connection))
        try machine.put(frame, ordinal: round * 32 + Int(connection) + 1)
        let isTaken = unsafe machine.send(frame.span.bytes)
        #expect(isTaken)
      }
      machine.run(inspecting: &inspector) { delivered.append($0.array) }
      sent += machine.takeSent()
    }
    #expect(inspector.seen.count == 1280)
    #expect(machine.osDriver.receivedByPair.allSatisfy { $0 > 0 })
    for pair in 0..<3 {
      let counters = machine.hardware.dpi.virtualizer.counters(queue: pair)
      #expect(counters.receive.accepted > 0 && counters.transmit.accepted > 0)
    }
    for frames in [delivered, sent] {
      #expect(frames.count == 640)
      for connection in UInt16(0)..<32 {
        let ofConnection = frames.filter { UInt16($0[34]) << 8 | UInt16($0[35]) == connection }
        #expect(ofConnection.map(\.count) == (0..<20).map { 154 + $0 })
      }
    }
    #expect(machine.osDriver.unfinishedTransmissions == 0)
  }

  @Test(arguments: Setting.all)
  func aDriverThatStartsAnewInMidTrafficGoesOn(setting: Setting) throws {
    var machine = try setting.machine(queueSize: 16)
    var inspector = ScriptedInspector()
    for round in 0..<3 {
      machine.bootOS()
      #expect(machine.osDriver.isUp == true)
      var delivered: [[UInt8]] = []
      let sent = (1...40).map { Frames.numbered($0 + 100 * round, length: 300) }
      for (index, frame) in sent.enumerated() {
        try machine.put(frame, ordinal: index + 1)
        _ = unsafe machine.send(frame.span.bytes)
      }
      machine.run(inspecting: &inspector) { delivered.append($0.array) }
      #expect(delivered == sent)
      // Frames of either direction are under way when the OS resets the NIC.
      let first = sent[0]
      _ = unsafe machine.send(first.span.bytes)
      try machine.put(first, ordinal: 1)
      machine.runNIC(frames: 1)
      machine.osDriver.stop(on: &machine.hardware)
      machine.hardware.wire.completed.removeAll()
      machine.run(inspecting: &inspector) { _ in }
      _ = machine.takeSent()
    }
  }

  @Test func theNICsQueuesAreInDPIMemoryAndTheOSReadsItsOwn() throws {
    var machine = try Setting.all[0].machine()
    machine.bootOS()
    let boundary = UInt64(32 << 20)
    for queue: UInt32 in 0..<2 {
      machine.hardware.nic.device.writeRegister(0x16, value: UInt64(queue), width: .word)
      for offset: UInt32 in [0x20, 0x28, 0x30] {
        let place = machine.hardware.nic.device.readRegister(offset, width: .quadWord)
        #expect(place >= boundary)
      }
      machine.hardware.writeRegister(0x16, queue, width: .word)
      let seen = UInt64(machine.hardware.readRegister(0x20))
      #expect(seen == MachineLayout.driverMemory.rawValue + UInt64(queue) * 0x1_0000)
      let isEnabled = machine.hardware.readRegister(0x1C, width: .word)
      #expect(isEnabled == 1)
    }
    // The NIC knows nothing of layouts and indexes that concern the OS's queues alone.
    #expect(machine.hardware.nic.device.accepted == [.version1, .mergeableBuffers])
  }

  @Test(arguments: Setting.all, [UInt64(1), 2, 3])
  func aHostileOSNeverTrapsAndNeverReachesDPIMemory(setting: Setting, seed: UInt64) throws {
    var machine = try setting.machine(queueSize: 16)
    var inspector = ScriptedInspector()
    var state = seed
    func random(_ bound: UInt64) -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (state >> 33) % bound
    }
    for round in 0..<12 {
      machine.bootOS()
      for step in 0..<60 {
        // Words of the queues become anything, most of all what looks like a descriptor.
        for _ in 0..<6 {
          let address = MachineLayout.driverMemory.rawValue + random(0x2_0000) & ~7
          let length = random(4) == 0 ? random(1 << 32) : random(3000)
          let values = [
            length | random(16) << 32 | random(20) << 48, length | random(20) << 32 | random(1 << 16) << 48,
            32 << 20 | random(1 << 20), random(1 << 32) << 20, random(1 << 16),
          ]
          machine.hardware.store(values[Int(random(5))], at: PhysicalAddress(address))
        }
        if random(8) == 0 {
          machine.hardware.writeRegister(
            UInt32(random(0x40)), UInt32(random(1 << 32)),
            width: [RegisterWidth.byte, .word, .doubleWord][Int(random(3))])
        }
        let frame = Frames.numbered(step, length: 60 + Int(random(1400)))
        _ = unsafe machine.send(frame.span.bytes)
        try machine.put(frame, ordinal: round * 100 + step)
        machine.runNIC(frames: 8)
        machine.passDPI(inspecting: &inspector)
        machine.runOS { _ in }
        _ = machine.takeSent()
        while machine.hardware.wire.toNIC.count > 4 { machine.hardware.wire.toNIC.removeFirst() }
      }
    }
    // The NIC was never led into DPI memory: its requests there are those for the twins, and none was refused.
    #expect(machine.hardware.nic.device.faults.brokenQueues == 0)
  }
}
