import AllyHW
import AllyRings

/// The registers of one queue of an Intel NIC, as the OS wrote them. Base, length, head and tail lie alike in every queue of
/// every family (8254x SDM 13.4.25 to 13.4.29; 82574 datasheet 10.2.5.3 to 10.2.5.7; 82576 datasheet 8.10.5 to 8.10.9).
struct IntelQueueRegisters: BitwiseCopyable, Sendable {
  var baseLow: UInt32 = 0
  var baseHigh: UInt32 = 0
  var length: UInt32 = 0
  var head: UInt32 = 0
  var tail: UInt32 = 0
  /// The register with the enable: RCTL or TCTL, or one of the queue's own.
  var control: UInt32 = 0
  /// Whether base, length or head changed while the queue was enabled. Between the writes of a new base and length the
  /// registers contradict each other, so the queue stops, and starts again with the next tail or control write.
  var isChanging = false
  /// Whether the NIC works on the DPI queue.
  var isStarted = false

  /// What a write to a queue's register changes.
  enum Change {
    case nothing
    case tail
    case queue
  }

  /// A write to the register at `place` bytes from the queue's first one, which is at `first`. `isEnabled` tells whether the
  /// queue is enabled apart from ``isChanging``.
  mutating func write(
    _ place: UInt32, _ value: UInt32, isEnabled: Bool, first: UInt32, registers: RegisterFile
  ) -> Change {
    switch place {
    case 0x00: baseLow = value & ~0xF
    case 0x04: baseHigh = value
    case 0x08: length = value & 0xF_FF80
    case 0x10: head = value & 0xFFFF
    case 0x18:
      tail = value & 0xFFFF
      registers.store(UInt64(tail), at: first &+ place)
      guard isChanging else { return .tail }
      isChanging = false
      return .queue
    default: return .nothing
    }
    storeShadows(at: first, registers)
    guard isEnabled else { return .nothing }
    isChanging = true
    return .queue
  }

  func storeShadows(at first: UInt32, _ registers: RegisterFile) {
    registers.store(UInt64(baseLow), at: first)
    registers.store(UInt64(baseHigh), at: first &+ 0x04)
    registers.store(UInt64(length), at: first &+ 0x08)
    registers.store(UInt64(head), at: first &+ 0x10)
    registers.store(UInt64(tail), at: first &+ 0x18)
  }

  func programmed(
    isEnabled: Bool, bufferLength: UInt32 = 0, trailerLength: UInt32 = 0, hasKnownFormat: Bool = true
  ) -> ProgrammedQueue {
    ProgrammedQueue(
      base: BusAddress(UInt64(baseHigh) << 32 | UInt64(baseLow)), byteLength: length, head: head, tail: tail,
      isEnabled: isEnabled && !isChanging, bufferLength: bufferLength, trailerLength: trailerLength,
      hasKnownFormat: hasKnownFormat)
  }

  /// Points the NIC's queue whose first register is at `first` at a twin: base, length, head and tail (SDM 14.4).
  ///
  /// - Parameters:
  ///   - twin: the DPI queue.
  ///   - descriptorLength: the bytes of each of its descriptors, 16 in every family.
  ///   - first: the offset of the queue's first register.
  ///   - nic: the real NIC.
  static func program<NIC: NICDevice & ~Copyable>(
    _ twin: DescriptorQueue, descriptorLength: UInt64 = 16, first: UInt32, on nic: inout NIC
  ) {
    let base = twin.base.rawValue
    nic.writeRegister(first, value: base & 0xFFFF_FFFF, width: .doubleWord)
    nic.writeRegister(first &+ 0x04, value: base >> 32, width: .doubleWord)
    nic.writeRegister(first &+ 0x08, value: UInt64(twin.count) &* descriptorLength, width: .doubleWord)
    nic.writeRegister(first &+ 0x10, value: UInt64(twin.head), width: .doubleWord)
    nic.writeRegister(first &+ 0x18, value: UInt64(twin.tail), width: .doubleWord)
  }
}

/// RCTL's fields that the families share.
enum IntelReceiveControl {
  /// RCTL.BSIZE and RCTL.BSEX (SDM 13.4.22, Table 13-67). The reserved pair counts as the smallest extended size.
  static func bufferLength(_ control: UInt32) -> UInt32 {
    let shift = control >> 16 & 3
    guard control & 1 << 25 != 0 else { return 2048 >> shift }
    return 32768 >> max(shift, 1)
  }
}

extension RegisterFile {
  /// Stores a 32-bit register's shadow.
  func store(_ value: UInt32, at offset: UInt32) { store(UInt64(value), at: offset) }
}
