import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import Testing

/// Frame checksums, and descriptors that have them.
@Suite struct FrameChecksumTests {
  /// The vectors of SipHash-2-4's authors: key 00…0f, input 00…, of these lengths.
  @Test(arguments: [
    (0, 0x726F_DB47_DD0E_0E31 as UInt64), (1, 0x74F8_39C5_93DC_67FD), (7, 0xAB02_00F5_8B01_D137),
    (8, 0x93F5_F579_9A93_2462), (15, 0xA129_CA61_49BE_45E5),
  ])
  func theVectorsOfItsAuthors(length: Int, checksum: UInt64) {
    let key = ChecksumKey(low: 0x0706_0504_0302_0100, high: 0x0F0E_0D0C_0B0A_0908)
    let bytes = (0..<length).map { UInt8($0) }
    #expect(unsafe FrameChecksum.of(bytes.span.bytes, key: key) == checksum)
  }

  private typealias Transmit = TransmitVirtualizer<E1000TransmitDescriptor, E1000ChecksumTransmitDescriptor>
  private static let key = ChecksumKey(low: 11, high: 12)

  private static func words(_ machine: borrowing TestMachine, _ queue: PhysicalAddress, _ slot: UInt32) -> [UInt64] {
    (0..<4).map {
      machine.memory.load(UInt64.self, at: queue.advanced(by: UInt64(slot) * 32 + UInt64($0) * 8)) ?? 0
    }
  }

  /// A super-frame with its context: every bit that the OS set reaches the NIC, and the checksum is of the whole, in the last
  /// descriptor alone.
  @Test func offloadsCarryOver() throws {
    let machine = TestMachine()
    var rings = try Transmit(
      region: machine.region, memory: machine.memory, partition: machine.partition,
      limits: RingLimits(maximumDescriptors: 64))
    let fault = rings.start(
      machine.programmed(count: 8), rules: E1000Driver.queueRules, protection: .checksum, checksumKey: Self.key,
      memory: machine.memory)
    #expect(fault == nil)
    // Context: DEXT, TSE; header of 54 bytes, segments of 1,460.
    let context: (UInt64, UInt64) = (0x0000_3222_0021_180E, 1460 << 48 | 54 << 40 | 1 << 29 | 1 << 26 | 5000)
    machine.store(context, TestMachine.queue, 0)
    let pieces = [tcpFrame(1, count: 2000), frame(2, count: 2000), frame(3, count: 1054)]
    for (index, piece) in pieces.enumerated() {
      let slot = UInt32(index) + 1
      machine.write(piece, at: TestMachine.buffer(slot))
      // DEXT, DTYP 1, TSE, POPTS; EOP and RS in the last.
      let last: UInt64 = index == 2 ? 1 << 24 | 1 << 27 : 0
      machine.store(
        (TestMachine.buffer(slot), UInt64(piece.count) | 1 << 20 | 1 << 26 | 1 << 29 | 3 << 40 | last),
        TestMachine.queue, slot)
    }
    _ = rings.moveTail(to: 4)
    var inspector = ScriptedInspector()
    var clock = CountingClock()
    #expect(rings.copyPosted(inspecting: &inspector, clock: &clock, memory: machine.memory) == 4)
    #expect(inspector.seen == [pieces.flatMap { $0 }])
    let queue = rings.state.dpiQueue
    #expect(queue.tail == 4)
    for slot in UInt32(0)..<4 {
      let os = machine.words(TestMachine.queue, slot)
      let nic = Self.words(machine, queue.base, slot)
      #expect(nic[0] == os.0 && nic[1] == os.1, "slot \(slot)")
      #expect(nic[3] == (slot == 3 ? 1 : 0), "slot \(slot)")
    }
    let whole = pieces.flatMap { $0 }
    let expected = unsafe FrameChecksum.of(whole.span.bytes, key: Self.key)
    #expect(Self.words(machine, queue.base, 3)[2] == expected)
    // The NIC refuses it: the OS's descriptors complete as always, and it is counted.
    let last = queue.base.advanced(by: 3 * 32)
    let isMarked = machine.memory.store(3 as UInt64, at: last.advanced(by: 24))
    let isDone = machine.memory.store(machine.words(TestMachine.queue, 3).1 | 1 << 32, at: last.advanced(by: 8))
    #expect(isMarked && isDone)
    #expect(rings.completeTransmitted(memory: machine.memory).descriptors == 4)
    #expect(machine.words(TestMachine.queue, 3).1 >> 32 & 1 == 1)
    #expect(rings.state.counters.faults[.checksumMismatch] == 1)
  }

  /// A received frame over several descriptors, whose checksum is in the last.
  @Test(arguments: [false, true])
  func aFrameOverSeveralDescriptors(isChanged: Bool) throws {
    let machine = TestMachine()
    var rings = try ReceiveVirtualizer<E1000ReceiveDescriptor, E1000ChecksumReceiveDescriptor>(
      region: machine.region, memory: machine.memory, partition: machine.partition)
    let fault = rings.start(
      machine.programmed(count: 8), rules: E1000Driver.queueRules, protection: .checksum, checksumKey: Self.key,
      memory: machine.memory)
    #expect(fault == nil)
    for slot in UInt32(0)..<4 { machine.store((TestMachine.buffer(slot), 0), TestMachine.queue, slot) }
    _ = rings.moveTail(to: 4)
    #expect(rings.copyPosted(memory: machine.memory) == 4)
    let bytes = frame(5, count: 5000)
    let queue = rings.state.dpiQueue
    for slot in UInt32(0)..<3 {
      let piece = Array(bytes[(Int(slot) * 2048)..<min(5000, Int(slot + 1) * 2048)])
      machine.write(piece, at: TestMachine.buffer(slot))
      let place = queue.base.advanced(by: UInt64(slot) * 32)
      if slot == 2 {
        let checksum = unsafe FrameChecksum.of(bytes.span.bytes, key: Self.key)
        let isStored =
          machine.memory.store(checksum, at: place.advanced(by: 16))
          && machine.memory.store(1 as UInt64, at: place.advanced(by: 24))
        #expect(isStored)
      }
      // The packet checksum and VLAN fields are the NIC's own: they carry over.
      let fields = UInt64(piece.count) | 0xABCD << 16 | (slot == 2 ? 3 : 1) << 32 | 0x0123 << 48
      let isDone = machine.memory.store(fields, at: place.advanced(by: 8))
      #expect(isDone)
    }
    if isChanged { machine.write([0xFF], at: TestMachine.buffer(1) + 7) }
    var inspector = ScriptedInspector()
    var clock = CountingClock()
    let result = rings.publishCompleted(inspecting: &inspector, clock: &clock, memory: machine.memory)
    #expect(result.descriptors == 3)
    #expect(clock.count == 1)
    let last = machine.words(TestMachine.queue, 2)
    if isChanged {
      #expect(inspector.seen.isEmpty)
      #expect(rings.state.counters.faults[.checksumMismatch] == 1 && rings.state.counters.faulted == 1)
      #expect(last.1 & 0x97 << 40 != 0, "an error completion")
      #expect(machine.read(2048, at: TestMachine.buffer(1)).allSatisfy { $0 == 0 }, "scrubbed")
    } else {
      #expect(inspector.seen == [Array(bytes.dropLast(4))])
      #expect(last.1 == UInt64(5000 - 4096) | 0xABCD << 16 | 3 << 32 | 0x0123 << 48)
    }
  }
}
