import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import Testing

extension DriverHarness<E1000EDriver> {
  /// As Linux does it: extended descriptors, the queue, the enable, the tail.
  func startReceive(queue: UInt32 = 0, base: UInt32 = 0x2000) {
    write(0x5008, 1 << 15)
    let first = 0x2800 + queue * 0x100
    write(first + 8, 128)
    write(first, base)
    write(first + 0x10, 0)
    write(first + 0x18, 0)
    write(0x100, 0x0400_8002)
  }

  func startTransmit(base: UInt32 = 0x3000) {
    write(0x3808, 128)
    write(0x3800, base)
    write(0x400, 0x0003_F0FA)
  }

  func offer(_ slots: Range<UInt32>, queue: UInt32 = 0, base: UInt64 = 0x2000) {
    for slot in slots { machine.store((TestMachine.buffer(slot), 0), PhysicalAddress(base), slot) }
    write(0x2818 + queue * 0x100, slots.upperBound % 8)
    service(Int(queue))
  }

  func service(_ queue: Int) {
    _ = rings.service(
      queue: queue, inspecting: &inspector, receiveClock: &clock, transmitClock: &transmitClock,
      memory: machine.memory, registers: registers, nic: &nic)
  }

  /// The NIC completes a frame in an extended descriptor, the address overwritten by a hash.
  func complete(_ bytes: [UInt8], queue: Int = 0, at head: UInt32) {
    let twin = rings[queue].receive.state.dpiQueue
    machine.write(bytes, at: machine.words(twin.base, head).0)
    machine.store((0x5555_AAAA_0000_0001, UInt64(bytes.count) << 32 | 3), twin.base, head)
    service(queue)
  }
}

@Suite struct E1000EDriverTests {
  @Test func extendedDescriptorsPassWithTheirHash() throws {
    let harness = try DriverHarness<E1000EDriver>()
    harness.startReceive()
    #expect(harness.nic.values[0x5008] == 1 << 15)
    #expect(harness.nic.values[0x100] == 0x0400_8002)
    let twin = harness.rings[0].receive.state.dpiQueue
    #expect(harness.machine.partition.isDPI(twin.base) && harness.nic.values[0x2800] == twin.base.rawValue)
    harness.offer(0..<4)
    #expect(harness.nic.values[0x2818] == 4)
    harness.complete(frame(1), at: 0)
    harness.complete(frame(2), at: 1)
    #expect(harness.inspector.seen == [frame(1), frame(2)])
    let (first, second) = harness.machine.words(PhysicalAddress(0x2000), 1)
    #expect(first == 0x5555_AAAA_0000_0001 && second == 60 << 32 | 3)
    #expect(harness.machine.read(60, at: TestMachine.buffer(1)) == frame(2))
  }

  @Test func aDropShowsAsADamagedFrameWithoutItsHash() throws {
    let harness = try DriverHarness<E1000EDriver>()
    harness.inspector = ScriptedInspector(dropping: 7)
    harness.startReceive()
    harness.offer(0..<4)
    harness.complete(frame(7), at: 0)
    let (first, second) = harness.machine.words(PhysicalAddress(0x2000), 0)
    #expect(first == 0 && second >> 31 & 1 == 1 && second & 3 == 3)
  }

  @Test func legacyAndSplitDescriptorsAreNotServed() throws {
    let harness = try DriverHarness<E1000EDriver>()
    harness.startReceive()
    harness.write(0x5008, 0)
    #expect(harness.rings[0].receive.state.counters.faults[.descriptorFormat] == 1)
    #expect(!harness.rings[0].receive.state.isRunning)
    #expect(harness.nic.values[0x5008] == 1 << 15, "the NIC keeps to what the module has")
    harness.write(0x5008, 1 << 15)
    #expect(harness.rings[0].receive.state.isRunning)
    harness.write(0x100, 0x0400_8402)
    #expect(!harness.rings[0].receive.state.isRunning)
  }

  @Test func bothQueuePairsAreTheirOwn() throws {
    let harness = try DriverHarness<E1000EDriver>()
    harness.startReceive()
    harness.startReceive(queue: 1, base: 0x4000)
    #expect(harness.rings[0].receive.state.isRunning && harness.rings[1].receive.state.isRunning)
    harness.offer(0..<4)
    harness.offer(0..<2, queue: 1, base: 0x4000)
    harness.complete(frame(1), queue: 1, at: 0)
    #expect(harness.machine.words(PhysicalAddress(0x4000), 0).1 & 1 == 1)
    #expect(harness.machine.words(PhysicalAddress(0x2000), 0).1 & 1 == 0)
    // The second goes; the first stays, and the NIC's reception with it.
    harness.write(0x2908, 0)
    #expect(!harness.rings[1].receive.state.isRunning)
    #expect(harness.nic.values[0x2908] == 0)
    #expect(harness.nic.values[0x100].map { $0 & 2 } == 2)
    harness.complete(frame(2), at: 0)
    #expect(harness.inspector.seen == [frame(1), frame(2)])
  }

  @Test func messagesFollowIVARAndMaskThemselves() throws {
    let harness = try DriverHarness<E1000EDriver>()
    harness.startReceive()
    harness.write(0xE4, 0x800A_0908)
    harness.write(0xDC, 0x0050_0000)
    harness.write(0xD0, 0x0150_0004)
    #expect(harness.messages(at: 0) == 0)
    harness.offer(0..<7)
    harness.complete(frame(1), at: 0)
    #expect(harness.messages(at: 1) == 1)
    #expect(harness.registers.load(0xD0) == 0x0140_0004)
    harness.complete(frame(2), at: 1)
    #expect(harness.messages(at: 2) == 0)
    harness.write(0xD0, 0x0010_0000)
    #expect(harness.messages(at: 3) == 1)
    // A link change of the NIC's.
    harness.nic.values[0xC0] = 4
    #expect(harness.takeNICInterrupt())
    #expect(harness.messages(at: 4) == 4)
    #expect(harness.read(0xC0) & 0x8100_0004 == 0x8100_0004)
    #expect(harness.read(0xC0) == 0)
  }

  @Test func messagesKeepToTheirRate() throws {
    let harness = try DriverHarness<E1000EDriver>()
    harness.startReceive()
    harness.write(0xE4, 8)
    harness.write(0xDC, 0x0010_0000)
    harness.write(0xE8, 100)
    harness.write(0xD0, 0x0010_0000)
    _ = harness.messages(at: 0)
    harness.offer(0..<7)
    harness.complete(frame(1), at: 0)
    #expect(harness.messages(at: 10) == 1)
    harness.write(0xD0, 0x0010_0000)
    harness.complete(frame(2), at: 1)
    #expect(harness.messages(at: 20) == 0)
    #expect(harness.rings.nextOSInterrupt == 10 + 25600)
    #expect(harness.messages(at: 10 + 25600) == 1)
    #expect(harness.rings.nextOSInterrupt == nil)
  }

  @Test func thePinSaysThatItIsAsserted() throws {
    let harness = try DriverHarness<E1000EDriver>()
    harness.startReceive()
    harness.write(0xD0, 0x80)
    harness.offer(0..<4)
    harness.complete(frame(1), at: 0)
    #expect(harness.interrupts(at: 0))
    #expect(harness.read(0xC0) == 0x8010_0080)
    #expect(harness.read(0xC0) == 0)
  }

  @Test func whatIsTheNICsPassesOn() throws {
    let harness = try DriverHarness<E1000EDriver>()
    harness.write(0x410, 0x0060_2008)
    #expect(harness.nic.contains(0x410, 0x0060_2008))
    // The NIC's own interrupts are not masked by the OS's auto-mask.
    harness.write(0x18, 0x8900_0000)
    #expect(harness.nic.values[0x18] == 0x8000_0000)
    #expect(harness.registers.load(0x18) == 0x8900_0000)
    #expect(!harness.nic.writes.contains { [0xC4, 0xD0, 0xDC, 0xE0, 0xE4, 0xE8].contains($0.0) })
  }

  @Test func aResetStopsEverything() throws {
    let harness = try DriverHarness<E1000EDriver>()
    harness.startReceive()
    harness.startReceive(queue: 1, base: 0x4000)
    harness.startTransmit()
    harness.write(0, 0x0400_0241)
    for queue in 0..<2 {
      #expect(!harness.rings[queue].receive.state.isRunning && !harness.rings[queue].transmit.state.isRunning)
    }
    #expect(harness.nic.values[0x100] == 0 && harness.nic.values[0x400] == 0)
    #expect(harness.registers.load(0x3840) == 0x403)
    #expect(harness.registers.load(0x5008) == 0)
    harness.startReceive()
    #expect(harness.rings[0].receive.state.isRunning)
  }

  /// Any access an OS core can make: no trap, and the NIC's queues stay in DPI memory.
  @Test(arguments: 1...20)
  func anyRegisterAccessIsSurvived(seed: Int) throws {
    let harness = try DriverHarness<E1000EDriver>()
    harness.expectSurvival(
      seed: seed,
      offsets: [
        0, 4, 0x18, 0xC0, 0xC4, 0xC8, 0xD0, 0xD8, 0xDC, 0xE0, 0xE4, 0xE8, 0xF8, 0x100, 0x110, 0x400, 0x410, 0x438,
        0x2800, 0x2808, 0x2810, 0x2818, 0x2900, 0x2908, 0x2918, 0x3800, 0x3808, 0x3818, 0x3840, 0x3900, 0x3908,
        0x3918, 0x3940, 0x5008, 0x2FFF, 0xFFFF_FFFC,
      ], rings: [(0x2800, 0x100, 2), (0x2900, 0x100, 2), (0x3800, 0x400, 2), (0x3900, 0x400, 2)])
  }
}

@Suite struct IntelFormatTests {
  private static func words(_ bytes: [UInt8]) -> (UInt64, UInt64) {
    func word(_ first: Int) -> UInt64 { (0..<8).reduce(0) { $0 | UInt64(bytes[first + $1]) << UInt64(8 * $1) } }
    return (word(0), word(8))
  }

  private static let receive = E1000EVectors.receive + IGBVectors.receive

  @Test(arguments: receive.indices)
  func receiveDescriptorsReadAsTheDatasheetsHaveThem(_ index: Int) {
    let vector = Self.receive[index]
    let (first, second) = Self.words(vector.bytes)
    let descriptor = E1000EReceiveDescriptor(first: first, second: second)
    #expect(descriptor.isCompleted == vector.isCompleted, "\(vector.name)")
    guard vector.isCompleted else {
      #expect(descriptor.offeredBuffer.rawValue == 0x00BA_9876_5432_1000)
      return
    }
    #expect(descriptor.completion == vector.completion, "\(vector.name)")
    #expect(descriptor.endingLength == (vector.completion.endsFrame ? vector.completion.length : nil), "\(vector.name)")
    let again = E1000EReceiveDescriptor(vector.completion, buffer: BusAddress(0x1234))
    #expect(again.isCompleted && again.completion == vector.completion, "\(vector.name)")
    #expect(again.first == 0, "no address is left")
  }

  @Test(arguments: IGBVectors.transmit.indices)
  func transmitDescriptorsReadAsTheDatasheetHasThem(_ index: Int) {
    let vector = IGBVectors.transmit[index]
    let (address, fields) = Self.words(vector.bytes)
    var descriptor = IGBTransmitDescriptor(address: address, fields: fields)
    #expect(descriptor.isCompleted == vector.isCompleted, "\(vector.name)")
    #expect(descriptor.kind == vector.request.kind, "\(vector.name)")
    if vector.request.kind != .context { #expect(descriptor.request == vector.request, "\(vector.name)") }
    descriptor.isCompleted = true
    #expect(descriptor.fields == fields | 1 << 32)
  }

  @Test func whatContextsLeaveBehindIsFound() {
    var context = IGBTransmitDescriptor.OffloadContext()
    // MACLEN 14, IPLEN 20, VLAN 0x2064, L4LEN 20, MSS 1,460; the second context.
    IGBTransmitDescriptor(
      address: 0x2064 << 16 | 14 << 9 | 20, fields: 2 << 20 | 1 << 29 | 1 << 36 | 20 << 40 | 1460 << 48
    ).remember(in: &context)
    let data: UInt64 = 3 << 20 | 1 << 29 | 1 << 30 | 1 << 31 | 3 << 40
    #expect(
      IGBTransmitDescriptor(address: 0, fields: data | 1 << 36).offloads(in: context)
        == FrameOffloads(vlan: 0x2064, ipChecksum: true, transportChecksum: true, segmentSize: 1460, headerLength: 54))
    #expect(IGBTransmitDescriptor(address: 0, fields: data).offloads(in: context).segmentSize == 0)
    #expect(IGBTransmitDescriptor(address: 0, fields: 3 << 20 | 1 << 29).offloads(in: context) == .none)
  }

  /// Whatever the bits: the quick answers agree with the exact ones.
  @Test func quickAnswersAgreeWithExactOnes() {
    var random = SeededGenerator(seed: 43)
    for _ in 0..<20_000 {
      // Few of the bits that matter are set at once otherwise.
      var fields = UInt64.random(in: 0...(.max), using: &random) & UInt64.random(in: 0...(.max), using: &random)
      if Bool.random(using: &random) { fields = fields & ~(0x3F << 40 | 0xFF << 24 | 0xF << 20) | 0x2B << 24 | 3 << 20 }
      let transmit = IGBTransmitDescriptor(address: 0, fields: fields)
      let isData = fields >> 20 & 15 == 3 && fields & 1 << 29 != 0
      let isPlain =
        isData && transmit.endsFrame && transmit.length > 0 && !transmit.isCompleted && !transmit.request.usesOffloads
      #expect(transmit.plainFrameLength == (isPlain ? transmit.length : nil), "fields \(fields)")
      let receive = E1000EReceiveDescriptor(first: 0, second: fields)
      let isWhole = receive.isCompleted && receive.endsFrame
      #expect(receive.endingLength == (isWhole ? receive.completedLength : nil), "fields \(fields)")
    }
  }
}
