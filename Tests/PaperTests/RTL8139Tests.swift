import AllyAppliance
import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import AllySimulator
import Testing

typealias RTL8139Machine = SimulatedMachine<ByteRingVirtualizer<RTL8139Driver>, RTL8139Model, RTL8139OSDriver>

/// The whole path of paper §4.3 with a NIC that has no descriptors to receive into, and four pairs of registers to send from.
@Suite struct RTL8139Tests {
  /// The OS's ring, and how frames are protected.
  struct Setting: CustomTestStringConvertible, Sendable {
    var protection: PacketProtection
    var ringLength: UInt32
    var runsOver: Bool

    static let all: [Setting] = [PacketProtection.inPlace, .copyToDPIMemory].flatMap { protection in
      [(8192, false), (8192, true), (32_768, true), (65_536, false)].map {
        Setting(protection: protection, ringLength: $0.0, runsOver: $0.1)
      }
    }

    var testDescription: String { "\(protection), \(ringLength >> 10) KiB\(runsOver ? ", runs over" : "")" }

    func machine() throws -> RTL8139Machine {
      var machine = try RTL8139Machine.rtl8139(
        layout: MachineLayout(limits: RingLimits(copyMemory: 1 << 20), protection: protection),
        driver: RTL8139OSDriver.Layout(
          base: MachineLayout.driverMemory, ringLength: ringLength, runsOver: runsOver))
      machine.bootOS()
      return machine
    }
  }

  @Test(arguments: Setting.all)
  func everyAcceptedFrameReachesTheStackInOrder(setting: Setting) throws {
    var machine = try setting.machine()
    var inspector = ScriptedInspector()
    let sent = (1...500).map { Frames.numbered($0, length: 60 + $0 * 37 % 1700) }
    let delivered = try machine.receive(sent, every: 50, inspecting: &inspector)
    #expect(delivered == sent)
    #expect(inspector.seen.map(\.bytes) == sent)
    #expect(inspector.seen.map(\.ordinal) == Array(1...500))
    let counters = machine.osDriver.counters
    #expect(counters.receiveErrors == 0 && counters.unfinishedFrames == 0 && counters.overflows == 0)
    #expect(counters.interrupts > 0 && counters.spuriousInterrupts == 0)
    // The ring in between is always copied from.
    let bytes = sent.map(\.count).reduce(0, +)
    #expect(machine.hardware.dpi.virtualizer.counters(queue: 0).receive.copiedBytes == UInt64(bytes))
  }

  /// At every protection level: the frame never leaves DPI memory.
  @Test(arguments: Setting.all)
  func aDroppedFrameLeavesNoTrace(setting: Setting) throws {
    var machine = try setting.machine()
    var inspector = ScriptedInspector { $0 % 3 == 0 }
    let sent = (1...300).map { Frames.numbered($0, length: 200) }
    let delivered = try machine.receive(sent, inspecting: &inspector)
    #expect(delivered == sent.enumerated().filter { ($0.offset + 1) % 3 != 0 }.map(\.element))
    #expect(inspector.seen.count == 300)
    #expect(machine.osDriver.counters.receiveErrors == 0)
    let counters = machine.hardware.dpi.virtualizer.counters(queue: 0).receive
    #expect(counters.accepted == 200 && counters.dropped == 100 && counters.faults.total == 0)
    var ring: [UInt8] = []
    let isRead = machine.hardware.read(machine.osDriver.layout.ring, count: Int(setting.ringLength), into: &ring)
    #expect(isRead)
    for number in [3, 150, 300] {
      let secret = Frames.numbered(number, length: 200)[18..<50]
      #expect(!(0..<(ring.count - 32)).contains { ring[$0] == secret[18] && ring[$0..<($0 + 32)] == secret })
    }
  }

  @Test(arguments: Setting.all)
  func framesTheOSSendsAreInspectedAndReachTheWire(setting: Setting) throws {
    var machine = try setting.machine()
    var inspector = ScriptedInspector { $0 % 4 == 0 }
    let sent = (1...300).map { Frames.numbered($0, length: 60 + $0 * 53 % 1700) }
    let arrived = machine.transmit(sent, inspecting: &inspector)
    #expect(inspector.seen.map(\.bytes) == sent)
    #expect(inspector.seen.allSatisfy { $0.direction == .transmit })
    #expect(arrived == sent.enumerated().filter { ($0.offset + 1) % 4 != 0 }.map(\.element))
    // All are done, dropped ones too, and look sent.
    #expect(machine.osDriver.unfinishedTransmissions == 0)
    #expect(machine.osDriver.counters.framesSent == 300 && machine.osDriver.counters.transmitErrors == 0)
    let bytes = setting.protection == .copyToDPIMemory ? sent.map(\.count).reduce(0, +) : 0
    #expect(machine.hardware.dpi.virtualizer.counters(queue: 0).transmit.copiedBytes == UInt64(bytes))
  }

  // MARK: - Answers

  @Test(arguments: Setting.all)
  func receivedFramesAreReplacedAndOthersAdded(setting: Setting) throws {
    var machine = try setting.machine()
    var inspector = AnsweringInspector { number, _ in
      switch number % 5 {
      case 1: .shrink(60)
      case 2: .grow(300)
      case 3: .drop
      case 4: .inject(.receive, Frames.numbered(Int(number) + 1000, length: 90))
      default: .accept
      }
    }
    let sent = (0..<200).map { Frames.numbered($0, length: 100 + $0 * 61 % 1300) }
    let delivered = try machine.receive(sent, every: 20, inspecting: &inspector)
    let expected = inspector.outcomes(of: sent, .receive)
    #expect(delivered == expected)
    #expect(inspector.refused == 0 && machine.osDriver.counters.receiveErrors == 0)
    let counters = machine.hardware.dpi.virtualizer.counters(queue: 0).receive
    #expect(counters.replaced == 80 && counters.dropped == 40)
    // A replacement that waits for room goes like a frame of the inspector's own, and counts as one too.
    #expect((40...120).contains(counters.injected))
    #expect(counters.faults.total == 0)
  }

  @Test(arguments: Setting.all)
  func transmittedFramesAreReplacedAndOthersAdded(setting: Setting) throws {
    var machine = try setting.machine()
    var inspector = AnsweringInspector { number, _ in
      switch number % 5 {
      case 1: .shrink(70)
      case 2: .grow(400)
      case 3: .drop
      case 4: .inject(.transmit, Frames.numbered(Int(number) + 1000, length: 90))
      default: .accept
      }
    }
    let sent = (0..<150).map { Frames.numbered($0, length: 100 + $0 * 531 % 1300) }
    let arrived = machine.transmit(sent, inspecting: &inspector)
    let expected = inspector.outcomes(of: sent, .transmit)
    #expect(arrived == expected)
    #expect(inspector.refused == 0 && machine.osDriver.unfinishedTransmissions == 0)
    let counters = machine.hardware.dpi.virtualizer.counters(queue: 0).transmit
    #expect(counters.replaced == 60 && counters.injected == 30)
  }

  /// A connection attempt is answered with a reset, to whichever side it came from.
  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory])
  func rejectedConnectionsAreReset(protection: PacketProtection) throws {
    var machine = try Setting(protection: protection, ringLength: 32_768, runsOver: true).machine()
    var inspector = AnsweringInspector { _, _ in .reject(.tcpReset) }
    let segment = TCPSegments.frame(payload: 20, number: 1)
    try machine.put(segment, ordinal: 1)
    let isTaken = unsafe machine.send(segment.span.bytes)
    #expect(isTaken)
    var delivered: [[UInt8]] = []
    machine.run(inspecting: &inspector) { delivered.append($0.array) }
    let sent = machine.takeSent()
    #expect(delivered.count == 1 && sent.count == 1 && inspector.refused == 0)
    for frame in delivered + sent {
      // TCP, RST set, from the other endpoint.
      #expect(frame[23] == 6 && frame[47] & 4 != 0 && Array(frame[26..<30]) == [10, 0, 0, 2])
    }
    #expect(sent.allSatisfy { $0.count == 60 }, "the NIC does not pad")
    #expect(machine.osDriver.unfinishedTransmissions == 0)
  }

  /// What is longer than the NIC carries is refused, and the frame dropped.
  @Test func aReplacementThatIsTooLongIsRefused() throws {
    var machine = try Setting(protection: .copyToDPIMemory, ringLength: 32_768, runsOver: true).machine()
    var inspector = AnsweringInspector { number, _ in number == 1 ? .grow(1000) : .accept }
    var delivered: [[UInt8]] = []
    for index in 0..<3 {
      let frame = Frames.numbered(index, length: 1000)
      try machine.put(frame, ordinal: index + 1)
      let isTaken = unsafe machine.send(frame.span.bytes)
      #expect(isTaken)
    }
    machine.run(inspecting: &inspector) { delivered.append($0.array) }
    #expect(delivered == [0, 2].map { Frames.numbered($0, length: 1000) })
    #expect(machine.takeSent() == delivered)
    let counters = machine.hardware.dpi.virtualizer.counters(queue: 0)
    #expect(counters.receive.faults[.answerRefused] == 1 && counters.transmit.faults[.answerRefused] == 1)
  }

  // MARK: - The NIC and its interrupts

  @Test func theLinkIsReported() throws {
    var machine = try Setting(protection: .copyToDPIMemory, ringLength: 32_768, runsOver: true).machine()
    var inspector = ScriptedInspector()
    machine.run(inspecting: &inspector) { _ in }
    let before = machine.osDriver.counters.interrupts
    machine.hardware.nic.device.isLinkUp = false
    machine.run(inspecting: &inspector) { _ in }
    #expect(machine.osDriver.counters.interrupts == before + 1)
    #expect(machine.osDriver.counters.spuriousInterrupts == 0)
  }

  @Test func theTimerPassesThrough() throws {
    var machine = try Setting(protection: .copyToDPIMemory, ringLength: 32_768, runsOver: true).machine()
    var inspector = ScriptedInspector()
    machine.hardware.writeRegister(0x48, 0)
    machine.hardware.writeRegister(0x54, 1000)
    let before = machine.osDriver.counters.interrupts
    machine.run(inspecting: &inspector) { _ in }
    #expect(machine.osDriver.counters.interrupts == before + 1)
    #expect(machine.hardware.now >= 30_000)
  }

  /// The registers by which later chips receive into descriptors are no way around.
  @Test func theDescriptorRingsOfLaterChipsAreDenied() throws {
    var machine = try Setting(protection: .copyToDPIMemory, ringLength: 32_768, runsOver: true).machine()
    machine.hardware.writeRegister(0xE4, 0x40_0000)
    #expect(machine.hardware.readRegister(0xE4) == 0)
    #expect(machine.hardware.northbridge.remapping.counters.denied == 2)
  }

  /// What an inspector may do is the same at both protection levels: receive is a copy at either.
  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory])
  func everyActionIsSupported(protection: PacketProtection) {
    typealias Virtualizer = ByteRingVirtualizer<RTL8139Driver>
    #expect(Virtualizer.supportedActions(at: protection, limits: RingLimits(copyMemory: 1 << 20)) == .all)
    #expect(Virtualizer.supportedActions(at: protection, limits: RingLimits()) == [])
  }
}
