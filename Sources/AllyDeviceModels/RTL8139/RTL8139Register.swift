/// Register offsets of the RTL8139C (datasheet, chapter 5).
enum RTL8139Register {
  static let stationAddress: UInt32 = 0x00
  static let multicastFilter: UInt32 = 0x08
  /// Four of 32 bits.
  static let transmitStatus: UInt32 = 0x10
  /// Four of 32 bits.
  static let transmitAddress: UInt32 = 0x20
  static let receiveBufferStart: UInt32 = 0x30
  static let earlyReceiveCount: UInt32 = 0x34
  static let earlyReceiveStatus: UInt32 = 0x36
  static let command: UInt32 = 0x37
  /// CAPR: 16 less than the place that the driver reads next.
  static let readPointer: UInt32 = 0x38
  /// CBR: the place that the chip writes next.
  static let writePointer: UInt32 = 0x3A
  static let interruptMask: UInt32 = 0x3C
  static let interruptStatus: UInt32 = 0x3E
  static let transmitConfiguration: UInt32 = 0x40
  static let receiveConfiguration: UInt32 = 0x44
  static let timer: UInt32 = 0x48
  static let missedPackets: UInt32 = 0x4C
  static let eepromCommand: UInt32 = 0x50
  static let configuration0: UInt32 = 0x51
  static let configuration1: UInt32 = 0x52
  static let timerInterrupt: UInt32 = 0x54
  static let mediaStatus: UInt32 = 0x58
  static let configuration3: UInt32 = 0x59
  static let configuration4: UInt32 = 0x5A
  static let multipleInterrupt: UInt32 = 0x5C
  static let revision: UInt32 = 0x5E
  static let transmitSummary: UInt32 = 0x60
  static let modeControl: UInt32 = 0x62
  static let modeStatus: UInt32 = 0x64
  static let advertisement: UInt32 = 0x66
  static let linkPartner: UInt32 = 0x68
  static let expansion: UInt32 = 0x6A
  static let disconnects: UInt32 = 0x6C
  static let falseCarriers: UInt32 = 0x6E
  static let negotiationTest: UInt32 = 0x70
  static let receiveErrors: UInt32 = 0x72
  static let cableConfiguration: UInt32 = 0x74
  static let physicalParameters: UInt32 = 0x78
  static let configuration5: UInt32 = 0xD8
}

/// Bits of CR, the command register (datasheet 5.5).
struct RTL8139Command: OptionSet {
  var rawValue: UInt8
  static let bufferEmpty = Self(rawValue: 1 << 0)
  static let transmitterEnable = Self(rawValue: 1 << 2)
  static let receiverEnable = Self(rawValue: 1 << 3)
  static let reset = Self(rawValue: 1 << 4)
}

/// Interrupts: bits of ISR and IMR (datasheet 5.6 and 5.7).
struct RTL8139Interrupt: OptionSet {
  var rawValue: UInt16
  static let receiveOK = Self(rawValue: 1 << 0)
  static let receiveError = Self(rawValue: 1 << 1)
  static let transmitOK = Self(rawValue: 1 << 2)
  static let transmitError = Self(rawValue: 1 << 3)
  static let receiveBufferOverflow = Self(rawValue: 1 << 4)
  static let linkChange = Self(rawValue: 1 << 5)
  static let receiveFIFOOverflow = Self(rawValue: 1 << 6)
  static let cableLengthChange = Self(rawValue: 1 << 13)
  static let timeOut = Self(rawValue: 1 << 14)
  static let systemError = Self(rawValue: 1 << 15)
  static let all = Self(rawValue: 0xE07F)
}

/// Bits of a transmit status register, TSD (datasheet 5.3).
enum RTL8139TransmitStatus {
  static let size: UInt32 = 0x1FFF
  /// The chip has fetched the descriptor's data; the driver clears it to post a frame.
  static let own: UInt32 = 1 << 13
  static let ok: UInt32 = 1 << 15
  static let earlyThreshold: UInt32 = 0x3F << 16
  static let aborted: UInt32 = 1 << 30
}

/// Bits of RCR (datasheet 5.9).
struct RTL8139ReceiveConfiguration: OptionSet {
  var rawValue: UInt32
  static let acceptAll = Self(rawValue: 1 << 0)
  static let acceptPhysicalMatch = Self(rawValue: 1 << 1)
  static let acceptMulticast = Self(rawValue: 1 << 2)
  static let acceptBroadcast = Self(rawValue: 1 << 3)
  static let acceptRunt = Self(rawValue: 1 << 4)
  static let acceptError = Self(rawValue: 1 << 5)
  /// A frame at the ring's end goes on behind it, instead of at the ring's start. Not with 64 KiB.
  static let doesNotWrap = Self(rawValue: 1 << 7)

  /// RBLEN: the ring's length in bytes, without the slack behind it.
  var ringLength: Int { 8192 << Int(rawValue >> 11 & 3) }
}

/// Status bits in front of a received frame (datasheet 5.1).
enum RTL8139ReceiveStatus {
  static let ok: UInt16 = 1 << 0
  static let runt: UInt16 = 1 << 4
  static let broadcast: UInt16 = 1 << 13
  static let physicalMatch: UInt16 = 1 << 14
  static let multicast: UInt16 = 1 << 15
}
