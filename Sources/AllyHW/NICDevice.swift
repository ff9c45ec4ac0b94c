/// A NIC as the rest of the machine reaches it: registers, and nothing else. What it does by itself (DMA, interrupts) it
/// does through what it was given when it was made.
///
/// Implemented by the device models, by devices of an emulator, and by real hardware.
public protocol NICDevice: ~Copyable {
  /// Reads a register of the register BAR; may have side effects, such as read-to-clear.
  mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64
  /// Writes a register of the register BAR.
  mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth)
}
