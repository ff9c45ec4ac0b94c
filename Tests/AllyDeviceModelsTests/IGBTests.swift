import AllyDeviceModels
import AllyHW
import Testing

typealias IGBBench = NICBench<IGBModel>

extension IGBModel: BenchModel {}

extension NICBench where Model == IGBModel {
  /// Sets up the receive queues 0 to `count` - 1 with advanced descriptors and buffers of 2 KiB, `descriptors` each.
  func startQueues(_ count: UInt32, descriptors: UInt64 = 16, control: UInt32 = 0x0400_801A) {
    for queue in 0..<count { startQueue(queue, descriptors: descriptors) }
    write(0x0100, control)
  }

  func startQueue(_ queue: UInt32, descriptors: UInt64 = 16) {
    let ring = Self.ring(queue)
    for index in 0..<descriptors {
      store(Self.buffer(queue, index), at: ring + 16 * index)
      store(0, at: ring + 16 * index + 8)
    }
    let first = 0xC000 + queue * 0x40
    write(first, UInt32(ring))
    write(first + 4, 0)
    write(first + 8, UInt32(descriptors * 16))
    write(first + 0x0C, 1 << 25 | 2)
    write(first + 0x10, 0)
    write(first + 0x28, 1 << 25)
    write(first + 0x18, UInt32(descriptors - 1))
  }

  static func ring(_ queue: UInt32) -> UInt64 { 0x4_0000 + UInt64(queue) * 0x1000 }
  static func buffer(_ queue: UInt32, _ index: UInt64) -> UInt64 { 0x10_0000 + UInt64(queue) * 0x8000 + index * 2048 }

  func words(_ queue: UInt32, _ index: UInt64) -> (UInt64, UInt64) {
    (load(Self.ring(queue) + 16 * index), load(Self.ring(queue) + 16 * index + 8))
  }

  /// How many frames each of the queues has completed.
  func completed(_ count: UInt32) -> [UInt32] { (0..<count).map { read(0xC010 + $0 * 0x40) } }

  static var dataCommand: UInt64 { 3 << 20 | 1 << 29 | 1 << 25 | 1 << 24 | 1 << 27 }
}

@Suite("82576 model: registers")
struct IGBRegisterTests {
  @Test("after reset: link up, NVM and configuration loaded, no causes, the address from the NVM")
  func resetValues() {
    let bench = IGBBench()
    #expect(bench.read(0x0008) == 0x8028_0783)
    #expect(bench.read(0x0010) & 0x300 == 0x300)
    #expect(bench.read(0x1010) >> 18 & 1 == 1)
    for offset: UInt32 in [0x0100, 0x0400, 0x00C0, 0x00D0, 0x1500, 0x1524, 0x1580, 0x5818] {
      #expect(bench.read(offset) == 0)
    }
    #expect(bench.read(0x5400) == 0x1200_5452)
    #expect(bench.read(0x5404) == 0x8000_5634)
    // Only the first queue of each direction is enabled.
    #expect(bench.read(0xC028) == 1 << 25 && bench.read(0xE028) == 1 << 25)
    #expect(bench.read(0xC068) == 0 && bench.read(0xE068) == 0)
  }

  @Test("the function that enumeration finds")
  func function() {
    let function = IGBBench().nic.function
    #expect(function.vendorID == 0x8086 && function.deviceID == 0x10C9)
    #expect(function.msix == MSIXLayout(vectors: 10, register: 3, tableOffset: 0, pendingOffset: 0x2000))
    #expect(function.baseAddressRegisters.map(\.length) == [0x2_0000, 0x2_0000, 32, 0x4000])
  }

  @Test("the first four queues and the interrupt registers are at their old places as well")
  func aliases() {
    let bench = IGBBench()
    bench.write(0x2B00, 0x1000)
    bench.write(0x3A18, 7)
    #expect(bench.read(0xC0C0) == 0x1000)
    #expect(bench.read(0xE098) == 7)
    bench.write(0xC040, 0x2000)
    #expect(bench.read(0x2900) == 0x2000)
    bench.write(0x00D0, 4)
    #expect(bench.read(0x1508) == 4)
    bench.write(0x150C, 4)
    #expect(bench.read(0x00D0) == 0)
  }

  @Test("EERD, the PHY's identifiers, the semaphores")
  func management() {
    let bench = IGBBench()
    func word(_ address: UInt32) -> UInt16 {
      bench.write(0x14, address << 2 | 1)
      return UInt16(bench.read(0x14) >> 16)
    }
    #expect((0..<UInt32(64)).map(word).reduce(0, &+) == 0xBABA)
    #expect((0..<UInt32(3)).map(word) == [0x5452, 0x1200, 0x5634])
    func phy(_ register: UInt32) -> UInt32 {
      bench.write(0x20, 2 << 26 | 1 << 21 | register << 16)
      return bench.read(0x20) & 0xFFFF
    }
    #expect(phy(2) == 0x02A8 && phy(3) == 0x0391)
    #expect(bench.read(0x5B50) & 1 == 0)
    #expect(bench.read(0x5B50) & 1 == 1)
    bench.write(0x5B5C, 0x0002_0002)
    #expect(bench.read(0x5B5C) == 0x0002_0002)
  }

  /// Every register that the stock Linux driver touches from probe to removal, as seen on a machine.
  private static let touchedByStockDriver: [ClosedRange<UInt32>] = [
    0x0000...0x0000, 0x0008...0x0008, 0x0010...0x0020, 0x0028...0x0038, 0x00C0...0x00E0, 0x0100...0x0100,
    0x0170...0x0170, 0x0400...0x0400, 0x0E00...0x0E00, 0x1010...0x1010, 0x1514...0x1530, 0x1684...0x1688,
    0x1700...0x1700, 0x1740...0x1740, 0x2160...0x2168, 0x2404...0x2404, 0x2800...0x2828, 0x3500...0x3500,
    0x3590...0x3590, 0x3800...0x3828, 0x4000...0x4138, 0x5000...0x5820, 0x59EC...0x59EC, 0x5AD0...0x5AF0,
    0x5B00...0x5B5C, 0x5C00...0x5CBC, 0x5F50...0x5F50, 0xA000...0xA1FC, 0xB600...0xB66C, 0xC030...0xC030,
  ]

  @Test("whatever is written to the registers that the stock driver touches, they answer, and a reset brings all back")
  func stockRegisters() {
    let bench = IGBBench()
    let offsets = Self.touchedByStockDriver.flatMap { stride(from: $0.lowerBound, through: $0.upperBound, by: 4) }
    for value: UInt32 in [.max, 0, 0xA5A5_A5A5] {
      for offset in offsets {
        bench.write(offset, value & ~(1 << 26))
        _ = bench.read(offset)
      }
    }
    bench.nic.reset()
    let fresh = IGBBench()
    // A read may clear, so both are read in the same order.
    for offset in offsets { #expect(bench.read(offset) == fresh.read(offset), "offset \(offset)") }
  }
}

@Suite("82576 model: interrupts")
struct IGBInterruptTests {
  /// As the stock driver has it: other causes on vector 0, receive queue 0 on 1, transmit queue 0 on 2.
  private func withMessages() -> IGBBench {
    let bench = IGBBench()
    bench.write(0x1514, 0xC000_0011)
    bench.write(0x1740, 0x8000)
    bench.write(0x1700, 0x8281)
    bench.write(0x152C, 7)
    bench.write(0x1530, 7)
    bench.write(0x1524, 7)
    bench.write(0x00D0, 4)
    return bench
  }

  private func messages(_ bench: IGBBench) -> UInt32 { bench.nic.takeInterrupts(by: .messageTable).messages }

  @Test("with one vector: RXDW and TXDW in ICR, the pin, and IAM masks at the read")
  func pin() {
    let bench = IGBBench()
    bench.startQueues(1)
    bench.write(0x00E0, 0x80)
    bench.write(0x00D0, 0x84)
    bench.receive(frame(60))
    #expect(bench.nic.takeInterrupts(by: .pin) == NICInterrupts(isPinAsserted: true, messages: 1))
    #expect(bench.read(0x00C0) == 0x8000_0080)
    #expect(bench.read(0x00D0) == 0x04)
    #expect(!bench.assertsInterrupt)
  }

  @Test("a queue's message is sent once, clears its cause and masks itself; EIMS lets the next one out")
  func queueMessages() {
    let bench = withMessages()
    bench.startQueues(1)
    bench.receive(frame(60))
    #expect(messages(bench) == 1 << 1)
    #expect(bench.read(0x1524) == 5)
    bench.receive(frame(60))
    #expect(messages(bench) == 0)
    bench.write(0x1524, 2)
    #expect(messages(bench) == 1 << 1)
    #expect(!bench.assertsInterrupt)
    // Sent frames.
    bench.startSending(descriptors: 8)
    bench.send(frame(60))
    #expect(messages(bench) == 1 << 2)
  }

  @Test("other causes lead to their own message; with NSICR every read of ICR clears")
  func otherCauses() {
    let bench = withMessages()
    bench.nic.isLinkUp = false
    #expect(messages(bench) == 1)
    #expect(bench.read(0x00C0) == 0x8000_0004)
    #expect(bench.read(0x00C0) == 0)
    bench.write(0x1520, 4)
    #expect(messages(bench) == 4)
  }

  @Test("queue 9 shares a register with queue 1, and has its own vectors")
  func upperQueues() {
    let bench = withMessages()
    bench.write(0x1704, 0x0084_0083)
    bench.write(0x1524, 0x18)
    bench.write(0x1520, 0)
    bench.startQueue(1)
    bench.startQueue(9)
    bench.programScaling(fields: 0x0001_0002) { $0 & 1 == 0 ? 1 : 9 }
    bench.write(0x0100, 0x0400_801A)
    bench.receive(ScalingVector.all[0].frame(isTCP: true))
    #expect(messages(bench) == 1 << 3)
    // The second vector's hash is even as well; a swapped table sends it to the other queue.
    bench.programScaling(fields: 0x0001_0002) { $0 & 1 == 0 ? 9 : 1 }
    bench.receive(ScalingVector.all[1].frame(isTCP: true))
    #expect(messages(bench) == 1 << 4)
  }

  @Test("EITR holds a message back, in microseconds from bit 2 on, when there is a clock")
  func throttling() {
    let bench = withMessages()
    bench.startQueues(1)
    bench.write(0x1684, 100 << 2)
    bench.nic.advance(to: 5)
    bench.receive(frame(60))
    #expect(messages(bench) == 2)
    bench.write(0x1524, 2)
    bench.receive(frame(60))
    #expect(messages(bench) == 0)
    #expect(bench.nic.nextTimer == 100_005)
    bench.nic.advance(to: 100_005)
    #expect(messages(bench) == 2)
  }
}

@Suite("82576 model: receive")
struct IGBReceiveTests {
  @Test("an advanced descriptor: packet type, status, length, and the tag beside it")
  func advanced() {
    let bench = IGBBench()
    bench.startQueues(1)
    bench.write(0x5000, 1 << 13)
    bench.write(0x0000, bench.read(0x0000) | 1 << 30)
    var data = frame(100)
    bench.receive(data)
    data.insert(contentsOf: [0x81, 0x00, 0x20, 0x64], at: 12)
    bench.receive(data)
    bench.receive(ScalingVector.all[0].frame(isTCP: true))
    #expect(bench.words(0, 0) == (0, 100 << 32 | 0x07))
    #expect(bench.words(0, 1) == (0, 0x2064 << 48 | 100 << 32 | 0x0F))
    #expect(bench.words(0, 2).0 == 0x11 << 4)
  }

  @Test("legacy descriptors when SRRCTL says so; buffer sizes from SRRCTL, or from RCTL")
  func legacyAndSizes() {
    let bench = IGBBench()
    bench.startQueues(1)
    bench.write(0xC00C, 1)
    bench.receive(frame(1500))
    #expect((0..<2).map { bench.words(0, $0).1 & 0xFFFF } == [1024, 476])
    #expect(bench.words(0, 0).0 == IGBBench.buffer(0, 0))
    bench.write(0xC00C, 1 << 25)
    bench.write(0x0100, bench.read(0x0100) | 2 << 16)
    bench.receive(frame(600))
    #expect((2..<4).map { bench.words(0, $0).1 >> 32 & 0xFFFF } == [512, 88])
  }

  @Test("scaling over 16 queues", arguments: ScalingVector.all)
  func scaling(vector: ScalingVector) {
    let bench = IGBBench()
    bench.startQueues(16)
    bench.write(0x5000, 1 << 13)
    bench.programScaling(fields: 0x00F7_0002) { $0 & 15 }
    bench.receive(vector.frame(isTCP: true))
    let queue = vector.connectionHash & 15
    #expect(bench.completed(16) == (0..<16).map { $0 == queue ? 1 : 0 })
    #expect(bench.words(queue, 0).0 >> 32 == UInt64(vector.connectionHash))
    #expect(bench.words(queue, 0).0 & 15 == (vector.isIPv4 ? 1 : 3))
  }

  @Test("a queue that is not enabled gets nothing; one without descriptors counts its losses")
  func losses() {
    let bench = IGBBench()
    bench.startQueues(1, descriptors: 8)
    bench.write(0xC028, 0)
    bench.receive(frame(60))
    #expect(bench.completed(1) == [0])
    bench.write(0xC028, 1 << 25)
    for _ in 0..<9 { bench.receive(frame(60)) }
    #expect(bench.completed(1) == [7])
    #expect(bench.read(0xC030) == 2)
    #expect(bench.read(0xC030) == 0)
    #expect(bench.read(0x4010) == 2)
  }

  @Test("RLPML limits long packets")
  func longPackets() {
    let bench = IGBBench()
    bench.startQueues(1, control: 0x0400_803A)
    bench.write(0x5004, 4000)
    bench.receive(frame(3996))
    bench.receive(frame(3997))
    #expect(bench.completed(1) == [2])
    #expect(bench.read(0x40AC) == 1)
  }
}

@Suite("82576 model: transmit")
struct IGBTransmitTests {
  @Test("legacy and advanced descriptors, of any queue that is enabled")
  func descriptors() {
    let bench = IGBBench()
    bench.startSending(descriptors: 8)
    bench.send(frame(60))
    bench.store(frame(70), at: IGBBench.buffers)
    let index = bench.describe(IGBBench.buffers, 70 | IGBBench.dataCommand | 70 << 46)
    bench.ringDoorbell()
    #expect(bench.isDone(index))
    let ring: UInt64 = 0x9_0000
    bench.store(IGBBench.buffers, at: ring)
    bench.store(50 | IGBBench.dataCommand | 50 << 46, at: ring + 8)
    bench.write(0xE2C0, UInt32(ring))
    bench.write(0xE2C8, 128)
    bench.write(0xE2D8, 1)
    bench.run()
    #expect(bench.sentFrames() == [frame(60), frame(70)])
    bench.write(0xE2E8, 1 << 25)
    bench.run()
    #expect(bench.sentFrames().map(\.count) == [50])
  }

  @Test("checksums and a VLAN tag from the context that IDX selects")
  func contexts() {
    let bench = IGBBench()
    bench.startSending(descriptors: 16)
    let data = tcpFrame(payload: 333, total: true)
    bench.store(data, at: IGBBench.buffers)
    // MACLEN 14, IPLEN 20, VLAN 0x2064; IPv4, TCP; the second context.
    bench.describe(0x2064 << 16 | 14 << 9 | 20, 2 << 20 | 1 << 29 | 1 << 10 | 1 << 11 | 1 << 36)
    bench.describe(14 << 9 | 20, 2 << 20 | 1 << 29 | 1 << 10 | 1 << 11)
    for index: UInt64 in [1, 0] {
      let options: UInt64 = 3 << 40 | (index == 1 ? 1 << 30 : 0)
      bench.describe(
        IGBBench.buffers, UInt64(data.count) | IGBBench.dataCommand | options | index << 36 | UInt64(data.count) << 46)
    }
    bench.ringDoorbell()
    let sent = bench.sentFrames()
    #expect(sent.count == 2)
    #expect(Array(sent[0][12..<16]) == [0x81, 0x00, 0x20, 0x64])
    #expect(sent[1] == Array(sent[0][..<12] + sent[0][16...]))
    #expect(ipSum(sent[1]) == 0xFFFF && tcpSum(sent[1]) == 0xFFFF)
  }

  @Test("a large TCP send is cut into segments with right headers", arguments: [1, 1000, 60000])
  func segmentation(payload: Int) {
    let bench = IGBBench()
    bench.startSending(descriptors: 16)
    let data = tcpFrame(payload: payload, total: false)
    bench.store(data, at: IGBBench.buffers)
    bench.describe(14 << 9 | 20, 2 << 20 | 1 << 29 | 1 << 10 | 1 << 11 | 20 << 40 | 1000 << 48)
    bench.describe(
      IGBBench.buffers, UInt64(data.count) | IGBBench.dataCommand | 1 << 31 | 3 << 40 | UInt64(payload) << 46)
    bench.ringDoorbell()
    let sent = bench.sentFrames()
    #expect(sent.count == (payload + 999) / 1000)
    #expect(sent.flatMap { $0[54...] } == Array(data[54...]))
    #expect(sent.allSatisfy { ipSum($0) == 0xFFFF && tcpSum($0) == 0xFFFF })
    #expect(bench.read(0x40F8) == 1)
  }

  @Test("the CRC-32C of an SCTP packet")
  func sctp() {
    let bench = IGBBench()
    bench.startSending(descriptors: 8)
    // "123456789" behind twelve bytes of header that are zero, so that the check value can be told: none is known for this,
    // so the CRC is computed bit by bit here.
    var data = IGBBench.macAddress + [2, 0, 0, 0, 0, 1, 8, 0] + [0x45, 0, 0, 41, 0, 0, 0, 0, 64, 132, 0, 0]
    data +=
      [10, 0, 0, 1, 10, 0, 0, 2] + [0x12, 0x34, 0, 80, 0, 0, 0, 1, 0xEE, 0xEE, 0xEE, 0xEE] + Array("123456789".utf8)
    bench.store(data, at: IGBBench.buffers)
    bench.describe(14 << 9 | 20, 2 << 20 | 1 << 29 | 1 << 10 | 2 << 11)
    bench.describe(
      IGBBench.buffers, UInt64(data.count) | IGBBench.dataCommand | 2 << 40 | UInt64(data.count) << 46)
    bench.ringDoorbell()
    var expected = data
    expected.replaceSubrange(42..<46, with: [0, 0, 0, 0])
    var crc = UInt32.max
    for byte in expected[34...] {
      for bit in 0..<8 {
        let isSet = (crc ^ UInt32(byte) >> UInt32(bit)) & 1 == 1
        crc = crc >> 1 ^ (isSet ? 0x82F6_3B78 : 0)
      }
    }
    expected.replaceSubrange(42..<46, with: (0..<4).map { UInt8(truncatingIfNeeded: ~crc >> UInt32(8 * $0)) })
    #expect(bench.sentFrames() == [expected])
  }
}

@Suite("82576 model: software that means harm")
struct IGBHostileTests {
  @Test(
    "whatever software writes, a run ends and DPI memory stays as it is", arguments: [UInt64(1), 2, 77, 4096, 0xBAD])
  func randomRegisters(seed: UInt64) {
    let offsets: [UInt32] = [
      0x1514, 0x1520, 0x1524, 0x152C, 0x1530, 0x1700, 0x1740, 0xC00C, 0xC040, 0xC048, 0xC050, 0xC058, 0xC068, 0xE040,
      0xE048, 0xE050, 0xE058, 0xE068, 0x3500, 0x5818, 0x581C, 0x5AD0, 0x5C00, 0x5C80, 0x5D00, 0x0C8C, 0x0C90, 0x0C00,
    ]
    expectHarmless(IGBBench(wireCapacity: 1 << 20), offsets: offsets, seed: seed) {
      $0.write(0xC028, 1 << 25)
      $0.write(0xE028, 1 << 25)
    }
  }

  @Test(
    "whatever a virtual function's software writes, a run ends and DPI memory stays as it is",
    arguments: [UInt64(3), 4])
  func randomVirtualFunction(seed: UInt64) {
    let offsets: [UInt32] = [
      0x0800, 0x0804, 0x0C40, 0x1520, 0x1524, 0x152C, 0x1530, 0x1700, 0x1740, 0x280C, 0x2828, 0x2900, 0x2908, 0x2928,
      0x3828,
    ]
    expectHarmless(NICBench<IGBVirtualFunctionModel>(wireCapacity: 1 << 20), offsets: offsets, seed: seed) {
      $0.write(0x0C40, 4)
      $0.write(0x0800, 1)
      $0.write(0x0C40, 1)
      $0.write(0x280C, 1 << 25 | 2)
      $0.write(0x2828, 1 << 25)
      $0.write(0x3828, 1 << 25)
    }
  }
}
