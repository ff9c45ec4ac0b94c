/// One entry of an x86-64 page table, at any level (Intel 64 SDM volume 3, §4.5, tables 4-15 to 4-20).
@frozen
public struct PageTableEntry: RawRepresentable, Sendable, BitwiseCopyable, Equatable {
  public var rawValue: UInt64
  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The bits of an entry that are not part of an address.
  @frozen
  public struct Flags: OptionSet, Sendable, BitwiseCopyable {
    public var rawValue: UInt64
    @inlinable
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// P.
    @inlinable public static var present: Flags { Flags(rawValue: 1) }
    /// R/W.
    @inlinable public static var writable: Flags { Flags(rawValue: 1 << 1) }
    /// U/S.
    @inlinable public static var user: Flags { Flags(rawValue: 1 << 2) }
    /// PWT.
    @inlinable public static var writeThrough: Flags { Flags(rawValue: 1 << 3) }
    /// PCD.
    @inlinable public static var cacheDisabled: Flags { Flags(rawValue: 1 << 4) }
    /// A.
    @inlinable public static var accessed: Flags { Flags(rawValue: 1 << 5) }
    /// D, in a leaf.
    @inlinable public static var dirty: Flags { Flags(rawValue: 1 << 6) }
    /// PS: the entry maps a page of 2 MiB or 1 GiB. In a last-level entry this bit is PAT instead.
    @inlinable public static var large: Flags { Flags(rawValue: 1 << 7) }
    /// G, in a leaf: loading CR3 keeps the translation.
    @inlinable public static var global: Flags { Flags(rawValue: 1 << 8) }
    /// XD.
    @inlinable public static var executeDisabled: Flags { Flags(rawValue: 1 << 63) }
  }

  /// An entry that points to the next table, or to a page.
  @inlinable
  public init(_ address: PhysicalAddress, _ flags: Flags) {
    self.rawValue = address.rawValue & 0x000F_FFFF_FFFF_F000 | flags.rawValue
  }

  @inlinable public var flags: Flags { Flags(rawValue: rawValue) }

  /// Bits 51–12: the next table, or the page when it is one of 4 KiB.
  @inlinable public var address: PhysicalAddress { PhysicalAddress(rawValue & 0x000F_FFFF_FFFF_F000) }
}

/// The size of a page that a leaf entry maps.
@frozen
public enum PageSize: UInt64, Sendable, BitwiseCopyable {
  case size4KiB = 0x1000
  case size2MiB = 0x20_0000
  case size1GiB = 0x4000_0000
}

/// How software on a core makes an access: with the kernel's rights, or with those of a program.
@frozen
public enum Privilege: Sendable, BitwiseCopyable {
  case supervisor
  case user
}

/// Why a virtual address has no translation for an access.
@frozen
public enum TranslationFault: UInt8, Error, Sendable, BitwiseCopyable {
  /// The upper bits are not copies of the highest bit that is translated (47, or 56 with five levels).
  case nonCanonical
  /// An entry on the way is not present.
  case notPresent
  /// A store to a page that is not writable.
  case notWritable
  /// A program's access to a page of the kernel.
  case notUser
  /// An instruction fetch from a page that is not executable.
  case notExecutable
  /// An entry has a bit set that must be zero.
  case reservedBit
  /// A page table lies where no memory is.
  case pageTableAbsent
  /// The page, or a page table on the way, touches DPI memory: the TLB Miss Handler refused the fill (paper §4.2).
  case dpiMemory
  /// The access crosses from one page into the next; its maker has to split it.
  case crossesPage
  /// The second stage has no translation for a guest-physical address, or not for such an access: an EPT violation, which
  /// the hypervisor takes.
  case nestedViolation
  /// An entry of the second stage's tables is not valid: an EPT misconfiguration.
  case nestedMisconfiguration
}
