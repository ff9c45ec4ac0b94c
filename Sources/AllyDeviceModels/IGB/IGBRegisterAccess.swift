public import AllyHW

extension IGBModel: IntelRegisterSpace {
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

  mutating func read(_ given: UInt32) -> UInt32 {
    let offset = IGBRegister.canonical(given)
    switch offset {
    case IntelRegister.control: return controller.control
    case IntelRegister.status: return status
    // Present, loaded, 256 words; the bus is granted whenever it is requested (§8.4.1).
    case IntelRegister.eepromControl:
      return eepromControl | 2 << 11 | 1 << 9 | 1 << 8 | (eepromControl & 1 << 6 == 0 ? 0 : 1 << 7)
    case IntelRegister.eepromRead: return eepromRead
    case IntelRegister.mdiControl: return controller.mdiControl
    case IGBRegister.interruptCauseRead: return interrupts.read()
    case IGBRegister.interruptCauseSet: return interrupts.cause.rawValue
    case IGBRegister.interruptMaskSet: return interrupts.mask.rawValue
    case IGBRegister.vectorCauseRead:
      defer { interrupts.clearVectors(.max) }
      return interrupts.vectorCause
    case IGBRegister.vectorCauseSet: return interrupts.vectorCause
    case IGBRegister.vectorMaskSet: return interrupts.vectorMask
    case IGBRegister.softwareSemaphore:
      // SMBI is set by the read that finds it clear (§8.6.12).
      defer { controller[offset] |= 1 }
      return controller[offset]
    case IntelRegister.statistics..<(IntelRegister.statistics + UInt32(IGBRegister.statisticsCount) * 4):
      return controller.statistics.read(Int(offset - IntelRegister.statistics))
    case IGBRegister.mailboxToFunction..<IGBRegister.functionReceiveEnable: return mailboxes.read(offset)
    case IGBRegister.receiveQueue..<(IGBRegister.receiveQueue + 16 * IGBRegister.queueStride)
    where offset & 0x3F == IGBRegister.dropCount:
      defer { controller[offset] = 0 }
      return controller[offset]
    default: return controller[offset]
    }
  }

  /// Full duplex and 1000 Mbit/s; link up; the reset of the physical function is over; bus mastering, unless software has
  /// asked for its end (§8.2.2).
  private var status: UInt32 {
    0x8020_0781 | (isLinkUp ? 2 : 0)
      | (controller.control & IntelRegister.ControlBit.masterDisable == 0 ? 1 << 19 : 0)
  }

  mutating func write(_ given: UInt32, _ value: UInt32) {
    let offset = IGBRegister.canonical(given)
    switch offset {
    case IntelRegister.control: writeControl(value)
    case IntelRegister.extendedControl:
      if value & IGBRegister.physicalFunctionResetDone != 0 { mailboxes.physicalFunctionIsReady() }
      controller[offset] = value & ~(1 << 13)
    case IntelRegister.eepromControl: eepromControl = value & 0x007F
    case IntelRegister.eepromRead: eepromRead = nvm.read(value)
    case IntelRegister.mdiControl: if controller.accessPHY(value) { interrupts.raise(.mdiAccessComplete) }
    case IGBRegister.interruptCauseRead: interrupts.clear(IntelCause(rawValue: value))
    case IGBRegister.interruptCauseSet: interrupts.raise(IntelCause(rawValue: value).intersection(IGBCause.all))
    case IGBRegister.interruptMaskSet: interrupts.enable(IntelCause(rawValue: value).intersection(IGBCause.all))
    case IGBRegister.interruptMaskClear: interrupts.disable(IntelCause(rawValue: value))
    case IGBRegister.vectorCauseRead: interrupts.clearVectors(value)
    case IGBRegister.vectorCauseSet: interrupts.setVectors(value & 0x01FF_FFFF)
    case IGBRegister.vectorMaskSet: interrupts.enableVectors(value & 0x01FF_FFFF)
    case IGBRegister.vectorMaskClear: interrupts.disableVectors(value)
    case IGBRegister.firmwareSemaphore, IGBRegister.managementEEPROMControl: return
    case IGBRegister.mailboxToFunction..<IGBRegister.functionReceiveEnable where offset != IGBRegister.mailboxMask:
      if let function = mailboxes.writePhysical(offset, value) { interrupts.raise(allocation: vector(of: function)) }
    default:
      controller[offset] = value & IGBRegister.storedBits(offset)
      noteInterruptSetting(offset, controller[offset])
    }
  }

  /// The registers that steer interrupts.
  private mutating func noteInterruptSetting(_ offset: UInt32, _ value: UInt32) {
    switch offset {
    case IGBRegister.interruptAutoMask: interrupts.autoMask = IntelCause(rawValue: value)
    case IGBRegister.generalInterrupts: interrupts.general = value
    case IGBRegister.vectorAutoClear: interrupts.vectorAutoClear = value
    case IGBRegister.vectorAutoMask: interrupts.vectorAutoMask = value
    case IGBRegister.vectorThrottling..<(IGBRegister.vectorThrottling + 100):
      // Bits 14–2, in microseconds (§8.8.12).
      interrupts.intervals[Int(offset - IGBRegister.vectorThrottling) / 4] = UInt64(value >> 2 & 0x1FFF) * 1000
    case IGBRegister.interruptVectors..<(IGBRegister.interruptVectors + 32):
      interrupts.queueVectors[Int(offset - IGBRegister.interruptVectors) / 4] = value
    case IGBRegister.otherVectors: interrupts.otherVectors = value
    case IGBRegister.mailboxMask: mailboxes.mask = value
    default: return
    }
  }

  private mutating func writeControl(_ value: UInt32) {
    if value & IntelRegister.ControlBit.physicalReset != 0 { controller.phy.reset() }
    if value & IntelRegister.ControlBit.reset != 0 { return resetByControl() }
    controller.control = value & ~IntelRegister.ControlBit.physicalReset
  }
}
