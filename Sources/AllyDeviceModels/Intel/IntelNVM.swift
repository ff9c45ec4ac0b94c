/// The words of a controller's EEPROM or flash (SDM §5.6; 82574 datasheet §6.1; 82576 datasheet §6.2): MAC address, ids, and
/// a checksum over the first 64.
struct IntelNVM {
  private(set) var words: [UInt16]

  /// The ids that it carries.
  struct PCIFunctionIDs {
    var vendor: UInt16
    var device: UInt16
    var subsystemVendor: UInt16
    var subsystem: UInt16
  }

  /// - Parameters:
  ///   - macAddress: six bytes, the first three words.
  ///   - function: words 0x0B to 0x0E.
  ///   - contents: other words, by address.
  ///   - fill: what all others are.
  init(macAddress: [UInt8], function: PCIFunctionIDs, contents: [Int: UInt16], fill: UInt16) {
    words = [UInt16](repeating: fill, count: 64)
    for index in 0..<3 { words[index] = UInt16(macAddress[2 * index]) | UInt16(macAddress[2 * index + 1]) << 8 }
    words[0x0B] = function.subsystem
    words[0x0C] = function.subsystemVendor
    words[0x0D] = function.device
    words[0x0E] = function.vendor
    for (address, word) in contents { words[address] = word }
    // All 64 words add up to 0xBABA.
    words[0x3F] = words[..<0x3F].reduce(0xBABA) { $0 &- $1 }
  }

  /// A word; those beyond the first 64 are empty.
  subscript(_ address: Int) -> UInt16 { address < words.count ? words[address] : 0xFFFF }

  /// What EERD reads after software wrote `value` with its start bit, where the address begins at bit 2 and done is bit 1
  /// (82574 datasheet §10.2.1.4; 82576 datasheet §8.4.2).
  func read(_ value: UInt32) -> UInt32 {
    let done: UInt32 = 1 << 1
    guard value & 1 == 1 else { return value & 0xFFFC | done }
    return UInt32(self[Int(value >> 2 & 0x3FFF)]) << 16 | value & 0xFFFC | done
  }
}
