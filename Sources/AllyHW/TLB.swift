/// A cached translation of one 4 KiB page, or of a 4 KiB piece of a larger page.
@frozen
public struct TLBEntry: Sendable, BitwiseCopyable, Equatable {
  /// The virtual page number, bits 47–12 of the address.
  public var virtualPage: UInt64
  /// The physical page number.
  public var physicalPage: UInt64
  /// What the page tables allow.
  public var rights: AccessRights
  /// Whether programs may use the page.
  public var allowsUser: Bool
  /// Whether loading CR3 keeps the entry.
  public var isGlobal: Bool
  /// Whether the leaf's dirty bit is set; a store through an entry without it walks the tables again.
  public var isDirty: Bool
  /// The redirection bit of paper §4.3, Figure 3: an access that hits this entry looks into the Remapping Table.
  public var redirection: Bool
  /// The page that the leaf maps, of which this is a piece.
  public var pageSize: PageSize

  @inlinable
  public init(
    virtualPage: UInt64, physicalPage: UInt64, rights: AccessRights, allowsUser: Bool, isGlobal: Bool, isDirty: Bool,
    redirection: Bool, pageSize: PageSize
  ) {
    self.virtualPage = virtualPage
    self.physicalPage = physicalPage
    self.rights = rights
    self.allowsUser = allowsUser
    self.isGlobal = isGlobal
    self.isDirty = isDirty
    self.redirection = redirection
    self.pageSize = pageSize
  }
}

/// A core's translation lookaside buffer: set-associative, of fixed capacity, one redirection bit an entry.
///
/// Nothing is allocated after ``init(sets:ways:)``. Owned by one core.
@frozen
@safe
public struct TLB: ~Copyable {
  /// A way that holds nothing has this page number, which no canonical address has.
  @usableFromInline static var emptyPage: UInt64 { .max }

  @usableFromInline let entries: UnsafeMutablePointer<TLBEntry>
  /// For each set, the way that the next fill replaces.
  @usableFromInline let victims: UnsafeMutablePointer<UInt8>
  /// The number of sets, a power of two.
  public let sets: Int
  /// The entries of each set.
  public let ways: Int

  /// - Precondition: `sets` is a power of two, and `ways` is between 1 and 64.
  public init(sets: Int = 64, ways: Int = 4) {
    precondition(sets > 0 && sets & (sets - 1) == 0, "the number of sets is not a power of two")
    precondition(ways > 0 && ways <= 64, "a set has between 1 and 64 ways")
    self.sets = sets
    self.ways = ways
    unsafe self.entries = .allocate(capacity: sets * ways)
    unsafe self.victims = .allocate(capacity: sets)
    unsafe victims.initialize(repeating: 0, count: sets)
    unsafe entries.initialize(repeating: Self.nothing, count: sets * ways)
  }

  deinit {
    unsafe entries.deallocate()
    unsafe victims.deallocate()
  }

  @usableFromInline static var nothing: TLBEntry {
    TLBEntry(
      virtualPage: emptyPage, physicalPage: 0, rights: [], allowsUser: false, isGlobal: false, isDirty: false,
      redirection: false, pageSize: .size4KiB)
  }

  /// The entry of a virtual page number, or nil on a miss.
  @inlinable
  public borrowing func entry(for virtualPage: UInt64) -> TLBEntry? {
    // Invariant: the masked set number is below `sets`, so every index is below `sets * ways`.
    let first = Int(truncatingIfNeeded: virtualPage) & (sets &- 1) &* ways
    for way in 0..<ways where unsafe entries[first &+ way].virtualPage == virtualPage {
      return unsafe entries[first &+ way]
    }
    return nil
  }

  /// Puts an entry in; it replaces the one for the same page, else a free one, else the set's oldest.
  public mutating func insert(_ entry: TLBEntry) {
    let set = Int(truncatingIfNeeded: entry.virtualPage) & (sets &- 1)
    let first = set &* ways
    var place = unsafe Int(victims[set])
    var replacesOldest = true
    for way in 0..<ways {
      let page = unsafe entries[first &+ way].virtualPage
      if page == entry.virtualPage {
        place = way
        replacesOldest = false
        break
      }
      if page == Self.emptyPage, replacesOldest {
        place = way
        replacesOldest = false
      }
    }
    if replacesOldest { unsafe victims[set] = UInt8((place &+ 1) % ways) }
    unsafe entries[first &+ place] = entry
  }

  /// INVLPG: forgets the page that holds `address`, all pieces of it when it is a large one, global or not.
  public mutating func invalidatePage(_ address: VirtualAddress) {
    let page = address.pageNumber
    for index in 0..<(sets &* ways) {
      let entry = unsafe entries[index]
      guard entry.virtualPage != Self.emptyPage else { continue }
      let pagesMask = ~(entry.pageSize.rawValue >> 12 &- 1)
      if entry.virtualPage & pagesMask == page & pagesMask { unsafe entries[index] = Self.nothing }
    }
  }

  /// What loading CR3 does: forgets every entry that is not global.
  public mutating func flushNonGlobal() {
    for index in 0..<(sets &* ways) where unsafe !entries[index].isGlobal {
      unsafe entries[index] = Self.nothing
    }
  }

  /// Forgets everything.
  public mutating func flush() {
    unsafe entries.update(repeating: Self.nothing, count: sets &* ways)
  }
}
