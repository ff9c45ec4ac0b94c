public import AllyHW

/// The registers of the RTL8139C that concern its ring, its transmit descriptors and interrupts (datasheet, chapter 5), and what
/// becomes of an OS core's access to them.
public enum RTL8139Registers {
  /// TSD0 to TSD3, of 32 bits (datasheet 5.3).
  @inlinable public static var transmitStatus: UInt32 { 0x10 }
  /// TSAD0 to TSAD3, of 32 bits.
  @inlinable public static var transmitAddress: UInt32 { 0x20 }
  /// RBSTART, of 32 bits.
  @inlinable public static var receiveBufferStart: UInt32 { 0x30 }
  /// CR, of 8 bits (datasheet 5.5).
  @inlinable public static var command: UInt32 { 0x37 }
  /// CAPR, of 16 bits: 16 less than the place from which the driver reads next.
  @inlinable public static var readPointer: UInt32 { 0x38 }
  /// CBR, of 16 bits: the place that the NIC writes next.
  @inlinable public static var writePointer: UInt32 { 0x3A }
  /// IMR, of 16 bits (datasheet 5.6).
  @inlinable public static var interruptMask: UInt32 { 0x3C }
  /// ISR, of 16 bits; ones clear (datasheet 5.7).
  @inlinable public static var interruptStatus: UInt32 { 0x3E }
  /// TCR, of 32 bits (datasheet 5.8).
  @inlinable public static var transmitConfiguration: UInt32 { 0x40 }
  /// RCR, of 32 bits (datasheet 5.9).
  @inlinable public static var receiveConfiguration: UInt32 { 0x44 }
  /// MULINT, of 16 bits: when to interrupt early.
  @inlinable public static var multipleInterrupt: UInt32 { 0x5C }
  /// TSAD, of 16 bits: the status of all transmit descriptors (datasheet 5.18).
  @inlinable public static var transmitSummary: UInt32 { 0x60 }

  /// What becomes of OS accesses. What is not listed passes through to the NIC: station address, multicast filter, EEPROM,
  /// PHY, timer, missed frames.
  public static var map: [RegisterRange] {
    [
      // Transmit descriptors, ring, early receive status, command, both pointers.
      RegisterRange(offset: transmitStatus, length: 0x2C, disposition: .redirect),
      RegisterRange(offset: interruptMask, length: 2, disposition: .redirect),
      RegisterRange(offset: interruptStatus, length: 2, disposition: .redirect, onesClear: true),
      RegisterRange(offset: transmitConfiguration, length: 8, disposition: .redirect),
      // Nobody is told of a frame before all of it was inspected.
      RegisterRange(offset: multipleInterrupt, length: 2, disposition: .shadowOnly),
      RegisterRange(offset: transmitSummary, length: 2, disposition: .redirect),
      // Where later chips have the registers of their descriptor rings (RTL8139C+ datasheet, chapter 6): a way around the
      // interception.
      RegisterRange(offset: 0xDC, length: 0x24, disposition: .deny),
    ]
  }
}

/// Bits of the registers.
enum RTL8139Bits {
  // CR (datasheet 5.5).
  static let bufferEmpty: UInt8 = 1 << 0
  static let transmitterEnable: UInt8 = 1 << 2
  static let receiverEnable: UInt8 = 1 << 3
  static let reset: UInt8 = 1 << 4

  // ISR and IMR (datasheet 5.6 and 5.7).
  static let receiveOK: UInt32 = 1 << 0
  static let transmitOK: UInt32 = 1 << 2
  static let transmitError: UInt32 = 1 << 3
  /// The causes that there are.
  static let allCauses: UInt32 = 0xE07F
  /// Those that speak of frames in the NIC's ring and descriptors, which are not the OS's.
  static let frameCauses = receiveOK | transmitOK | transmitError

  // TCR (datasheet 5.8).
  /// CRC: the driver makes the frame check sequence itself.
  static let ownFrameCheckSequence: UInt32 = 1 << 16

  // RCR (datasheet 5.9).
  /// AAP, APM, AM, AB, AR and AER: which frames are received.
  static let receiveFilter: UInt32 = 0x3F
  /// RER8: errors of frames from 8 bytes on.
  static let receiveShortErrors: UInt32 = 1 << 16
  /// WRAP: a frame at the ring's end goes on behind it.
  static let runsOver: UInt32 = 1 << 7
  /// RBLEN: 8 KiB times two to this power.
  static let ringLengthShift: UInt32 = 11
  /// The bits that there are.
  static let receiveConfiguration: UInt32 = 0x0F03_FFFF
  /// What the NIC is given besides the filter: 64 KiB, bursts as long as they may be (MXDMA), frames whole before they are
  /// announced (RXFTH).
  static let nicReceiveConfiguration: UInt32 = 3 << ringLengthShift | 7 << 8 | 7 << 13

  /// The length of the ring in bytes.
  static func ringLength(_ receiveConfiguration: UInt32) -> UInt32 {
    8192 << (receiveConfiguration >> ringLengthShift & 3)
  }
}
