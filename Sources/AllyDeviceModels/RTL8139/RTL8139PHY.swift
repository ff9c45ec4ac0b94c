/// The PHY inside an RTL8139C, whose management registers are among the chip's own (datasheet 5.19 to 5.29).
struct RTL8139PHY {
  var isLinkUp = true
  private var control: UInt16 = 0x3100
  private var advertisement: UInt16 = 0x05E1
  private var negotiationTest: UInt16 = 0
  private var cableConfiguration: UInt16 = 0x0008
  /// Counters that reading clears.
  private var disconnects: UInt16 = 0

  mutating func reset() {
    let link = isLinkUp
    self = RTL8139PHY()
    isLinkUp = link
  }

  mutating func countDisconnect() { if disconnects < .max { disconnects += 1 } }

  func read(_ offset: UInt32) -> UInt16 {
    switch offset {
    case RTL8139Register.modeControl: control
    // Abilities; negotiation done and link, when there is one.
    case RTL8139Register.modeStatus: isLinkUp ? 0x782D : 0x7809
    case RTL8139Register.advertisement: advertisement
    case RTL8139Register.linkPartner: isLinkUp ? 0x45E1 : 0
    case RTL8139Register.expansion: isLinkUp ? 1 : 0
    case RTL8139Register.disconnects: disconnects
    case RTL8139Register.negotiationTest: negotiationTest
    // Bit 10: the link is good.
    case RTL8139Register.cableConfiguration: cableConfiguration | (isLinkUp ? 0x0400 : 0)
    default: 0
    }
  }

  /// `isUnlocked` tells whether speed, negotiation and duplex may be changed (9346CR).
  mutating func write(_ offset: UInt32, _ value: UInt16, isUnlocked: Bool) {
    switch offset {
    case RTL8139Register.modeControl:
      if value & 0x8000 != 0 { return reset() }
      // Restarted negotiation is over at once. Bits 13, 12 and 8 are protected.
      let kept: UInt16 = isUnlocked ? 0 : 0x3100
      control = value & 0x3100 & ~kept | control & kept
    case RTL8139Register.advertisement: advertisement = value & 0x3DE0 | 1
    case RTL8139Register.negotiationTest: negotiationTest = value & 0x0081
    case RTL8139Register.cableConfiguration: cableConfiguration = value & 0x80E8
    case RTL8139Register.disconnects: disconnects = 0
    default: return
    }
  }

  /// MSR without flow control (datasheet 5.17): the link is down in bit 2, 10 Mbit/s in bit 3, auxiliary power in bit 4.
  var mediaStatus: UInt8 { 0x10 | (isLinkUp ? 0 : 0x04) | (control & 0x2000 == 0 ? 0x08 : 0) }
}
