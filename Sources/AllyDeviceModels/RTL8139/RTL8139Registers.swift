public import AllyHW

/// Registers of 8, 16 and 32 bits, which drivers reach with accesses of any width (datasheet, chapter 5).
extension RTL8139Model {
  /// Reading has no side effects.
  public mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 {
    guard UInt64(offset) + width.byteCount <= Self.registerSpace else { return 0 }
    var value: UInt64 = 0
    for byte in 0..<UInt32(width.rawValue) { value |= UInt64(readByte(offset + byte)) << UInt64(8 * byte) }
    return value
  }

  public mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    guard UInt64(offset) + width.byteCount <= Self.registerSpace else { return }
    let value = value & width.mask
    switch width {
    case .quadWord:
      writeRegister(offset, value: value & 0xFFFF_FFFF, width: .doubleWord)
      writeRegister(offset + 4, value: value >> 32, width: .doubleWord)
    case .doubleWord:
      if offset & 3 == 0, writeDoubleWord(offset, UInt32(value)) { return }
      writeRegister(offset, value: value & 0xFFFF, width: .word)
      writeRegister(offset + 2, value: value >> 16, width: .word)
    case .word:
      if offset & 1 == 0, writeWord(offset, UInt16(value)) { return }
      writeByte(offset, UInt8(truncatingIfNeeded: value))
      writeByte(offset + 1, UInt8(truncatingIfNeeded: value >> 8))
    case .byte: writeByte(offset, UInt8(value))
    }
  }

  private func readByte(_ offset: UInt32) -> UInt8 {
    let field: (start: UInt32, value: UInt32)
    switch offset {
    case 0x00..<0x06: return stationAddress[Int(offset)]
    case 0x08..<0x10: return UInt8(truncatingIfNeeded: multicast >> UInt64(8 * (offset - 8)))
    case 0x10..<0x20: field = (offset & ~3, transmitStatus[Int(offset - 0x10) / 4])
    case 0x20..<0x30: field = (offset & ~3, transmitAddress[Int(offset - 0x20) / 4])
    case 0x30..<0x34: field = (0x30, receiveBuffer)
    case 0x37: return commandByte
    case 0x38..<0x3A: field = (0x38, UInt32(truncatingIfNeeded: readPlace - 16) & 0xFFFF)
    case 0x3A..<0x3C: field = (0x3A, UInt32(writePlace))
    case 0x3C..<0x3E: field = (0x3C, UInt32(interruptMask.rawValue))
    case 0x3E..<0x40: field = (0x3E, UInt32(interruptStatus.rawValue))
    // The hardware version of the C in bits 30-26 and 23-22 (datasheet 5.8).
    case 0x40..<0x44: field = (0x40, transmitConfiguration | 0x7400_0000)
    case 0x44..<0x48: field = (0x44, receiveConfiguration.rawValue)
    case 0x48..<0x4C: field = (0x48, timer.count)
    case 0x4C..<0x50: field = (0x4C, missedPackets)
    case 0x50: return eeprom.control
    case 0x51, 0x52: return configuration[Int(offset - 0x51)]
    case 0x54..<0x58: field = (0x54, timer.limit)
    case 0x58: return phy.mediaStatus
    case 0x59, 0x5A: return configuration[Int(offset - 0x59) + 3]
    case 0x5C..<0x5E: field = (0x5C, UInt32(multipleInterrupt))
    case 0x5E: return 0x10
    case 0x60..<0x62: field = (0x60, UInt32(transmitSummary))
    case 0x62..<0x72, 0x74..<0x76: field = (offset & ~1, UInt32(phy.read(offset & ~1)))
    case 0x72..<0x74: field = (0x72, UInt32(receiveErrors))
    case 0x78..<0x84: return physicalParameters[Int(offset - 0x78)]
    case RTL8139Register.configuration5: return configuration[5]
    default: return 0
    }
    return UInt8(truncatingIfNeeded: field.value >> (8 * (offset - field.start)))
  }

  private var commandByte: UInt8 {
    var value = command
    if readPlace == writePlace { value.insert(.bufferEmpty) }
    return value.rawValue
  }

  /// TSAD (datasheet 5.18): OWN, TABT, TUN and TOK of each descriptor.
  private var transmitSummary: UInt16 {
    var value: UInt16 = 0
    for index in 0..<4 {
      let status = transmitStatus[index]
      if status & RTL8139TransmitStatus.own != 0 { value |= 1 << UInt16(index) }
      if status & RTL8139TransmitStatus.aborted != 0 { value |= 0x10 << UInt16(index) }
      if status & RTL8139TransmitStatus.ok != 0 { value |= 0x1000 << UInt16(index) }
    }
    return value
  }

  private var isUnlocked: Bool { eeprom.mode == .writeConfiguration }

  private mutating func writeDoubleWord(_ offset: UInt32, _ value: UInt32) -> Bool {
    switch offset {
    case 0x00, 0x04:
      // ID registers are written 32 bits at a time (datasheet 5, note).
      guard isUnlocked else { return true }
      for byte in 0..<(offset == 0 ? 4 : 2) {
        stationAddress[Int(offset) + byte] = UInt8(truncatingIfNeeded: value >> UInt32(8 * byte))
      }
    case 0x08: multicast = multicast & 0xFFFF_FFFF_0000_0000 | UInt64(value)
    case 0x0C: multicast = multicast & 0xFFFF_FFFF | UInt64(value) << 32
    case 0x10, 0x14, 0x18, 0x1C: writeTransmitStatus(Int(offset - 0x10) / 4, value)
    // Frames begin at a double word.
    case 0x20, 0x24, 0x28, 0x2C: transmitAddress[Int(offset - 0x20) / 4] = value & ~3
    case 0x30: receiveBuffer = value
    // IFG, loopback, CRC, burst, retry; the abort is cleared at once.
    case 0x40: transmitConfiguration = value & 0x0306_07F0 | value & 0x0001_0000
    case 0x44: receiveConfiguration = RTL8139ReceiveConfiguration(rawValue: value & 0x0F03_FFFF)
    case 0x48: timer.restart()
    case 0x4C: missedPackets = 0
    case 0x54: timer.setLimit(value)
    default: return false
    }
    return true
  }

  private mutating func writeTransmitStatus(_ index: Int, _ value: UInt32) {
    let written = RTL8139TransmitStatus.size | RTL8139TransmitStatus.earlyThreshold | RTL8139TransmitStatus.own
    transmitStatus[index] = value & written
  }

  private mutating func writeWord(_ offset: UInt32, _ value: UInt16) -> Bool {
    switch offset {
    case RTL8139Register.readPointer:
      readPlace = (Int(value) + 16) % receiveConfiguration.ringLength
    case RTL8139Register.interruptMask: interruptMask = RTL8139Interrupt(rawValue: value).intersection(.all)
    // Ones clear.
    case RTL8139Register.interruptStatus: interruptStatus.subtract(RTL8139Interrupt(rawValue: value))
    case RTL8139Register.multipleInterrupt: multipleInterrupt = value & 0xFFF
    case RTL8139Register.modeControl..<RTL8139Register.receiveErrors, RTL8139Register.cableConfiguration:
      phy.write(offset, value, isUnlocked: isUnlocked)
    case RTL8139Register.receiveErrors: receiveErrors = 0
    default: return false
    }
    return true
  }

  private mutating func writeByte(_ offset: UInt32, _ value: UInt8) {
    switch offset {
    case 0x08..<0x10:
      let shift = UInt64(8 * (offset - 8))
      multicast = multicast & ~(0xFF << shift) | UInt64(value) << shift
    case RTL8139Register.command: writeCommand(RTL8139Command(rawValue: value))
    case RTL8139Register.eepromCommand:
      eeprom.writeControl(value)
      if eeprom.mode == .autoLoad { loadEEPROM() }
    case RTL8139Register.configuration1:
      if isUnlocked { configuration[1] = value & 0xF2 | 0x0C | value & 1 }
    case RTL8139Register.configuration0: return
    case RTL8139Register.configuration3: if isUnlocked { configuration[3] = value & 0x61 | configuration[3] & 0x8E }
    case RTL8139Register.configuration4: if isUnlocked { configuration[4] = value }
    case RTL8139Register.configuration5: if isUnlocked { configuration[5] = value }
    // Auxiliary status is cleared by a one; the flow control enables are kept by nobody, for there is no flow control.
    case RTL8139Register.mediaStatus: return
    case 0x78..<0x84: physicalParameters[Int(offset - 0x78)] = value
    case 0x3C, 0x3D:
      let shift = UInt16(8 * (offset - 0x3C))
      let kept = interruptMask.rawValue & ~(0xFF << shift)
      interruptMask = RTL8139Interrupt(rawValue: kept | UInt16(value) << shift).intersection(.all)
    case 0x3E, 0x3F: interruptStatus.subtract(RTL8139Interrupt(rawValue: UInt16(value) << UInt16(8 * (offset - 0x3E))))
    // Registers that are wider take no single bytes.
    default: return
    }
  }

  private mutating func writeCommand(_ value: RTL8139Command) {
    if value.contains(.reset) { return resetByCommand() }
    let enables: RTL8139Command = [.transmitterEnable, .receiverEnable]
    if value.contains(.receiverEnable), !command.contains(.receiverEnable) {
      // A receiver that is switched on begins with an empty ring.
      readPlace = 0
      writePlace = 0
    }
    if !value.contains(.transmitterEnable) { transmitNext = 0 }
    command = value.intersection(enables)
  }
}
