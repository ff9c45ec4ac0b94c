/// Bits of RCTL.
struct IntelReceiveControl: OptionSet {
  var rawValue: UInt32
  static let enable = Self(rawValue: 1 << 1)
  static let unicastPromiscuous = Self(rawValue: 1 << 3)
  static let multicastPromiscuous = Self(rawValue: 1 << 4)
  static let longPacket = Self(rawValue: 1 << 5)
  static let broadcastAccept = Self(rawValue: 1 << 15)
  static let vlanFilter = Self(rawValue: 1 << 18)
  static let cfiFilter = Self(rawValue: 1 << 19)
  static let cfiValue = Self(rawValue: 1 << 20)
  static let discardPause = Self(rawValue: 1 << 22)
  static let bufferSizeExtension = Self(rawValue: 1 << 25)
  static let stripFrameCheckSequence = Self(rawValue: 1 << 26)

  /// BSIZE with BSEX: the bytes of a receive buffer. The reserved combination counts as 2,048.
  var bufferSize: Int {
    let size = rawValue >> 16 & 3
    guard contains(.bufferSizeExtension) else { return 2048 >> Int(size) }
    return size == 0 ? 2048 : 32_768 >> Int(size)
  }

  /// RDMTS: the share of the ring at which RXDMT0 is raised, as a shift.
  var minimumThresholdShift: Int { Int(rawValue >> 8 & 3) + 1 }

  /// MO: which bits of a multicast address select from the table, as the shift of its fifth byte.
  var multicastShift: UInt16 { UInt16(4 - (rawValue >> 12 & 3 == 3 ? 4 : rawValue >> 12 & 3)) }
}

/// Whether a frame is for this NIC: the address and VLAN filters (SDM §3.2.1 and chapter 9).
struct IntelReceiveFilter {
  var control: IntelReceiveControl
  /// The VLAN EtherType, VET.
  var vlanEtherType: UInt16

  /// The frame's VLAN tag, when it begins with one.
  func vlanTag(_ frame: Span<UInt8>) -> UInt16? {
    guard frame.count >= 18, UInt16(frame[12]) << 8 | UInt16(frame[13]) == vlanEtherType else { return nil }
    return UInt16(frame[14]) << 8 | UInt16(frame[15])
  }

  static func isBroadcast(_ frame: Span<UInt8>) -> Bool {
    guard frame.count >= 6 else { return false }
    for index in 0..<6 where frame[index] != 0xFF { return false }
    return true
  }

  /// - Parameters:
  ///   - register: reads a register of the filter tables.
  func accepts(_ frame: Span<UInt8>, vlanTag: UInt16?, register: (UInt32) -> UInt32) -> Bool {
    if let vlanTag, control.contains(.vlanFilter) {
      let identifier = UInt32(vlanTag & 0xFFF)
      let word = register(IntelRegister.vlanFilterTable + identifier >> 5 * 4)
      guard word >> (identifier & 31) & 1 == 1 else { return false }
      if control.contains(.cfiFilter), (vlanTag & 0x1000 != 0) != control.contains(.cfiValue) { return false }
    }
    guard frame.count >= 6 else { return control.contains(.unicastPromiscuous) }
    if Self.isBroadcast(frame), control.contains(.broadcastAccept) { return true }
    let isMulticast = frame[0] & 1 == 1
    if control.contains(isMulticast ? .multicastPromiscuous : .unicastPromiscuous) { return true }
    let low = UInt32(frame[0]) | UInt32(frame[1]) << 8 | UInt32(frame[2]) << 16 | UInt32(frame[3]) << 24
    let high = UInt32(frame[4]) | UInt32(frame[5]) << 8
    for index in 0..<UInt32(16) {
      let upper = register(IntelRegister.receiveAddress + 8 * index + 4)
      // AV, and AS saying "destination".
      guard upper >> 31 == 1, upper >> 16 & 3 == 0 else { continue }
      if upper & 0xFFFF == high, register(IntelRegister.receiveAddress + 8 * index) == low { return true }
    }
    return isMulticast && isInMulticastTable(frame, register: register)
  }

  /// Whether a multicast frame's bit of the multicast table is set.
  func isInMulticastTable(_ frame: Span<UInt8>, register: (UInt32) -> UInt32) -> Bool {
    let shift = control.multicastShift
    let hash = UInt32((UInt16(frame[4]) >> shift | UInt16(frame[5]) << (8 - shift)) & 0xFFF)
    return register(IntelRegister.multicastTable + hash >> 5 * 4) >> (hash & 31) & 1 == 1
  }
}
