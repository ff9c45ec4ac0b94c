import AllyHW

/// A model's registers as 32-bit words, and what follows for accesses of other widths and through the I/O BAR.
protocol IntelRegisterSpace: ~Copyable {
  /// The length of the register BAR, in bytes.
  static var registerSpace: UInt64 { get }
  var controller: IntelController { get set }
  mutating func read(_ offset: UInt32) -> UInt32
  mutating func write(_ offset: UInt32, _ value: UInt32)
}

extension IntelRegisterSpace where Self: ~Copyable {
  /// Registers are 32 bits wide, and the manuals ask for 32-bit accesses (SDM §13.2). A narrower read gives its part of
  /// the register; a wider one reads two.
  mutating func read(_ offset: UInt32, width: RegisterWidth) -> UInt64 {
    guard UInt64(offset) + width.byteCount <= Self.registerSpace else { return 0 }
    let shift = UInt64(offset & 3) * 8
    var value = UInt64(read(offset & ~3)) >> shift
    if UInt64(offset & 3) + width.byteCount > 4, UInt64(offset & ~3) + 8 <= Self.registerSpace {
      value |= UInt64(read(offset & ~3 + 4)) << (32 - shift)
    }
    return value & width.mask
  }

  /// A write of 32 bits, or of 64 to two registers. Others are ignored: what the chips do is not defined.
  mutating func write(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    guard offset & 3 == 0, UInt64(offset) + width.byteCount <= Self.registerSpace else { return }
    switch width {
    case .doubleWord: write(offset, UInt32(truncatingIfNeeded: value))
    case .quadWord:
      write(offset, UInt32(truncatingIfNeeded: value))
      write(offset + 4, UInt32(truncatingIfNeeded: value >> 32))
    case .byte, .word: return
    }
  }

  /// A 32-bit read of the I/O BAR, by which every register can be reached through an address (port 0) and a data window
  /// (port 4); others, and ports without a function, read as 0 (SDM §13.2).
  mutating func readPort(at offset: UInt32, width: RegisterWidth) -> UInt64 {
    guard width == .doubleWord else { return 0 }
    switch offset {
    case 0: return UInt64(controller.portAddress)
    case 4: return read(controller.portAddress, width: .doubleWord)
    default: return 0
    }
  }

  /// A 32-bit write of a port; others are ignored.
  mutating func writePort(at offset: UInt32, value: UInt64, width: RegisterWidth) {
    guard width == .doubleWord else { return }
    switch offset {
    // IOADDR has 20 bits; its low two bits are fixed at zero.
    case 0: controller.portAddress = UInt32(truncatingIfNeeded: value) & 0xF_FFFC
    case 4: write(controller.portAddress, value: value, width: .doubleWord)
    default: return
    }
  }
}
