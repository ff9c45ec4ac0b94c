import AllyDeviceModels
import AllyHW
import Testing

@Suite("82540EM model with frame checksums")
struct E1000ChecksumTests {
  // The example of SipHash-2-4's authors: key 00…0f, input 00…0e.
  private static let key: (UInt64, UInt64) = (0x0706_0504_0302_0100, 0x0F0E_0D0C_0B0A_0908)
  private static let bytes = (0..<15).map { UInt8($0) }
  private static let checksum: UInt64 = 0xA129_CA61_49BE_45E5
  private static let control: UInt32 = 0xF000

  private static func bench(isEnabled: Bool = true) -> Bench {
    let bench = Bench()
    bench.nic = E1000Model(
      requester: Bench.requester, macAddress: Bench.macAddress, maximumFrameLength: 16_384, checksumKey: key)
    if isEnabled { bench.write(control, 1) }
    return bench
  }

  @Test("software finds out whether there are checksums, and the key")
  func registers() {
    let bench = Self.bench(isEnabled: false)
    #expect(bench.read(Self.control) == 1 << 31)
    #expect((0..<4).map { bench.read(0xF010 + 4 * $0) } == [0x0302_0100, 0x0706_0504, 0x0B0A_0908, 0x0F0E_0D0C])
    bench.write(0xF010, 1)
    #expect(bench.read(0xF010) == 0x0302_0100)
    bench.write(Self.control, 1)
    #expect(bench.read(Self.control) == 1 << 31 | 1)
    bench.write(0x0000, 1 << 26)
    #expect(bench.read(Self.control) == 1 << 31, "a reset switches them off")
    let plain = Bench()
    plain.write(Self.control, 1)
    #expect(plain.read(Self.control) == 0)
    #expect(plain.read(0xF010) == 0)
  }

  @Test("switched off, descriptors are the 82540EM's")
  func switchedOff() {
    let bench = Self.bench(isEnabled: false)
    bench.startReceiving(descriptors: 8)
    bench.receive(frame(100))
    bench.receive(frame(101))
    #expect(bench.completed(0).data == frame(100) && bench.completed(1).data == frame(101))
  }

  @Test("a received frame's checksum is in the descriptor that ends it")
  func receive() {
    let bench = Self.bench()
    for index in 0..<UInt64(8) {
      bench.store(Bench.buffers + index * 2048, at: Bench.receiveRing + 32 * index)
      for word in 1..<UInt64(4) { bench.store(0 as UInt64, at: Bench.receiveRing + 32 * index + 8 * word) }
    }
    bench.write(0x2800, UInt32(Bench.receiveRing))
    bench.write(0x2808, 8 * 32)
    bench.write(0x2818, 7)
    bench.write(0x0100, Bench.enable | Bench.promiscuous | Bench.longPackets | Bench.strip)
    bench.receive(Self.bytes)
    #expect(bench.load(Bench.receiveRing + 8) >> 32 & 3 == 3)
    #expect(bench.load(Bench.receiveRing + 16) == Self.checksum)
    #expect(bench.load(Bench.receiveRing + 24) == 1)
    // Over two descriptors: none in the first.
    bench.receive(frame(3000))
    #expect(bench.load(Bench.receiveRing + 32 + 8) >> 32 & 3 == 1)
    #expect(bench.load(Bench.receiveRing + 32 + 24) == 0)
    #expect(bench.load(Bench.receiveRing + 64 + 8) >> 32 & 3 == 3)
    #expect(bench.load(Bench.receiveRing + 64 + 24) == 1)
    #expect(bench.read(0x2810) == 3)
  }

  /// Posts the bytes with a descriptor at `index`; without `flags` the NIC is not asked to verify.
  private func post(
    _ bytes: [UInt8], at index: UInt64, checksum: UInt64, flags: UInt64, command: UInt64, _ bench: Bench
  ) {
    bench.store(bytes, at: Bench.buffers + 2048 * index)
    bench.store(Bench.buffers + 2048 * index, at: Bench.transmitRing + 32 * index)
    bench.store(UInt64(bytes.count) | command, at: Bench.transmitRing + 32 * index + 8)
    bench.store(checksum, at: Bench.transmitRing + 32 * index + 16)
    bench.store(flags, at: Bench.transmitRing + 32 * index + 24)
    bench.write(0x3818, UInt32(index) + 1)
    bench.run()
  }

  @Test("a frame is sent when its bytes are those of its checksum, and only then")
  func transmit() {
    let bench = Self.bench()
    bench.write(0x3800, UInt32(Bench.transmitRing))
    bench.write(0x3808, 8 * 32)
    bench.write(0x0400, 1 << 1)
    let plain = Bench.endOfPacket | Bench.frameCheck
    post(Self.bytes, at: 0, checksum: Self.checksum, flags: 1, command: plain | Bench.reportStatus, bench)
    #expect(bench.sentFrames() == [Self.bytes])
    #expect(bench.load(Bench.transmitRing + 24) == 1)
    var changed = Self.bytes
    changed[14] ^= 1
    // Reported, asked or not.
    post(changed, at: 1, checksum: Self.checksum, flags: 1, command: plain, bench)
    #expect(bench.sentFrames() == [])
    #expect(bench.load(Bench.transmitRing + 32 + 8) >> 32 & 1 == 1)
    #expect(bench.load(Bench.transmitRing + 32 + 24) == 3)
    #expect(bench.nic.faults.checksumMismatches == 1)
    post(changed, at: 2, checksum: Self.checksum, flags: 0, command: plain, bench)
    #expect(bench.sentFrames() == [changed], "nobody asked")
  }
}
