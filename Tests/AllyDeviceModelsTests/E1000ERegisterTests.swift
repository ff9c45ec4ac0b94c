import AllyDeviceModels
import AllyHW
import Testing

typealias E1000EBench = NICBench<E1000EModel>

@Suite("82574L model: registers")
struct E1000ERegisterTests {
  @Test(
    "after reset: link up at 1000 Mbit/s full duplex, NVM loaded, no causes, nothing enabled, the address from the NVM")
  func resetValues() {
    let bench = E1000EBench()
    #expect(bench.read(0x0008) == 0x8008_0783)
    #expect(bench.read(0x0010) & 0x300 == 0x300)
    for offset: UInt32 in [0x0100, 0x0400, 0x00C0, 0x00D0, 0x00DC, 0x00E4, 0x5008, 0x5818] {
      #expect(bench.read(offset) == 0)
    }
    #expect(bench.read(0x5400) == 0x1200_5452)
    #expect(bench.read(0x5404) == 0x8000_5634)
    #expect(!bench.assertsInterrupt)
  }

  @Test(
    "the function that enumeration finds: four BARs, five MSI-X messages, the capabilities of a PCI Express endpoint")
  func function() {
    let function = E1000EBench().nic.function
    #expect(function.vendorID == 0x8086 && function.deviceID == 0x10D3)
    #expect(function.baseAddressRegisters.map(\.length) == [0x2_0000, 0x2_0000, 32, 0x4000])
    #expect(function.msix == MSIXLayout(vectors: 5, register: 3, tableOffset: 0, pendingOffset: 0x2000))
    #expect(function.capabilities.map(\.kind.rawValue).sorted() == [0x01, 0x05, 0x10, 0x11])
  }

  @Test("EERD, with its address from bit 2 on: the MAC address, the ids, and the checksum 0xBABA; behind it nothing")
  func nvm() {
    let bench = E1000EBench()
    func word(_ address: UInt32) -> UInt16 {
      bench.write(0x14, address << 2 | 1)
      let value = bench.read(0x14)
      #expect(value & 2 == 2)
      return UInt16(value >> 16)
    }
    let words = (0..<UInt32(64)).map(word)
    #expect(words.reduce(0, &+) == 0xBABA)
    #expect(words[..<3] == [0x5452, 0x1200, 0x5634])
    #expect(words[0x0D] == 0x10D3 && words[0x0E] == 0x8086)
    #expect(word(64) == 0xFFFF)
    #expect(word(0x3FFF) == 0xFFFF)
  }

  @Test("the PHY's identifiers; the bus is granted when it is requested")
  func managementInterfaces() {
    let bench = E1000EBench()
    func phy(_ register: UInt32) -> UInt32 {
      bench.write(0x20, 2 << 26 | 1 << 21 | register << 16)
      return bench.read(0x20) & 0xFFFF
    }
    #expect(phy(2) == 0x0141 && phy(3) == 0x0CB1)
    bench.write(0x10, 0x40)
    #expect(bench.read(0x10) & 0xC0 == 0xC0)
    bench.write(0x10, 0)
    #expect(bench.read(0x10) & 0xC0 == 0)
  }

  @Test("the software semaphore is taken by the read that finds it free; ownership bits read as written")
  func semaphores() {
    let bench = E1000EBench()
    #expect(bench.read(0x5B50) & 1 == 0)
    #expect(bench.read(0x5B50) & 1 == 1)
    bench.write(0x5B50, 2)
    #expect(bench.read(0x5B50) == 2)
    bench.write(0x0F00, 0x20)
    #expect(bench.read(0x0F00) == 0x20)
  }

  @Test("no more bus mastering when software asks for its end")
  func masterDisable() {
    let bench = E1000EBench()
    bench.write(0x0000, bench.read(0x0000) | 1 << 2)
    #expect(bench.read(0x0008) >> 19 & 1 == 0)
  }

  @Test("the software reset clears rings, queues and interrupts, the I/O BAR reaches it, and statistics stay")
  func softwareReset() {
    let bench = E1000EBench()
    bench.startReceiving(descriptors: 8)
    bench.write(0x00D0, 0x80)
    bench.receive(frame(100))
    bench.write(0x2900, 0x1000)
    bench.nic.writePort(0, value: 0, width: .doubleWord)
    bench.nic.writePort(4, value: 1 << 26, width: .doubleWord)
    for offset: UInt32 in [0x0100, 0x2800, 0x2810, 0x2900, 0x00C0, 0x00D0, 0x00E4] { #expect(bench.read(offset) == 0) }
    #expect(bench.read(0x3840) == 0x403 && bench.read(0x3940) == 0x403)
    #expect(bench.read(0x4074) == 1)
    #expect(bench.read(0x4104) == 1)
    #expect(!bench.assertsInterrupt)
  }

  /// Every register that the stock Linux driver touches from probe to removal, as seen on a machine.
  private static let touchedByStockDriver: [ClosedRange<UInt32>] = [
    0x0000...0x0000, 0x0008...0x0008, 0x0010...0x0020, 0x0028...0x0030, 0x0038...0x0038, 0x00C0...0x00FC,
    0x0100...0x0100, 0x0170...0x0170, 0x0400...0x0400, 0x0458...0x0458, 0x0E00...0x0F00, 0x1000...0x1000,
    0x2160...0x2168, 0x2800...0x2828, 0x282C...0x282C, 0x2928...0x2928, 0x3800...0x382C, 0x3840...0x3840,
    0x3928...0x3940, 0x4000...0x4124, 0x5000...0x5008, 0x5200...0x5818, 0x5B00...0x5B64, 0x5C00...0x5CA4,
    0xB600...0xB638,
  ]

  @Test("whatever is written to the registers that the stock driver touches, they answer, and a reset brings all back")
  func stockRegisters() {
    let bench = E1000EBench()
    let offsets = Self.touchedByStockDriver.flatMap { stride(from: $0.lowerBound, through: $0.upperBound, by: 4) }
    for value: UInt32 in [.max, 0, 0xA5A5_A5A5] {
      for offset in offsets {
        bench.write(offset, value & ~(1 << 26))
        _ = bench.read(offset)
      }
    }
    bench.nic.reset()
    resetValues()
    let fresh = E1000EBench()
    // A read may clear, so both are read in the same order.
    for offset in offsets { #expect(bench.read(offset) == fresh.read(offset), "offset \(offset)") }
  }
}

@Suite("82574L model: interrupts")
struct E1000EInterruptTests {
  /// RxQ0, TxQ0 and Other on vectors 0, 1 and 2, as the stock driver has them.
  private func withMessages() -> E1000EBench {
    let bench = E1000EBench()
    bench.write(0x00E4, 0x800A_0908)
    bench.write(0x0018, 1 << 31 | 1 << 24)
    bench.write(0x00DC, 0x0050_0000)
    bench.write(0x00D0, 0x0150_0044)
    _ = bench.nic.takeInterrupts(by: .messageTable)
    return bench
  }

  private func messages(_ bench: E1000EBench) -> UInt32 { bench.nic.takeInterrupts(by: .messageTable).messages }

  @Test("by pin: ICR says INT_ASSERTED, and its read clears")
  func pin() {
    let bench = E1000EBench()
    bench.write(0x00C8, 0x84)
    #expect(!bench.assertsInterrupt)
    bench.write(0x00D0, 0x04)
    #expect(bench.nic.takeInterrupts(by: .pin) == NICInterrupts(isPinAsserted: true, messages: 1))
    #expect(bench.nic.takeInterrupts(by: .pin) == NICInterrupts(isPinAsserted: true, messages: 0))
    #expect(bench.read(0x00C0) == 0x8000_0084)
    #expect(!bench.assertsInterrupt)
    #expect(bench.read(0x4100) == 1)
  }

  @Test("a received frame sends the queue's message once; EIAC clears the cause and masks it until IMS")
  func receiveMessage() {
    let bench = withMessages()
    bench.startReceiving(descriptors: 16)
    bench.receive(frame(60))
    #expect(messages(bench) == 1 << 0)
    #expect(bench.read(0x00D0) == 0x0140_0044)
    bench.receive(frame(60))
    #expect(messages(bench) == 0)
    bench.write(0x00D0, 0x0010_0000)
    #expect(messages(bench) == 1 << 0)
    #expect(messages(bench) == 0)
    #expect(!bench.assertsInterrupt)
  }

  @Test("a sent frame sends the transmit queue's message, a link change the other one's; ICR tells and clears")
  func otherMessages() {
    let bench = withMessages()
    bench.startSending(descriptors: 8)
    bench.send(frame(60))
    #expect(messages(bench) == 1 << 1)
    bench.nic.isLinkUp = false
    #expect(messages(bench) == 1 << 2)
    #expect(messages(bench) == 0)
    #expect(bench.read(0x00C0) & 0x8100_0004 == 0x8100_0004)
    bench.nic.isLinkUp = true
    #expect(messages(bench) == 1 << 2)
  }

  @Test("a cause without a valid vector sends nothing, and none beyond the fifth exists")
  func invalidVectors() {
    let bench = withMessages()
    bench.write(0x00E4, 0x0000_000F)
    bench.write(0x00C8, 0x01F0_0000)
    #expect(messages(bench) == 0)
  }

  @Test("while nothing is asserted, a read of ICR has no side effect with MSI-X; with everything masked it clears")
  func readWithMessages() {
    let bench = withMessages()
    bench.write(0x00C8, 0x0080_0000)
    #expect(bench.read(0x00C0) & 0x0080_0000 != 0)
    #expect(bench.read(0x00C0) & 0x0080_0000 != 0)
    bench.write(0x00D8, .max)
    #expect(bench.read(0x00C0) & 0x0080_0000 != 0)
    #expect(bench.read(0x00C0) == 0)
  }

  @Test("IAME: reading an asserted ICR masks what IAM says")
  func readAutoMask() {
    let bench = E1000EBench()
    bench.write(0x0018, 1 << 27)
    bench.write(0x00E0, 0x80)
    bench.write(0x00D0, 0x84)
    bench.write(0x00C8, 0x80)
    #expect(bench.read(0x00C0) == 0x8000_0080)
    #expect(bench.read(0x00D0) == 0x04)
  }

  @Test("EITR and ITR hold interrupts back until their interval is over, when there is a clock")
  func throttling() {
    let bench = withMessages()
    bench.startReceiving(descriptors: 16)
    bench.write(0x00E8, 100)
    bench.nic.advance(to: 1000)
    bench.receive(frame(60))
    #expect(messages(bench) == 1)
    bench.write(0x00D0, 0x0010_0000)
    bench.receive(frame(60))
    #expect(messages(bench) == 0)
    #expect(bench.nic.nextTimer == 1000 + 25600)
    bench.nic.advance(to: 26599)
    #expect(messages(bench) == 0)
    bench.nic.advance(to: 26600)
    #expect(messages(bench) == 1)
    #expect(bench.nic.nextTimer == nil)

    let other = E1000EBench()
    other.write(0x00C4, 100)
    other.write(0x00D0, 0x04)
    other.nic.advance(to: 0)
    other.write(0x00C8, 0x04)
    #expect(other.nic.takeInterrupts(by: .pin).isPinAsserted)
    _ = other.read(0x00C0)
    _ = other.nic.takeInterrupts(by: .pin)
    other.write(0x00C8, 0x04)
    #expect(!other.nic.takeInterrupts(by: .pin).isPinAsserted)
    #expect(other.nic.nextTimer == 25600)
    other.nic.advance(to: 25600)
    #expect(other.nic.takeInterrupts(by: .pin) == NICInterrupts(isPinAsserted: true, messages: 1))
  }
}
