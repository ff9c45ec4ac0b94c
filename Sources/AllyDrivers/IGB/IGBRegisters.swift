public import AllyHW

/// The registers of the 82576 that concern descriptor queues and interrupts (82576 datasheet, chapter 8), and what becomes of
/// an OS core's access to them.
public enum IGBRegisters {
  /// Device Control, and its alias at 4 (8.2.1).
  @inlinable public static var control: UInt32 { 0x0000 }
  /// The older families' place of the registers from ``interruptCause`` on, 8 bytes apart.
  @inlinable public static var oldInterruptCause: UInt32 { 0x00C0 }
  @inlinable public static var oldInterruptCauseSet: UInt32 { 0x00C8 }
  @inlinable public static var oldInterruptMaskSet: UInt32 { 0x00D0 }
  @inlinable public static var oldInterruptMaskClear: UInt32 { 0x00D8 }
  @inlinable public static var oldInterruptAutoMask: UInt32 { 0x00E0 }
  /// Receive Control (8.10.1).
  @inlinable public static var receiveControl: UInt32 { 0x0100 }
  /// Transmit Control (8.12.1).
  @inlinable public static var transmitControl: UInt32 { 0x0400 }
  /// Interrupt Cause Read (8.8.8).
  @inlinable public static var interruptCause: UInt32 { 0x1500 }
  @inlinable public static var interruptCauseSet: UInt32 { 0x1504 }
  @inlinable public static var interruptMaskSet: UInt32 { 0x1508 }
  @inlinable public static var interruptMaskClear: UInt32 { 0x150C }
  @inlinable public static var interruptAutoMask: UInt32 { 0x1510 }
  /// General Purpose Interrupt Enable (8.8.15).
  @inlinable public static var generalInterrupts: UInt32 { 0x1514 }
  /// Extended Interrupt Cause Set (8.8.2).
  @inlinable public static var vectorCauseSet: UInt32 { 0x1520 }
  @inlinable public static var vectorMaskSet: UInt32 { 0x1524 }
  @inlinable public static var vectorMaskClear: UInt32 { 0x1528 }
  @inlinable public static var vectorAutoClear: UInt32 { 0x152C }
  @inlinable public static var vectorAutoMask: UInt32 { 0x1530 }
  /// Extended Interrupt Cause Read (8.8.1).
  @inlinable public static var vectorCause: UInt32 { 0x1580 }
  /// Extended Interrupt Throttle, 25 of them (8.8.12).
  @inlinable public static var vectorThrottle: UInt32 { 0x1680 }
  /// Interrupt Vector Allocation, eight of them (8.8.13).
  @inlinable public static var vectors: UInt32 { 0x1700 }
  /// Interrupt Vector Allocation, other causes (8.8.14).
  @inlinable public static var otherVectors: UInt32 { 0x1740 }
  /// Offload settings of the pools, eight of them (VMOLR, 8.14.16).
  @inlinable public static var poolOffloads: UInt32 { 0x5AD0 }
  /// The receive queues, 0x40 apart (8.10.5); the first four are at 0x2800, 0x100 apart, as well.
  @inlinable public static var receiveQueue: UInt32 { 0xC000 }
  @inlinable public static var oldReceiveQueue: UInt32 { 0x2800 }
  /// The transmit queues, 0x40 apart (8.12.8); the first four are at 0x3800, 0x100 apart, as well.
  @inlinable public static var transmitQueue: UInt32 { 0xE000 }
  @inlinable public static var oldTransmitQueue: UInt32 { 0x3800 }

  /// What becomes of OS accesses. What is not listed passes through to the NIC: link, NVM, PHY, filters, which pool gets what,
  /// mailboxes, receive-side scaling, statistics.
  public static var map: [RegisterRange] {
    [
      RegisterRange(offset: control, length: 8, disposition: .redirect),
      RegisterRange(offset: oldInterruptCause, length: 4, disposition: .redirect, clearsOnRead: true),
      // Interrupts, Receive Control, and the places where old drivers had the receive queue's registers.
      RegisterRange(offset: oldInterruptCause + 4, length: 0x7C, disposition: .redirect),
      // Transmit Control, and the old places of the transmit queue's registers.
      RegisterRange(offset: transmitControl, length: 0x44, disposition: .redirect),
      // Two of these clear when they are read: that follows with the report of the access.
      RegisterRange(offset: interruptCause, length: 0x244, disposition: .redirect),
      RegisterRange(offset: oldReceiveQueue, length: 0x340, disposition: .redirect),
      RegisterRange(offset: oldTransmitQueue, length: 0x340, disposition: .redirect),
      RegisterRange(offset: poolOffloads, length: 0x20, disposition: .redirect),
      // The queues of both directions, in one run: there is nothing in between.
      RegisterRange(offset: receiveQueue, length: 0x2400, disposition: .redirect),
    ]
  }

  /// A virtual function's registers (8.26): as if it were a NIC with two queues and three vectors.
  public static var virtualFunctionMap: [RegisterRange] {
    [
      RegisterRange(offset: control, length: 8, disposition: .redirect),
      RegisterRange(offset: interruptCause, length: 0x244, disposition: .redirect),
      RegisterRange(offset: oldReceiveQueue, length: 0x140, disposition: .redirect),
      RegisterRange(offset: oldTransmitQueue, length: 0x140, disposition: .redirect),
    ]
  }
}

/// Bits of the registers.
enum IGBBits {
  /// CTRL.RST: device reset.
  static let reset: UInt32 = 1 << 26
  /// RCTL.EN and TCTL.EN.
  static let enable: UInt32 = 1 << 1
  /// RCTL.SECRC: the frame check sequence is stripped.
  static let stripCRC: UInt32 = 1 << 26
  /// VMOLR.STRCRC: a pool's frame check sequences are stripped.
  static let poolStripsCRC: UInt32 = 1 << 31
  /// RXDCTL.ENABLE and TXDCTL.ENABLE.
  static let queueEnable: UInt32 = 1 << 25
  /// RXDCTL.SWFLUSH and TXDCTL.SWFLUSH, which clear themselves.
  static let flush: UInt32 = 1 << 26
  /// SRRCTL.DESCTYPE, and its value for advanced descriptors with one buffer.
  static let descriptorType: UInt32 = 7 << 25
  static let advancedOneBuffer: UInt32 = 1 << 25

  // ICR.
  static let transmitWrittenBack: UInt32 = 1 << 0
  static let receiveMinimumThreshold: UInt32 = 1 << 4
  static let receiveWrittenBack: UInt32 = 1 << 7
  static let asserted: UInt32 = 1 << 31
  static let allCauses: UInt32 = 0x7FFF_FFFF
  /// Those that speak of the NIC's queues, which are not the OS's.
  static let queueCauses: UInt32 = transmitWrittenBack | 1 << 1 | receiveMinimumThreshold | receiveWrittenBack
  /// Those that the DPI core wants to be interrupted for. A queue that runs empty is reported by its last write-back.
  static let wantedCauses: UInt32 = allCauses & ~(1 << 1)

  // GPIE.
  static let readClearsAll: UInt32 = 1 << 0
  static let multipleVectors: UInt32 = 1 << 4
  static let messageAutoMask: UInt32 = 1 << 30
  static let allVectors: UInt32 = 0x01FF_FFFF
}
