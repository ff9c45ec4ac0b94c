/// The bits of a core's control registers that decide how it translates addresses (Intel 64 SDM volume 3, §2.5, §4.1).
///
/// Whether paging is on at all (CR0.PG) is told by ``MMU/pageTableRoot``.
@frozen
public struct PagingControls: OptionSet, Sendable, BitwiseCopyable {
  public var rawValue: UInt8
  @inlinable
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// CR4.LA57: page tables of five levels, and 57 bits of virtual address.
  @inlinable public static var fiveLevels: Self { Self(rawValue: 1) }
  /// CR0.WP: the kernel's stores too need a page that is writable.
  @inlinable public static var writeProtect: Self { Self(rawValue: 1 << 1) }
  /// CR4.PGE: loading CR3 keeps translations that are marked global.
  @inlinable public static var globalPages: Self { Self(rawValue: 1 << 2) }
  /// EFER.NXE: the XD bit counts; without it, it is reserved.
  @inlinable public static var executeDisable: Self { Self(rawValue: 1 << 3) }
  /// A20M#: with paging off, bit 20 of every address is masked, as in a PC that has just been switched on.
  @inlinable public static var masksAddressLine20: Self { Self(rawValue: 1 << 4) }

  /// What 64-bit operating systems choose on a machine of four levels.
  @inlinable public static var stockKernel: Self { [.writeProtect, .globalPages, .executeDisable] }

  /// How many levels the first stage's tables have.
  @inlinable var levels: Int { contains(.fiveLevels) ? 5 : 4 }

  /// Whether an address is one that can be translated. Paging off: whether it is a physical address, of 52 bits at most.
  @usableFromInline
  func isCanonical(_ virtual: VirtualAddress, isPaging: Bool) -> Bool {
    guard isPaging else { return virtual.rawValue >> 52 == 0 }
    let upper = Int64(bitPattern: virtual.rawValue) >> (contains(.fiveLevels) ? 56 : 47)
    return upper == 0 || upper == -1
  }
}
