import AllyDeviceModels
import AllyHW
import Testing

/// Both layouts of a virtqueue.
private let layouts: [VirtioNetFeatures] = [.version1, [.version1, .packedRing]]

@Suite("Virtio network device: registers")
struct VirtioNetRegisterTests {
  @Test("the common configuration, field by field (virtio 1.2, §4.1.4.3)")
  func commonConfiguration() {
    let bench = VirtioBench(queuePairs: 2)
    #expect(bench.read(0x12, .word) == 5)
    bench.write(0x00, 0, .doubleWord)
    #expect(bench.read(0x04, .doubleWord) == VirtioNetFeatures.all.rawValue & 0xFFFF_FFFF)
    bench.write(0x00, 1, .doubleWord)
    #expect(bench.read(0x04, .doubleWord) == VirtioNetFeatures.all.rawValue >> 32)
    bench.write(0x00, 2, .doubleWord)
    #expect(bench.read(0x04, .doubleWord) == 0)
    bench.write(0x16, 3, .word)
    #expect(bench.read(0x18, .word) == 256)
    #expect(bench.read(0x1E, .word) == 3)
    bench.write(0x20, 0x1234_5678, .doubleWord)
    bench.write(0x24, 0x9A, .doubleWord)
    #expect(bench.read(0x20, .quadWord) == 0x9A_1234_5678)
    bench.write(0x16, 5, .word)
    #expect(bench.read(0x18, .word) == 0)
    // Address, link, and queue pairs.
    #expect((0..<6).map { UInt8(bench.read(0x2000 + $0, .byte)) } == VirtioBench.macAddress)
    #expect(bench.read(0x2006, .word) == 1)
    #expect(bench.read(0x2008, .word) == 2)
  }

  @Test("the capabilities say where the structures are (§4.1.4)")
  func capabilities() {
    let bench = VirtioBench()
    let function = bench.function
    #expect(function.virtioStructures.map(\.kind) == [.common, .interruptStatus, .device, .notification])
    let notification = function.virtioStructures[3]
    #expect(notification.bytes(next: 0) == [9, 0, 20, 2, 4, 0, 0, 0, 0, 0x30, 0, 0, 0, 0x10, 0, 0, 4, 0, 0, 0])
    #expect(function.virtioStructures[0].bytes(next: 0x64).prefix(5) == [9, 0x64, 16, 1, 4])
    #expect(Set(function.capabilities.map(\.offset)).count == 5)
    #expect(function.msix?.vectors == 4)
  }

  @Test("features that were not offered, or lack what they need, are not accepted")
  func featureNegotiation() {
    let bench = VirtioBench(offered: [.version1, .checksum, .hostTSO4])
    #expect(bench.start([.version1, .checksum, .hostTSO4], queues: []) == 15)
    for refused: VirtioNetFeatures in [
      [.version1, .packedRing], [.version1, .hostTSO4], [.checksum], [.version1, .controlReceive],
    ] {
      #expect(bench.start(refused, queues: []) & 12 == 0)
    }
    // Once FEATURES_OK is set they stay.
    bench.start([.version1, .checksum], queues: [])
    bench.write(0x08, 0, .doubleWord)
    bench.write(0x0C, 0, .doubleWord)
    #expect(bench.accepted == [.version1, .checksum])
  }

  @Test("a reset forgets queues and features; the queue's size is checked", arguments: layouts)
  func reset(features: VirtioNetFeatures) {
    let bench = VirtioBench()
    bench.start(features)
    bench.write(0x16, 0, .word)
    #expect(bench.read(0x1C, .word) == 1)
    // Writes to an enabled queue do nothing.
    bench.write(0x18, 8, .word)
    bench.write(0x20, 0x5000, .doubleWord)
    bench.write(0x1C, 0, .word)
    #expect(bench.read(0x18, .word) == 16)
    #expect(bench.read(0x20, .doubleWord) == 0x1_0000)
    #expect(bench.read(0x1C, .word) == 1)
    bench.write(0x14, 0, .byte)
    #expect(bench.read(0x14, .byte) == 0)
    #expect(bench.read(0x1C, .word) == 0)
    #expect(bench.accepted == [])
    bench.start(features, queues: [])
    bench.write(0x16, 0, .word)
    bench.write(0x18, 24, .word)
    #expect(bench.read(0x18, .word) == (features.contains(.packedRing) ? 24 : 256))
    bench.write(0x18, 512, .word)
    bench.write(0x18, 0, .word)
    #expect(bench.read(0x18, .word) == (features.contains(.packedRing) ? 24 : 256))
  }

  @Test("one queue is reset alone, when that was negotiated")
  func queueReset() {
    let bench = VirtioBench()
    bench.start([.version1, .ringReset])
    bench.write(0x16, 1, .word)
    bench.write(0x3A, 1, .word)
    #expect(bench.read(0x3A, .word) == 0)
    #expect(bench.read(0x1C, .word) == 0)
    bench.startQueue(1, size: 8)
    bench.send(frame(60))
    #expect(bench.sentFrames() == [frame(60)])
  }

  @Test("the pin follows the interrupt status, which reading clears; with messages each vector is told once")
  func interrupts() {
    let bench = VirtioBench()
    bench.start([.version1, .status])
    #expect(!bench.assertsInterrupt)
    bench.send(frame(60))
    #expect(bench.assertsInterrupt)
    #expect(bench.read(0x1000, .byte) == 1)
    #expect(!bench.assertsInterrupt)
    bench.nic.isLinkUp = false
    #expect(bench.read(0x1000, .byte) == 2)
    #expect(bench.read(0x2006, .word) == 0)
    #expect(bench.read(0x15, .byte) == 1)
    bench.nic.isLinkUp = true
    _ = bench.takeInterrupts(by: .pin)
    bench.write(0x10, 3, .word)
    bench.send(frame(60))
    bench.nic.isLinkUp = false
    #expect(bench.takeInterrupts(by: .messageTable) == NICInterrupts(messages: 0b1010))
    #expect(bench.takeInterrupts(by: .messageTable) == NICInterrupts())
    // A vector that is not there reads as none.
    bench.write(0x10, 4, .word)
    #expect(bench.read(0x10, .word) == 0xFFFF)
  }
}

@Suite("Virtio network device: transmit")
struct VirtioNetTransmitTests {
  @Test("frames go out in order, around the ring, in one piece or several, direct or indirect", arguments: layouts)
  func frames(features: VirtioNetFeatures) {
    let bench = VirtioBench()
    bench.start([features, .indirectDescriptors])
    var expected: [[UInt8]] = []
    for number in 0..<50 {
      let data = frame(60 + 7 * number, seed: UInt8(number))
      expected.append(data)
      let pieces = [[], [12], [5, 20], [12, 14, 3]][number % 4]
      bench.send(data, pieces: pieces, indirect: number % 3 == 0)
      #expect(bench.used(1).map(\.length) == [0])
    }
    #expect(bench.sentFrames() == expected)
    #expect(bench.nic.faults == VirtioNetFaults())
  }

  @Test("a checksum is completed over what the header says", arguments: layouts)
  func checksum(features: VirtioNetFeatures) {
    let bench = VirtioBench()
    bench.start([features, .checksum])
    var data = frame(101)
    // The pseudo-header's sum.
    data[50] = 0x12
    data[51] = 0x34
    bench.send(data, header: VirtioBench.header(flags: 1, start: 34, offset: 16))
    let sent = bench.sentFrames()[0]
    var zeroed = sent
    zeroed[50] = 0
    zeroed[51] = 0
    #expect(~internetSum(zeroed[34...], plus: 0x1234) == UInt16(sent[50]) << 8 | UInt16(sent[51]))
    // Offsets outside the frame: it is not sent.
    bench.send(data, header: VirtioBench.header(flags: 1, start: 34, offset: 66))
    bench.send(data, header: VirtioBench.header(flags: 1, start: 101, offset: 0))
    #expect(bench.sentFrames() == [])
    #expect(bench.nic.faults.unsendableFrames == 2)
  }

  @Test("a TCP frame of 64 KiB is cut into segments with right headers", arguments: layouts, [false, true])
  func segmentation(features: VirtioNetFeatures, isIPv6: Bool) {
    let bench = VirtioBench(maximumFrameLength: 1518)
    bench.start([features, .checksum, .hostTSO4, .hostTSO6])
    let payload = (0..<60_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let ipLength = isIPv6 ? 40 : 20
    let tcp = 14 + ipLength
    var data = frame(14)
    data[12] = isIPv6 ? 0x86 : 0x08
    data[13] = isIPv6 ? 0xDD : 0x00
    if isIPv6 {
      data += [0x60, 0, 0, 0, 0, 0, 6, 64] + (0..<32).map { UInt8($0) }
    } else {
      data += [0x45, 0, 0, 0, 0x10, 0x00, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]
    }
    data += [0x12, 0x34, 0, 80, 0, 0, 0xFF, 0xF0, 0, 0, 0, 1, 0x50, 0x19, 1, 0, 0, 0, 0, 0] + payload
    bench.send(
      data,
      header: VirtioBench.header(
        flags: 1, segmentation: isIPv6 ? 4 : 1, segmentSize: 1400, start: UInt16(tcp), offset: 16))
    let sent = bench.sentFrames()
    #expect(sent.count == 43)
    #expect(sent.flatMap { Array($0[(tcp + 20)...]) } == payload)
    for (number, segment) in sent.enumerated() {
      let length = segment.count - tcp
      let addresses = isIPv6 ? segment[22..<54] : segment[26..<34]
      #expect(internetSum(Array(addresses) + Array(segment[tcp...]), plus: UInt32(6 + length)) == 0xFFFF)
      let sequence = segment[(tcp + 4)..<(tcp + 8)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      #expect(sequence == 0xFFF0 + UInt32(1400 * number))
      #expect(segment[tcp + 13] == (number == 42 ? 0x19 : 0x10))
      if isIPv6 {
        #expect(Int(segment[18]) << 8 | Int(segment[19]) == length)
      } else {
        #expect(internetSum(segment[14..<34]) == 0xFFFF)
        #expect(Int(segment[16]) << 8 | Int(segment[17]) == segment.count - 14)
        #expect(Int(segment[18]) << 8 | Int(segment[19]) == 0x1000 + number)
      }
    }
  }

  @Test("several queue pairs send, and what a flow receives comes on the pair that its hash names")
  func queuePairs() {
    let bench = VirtioBench(queuePairs: 4)
    bench.start([.version1, .controlQueue, .multipleQueues], queues: Array(0..<9))
    #expect(bench.command([4, 0, 4, 0], queue: 8) == 0)
    #expect(bench.command([4, 0, 5, 0], queue: 8) == 1)
    #expect(bench.command([4, 0, 0, 0], queue: 8) == 1)
    for pair in 0..<4 { bench.postReceive(8, queue: 2 * pair) }
    var counts = [0, 0, 0, 0]
    for flow in 0..<24 {
      var data = frame(60)
      data[12] = 0x08
      data[13] = 0
      data.replaceSubrange(14..<34, with: [0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2])
      data.replaceSubrange(34..<38, with: [UInt8(flow), 1, 0, 53])
      bench.offer(data)
      bench.run()
      for pair in 0..<4 { counts[pair] += bench.used(2 * pair).count }
    }
    #expect(counts.reduce(0, +) == 24)
    #expect(counts.filter { $0 > 0 }.count > 1)
  }
}

@Suite("Virtio network device: receive")
struct VirtioNetReceiveTests {
  @Test("a frame lies behind its header in the next buffer", arguments: layouts)
  func oneFrame(features: VirtioNetFeatures) {
    let bench = VirtioBench()
    bench.start(features)
    bench.postReceive(4)
    for number in 0..<4 {
      bench.offer(frame(100 + number, seed: UInt8(number)))
      bench.run()
      #expect(bench.used(0).map(\.length) == [UInt32(112 + number)])
      let place = VirtioBench.buffers + UInt64(number) * 2048
      #expect(bench.bytes(place, 12) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0])
      #expect(bench.bytes(place + 12, 100 + number) == frame(100 + number, seed: UInt8(number)))
    }
    // No buffers are left.
    bench.offer(frame(60))
    bench.run()
    #expect(bench.nic.faults.noBuffers == 1)
  }

  @Test("mergeable buffers: a frame fills as many as it needs, and the first says how many", arguments: layouts)
  func mergeable(features: VirtioNetFeatures) {
    let bench = VirtioBench()
    bench.start([features, .mergeableBuffers])
    bench.postReceive(12, length: 256)
    let data = frame(1000)
    bench.offer(data)
    bench.run()
    #expect(bench.used(0).map(\.length) == [256, 256, 256, 244])
    #expect(bench.bytes(VirtioBench.buffers, 12)[10] == 4)
    #expect(bench.bytes(VirtioBench.buffers + 12, 1000) == data)
    // What the rest of the ring cannot hold is lost, and takes nothing.
    bench.offer(frame(1500))
    bench.offer(frame(1500))
    bench.offer(frame(300))
    bench.run()
    #expect(bench.used(0).count == 8)
    #expect(bench.nic.faults.noBuffers == 1)
  }

  @Test("on a paced wire a frame waits for buffers", arguments: layouts)
  func paced(features: VirtioNetFeatures) {
    let bench = VirtioBench(isPaced: true)
    bench.start([features, .mergeableBuffers])
    bench.postReceive(2, length: 256)
    bench.offer(frame(600))
    bench.run()
    #expect(bench.used(0) == [])
    bench.postReceive(2, length: 256)
    bench.run()
    #expect(bench.used(0).count == 3)
    #expect(bench.nic.faults == VirtioNetFaults())
  }

  @Test("a good checksum is told, when the driver takes that")
  func checksumTold() {
    let bench = VirtioBench()
    bench.start([.version1, .guestChecksum])
    bench.postReceive(4)
    var data = frame(46)
    data[12] = 0x08
    data[13] = 0
    data.replaceSubrange(14..<34, with: [0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2])
    data.replaceSubrange(34..<46, with: [0, 1, 0, 2, 0, 12, 0, 0, 1, 2, 3, 4])
    let sum = ~internetSum(Array(data[26..<34]) + [0, 17, 0, 12] + Array(data[34...]))
    data[40] = UInt8(sum >> 8)
    data[41] = UInt8(sum & 0xFF)
    bench.offer(data)
    data[45] ^= 1
    bench.offer(data)
    bench.run()
    #expect(bench.bytes(VirtioBench.buffers, 1) == [2])
    #expect(bench.bytes(VirtioBench.buffers + 2048, 1) == [0])
  }

  @Test("the control queue sets the filter")
  func filter() {
    let bench = VirtioBench()
    bench.start([.version1, .controlQueue, .controlReceive, .controlVLAN, .controlMACAddress], queues: [0, 1, 2])
    bench.postReceive(15)
    func receives(_ data: [UInt8]) -> Bool {
      bench.offer(data)
      bench.run()
      return bench.used(0).count == 1
    }
    let other: [UInt8] = [0x02, 1, 2, 3, 4, 5]
    let group: [UInt8] = [0x01, 0, 0x5E, 0, 0, 1]
    #expect(receives(frame(60, to: other)))
    #expect(bench.command([0, 0, 0]) == 0)
    #expect(!receives(frame(60, to: other)))
    #expect(receives(frame(60)))
    #expect(receives(frame(60, to: [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])))
    #expect(!receives(frame(60, to: group)))
    #expect(bench.command([1, 0, 1, 0, 0, 0] + other + [1, 0, 0, 0] + group) == 0)
    #expect(receives(frame(60, to: other)))
    #expect(receives(frame(60, to: group)))
    #expect(bench.command([1, 1] + [0x02, 9, 9, 9, 9, 9]) == 0)
    #expect(!receives(frame(60)))
    #expect(receives(frame(60, to: [0x02, 9, 9, 9, 9, 9])))
    #expect((0..<6).map { UInt8(bench.read(0x2000 + $0, .byte)) } == [0x02, 9, 9, 9, 9, 9])
    var tagged = frame(60, to: other)
    tagged.replaceSubrange(12..<16, with: [0x81, 0, 0, 5])
    #expect(!receives(tagged))
    #expect(bench.command([2, 0, 5, 0]) == 0)
    #expect(receives(tagged))
    #expect(bench.command([2, 1, 5, 0]) == 0)
    #expect(!receives(tagged))
    // Commands that are cut, unknown or not negotiated.
    for bad: [UInt8] in [
      [0, 9, 1], [1, 0, 2, 0, 0, 0, 1], [2, 0, 0xFF, 0xFF], [4, 0, 1, 0], [9, 0, 0], [0, 2, 1],
    ] {
      #expect(bench.command(bad) == 1)
    }
  }
}

@Suite("Virtio network device: notifications and hostile software")
struct VirtioNetNotificationTests {
  @Test("the driver's wish not to be told is kept", arguments: layouts)
  func suppression(features: VirtioNetFeatures) {
    let bench = VirtioBench()
    bench.start(features)
    bench.suppress(1, true)
    bench.send(frame(60))
    #expect(!bench.assertsInterrupt)
    bench.suppress(1, false)
    bench.send(frame(60))
    #expect(bench.assertsInterrupt)
  }

  @Test("with event index the device tells when the event is reached, and not before", arguments: layouts)
  func eventIndex(features: VirtioNetFeatures) {
    let bench = VirtioBench()
    bench.start([features, .eventIndex])
    // Over several laps of the ring.
    for round in 0..<12 {
      bench.askForEvent(1, after: 3)
      for number in 0..<5 {
        bench.send(frame(60))
        #expect((bench.read(0x1000, .byte) == 1) == (number == 2), "round \(round), frame \(number)")
      }
      _ = bench.used(1)
    }
  }

  /// Puts a queue into a state that breaks the rules.
  private static let harms: [(String, VirtioNetFeatures, @Sendable (VirtioBench) -> Void)] = [
    ("an index far ahead", .version1, { $0.store16(500, at: 0x1_8000 + 0x4002) }),
    (
      "a head outside", .version1,
      {
        $0.store16(99, at: 0x1_8000 + 0x4004)
        $0.store16(1, at: 0x1_8000 + 0x4002)
      }
    ),
    (
      "a chain that runs in a circle", .version1,
      {
        $0.store(0x10_0000, at: 0x1_8000)
        $0.store(10 | 1 << 32 | 0 << 48, at: 0x1_8008)
        $0.store16(1, at: 0x1_8000 + 0x4002)
      }
    ),
    (
      "a next descriptor outside", .version1,
      {
        $0.store(10 | 1 << 32 | 16 << 48, at: 0x1_8008)
        $0.store16(1, at: 0x1_8000 + 0x4002)
      }
    ),
    (
      "an indirect table that was not negotiated", .version1,
      { $0.post(1, [.init(address: 0x10_0000, length: 100)], indirect: true) }
    ),
    (
      "an indirect table in DPI memory", [.version1, .indirectDescriptors],
      {
        $0.store(VirtioBench.dpiBase, at: 0x1_8000)
        $0.store(32 | 4 << 32, at: 0x1_8008)
        $0.store16(1, at: 0x1_8000 + 0x4002)
      }
    ),
    (
      "something to read behind something to write", [.version1, .packedRing],
      { $0.post(1, [.init(address: 0x10_0000, length: 9, isWritable: true), .init(address: 0x10_0000, length: 9)]) }
    ),
    (
      "a packed chain without end", [.version1, .packedRing],
      { bench in for slot in 0..<UInt64(16) { bench.store(9 | 0x81 << 48, at: 0x1_8008 + 16 * slot) } }
    ),
  ]

  @Test("a queue that breaks the rules stops, and the device asks for a reset", arguments: 0..<8)
  func broken(index: Int) {
    let (name, features, harm) = Self.harms[index]
    let bench = VirtioBench()
    bench.start(features)
    harm(bench)
    bench.run()
    bench.run()
    #expect(bench.sentFrames() == [], "\(name)")
    #expect(bench.nic.faults.brokenQueues == 1, "\(name)")
    #expect(bench.read(0x14, .byte) & 64 == 64, "\(name)")
    bench.start(features)
    bench.send(frame(60))
    #expect(bench.sentFrames() == [frame(60)], "\(name)")
  }

  @Test("buffers that are refused lose their frame and nothing else", arguments: layouts)
  func refusedBuffers(features: VirtioNetFeatures) {
    let bench = VirtioBench()
    bench.start(features)
    let before = bench.bytes(VirtioBench.dpiBase, 64)
    bench.post(0, [.init(address: VirtioBench.dpiBase, length: 2048, isWritable: true)])
    bench.offer(frame(60))
    bench.post(1, [.init(address: VirtioBench.dpiBase, length: 100)])
    bench.post(1, [.init(address: UInt64.max - 10, length: 100)])
    bench.run()
    #expect(bench.bytes(VirtioBench.dpiBase, 64) == before)
    #expect(bench.nic.faults.buffers == 3)
    #expect(bench.used(1).count == 2)
    bench.send(frame(60))
    #expect(bench.sentFrames() == [frame(60)])
  }

  @Test("random registers and rings never trap, and no run is longer than its rings", arguments: 0..<24)
  func random(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let bench = VirtioBench()
    for _ in 0..<40 {
      bench.start(
        VirtioNetFeatures(rawValue: .random(in: 0...(.max), using: &generator)).intersection(.all).union(.version1),
        queues: [0, 1, 2], size: 16)
      for _ in 0..<200 {
        let address = 0x1_0000 + UInt64.random(in: 0..<0x1_8000, using: &generator) & ~7
        let values = [
          UInt64.random(in: 0...(.max), using: &generator), 0x0080_0001_0000_0010, 0x8081_0000_0000_0100, 3,
        ]
        bench.store(values[Int.random(in: 0..<4, using: &generator)], at: address)
      }
      for _ in 0..<20 {
        let offset = UInt32.random(in: 0..<0x3C, using: &generator)
        let width = [RegisterWidth.byte, .word, .doubleWord, .quadWord][Int.random(in: 0..<4, using: &generator)]
        bench.write(offset, .random(in: 0...(.max), using: &generator), width)
        _ = bench.read(offset, width)
        bench.offer(frame(Int.random(in: 1..<1600, using: &generator)))
        bench.run(frames: 64)
      }
    }
  }
}
