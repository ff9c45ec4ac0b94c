import AllyDeviceModels
import AllyHW
import Testing

@Suite("82574L model: receive")
struct E1000EReceiveTests {
  /// A bench whose descriptors are extended ones (RFCTL.EXSTEN).
  private func extended(descriptors: Int = 16, isPaced: Bool = false) -> E1000EBench {
    let bench = E1000EBench(isPaced: isPaced)
    bench.write(0x5008, 1 << 15)
    bench.startReceiving(descriptors: descriptors)
    return bench
  }

  private func words(_ bench: E1000EBench, _ index: UInt64, ring: UInt64 = E1000EBench.receiveRing) -> (UInt64, UInt64)
  {
    (bench.load(ring + 16 * index), bench.load(ring + 16 * index + 8))
  }

  @Test("without EXSTEN descriptors are legacy ones")
  func legacy() {
    let bench = E1000EBench()
    bench.startReceiving(descriptors: 8)
    bench.receive(frame(100))
    #expect(bench.completed(0) == CompletedFrame(data: frame(100), status: 0x07, errors: 0, special: 0))
    #expect(bench.read(0x00C0) & 0x0010_0080 == 0x0010_0080)
  }

  @Test(
    "an extended descriptor: status in the second word's low half, length and VLAN tag above, the buffer overwritten")
  func extendedStatus() {
    let bench = extended()
    bench.write(0x0000, bench.read(0x0000) | 1 << 30)
    bench.write(0x5000, 1 << 13)
    var data = frame(100)
    bench.receive(data)
    data.insert(contentsOf: [0x81, 0x00, 0x20, 0x64], at: 12)
    bench.receive(data)
    #expect(words(bench, 0) == (0, 100 << 32 | 0x07))
    #expect(words(bench, 1) == (0, 0x2064 << 48 | 100 << 32 | 0x0F))
    #expect(bench.bytes(E1000EBench.buffers + 2048, 100) == frame(100))
    #expect(bench.read(0x2810) == 2)
  }

  @Test("checksum bits, told apart for UDP, and errors in the status word's upper byte; IPv6 too")
  func checksums() {
    let bench = extended()
    bench.write(0x5000, 1 << 13 | 3 << 8)
    var good = tcpFrame(payload: 40, total: true)
    let sum = ~internetSum(good[14..<34])
    good[24] = UInt8(sum >> 8)
    good[25] = UInt8(sum & 0xFF)
    good[50] = 0
    good[51] = 0
    let transport = ~tcpSum(good)
    good[50] = UInt8(transport >> 8)
    good[51] = UInt8(transport & 0xFF)
    bench.receive(good)
    var badHeader = good
    badHeader[22] ^= 1
    bench.receive(badHeader)
    var badPayload = good
    badPayload[60] ^= 1
    bench.receive(badPayload)
    // UDP over IPv6 with a right checksum.
    let addresses = [UInt8](repeating: 0x20, count: 32)
    var datagram: [UInt8] = [0, 53, 0, 53, 0, 9, 0, 0, 77]
    let udp = ~internetSum(addresses + [0, 17, 0, 9] + datagram)
    datagram[6] = UInt8(udp >> 8)
    datagram[7] = UInt8(udp & 0xFF)
    let header: [UInt8] = [0x60, 0, 0, 0, 0, 9, 17, 64] + addresses
    bench.receive(E1000EBench.macAddress + [2, 0, 0, 0, 0, 1, 0x86, 0xDD] + header + datagram)
    let status = (0..<4).map { UInt32(truncatingIfNeeded: words(bench, $0).1) }
    #expect(status == [0x63, 0x4000_0063, 0x2000_0063, 0x33])
  }

  @Test("without PCSD the first word has the IP identification and the packet checksum from PCSS on")
  func packetChecksum() {
    let bench = extended()
    bench.write(0x5000, 14)
    let data = ScalingVector.all[0].frame(isTCP: true)
    bench.receive(data)
    let (first, second) = words(bench, 0)
    #expect(UInt16(truncatingIfNeeded: first >> 32) == 0xABCD)
    #expect(UInt16(truncatingIfNeeded: first >> 48) == ~internetSum(data[14...]))
    #expect(second >> 9 & 1 == 1)
  }

  @Test(
    "receive-side scaling: Microsoft's hashes, their types, and the queue from the redirection table",
    arguments: ScalingVector.all)
  func scaling(vector: ScalingVector) {
    let bench = extended()
    // Both queues have a ring, and the hash's lowest bit selects.
    let other: UInt64 = 0x4_0000
    for index in UInt64(0)..<16 { bench.store(0x20_0000 + 2048 * index, at: other + 16 * index) }
    bench.write(0x2900, UInt32(other))
    bench.write(0x2908, 16 * 16)
    bench.write(0x2918, 15)
    bench.write(0x5000, 1 << 13)
    bench.programScaling(fields: 0x001F_0001) { $0 & 1 << 7 | ($0 & 1) << 7 }
    for (isTCP, hash, type) in [
      (true, vector.connectionHash, vector.isIPv4 ? UInt64(1) : 3), (false, vector.addressHash, vector.isIPv4 ? 2 : 5),
    ] {
      let queue = hash & 1
      let ring = queue == 0 ? E1000EBench.receiveRing : other
      let index = UInt64(bench.read(0x2810 + queue * 0x100))
      _ = bench.read(0x00C0)
      bench.receive(vector.frame(isTCP: isTCP))
      #expect(words(bench, index, ring: ring).0 == UInt64(hash) << 32 | UInt64(queue) << 8 | type)
      #expect(bench.read(0x00C0) & 0x0030_0000 == (queue == 0 ? 0x0010_0000 : 0x0020_0000))
    }
    // What is not IP has no hash, and goes to the first queue.
    let index = UInt64(bench.read(0x2810))
    bench.receive(frame(60))
    #expect(words(bench, index).0 == 0)
  }

  @Test("a frame over several buffers; a full ring loses, a paced wire waits")
  func severalDescriptors() {
    let bench = extended(descriptors: 8)
    bench.write(0x0100, bench.read(0x0100) | 3 << 16)
    let data = frame(700)
    bench.receive(data)
    #expect((0..<3).map { words(bench, $0).1 >> 32 & 0xFFFF } == [256, 256, 188])
    #expect((0..<3).map { words(bench, $0).1 & 3 } == [1, 1, 3])
    bench.receive(frame(1500))
    #expect(bench.read(0x40A0) == 1)
    #expect(bench.read(0x00C0) & 0x40 == 0x40)
    let paced = extended(descriptors: 8, isPaced: true)
    for _ in 0..<10 { paced.offer(frame(100)) }
    #expect(paced.run() == 7)
    paced.write(0x2818, 6)
    #expect(paced.run() == 3)
  }

  @Test("a flexible buffer size in KiB")
  func flexibleBuffers() {
    let bench = extended()
    bench.write(0x0100, bench.read(0x0100) | 1 << 27)
    bench.receive(frame(1200))
    #expect(words(bench, 0).1 >> 32 & 0xFFFF == 1024)
  }
}

@Suite("82574L model: transmit")
struct E1000ETransmitTests {
  @Test("legacy frames go out of both queues, each with its cause")
  func bothQueues() {
    let bench = E1000EBench()
    bench.startSending(descriptors: 8)
    bench.send(frame(60))
    #expect(bench.read(0x00C0) & 0x00C0_0001 == 0x0040_0001)
    let second: UInt64 = 0x9_0000
    bench.store(frame(70), at: 0x20_0000)
    bench.store(0x20_0000, at: second)
    bench.store(70 | E1000EBench.endOfPacket | E1000EBench.frameCheck | E1000EBench.reportStatus, at: second + 8)
    bench.write(0x3900, UInt32(second))
    bench.write(0x3908, 128)
    bench.write(0x3918, 1)
    bench.run()
    #expect(bench.read(0x3910) == 1)
    #expect(bench.read(0x00C0) & 0x00C0_0001 == 0x0080_0001)
    #expect(bench.sentFrames() == [frame(60), frame(70)])
  }

  @Test("a queue that TARC takes out of arbitration waits")
  func arbitration() {
    let bench = E1000EBench()
    bench.startSending(descriptors: 8)
    bench.write(0x3840, 3)
    bench.send(frame(60))
    #expect(bench.sentFrames() == [])
    bench.write(0x3840, 0x403)
    bench.run()
    #expect(bench.sentFrames() == [frame(60)])
  }

  @Test("a large TCP send of 60,000 bytes is cut into segments with right headers")
  func segmentation() {
    let bench = E1000EBench()
    bench.startSending(descriptors: 16)
    let data = tcpFrame(payload: 60000, total: false)
    bench.store(data, at: E1000EBench.buffers)
    let offsets: UInt64 = 14 | 24 << 8 | 33 << 16 | 34 << 32 | 50 << 40
    bench.describe(offsets, 60000 | E1000EBench.extended | 7 << 24 | 54 << 40 | 1448 << 48)
    bench.describe(
      E1000EBench.buffers,
      UInt64(data.count) | 1 << 20 | E1000EBench.extended | E1000EBench.endOfPacket | E1000EBench.frameCheck
        | E1000EBench.reportStatus | 1 << 26 | 3 << 40)
    bench.ringDoorbell()
    let sent = bench.sentFrames()
    #expect(sent.count == 42)
    #expect(sent.flatMap { $0[54...] } == Array(data[54...]))
    #expect(sent.allSatisfy { ipSum($0) == 0xFFFF && tcpSum($0) == 0xFFFF })
  }
}

@Suite("82574L model: software that means harm")
struct E1000EHostileTests {
  @Test(
    "whatever software writes, a run ends and DPI memory stays as it is", arguments: [UInt64(1), 2, 77, 4096, 0xBAD])
  func randomRegisters(seed: UInt64) {
    let offsets: [UInt32] = [
      0x00DC, 0x00E0, 0x00E4, 0x00E8, 0x0018, 0x2900, 0x2908, 0x2910, 0x2918, 0x3900, 0x3908, 0x3910, 0x3918, 0x3840,
      0x5008, 0x5818, 0x5C00, 0x5C80, 0x00C4,
    ]
    expectHarmless(E1000EBench(wireCapacity: 1 << 20), offsets: offsets, seed: seed) { $0.write(0x3840, 0x403) }
  }

  @Test("a receive buffer that is refused completes with an error in the extended format as well")
  func refusedBuffer() {
    let bench = E1000EBench()
    bench.write(0x5008, 1 << 15)
    bench.startReceiving(descriptors: 8)
    bench.store(E1000EBench.dpiBase, at: E1000EBench.receiveRing)
    bench.receive(frame(60))
    #expect(bench.load(E1000EBench.receiveRing + 8) == 0x8000_0007)
    bench.receive(frame(70))
    #expect(bench.load(E1000EBench.receiveRing + 24) >> 32 & 0xFFFF == 70)
    #expect(bench.stamps == [1, 2])
  }
}
