import AllyDeviceModels
import AllyHW
import Testing

@Suite("82540EM model: receive")
struct E1000ReceiveTests {
  @Test("a frame is in its buffer, done and end-of-packet, the head has moved, and RXT0 is raised")
  func oneFrame() {
    let bench = Bench()
    bench.startReceiving(descriptors: 8)
    let data = frame(100)
    bench.receive(data)
    #expect(bench.completed(0) == Bench.Completed(data: data, status: 0x07, errors: 0, special: 0))
    #expect(bench.read(0x2810) == 1)
    #expect(bench.read(0x00C0) == 0x80)
    #expect(bench.completed(1).status == 0)
    #expect(bench.stamps == [1])
  }

  @Test("the frame check sequence is the right one, unless it is stripped", arguments: [60, 61, 64, 67, 1514])
  func frameCheckSequence(length: Int) {
    let bench = Bench()
    bench.startReceiving(descriptors: 8, control: Bench.enable | Bench.promiscuous)
    let data = frame(length, seed: 9)
    bench.receive(data)
    #expect(bench.completed(0).data == data + bitwiseFrameCheckSequence(data))
  }

  @Test("frames go round the ring, in order, as software posts descriptors again")
  func wraps() {
    let bench = Bench()
    bench.startReceiving(descriptors: 8)
    var next: UInt64 = 0
    for number in 0..<30 {
      let data = frame(60 + number, seed: UInt8(number))
      bench.receive(data)
      #expect(bench.completed(next).data == data)
      bench.store(0, at: Bench.receiveRing + 16 * next + 8)
      bench.write(0x2818, UInt32(next))
      next = (next + 1) % 8
    }
    #expect(bench.read(0x2810) == 30 % 8)
    #expect(bench.stamps == Array(1...30))
  }

  @Test("a frame longer than a buffer fills several; only the last has end-of-packet", arguments: [false, true])
  func severalDescriptors(isStripped: Bool) {
    let bench = Bench()
    // 256-byte buffers.
    bench.startReceiving(
      descriptors: 8, control: Bench.enable | Bench.promiscuous | 3 << 16 | (isStripped ? Bench.strip : 0),
      bufferLength: 256)
    // With its check sequence, 4 bytes longer: the sequence is cut by the third buffer's end.
    let data = frame(3 * 256 - 2)
    bench.receive(data)
    let whole = isStripped ? data : data + bitwiseFrameCheckSequence(data)
    let count = isStripped ? 3 : 4
    #expect((0..<UInt64(count)).flatMap { bench.completed($0).data } == whole)
    for index in 0..<UInt64(count) {
      #expect(bench.completed(index).status & 3 == (index == UInt64(count) - 1 ? 3 : 1))
    }
    #expect(bench.completed(UInt64(count)).status == 0)
    #expect(bench.stamps == [1])
  }

  /// RCTL's bits, and the bytes of a buffer.
  private static let sizesByControl: [(UInt32, Int)] = [
    (0, 2048), (0x1_0000, 1024), (0x2_0000, 512), (0x3_0000, 256), (0x201_0000, 16384), (0x202_0000, 8192),
    (0x203_0000, 4096), (0x200_0000, 2048),
  ]

  @Test("the eight buffer sizes", arguments: sizesByControl)
  func bufferSizes(bits: UInt32, size: Int) {
    let bench = Bench()
    bench.startReceiving(
      descriptors: 128, control: Bench.enable | Bench.promiscuous | Bench.longPackets | Bench.strip | bits,
      bufferLength: 16384)
    bench.receive(frame(min(size + 1, 16380)))
    #expect(bench.completed(0).data.count == min(size, 16380))
  }

  @Test("a frame of 262,144 bytes, when the owner allows such, fills 128 descriptors")
  func superFrame() {
    let bench = Bench(maximumFrameLength: 262_144 + 18)
    bench.startReceiving(
      descriptors: 256, control: Bench.enable | Bench.promiscuous | Bench.longPackets | Bench.strip)
    let data = frame(262_144)
    bench.receive(data)
    #expect((0..<UInt64(128)).flatMap { bench.completed($0).data } == data)
    #expect(bench.completed(127).status & 2 == 2)
    #expect(bench.completed(128).status == 0)
    bench.receive(frame(262_144 + 15))
    #expect(bench.read(0x40AC) == 1)
  }

  @Test("without LPE, frames above 1,522 bytes are not taken; with it, those above 16,384")
  func longFrames() {
    let bench = Bench()
    bench.startReceiving(descriptors: 16)
    bench.receive(frame(1518))
    bench.receive(frame(1519))
    #expect(bench.read(0x2810) == 1)
    #expect(bench.read(0x40AC) == 1)
    bench.write(0x0100, Bench.enable | Bench.promiscuous | Bench.longPackets | Bench.strip)
    bench.receive(frame(16380))
    #expect(bench.read(0x2810) == 9)
    bench.receive(frame(16381))
    #expect(bench.read(0x40AC) == 1)
    #expect(bench.stamps == [1, 3])
  }

  @Test("without descriptors a frame is lost and counted, and has no stamp; later ones arrive")
  func ringFull() {
    let bench = Bench()
    bench.startReceiving(descriptors: 8)
    for _ in 0..<10 { bench.offer(frame(100)) }
    bench.run()
    #expect(bench.read(0x2810) == 7)
    #expect(bench.read(0x40A0) == 3)
    #expect(bench.read(0x4010) == 3)
    #expect(bench.read(0x00C0) & 0x40 == 0x40)
    bench.write(0x2818, 3)
    bench.receive(frame(77))
    #expect(bench.completed(7).data.count == 77)
    #expect(bench.stamps == [1, 2, 3, 4, 5, 6, 7, 11])
  }

  @Test("on a paced wire it waits instead, and nothing is lost")
  func pacedWire() {
    let bench = Bench(isPaced: true)
    bench.startReceiving(descriptors: 8)
    for _ in 0..<10 { bench.offer(frame(100)) }
    #expect(bench.run() == 7)
    #expect(bench.run() == 0)
    #expect(bench.wire.toNIC.count == 3)
    bench.write(0x2818, 6)
    #expect(bench.run() == 3)
    #expect(bench.stamps == Array(1...10))
    #expect(bench.read(0x4010) == 0)
  }

  @Test("a frame that the whole ring cannot hold does not stop a paced wire")
  func pacedAndTooLong() {
    let bench = Bench(isPaced: true)
    bench.startReceiving(
      descriptors: 8, control: Bench.enable | Bench.promiscuous | Bench.longPackets | Bench.strip | 3 << 16,
      bufferLength: 256)
    bench.offer(frame(8 * 256))
    bench.offer(frame(100))
    bench.run()
    #expect(bench.completed(0).data.count == 100)
    #expect(bench.read(0x4010) == 1)
  }

  @Test("RXDMT0 is raised when the free descriptors come down to the threshold")
  func minimumThreshold() {
    let bench = Bench()
    // A quarter of 16: at four free descriptors.
    bench.startReceiving(
      descriptors: 16, control: Bench.enable | Bench.promiscuous | Bench.strip | 1 << 8)
    for _ in 0..<10 { bench.receive(frame(60)) }
    #expect(bench.read(0x00C0) & 0x10 == 0)
    bench.receive(frame(60))
    #expect(bench.read(0x00C0) & 0x10 == 0x10)
    bench.receive(frame(60))
    #expect(bench.read(0x00C0) & 0x10 == 0)
  }

  @Test("a disabled receiver takes nothing; empty frames are undersized")
  func disabled() {
    let bench = Bench()
    bench.startReceiving(descriptors: 8, control: Bench.promiscuous)
    bench.receive(frame(100))
    #expect(bench.read(0x2810) == 0)
    bench.write(0x0100, Bench.enable | Bench.promiscuous)
    bench.receive([])
    #expect(bench.read(0x2810) == 0)
    #expect(bench.read(0x40A4) == 1)
    #expect(bench.stamps == [])
  }
}

@Suite("82540EM model: receive filters and offloads")
struct E1000FilterTests {
  private let other: [UInt8] = [0x52, 0x54, 0, 0, 0, 1]
  private let group: [UInt8] = [0x01, 0x00, 0x5E, 0x01, 0x02, 0x03]
  private let all = [UInt8](repeating: 0xFF, count: 6)

  /// Which of four frames are taken: to this NIC, to another, to a group, to all.
  private func taken(_ control: UInt32, prepare: (Bench) -> Void = { _ in }) -> [UInt64] {
    let bench = Bench()
    bench.startReceiving(descriptors: 8, control: Bench.enable | Bench.strip | control)
    prepare(bench)
    for address in [Bench.macAddress, other, group, all] { bench.receive(frame(60, to: address)) }
    return bench.stamps
  }

  @Test("the NIC's own address always; others, groups and broadcasts as RCTL says")
  func addresses() {
    #expect(taken(0) == [1])
    #expect(taken(1 << 3) == [1, 2])
    #expect(taken(1 << 4) == [1, 3, 4])
    #expect(taken(1 << 15) == [1, 4])
    #expect(taken(1 << 3 | 1 << 4) == [1, 2, 3, 4])
  }

  @Test("a second receive address")
  func secondAddress() {
    let prepare: (Bench) -> Void = { bench in
      bench.write(0x5408, 0x0000_5452)
      bench.write(0x540C, 0x8000_0100)
    }
    #expect(taken(0, prepare: prepare) == [1, 2])
    // Not while its valid bit is clear.
    #expect(
      taken(0) {
        $0.write(0x5408, 0x0000_5452); $0.write(0x540C, 0x0000_0100)
      } == [1])
  }

  @Test("the multicast table, at each of its four offsets", arguments: [UInt32(0), 1, 2, 3])
  func multicastTable(offset: UInt32) {
    // Bits 47–36, 46–35, 45–34 or 43–32 of the address, whose last byte is bits 47–40.
    let upper = UInt32(group[5]) << 8 | UInt32(group[4])
    let hash = upper >> [4, 3, 2, 0][Int(offset)] & 0xFFF
    let set: (Bench) -> Void = { $0.write(0x5200 + hash / 32 * 4, 1 << (hash % 32)) }
    #expect(taken(offset << 12, prepare: set) == [1, 3])
    let neighbour: (Bench) -> Void = { $0.write(0x5200 + hash / 32 * 4, 1 << ((hash + 1) % 32)) }
    #expect(taken(offset << 12, prepare: neighbour) == [1])
  }

  private func tagged(_ identifier: UInt16) -> [UInt8] {
    var data = frame(100)
    data.insert(contentsOf: [0x81, 0x00, UInt8(identifier >> 8), UInt8(identifier & 0xFF)], at: 12)
    return data
  }

  @Test("the VLAN filter lets its identifiers through, and frames without a tag")
  func vlanFilter() {
    let bench = Bench()
    bench.startReceiving(descriptors: 8, control: Bench.enable | Bench.strip | 1 << 18)
    bench.write(0x5600 + 300 / 32 * 4, 1 << (300 % 32))
    bench.receive(tagged(300))
    bench.receive(tagged(301))
    bench.receive(frame(60))
    #expect(bench.stamps == [1, 3])
    #expect(bench.completed(0).data == tagged(300))
  }

  @Test("VLAN stripping moves the tag to the descriptor; the check sequence fits what is left")
  func vlanStripping() {
    let bench = Bench()
    bench.startReceiving(descriptors: 8, control: Bench.enable)
    bench.write(0x0000, bench.read(0x0000) | 1 << 30)
    bench.receive(tagged(0x212C))
    let data = frame(100)
    #expect(
      bench.completed(0)
        == Bench.Completed(
          data: data + bitwiseFrameCheckSequence(data), status: 0x0F, errors: 0, special: 0x212C))
    bench.receive(data)
    #expect(bench.completed(1).status & 0x08 == 0)
  }

  private func ipv4(_ transportProtocol: UInt8, _ transport: [UInt8]) -> [UInt8] {
    var header: [UInt8] = [
      0x45, 0, 0, UInt8(20 + transport.count), 0, 1, 0, 0, 64, transportProtocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ]
    let sum = ~internetSum(header)
    header[10] = UInt8(sum >> 8)
    header[11] = UInt8(sum & 0xFF)
    return Bench.macAddress + other + [0x08, 0x00] + header + transport + [0, 0]
  }

  private func udp(_ payload: [UInt8]) -> [UInt8] {
    var datagram: [UInt8] = [0x12, 0x34, 0, 53, 0, UInt8(8 + payload.count), 0, 0] + payload
    let pseudo: [UInt8] = [10, 0, 0, 1, 10, 0, 0, 2, 0, 17, 0, UInt8(datagram.count)]
    let sum = ~internetSum(pseudo + datagram)
    datagram[6] = UInt8(sum >> 8)
    datagram[7] = UInt8(sum & 0xFF)
    return datagram
  }

  @Test("checksums are checked when RXCSUM asks for it, and errors are told apart")
  func checksums() {
    let bench = Bench()
    bench.startReceiving(descriptors: 8)
    bench.write(0x5000, 3 << 8)
    let good = ipv4(17, udp([1, 2, 3]))
    bench.receive(good)
    var badHeader = good
    badHeader[22] ^= 1
    bench.receive(badHeader)
    var badPayload = good
    badPayload[42] ^= 1
    bench.receive(badPayload)
    bench.receive(frame(60))
    bench.write(0x5000, 0)
    bench.receive(good)
    #expect((0..<5).map { bench.completed($0).status } == [0x63, 0x63, 0x63, 0x07, 0x07])
    #expect((0..<5).map { bench.completed($0).errors } == [0, 0x40, 0x20, 0, 0])
  }

  @Test("no transport checksum for fragments, nor for UDP without one")
  func noTransportChecksum() {
    let bench = Bench()
    bench.startReceiving(descriptors: 8)
    bench.write(0x5000, 3 << 8)
    var without = udp([1, 2, 3])
    without[6] = 0
    without[7] = 0
    bench.receive(ipv4(17, without))
    var fragment = ipv4(17, udp([1, 2, 3]))
    fragment[20] |= 0x20
    fragment[24] &-= 0x20
    bench.receive(fragment)
    #expect(bench.completed(0).status == 0x43)
    #expect(bench.completed(1).status == 0x43)
  }
}
