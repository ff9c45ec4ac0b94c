/// An entry of the I/O APIC's redirection table (82093AA datasheet §3.2.4): what an interrupt pin does.
@frozen
public struct RedirectionEntry: RawRepresentable, Sendable, BitwiseCopyable, Equatable {
  public var rawValue: UInt64
  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The entry after a reset: masked.
  @inlinable public static var reset: Self { Self(rawValue: 1 << 16) }

  @inlinable
  public init(
    vector: UInt8, mode: DeliveryMode = .fixed, destination: UInt8, isLogical: Bool = false, isLevel: Bool,
    isMasked: Bool = false
  ) {
    rawValue =
      UInt64(vector) | UInt64(mode.rawValue) << 8 | (isLogical ? 1 << 11 : 0) | (isLevel ? 1 << 15 : 0)
      | (isMasked ? 1 << 16 : 0) | UInt64(destination) << 56
  }

  @inlinable public var vector: UInt8 { UInt8(truncatingIfNeeded: rawValue) }
  @inlinable public var isLevel: Bool { rawValue >> 15 & 1 == 1 }
  @inlinable public var isMasked: Bool { rawValue >> 16 & 1 == 1 }
  /// Remote IRR: a core has taken the level-triggered interrupt and not ended it.
  @inlinable public var isInService: Bool {
    get { rawValue >> 14 & 1 == 1 }
    set { rawValue = rawValue & ~(1 << 14) | (newValue ? 1 << 14 : 0) }
  }

  /// The interrupt that the pin raises; nil for a reserved delivery mode.
  public var interrupt: InterruptMessage? {
    guard let mode = DeliveryMode(rawValue: UInt8(truncatingIfNeeded: rawValue >> 8) & 7) else { return nil }
    let target = UInt8(truncatingIfNeeded: rawValue >> 56)
    return InterruptMessage(
      vector: vector, mode: mode, destination: rawValue >> 11 & 1 == 1 ? .logical(target) : .physical(UInt32(target)),
      isLevel: isLevel && mode.usesVector)
  }
}

/// The I/O APIC's registers (82093AA datasheet §3; version 0x20 with the EOI register): what an OS programs to route
/// interrupt pins.
///
/// Registers are reached in two steps: the number goes to IOREGSEL, the value through IOWIN.
@frozen
public struct IOAPIC: Sendable, BitwiseCopyable {
  public static var pinCount: Int { 24 }
  /// Where the registers are in a PC.
  public static var base: PhysicalAddress { PhysicalAddress(0xFEC0_0000) }
  /// Bytes of physical address space.
  public static var length: UInt64 { 0x1000 }

  /// Offsets from ``base``.
  public enum Register {
    /// IOREGSEL: the number of the register behind ``window``.
    public static var select: UInt64 { 0x00 }
    /// IOWIN.
    public static var window: UInt64 { 0x10 }
    /// EOI: a vector written here ends its level-triggered interrupts.
    public static var endOfInterrupt: UInt64 { 0x40 }
  }

  /// What a write makes necessary.
  public enum Effect: BitwiseCopyable, Equatable {
    case none
    /// The entry of a pin has changed.
    case changed(pin: UInt8)
    /// The level-triggered interrupts with a vector have ended.
    case ended(vector: UInt8)
  }

  public private(set) var entries: InlineArray<24, RedirectionEntry>
  private var selected: UInt8
  private var identification: UInt32

  init() {
    entries = .init(repeating: .reset)
    selected = 0
    identification = 0
  }

  subscript(pin: UInt8) -> RedirectionEntry {
    get { entries[Int(pin)] }
    set { entries[Int(pin)] = newValue }
  }

  func read(_ offset: UInt64) -> UInt32 {
    switch offset {
    case Register.select: return UInt32(selected)
    case Register.window: break
    default: return 0
    }
    switch selected {
    // The arbitration id follows the id.
    case 0, 2: return identification
    case 1: return 0x20 | UInt32(Self.pinCount &- 1) << 16
    case 0x10..<(0x10 + 2 * 24):
      let entry = entries[Int(selected &- 0x10) / 2].rawValue
      return UInt32(truncatingIfNeeded: selected & 1 == 0 ? entry : entry >> 32)
    default: return 0
    }
  }

  mutating func write(_ value: UInt32, at offset: UInt64) -> Effect {
    switch offset {
    case Register.select:
      selected = UInt8(truncatingIfNeeded: value)
      return .none
    case Register.endOfInterrupt: return .ended(vector: UInt8(truncatingIfNeeded: value))
    case Register.window: break
    default: return .none
    }
    switch selected {
    case 0:
      identification = value & 0x0F00_0000
      return .none
    case 0x10..<(0x10 + 2 * 24):
      let pin = Int(selected &- 0x10) / 2
      var entry = entries[pin].rawValue
      if selected & 1 == 1 {
        entry = entry & 0xFFFF_FFFF | UInt64(value & 0xFF00_0000) << 32
      } else {
        // Delivery status (bit 12) and Remote IRR (bit 14) are read-only; the latter goes with the level trigger.
        let readOnly: UInt64 = value >> 15 & 1 == 1 ? entry & 1 << 14 : 0
        entry = entry & ~0xFFFF_FFFF | UInt64(value & 0x1_AFFF) | readOnly
      }
      entries[pin] = RedirectionEntry(rawValue: entry)
      return .changed(pin: UInt8(pin))
    default: return .none
    }
  }
}
