/// Offsets of a local APIC's registers in its page (Intel 64 SDM volume 3, table 10-1). Each is 32 bits wide.
public enum LocalAPICRegister {
  /// Where the page is: every core sees its own APIC there.
  public static var base: PhysicalAddress { PhysicalAddress(0xFEE0_0000) }
  /// Bytes of physical address space.
  public static var length: UInt64 { 0x1000 }

  public static var id: UInt64 { 0x20 }
  public static var version: UInt64 { 0x30 }
  public static var taskPriority: UInt64 { 0x80 }
  public static var processorPriority: UInt64 { 0xA0 }
  public static var endOfInterrupt: UInt64 { 0xB0 }
  public static var logicalDestination: UInt64 { 0xD0 }
  public static var destinationFormat: UInt64 { 0xE0 }
  public static var spuriousVector: UInt64 { 0xF0 }
  /// ISR, TMR and IRR: eight registers of 32 vectors each, 16 bytes apart.
  public static var inService: UInt64 { 0x100 }
  public static var triggerMode: UInt64 { 0x180 }
  public static var requested: UInt64 { 0x200 }
  public static var errorStatus: UInt64 { 0x280 }
  public static var commandLow: UInt64 { 0x300 }
  public static var commandHigh: UInt64 { 0x310 }
  /// The local vector table: timer, thermal, performance, LINT0, LINT1, error; 16 bytes apart.
  public static var localVectors: UInt64 { 0x320 }
}

/// What a write to a local APIC's register makes necessary beyond the APIC itself.
@usableFromInline
enum LocalAPICEffect: BitwiseCopyable {
  case none
  case endInterrupt
  case send(InterruptCommand)
}

extension LocalAPIC {
  /// A load from the register page; registers that are not there give 0.
  func read(_ offset: UInt64) -> UInt32 {
    switch offset {
    case LocalAPICRegister.id: return id.rawValue << 24
    // An integrated APIC of six local vectors.
    case LocalAPICRegister.version: return 0x0005_0014
    case LocalAPICRegister.taskPriority: return UInt32(taskPriority)
    case LocalAPICRegister.processorPriority: return UInt32(processorPriority) << 4
    case LocalAPICRegister.logicalDestination: return UInt32(logicalID) << 24
    case LocalAPICRegister.destinationFormat: return UInt32(destinationFormat) << 28 | 0x0FFF_FFFF
    case LocalAPICRegister.spuriousVector: return UInt32(spuriousVector) | (isEnabled ? 1 << 8 : 0)
    case LocalAPICRegister.errorStatus: return errors
    case LocalAPICRegister.commandLow: return commandLow
    case LocalAPICRegister.commandHigh: return commandHigh
    case LocalAPICRegister.inService..<LocalAPICRegister.triggerMode: return inService[register: offset]
    case LocalAPICRegister.triggerMode..<LocalAPICRegister.requested: return levelTriggered[register: offset]
    case LocalAPICRegister.requested..<LocalAPICRegister.errorStatus: return requested[register: offset]
    default: return localVectorIndex(offset).map { localVectors[$0] } ?? 0
    }
  }

  /// A store to the register page; registers that are read-only or not there ignore it.
  mutating func write(_ value: UInt32, at offset: UInt64) -> LocalAPICEffect {
    switch offset {
    case LocalAPICRegister.taskPriority: taskPriority = UInt8(truncatingIfNeeded: value)
    case LocalAPICRegister.endOfInterrupt: return .endInterrupt
    case LocalAPICRegister.logicalDestination: logicalID = UInt8(truncatingIfNeeded: value >> 24)
    case LocalAPICRegister.destinationFormat: destinationFormat = UInt8(truncatingIfNeeded: value >> 28)
    case LocalAPICRegister.spuriousVector:
      spuriousVector = UInt8(truncatingIfNeeded: value)
      isEnabled = value >> 8 & 1 == 1
    case LocalAPICRegister.errorStatus: errors = 0
    case LocalAPICRegister.commandHigh: commandHigh = value & 0xFF00_0000
    case LocalAPICRegister.commandLow:
      // Delivery status, bit 12, reads as idle: everything is sent at once.
      commandLow = value & ~(1 << 12)
      return .send(InterruptCommand(rawValue: UInt64(commandHigh) << 32 | UInt64(commandLow)))
    default:
      if let index = localVectorIndex(offset) { localVectors[index] = value }
    }
    return .none
  }

  private func localVectorIndex(_ offset: UInt64) -> Int? {
    guard offset >= LocalAPICRegister.localVectors, offset & 0xF == 0 else { return nil }
    let index = Int(truncatingIfNeeded: (offset &- LocalAPICRegister.localVectors) >> 4)
    return index < 6 ? index : nil
  }
}

extension VectorSet {
  /// The 32 vectors that a register of a local APIC's set has: bits 6–4 of the offset say which; 0 between registers.
  fileprivate subscript(register offset: UInt64) -> UInt32 {
    guard offset & 0xF == 0 else { return 0 }
    let index = UInt8(truncatingIfNeeded: offset >> 4) & 7
    return UInt32(truncatingIfNeeded: self[word: index >> 1] >> (index & 1 == 0 ? 0 : 32))
  }
}
