/// What is behind physical addresses without memory: devices' registers, as a core's access reaches them.
public protocol MMIOBus: ~Copyable {
  /// Reads a register; nil when no device answers.
  mutating func readDevice(_ address: PhysicalAddress, width: RegisterWidth) -> UInt64?
  /// Writes a register; false when no device answers.
  mutating func writeDevice(_ address: PhysicalAddress, value: UInt64, width: RegisterWidth) -> Bool
}

/// A device at its place in the physical address space.
@frozen
public struct DeviceWindow<Device: NICDevice & ~Copyable>: MMIOBus, ~Copyable {
  public var device: Device
  /// Where the register BAR begins, and how long it is in bytes.
  public var base: PhysicalAddress
  public var length: UInt64

  @inlinable
  public init(_ device: consuming Device, base: PhysicalAddress, length: UInt64) {
    self.device = device
    self.base = base
    self.length = length
  }

  /// The offset of an access that lies in the window altogether.
  @usableFromInline
  func offset(_ address: PhysicalAddress, _ width: RegisterWidth) -> UInt32? {
    let offset = address.rawValue &- base.rawValue
    guard offset < length, width.byteCount <= length &- offset else { return nil }
    return UInt32(exactly: offset)
  }

  @inlinable
  public mutating func readDevice(_ address: PhysicalAddress, width: RegisterWidth) -> UInt64? {
    guard let offset = offset(address, width) else { return nil }
    return device.readRegister(offset, width: width)
  }

  @inlinable
  public mutating func writeDevice(_ address: PhysicalAddress, value: UInt64, width: RegisterWidth) -> Bool {
    guard let offset = offset(address, width) else { return false }
    device.writeRegister(offset, value: value, width: width)
    return true
  }
}
