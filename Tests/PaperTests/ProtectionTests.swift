import AllyAppliance
import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import AllySimulator
import Testing

/// An 82540EM with frame checksums, under a stock driver that knows nothing of them.
typealias ChecksumMachine = SimulatedMachine<RingVirtualizer<E1000ChecksumDriver>, E1000Model, E1000OSDriver>

/// Paper §4.3, last paragraphs: how well inspected bytes are kept from changing, level by level, against an OS core that changes
/// them.
@Suite struct ProtectionTests {
  private static let levels: [PacketProtection] = [.inPlace, .copyToDPIMemory, .checksum]

  private static func machine(_ level: PacketProtection, copyMemory: UInt64? = nil) throws -> ChecksumMachine {
    let copies = copyMemory ?? (level == .copyToDPIMemory ? 4 << 20 : 0)
    var machine = try ChecksumMachine.e1000(
      layout: MachineLayout(limits: RingLimits(copyMemory: copies), protection: level), receiveDescriptors: 64,
      transmitDescriptors: 64, checksumKey: (0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210))
    machine.bootOS()
    return machine
  }

  /// A frame that the inspectors below do not let pass.
  private static func forbidden(length: Int, markAt place: Int) -> [UInt8] {
    var frame = Frames.numbered(1, length: length)
    frame.replaceSubrange(place..<(place + ForbiddenMark.bytes.count), with: ForbiddenMark.bytes)
    return frame
  }

  // MARK: - The attacks

  /// The OS core lets a harmless frame be inspected, and then writes another into its buffers, before the NIC has fetched them.
  @Test(arguments: levels, [(300, 100), (5000, 3000)])
  func aFrameIsRewrittenBetweenItsInspectionAndTheNIC(level: PacketProtection, frame: (length: Int, mark: Int)) throws {
    var machine = try Self.machine(level)
    var inspector = ForbiddenMark()
    let harmless = Frames.numbered(1, length: frame.length)
    let evil = Self.forbidden(length: frame.length, markAt: frame.mark)
    let isTaken = unsafe machine.send(harmless.span.bytes)
    try #require(isTaken)
    machine.passDPI(inspecting: &inspector)
    #expect(inspector.passed == 1)
    let isWritten = unsafe machine.hardware.write(evil.span.bytes, to: machine.osDriver.layout.transmitBuffers)
    try #require(isWritten)
    machine.run(inspecting: &inspector) { _ in }
    let counters = machine.hardware.dpi.virtualizer.counters(queue: 0).transmit
    switch level {
    case .inPlace: #expect(machine.takeSent() == [evil], "the attack succeeds")
    case .copyToDPIMemory: #expect(machine.takeSent() == [harmless])
    case .checksum: #expect(machine.takeSent() == [])
    }
    #expect(counters.faults[.checksumMismatch] == (level == .checksum ? 1 : 0))
    #expect(machine.hardware.nic.device.faults.checksumMismatches == (level == .checksum ? 1 : 0))
    // The OS driver sees nothing of it, and the next frame goes its way.
    #expect(machine.osDriver.unfinishedTransmissions == 0)
    let next = Frames.numbered(2)
    let isNextTaken = unsafe machine.send(next.span.bytes)
    try #require(isNextTaken)
    machine.run(inspecting: &inspector) { _ in }
    #expect(machine.takeSent() == [next])
  }

  /// The OS core takes a frame that the NIC has just written, puts a harmless one in its place for the time of its inspection,
  /// and puts it back.
  @Test(arguments: levels)
  func aReceivedFrameIsHiddenFromItsInspection(level: PacketProtection) throws {
    var machine = try Self.machine(level)
    var inspector = ForbiddenMark()
    machine.run(inspecting: &inspector) { _ in }
    let evil = Self.forbidden(length: 300, markAt: 100)
    try machine.put(evil, ordinal: 1)
    machine.runNIC(frames: 1)
    let buffer = machine.osDriver.layout.receiveBuffers
    var found: [UInt8] = []
    let isRead = machine.hardware.read(buffer, count: evil.count, into: &found)
    try #require(isRead)
    // What is not to be read before its verdict needs copies.
    #expect((found == evil) == (level != .copyToDPIMemory))
    let harmless = Frames.numbered(1, length: 300)
    let isHidden = unsafe machine.hardware.write(harmless.span.bytes, to: buffer)
    try #require(isHidden)
    machine.passDPI(inspecting: &inspector)
    if found == evil {
      let isBack = unsafe machine.hardware.write(found.span.bytes, to: buffer)
      try #require(isBack)
    }
    var delivered: [[UInt8]] = []
    machine.run(inspecting: &inspector) { delivered.append($0.array) }
    #expect(delivered == (level == .inPlace ? [evil] : []), "\(level)")
    let counters = machine.hardware.dpi.virtualizer.counters(queue: 0).receive
    #expect(counters.faults[.checksumMismatch] == (level == .checksum ? 1 : 0))
    #expect(counters.dropped == (level == .copyToDPIMemory ? 1 : 0))
    // What comes next is delivered.
    try machine.put(Frames.numbered(2), ordinal: 2)
    machine.run(inspecting: &inspector) { delivered.append($0.array) }
    #expect(delivered.last == Frames.numbered(2))
  }

  /// While it is inspected, a frame changes only where the inspector looks at the OS's own buffer.
  @Test(arguments: levels, [Direction.receive, .transmit])
  func aFrameIsRewrittenDuringItsInspection(level: PacketProtection, direction: Direction) throws {
    var machine = try Self.machine(level)
    var quiet = ForbiddenMark()
    machine.run(inspecting: &quiet) { _ in }
    let layout = machine.osDriver.layout
    let buffer = direction == .receive ? layout.receiveBuffers : layout.transmitBuffers
    guard let place = unsafe machine.hardware.northbridge.memory.pointer(at: buffer, length: 300, for: .readWrite)
    else {
      Issue.record("no memory behind the buffer")
      return
    }
    var inspector = unsafe RewritingInspector(place: place)
    let frame = Frames.numbered(1, length: 300)
    if direction == .receive {
      try machine.put(frame, ordinal: 1)
    } else {
      let isTaken = unsafe machine.send(frame.span.bytes)
      try #require(isTaken)
    }
    machine.run(inspecting: &inspector) { _ in }
    #expect(inspector.sawChanges == [level == .inPlace])
  }

  /// The key is what makes the checksum one that OS cores cannot put right.
  @Test func theKeyIsOutOfReach() throws {
    var machine = try Self.machine(.checksum)
    for offset in stride(from: UInt32(0xF000), to: 0xF020, by: 4) {
      #expect(machine.hardware.readRegister(offset) == 0)
      machine.hardware.writeRegister(offset, 0)
    }
    #expect(machine.hardware.nic.device.readRegister(0xF000, width: .doubleWord) == 0x8000_0001, "still on")
    #expect(machine.hardware.nic.device.readRegister(0xF010, width: .doubleWord) == 0x89AB_CDEF)
  }

  // MARK: - Without attacks

  /// Every level lets through what is to go through: both ways, mixed sizes, a tenth dropped.
  @Test(arguments: levels)
  func trafficIsExact(level: PacketProtection) throws {
    var machine = try Self.machine(level)
    var inspector = ScriptedInspector { $0 % 10 == 3 }
    let frames = (1...600).map { Frames.numbered($0, length: 60 + $0 * 7919 % 6000) }
    var delivered: [[UInt8]] = []
    var arrived: [[UInt8]] = []
    for (index, frame) in frames.enumerated() {
      try machine.put(frame, ordinal: index + 1)
      while unsafe !machine.send(frame.span.bytes) {
        machine.run(inspecting: &inspector) { delivered.append($0.array) }
        arrived += machine.takeSent()
      }
    }
    machine.run(inspecting: &inspector) { delivered.append($0.array) }
    arrived += machine.takeSent()
    let expected = frames.enumerated().filter { ($0.offset + 1) % 10 != 3 }.map(\.element)
    #expect(delivered == expected)
    #expect(arrived == expected)
    #expect(inspector.seen.count == 1200)
    #expect(machine.osDriver.unfinishedTransmissions == 0)
    let counters = machine.hardware.dpi.virtualizer.counters(queue: 0)
    #expect(counters.receive.faults.total == 0 && counters.transmit.faults.total == 0)
  }

  /// What an inspector makes lies in DPI memory, and needs no checksum.
  @Test func answersGoThrough() throws {
    var machine = try Self.machine(.checksum, copyMemory: 1 << 20)
    var inspector = AnsweringInspector { number, direction in
      switch number % 4 {
      case 1: .shrink(70)
      case 2 where direction == .transmit: .grow(500)
      case 3 where direction == .transmit: .inject(.transmit, Frames.numbered(Int(number) + 1000, length: 90))
      default: .accept
      }
    }
    let frames = (0..<40).map { Frames.numbered($0, length: 200) }
    var delivered: [[UInt8]] = []
    for (index, frame) in frames.enumerated() {
      try machine.put(frame, ordinal: index + 1)
      let isTaken = unsafe machine.send(frame.span.bytes)
      try #require(isTaken)
    }
    machine.run(inspecting: &inspector) { delivered.append($0.array) }
    #expect(delivered == inspector.outcomes(of: frames, .receive))
    #expect(machine.takeSent() == inspector.outcomes(of: frames, .transmit))
    #expect(inspector.refused == 0)
  }

  // MARK: - Composition

  @Test func aNICWithoutChecksumsIsRefused() throws {
    let error = #expect(throws: CompositionError.self) {
      try DPICore<RingVirtualizer<E1000Driver>>.check(
        ScriptedInspector.self, protection: .checksum, limits: RingLimits())
    }
    #expect(
      error?.description
        == "this NIC does not support protection checksum: it neither computes nor verifies frame checksums")
    #expect(throws: CompositionError.self) {
      try DPICore<VirtqueueVirtualizer<VirtioNetDriver>>.check(
        ScriptedInspector.self, protection: .checksum, limits: RingLimits())
    }
    try DPICore<RingVirtualizer<E1000ChecksumDriver>>.check(
      ScriptedInspector.self, protection: .checksum, limits: RingLimits())
    #expect(throws: SimulatorError.self) {
      _ = try E1000Machine.e1000(layout: MachineLayout(protection: .checksum))
    }
  }

  /// The driver module does not take a NIC for what it is not.
  @Test func aNICThatLacksThemIsNotServed() throws {
    var machine = try ChecksumMachine.e1000(layout: MachineLayout(protection: .checksum))
    machine.bootOS()
    #expect(machine.hardware.dpi.virtualizer.counters(queue: 0).receive.faults[.descriptorFormat] > 0)
    #expect(!machine.hardware.dpi.virtualizer[0].receive.state.isRunning)
  }
}

/// Drops frames that have a mark anywhere.
private struct ForbiddenMark: PacketInspector {
  static let bytes: [UInt8] = [0xE7, 0x11, 0xE7, 0x11]
  var passed = 0

  mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    let bytes = packet.bytes.array
    for place in bytes.indices.dropLast(3) where Array(bytes[place..<(place + 4)]) == Self.bytes { return .drop }
    passed += 1
    return .accept
  }
}

/// Stands for an OS core that writes to the frame's buffer in the middle of its inspection.
@safe
private struct RewritingInspector: PacketInspector {
  /// The buffer, which stays mapped as long as the machine exists.
  @unsafe let place: UnsafeMutableRawPointer
  var sawChanges: [Bool] = []

  @unsafe
  init(place: UnsafeMutableRawPointer) { unsafe self.place = place }

  mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    let before = packet.bytes.byte(at: 100)
    unsafe place.storeBytes(of: ~before, toByteOffset: 100, as: UInt8.self)
    sawChanges.append(packet.bytes.byte(at: 100) != before)
    unsafe place.storeBytes(of: before, toByteOffset: 100, as: UInt8.self)
    return .accept
  }
}
