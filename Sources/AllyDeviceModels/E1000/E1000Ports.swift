public import AllyHW

/// The I/O BAR: 64 bytes through which every register can be reached, by an address and a data window (SDM §13.2). Some
/// drivers reset the controller this way.
///
/// Whoever intercepts the register BAR has to intercept this one as well, or the OS gets round the Remapping Table here.
extension E1000Model {
  /// The length of the I/O BAR, in bytes.
  public static var portSpace: UInt64 { 64 }

  /// A 32-bit read of a port; others, and ports without a function, read as 0.
  public mutating func readPort(_ offset: UInt32, width: RegisterWidth) -> UInt64 {
    readPort(at: offset, width: width)
  }

  /// A 32-bit write of a port; others are ignored.
  public mutating func writePort(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    writePort(at: offset, value: value, width: width)
  }
}
