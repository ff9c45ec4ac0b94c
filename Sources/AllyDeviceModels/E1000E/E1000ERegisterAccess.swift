public import AllyHW

extension E1000EModel: IntelRegisterSpace {
  /// The length of the I/O BAR, in bytes. Whoever intercepts the register BAR has to intercept this one as well.
  public static var portSpace: UInt64 { 32 }

  public mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 { read(offset, width: width) }

  public mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    write(offset, value: value, width: width)
  }

  /// A 32-bit read of a port; others, and ports without a function, read as 0.
  public mutating func readPort(_ offset: UInt32, width: RegisterWidth) -> UInt64 {
    readPort(at: offset, width: width)
  }

  /// A 32-bit write of a port; others are ignored.
  public mutating func writePort(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    writePort(at: offset, value: value, width: width)
  }

  mutating func read(_ offset: UInt32) -> UInt32 {
    switch offset {
    case IntelRegister.control, IntelRegister.controlDuplicate: return controller.control
    case IntelRegister.status: return status
    // Present, loaded, 256 words; the bus is granted whenever it is requested (§10.2.1.3).
    case IntelRegister.eepromControl:
      return eepromControl | 2 << 11 | 1 << 9 | 1 << 8 | (eepromControl & 1 << 6 == 0 ? 0 : 1 << 7)
    case IntelRegister.eepromRead: return eepromRead
    // Writes are taken, and end at once.
    case E1000ERegister.eepromWrite: return 1 << 1
    case IntelRegister.mdiControl: return controller.mdiControl
    case IntelRegister.interruptCauseRead: return interrupts.read()
    case IntelRegister.interruptCauseSet: return interrupts.cause.rawValue
    case IntelRegister.interruptMaskSet: return interrupts.mask.rawValue
    case E1000ERegister.softwareSemaphore:
      // SMBI is set by the read that finds it clear (§10.2.10.11).
      defer { controller[offset] |= 1 }
      return controller[offset]
    case IntelRegister.statistics..<(IntelRegister.statistics + UInt32(E1000ERegister.statisticsCount) * 4):
      return controller.statistics.read(Int(offset - IntelRegister.statistics))
    default: return controller[offset]
    }
  }

  /// Full duplex and 1000 Mbit/s; link up; the NVM is loaded; bus mastering, unless software has asked for its end
  /// (§10.2.2.2).
  private var status: UInt32 {
    0x0000_0681 | 1 << 31 | 1 << 8 | (isLinkUp ? 2 : 0)
      | (controller.control & IntelRegister.ControlBit.masterDisable == 0 ? 1 << 19 : 0)
  }

  mutating func write(_ offset: UInt32, _ value: UInt32) {
    switch offset {
    case IntelRegister.control, IntelRegister.controlDuplicate: writeControl(value)
    case IntelRegister.extendedControl:
      interrupts.masksOnRead = value & E1000ERegister.ExtendedControlBit.readAutoMask != 0
      interrupts.masksOnMessage = value & E1000ERegister.ExtendedControlBit.messageAutoMask != 0
      // EE_RST clears itself.
      controller[offset] = value & ~(1 << 13)
    case IntelRegister.eepromControl: eepromControl = value & 0x007F
    case IntelRegister.eepromRead: eepromRead = nvm.read(value)
    case IntelRegister.mdiControl: if controller.accessPHY(value) { interrupts.raise(.mdiAccessComplete) }
    case IntelRegister.interruptCauseRead: interrupts.clear(IntelCause(rawValue: value))
    case IntelRegister.interruptCauseSet:
      interrupts.raise(IntelCause(rawValue: value).intersection(E1000ECause.all))
    case IntelRegister.interruptMaskSet:
      interrupts.enable(IntelCause(rawValue: value).intersection(E1000ECause.all))
    case IntelRegister.interruptMaskClear: interrupts.disable(IntelCause(rawValue: value))
    case E1000ERegister.firmwareSemaphore: return
    default:
      controller[offset] = value & E1000ERegister.storedBits(offset)
      noteInterruptSetting(offset, controller[offset])
    }
  }

  /// The registers that steer interrupts.
  private mutating func noteInterruptSetting(_ offset: UInt32, _ value: UInt32) {
    switch offset {
    case E1000ERegister.interruptAutoClear: interrupts.autoClear = IntelCause(rawValue: value)
    case E1000ERegister.interruptAutoMask: interrupts.autoMask = IntelCause(rawValue: value)
    case E1000ERegister.interruptVectors: interrupts.vectors = value
    // In units of 256 ns.
    case IntelRegister.interruptThrottling: interrupts.pinInterval = UInt64(value) * 256
    case E1000ERegister.vectorThrottling..<E1000ERegister.vectorThrottlingEnd:
      interrupts.intervals[Int(offset - E1000ERegister.vectorThrottling) / 4] = UInt64(value) * 256
    default: return
    }
  }

  private mutating func writeControl(_ value: UInt32) {
    if value & IntelRegister.ControlBit.physicalReset != 0 { controller.phy.reset() }
    if value & IntelRegister.ControlBit.reset != 0 { return resetByControl() }
    controller.control = value & ~IntelRegister.ControlBit.physicalReset
  }
}
