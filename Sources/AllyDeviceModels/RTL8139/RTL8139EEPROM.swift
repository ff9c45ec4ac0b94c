/// The serial EEPROM of an RTL8139C: a 93C46, 64 words of 16 bits behind a Microwire interface, and the register that
/// software clocks it by, 9346CR (datasheet 5.13 and chapter 6).
struct RTL8139EEPROM {
  private enum Bit {
    static let dataOut: UInt8 = 1 << 0
    static let dataIn: UInt8 = 1 << 1
    static let clock: UInt8 = 1 << 2
    static let chipSelect: UInt8 = 1 << 3
    static let mode: UInt8 = 3 << 6
    static let written = dataIn | clock | chipSelect | mode
  }

  /// EEM1 and EEM0.
  enum Mode: UInt8 {
    case normal = 0
    case autoLoad = 1
    case programming = 2
    case writeConfiguration = 3
  }

  private(set) var words: [UInt16]
  private var register: UInt8 = 0
  /// What was clocked in since the chip was selected, from the start bit on.
  private var input: UInt32 = 0
  private var inputLength = 0
  private var output: UInt32 = 0
  private var isReading = false
  private var dataOut = true
  /// Whether words may be changed (EWEN).
  private var isWritable = false

  init(macAddress: [UInt8], vendor: UInt16, device: UInt16) {
    words = [UInt16](repeating: 0, count: 64)
    // The signature, without which the chip takes its defaults.
    words[0] = 0x8129
    words[1] = vendor
    words[2] = device
    words[3] = vendor
    words[4] = device
    // Latencies.
    words[5] = 0x4020
    for index in 0..<3 { words[7 + index] = UInt16(macAddress[2 * index]) | UInt16(macAddress[2 * index + 1]) << 8 }
  }

  var mode: Mode { Mode(rawValue: register >> 6) ?? .normal }

  /// The station address that the EEPROM holds.
  var stationAddress: [UInt8] {
    words[7..<10].flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
  }

  /// 9346CR as software reads it.
  var control: UInt8 { register | (mode == .programming && dataOut ? Bit.dataOut : 0) }

  /// Leaves whatever mode the interface was in.
  mutating func endAccess() {
    register = 0
    deselect()
  }

  /// A write to 9346CR; the chip looks at its input at each rising edge of the clock.
  mutating func writeControl(_ value: UInt8) {
    let isRising = value & ~register & Bit.clock != 0
    register = value & Bit.written
    guard mode == .programming, register & Bit.chipSelect != 0 else { return deselect() }
    guard isRising else { return }
    if isReading {
      dataOut = output & 0x8000 != 0
      output <<= 1
      return
    }
    let bit: UInt32 = value & Bit.dataIn == 0 ? 0 : 1
    // Zeros before the start bit are ignored.
    guard inputLength > 0 || bit == 1, inputLength < 25 else { return }
    input = input << 1 | bit
    inputLength += 1
    if inputLength == 9, input >> 6 == 0b110 {
      isReading = true
      output = UInt32(words[Int(input & 63)])
      dataOut = false
    }
  }

  /// A write takes effect when the chip is no longer selected.
  private mutating func deselect() {
    if inputLength >= 9 { execute() }
    input = 0
    inputLength = 0
    isReading = false
    dataOut = true
  }

  private mutating func execute() {
    let command = inputLength == 25 ? input >> 16 : input
    guard inputLength == 9 || inputLength == 25 else { return }
    let data = UInt16(truncatingIfNeeded: input)
    let place = Int(command & 63)
    switch (command >> 6, command >> 4 & 3, inputLength) {
    case (0b100, 0b11, 9): isWritable = true
    case (0b100, 0b00, 9): isWritable = false
    case (0b100, 0b10, 9) where isWritable: for index in words.indices { words[index] = 0xFFFF }
    case (0b100, 0b01, 25) where isWritable: for index in words.indices { words[index] = data }
    case (0b101, _, 25) where isWritable: words[place] = data
    case (0b111, _, 9) where isWritable: words[place] = 0xFFFF
    default: return
    }
  }
}
