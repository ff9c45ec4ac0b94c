/// Register offsets of the 82576 beside those of ``IntelRegister`` (82576 datasheet, chapter 8).
enum IGBRegister {
  static let freeRunningTimer: UInt32 = 0x1048
  static let managementEEPROMControl: UInt32 = 0x1010
  static let interruptCauseRead: UInt32 = 0x1500
  static let interruptCauseSet: UInt32 = 0x1504
  static let interruptMaskSet: UInt32 = 0x1508
  static let interruptMaskClear: UInt32 = 0x150C
  static let interruptAutoMask: UInt32 = 0x1510
  static let generalInterrupts: UInt32 = 0x1514
  static let vectorCauseSet: UInt32 = 0x1520
  static let vectorMaskSet: UInt32 = 0x1524
  static let vectorMaskClear: UInt32 = 0x1528
  static let vectorAutoClear: UInt32 = 0x152C
  static let vectorAutoMask: UInt32 = 0x1530
  static let vectorCauseRead: UInt32 = 0x1580
  static let vectorThrottling: UInt32 = 0x1680
  static let interruptVectors: UInt32 = 0x1700
  static let otherVectors: UInt32 = 0x1740
  static let descriptorSwitch: UInt32 = 0x3500
  static let receiveLongMaximum: UInt32 = 0x5004
  static let receiveFilterControl: UInt32 = 0x5008
  static let packetSplitType: UInt32 = 0x5480
  static let moreReceiveAddresses: UInt32 = 0x54E0
  static let multipleQueues: UInt32 = 0x5818
  static let virtualization: UInt32 = 0x581C
  static let poolOffload: UInt32 = 0x5AD0
  static let replicationOffload: UInt32 = 0x5AF0
  static let softwareSemaphore: UInt32 = 0x5B50
  static let firmwareSemaphore: UInt32 = 0x5B54
  static let softwareFirmwareSync: UInt32 = 0x5B5C
  static let redirectionTable: UInt32 = 0x5C00
  static let scalingKey: UInt32 = 0x5C80
  static let poolVLANFilter: UInt32 = 0x5D00
  static let unicastTable: UInt32 = 0xA000
  /// Receive queue registers, ``queueStride`` apart; the first four queues are at 0x2800, 0x100 apart, as well.
  static let receiveQueue: UInt32 = 0xC000
  static let transmitQueue: UInt32 = 0xE000
  static let queueStride: UInt32 = 0x40
  static let eepromReadAlias: UInt32 = 0x1_2014
  static let mailboxMemory: UInt32 = 0x0800
  static let mailboxToFunction: UInt32 = 0x0C00
  static let mailboxToPhysical: UInt32 = 0x0C40
  static let mailboxCause: UInt32 = 0x0C80
  static let mailboxMask: UInt32 = 0x0C84
  static let functionReset: UInt32 = 0x0C88
  static let functionReceiveEnable: UInt32 = 0x0C8C
  static let functionTransmitEnable: UInt32 = 0x0C90
  static let functionStatistics: UInt32 = 0x1_0000
  static let statisticsCount = 0x50

  // Registers of a queue, from its first one on.
  static let splitControl: UInt32 = 0x0C
  static let tail: UInt32 = 0x18
  static let descriptorControl: UInt32 = 0x28
  static let dropCount: UInt32 = 0x30
  /// RXDCTL.ENABLE and TXDCTL.ENABLE.
  static let queueEnable: UInt32 = 1 << 25

  /// Bits of CTRL_EXT: a reset of the physical function is over.
  static let physicalFunctionResetDone: UInt32 = 1 << 14
  /// DTXSWC: frames between the functions stay inside.
  static let loopbackEnable: UInt32 = 1 << 31
  /// RXCSUM.PCSD: the RSS hash takes the packet checksum's place.
  static let hashInsteadOfChecksum: UInt32 = 1 << 13

  /// Where a register is that can be reached by its predecessors' offset as well.
  static func canonical(_ offset: UInt32) -> UInt32 {
    switch offset {
    case 0x00C0: interruptCauseRead
    case 0x00C8: interruptCauseSet
    case 0x00D0: interruptMaskSet
    case 0x00D8: interruptMaskClear
    case 0x00E0: interruptAutoMask
    case 0x2800..<0x2C00 where offset & 0xC0 == 0: receiveQueue + (offset >> 8 & 3) * queueStride + offset & 0x3F
    case 0x3800..<0x3C00 where offset & 0xC0 == 0: transmitQueue + (offset >> 8 & 3) * queueStride + offset & 0x3F
    case eepromReadAlias: IntelRegister.eepromRead
    case IntelRegister.controlDuplicate: IntelRegister.control
    default: offset
    }
  }

  /// The bits of a register without behaviour of its own that keep what software writes.
  static func storedBits(_ offset: UInt32) -> UInt32 {
    switch offset {
    case receiveQueue..<(receiveQueue + 16 * queueStride), transmitQueue..<(transmitQueue + 16 * queueStride):
      queueBits(offset & 0x3F)
    case generalInterrupts: 0xC000_0F11
    case interruptAutoMask: 0xFFFF_FFFF
    case vectorAutoClear, vectorAutoMask: 0x01FF_FFFF
    case vectorThrottling..<(vectorThrottling + 100): 0xFFFF_FFFF
    case interruptVectors..<(interruptVectors + 32): 0x9F9F_9F9F
    case otherVectors: 0x9F9F
    case 0x2404, 0x2408, 0x2508, 0x3404, descriptorSwitch, 0x3510, 0x3540, 0x3554, 0x3590: 0xFFFF_FFFF
    case 0x3700..<0x3720: 0xFFFF_FFFF
    case receiveLongMaximum: 0x3FFF
    case receiveFilterControl: 0xFFFF_FFFF
    case IntelRegister.receiveChecksum: 0x37FF
    case IntelRegister.receiveControl: 0x07FF_FFFE
    case IntelRegister.transmitControl: 0x03FF_FFFA
    case packetSplitType..<(packetSplitType + 0x20): 0xFFFF_FFFF
    case IntelRegister.receiveAddress..<(IntelRegister.receiveAddress + 0x80),
      moreReceiveAddresses..<(moreReceiveAddresses + 0x40):
      // RAH has the address's upper 16 bits, the pools and AV.
      offset & 4 == 0 ? 0xFFFF_FFFF : 0x83FF_FFFF
    case multipleQueues: 0xFFFF_003F
    case virtualization: 0x7000_0380
    case poolOffload..<(poolOffload + 0x20), replicationOffload: 0xFFFF_FFFF
    case softwareSemaphore, softwareFirmwareSync, 0x5B00, 0x5B58, 0x5BBC, 0x5BF0..<0x5C00: 0xFFFF_FFFF
    case redirectionTable..<(redirectionTable + 0x80), scalingKey..<(scalingKey + 0x28): 0xFFFF_FFFF
    case 0x5CB0..<0x5CD0, 0x59E0..<0x5A00, 0x5A80..<0x5AD0: 0xFFFF_FFFF
    case poolVLANFilter..<(poolVLANFilter + 0x80): 0x801F_FFFF
    case unicastTable..<(unicastTable + 0x200): 0xFFFF_FFFF
    case 0x0E14, 0x1000, 0x1028, 0x4200..<0x4224, 0x5F50, 0xB600..<0xB670: 0xFFFF_FFFF
    case functionReceiveEnable, functionTransmitEnable: 0xFF
    case mailboxMask: 0x00FF_00FF
    case mailboxMemory..<(mailboxMemory + 0x200): 0xFFFF_FFFF
    default: IntelRegister.storedBits(offset)
    }
  }

  /// A queue's registers: those of a transmit queue lie like those of a receive queue.
  private static func queueBits(_ place: UInt32) -> UInt32 {
    switch place {
    case 0x00: 0xFFFF_FF80
    case 0x04: 0xFFFF_FFFF
    case 0x08: 0xF_FF80
    case splitControl: 0xFFFF_FFFF
    case 0x10, tail: 0xFFFF
    case 0x14: 0xFFFF_FFFF
    // SWFLUSH clears itself.
    case descriptorControl: 0x03FF_FFFF
    case 0x38, 0x3C: 0xFFFF_FFFF
    default: 0
    }
  }
}

/// The interrupt causes that the 82576 has beside those of ``IntelCause`` (82576 datasheet §8.8.8).
enum IGBCause {
  /// Mailbox: a virtual function has written, acknowledged or been reset.
  static let mailbox = IntelCause(rawValue: 1 << 8)
  /// The interrupt is asserted; read only.
  static let asserted = IntelCause(rawValue: 1 << 31)
  static let all = IntelCause(rawValue: 0x7FFF_FFFF)
}
