/// Register offsets that the gigabit controllers have in common (SDM 317453, chapter 13; 82574 datasheet §10.2; 82576
/// datasheet chapter 8).
enum IntelRegister {
  static let control: UInt32 = 0x0000
  /// CTRL again, for drivers that read it back before a posted write has passed.
  static let controlDuplicate: UInt32 = 0x0004
  static let status: UInt32 = 0x0008
  static let eepromControl: UInt32 = 0x0010
  static let eepromRead: UInt32 = 0x0014
  static let extendedControl: UInt32 = 0x0018
  static let mdiControl: UInt32 = 0x0020
  static let flowControlAddressLow: UInt32 = 0x0028
  static let flowControlAddressHigh: UInt32 = 0x002C
  static let flowControlType: UInt32 = 0x0030
  static let vlanEtherType: UInt32 = 0x0038
  static let interruptCauseRead: UInt32 = 0x00C0
  static let interruptThrottling: UInt32 = 0x00C4
  static let interruptCauseSet: UInt32 = 0x00C8
  static let interruptMaskSet: UInt32 = 0x00D0
  static let interruptMaskClear: UInt32 = 0x00D8
  static let receiveControl: UInt32 = 0x0100
  static let flowControlTimer: UInt32 = 0x0170
  static let transmitConfiguration: UInt32 = 0x0178
  static let transmitControl: UInt32 = 0x0400
  static let transmitGap: UInt32 = 0x0410
  static let adaptiveGap: UInt32 = 0x0458
  static let ledControl: UInt32 = 0x0E00
  static let packetBufferAllocation: UInt32 = 0x1000
  static let flowControlLow: UInt32 = 0x2160
  static let flowControlHigh: UInt32 = 0x2168
  static let receiveBaseLow: UInt32 = 0x2800
  static let receiveBaseHigh: UInt32 = 0x2804
  static let receiveLength: UInt32 = 0x2808
  static let receiveHead: UInt32 = 0x2810
  static let receiveTail: UInt32 = 0x2818
  static let receiveDelay: UInt32 = 0x2820
  static let receiveDescriptorControl: UInt32 = 0x2828
  static let receiveAbsoluteDelay: UInt32 = 0x282C
  static let receiveSmallPacket: UInt32 = 0x2C00
  static let transmitBaseLow: UInt32 = 0x3800
  static let transmitBaseHigh: UInt32 = 0x3804
  static let transmitLength: UInt32 = 0x3808
  static let transmitHead: UInt32 = 0x3810
  static let transmitTail: UInt32 = 0x3818
  static let transmitDelay: UInt32 = 0x3820
  static let transmitDescriptorControl: UInt32 = 0x3828
  static let transmitAbsoluteDelay: UInt32 = 0x382C
  static let segmentationPad: UInt32 = 0x3830
  static let statistics: UInt32 = 0x4000
  static let statisticsEnd: UInt32 = 0x4100
  static let receiveChecksum: UInt32 = 0x5000
  static let multicastTable: UInt32 = 0x5200
  static let receiveAddress: UInt32 = 0x5400
  static let vlanFilterTable: UInt32 = 0x5600
  static let wakeUpControl: UInt32 = 0x5800
  static let wakeUpFilter: UInt32 = 0x5808
  static let wakeUpStatus: UInt32 = 0x5810
  static let management: UInt32 = 0x5820

  /// Bits of CTRL.
  enum ControlBit {
    static let masterDisable: UInt32 = 1 << 2
    static let reset: UInt32 = 1 << 26
    static let physicalReset: UInt32 = 1 << 31
  }

  /// The bits of a register without behaviour of its own that keep what software writes; 0 where there is no such
  /// register. Reserved bits read as zero.
  static func storedBits(_ offset: UInt32) -> UInt32 {
    switch offset {
    case extendedControl: 0xFFFF_FFFF
    case flowControlAddressLow: 0xFFFF_FFFF
    case flowControlAddressHigh, flowControlType, vlanEtherType, flowControlTimer: 0xFFFF
    case interruptThrottling: 0xFFFF
    case receiveControl: 0x06DF_B3FE
    case transmitConfiguration: 0xFFFF_FFFF
    case transmitControl: 0x01FF_FFFA
    case transmitGap: 0x3FFF_FFFF
    case adaptiveGap: 0xFFFF
    case ledControl: 0xFFFF_FFFF
    case packetBufferAllocation: 0xFFFF
    case flowControlLow: 0x8000_FFF8
    case flowControlHigh: 0xFFF8
    case receiveBaseLow, transmitBaseLow: 0xFFFF_FFF0
    case receiveBaseHigh, transmitBaseHigh: 0xFFFF_FFFF
    // The length is a multiple of 128 bytes: the low seven bits are fixed at zero (SDM, RDLEN and TDLEN).
    case receiveLength, transmitLength: 0xF_FF80
    case receiveHead, receiveTail, transmitHead, transmitTail: 0xFFFF
    case receiveDelay, receiveAbsoluteDelay, transmitDelay, transmitAbsoluteDelay: 0xFFFF
    case receiveDescriptorControl, transmitDescriptorControl, segmentationPad: 0xFFFF_FFFF
    case receiveSmallPacket: 0xFFF
    case receiveChecksum: 0x3FF
    case multicastTable..<(multicastTable + 0x200): 0xFFFF_FFFF
    // RAL and RAH alternate; RAH has the address's upper 16 bits, AS and AV.
    case receiveAddress..<(receiveAddress + 0x80): offset & 4 == 0 ? 0xFFFF_FFFF : 0x8003_FFFF
    case vlanFilterTable..<(vlanFilterTable + 0x200): 0xFFFF_FFFF
    case wakeUpControl, wakeUpFilter, management: 0xFFFF_FFFF
    default: 0
    }
  }
}

/// Interrupt causes: bits of ICR, ICS, IMS and IMC (SDM §13.4.17).
struct IntelCause: OptionSet {
  var rawValue: UInt32
  static let transmitDescriptorWrittenBack = Self(rawValue: 1 << 0)
  static let transmitQueueEmpty = Self(rawValue: 1 << 1)
  static let linkStatusChange = Self(rawValue: 1 << 2)
  static let receiveDescriptorMinimum = Self(rawValue: 1 << 4)
  static let receiverOverrun = Self(rawValue: 1 << 6)
  static let receiverTimer = Self(rawValue: 1 << 7)
  static let mdiAccessComplete = Self(rawValue: 1 << 9)
  static let transmitDescriptorLow = Self(rawValue: 1 << 15)
  static let smallReceivePacket = Self(rawValue: 1 << 16)
  /// Every cause that the 82540EM has.
  static let all = Self(rawValue: 0x0001_F6DF)
}
