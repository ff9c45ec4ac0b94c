public import AllyHW

/// What a kernel gives to its NIC driver: registers and memory, both through the OS core's MMU.
public protocol OSEnvironment: ~Copyable {
  /// Reads a 32-bit register of the NIC.
  mutating func readRegister(_ offset: UInt32) -> UInt32
  /// Writes a 32-bit register of the NIC.
  mutating func writeRegister(_ offset: UInt32, _ value: UInt32)
  /// Reads a register of another width.
  mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt32
  /// Writes a register of another width.
  mutating func writeRegister(_ offset: UInt32, _ value: UInt32, width: RegisterWidth)
  /// Loads eight bytes of memory.
  mutating func load(_ address: PhysicalAddress) -> UInt64
  /// Stores eight bytes of memory.
  mutating func store(_ value: UInt64, at address: PhysicalAddress)
  /// Copies memory to the end of `bytes`; false on a fault.
  mutating func read(_ address: PhysicalAddress, count: Int, into bytes: inout [UInt8]) -> Bool
  /// Asks for interrupt messages (MSI-X), `count` of them, in place of the pin; false when the NIC has fewer.
  ///
  /// Message *n* then calls ``OSDriverModel/interrupt(message:on:deliver:)``.
  mutating func requestMessages(_ count: Int) -> Bool
  /// Copies bytes into memory; false on a fault.
  mutating func write(_ source: RawSpan, to address: PhysicalAddress) -> Bool
}
