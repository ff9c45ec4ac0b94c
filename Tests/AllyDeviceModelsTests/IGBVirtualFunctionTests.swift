import AllyDeviceModels
import AllyHW
import Testing

typealias VirtualFunctionBench = NICBench<IGBVirtualFunctionModel>

extension IGBVirtualFunctionModel: BenchModel {
  static var datasheetFrameLength: Int { IGBModel.datasheetFrameLength }
}

extension NICBench where Model == IGBVirtualFunctionModel {
  /// Sends a message to the physical function and reads the answer, as a driver does.
  @discardableResult
  func ask(_ words: [UInt32]) -> UInt32 {
    write(0x0C40, 1 << 2)
    #expect(read(0x0C40) & 1 << 2 != 0, "the buffer is ours")
    for (index, word) in words.enumerated() { write(0x0800 + 4 * UInt32(index), word) }
    write(0x0C40, 1 << 0)
    // The message was read, and an answer is there; both are told once.
    #expect(read(0x0C40) & 0x30 == 0x30)
    #expect(read(0x0C40) & 0x30 == 0)
    write(0x0C40, 1 << 1)
    return read(0x0800)
  }

  /// Reset by register and message, as a driver begins.
  func begin() {
    write(0x0000, 1 << 26)
    #expect(read(0x0C40) & 0xC0 != 0, "the reset is over")
    #expect(ask([1]) == 0x8000_0001)
  }

  func startFunction() {
    begin()
    write(0x280C, 1 << 25 | 2)
    startReceiving(descriptors: 8)
    write(0x2828, 1 << 25)
    write(0x2818, 7)
  }
}

@Suite("82576 model: virtual functions")
struct IGBVirtualFunctionTests {
  @Test("the function that enumeration finds: no pin, three messages")
  func function() {
    let function = VirtualFunctionBench().nic.function
    #expect(function.deviceID == 0x10CA && function.interruptPin == 0)
    #expect(function.msix?.vectors == 3)
    #expect(function.baseAddressRegisters[0].length == 0x4000)
    #expect(function.baseAddressRegisters[1].length == 0)
  }

  @Test("the physical function gives the address, and takes another; a group's is refused")
  func address() {
    let bench = VirtualFunctionBench()
    bench.begin()
    #expect(bench.read(0x0804) == 0x1200_5452)
    #expect(bench.read(0x0808) == 0x5634)
    #expect(bench.ask([2, 0x1200_5456, 0x5634]) & 0xC000_FFFF == 0x8000_0002)
    #expect(bench.ask([2, 0x1200_5401, 0x5634]) & 0xC000_0000 == 0x4000_0000)
    #expect(bench.ask([99]) & 0xC000_0000 == 0x4000_0000)
  }

  @Test("frames to its address, to all and to its groups, and no others; nothing before the reset was asked for")
  func reception() {
    let bench = VirtualFunctionBench()
    bench.write(0x280C, 1 << 25 | 2)
    bench.startReceiving(descriptors: 8)
    bench.write(0x2828, 1 << 25)
    bench.receive(frame(60))
    #expect(bench.read(0x2810) == 0)
    bench.startFunction()
    bench.receive(frame(60))
    bench.receive(frame(61, to: [UInt8](repeating: 0xFF, count: 6)))
    bench.receive(frame(62, to: [0x52, 0x54, 0, 0, 0, 9]))
    let group: [UInt8] = [0x01, 0x00, 0x5E, 0x01, 0x02, 0x03]
    bench.receive(frame(63, to: group))
    #expect(bench.read(0x2810) == 2)
    // Bits 47–36 of the address.
    let hash = (UInt32(group[5]) << 8 | UInt32(group[4])) >> 4
    #expect(bench.ask([1 << 16 | 3, hash]) >> 31 == 1)
    bench.receive(frame(64, to: group))
    #expect(bench.read(0x2810) == 3)
    #expect((0..<UInt64(3)).map { bench.load(VirtualFunctionBench.receiveRing + 16 * $0 + 8) >> 32 } == [60, 61, 64])
    #expect(bench.read(0x0F10) == 3)
  }

  @Test("VLANs that it asked for are let through and stripped")
  func vlans() {
    let bench = VirtualFunctionBench()
    bench.startFunction()
    var data = frame(100)
    data.insert(contentsOf: [0x81, 0x00, 0x00, 0x05], at: 12)
    bench.nic.writePhysicalRegister(0x0100, bench.nic.physicalRegister(0x0100) | 1 << 18)
    bench.receive(data)
    #expect(bench.read(0x2810) == 0)
    #expect(bench.ask([1 << 16 | 4, 5]) >> 31 == 1)
    bench.receive(data)
    #expect(bench.load(VirtualFunctionBench.receiveRing + 8) == 5 << 48 | 100 << 32 | 0x0F)
    #expect(bench.ask([4, 5]) >> 31 == 1)
    bench.receive(data)
    #expect(bench.read(0x2810) == 1)
  }

  @Test("sends from both queues; messages by VTIVAR, cleared and masked as VTEIAC and VTEIAM say")
  func messages() {
    let bench = VirtualFunctionBench()
    bench.startFunction()
    bench.write(0x1700, 0x8081)
    bench.write(0x1740, 0x82)
    for offset: UInt32 in [0x152C, 0x1530, 0x1524] { bench.write(offset, 7) }
    #expect(bench.read(0x1524) == 7)
    func messages() -> UInt32 { bench.nic.takeInterrupts(by: .messageTable).messages }
    _ = messages()
    bench.receive(frame(60))
    #expect(messages() == 2)
    #expect(bench.read(0x1524) == 5)
    bench.startSending(descriptors: 8)
    bench.write(0x3828, 1 << 25)
    bench.send(frame(60))
    #expect(bench.sentFrames() == [frame(60)])
    #expect(messages() == 1)
    #expect(bench.read(0x0F14) == 1)
    // The mailbox.
    bench.write(0x1524, 7)
    bench.ask([5, 9000])
    #expect(messages() == 4)
  }

  @Test("what belongs to the physical function is not there")
  func isolation() {
    let bench = VirtualFunctionBench()
    bench.begin()
    for offset: UInt32 in [0x0100, 0x0400, 0x0C8C, 0x1500, 0x1508, 0x1514, 0x3500] {
      bench.write(offset, .max)
      #expect(bench.read(offset) == 0)
    }
    // Vectors beyond its three.
    bench.write(0x1524, .max)
    #expect(bench.read(0x1524) == 7)
    bench.write(0x1700, 0x9F9F_9F9F)
    bench.write(0x1520, .max)
    #expect(bench.nic.takeInterrupts(by: .messageTable).messages == 7)
  }

  @Test("a reset of the function stops its queues, and the next frame is not for it")
  func reset() {
    let bench = VirtualFunctionBench()
    bench.startFunction()
    bench.nic.reset()
    #expect(bench.read(0x2828) == 0 && bench.read(0x2808) == 0)
    bench.receive(frame(60))
    #expect(bench.read(0x2810) == 0)
    bench.begin()
  }
}

@Suite("82576 model: the switch between the functions")
struct IGBSwitchTests {
  /// Two virtual functions with a queue each and an address of their own, the physical function being pool 2.
  private func twoFunctions() -> IGBBench {
    let bench = IGBBench()
    for queue in UInt32(0)..<3 { bench.startQueue(queue) }
    bench.write(0x5818, 3)
    bench.write(0x581C, 2 << 7)
    bench.write(0x5404, 0x8000_5634 | 1 << 20)
    for pool in UInt32(0)..<2 {
      bench.write(0x5408 + 8 * pool, 0x0000_5452)
      bench.write(0x540C + 8 * pool, 1 << 31 | 1 << (18 + pool) | (pool + 1) << 8)
    }
    for pool in UInt32(0)..<3 { bench.write(0x5AD0 + 4 * pool, 1 << 24 | 1 << 27) }
    bench.write(0x0C8C, 7)
    bench.write(0x0C90, 7)
    bench.write(0x0100, 0x0400_8002)
    bench.startSending(descriptors: 8)
    return bench
  }

  private func address(_ pool: UInt8) -> [UInt8] { [0x52, 0x54, 0, 0, 0, pool + 1] }
  private let all = [UInt8](repeating: 0xFF, count: 6)

  @Test("frames from the wire go to the pool whose address they have, broadcasts to all, others to the default pool")
  func fromWire() {
    let bench = twoFunctions()
    bench.receive(frame(60, to: address(0)))
    #expect(bench.completed(3) == [1, 0, 0])
    bench.receive(frame(60, to: address(1)))
    #expect(bench.completed(3) == [1, 1, 0])
    bench.receive(frame(60, to: all))
    #expect(bench.completed(3) == [2, 2, 1])
    bench.receive(frame(60, to: [0x52, 0x54, 9, 9, 9, 9]))
    #expect(bench.completed(3) == [2, 2, 2])
    // VFRE.
    bench.write(0x0C8C, 6)
    bench.receive(frame(60, to: address(0)))
    #expect(bench.completed(3) == [2, 2, 2])
  }

  @Test("with loopback, frames between functions stay inside; broadcasts go both ways")
  func loopback() {
    let bench = twoFunctions()
    bench.write(0x3500, 1 << 31)
    bench.send(frame(60, to: address(1)))
    #expect(bench.completed(3) == [0, 1, 0])
    #expect(bench.sentFrames() == [])
    bench.send(frame(61, to: all))
    #expect(bench.sentFrames() == [frame(61, to: all)])
    // The sender does not hear itself.
    #expect(bench.completed(3) == [0, 2, 1])
    bench.send(frame(62, to: [0x52, 0x54, 9, 9, 9, 9]))
    #expect(bench.sentFrames().count == 1)
  }
}
