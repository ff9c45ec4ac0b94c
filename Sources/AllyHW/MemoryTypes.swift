/// What caches may do with a page (Intel 64 SDM volume 3, §11.3).
@frozen
public enum MemoryType: UInt8, Sendable, BitwiseCopyable {
  case uncacheable = 0
  case writeCombining = 1
  case writeThrough = 4
  case writeProtected = 5
  case writeBack = 6
  /// UC-: uncacheable, unless a range register says write-combining.
  case uncacheableWeak = 7

  /// Whether no cache keeps the data, so that the page may hold device registers.
  @inlinable
  public var mayHoldDeviceRegisters: Bool {
    self == .uncacheable || self == .uncacheableWeak || self == .writeCombining
  }
}

/// The page attribute table of a core, IA32_PAT (Intel 64 SDM volume 3, §11.12).
@frozen
public struct PageAttributeTable: RawRepresentable, Sendable, BitwiseCopyable, Equatable {
  public var rawValue: UInt64
  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  /// The table after power-up: WB, WT, UC-, UC, twice.
  @inlinable public static var powerUp: Self { Self(rawValue: 0x0007_0406_0007_0406) }

  /// The type that the PAT, PCD and PWT bits of a leaf select; a reserved encoding counts as uncacheable.
  @inlinable
  public func type(pat: Bool, cacheDisabled: Bool, writeThrough: Bool) -> MemoryType {
    let index: UInt64 = (pat ? 4 : 0) | (cacheDisabled ? 2 : 0) | (writeThrough ? 1 : 0)
    return MemoryType(rawValue: UInt8(truncatingIfNeeded: rawValue >> (8 &* index)) & 7) ?? .uncacheable
  }
}

/// The physical ranges that are uncacheable whatever a page table says: what the firmware puts into the memory type
/// range registers for the devices' address space (Intel 64 SDM volume 3, §11.11).
///
/// They matter for security: an OS that maps a NIC's registers as cacheable must not get round the Remapping Table.
/// The OS side therefore has no way to change them.
@frozen
public struct UncacheableRanges: Sendable, BitwiseCopyable {
  @usableFromInline var bases: InlineArray<8, UInt64>
  @usableFromInline var ends: InlineArray<8, UInt64>
  /// How many ranges there are, at most 8.
  public private(set) var count: Int

  /// No range: everything is as the page tables say.
  public init() {
    bases = .init(repeating: 0)
    ends = .init(repeating: 0)
    count = 0
  }

  /// Adds `length` bytes from `base`.
  ///
  /// - Returns: false when there are 8 ranges already, or when the range is empty or wraps around 2^64.
  public mutating func add(_ base: PhysicalAddress, length: UInt64) -> Bool {
    let (end, overflow) = base.rawValue.addingReportingOverflow(length)
    guard count < 8, length > 0, !overflow else { return false }
    bases[count] = base.rawValue
    ends[count] = end
    count &+= 1
    return true
  }

  /// Whether any of `length` bytes from `base` is in a range.
  public func touches(_ base: PhysicalAddress, length: UInt64) -> Bool {
    for index in 0..<count where base.rawValue < ends[index] && base.rawValue &+ length > bases[index] {
      return true
    }
    return false
  }
}
