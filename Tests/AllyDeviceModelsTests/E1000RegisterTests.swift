import AllyDeviceModels
import AllyHW
import Testing

@Suite("82540EM model: registers")
struct E1000RegisterTests {
  @Test("after reset: link up at 1000 Mbit/s full duplex, no causes, nothing enabled, the address from the EEPROM")
  func resetValues() {
    let bench = Bench()
    #expect(bench.read(0x0008) & 0xC3 == 0x83)
    #expect(bench.read(0x0100) == 0)
    #expect(bench.read(0x0400) == 0)
    #expect(bench.read(0x00C0) == 0)
    #expect(bench.read(0x00D0) == 0)
    #expect(bench.read(0x1000) == 0x0010_0030)
    #expect(bench.read(0x5400) == 0x1200_5452)
    #expect(bench.read(0x5404) == 0x8000_5634)
    #expect(!bench.assertsInterrupt)
  }

  @Test("the software reset clears itself and everything that drivers set, but no statistics")
  func softwareReset() {
    let bench = Bench()
    bench.startReceiving(descriptors: 8)
    bench.write(0x00D0, 0x80)
    bench.receive(frame(100))
    bench.write(0x5200, 0x1234)
    bench.write(0x0000, 1 << 26)
    #expect(bench.read(0x0000) & 1 << 26 == 0)
    #expect(bench.read(0x0100) == 0)
    #expect(bench.read(0x2800) == 0)
    #expect(bench.read(0x2810) == 0)
    #expect(bench.read(0x5200) == 0)
    #expect(bench.read(0x5404) == 0x8000_5634)
    #expect(!bench.assertsInterrupt)
    #expect(bench.read(0x00C0) == 0)
    #expect(bench.read(0x4074) == 1)
  }

  @Test("a hardware reset clears the statistics as well")
  func hardwareReset() {
    let bench = Bench()
    bench.startReceiving(descriptors: 8)
    bench.receive(frame(100))
    bench.nic.reset()
    #expect(bench.read(0x4074) == 0)
    #expect(bench.read(0x0100) == 0)
  }

  @Test("reserved bits read as zero; a ring's length is a multiple of 128")
  func reservedBits() {
    let bench = Bench()
    for (offset, bits) in [
      (UInt32(0x2800), UInt32(0xFFFF_FFF0)), (0x2808, 0xF_FF80), (0x2810, 0xFFFF), (0x3808, 0xF_FF80), (0x00C4, 0xFFFF),
      (0x5404, 0x8003_FFFF),
    ] {
      bench.write(offset, .max)
      #expect(bench.read(offset) == bits)
    }
  }

  @Test("offsets without a register read as zero and keep nothing")
  func absentRegisters() {
    let bench = Bench()
    for offset: UInt32 in [0x000C, 0x0034, 0x1F00, 0x7000, 0x1_FFFC, 0x2_0000, 0xFFFF_FFFC] {
      bench.write(offset, .max)
      #expect(bench.read(offset) == 0)
    }
  }

  @Test("narrow and wide reads give their parts; a narrow write does nothing, a wide one writes two registers")
  func widths() {
    let bench = Bench()
    bench.nic.writeRegister(0x2800, value: 0x0000_0012_3456_7890, width: .quadWord)
    #expect(bench.read(0x2800) == 0x3456_7890)
    #expect(bench.read(0x2804) == 0x12)
    #expect(bench.nic.readRegister(0x2800, width: .quadWord) == 0x12_3456_7890)
    #expect(bench.nic.readRegister(0x2802, width: .word) == 0x3456)
    #expect(bench.nic.readRegister(0x2803, width: .byte) == 0x34)
    #expect(bench.nic.readRegister(0x2802, width: .doubleWord) == 0x0012_3456)
    bench.nic.writeRegister(0x2800, value: 0xFF, width: .byte)
    #expect(bench.read(0x2800) == 0x3456_7890)
    #expect(bench.nic.readRegister(0x1_FFFE, width: .doubleWord) == 0)
  }

  @Test("the I/O BAR reaches every register, by address and data; a reset through it works")
  func ports() {
    let bench = Bench()
    bench.nic.writePort(0, value: 0x2800, width: .doubleWord)
    bench.nic.writePort(4, value: 0x1000, width: .doubleWord)
    #expect(bench.read(0x2800) == 0x1000)
    #expect(bench.nic.readPort(0, width: .doubleWord) == 0x2800)
    #expect(bench.nic.readPort(4, width: .doubleWord) == 0x1000)
    bench.nic.writePort(0, value: 0, width: .doubleWord)
    bench.nic.writePort(4, value: 1 << 26, width: .doubleWord)
    #expect(bench.read(0x2800) == 0)
    // Beyond the registers, at other ports and other widths there is nothing.
    bench.nic.writePort(0, value: 0xFFFF_FFFF, width: .doubleWord)
    bench.nic.writePort(4, value: 1, width: .doubleWord)
    #expect(bench.nic.readPort(4, width: .doubleWord) == 0)
    #expect(bench.nic.readPort(8, width: .doubleWord) == 0)
    bench.nic.writePort(0, value: 0x2800, width: .byte)
    #expect(bench.nic.readPort(0, width: .doubleWord) == 0xF_FFFC)
  }

  @Test("the function that enumeration finds")
  func function() {
    let function = Bench().nic.function
    #expect(function.vendorID == 0x8086)
    #expect(function.deviceID == 0x100E)
    #expect(function.classCode == 0x020000)
    #expect(function.interruptPin == 1)
    #expect(function.baseAddressRegisters.first?.length == 0x2_0000)
  }
}

@Suite("82540EM model: interrupts")
struct E1000InterruptTests {
  @Test("causes interrupt when they are unmasked; reading ICR takes them and lowers the pin")
  func readToClear() {
    let bench = Bench()
    bench.write(0x00C8, 0x84)
    #expect(!bench.assertsInterrupt)
    bench.write(0x00D0, 0x04)
    #expect(bench.assertsInterrupt)
    #expect(bench.read(0x00C0) == 0x84)
    #expect(!bench.assertsInterrupt)
    #expect(bench.read(0x00C0) == 0)
  }

  @Test("IMS adds to the mask, IMC takes from it, and IMS reads it")
  func mask() {
    let bench = Bench()
    bench.write(0x00D0, 0x80)
    bench.write(0x00D0, 0x04)
    #expect(bench.read(0x00D0) == 0x84)
    bench.write(0x00D8, 0x80)
    #expect(bench.read(0x00D0) == 0x04)
    bench.write(0x00C8, 0x80)
    #expect(!bench.assertsInterrupt)
  }

  @Test("a write of ones to ICR clears these causes")
  func writeToClear() {
    let bench = Bench()
    bench.write(0x00C8, 0x86)
    bench.write(0x00C0, 0x02)
    #expect(bench.read(0x00C0) == 0x84)
  }

  @Test("a masked cause waits: unmasking raises the pin")
  func maskedCause() {
    let bench = Bench()
    bench.startReceiving(descriptors: 8)
    bench.receive(frame(100))
    #expect(!bench.assertsInterrupt)
    bench.write(0x00D0, 0x80)
    #expect(bench.assertsInterrupt)
  }

  @Test("ITR holds the pin down until its interval is over, when there is a clock")
  func throttling() {
    let bench = Bench()
    bench.write(0x00C4, 100)
    bench.write(0x00D0, 0x04)
    bench.nic.advance(to: 0)
    bench.write(0x00C8, 0x04)
    #expect(bench.nic.takeInterrupts(by: .pin) == NICInterrupts(isPinAsserted: true, messages: 1))
    _ = bench.read(0x00C0)
    #expect(bench.nic.takeInterrupts(by: .pin) == NICInterrupts())
    bench.write(0x00C8, 0x04)
    #expect(bench.nic.takeInterrupts(by: .pin) == NICInterrupts())
    #expect(bench.nic.nextTimer == 25600)
    bench.nic.advance(to: 25600)
    #expect(bench.nic.takeInterrupts(by: .pin) == NICInterrupts(isPinAsserted: true, messages: 1))
  }

  @Test("the cable out and in: LSC, and STATUS and the PHY say so")
  func link() {
    let bench = Bench()
    bench.startReceiving(descriptors: 8)
    bench.nic.isLinkUp = false
    #expect(bench.read(0x00C0) == 0x04)
    #expect(bench.read(0x0008) & 2 == 0)
    bench.receive(frame(100))
    #expect(bench.read(0x2810) == 0)
    bench.nic.isLinkUp = true
    #expect(bench.read(0x00C0) == 0x04)
    bench.run()
    #expect(bench.read(0x2810) == 1)
  }
}

@Suite("82540EM model: EEPROM and PHY")
struct E1000ManagementTests {
  /// Reads a word as a driver does: three bits of operation and six of address in, 16 of data out.
  private func readWord(_ bench: Bench, _ address: UInt32) -> UInt16 {
    let clock: UInt32 = 1
    let select: UInt32 = 2
    let dataIn: UInt32 = 4
    let dataOut: UInt32 = 8
    let request: UInt32 = 0x40
    bench.write(0x10, request)
    #expect(bench.read(0x10) & 0x80 != 0)
    bench.write(0x10, request | select)
    for bit in (0..<9).reversed() {
      let value = (0b110 << 6 | address) >> UInt32(bit) & 1 == 1 ? dataIn : 0
      bench.write(0x10, request | select | value)
      bench.write(0x10, request | select | value | clock)
      bench.write(0x10, request | select | value)
    }
    var word: UInt16 = 0
    for _ in 0..<16 {
      bench.write(0x10, request | select | clock)
      word = word << 1 | (bench.read(0x10) & dataOut == 0 ? 0 : 1)
      bench.write(0x10, request | select)
    }
    bench.write(0x10, request)
    bench.write(0x10, 0)
    #expect(bench.read(0x10) & 0x80 == 0)
    return word
  }

  @Test("clocked out bit by bit: the MAC address, the ids, and the checksum 0xBABA")
  func microwire() {
    let bench = Bench()
    let words = (0..<UInt32(64)).map { readWord(bench, $0) }
    #expect(words.reduce(0, &+) == 0xBABA)
    #expect(words[..<3] == [0x5452, 0x1200, 0x5634])
    #expect(words[0x0D] == 0x100E)
    #expect(words[0x0E] == 0x8086)
    #expect(words[0x0A] >> 14 == 0b01)
  }

  @Test("EERD gives the same words")
  func eerd() {
    let bench = Bench()
    for address: UInt32 in [0, 1, 2, 13, 63] {
      bench.write(0x14, address << 8 | 1)
      let value = bench.read(0x14)
      #expect(value >> 4 & 1 == 1)
      #expect(UInt16(value >> 16) == readWord(bench, address))
    }
  }

  @Test("deselecting in the middle of a command starts afresh; a write does not change a word")
  func interruptedCommand() {
    let bench = Bench()
    for value: UInt32 in [0x42, 0x46, 0x47, 0x46, 0x47, 0x40] { bench.write(0x10, value) }
    #expect(readWord(bench, 0) == 0x5452)
    // A write command (101) for word 0, with data.
    for bit in (0..<25).reversed() {
      let value: UInt32 = (0b101 << 22 | 0xFFFF) >> UInt32(bit) & 1 == 1 ? 4 : 0
      bench.write(0x10, 0x42 | value)
      bench.write(0x10, 0x43 | value)
    }
    bench.write(0x10, 0x40)
    #expect(readWord(bench, 0) == 0x5452)
  }

  @Test("the PHY's identifiers, and link up with autonegotiation done")
  func phy() {
    let bench = Bench()
    func read(_ register: UInt32) -> UInt32 {
      bench.write(0x20, 2 << 26 | 1 << 21 | register << 16)
      let value = bench.read(0x20)
      #expect(value >> 28 & 1 == 1 && value >> 30 & 1 == 0)
      return value & 0xFFFF
    }
    #expect(read(2) == 0x0141)
    #expect(read(3) == 0x0C20)
    #expect(read(1) & 0x24 == 0x24)
    bench.write(0x20, 1 << 26 | 1 << 21 | 16 << 16 | 0x1234)
    #expect(read(16) == 0x1234)
    // Reset and restart bits clear themselves.
    bench.write(0x20, 1 << 26 | 1 << 21 | 0 << 16 | 0x9340)
    #expect(read(0) == 0x1140)
    #expect(read(16) == 0x0360)
    bench.nic.isLinkUp = false
    #expect(read(1) & 0x04 == 0)
  }

  @Test("another PHY address is an error; an access can interrupt when it is done")
  func mdic() {
    let bench = Bench()
    bench.write(0x20, 2 << 26 | 2 << 21 | 2 << 16)
    #expect(bench.read(0x20) >> 30 & 1 == 1)
    #expect(bench.read(0x00C0) == 0)
    bench.write(0x20, 1 << 29 | 2 << 26 | 1 << 21 | 2 << 16)
    #expect(bench.read(0x00C0) == 0x200)
  }
}

@Suite("82540EM model: statistics")
struct E1000StatisticsTests {
  @Test("frames are counted by kind and size, and reading clears")
  func counts() {
    let bench = Bench()
    bench.startReceiving(descriptors: 16)
    bench.receive(frame(60))
    bench.receive(frame(100))
    bench.receive(frame(1514, to: [UInt8](repeating: 0xFF, count: 6)))
    bench.receive(frame(200, to: [0x01, 0, 0x5E, 0, 0, 1]))
    #expect(bench.read(0x4074) == 4)
    #expect(bench.read(0x40D0) == 4)
    #expect(bench.read(0x4078) == 1)
    #expect(bench.read(0x407C) == 1)
    #expect(bench.read(0x405C) == 1)
    #expect(bench.read(0x4060) == 1)
    #expect(bench.read(0x4064) == 1)
    #expect(bench.read(0x4070) == 1)
    for offset: UInt32 in [0x4074, 0x40D0, 0x4078, 0x407C, 0x405C, 0x4070] { #expect(bench.read(offset) == 0) }
  }

  @Test("a pair of octet counters is cleared by reading its upper half")
  func octets() {
    let bench = Bench()
    bench.startReceiving(descriptors: 16)
    bench.receive(frame(60))
    #expect(bench.read(0x4088) == 64)
    #expect(bench.read(0x4088) == 64)
    #expect(bench.read(0x408C) == 0)
    #expect(bench.read(0x4088) == 0)
  }

  @Test("what was sent is counted too")
  func sent() {
    let bench = Bench()
    bench.startSending(descriptors: 8)
    bench.send(frame(100))
    bench.send(frame(60, to: [UInt8](repeating: 0xFF, count: 6)))
    #expect(bench.read(0x4080) == 2)
    #expect(bench.read(0x40D4) == 2)
    #expect(bench.read(0x40F4) == 1)
    #expect(bench.read(0x40D8) == 1)
    #expect(bench.read(0x4090) == 168)
  }
}
