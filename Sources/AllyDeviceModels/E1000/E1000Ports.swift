public import AllyHW

/// The I/O BAR: 64 bytes through which every register can be reached, by an address and a data window (SDM §13.2). Some
/// drivers reset the controller this way.
///
/// Whoever intercepts the register BAR has to intercept this one as well, or the OS gets round the Remapping Table here.
extension E1000Model {
  /// The length of the I/O BAR, in bytes.
  public static var portSpace: UInt64 { 64 }

  private static var addressPort: UInt32 { 0 }
  private static var dataPort: UInt32 { 4 }

  /// A 32-bit read of a port; others, and ports without a function, read as 0.
  public mutating func readPort(_ offset: UInt32, width: RegisterWidth) -> UInt64 {
    guard width == .doubleWord else { return 0 }
    switch offset {
    case Self.addressPort: return UInt64(portAddress)
    case Self.dataPort: return readRegister(portAddress, width: .doubleWord)
    default: return 0
    }
  }

  /// A 32-bit write of a port; others are ignored.
  public mutating func writePort(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    guard width == .doubleWord else { return }
    switch offset {
    // IOADDR has 20 bits; its low two bits are fixed at zero.
    case Self.addressPort: portAddress = UInt32(truncatingIfNeeded: value) & 0xF_FFFC
    case Self.dataPort: writeRegister(portAddress, value: value, width: .doubleWord)
    default: return
    }
  }
}
