/// Register offsets of the 82574L beside those of ``IntelRegister`` (82574 datasheet §10.2).
enum E1000ERegister {
  static let flashAccess: UInt32 = 0x001C
  /// EIAC: causes that an MSI-X message clears (§10.2.4.7).
  static let interruptAutoClear: UInt32 = 0x00DC
  /// IAM: what reading ICR, or a message, masks (§10.2.4.6).
  static let interruptAutoMask: UInt32 = 0x00E0
  /// IVAR: the causes' MSI-X vectors (§10.2.4.9).
  static let interruptVectors: UInt32 = 0x00E4
  /// EITR, one for each vector (§10.2.4.8).
  static let vectorThrottling: UInt32 = 0x00E8
  static let vectorThrottlingEnd: UInt32 = 0x00FC
  static let extendedConfiguration: UInt32 = 0x0F00
  static let extendedConfigurationSize: UInt32 = 0x0F08
  static let phyControl: UInt32 = 0x0F10
  static let analogConfiguration: UInt32 = 0x0F18
  static let packetBufferSize: UInt32 = 0x1008
  static let managementEEPROMControl: UInt32 = 0x1010
  static let eepromWrite: UInt32 = 0x102C
  static let packetSplitControl: UInt32 = 0x2170
  static let receiveAcknowledge: UInt32 = 0x2C08
  static let cpuVector: UInt32 = 0x2C10
  static let transmitArbitration: UInt32 = 0x3840
  static let receiveFilterControl: UInt32 = 0x5008
  static let multipleQueues: UInt32 = 0x5818
  static let redirectionTable: UInt32 = 0x5C00
  static let scalingKey: UInt32 = 0x5C80
  static let pciControl: UInt32 = 0x5B00
  static let softwareSemaphore: UInt32 = 0x5B50
  static let firmwareSemaphore: UInt32 = 0x5B54
  static let softwareSemaphore2: UInt32 = 0x5B58
  static let pciControl2: UInt32 = 0x5B64
  static let timeSync: UInt32 = 0xB600
  static let timeSyncEnd: UInt32 = 0xB640
  /// The second queue's registers lie so much after the first one's.
  static let queueStride: UInt32 = 0x100
  static let statisticsCount = 0x4A

  /// Bits of CTRL_EXT (§10.2.2.5).
  enum ExtendedControlBit {
    /// EIAME: a message masks what IAM says.
    static let messageAutoMask: UInt32 = 1 << 24
    /// IAME: reading ICR masks what IAM says.
    static let readAutoMask: UInt32 = 1 << 27
  }

  /// RFCTL.EXSTEN: receive descriptors are extended ones (§10.2.5.10).
  static let extendedStatus: UInt32 = 1 << 15
  /// RXCSUM.PCSD: the RSS hash takes the packet checksum's place (§10.2.5.9).
  static let hashInsteadOfChecksum: UInt32 = 1 << 13

  /// The bits of a register without behaviour of its own that keep what software writes.
  static func storedBits(_ offset: UInt32) -> UInt32 {
    switch offset {
    case flashAccess, extendedConfiguration, extendedConfigurationSize, phyControl, analogConfiguration,
      packetBufferSize, packetSplitControl, receiveAcknowledge, cpuVector, pciControl, softwareSemaphore,
      softwareSemaphore2, pciControl2:
      0xFFFF_FFFF
    case interruptAutoClear: 0x01F0_0000
    case interruptAutoMask: E1000ECause.all.rawValue
    case interruptVectors: 0x800F_FFFF
    case vectorThrottling..<vectorThrottlingEnd: 0xFFFF
    case transmitArbitration, transmitArbitration + queueStride: 0xFFFF_FFFF
    case receiveFilterControl: 0x0003_FFFF
    case IntelRegister.receiveControl: 0x7FFF_FFFE
    case IntelRegister.transmitControl: 0x1FFF_FFFA
    case IntelRegister.receiveChecksum: 0x37FF
    case multipleQueues: 0xFFFF_0003
    case redirectionTable..<(redirectionTable + 0x80): 0xFFFF_FFFF
    case scalingKey..<(scalingKey + 0x28): 0xFFFF_FFFF
    case timeSync..<timeSyncEnd: 0xFFFF_FFFF
    case (IntelRegister.receiveBaseLow + queueStride)...(IntelRegister.receiveDescriptorControl + queueStride),
      (IntelRegister.transmitBaseLow + queueStride)...(IntelRegister.transmitDescriptorControl + queueStride):
      IntelRegister.storedBits(offset - queueStride)
    default: IntelRegister.storedBits(offset)
    }
  }
}

/// The interrupt causes that the 82574L has beside those of ``IntelCause`` (82574 datasheet §10.2.4.1).
enum E1000ECause {
  static let receiveQueue0 = IntelCause(rawValue: 1 << 20)
  static let receiveQueue1 = IntelCause(rawValue: 1 << 21)
  static let transmitQueue0 = IntelCause(rawValue: 1 << 22)
  static let transmitQueue1 = IntelCause(rawValue: 1 << 23)
  /// Any of the causes that are not about a queue, while MSI-X is on.
  static let other = IntelCause(rawValue: 1 << 24)
  /// The interrupt is asserted; read only.
  static let asserted = IntelCause(rawValue: 1 << 31)
  /// LSC, RXO, MDAC, SRPD, ACK, MNG.
  static let others = IntelCause(rawValue: 1 << 2 | 1 << 6 | 1 << 9 | 1 << 16 | 1 << 17 | 1 << 18)
  static let all = IntelCause(rawValue: 0x01F7_82D7 | 1 << 4)
}
