import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import Testing

/// What descriptors ask for and say besides the frame's bytes, as inspectors see it.
@Suite struct OffloadTests {
  /// Notes what comes besides the bytes.
  private struct OffloadInspector: PacketInspector {
    var seen: [(count: Int, offloads: FrameOffloads)] = []

    mutating func inspect(_ packet: borrowing Packet) -> Verdict {
      seen.append((packet.bytes.byteCount, packet.offloads))
      return .accept
    }
  }

  private static let dataDescriptor = Command.extension | 1 << 20
  /// A context descriptor for segmentation: 54 bytes of header, 1,448 of payload each.
  private static let context: (UInt64, UInt64) = (places, 1448 << 48 | 54 << 40 | 1 << 26 | Command.extension)
  /// Where the headers of a TCP segment in IPv4 begin, and their checksums are (SDM 3.3.6.1).
  private static let places: UInt64 = 14 | 24 << 8 | 34 << 32 | 50 << 40

  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory])
  func aSuperFrameIsInspectedAsSuch(protection: PacketProtection) throws {
    let limits = RingLimits(
      maximumDescriptors: 64, maximumFrameLength: 70_000, copyMemory: protection == .inPlace ? 0 : 1 << 18)
    let harness = try TransmitHarness(count: 48, protection: protection, limits: limits)
    harness.put(Self.context.0, Self.context.1)
    // 64 KiB in pieces of 2,048 bytes; the first has the options: segmentation and both checksums.
    for piece in 0..<32 {
      let buffer = TestMachine.buffer(harness.driverTail)
      if piece == 0 { harness.machine.write(tcpFrame(0, count: 54), at: buffer) }
      let isLast = piece == 31
      let options: UInt64 = piece == 0 ? 3 << 40 : 0
      harness.put(
        buffer, 2048 | Self.dataDescriptor | 1 << 26 | options | (isLast ? Command.plain | 1 << 30 | 0x2064 << 48 : 0))
    }
    // And one without options, in the same way.
    harness.put(TestMachine.buffer(harness.driverTail), 100 | Self.dataDescriptor | Command.plain)
    _ = harness.ring()
    var inspector = OffloadInspector()
    _ = harness.rings.copyPosted(inspecting: &inspector, clock: &harness.clock, memory: harness.machine.memory)
    try #require(inspector.seen.count == 2)
    #expect(inspector.seen[0].count == 65_536)
    #expect(
      inspector.seen[0].offloads
        == FrameOffloads(
          vlan: 0x2064, ipChecksum: true, transportChecksum: true, segmentSize: 1448, headerLength: 54))
    #expect(inspector.seen[1].count == 100)
    #expect(inspector.seen[1].offloads == .none)
    // The NIC gets the context and all pieces as they are.
    #expect(harness.rings.state.dpiQueue.tail == 34)
    #expect(harness.machine.words(harness.rings.state.dpiQueue.base, 0) == Self.context)
  }

  /// What a context and the descriptors of a frame of two pieces say, and which protocol the frame has.
  struct Request: Sendable, CustomTestStringConvertible {
    var name: String
    /// The context's first word, whether it is one for segmentation, and the bytes of the headers to repeat.
    var places: UInt64
    var isCut = false
    var header: UInt64 = 54
    /// Options and commands of the first and of the last descriptor, besides the rest.
    var first: UInt64
    var last: UInt64
    var isGood = false
    var transport: UInt8 = 6

    var testDescription: String { name }

    static let checksums: UInt64 = 3 << 40
    static let cut: UInt64 = 1 << 26
    static let all: [Request] = [
      Request(name: "both checksums", places: OffloadTests.places, first: checksums, last: 0, isGood: true),
      Request(
        name: "both in each descriptor", places: OffloadTests.places, first: checksums, last: checksums, isGood: true),
      Request(
        name: "UDP's", places: 34 << 32 | 40 << 40, first: 2 << 40, last: 0, isGood: true, transport: 17),
      Request(
        name: "segments", places: OffloadTests.places, isCut: true, first: cut | checksums, last: cut, isGood: true),
      Request(name: "TCP's checksum in the payload", places: 34 << 32 | 90 << 40, first: 2 << 40, last: 0),
      Request(name: "IP's checksum in the payload", places: 14 | 90 << 8, first: 1 << 40, last: 0),
      Request(name: "TCP's checksum in UDP", places: OffloadTests.places, first: 2 << 40, last: 0, transport: 17),
      Request(
        name: "a checksum of what has none", places: OffloadTests.places, first: 2 << 40, last: 0, transport: 47),
      Request(
        name: "segments with the IP header elsewhere", places: OffloadTests.places + 1, isCut: true, first: cut,
        last: cut),
      Request(
        name: "segments with the TCP header elsewhere", places: OffloadTests.places + 1 << 32, isCut: true, first: cut,
        last: cut),
      Request(
        name: "segments with more header", places: OffloadTests.places, isCut: true, header: 60, first: cut, last: cut),
      Request(
        name: "segments, and then not", places: OffloadTests.places, isCut: true, first: cut | checksums, last: 0),
      Request(name: "not segments, and then", places: OffloadTests.places, isCut: true, first: checksums, last: cut),
    ]
  }

  /// What a NIC is to write after the inspection goes into headers alone, where frames are protected. In place a guest that is
  /// trusted may ask for anything.
  @Test(arguments: [PacketProtection.copyToDPIMemory, .inPlace], Request.all)
  func aNICWritesIntoHeadersAlone(protection: PacketProtection, request: Request) throws {
    let isProtected = protection != .inPlace
    let harness = try TransmitHarness(
      count: 16, protection: protection, limits: RingLimits(copyMemory: isProtected ? 1 << 16 : 0))
    harness.put(
      request.places, 40 << 48 | request.header << 40 | (request.isCut ? 1 << 26 : 0) | Command.extension)
    let bytes = tcpFrame(3, count: 120, transport: request.transport)
    for (piece, more) in [(bytes[..<54], request.first), (bytes[54...], request.last | Command.plain)] {
      let buffer = TestMachine.buffer(harness.driverTail)
      harness.machine.write(Array(piece), at: buffer)
      harness.put(buffer, UInt64(piece.count) | Self.dataDescriptor | more)
    }
    _ = harness.ring()
    var inspector = OffloadInspector()
    _ = harness.rings.copyPosted(inspecting: &inspector, clock: &harness.clock, memory: harness.machine.memory)
    let passes = request.isGood || !isProtected
    #expect(inspector.seen.map(\.count) == (passes ? [120] : []))
    let counters = harness.rings.state.counters
    #expect(counters.faults[.misplacedHeaders] == (passes ? 0 : 1) && counters.accepted == (passes ? 1 : 0))
  }

  /// The checksum of a legacy descriptor, of which the last of a frame says where it goes.
  @Test(arguments: [(50, true), (90, false)] as [(UInt64, Bool)])
  func aLegacyChecksumGoesIntoTheHeaderAlone(place: UInt64, isGood: Bool) throws {
    let harness = try TransmitHarness(protection: .copyToDPIMemory, limits: RingLimits(copyMemory: 1 << 16))
    let bytes = tcpFrame(3, count: 120)
    harness.put(Array(bytes[..<60]), command: 1 << 25)
    harness.put(Array(bytes[60...]), command: Command.plain | 1 << 26 | place << 16 | 34 << 40)
    var inspector = ScriptedInspector()
    _ = harness.copy(&inspector)
    #expect(inspector.seen == (isGood ? [bytes] : []))
    #expect(harness.rings.state.counters.faults[.misplacedHeaders] == (isGood ? 0 : 1))
  }

  /// The 82576 is told the headers' lengths (82576 datasheet 7.2.2.2).
  @Test(
    arguments: [(20, 14, 1, true), (20, 18, 1, false), (24, 14, 1, false), (20, 14, 0, false)]
      as [(UInt64, UInt64, UInt64, Bool)])
  func lengthsOfHeadersAreTheFrames(ip: UInt64, link: UInt64, transport: UInt64, isGood: Bool) throws {
    let machine = TestMachine()
    var rings = try TransmitVirtualizer<IGBTransmitDescriptor, IGBTransmitDescriptor>(
      region: machine.region, memory: machine.memory, partition: machine.partition,
      limits: RingLimits(maximumDescriptors: 64, copyMemory: 1 << 16))
    let fault = rings.start(
      machine.programmed(count: 8), rules: IGBDriver.queueRules, protection: .copyToDPIMemory, memory: machine.memory)
    #expect(fault == nil)
    machine.store((ip | link << 9, 1 << 29 | 2 << 20 | transport << 11 | 1 << 10), TestMachine.queue, 0)
    let bytes = tcpFrame(3, count: 120)
    machine.write(bytes, at: TestMachine.buffer(1))
    machine.store(
      (TestMachine.buffer(1), 120 | 3 << 20 | 0b10_1011 << 24 | 3 << 40 | 120 << 46), TestMachine.queue, 1)
    _ = rings.moveTail(to: 2)
    var inspector = ScriptedInspector()
    var clock = CountingClock()
    _ = rings.copyPosted(inspecting: &inspector, clock: &clock, memory: machine.memory)
    #expect(inspector.seen == (isGood ? [bytes] : []))
    #expect(rings.state.counters.faults[.misplacedHeaders] == (isGood ? 0 : 1))
  }

  @Test func aPlainFrameTellsItsTag() throws {
    let harness = try TransmitHarness()
    harness.put(TestMachine.buffer(0), 60 | Command.plain | 1 << 30 | 0x0007 << 48)
    harness.put(TestMachine.buffer(1), 60 | Command.plain | 1 << 26)
    _ = harness.ring()
    var inspector = OffloadInspector()
    _ = harness.rings.copyPosted(inspecting: &inspector, clock: &harness.clock, memory: harness.machine.memory)
    #expect(
      inspector.seen.map(\.offloads) == [FrameOffloads(vlan: 7), FrameOffloads(transportChecksum: true)])
  }

  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory])
  func aReceivedFrameTellsWhatTheNICFoundOut(protection: PacketProtection) throws {
    let harness = try ReceiveHarness(
      protection: protection, limits: RingLimits(copyMemory: protection == .inPlace ? 0 : 1 << 16))
    harness.post(4)
    _ = harness.copyPosted()
    #expect(harness.arrive(frame(1)) && harness.arrive(frame(2)))
    // The first: checksums checked and good, and a tag taken out. The second: nothing checked.
    let queue = harness.rings.state.dpiQueue.base
    for (slot, more) in [(0, 1 << 35 | 1 << 37 | 1 << 38 | 0x2064 << 48), (1, 1 << 34)] as [(UInt32, UInt64)] {
      let words = harness.machine.words(queue, slot)
      harness.machine.store((words.0, words.1 | more), queue, slot)
    }
    var inspector = OffloadInspector()
    _ = harness.rings.publishCompleted(
      inspecting: &inspector, clock: &harness.clock, memory: harness.machine.memory)
    #expect(
      inspector.seen.map(\.offloads) == [
        FrameOffloads(vlan: 0x2064, ipChecksum: true, transportChecksum: true), .none,
      ])
  }

  /// The 82576 does not write context descriptors back. One whose frame was dropped is known to be done when a frame after it
  /// is; asked for a report, it would hold the ring up for ever.
  @Test func aContextIsNotWaitedForThatTheNICDoesNotReport() throws {
    let machine = TestMachine()
    var rings = try TransmitVirtualizer<IGBTransmitDescriptor, IGBTransmitDescriptor>(
      region: machine.region, memory: machine.memory, partition: machine.partition,
      limits: RingLimits(maximumDescriptors: 64))
    let fault = rings.start(
      machine.programmed(count: 8), rules: IGBDriver.queueRules, protection: .inPlace, memory: machine.memory)
    #expect(fault == nil)
    var inspector = ScriptedInspector(dropping: 7)
    var clock = CountingClock()
    // DTYP 2 and 3, DEXT; the OS asks for a report of the context too, which the chip would not make.
    let context: (UInt64, UInt64) = (20 | 14 << 9, 1 << 27 | 1 << 29 | 2 << 20)
    func post(_ slot: UInt32, _ first: UInt8) {
      machine.store(context, TestMachine.queue, slot)
      machine.write(frame(first), at: TestMachine.buffer(slot + 1))
      machine.store(
        (TestMachine.buffer(slot + 1), 60 | 3 << 20 | 0b10_1011 << 24 | 60 << 46), TestMachine.queue, slot + 1)
      _ = rings.moveTail(to: slot + 2)
      _ = rings.copyPosted(inspecting: &inspector, clock: &clock, memory: machine.memory)
    }
    post(0, 7)
    #expect(rings.state.dpiQueue.tail == 1, "the context alone")
    let twin = rings.state.dpiQueue.base
    #expect(machine.words(twin, 0).1 & 1 << 27 == 0)
    #expect(rings.completeTransmitted(memory: machine.memory).descriptors == 0)
    post(2, 1)
    #expect(rings.state.dpiQueue.tail == 3)
    let last = machine.words(twin, 2)
    machine.store((last.0, last.1 | 1 << 32), twin, 2)
    #expect(rings.completeTransmitted(memory: machine.memory).descriptors == 4)
    for slot: UInt32 in [1, 3] { #expect(machine.words(TestMachine.queue, slot).1 & 1 << 32 != 0) }
  }
}
