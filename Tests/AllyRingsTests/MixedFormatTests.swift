import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import Testing

/// A receive format of 32 bytes whose completion overwrites the buffer's address, as extended formats do.
private struct WideReceive: ReceiveDescriptor {
  var address: UInt64 = 0
  var spare: UInt64 = 0
  var more: UInt64 = 0
  /// Done, end, damaged in bits 0–2; length in bits 32–63.
  var status: UInt64 = 0

  init() {}
  init(offering buffer: BusAddress) { address = buffer.rawValue }
  init(_ completion: ReceiveCompletion, buffer: BusAddress) {
    address = 0xFFFF_FFFF_FFFF_FFFF
    status = 1 | (completion.endsFrame ? 2 : 0) | (completion.isDamaged ? 4 : 0) | UInt64(completion.length) << 32
  }
  static var ownershipWordOffset: Int { 24 }
  var offeredBuffer: BusAddress { BusAddress(address) }
  var isCompleted: Bool { status & 1 != 0 }
  var endsFrame: Bool { status & 2 != 0 }
  var completedLength: UInt32 { UInt32(status >> 32) }
  var completion: ReceiveCompletion {
    ReceiveCompletion(length: completedLength, endsFrame: endsFrame, isDamaged: status & 4 != 0)
  }
  mutating func markDropped() { status |= 4 }
}

/// A transmit format of 32 bytes.
private struct WideTransmit: TransmitDescriptor {
  /// Done, end, report in bits 0–2; length in bits 32–63.
  var status: UInt64 = 0
  var address: UInt64 = 0
  var spare: UInt64 = 0
  var more: UInt64 = 0

  init() {}
  init?(_ request: TransmitRequest) {
    guard request.kind == .segment, !request.usesOffloads else { return nil }
    address = request.buffer.rawValue
    status = (request.endsFrame ? 2 : 0) | (request.reportsCompletion ? 4 : 0) | UInt64(request.length) << 32
  }
  static var ownershipWordOffset: Int { 0 }
  static var maximumPlainFrameLength: UInt32 { .max }
  var kind: TransmitKind { .segment }
  var buffer: BusAddress {
    get { BusAddress(address) }
    set { address = newValue.rawValue }
  }
  var length: UInt32 { UInt32(status >> 32) }
  var endsFrame: Bool { status & 2 != 0 }
  var reportsCompletion: Bool {
    get { status & 4 != 0 }
    set { status = newValue ? status | 4 : status & ~4 }
  }
  var isCompleted: Bool {
    get { status & 1 != 0 }
    set { status = newValue ? status | 1 : status & ~1 }
  }
  var request: TransmitRequest {
    TransmitRequest(buffer: buffer, length: length, endsFrame: endsFrame, reportsCompletion: reportsCompletion)
  }
}

/// The OS's format and the NIC's may differ (decision 6 of Docs/Architecture.md).
@Suite struct MixedFormatTests {
  private static let rules = QueueRules(baseAlignment: 16, lengthMultiple: 32)

  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory])
  func aWideOSQueueOverALegacyNIC(_ protection: PacketProtection) throws {
    let machine = TestMachine()
    let limits = RingLimits(copyMemory: 0x1_0000)
    var rings = try ReceiveVirtualizer<WideReceive, E1000ReceiveDescriptor>(
      region: machine.region, memory: machine.memory, partition: machine.partition, limits: limits)
    let programmed = ProgrammedQueue(
      base: BusAddress(0x2000), byteLength: 8 * 32, head: 0, tail: 0, isEnabled: true, bufferLength: 2048,
      trailerLength: 4)
    let fault = rings.start(programmed, rules: Self.rules, protection: protection, memory: machine.memory)
    #expect(fault == nil)
    for slot: UInt32 in 0..<4 {
      machine.store((TestMachine.buffer(slot), 0), PhysicalAddress(0x2000), slot * 2)
      machine.store((0, 0), PhysicalAddress(0x2000), slot * 2 + 1)
    }
    _ = rings.moveTail(to: 4)
    _ = rings.copyPosted(memory: machine.memory)
    var nic = PlainNIC()
    var inspector = ScriptedInspector(dropping: 7)
    var clock = CountingClock()
    for sent in [frame(1), frame(7), frame(2, count: 3000)] {
      let fits = nic.receive(sent, on: rings.state.dpiQueue, machine: machine)
      #expect(fits || protection == .inPlace)
    }
    _ = rings.publishCompleted(inspecting: &inspector, clock: &clock, memory: machine.memory)
    #expect(inspector.seen == [frame(1), frame(7), frame(2, count: 3000)])
    let statuses = (0..<4).map { machine.words(PhysicalAddress(0x2000), $0 * 2 + 1).1 }
    // Lengths include four bytes of checksum; flags are done, end, damaged.
    let lengths = statuses.map { $0 >> 32 }
    let flags = statuses.map { $0 & 7 }
    if protection == .inPlace {
      #expect(lengths == [64, 64, 2048, 956])
      #expect(flags == [3, 7, 1, 3])
    } else {
      #expect(lengths == [64, 2048, 956, 0])
      #expect(flags == [3, 1, 3, 0])
    }
  }

  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory])
  func aWideOSQueueOverALegacyNICTransmits(_ protection: PacketProtection) throws {
    let machine = TestMachine()
    var rings = try TransmitVirtualizer<WideTransmit, E1000TransmitDescriptor>(
      region: machine.region, memory: machine.memory, partition: machine.partition,
      limits: RingLimits(copyMemory: 0x1_0000))
    let programmed = ProgrammedQueue(base: BusAddress(0x2000), byteLength: 8 * 32, head: 0, tail: 0, isEnabled: true)
    let fault = rings.start(programmed, rules: Self.rules, protection: protection, memory: machine.memory)
    #expect(fault == nil)
    func put(_ slot: UInt32, _ bytes: [UInt8], ends: Bool) {
      machine.write(bytes, at: TestMachine.buffer(slot))
      let status = UInt64(bytes.count) << 32 | (ends ? 6 : 0)
      machine.store((status, TestMachine.buffer(slot)), PhysicalAddress(0x2000), slot * 2)
    }
    put(0, frame(1), ends: true)
    put(1, frame(7), ends: true)
    put(2, frame(2, count: 20), ends: false)
    put(3, frame(3, count: 70), ends: true)
    // Longer than a legacy descriptor can say.
    machine.store((70_000 << 32 | 6, 0x2_0000), PhysicalAddress(0x2000), 8)
    put(5, frame(4), ends: true)
    _ = rings.moveTail(to: 6)
    var nic = PlainNIC()
    var inspector = ScriptedInspector(dropping: 7)
    var clock = CountingClock()
    _ = rings.copyPosted(inspecting: &inspector, clock: &clock, memory: machine.memory)
    let sent = nic.send(on: rings.state.dpiQueue, machine: machine)
    #expect(sent == [frame(1), frame(2, count: 20) + frame(3, count: 70), frame(4)])
    let completions = rings.completeTransmitted(memory: machine.memory)
    #expect(completions == TransmitCompletions(descriptors: 6, isReported: true, isEmpty: true))
    let done = (0..<6).map { machine.words(PhysicalAddress(0x2000), $0 * 2).0 & 1 }
    #expect(done == [1, 1, 0, 1, 1, 1])
    #expect(rings.state.counters.faults[.malformedChain] == 1)
  }

  @Test func aFormatThatCannotBeLoadedWordByWordIsRefused() throws {
    struct Crooked: ReceiveDescriptor {
      var address: UInt64 = 0
      var status: UInt32 = 0
      init() {}
      init(offering buffer: BusAddress) { address = buffer.rawValue }
      init(_ completion: ReceiveCompletion, buffer: BusAddress) { address = buffer.rawValue }
      static var ownershipWordOffset: Int { 8 }
      var offeredBuffer: BusAddress { BusAddress(address) }
      var isCompleted: Bool { false }
      var endsFrame: Bool { false }
      var completedLength: UInt32 { 0 }
      var completion: ReceiveCompletion { ReceiveCompletion(length: 0, endsFrame: false) }
      mutating func markDropped() {}
    }
    let machine = TestMachine()
    #expect(throws: RingSetupError.descriptorFormat) {
      _ = try ReceiveVirtualizer<Crooked, Crooked>(
        region: machine.region, memory: machine.memory, partition: machine.partition)
    }
  }
}
