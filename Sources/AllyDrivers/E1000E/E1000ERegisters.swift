public import AllyHW

/// The registers of the 82574L that concern descriptor queues and interrupts (82574 datasheet 10.2), and what becomes of an OS
/// core's access to them.
public enum E1000ERegisters {
  /// Device Control, and its alias at 4 (10.2.2.1).
  @inlinable public static var control: UInt32 { 0x0000 }
  /// Extended Device Control (10.2.2.5).
  @inlinable public static var extendedControl: UInt32 { 0x0018 }
  /// Interrupt Cause Read (10.2.4.1).
  @inlinable public static var interruptCause: UInt32 { 0x00C0 }
  /// Interrupt Throttling, in units of 256 ns (10.2.4.2).
  @inlinable public static var interruptThrottle: UInt32 { 0x00C4 }
  /// Interrupt Cause Set (10.2.4.3).
  @inlinable public static var interruptCauseSet: UInt32 { 0x00C8 }
  /// Interrupt Mask Set/Read (10.2.4.4).
  @inlinable public static var interruptMaskSet: UInt32 { 0x00D0 }
  /// Interrupt Mask Clear (10.2.4.5).
  @inlinable public static var interruptMaskClear: UInt32 { 0x00D8 }
  /// Interrupt Auto Clear (10.2.4.7).
  @inlinable public static var interruptAutoClear: UInt32 { 0x00DC }
  /// Interrupt Acknowledge Auto Mask (10.2.4.6).
  @inlinable public static var interruptAutoMask: UInt32 { 0x00E0 }
  /// Interrupt Vector Allocation (10.2.4.9).
  @inlinable public static var interruptVectors: UInt32 { 0x00E4 }
  /// Extended Interrupt Throttle, five of them, in units of 256 ns (10.2.4.8).
  @inlinable public static var vectorThrottle: UInt32 { 0x00E8 }
  /// Receive Control (10.2.5.1).
  @inlinable public static var receiveControl: UInt32 { 0x0100 }
  /// Transmit Control (10.2.6.1).
  @inlinable public static var transmitControl: UInt32 { 0x0400 }
  /// Receive queue 0 (10.2.5.3); queue 1 is 0x100 further.
  @inlinable public static var receiveQueue: UInt32 { 0x2800 }
  /// Transmit queue 0 (10.2.6.4); queue 1 is 0x100 further.
  @inlinable public static var transmitQueue: UInt32 { 0x3800 }
  @inlinable public static var queueStride: UInt32 { 0x100 }
  /// Transmit Arbitration Count, of queue 0 (10.2.6.11).
  @inlinable public static var transmitArbitration: UInt32 { 0x3840 }
  /// Receive Filter Control (10.2.5.10).
  @inlinable public static var receiveFilterControl: UInt32 { 0x5008 }

  /// What becomes of OS accesses. What is not listed passes through to the NIC: link, NVM, PHY, filters, receive-side
  /// scaling, statistics.
  public static var map: [RegisterRange] {
    [
      RegisterRange(offset: control, length: 8, disposition: .redirect),
      // IAME and EIAME are about the OS's interrupts, not about those of the NIC.
      RegisterRange(offset: extendedControl, length: 4, disposition: .redirect),
      RegisterRange(offset: interruptCause, length: 4, disposition: .redirect, clearsOnRead: true),
      // Interrupts, Receive Control, and the places where old drivers had the receive queue's registers, which the
      // controller still answers to: a way around the interception.
      RegisterRange(offset: interruptThrottle, length: 0x7C, disposition: .redirect),
      // Transmit Control, and the old places of the transmit queue's registers.
      RegisterRange(offset: transmitControl, length: 0x44, disposition: .redirect),
      RegisterRange(offset: receiveQueue, length: 0x130, disposition: .redirect),
      RegisterRange(offset: transmitQueue, length: 0x144, disposition: .redirect),
      // EXSTEN says which descriptors the NIC writes.
      RegisterRange(offset: receiveFilterControl, length: 4, disposition: .redirect),
      // The packet buffer memory holds frames that nobody has inspected (10.2.12).
      RegisterRange(offset: 0x1_0000, length: 0x1_0000, disposition: .deny),
    ]
  }
}

/// Bits of the registers.
enum E1000EBits {
  /// CTRL.RST: device reset.
  static let reset: UInt32 = 1 << 26
  /// CTRL_EXT.EIAME: a message masks what IAM says.
  static let messageAutoMask: UInt32 = 1 << 24
  /// CTRL_EXT.IAME: reading ICR masks what IAM says.
  static let readAutoMask: UInt32 = 1 << 27
  /// RCTL.EN and TCTL.EN.
  static let enable: UInt32 = 1 << 1
  /// RCTL.DTYP: packet-split descriptors.
  static let descriptorType: UInt32 = 3 << 10
  /// RCTL.SECRC: the frame check sequence is stripped.
  static let stripCRC: UInt32 = 1 << 26
  /// What of RCTL says how buffers are filled: BSIZE, BSEX, FLXBUF, SECRC, DTYP.
  static let bufferLayout: UInt32 = 3 << 16 | 1 << 25 | 15 << 27 | stripCRC | descriptorType
  /// TARC.ENABLE.
  static let arbitrationEnable: UInt32 = 1 << 10
  /// TARC as it is after a reset.
  static let arbitrationAfterReset: UInt32 = 0x403
  /// RFCTL.EXSTEN: extended descriptors.
  static let extendedStatus: UInt32 = 1 << 15

  static let transmitWrittenBack: UInt32 = 1 << 0
  static let transmitQueueEmpty: UInt32 = 1 << 1
  static let linkStatusChange: UInt32 = 1 << 2
  static let receiveMinimumThreshold: UInt32 = 1 << 4
  static let receiverOverrun: UInt32 = 1 << 6
  static let receiverTimer: UInt32 = 1 << 7
  static let transmitLow: UInt32 = 1 << 15
  static let smallReceivePacket: UInt32 = 1 << 16
  static let acknowledgeFrame: UInt32 = 1 << 17
  static let receiveQueue0: UInt32 = 1 << 20
  static let transmitQueue0: UInt32 = 1 << 22
  static let other: UInt32 = 1 << 24
  static let asserted: UInt32 = 1 << 31

  /// The causes that the 82574L has (10.2.4.1).
  static let allCauses: UInt32 = 0x01F7_82D7
  /// Those that count as Other with MSI-X: LSC, RXO, MDAC, SRPD, ACK, MNG.
  static let otherCauses: UInt32 = 1 << 2 | 1 << 6 | 1 << 9 | 1 << 16 | 1 << 17 | 1 << 18
  /// Those that speak of the NIC's queues, which are not the OS's.
  static let queueCauses: UInt32 =
    transmitWrittenBack | transmitQueueEmpty | receiveMinimumThreshold | receiverTimer | transmitLow
    | smallReceivePacket | acknowledgeFrame | 0x01F0_0000
  /// Those that the DPI core wants to be interrupted for. A queue that runs empty is reported by its last write-back.
  static let wantedCauses: UInt32 =
    allCauses & ~(transmitQueueEmpty | transmitLow | smallReceivePacket | acknowledgeFrame | 0x01F0_0000)
}
