import AllyHW

/// A device's registers as plain bytes, for the device itself and for what the generator expects of it and of its shadow.
struct RegisterBytes {
  static let length = 0x6000
  private var bytes = [UInt8](repeating: 0, count: Self.length)

  func load(_ offset: UInt32, _ width: RegisterWidth) -> UInt64 {
    var value: UInt64 = 0
    for index in (0..<Int(width.rawValue)).reversed() { value = value << 8 | UInt64(bytes[Int(offset) + index]) }
    return value
  }

  mutating func store(_ value: UInt64, at offset: UInt32, _ width: RegisterWidth) {
    for index in 0..<Int(width.rawValue) {
      bytes[Int(offset) + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
    }
  }
}

/// A device that counts what reaches it.
struct CountingDevice: NICDevice, ~Copyable {
  var registers = RegisterBytes()
  var accesses = 0

  mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 {
    accesses += 1
    return registers.load(offset, width)
  }
  mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    accesses += 1
    registers.store(value, at: offset, width)
  }
}
