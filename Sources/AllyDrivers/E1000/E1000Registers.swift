public import AllyHW

/// The registers of the 8254x family that concern descriptor queues and interrupts (8254x SDM 13.4), and what becomes of
/// an OS core's access to them.
public enum E1000Registers {
  /// Device Control, and its alias at 4 (SDM 13.4.1).
  @inlinable public static var control: UInt32 { 0x0000 }
  /// Interrupt Cause Read; reading clears it (SDM 13.4.17).
  @inlinable public static var interruptCause: UInt32 { 0x00C0 }
  /// Interrupt Throttling, in units of 256 ns (SDM 13.4.18).
  @inlinable public static var interruptThrottle: UInt32 { 0x00C4 }
  /// Interrupt Cause Set (SDM 13.4.19).
  @inlinable public static var interruptCauseSet: UInt32 { 0x00C8 }
  /// Interrupt Mask Set/Read (SDM 13.4.20).
  @inlinable public static var interruptMaskSet: UInt32 { 0x00D0 }
  /// Interrupt Mask Clear (SDM 13.4.21).
  @inlinable public static var interruptMaskClear: UInt32 { 0x00D8 }
  /// Receive Control (SDM 13.4.22).
  @inlinable public static var receiveControl: UInt32 { 0x0100 }
  /// Transmit Control (SDM 13.4.33).
  @inlinable public static var transmitControl: UInt32 { 0x0400 }
  /// Receive Descriptor Base Address Low (SDM 13.4.25).
  @inlinable public static var receiveBaseLow: UInt32 { 0x2800 }
  @inlinable public static var receiveBaseHigh: UInt32 { 0x2804 }
  @inlinable public static var receiveLength: UInt32 { 0x2808 }
  @inlinable public static var receiveHead: UInt32 { 0x2810 }
  @inlinable public static var receiveTail: UInt32 { 0x2818 }
  /// Receive Delay Timer (SDM 13.4.30).
  @inlinable public static var receiveDelay: UInt32 { 0x2820 }
  /// Receive Absolute Delay Timer (SDM 13.4.31).
  @inlinable public static var receiveAbsoluteDelay: UInt32 { 0x282C }
  /// Transmit Descriptor Base Address Low (SDM 13.4.36).
  @inlinable public static var transmitBaseLow: UInt32 { 0x3800 }
  @inlinable public static var transmitBaseHigh: UInt32 { 0x3804 }
  @inlinable public static var transmitLength: UInt32 { 0x3808 }
  @inlinable public static var transmitHead: UInt32 { 0x3810 }
  @inlinable public static var transmitTail: UInt32 { 0x3818 }
  /// Transmit Interrupt Delay Value (SDM 13.4.41).
  @inlinable public static var transmitDelay: UInt32 { 0x3820 }
  /// Transmit Descriptor Control (SDM 13.4.43).
  @inlinable public static var transmitDescriptorControl: UInt32 { 0x3828 }

  /// What becomes of OS accesses. What is not listed passes through to the NIC: link, EEPROM, PHY, filters, statistics.
  public static var map: [RegisterRange] {
    [
      RegisterRange(offset: control, length: 8, disposition: .redirect),
      RegisterRange(offset: interruptCause, length: 4, disposition: .redirect, clearsOnRead: true),
      RegisterRange(offset: interruptThrottle, length: 0x1C, disposition: .redirect),
      // Receive Control, and the places where the 82542 had its receive queue registers, which later chips still
      // answer to (SDM 13.2): a way around the interception.
      RegisterRange(offset: receiveControl, length: 0x40, disposition: .redirect),
      RegisterRange(offset: transmitControl, length: 4, disposition: .redirect),
      // The 82542's transmit queue registers.
      RegisterRange(offset: 0x0420, length: 0x24, disposition: .deny),
      // Queue registers, delays and thresholds: the NIC is to report to the DPI core at once, the OS's delays are
      // none of its business.
      RegisterRange(offset: receiveBaseLow, length: 0x30, disposition: .redirect),
      RegisterRange(offset: transmitBaseLow, length: 0x30, disposition: .redirect),
      // The packet buffer memory holds frames that nobody has inspected (SDM 13.8).
      RegisterRange(offset: 0x1_0000, length: 0x1_0000, disposition: .deny),
    ]
  }
}

/// Bits of the registers.
enum E1000Bits {
  /// CTRL.RST: device reset.
  static let reset: UInt32 = 1 << 26
  /// RCTL.EN and TCTL.EN.
  static let enable: UInt32 = 1 << 1
  /// RCTL.SECRC: the frame check sequence is stripped.
  static let stripCRC: UInt32 = 1 << 26
  /// RCTL.BSEX: buffer sizes times 16.
  static let bufferSizeExtension: UInt32 = 1 << 25

  /// Transmit descriptor written back.
  static let transmitWrittenBack: UInt32 = 1 << 0
  /// Transmit queue empty.
  static let transmitQueueEmpty: UInt32 = 1 << 1
  static let linkStatusChange: UInt32 = 1 << 2
  static let receiveSequenceError: UInt32 = 1 << 3
  static let receiveMinimumThreshold: UInt32 = 1 << 4
  static let receiverOverrun: UInt32 = 1 << 6
  static let receiverTimer: UInt32 = 1 << 7
  static let transmitLow: UInt32 = 1 << 15
  static let smallReceivePacket: UInt32 = 1 << 16

  /// The causes that the 82540EM has (SDM 13.4.17).
  static let allCauses: UInt32 = 0x1_FEDF
  /// Those that speak of the NIC's queues, which are not the OS's.
  static let queueCauses =
    transmitWrittenBack | transmitQueueEmpty | receiveMinimumThreshold | receiverTimer | transmitLow
    | smallReceivePacket
  /// Those that the DPI core wants to be interrupted for. A queue that runs empty is reported by its last write-back.
  static let wantedCauses = allCauses & ~(transmitQueueEmpty | transmitLow | smallReceivePacket)
}
