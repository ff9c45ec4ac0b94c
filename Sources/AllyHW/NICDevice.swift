/// A NIC as the rest of the machine reaches it: registers, and nothing else.
///
/// What a NIC does by itself (DMA, interrupts) it does elsewhere: a device model when its owner lets it run, an emulator's
/// device while it handles the access, real hardware whenever it likes. Callers therefore expect no effect of a write but
/// what a later read, a descriptor or an interrupt tells.
///
/// Implemented by the device models, by devices of an emulator, and by real hardware.
public protocol NICDevice: ~Copyable {
  /// Reads a register of the register BAR; may have side effects, such as read-to-clear. Offsets without a register
  /// read as 0.
  mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64
  /// Writes a register of the register BAR; ignored where there is none.
  mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth)
}

extension NICDevice where Self: ~Copyable {
  /// Reads a 32-bit register.
  @inlinable
  public mutating func read(_ offset: UInt32) -> UInt32 {
    UInt32(truncatingIfNeeded: readRegister(offset, width: .doubleWord))
  }

  /// Writes a 32-bit register.
  @inlinable
  public mutating func write(_ offset: UInt32, _ value: UInt32) {
    writeRegister(offset, value: UInt64(value), width: .doubleWord)
  }
}
