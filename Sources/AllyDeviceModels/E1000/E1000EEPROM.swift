/// The serial EEPROM of an 82540EM: 64 words of 16 bits behind a Microwire interface (SDM §5.2 to §5.6), and the register
/// that software clocks it by (EECD).
struct E1000EEPROM {
  /// Bits of EECD.
  private enum Bit {
    static let clock: UInt32 = 1 << 0
    static let chipSelect: UInt32 = 1 << 1
    static let dataIn: UInt32 = 1 << 2
    static let dataOut: UInt32 = 1 << 3
    static let flashWrite: UInt32 = 3 << 4
    static let request: UInt32 = 1 << 6
    static let grant: UInt32 = 1 << 7
    static let present: UInt32 = 1 << 8
    /// What software can write.
    static let written = clock | chipSelect | dataIn | flashWrite | request
  }

  private let nvm: IntelNVM
  private var written: UInt32 = 0
  /// The bits clocked in since the chip was selected, beginning with the start bit.
  private var command: UInt32 = 0
  private var commandLength = 0
  /// The data that is being clocked out, the next bit on top.
  private var output: UInt32 = 0
  private var isReading = false
  private var dataOut = true

  init(_ nvm: IntelNVM) { self.nvm = nvm }

  mutating func exchange(with record: inout StateRecord) {
    record.exchange(&written)
    record.exchange(&command)
    record.exchange(&commandLength)
    record.exchange(&output)
    record.exchange(&isReading)
    record.exchange(&dataOut)
  }

  /// EECD as software reads it. The bus is granted whenever it is requested: nobody else uses it.
  var control: UInt32 {
    written | Bit.present | (written & Bit.request == 0 ? 0 : Bit.grant) | (dataOut ? Bit.dataOut : 0)
  }

  /// A write to EECD: the chip looks at its input at each rising edge of the clock.
  mutating func writeControl(_ value: UInt32) {
    let isRising = value & ~written & Bit.clock != 0
    written = value & Bit.written
    guard written & Bit.chipSelect != 0 else {
      command = 0
      commandLength = 0
      isReading = false
      dataOut = true
      return
    }
    guard isRising else { return }
    if isReading {
      dataOut = output & 0x8000 != 0
      output <<= 1
      return
    }
    let bit: UInt32 = value & Bit.dataIn == 0 ? 0 : 1
    // Before the start bit, zeros are ignored.
    guard commandLength > 0 || bit == 1, commandLength < 9 else { return }
    command = command << 1 | bit
    commandLength += 1
    guard commandLength == 9 else { return }
    // Start bit, two bits of operation, six of address. The EEPROM is write-protected: other operations do nothing,
    // and report themselves as done.
    if command >> 6 == 0b110 {
      isReading = true
      output = UInt32(nvm[Int(command & 63)])
      dataOut = false
    } else {
      dataOut = true
    }
  }

  /// What EERD reads after software wrote `value` with its start bit: the word and the done bit (SDM, EERD).
  func read(_ value: UInt32) -> UInt32 {
    guard value & 1 == 1 else { return value & 0xFF00 }
    let word = nvm[Int(value >> 8 & 63)]
    return UInt32(word) << 16 | value & 0xFF00 | 1 << 4
  }
}
