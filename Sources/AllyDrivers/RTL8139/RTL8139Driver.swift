public import AllyHW
public import AllyRings

/// The driver module for the RTL8139C (Realtek, "RTL8139C(L) Single-Chip Fast Ethernet Controller" datasheet): what the registers
/// of its ring, descriptors and interrupts mean, and how the real NIC is pointed at DPI memory.
///
/// The NIC's transmitter is always on, so that the NIC's descriptors go on in their order whatever the OS does to its own.
public struct RTL8139Driver: ByteRingDriver {
  public typealias Header = RTL8139ReceiveHeader

  public static var registers: [RegisterRange] { RTL8139Registers.map }
  public static var transmitSlots: Int { 4 }
  /// 0x700 (datasheet 5.3).
  public static var longestFrame: UInt32 { 1792 }
  /// The longest that there is, in which a frame never goes on behind the end (datasheet 5.9).
  public static var nicRing: ByteRing { ByteRing(length: 65_536) }
  public static var highestAddress: UInt64 { 0xFFFF_FFFF }

  private var command: UInt8 = 0
  private var receiveConfiguration: UInt32 = 0
  private var transmitConfiguration: UInt32 = 0
  /// The bits of TCR that say which chip it is.
  private var version: UInt32 = 0
  private var ringBase: UInt32 = 0
  private var capr: UInt16 = 0xFFF0
  private var cbr: UInt16 = 0
  private var transmitStatus: InlineArray<4, RTL8139TransmitStatus> = .init(repeating: .idle)
  private var transmitAddress: InlineArray<4, UInt32> = .init(repeating: 0)
  private var interrupts = InterruptMimic()

  public init() {}

  // MARK: - What the OS has programmed

  /// A ring at address 0 is one that the OS has not told of yet: stock drivers enable the receiver first.
  public var receiveRing: ProgrammedByteRing {
    ProgrammedByteRing(
      base: BusAddress(UInt64(ringBase)), length: RTL8139Bits.ringLength(receiveConfiguration),
      // Not with 64 KiB (datasheet 5.9).
      runsOver: receiveConfiguration & RTL8139Bits.runsOver != 0
        && RTL8139Bits.ringLength(receiveConfiguration) < 65_536,
      isEnabled: command & RTL8139Bits.receiverEnable != 0 && ringBase != 0)
  }

  public var readPlace: UInt32 { UInt32(capr &+ 16) & (RTL8139Bits.ringLength(receiveConfiguration) &- 1) }
  public var isTransmitting: Bool { command & RTL8139Bits.transmitterEnable != 0 }

  public func transmitSlot(_ slot: Int) -> ProgrammedTransmitSlot {
    let status = transmitStatus[slot & 3]
    return ProgrammedTransmitSlot(
      buffer: BusAddress(UInt64(transmitAddress[slot & 3])), length: status.length,
      trailerLength: transmitConfiguration & RTL8139Bits.ownFrameCheckSequence != 0 ? 4 : 0,
      isPosted: !status.isOwn)
  }

  // MARK: - Register accesses of the OS

  public mutating func handle<NIC: NICDevice & ~Copyable>(
    _ access: RedirectedAccess, registers: RegisterFile, nic: inout NIC
  ) -> ByteRingEffects {
    if access.offset >= RTL8139Registers.interruptStatus, access.offset < RTL8139Registers.interruptStatus + 2 {
      // Ones have cleared bits of the shadow; what is left the OS has not seen.
      if access.isWrite {
        interrupts.acknowledge(
          remaining: UInt32(truncatingIfNeeded: registers.load(RTL8139Registers.interruptStatus, width: .word)))
      }
      return ByteRingEffects()
    }
    guard access.isWrite else { return ByteRingEffects() }
    let effects = write(access.offset, access.value & access.width.mask, access.width, nic: &nic)
    switch access.offset {
    case RTL8139Registers.readPointer where access.width == .word: storeReceiveShadows(registers)
    case RTL8139Registers.transmitStatus..<RTL8139Registers.receiveBufferStart where access.width == .doubleWord:
      storeTransmitShadows(Int(access.offset & 0xF) / 4, registers)
    default: restoreShadows(registers)
    }
    if effects.resetsNIC { clearCauses(registers) }
    return effects
  }

  /// Registers of 32 bits are written whole, those of 16 and 8 bits in whatever width covers them (datasheet, chapter 5).
  private mutating func write<NIC: NICDevice & ~Copyable>(
    _ offset: UInt32, _ value: UInt64, _ width: RegisterWidth, nic: inout NIC
  ) -> ByteRingEffects {
    switch width {
    case .quadWord:
      return write(offset, value & 0xFFFF_FFFF, .doubleWord, nic: &nic).union(
        write(offset &+ 4, value >> 32, .doubleWord, nic: &nic))
    case .doubleWord:
      if offset & 3 == 0, let effects = writeDoubleWord(offset, UInt32(truncatingIfNeeded: value), nic: &nic) {
        return effects
      }
      return write(offset, value & 0xFFFF, .word, nic: &nic).union(
        write(offset &+ 2, value >> 16, .word, nic: &nic))
    case .word:
      if offset & 1 == 0, let effects = writeWord(offset, UInt16(truncatingIfNeeded: value)) { return effects }
      return writeByte(offset, UInt8(truncatingIfNeeded: value), nic: &nic).union(
        writeByte(offset &+ 1, UInt8(truncatingIfNeeded: value >> 8), nic: &nic))
    case .byte: return writeByte(offset, UInt8(truncatingIfNeeded: value), nic: &nic)
    }
  }

  private mutating func writeDoubleWord<NIC: NICDevice & ~Copyable>(
    _ offset: UInt32, _ value: UInt32, nic: inout NIC
  ) -> ByteRingEffects? {
    var effects = ByteRingEffects()
    switch offset {
    case RTL8139Registers.transmitStatus..<RTL8139Registers.transmitAddress:
      transmitStatus[Int(offset & 0xF) / 4].rawValue = value & RTL8139TransmitStatus.written
    case RTL8139Registers.transmitAddress..<RTL8139Registers.receiveBufferStart:
      // Frames begin at a double word.
      transmitAddress[Int(offset & 0xF) / 4] = value & ~3
    case RTL8139Registers.receiveBufferStart:
      ringBase = value
      effects.movesRing = true
    case RTL8139Registers.transmitConfiguration: writeTransmitConfiguration(value, nic: &nic)
    case RTL8139Registers.receiveConfiguration:
      let changed = (value ^ receiveConfiguration) & RTL8139Bits.receiveConfiguration
      receiveConfiguration = value & RTL8139Bits.receiveConfiguration
      effects.movesRing = changed & (3 << RTL8139Bits.ringLengthShift | RTL8139Bits.runsOver) != 0
      effects.changesReceiver = changed & (RTL8139Bits.receiveFilter | RTL8139Bits.receiveShortErrors) != 0
    default: return nil
    }
    return effects
  }

  private mutating func writeTransmitConfiguration<NIC: NICDevice & ~Copyable>(_ value: UInt32, nic: inout NIC) {
    // The NIC appends the frame check sequence, always: inspectors make frames without one.
    let own = RTL8139Bits.ownFrameCheckSequence
    nic.writeRegister(RTL8139Registers.transmitConfiguration, value: UInt64(value & ~own), width: .doubleWord)
    let answer = nic.readRegister(RTL8139Registers.transmitConfiguration, width: .doubleWord)
    transmitConfiguration = UInt32(truncatingIfNeeded: answer) & ~version | value & own
  }

  private mutating func writeWord(_ offset: UInt32, _ value: UInt16) -> ByteRingEffects? {
    switch offset {
    case RTL8139Registers.readPointer:
      capr = value
      var effects = ByteRingEffects()
      effects.movesReadPlace = true
      return effects
    case RTL8139Registers.interruptMask: setMask(UInt32(value))
    case RTL8139Registers.writePointer, RTL8139Registers.transmitSummary: break
    default: return nil
    }
    return ByteRingEffects()
  }

  private mutating func writeByte<NIC: NICDevice & ~Copyable>(
    _ offset: UInt32, _ value: UInt8, nic: inout NIC
  ) -> ByteRingEffects {
    switch offset {
    case RTL8139Registers.command: return writeCommand(value, nic: &nic)
    case RTL8139Registers.interruptMask: setMask(interrupts.mask & 0xFF00 | UInt32(value))
    case RTL8139Registers.interruptMask + 1: setMask(interrupts.mask & 0xFF | UInt32(value) << 8)
    default: break
    }
    return ByteRingEffects()
  }

  private mutating func setMask(_ value: UInt32) {
    interrupts.disable(~value)
    interrupts.enable(value & RTL8139Bits.allCauses)
  }

  private mutating func writeCommand<NIC: NICDevice & ~Copyable>(_ value: UInt8, nic: inout NIC) -> ByteRingEffects {
    var effects = ByteRingEffects()
    guard value & RTL8139Bits.reset == 0 else {
      reset(nic: &nic)
      effects.restartsReceiver = true
      effects.restartsTransmitter = true
      effects.resetsNIC = true
      return effects
    }
    let changed = command ^ value
    command = value & (RTL8139Bits.receiverEnable | RTL8139Bits.transmitterEnable)
    if changed & RTL8139Bits.receiverEnable != 0 {
      // A receiver that is switched on begins with an empty ring.
      if isReceiving {
        capr = 0xFFF0
        cbr = 0
      }
      effects.restartsReceiver = true
    }
    effects.restartsTransmitter = changed & RTL8139Bits.transmitterEnable != 0
    return effects
  }

  private var isReceiving: Bool { command & RTL8139Bits.receiverEnable != 0 }

  /// What CR.RST does (datasheet 5.5), to the NIC too; and the NIC is made ready.
  private mutating func reset<NIC: NICDevice & ~Copyable>(nic: inout NIC) {
    nic.writeRegister(RTL8139Registers.command, value: UInt64(RTL8139Bits.reset), width: .byte)
    // It is over when the bit reads 0.
    for _ in 0..<1000 {
      let value = UInt8(truncatingIfNeeded: nic.readRegister(RTL8139Registers.command, width: .byte))
      if value & RTL8139Bits.reset == 0 { break }
    }
    // The lengths and thresholds of a NIC whose transmitter is off are not to be set.
    nic.writeRegister(RTL8139Registers.command, value: UInt64(RTL8139Bits.transmitterEnable), width: .byte)
    nic.writeRegister(RTL8139Registers.interruptMask, value: UInt64(RTL8139Bits.allCauses), width: .word)
    let fresh = RTL8139Driver()
    let (version, interrupts) = (self.version, self.interrupts)
    self = fresh
    self.version = version
    self.interrupts = interrupts
    self.interrupts.reset()
  }

  // MARK: - Shadow copies

  public mutating func attach<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) {
    reset(nic: &nic)
    // HWVERID, in bits 30–26 and 23–22.
    version =
      UInt32(truncatingIfNeeded: nic.readRegister(RTL8139Registers.transmitConfiguration, width: .doubleWord))
      & 0x7CC0_0000
    restoreShadows(registers)
    clearCauses(registers)
  }

  private func storeReceiveShadows(_ registers: RegisterFile) {
    let isEmpty = readPlace == UInt32(cbr)
    registers.store(UInt64(UInt16(truncatingIfNeeded: readPlace) &- 16), at: RTL8139Registers.readPointer, width: .word)
    registers.store(UInt64(cbr), at: RTL8139Registers.writePointer, width: .word)
    registers.store(
      UInt64(command | (isEmpty ? RTL8139Bits.bufferEmpty : 0)), at: RTL8139Registers.command, width: .byte)
  }

  private func storeTransmitShadows(_ slot: Int, _ registers: RegisterFile) {
    let offset = UInt32(slot) &* 4
    registers.store(UInt64(transmitStatus[slot].rawValue), at: RTL8139Registers.transmitStatus &+ offset)
    registers.store(UInt64(transmitAddress[slot]), at: RTL8139Registers.transmitAddress &+ offset)
    var summary: UInt64 = 0
    for index in 0..<4 {
      let status = transmitStatus[index].rawValue
      // OWN, TABT, TUN and TOK (datasheet 5.18).
      let bits = status >> 13 & 1 | (status >> 30 & 1) << 4 | (status >> 14 & 1) << 8 | (status >> 15 & 1) << 12
      summary |= UInt64(bits) << UInt64(index)
    }
    registers.store(summary, at: RTL8139Registers.transmitSummary, width: .word)
  }

  /// All but the causes: the OS clears those while its other accesses wait.
  private func restoreShadows(_ registers: RegisterFile) {
    for slot in 0..<4 { storeTransmitShadows(slot, registers) }
    registers.store(UInt64(ringBase), at: RTL8139Registers.receiveBufferStart)
    // There is no early reception: ERBCR and ERSR.
    registers.store(0, at: 0x34, width: .word)
    registers.store(0, at: 0x36, width: .byte)
    storeReceiveShadows(registers)
    registers.store(UInt64(interrupts.mask), at: RTL8139Registers.interruptMask, width: .word)
    registers.store(UInt64(transmitConfiguration | version), at: RTL8139Registers.transmitConfiguration)
    registers.store(UInt64(receiveConfiguration), at: RTL8139Registers.receiveConfiguration)
  }

  private func clearCauses(_ registers: RegisterFile) {
    registers.store(0, at: RTL8139Registers.interruptStatus, width: .word)
  }

  private mutating func raise(_ bits: UInt32, _ registers: RegisterFile) {
    interrupts.add(cause: bits)
    // The upper half of the 32 bits that begin with the mask.
    registers.set(bits << 16, at: RTL8139Registers.interruptMask)
  }

  // MARK: - The real NIC

  private func writeCommand<NIC: NICDevice & ~Copyable>(receives: Bool, to nic: inout NIC) {
    let value = RTL8139Bits.transmitterEnable | (receives ? RTL8139Bits.receiverEnable : 0)
    nic.writeRegister(RTL8139Registers.command, value: UInt64(value), width: .byte)
  }

  public mutating func startReceive<NIC: NICDevice & ~Copyable>(at base: BusAddress, nic: inout NIC) {
    nic.writeRegister(RTL8139Registers.receiveBufferStart, value: base.rawValue, width: .doubleWord)
    writeCommand(receives: true, to: &nic)
    // Only now: while the receiver is off, thresholds are not to be set. Chips that let go of their ring's places with this do
    // so while it is empty.
    let filter = RTL8139Bits.receiveFilter | RTL8139Bits.receiveShortErrors
    nic.writeRegister(
      RTL8139Registers.receiveConfiguration,
      value: UInt64(receiveConfiguration & filter | RTL8139Bits.nicReceiveConfiguration), width: .doubleWord)
    setReadPlace(0, nic: &nic)
  }

  public mutating func stopReceive<NIC: NICDevice & ~Copyable>(nic: inout NIC) {
    writeCommand(receives: false, to: &nic)
  }

  public func writePlace<NIC: NICDevice & ~Copyable>(of nic: inout NIC) -> UInt32 {
    UInt32(truncatingIfNeeded: nic.readRegister(RTL8139Registers.writePointer, width: .word)) & 0xFFFF
  }

  public func setReadPlace<NIC: NICDevice & ~Copyable>(_ place: UInt32, nic: inout NIC) {
    let value = UInt16(truncatingIfNeeded: place) &- 16
    nic.writeRegister(RTL8139Registers.readPointer, value: UInt64(value), width: .word)
  }

  public func send<NIC: NICDevice & ~Copyable>(_ frame: NICFrame, slot: Int, mark: Bool, nic: inout NIC) {
    let offset = UInt32(truncatingIfNeeded: slot & 3) &* 4
    nic.writeRegister(
      RTL8139Registers.transmitAddress &+ offset, value: frame.buffer.rawValue & 0xFFFF_FFFF, width: .doubleWord)
    nic.writeRegister(
      RTL8139Registers.transmitStatus &+ offset,
      value: UInt64(RTL8139TransmitStatus(length: frame.length, mark: mark).rawValue), width: .doubleWord)
  }

  private func status<NIC: NICDevice & ~Copyable>(of slot: Int, nic: inout NIC) -> RTL8139TransmitStatus {
    let offset = UInt32(truncatingIfNeeded: slot & 3) &* 4
    let value = nic.readRegister(RTL8139Registers.transmitStatus &+ offset, width: .doubleWord)
    return RTL8139TransmitStatus(rawValue: UInt32(truncatingIfNeeded: value))
  }

  public func transmitStatus<NIC: NICDevice & ~Copyable>(of slot: Int, nic: inout NIC) -> SlotStatus? {
    let status = status(of: slot, nic: &nic)
    guard status.isOwn, status.isDone else { return nil }
    return SlotStatus(rawValue: status.rawValue & RTL8139TransmitStatus.reported)
  }

  public func transmitMark<NIC: NICDevice & ~Copyable>(of slot: Int, nic: inout NIC) -> Bool {
    status(of: slot, nic: &nic).mark
  }

  public mutating func takeInterrupt<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) -> Bool {
    let value = nic.readRegister(RTL8139Registers.interruptStatus, width: .word)
    guard value & 0xFFFF != 0 else { return false }
    nic.writeRegister(RTL8139Registers.interruptStatus, value: value, width: .word)
    let others = UInt32(truncatingIfNeeded: value) & RTL8139Bits.allCauses & ~RTL8139Bits.frameCauses
    if others != 0 { raise(others, registers) }
    return true
  }

  // MARK: - What the OS hears

  public mutating func noteReceived(upTo place: UInt32, hasFrames: Bool, registers: RegisterFile) {
    cbr = UInt16(truncatingIfNeeded: place)
    storeReceiveShadows(registers)
    if hasFrames { raise(RTL8139Bits.receiveOK, registers) }
  }

  public mutating func noteTransmitted(_ slot: Int, _ status: SlotStatus, registers: RegisterFile) {
    let reported =
      switch status {
      case .sent: RTL8139TransmitStatus.ok
      case .refused: RTL8139TransmitStatus.aborted
      default: status.rawValue & RTL8139TransmitStatus.reported
      }
    let kept = transmitStatus[slot & 3].rawValue & RTL8139TransmitStatus.written
    transmitStatus[slot & 3].rawValue = kept | RTL8139TransmitStatus.idle.rawValue | reported
    storeTransmitShadows(slot & 3, registers)
    raise(transmitStatus[slot & 3].isFailed ? RTL8139Bits.transmitError : RTL8139Bits.transmitOK, registers)
  }

  public mutating func resume(upTo place: UInt32, registers: RegisterFile) {
    cbr = UInt16(truncatingIfNeeded: place)
    restoreShadows(registers)
    raise(RTL8139Bits.receiveOK | RTL8139Bits.transmitOK, registers)
    // The last one may have been lost with the core that gave it.
    interrupts.repeatInterrupt()
  }

  public mutating func takeOSInterrupts(
    at now: UInt64, by delivery: InterruptDelivery, registers: RegisterFile
  ) -> NICInterrupts {
    interrupts.takeInterrupts(at: now)
  }
}
