import AllyHW

/// A virtual function's view of the controller: the first 16 KiB of registers, as if it were a NIC of its own with two queues
/// and three vectors (82576 datasheet §7.10.2, §8.26).
extension IGBModel {
  /// Virtual function n has the queues n and n + 8.
  private static func queue(_ index: UInt32, of function: Int) -> UInt32 { UInt32(function) + index * UInt32(pools) }

  /// The first of a virtual function's three vectors among the 25 (§7.3.3).
  static func firstVector(of function: Int) -> UInt32 { UInt32(22 - 3 * function) }

  /// The bits of a virtual function's vectors.
  static func vectors(of function: Int) -> UInt32 { 7 << firstVector(of: function) }

  /// The allocation of a virtual function's mailbox interrupt: VTIVAR_MISC, as a vector of the controller.
  func vector(of function: Int) -> UInt32 { Self.allocation(mailboxVectors[function], of: function) }

  /// A vector number as a virtual function gives it, as one of the controller; invalid beyond the third.
  private static func allocation(_ value: UInt32, of function: Int) -> UInt32 {
    value & 0x80 == 0 || value & 0x1F > 2 ? 0 : firstVector(of: function) + value & 3 | 0x80
  }

  /// The register of the controller that is behind one of a virtual function, where both do the same.
  private static func plainRegister(_ offset: UInt32, of function: Int) -> UInt32? {
    switch offset {
    case 0x2800..<0x2A00 where offset & 0xC0 == 0:
      IGBRegister.receiveQueue + queue(offset >> 8 & 1, of: function) * IGBRegister.queueStride + offset & 0x3F
    case 0x3800..<0x3A00 where offset & 0xC0 == 0:
      IGBRegister.transmitQueue + queue(offset >> 8 & 1, of: function) * IGBRegister.queueStride + offset & 0x3F
    case 0x0800..<0x0840: IGBRegister.mailboxMemory + UInt32(function) * 0x40 + offset & 0x3F
    case 0x0F00..<0x1000: IGBRegister.functionStatistics + UInt32(function) * 0x100 + offset & 0xFF
    case IGBRegister.vectorThrottling..<(IGBRegister.vectorThrottling + 12):
      offset + 4 * firstVector(of: function)
    case IGBRegister.packetSplitType: IGBRegister.packetSplitType + 4 * UInt32(function)
    case IGBRegister.freeRunningTimer: offset
    default: nil
    }
  }

  mutating func read(_ offset: UInt32, ofFunction function: Int) -> UInt32 {
    let first = Self.firstVector(of: function)
    switch offset {
    // Full duplex, 1000 Mbit/s, link (§8.26.2).
    case IntelRegister.status: return read(IntelRegister.status) & 0xC3
    case IGBRegister.mailboxToPhysical: return mailboxes.readFunction(function)
    case IGBRegister.vectorCauseRead:
      defer { interrupts.clearVectors(Self.vectors(of: function)) }
      return interrupts.vectorCause >> first & 7
    case IGBRegister.vectorCauseSet: return interrupts.vectorCause >> first & 7
    case IGBRegister.vectorMaskSet: return interrupts.vectorMask >> first & 7
    case IGBRegister.vectorAutoClear: return interrupts.vectorAutoClear >> first & 7
    case IGBRegister.vectorAutoMask: return interrupts.vectorAutoMask >> first & 7
    case IGBRegister.interruptVectors: return functionVectors[function]
    case IGBRegister.otherVectors: return mailboxVectors[function]
    default:
      guard let register = Self.plainRegister(offset, of: function) else { return 0 }
      return read(register)
    }
  }

  mutating func write(_ offset: UInt32, _ value: UInt32, ofFunction function: Int) {
    let first = Self.firstVector(of: function)
    let bits = (value & 7) << first
    switch offset {
    case IntelRegister.control:
      if value & IntelRegister.ControlBit.reset != 0 { resetFunction(function) }
    case IGBRegister.mailboxToPhysical:
      if mailboxes.writeFunction(function, value) { interrupts.raise(IGBCause.mailbox) }
    case IGBRegister.vectorCauseRead: interrupts.clearVectors(bits)
    case IGBRegister.vectorCauseSet: interrupts.setVectors(bits)
    case IGBRegister.vectorMaskSet: interrupts.enableVectors(bits)
    case IGBRegister.vectorMaskClear: interrupts.disableVectors(bits)
    case IGBRegister.vectorAutoClear: setVectorBits(IGBRegister.vectorAutoClear, bits, function)
    case IGBRegister.vectorAutoMask: setVectorBits(IGBRegister.vectorAutoMask, bits, function)
    case IGBRegister.interruptVectors: setFunctionVectors(value & 0x8383_8383, function)
    case IGBRegister.otherVectors: mailboxVectors[function] = value & 0x83
    case 0x0F00..<0x1000: return
    default:
      if let register = Self.plainRegister(offset, of: function) { write(register, value) }
    }
  }

  private mutating func setVectorBits(_ register: UInt32, _ bits: UInt32, _ function: Int) {
    write(register, controller[register] & ~Self.vectors(of: function) | bits)
  }

  /// VTIVAR: receive and transmit of the first queue, then of the second.
  private mutating func setFunctionVectors(_ value: UInt32, _ function: Int) {
    functionVectors[function] = value
    var all: UInt32 = 0
    for index in UInt32(0)..<4 { all |= Self.allocation(value >> (8 * index) & 0xFF, of: function) << (8 * index) }
    write(IGBRegister.interruptVectors + 4 * UInt32(function), all)
  }

  /// VTCTRL.RST, or a reset of the PCI function: queues and interrupts of this function alone.
  mutating func resetFunction(_ function: Int) {
    for index in UInt32(0)..<2 {
      let stride = Self.queue(index, of: function) * IGBRegister.queueStride
      for base in [IGBRegister.receiveQueue, IGBRegister.transmitQueue] {
        for place in stride..<(stride + IGBRegister.queueStride) where place & 3 == 0 { controller[base + place] = 0 }
      }
      controller.transmissions[Int(Self.queue(index, of: function))].reset()
    }
    let vectors = Self.vectors(of: function)
    interrupts.disableVectors(vectors)
    interrupts.clearVectors(vectors)
    setVectorBits(IGBRegister.vectorAutoClear, 0, function)
    setVectorBits(IGBRegister.vectorAutoMask, 0, function)
    setFunctionVectors(0, function)
    mailboxVectors[function] = 0
    mailboxes.resetFunction(function)
    // The physical function hears of it.
    interrupts.raise(IGBCause.mailbox)
  }
}
