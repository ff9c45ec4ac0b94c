import AllyDeviceModels
import AllyHW
import Testing

@Suite("82540EM model: transmit")
struct E1000TransmitTests {
  @Test("a frame goes out, its descriptor is done, and TXDW and TXQE are raised")
  func oneFrame() {
    let bench = Bench()
    bench.startSending(descriptors: 8)
    let data = frame(100)
    let index = bench.send(data)
    #expect(bench.sentFrames() == [data])
    #expect(bench.isDone(index))
    #expect(bench.read(0x3810) == 1)
    #expect(bench.read(0x00C0) == 0x03)
  }

  @Test("without RS nothing is written back, and TXDW is not raised")
  func noReport() {
    let bench = Bench()
    bench.startSending(descriptors: 8)
    let index = bench.send(frame(100), Bench.endOfPacket | Bench.frameCheck)
    #expect(bench.sentFrames().count == 1)
    #expect(!bench.isDone(index))
    #expect(bench.read(0x00C0) == 0x02)
  }

  @Test("frames go round the ring")
  func wraps() {
    let bench = Bench()
    bench.startSending(descriptors: 8)
    let frames = (0..<30).map { frame(60 + $0, seed: UInt8($0)) }
    for data in frames { bench.send(data) }
    #expect(bench.sentFrames() == frames)
    #expect(bench.read(0x3810) == 30 % 8)
  }

  @Test("several descriptors make one frame, also when the last comes with a later doorbell")
  func severalDescriptors() {
    let bench = Bench()
    bench.startSending(descriptors: 8)
    let data = frame(300)
    bench.store(data, at: Bench.buffers)
    bench.describe(Bench.buffers, 100)
    bench.describe(Bench.buffers + 100, 0)
    bench.describe(Bench.buffers + 100, 150)
    bench.ringDoorbell()
    #expect(bench.sentFrames() == [])
    #expect(bench.read(0x3810) == 3)
    bench.describe(Bench.buffers + 250, 50 | Bench.endOfPacket | Bench.frameCheck | Bench.reportStatus)
    bench.ringDoorbell()
    #expect(bench.sentFrames() == [data])
  }

  @Test("a disabled transmitter sends nothing until it is enabled")
  func disabled() {
    let bench = Bench()
    bench.startSending(descriptors: 8, control: 0)
    bench.send(frame(100))
    #expect(bench.sentFrames() == [])
    bench.write(0x0400, 1 << 1)
    bench.run()
    #expect(bench.sentFrames().count == 1)
  }

  @Test("short frames are padded when TCTL says so")
  func padding() {
    let bench = Bench()
    bench.startSending(descriptors: 8, control: 1 << 1 | 1 << 3)
    bench.send(frame(42))
    #expect(bench.sentFrames() == [frame(42) + [UInt8](repeating: 0, count: 18)])
  }

  @Test("a check sequence that software made does not go on the wire twice")
  func ownFrameCheckSequence() {
    let bench = Bench()
    bench.startSending(descriptors: 8)
    bench.send(frame(64) + bitwiseFrameCheckSequence(frame(64)), Bench.endOfPacket)
    #expect(bench.sentFrames() == [frame(64)])
  }

  @Test("a legacy descriptor's checksum is inserted where it says")
  func legacyChecksum() {
    let bench = Bench()
    bench.startSending(descriptors: 8)
    var data = frame(101)
    data[40] = 0
    data[41] = 0
    bench.send(data, Bench.endOfPacket | Bench.frameCheck | 1 << 26 | 40 << 16 | 34 << 40)
    let sent = bench.sentFrames()[0]
    #expect(internetSum(sent[34...]) == 0xFFFF)
    #expect(Array(sent[..<40]) == Array(data[..<40]))
    // Offsets outside the frame: it goes out as it is.
    bench.send(data, Bench.endOfPacket | Bench.frameCheck | 1 << 26 | 100 << 16 | 34 << 40)
    bench.send(data, Bench.endOfPacket | Bench.frameCheck | 1 << 26 | 40 << 16 | 101 << 40)
    #expect(bench.sentFrames() == [data, data])
  }

  @Test("a VLAN tag is inserted when the descriptor and CTRL.VME say so")
  func vlanTag() {
    let bench = Bench()
    bench.startSending(descriptors: 8)
    bench.write(0x0000, bench.read(0x0000) | 1 << 30)
    bench.send(frame(100), Bench.endOfPacket | Bench.frameCheck | 1 << 30 | 0x2064 << 48)
    var expected = frame(100)
    expected.insert(contentsOf: [0x81, 0x00, 0x20, 0x64], at: 12)
    #expect(bench.sentFrames() == [expected])
  }

  @Test("a full wire holds the ring up, and nothing is lost")
  func backPressure() {
    let bench = Bench(wireCapacity: 40_000)
    bench.startSending(descriptors: 32)
    var expected: [[UInt8]] = []
    for number in 0..<24 {
      expected.append(frame(1500, seed: UInt8(number)))
      bench.send(expected[number])
    }
    #expect(bench.read(0x3810) < 24)
    var sent = bench.sentFrames()
    while bench.run() > 0 { sent += bench.sentFrames() }
    #expect(sent == expected)
    #expect(bench.nic.faults.wireOverruns == 0)
  }

  @Test("the most frames of a run is kept to, in both directions")
  func frameLimit() {
    let bench = Bench()
    bench.startReceiving(descriptors: 16)
    for _ in 0..<5 { bench.offer(frame(60)) }
    #expect(bench.run(frames: 2) == 2)
    #expect(bench.run(frames: 2) == 2)
    #expect(bench.run(frames: 2) == 1)
  }
}

@Suite("82540EM model: checksum and segmentation offload")
struct E1000OffloadTests {
  /// IPCSS 14, IPCSO 24, IPCSE 33, TUCSS 34, TUCSO 50, TUCSE 0.
  private let offsets: UInt64 = 14 | 24 << 8 | 33 << 16 | 34 << 32 | 50 << 40

  @Test("a data descriptor's checksums are inserted with the context's offsets")
  func checksums() {
    let bench = Bench()
    bench.startSending(descriptors: 8)
    let data = tcpFrame(payload: 333, total: true)
    bench.store(data, at: Bench.buffers)
    bench.describe(offsets, Bench.extended | 1 << 24 | 1 << 25)
    bench.describe(
      Bench.buffers,
      UInt64(data.count) | 1 << 20 | Bench.extended | Bench.endOfPacket | Bench.frameCheck | Bench.reportStatus | 3
        << 40)
    bench.ringDoorbell()
    let sent = bench.sentFrames()
    #expect(sent.count == 1)
    #expect(ipSum(sent[0]) == 0xFFFF)
    #expect(tcpSum(sent[0]) == 0xFFFF)
    #expect(sent[0][54...] == data[54...])
    #expect(bench.isDone(1))
  }

  @Test("a large TCP send is cut into segments with right headers", arguments: [1, 1000, 1460, 3000, 60000])
  func segmentation(payload: Int) {
    let bench = Bench()
    bench.startSending(descriptors: 16)
    let data = tcpFrame(payload: payload, total: false)
    bench.store(data, at: Bench.buffers)
    let segmentSize = 1000
    bench.describe(
      offsets, UInt64(payload) | Bench.extended | 1 << 24 | 1 << 25 | 1 << 26 | 54 << 40 | UInt64(segmentSize) << 48)
    // The header in one descriptor, the data in two more.
    let command = 1 << 20 | Bench.extended | Bench.frameCheck | 1 << 26 | 3 << 40
    bench.describe(Bench.buffers, 54 | command)
    bench.describe(Bench.buffers + 54, UInt64(payload / 2) | command)
    bench.describe(
      Bench.buffers + 54 + UInt64(payload / 2), UInt64(payload - payload / 2) | command | Bench.endOfPacket)
    bench.ringDoorbell()
    let sent = bench.sentFrames()
    #expect(sent.count == (payload + segmentSize - 1) / segmentSize)
    #expect(sent.flatMap { $0[54...] } == Array(data[54...]))
    for (number, segment) in sent.enumerated() {
      let isLast = number == sent.count - 1
      #expect(ipSum(segment) == 0xFFFF)
      #expect(tcpSum(segment) == 0xFFFF)
      #expect(Int(segment[16]) << 8 | Int(segment[17]) == segment.count - 14)
      #expect(Int(segment[18]) << 8 | Int(segment[19]) == 0x1234 + number)
      let sequence = segment[38..<42].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      #expect(sequence == 0xFFFF_FF00 &+ UInt32(number * segmentSize))
      // FIN and PSH in the last only; ACK in all.
      #expect(segment[47] == (isLast ? 0x19 : 0x10))
    }
    #expect(bench.read(0x40F8) == 1)
  }

  /// The chip keeps two contexts, one for segmentation and one for all else (SDM §3.3.7.1).
  @Test("a context for segmentation leaves the one for checksums alone")
  func twoContexts() {
    let bench = Bench()
    bench.startSending(descriptors: 16)
    let data = tcpFrame(payload: 333, total: true)
    bench.store(data, at: Bench.buffers)
    bench.describe(offsets, Bench.extended | 1 << 24 | 1 << 25)
    // For segmentation, with offsets that make no sense for this frame.
    bench.describe(
      0x0000_4030_0000_2016, 180 | Bench.extended | 1 << 24 | 1 << 25 | 1 << 26 | 54 << 40 | 1000 << 48)
    bench.describe(
      Bench.buffers,
      UInt64(data.count) | 1 << 20 | Bench.extended | Bench.endOfPacket | Bench.frameCheck | 3 << 40)
    bench.ringDoorbell()
    let sent = bench.sentFrames()
    #expect(sent.count == 1)
    #expect(sent.allSatisfy { ipSum($0) == 0xFFFF && tcpSum($0) == 0xFFFF })
  }

  /// Segment size 0; header longer than the data; transport header outside the header; no IP header before it.
  private static let senselessContexts: [(UInt64, UInt64)] = [
    (0x0000_3222_0000_180E, 0x0000_3600_0000_0000), (0x0000_3222_0000_180E, 0x03E8_FF00_0000_0000),
    (0x0000_4232_0000_180E, 0x03E8_3600_0000_0000), (0x0000_3222_0000_181E, 0x03E8_3600_0000_0000),
  ]

  @Test("a context that makes no sense sends nothing, and the ring goes on", arguments: senselessContexts)
  func senselessContext(first: UInt64, second: UInt64) {
    let bench = Bench()
    bench.startSending(descriptors: 16)
    let data = tcpFrame(payload: 180, total: false)
    bench.store(data, at: Bench.buffers)
    bench.describe(first, second | 180 | Bench.extended | 7 << 24)
    bench.describe(
      Bench.buffers,
      UInt64(data.count) | 1 << 20 | Bench.extended | Bench.endOfPacket | Bench.frameCheck | 1 << 26
        | Bench.reportStatus | 3 << 40)
    bench.ringDoorbell()
    #expect(bench.sentFrames() == [])
    #expect(bench.nic.faults.unsendableFrames == 1)
    #expect(bench.isDone(1))
    bench.send(frame(60))
    #expect(bench.sentFrames() == [frame(60)])
  }
}
