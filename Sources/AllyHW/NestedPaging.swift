/// The second stage of a hypervisor's translation: from guest-physical to physical addresses (Intel 64 SDM volume 3,
/// §28.3, "extended page tables"). What a VMCS's EPTP field says.
@frozen
public struct NestedPaging: Sendable, BitwiseCopyable, Equatable {
  /// The top-level table.
  public var root: PhysicalAddress
  /// 4 or 5.
  public var levels: Int
  /// Whether accessed and dirty bits are kept (EPTP bit 6). The walker's accesses to the guest's own tables then count as
  /// stores.
  public var marksAccess: Bool

  /// - Precondition: `levels` is 4 or 5.
  @inlinable
  public init(root: PhysicalAddress, levels: Int = 4, marksAccess: Bool = true) {
    precondition(levels == 4 || levels == 5, "a second stage has four or five levels")
    self.root = root
    self.levels = levels
    self.marksAccess = marksAccess
  }
}

/// One entry of the second stage's tables, at any level (Intel 64 SDM volume 3, §28.3.2, tables 28-1 to 28-7).
@frozen
public struct NestedPageTableEntry: RawRepresentable, Sendable, BitwiseCopyable, Equatable {
  public var rawValue: UInt64
  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The bits of an entry that are not part of an address.
  @frozen
  public struct Flags: OptionSet, Sendable, BitwiseCopyable {
    public var rawValue: UInt64
    @inlinable
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    @inlinable public static var readable: Flags { Flags(rawValue: 1) }
    @inlinable public static var writable: Flags { Flags(rawValue: 1 << 1) }
    @inlinable public static var executable: Flags { Flags(rawValue: 1 << 2) }
    @inlinable public static var all: Flags { Flags(rawValue: 7) }
    /// In a leaf: the guest's page attributes do not count.
    @inlinable public static var ignoresPageAttributes: Flags { Flags(rawValue: 1 << 6) }
    /// The entry maps a page of 2 MiB or 1 GiB.
    @inlinable public static var large: Flags { Flags(rawValue: 1 << 7) }
    @inlinable public static var accessed: Flags { Flags(rawValue: 1 << 8) }
    @inlinable public static var dirty: Flags { Flags(rawValue: 1 << 9) }
  }

  /// An entry that points to the next table; or to a page, with the memory type of it.
  @inlinable
  public init(_ address: PhysicalAddress, _ flags: Flags, type: MemoryType? = nil) {
    rawValue = address.rawValue & 0x000F_FFFF_FFFF_F000 | flags.rawValue | UInt64(type?.rawValue ?? 0) << 3
  }

  @inlinable public var flags: Flags { Flags(rawValue: rawValue) }
  /// Bits 51–12: the next table, or the page when it is one of 4 KiB.
  @inlinable public var address: PhysicalAddress { PhysicalAddress(rawValue & 0x000F_FFFF_FFFF_F000) }
  /// Bits 5–3 of a leaf; nil when they are an encoding that is not allowed there.
  @inlinable public var type: MemoryType? {
    MemoryType(rawValue: UInt8(truncatingIfNeeded: rawValue >> 3) & 7).flatMap { $0 == .uncacheableWeak ? nil : $0 }
  }
  /// What the entry allows.
  @inlinable var rights: AccessRights { AccessRights(rawValue: UInt8(truncatingIfNeeded: rawValue & 7)) }
}
