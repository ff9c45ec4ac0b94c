/// Why a write to Ally's configuration registers had no effect; the code in ``AllyConfiguration/Register/error``.
@frozen
public enum ConfigurationError: UInt8, Sendable, BitwiseCopyable {
  case none = 0
  /// The group of registers is locked.
  case locked = 1
  /// The value has reserved bits, is not aligned, or names what does not exist.
  case badValue = 2
  /// DPI memory would end before it begins, or the Remapping Table would no longer lie in it.
  case badRange = 3
  /// The Remapping Table does not fit there, or no memory is there.
  case badTable = 4
  /// No room for another entry.
  case full = 5
  /// Not an aligned 64-bit access to a register that can be written.
  case badAccess = 6
}

/// Groups of registers that can be locked until the next reset: bits of ``AllyConfiguration/Register/locks``.
@frozen
public struct ConfigurationLocks: OptionSet, Sendable, BitwiseCopyable {
  public var rawValue: UInt64
  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  @inlinable public static var boundary: Self { Self(rawValue: 1) }
  @inlinable public static var remapping: Self { Self(rawValue: 1 << 1) }
  @inlinable public static var interruptRedirection: Self { Self(rawValue: 1 << 2) }
  @inlinable public static var requesters: Self { Self(rawValue: 1 << 3) }
  @inlinable public static var interruptSources: Self { Self(rawValue: 1 << 4) }
  @inlinable public static var all: Self { Self(rawValue: 0x1F) }
}

/// Ally's configuration registers: the last row of the paper's Table 1 ("all units: extra MMIO registers"), and §3: "each
/// hardware extension is controlled through MMIO configuration registers accessible only to the privileged cores".
///
/// A page of 64-bit registers at ``base``, read and written by aligned 64-bit accesses of DPI cores. For OS cores and
/// devices there is nothing at that address: loads give ones, stores are lost; counted. A write that is not allowed
/// changes nothing and leaves its reason in ``Register/error``.
///
/// This is the state; the ``Northbridge`` holds it and carries out what a write says.
@frozen
public struct AllyConfiguration: Sendable, BitwiseCopyable {
  /// Where the registers are.
  public static var base: PhysicalAddress { PhysicalAddress(0xFEDA_0000) }
  /// Bytes of physical address space.
  public static var length: UInt64 { 0x1000 }

  /// Offsets from ``AllyConfiguration/base``.
  public enum Register {
    /// Read-only: "ALLY" in the lower half, the version of this layout, 1, in the upper.
    public static var identification: UInt64 { 0x00 }
    /// ``ConfigurationLocks``: ones lock, zeros do nothing.
    public static var locks: UInt64 { 0x08 }
    /// The first byte of DPI memory; a multiple of 4,096.
    public static var boundary: UInt64 { 0x10 }
    /// The first byte after DPI memory; a multiple of 4,096.
    public static var end: UInt64 { 0x18 }
    /// Where the Remapping Table lies in DPI memory; a multiple of 8. A write moves the table there.
    public static var remappingBase: UInt64 { 0x20 }
    /// How many bytes the Remapping Table may take.
    public static var remappingSize: UInt64 { 0x28 }
    /// The last ``ConfigurationError``; a write clears it.
    public static var error: UInt64 { 0x30 }
    /// Read-only: how often an OS core reached for these registers.
    public static var refused: UInt64 { 0x38 }
    /// 32 registers, 8 bytes apart: ``InterruptRedirectionRegister``.
    public static var interruptRedirections: UInt64 { 0x100 }
    /// 64 registers, 8 bytes apart: ``AuthorizedRequesterRegister``.
    public static var requesters: UInt64 { 0x200 }
    /// 64 pairs of registers, 16 bytes apart: an ``InterruptSourceRegister``, and an ``InterruptPermitRegister`` that makes
    /// it count.
    public static var interruptSources: UInt64 { 0x400 }
  }

  static var identification: UInt64 { 1 << 32 | 0x594C_4C41 }

  /// Where DPI memory is.
  public internal(set) var partition: Partition
  /// Grows with every change of the partition; what cores' MMUs compare before each access.
  public internal(set) var generation: UInt64
  public internal(set) var locks: ConfigurationLocks
  public internal(set) var error: ConfigurationError
  /// Accesses of OS cores to these registers.
  public internal(set) var refused: UInt64
  var redirections: InlineArray<32, UInt64>
  var requesters: InlineArray<64, UInt64>
  /// The pairs, one after the other.
  var sources: InlineArray<128, UInt64>

  /// The registers after a reset, with the partition that the firmware has chosen.
  public init(partition: Partition) {
    self.partition = partition
    generation = 0
    locks = []
    error = .none
    refused = 0
    redirections = .init(repeating: 0)
    requesters = .init(repeating: 0)
    sources = .init(repeating: 0)
  }
}

/// What each of the registers from ``AllyConfiguration/Register/interruptRedirections`` on holds: a device whose interrupts
/// are steered to a DPI core. Requester in bits 15–0, vector in 23–16, core in 55–24, valid in 63.
@frozen
public struct InterruptRedirectionRegister: RawRepresentable, Sendable, BitwiseCopyable, Equatable {
  public var rawValue: UInt64
  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  @inlinable
  public init(_ requester: RequesterID, to core: LocalAPICID, vector: UInt8) {
    rawValue = UInt64(requester.rawValue) | UInt64(vector) << 16 | UInt64(core.rawValue) << 24 | 1 << 63
  }
  @inlinable public var requester: RequesterID { RequesterID(rawValue: UInt16(truncatingIfNeeded: rawValue)) }
  @inlinable public var vector: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 16) }
  @inlinable public var core: LocalAPICID { LocalAPICID(UInt32(truncatingIfNeeded: rawValue >> 24)) }
  @inlinable public var isValid: Bool { rawValue >> 63 == 1 }
}

/// What each of the registers from ``AllyConfiguration/Register/requesters`` on holds: a device that may reach DPI memory.
/// Requester in bits 15–0, valid in 63.
@frozen
public struct AuthorizedRequesterRegister: RawRepresentable, Sendable, BitwiseCopyable, Equatable {
  public var rawValue: UInt64
  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  @inlinable
  public init(_ requester: RequesterID) { rawValue = UInt64(requester.rawValue) | 1 << 63 }
  @inlinable public var requester: RequesterID { RequesterID(rawValue: UInt16(truncatingIfNeeded: rawValue)) }
  @inlinable public var isValid: Bool { rawValue >> 63 == 1 }
}

/// The first of a pair of registers from ``AllyConfiguration/Register/interruptSources`` on: who may interrupt. Kind in bits
/// 1–0 (0 a core, 1 a device, 2 a core's MMU), its id in bits 63–32.
@frozen
public struct InterruptSourceRegister: RawRepresentable, Sendable, BitwiseCopyable, Equatable {
  public var rawValue: UInt64
  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Nil for what cannot be authorised: a DPI core in a device's place.
  public init?(_ source: InterruptSource) {
    switch source {
    case .core(let core): rawValue = UInt64(core.rawValue) << 32
    case .device(let requester): rawValue = 1 | UInt64(requester.rawValue) << 32
    case .redirection(let core): rawValue = 2 | UInt64(core.rawValue) << 32
    case .mimicked: return nil
    }
  }

  /// Nil when the kind is reserved.
  public var source: InterruptSource? {
    let id = UInt32(truncatingIfNeeded: rawValue >> 32)
    switch rawValue & 3 {
    case 0: return .core(LocalAPICID(id))
    case 1: return .device(RequesterID(rawValue: UInt16(truncatingIfNeeded: id)))
    case 2: return .redirection(LocalAPICID(id))
    default: return nil
    }
  }
}

/// The second of such a pair: at which DPI core, with which vector or delivery mode. Core in bits 31–0, vector in 39–32,
/// delivery mode in 42–40, valid in 63.
@frozen
public struct InterruptPermitRegister: RawRepresentable, Sendable, BitwiseCopyable, Equatable {
  public var rawValue: UInt64
  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  @inlinable
  public init(core: LocalAPICID, vector: UInt8, mode: DeliveryMode = .fixed) {
    rawValue = UInt64(core.rawValue) | UInt64(vector) << 32 | UInt64(mode.rawValue) << 40 | 1 << 63
  }
  @inlinable public var core: LocalAPICID { LocalAPICID(UInt32(truncatingIfNeeded: rawValue)) }
  @inlinable public var vector: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 32) }
  @inlinable public var mode: DeliveryMode? { DeliveryMode(rawValue: UInt8(truncatingIfNeeded: rawValue >> 40) & 7) }
  @inlinable public var isValid: Bool { rawValue >> 63 == 1 }
}
