/// The PHY inside a gigabit controller, at management address 1 (SDM, MDIC and the PHY registers after it; 82574 datasheet
/// §10.2.2.7; 82576 datasheet §8.2.4).
struct IntelPHY {
  private var registers: InlineArray<32, UInt16>
  /// PHY registers 2 and 3.
  private let identifier: UInt32
  var isLinkUp = true

  init(identifier: UInt32) {
    self.identifier = identifier
    registers = Self.powerUp(identifier)
  }

  /// A hardware reset; the cable stays as it is.
  mutating func reset() { registers = Self.powerUp(identifier) }

  private static func powerUp(_ identifier: UInt32) -> InlineArray<32, UInt16> {
    var values = InlineArray<32, UInt16>(repeating: 0)
    values[0] = 0x1140  // autonegotiation enabled, full duplex, 1000 Mbit/s
    values[2] = UInt16(identifier >> 16)
    values[3] = UInt16(truncatingIfNeeded: identifier)
    values[4] = 0x0DE1  // advertised: all of 10 and 100 Mbit/s, pause
    values[5] = 0x41E1  // the link partner's: likewise
    values[6] = 0x0001
    values[9] = 0x0E00  // 1000BASE-T advertised
    values[10] = 0x3C00  // 1000BASE-T: the link partner can, both receivers work
    values[15] = 0x3000
    values[16] = 0x0360
    values[20] = 0x0D60
    return values
  }

  /// A management read or write, as MDIC's bits ask for it.
  ///
  /// - Returns: MDIC afterwards, with its ready bit, and the error bit when no PHY has the address.
  mutating func access(_ request: UInt32) -> UInt32 {
    let ready: UInt32 = 1 << 28
    let error: UInt32 = 1 << 30
    guard request >> 21 & 31 == 1 else { return request | ready | error }
    let register = Int(request >> 16 & 31)
    switch request >> 26 & 3 {
    case 1:
      write(UInt16(truncatingIfNeeded: request), register)
      return request | ready
    case 2:
      return request & 0xFFFF_0000 | UInt32(read(register)) | ready
    default:
      return request | ready | error
    }
  }

  private func read(_ register: Int) -> UInt16 {
    switch register {
    // Abilities; autonegotiation done and link, when there is one.
    case 1: isLinkUp ? 0x796D : 0x7949
    // 1000 Mbit/s, full duplex, resolved, link.
    case 17: isLinkUp ? 0xAC00 : 0x0000
    default: registers[register]
    }
  }

  private mutating func write(_ value: UInt16, _ register: Int) {
    switch register {
    case 0:
      if value & 0x8000 != 0 { reset() }
      // Reset and restart of autonegotiation end at once.
      registers[0] = value & ~0x8200
    case 1, 2, 3, 5, 6, 10, 15, 17: break
    default: registers[register] = value
    }
  }
}
