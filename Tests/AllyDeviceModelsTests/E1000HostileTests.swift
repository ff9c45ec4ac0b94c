import AllyDeviceModels
import AllyHW
import Testing

@Suite("82540EM model: software that means harm")
struct E1000HostileTests {
  @Test("a ring of length 0 holds nothing, and its length has no low bits")
  func emptyRing() {
    let bench = Bench()
    bench.startReceiving(descriptors: 8)
    for length: UInt32 in [0, 1, 127] {
      bench.write(0x2808, length)
      bench.receive(frame(60))
    }
    #expect(bench.read(0x2810) == 0)
    #expect(bench.read(0x4010) == 3)
    bench.startSending(descriptors: 8)
    bench.write(0x3808, 0)
    bench.send(frame(60))
    #expect(bench.sentFrames() == [])
  }

  @Test("pointers outside the ring are counted, and nothing is received or sent")
  func pointersOutside() {
    let bench = Bench()
    bench.startReceiving(descriptors: 8)
    bench.write(0x2818, 8)
    bench.receive(frame(60))
    bench.write(0x2818, 7)
    bench.write(0x2810, 0xFFFF)
    bench.receive(frame(60))
    #expect(bench.nic.faults.badRings == 2)
    #expect(bench.stamps == [])
    bench.startSending(descriptors: 8)
    bench.write(0x3818, 9)
    bench.run()
    #expect(bench.nic.faults.badRings == 3)
    #expect(bench.sentFrames() == [])
  }

  @Test(
    "a ring where no memory is, or in DPI memory, is a counted fault",
    arguments: [
      UInt64(0x1_0000_0000), 0xFFFF_FFFF_FFFF_0000, Bench.dpiBase, Bench.dpiBase - 16,
    ])
  func ringElsewhere(base: UInt64) {
    let bench = Bench()
    bench.startReceiving(descriptors: 8)
    bench.startSending(descriptors: 8)
    for offset: UInt32 in [0x2800, 0x3800] {
      bench.write(offset, UInt32(truncatingIfNeeded: base))
      bench.write(offset + 4, UInt32(base >> 32))
    }
    bench.write(0x2810, 1)
    bench.write(0x3810, 1)
    bench.write(0x3818, 5)
    bench.receive(frame(60))
    #expect(bench.nic.faults.descriptorReads == 2)
    #expect(bench.northbridge.iommu.faults.total == 2)
    #expect(bench.read(0x2810) == 1)
    #expect(bench.read(0x3810) == 1)
  }

  @Test(
    "a receive buffer that is refused completes with an error, and its frame is lost",
    arguments: [
      UInt64(0x1_0000_0000), Bench.dpiBase, Bench.dpiBase - 30, UInt64.max,
    ])
  func bufferElsewhere(buffer: UInt64) {
    let bench = Bench()
    bench.startReceiving(descriptors: 8)
    bench.store(buffer, at: Bench.receiveRing)
    let before = bench.bytes(Bench.dpiBase, 64)
    bench.receive(frame(60))
    let word = bench.load(Bench.receiveRing + 8)
    #expect(word & 0xFFFF == 0)
    #expect(word >> 32 & 3 == 3)
    #expect(word >> 47 & 1 == 1)
    #expect(bench.bytes(Bench.dpiBase, 64) == before)
    #expect(bench.nic.faults.buffers == 1)
    // The ring goes on, and stamps stay with their frames.
    bench.receive(frame(70))
    #expect(bench.completed(1).data == frame(70))
    #expect(bench.stamps == [1, 2])
  }

  @Test("a frame whose second buffer is refused ends there, with an error")
  func secondBufferElsewhere() {
    let bench = Bench()
    bench.startReceiving(
      descriptors: 8, control: Bench.enable | Bench.promiscuous | Bench.strip | 3 << 16, bufferLength: 256)
    bench.store(Bench.dpiBase, at: Bench.receiveRing + 16)
    bench.receive(frame(700))
    #expect(bench.completed(0).status & 3 == 1)
    #expect(bench.load(Bench.receiveRing + 24) >> 47 & 1 == 1)
    #expect(bench.read(0x2810) == 2)
    #expect(bench.nic.faults.cutFrames == 1)
    bench.receive(frame(70))
    #expect(bench.completed(2).data == frame(70))
    #expect(bench.stamps == [1, 2])
  }

  @Test("data that cannot be read is not sent, and nothing of DPI memory leaks")
  func transmitFromElsewhere() {
    let bench = Bench()
    bench.startSending(descriptors: 8)
    for buffer in [Bench.dpiBase, Bench.dpiBase - 30, 1 << 40, .max] {
      let index = bench.describe(buffer, 60 | Bench.endOfPacket | Bench.frameCheck | Bench.reportStatus)
      bench.ringDoorbell()
      #expect(bench.isDone(index))
    }
    #expect(bench.sentFrames() == [])
    #expect(bench.nic.faults.unsendableFrames == 4)
    bench.send(frame(60))
    #expect(bench.sentFrames() == [frame(60)])
  }

  @Test("a chain without end-of-packet ends at the longest frame; the next frame is sent")
  func endlessChain() {
    let bench = Bench()
    bench.startSending(descriptors: 64)
    for round in 0..<10 {
      for _ in 0..<63 { bench.describe(Bench.buffers, 0xFFFF) }
      bench.ringDoorbell()
      #expect(bench.read(0x3810) == UInt32((round + 1) * 63 % 64))
    }
    bench.describe(Bench.buffers, 60 | Bench.endOfPacket)
    bench.ringDoorbell()
    #expect(bench.sentFrames() == [])
    #expect(bench.nic.faults.unsendableFrames == 1)
    bench.send(frame(60))
    #expect(bench.sentFrames() == [frame(60)])
  }

  @Test("a blocked NIC does nothing")
  func blocked() {
    let bench = Bench()
    bench.startReceiving(descriptors: 8)
    bench.northbridge.iommu.attach(Bench.requester, to: .blocked)
    bench.receive(frame(60))
    #expect(bench.northbridge.iommu.faults.blocked == 1)
    #expect(bench.stamps == [])
  }

  @Test(
    "whatever software writes, a run ends and DPI memory stays as it is", arguments: [UInt64(1), 2, 77, 4096, 0xBAD])
  func randomRegisters(seed: UInt64) {
    expectHarmless(Bench(wireCapacity: 1 << 20), seed: seed)
  }
}
