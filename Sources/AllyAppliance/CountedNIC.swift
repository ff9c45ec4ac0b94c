import AllyHW

/// A NIC whose register accesses are counted.
@safe
struct CountedNIC<NIC: NICDevice & ~Copyable>: NICDevice, ~Copyable {
  /// Invariant: what `counting` lends, for the time of its body.
  private let device: UnsafeMutablePointer<NIC>
  private(set) var reads: UInt64 = 0
  private(set) var writes: UInt64 = 0
  private(set) var bytes: UInt64 = 0

  @unsafe
  init(_ device: UnsafeMutablePointer<NIC>) { unsafe self.device = device }

  mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 {
    reads &+= 1
    bytes &+= width.byteCount
    return unsafe device.pointee.readRegister(offset, width: width)
  }

  mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    writes &+= 1
    bytes &+= width.byteCount
    unsafe device.pointee.writeRegister(offset, value: value, width: width)
  }
}
