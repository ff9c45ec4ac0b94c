import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import AllySimulator
import Testing

typealias E1000EMachine = SimulatedMachine<RingVirtualizer<E1000EDriver>, E1000EModel, E1000EOSDriver>

typealias IGBMachine = SimulatedMachine<RingVirtualizer<IGBDriver>, IGBModel, IGBOSDriver>
typealias VirtualFunctionMachine = SimulatedMachine<
  RingVirtualizer<IGBVirtualFunctionDriver>, IGBVirtualFunctionModel, IGBVirtualFunctionOSDriver
>

/// The whole path of paper §4.3 with the newer NIC families: message interrupts, polling, descriptors that the NIC overwrites,
/// checksums and segmentation left to the NIC.
@Suite struct FamiliesTests {
  private static let protections: [PacketProtection] = [.inPlace, .copyToDPIMemory]

  private static func layout(_ protection: PacketProtection) -> MachineLayout {
    MachineLayout(
      limits: RingLimits(copyMemory: protection == .copyToDPIMemory ? 4 << 20 : 0), protection: protection)
  }

  @Test(arguments: protections)
  func anE1000EReceivesInOrder(protection: PacketProtection) throws {
    var machine = try E1000EMachine.e1000e(layout: Self.layout(protection), receiveDescriptors: 32)
    try checkReceive(&machine)
    #expect(machine.osDriver.counters.receiveErrors == 0)
    #expect(machine.osDriver.interrupts > 0 && machine.osDriver.spuriousInterrupts == 0)
    #expect(machine.osDriver.linkChanges == 1, "the one that the driver caused itself")
  }

  @Test(arguments: protections)
  func anE1000EDrops(protection: PacketProtection) throws {
    var machine = try E1000EMachine.e1000e(layout: Self.layout(protection))
    try checkReceiveDrop(&machine)
    // In place a drop shows as a damaged frame; copying leaves no trace of it.
    #expect(machine.osDriver.counters.receiveErrors == (protection == .inPlace ? 33 : 0))
  }

  @Test(arguments: protections)
  func anE1000ESends(protection: PacketProtection) throws {
    var machine = try E1000EMachine.e1000e(layout: Self.layout(protection), transmitDescriptors: 16)
    try checkTransmit(&machine)
  }

  @Test(arguments: protections)
  func anE1000ELeavesSegmentationToTheNIC(protection: PacketProtection) throws {
    var machine = try E1000EMachine.e1000e(layout: Self.layout(protection), transmitDescriptors: 128)
    try checkSegmentation(&machine)
  }

  @Test func theLinkIsReportedByTheThirdMessage() throws {
    var machine = try E1000EMachine.e1000e()
    machine.bootOS()
    var inspector = ScriptedInspector()
    machine.run(inspecting: &inspector) { _ in }
    machine.hardware.nic.device.isLinkUp = false
    machine.run(inspecting: &inspector) { _ in }
    #expect(machine.osDriver.linkChanges == 2)
  }

  @Test func checksumsThatTheNICVerifiedAreTheDriversToTrust() throws {
    var machine = try E1000EMachine.e1000e()
    machine.bootOS()
    var inspector = ScriptedInspector()
    var delivered = 0
    var damaged = TCPSegments.frame(payload: 100, number: 2)
    damaged[60] ^= 1
    for (index, frame) in [TCPSegments.frame(payload: 100, number: 1), damaged].enumerated() {
      try machine.put(frame, ordinal: index + 1)
    }
    machine.run(inspecting: &inspector) { _ in delivered += 1 }
    #expect(delivered == 2 && machine.osDriver.counters.checksumsVerified == 1)
  }

  // MARK: - The 82576

  @Test(arguments: protections)
  func anIGBReceivesInOrder(protection: PacketProtection) throws {
    var machine = try IGBMachine.igb(layout: Self.layout(protection), receiveDescriptors: 32)
    try checkReceive(&machine)
    #expect(machine.osDriver.counters.receiveErrors == 0)
    #expect(machine.osDriver.interrupts > 0 && machine.osDriver.spuriousInterrupts == 0)
  }

  @Test(arguments: protections)
  func anIGBDrops(protection: PacketProtection) throws {
    var machine = try IGBMachine.igb(layout: Self.layout(protection))
    try checkReceiveDrop(&machine)
    #expect(machine.osDriver.counters.receiveErrors == (protection == .inPlace ? 33 : 0))
  }

  @Test(arguments: protections)
  func anIGBSends(protection: PacketProtection) throws {
    var machine = try IGBMachine.igb(layout: Self.layout(protection), transmitDescriptors: 16)
    try checkTransmit(&machine)
  }

  @Test(arguments: protections)
  func anIGBLeavesSegmentationToTheNIC(protection: PacketProtection) throws {
    var machine = try IGBMachine.igb(layout: Self.layout(protection), transmitDescriptors: 128)
    try checkSegmentation(&machine)
  }

  /// Connections are spread over four queues; each stays in order, and every frame is inspected once.
  @Test(arguments: protections)
  func connectionsAreSpreadOverTheQueues(protection: PacketProtection) throws {
    var machine = try IGBMachine.igb(layout: Self.layout(protection))
    machine.bootOS()
    var inspector = ScriptedInspector()
    var delivered: [[UInt8]] = []
    for round in 0..<20 {
      for connection in UInt8(0)..<32 {
        let ordinal = round * 32 + Int(connection) + 1
        let frame = TCPSegments.frame(payload: 100 + round, number: UInt8(round), port: UInt16(connection))
        try machine.put(frame, ordinal: ordinal)
      }
      machine.run(inspecting: &inspector) { delivered.append($0.array) }
    }
    #expect(delivered.count == 640 && inspector.seen.count == 640)
    #expect(machine.osDriver.queues.allSatisfy { $0.counters.framesReceived > 0 })
    for connection in UInt16(0)..<32 {
      let ofConnection = delivered.filter { UInt16($0[34]) << 8 | UInt16($0[35]) == connection }
      #expect(ofConnection.map(\.count) == (0..<20).map { 154 + $0 })
    }
  }

  // MARK: - A virtual function of the 82576

  @Test(arguments: protections)
  func aVirtualFunctionReceivesInOrder(protection: PacketProtection) throws {
    var machine = try VirtualFunctionMachine.igbVirtualFunction(layout: Self.layout(protection), receiveDescriptors: 32)
    try checkReceive(&machine)
    #expect(machine.osDriver.stationAddress == 0x5634_1200_5452, "the mailbox passes through")
    #expect(machine.osDriver.refusedRequests == 0)
    #expect(machine.osDriver.counters.receiveErrors == 0)
  }

  @Test(arguments: protections)
  func aVirtualFunctionDrops(protection: PacketProtection) throws {
    var machine = try VirtualFunctionMachine.igbVirtualFunction(layout: Self.layout(protection))
    try checkReceiveDrop(&machine)
  }

  @Test(arguments: protections)
  func aVirtualFunctionSends(protection: PacketProtection) throws {
    var machine = try VirtualFunctionMachine.igbVirtualFunction(
      layout: Self.layout(protection), transmitDescriptors: 16)
    try checkTransmit(&machine)
  }

  @Test(arguments: protections)
  func aVirtualFunctionLeavesSegmentationToTheNIC(protection: PacketProtection) throws {
    var machine = try VirtualFunctionMachine.igbVirtualFunction(
      layout: Self.layout(protection), transmitDescriptors: 128)
    try checkSegmentation(&machine)
  }

  // MARK: - Bodies, for every family

  private func checkReceive<
    Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OS: OSDriverModel & ~Copyable
  >(_ machine: inout SimulatedMachine<Virtualizer, Model, OS>) throws {
    machine.bootOS()
    var inspector = ScriptedInspector()
    let sent = (1...500).map { Frames.numbered($0, length: 60 + $0 * 37 % 1400) }
    let delivered = try machine.receive(sent, every: 25, inspecting: &inspector)
    #expect(delivered == sent)
    #expect(inspector.seen.map(\.bytes) == sent)
    #expect(inspector.seen.map(\.ordinal) == Array(1...500))
  }

  private func checkReceiveDrop<
    Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OS: OSDriverModel & ~Copyable
  >(_ machine: inout SimulatedMachine<Virtualizer, Model, OS>) throws {
    machine.bootOS()
    var inspector = ScriptedInspector { $0 % 3 == 0 }
    let sent = (1...100).map { Frames.numbered($0, length: 200) }
    let delivered = try machine.receive(sent, inspecting: &inspector)
    #expect(delivered == sent.enumerated().filter { ($0.offset + 1) % 3 != 0 }.map(\.element))
    #expect(inspector.seen.count == 100)
  }

  private func checkTransmit<
    Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OS: OSDriverModel & ~Copyable
  >(_ machine: inout SimulatedMachine<Virtualizer, Model, OS>) throws {
    machine.bootOS()
    var inspector = ScriptedInspector { $0 % 4 == 0 }
    let sent = (1...200).map { Frames.numbered($0, length: 60 + $0 * 53 % 1400) }
    let arrived = machine.transmit(sent, inspecting: &inspector)
    #expect(inspector.seen.map(\.bytes) == sent)
    #expect(arrived == sent.enumerated().filter { ($0.offset + 1) % 4 != 0 }.map(\.element))
  }

  /// Sends of up to 64 KiB are inspected whole and reach the wire as segments with right checksums; one is dropped.
  private func checkSegmentation<
    Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OS: OSDriverModel & ~Copyable
  >(_ machine: inout SimulatedMachine<Virtualizer, Model, OS>) throws {
    machine.bootOS()
    var inspector = ScriptedInspector { $0 == 3 }
    let lengths = [100, 20_000, 30_000, 64_000, 1460, 1461]
    var arrived: [[UInt8]] = []
    for (index, length) in lengths.enumerated() {
      let frame = TCPSegments.frame(payload: length, number: UInt8(index))
      while unsafe !machine.send(frame.span.bytes) {
        machine.run(inspecting: &inspector) { _ in }
      }
      machine.run(inspecting: &inspector) { _ in }
      arrived.append(contentsOf: machine.takeSent().map(TCPSegments.withoutPadding))
    }
    #expect(inspector.seen.map(\.bytes.count) == lengths.map { $0 + 54 })
    let kept = [0, 1, 3, 4, 5]
    #expect(
      arrived.flatMap { $0[54...] }
        == kept.flatMap { TCPSegments.frame(payload: lengths[$0], number: UInt8($0))[54...] })
    #expect(arrived.count == kept.reduce(0) { $0 + (lengths[$1] + 1459) / 1460 })
    #expect(arrived.allSatisfy { TCPSegments.checksumsAreRight($0) })
  }
}

/// TCP segments with right checksums, as a stack without offloads would send them.
enum TCPSegments {
  static func frame(payload: Int, number: UInt8, port: UInt16 = 0x1234) -> [UInt8] {
    // The total length of what is to be segmented does not matter: the NIC puts its own.
    let total = (40 + payload) & 0xFFFF
    var ip: [UInt8] = [
      0x45, 0, UInt8(total >> 8), UInt8(total & 0xFF), 0, number, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ]
    let header = ~sum(ip)
    ip[10] = UInt8(header >> 8)
    ip[11] = UInt8(header & 0xFF)
    let source = [UInt8(port >> 8), UInt8(port & 0xFF)]
    var tcp: [UInt8] = source + [0, 80, 0, 0, 1, 0, 0, 0, 0, 1, 0x50, 0x18, 0x20, 0, 0, 0, 0, 0]
    tcp += (0..<payload).map { UInt8(truncatingIfNeeded: $0 &* 7) &+ number }
    let checksum = ~sum(ip[12...] + [0, 6, UInt8(tcp.count >> 8 & 0xFF), UInt8(tcp.count & 0xFF)] + tcp)
    tcp[16] = UInt8(checksum >> 8)
    tcp[17] = UInt8(checksum & 0xFF)
    return [0x52, 0x54, 0, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 1, 8, 0] + ip + tcp
  }

  /// A short frame on the wire is padded.
  static func withoutPadding(_ frame: [UInt8]) -> [UInt8] {
    Array(frame.prefix(14 + (Int(frame[16]) << 8 | Int(frame[17]))))
  }

  static func checksumsAreRight(_ frame: [UInt8]) -> Bool {
    let length = frame.count - 34
    let pseudo = frame[26..<34] + [0, 6, UInt8(length >> 8), UInt8(length & 0xFF)]
    return sum(frame[14..<34]) == 0xFFFF && sum(pseudo + frame[34...]) == 0xFFFF
  }

  private static func sum(_ bytes: some Sequence<UInt8>) -> UInt16 {
    var total: UInt32 = 0
    for (index, byte) in bytes.enumerated() { total += index % 2 == 0 ? UInt32(byte) << 8 : UInt32(byte) }
    while total >> 16 != 0 { total = total & 0xFFFF + total >> 16 }
    return UInt16(total)
  }
}
