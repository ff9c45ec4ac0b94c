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
  private static let context: (UInt64, UInt64) = (0x0, 1448 << 48 | 54 << 40 | 1 << 26 | Command.extension)

  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory])
  func aSuperFrameIsInspectedAsSuch(protection: PacketProtection) throws {
    let limits = RingLimits(
      maximumDescriptors: 64, maximumFrameLength: 70_000, copyMemory: protection == .inPlace ? 0 : 1 << 18)
    let harness = try TransmitHarness(count: 48, protection: protection, limits: limits)
    harness.put(Self.context.0, Self.context.1)
    // 64 KiB in pieces of 2,048 bytes; the first has the options: segmentation and both checksums.
    for piece in 0..<32 {
      let buffer = TestMachine.buffer(harness.driverTail)
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
