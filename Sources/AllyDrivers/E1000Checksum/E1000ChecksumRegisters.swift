public import AllyHW

/// The registers that an 82540EM with frame checksums has besides the 82540EM's (paper §4.3: "slightly enhanced NIC
/// hardware"). OS cores do not reach them.
public enum E1000ChecksumRegisters {
  /// Frame Checksum Control.
  @inlinable public static var control: UInt32 { 0xF000 }
  /// The key, drawn by the NIC at a hardware reset: four registers, the first with its first four bytes.
  @inlinable public static var key: UInt32 { 0xF010 }

  /// As the 82540EM's, and the above denied: one run with the packet buffer memory, which follows.
  public static var map: [RegisterRange] {
    var map = E1000Registers.map
    let last = map.removeLast()
    map.append(
      RegisterRange(offset: control, length: last.offset &+ last.length &- control, disposition: last.disposition))
    return map
  }
}

/// Bits of the registers.
enum E1000ChecksumBits {
  /// Control: descriptors have 32 bytes, and frames have checksums.
  static let enable: UInt32 = 1 << 0
  /// Control, read-only: the NIC has all this.
  static let isPresent: UInt32 = 1 << 31
}
