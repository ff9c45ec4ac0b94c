/// Which partition a core belongs to (paper §4.1).
@frozen
public enum CoreRole: Sendable, BitwiseCopyable {
  /// An unprivileged core, on which the OS or hypervisor and its programs run.
  case os
  /// A sequestered core.
  case dpi
}

/// What a walk of the page tables comes to.
@frozen
public enum TLBFill: Sendable, BitwiseCopyable {
  case entry(TLBEntry)
  case fault(TranslationFault)
}

/// The modified TLB Miss Handler of paper §4.2 (Figure 2) and §4.3 (Figure 3): the hardware page table walker of one
/// core, which asks its ``MMUExtension`` before each step.
///
/// With ``AllyExtension``, on an OS core it refuses to load a page of which any part is DPI memory, to read page tables
/// from there, and to write accessed and dirty bits there: all of this happens on misses only, so a hit costs nothing.
/// Under a hypervisor both stages are checked, and the guest's own tables are reached through the second one. For a
/// page that no cache keeps and that holds a register of the Remapping Table it sets the entry's redirection bit. DPI
/// cores are exempt.
@frozen
public struct TLBMissHandler<Extension: MMUExtension>: Sendable, BitwiseCopyable {
  public var hardware: Extension
  /// The core's IA32_PAT.
  public var pageAttributes: PageAttributeTable
  public var uncacheable: UncacheableRanges
  public var controls: PagingControls
  /// The hypervisor's tables, while a guest runs.
  public var nested: NestedPaging?

  @inlinable
  public init(
    hardware: Extension, pageAttributes: PageAttributeTable = .powerUp,
    uncacheable: UncacheableRanges = UncacheableRanges(), controls: PagingControls = .stockKernel
  ) {
    self.hardware = hardware
    self.pageAttributes = pageAttributes
    self.uncacheable = uncacheable
    self.controls = controls
    self.nested = nil
  }
}

extension TLBMissHandler where Extension == AllyExtension {
  /// The handler of a core with Ally's modification.
  @inlinable
  public init(
    role: CoreRole, partition: Partition, pageAttributes: PageAttributeTable = .powerUp,
    uncacheable: UncacheableRanges = UncacheableRanges(), controls: PagingControls = .stockKernel
  ) {
    self.init(
      hardware: AllyExtension(role: role, partition: partition), pageAttributes: pageAttributes,
      uncacheable: uncacheable, controls: controls)
  }
}

// MARK: - The walk

/// What an access asks of a translation.
@usableFromInline
struct WalkRequest: BitwiseCopyable {
  var virtual: VirtualAddress
  var rights: AccessRights
  var privilege: Privilege
}

/// A page, as one stage's leaf has it.
@usableFromInline
struct StagePage: BitwiseCopyable {
  /// Where all of the page begins.
  var page: PhysicalAddress
  var size: PageSize
  /// The 4 KiB piece that was asked for.
  var piece: PhysicalAddress
  var rights: AccessRights
  var isUncached: Bool
}

@usableFromInline
enum StageOutcome: BitwiseCopyable {
  case page(StagePage)
  case fault(TranslationFault)
}

/// Where an entry of a first-stage table is.
private enum EntryPlace: BitwiseCopyable {
  case at(PhysicalAddress, isWritable: Bool)
  case fault(TranslationFault)
}

extension TLBMissHandler {
  /// Walks the page tables for the page of `virtual`: at most five levels of the first stage, each of at most five of the
  /// second.
  ///
  /// Sets the accessed bits on the way and, for a store, the leaf's dirty bit, once the access is known to be allowed.
  /// `root` is CR3; nil while paging is off, when a virtual address is a (guest-)physical one: the checks still hold.
  public mutating func fill(
    _ virtual: VirtualAddress, rights: AccessRights, privilege: Privilege, root: PhysicalAddress?,
    memory: borrowing PhysicalMemory, remapping: borrowing RemappingTable
  ) -> TLBFill {
    guard controls.isCanonical(virtual, isPaging: root != nil) else { return .fault(.nonCanonical) }
    let request = WalkRequest(virtual: virtual, rights: rights, privilege: privilege)
    guard let root else { return unpaged(request, memory: memory, remapping: remapping) }
    return walk(request, root: root, memory: memory, remapping: remapping)
  }

  /// Paging is off: the address is used as it is, of a guest through the second stage.
  private mutating func unpaged(
    _ request: WalkRequest, memory: borrowing PhysicalMemory, remapping: borrowing RemappingTable
  ) -> TLBFill {
    var address = PhysicalAddress(request.virtual.rawValue & ~0xFFF)
    // The line is masked before anything sees the address; a check of the address before it could be led astray.
    if controls.contains(.masksAddressLine20) { address.rawValue &= ~(1 << 20) }
    var found = StagePage(page: address, size: .size4KiB, piece: address, rights: .all, isUncached: true)
    if nested != nil {
      switch secondStage(address, rights: request.rights, step: .unpagedPage, memory: memory) {
      case .page(let page): found = page
      case .fault(let cause): return .fault(cause)
      }
    } else if !hardware.allows(.unpagedPage, page: address, size: .size4KiB, piece: address) {
      return .fault(.dpiMemory)
    }
    return .entry(
      entry(
        request, found, size: .size4KiB, rights: found.rights, allowsUser: true, isGlobal: false,
        isDirty: nested == nil || request.rights.contains(.write), isUncached: true, remapping: remapping))
  }

  private mutating func walk(
    _ request: WalkRequest, root: PhysicalAddress, memory: borrowing PhysicalMemory,
    remapping: borrowing RemappingTable
  ) -> TLBFill {
    var table = PhysicalAddress(root.rawValue & 0x000F_FFFF_FFFF_F000)
    var allowed = AccessRights.all
    var allowsUser = true
    var level = controls.levels
    // At most five rounds: each goes one level down or returns.
    while true {
      let shift = UInt64(12 &+ 9 &* (level &- 1))
      let place: PhysicalAddress
      let isWritable: Bool
      switch entryPlace(in: table, index: request.virtual.rawValue >> shift & 511, memory: memory) {
      case .at(let found, let writable): (place, isWritable) = (found, writable)
      case .fault(let cause): return .fault(cause)
      }
      guard let raw = memory.load(UInt64.self, at: place) else { return .fault(.pageTableAbsent) }
      let entry = PageTableEntry(rawValue: raw)
      guard entry.flags.contains(.present) else { return .fault(.notPresent) }
      if !entry.flags.contains(.writable) { allowed.remove(.write) }
      if entry.flags.contains(.executeDisabled) {
        guard controls.contains(.executeDisable) else { return .fault(.reservedBit) }
        allowed.remove(.execute)
      }
      if !entry.flags.contains(.user) { allowsUser = false }

      let isLeaf = level == 1 || (level < 4 && entry.flags.contains(.large))
      if level >= 4, entry.flags.contains(.large) { return .fault(.reservedBit) }
      if !isLeaf {
        if let cause = mark(raw, .accessed, at: place, isWritable: isWritable, memory: memory) {
          return .fault(cause)
        }
        table = entry.address
        level &-= 1
        continue
      }
      return leaf(
        request, entry, at: place, isWritable: isWritable, level: level, allowed: allowed, allowsUser: allowsUser,
        memory: memory, remapping: remapping)
    }
  }

  /// Where an entry of a first-stage table lies: of a guest's table, where the second stage says.
  private mutating func entryPlace(
    in table: PhysicalAddress, index: UInt64, memory: borrowing PhysicalMemory
  ) -> EntryPlace {
    guard let nested else {
      guard hardware.allows(.readTable(.first), page: table, size: .size4KiB, piece: table) else {
        return .fault(.dpiMemory)
      }
      return .at(table.advanced(by: index &* 8), isWritable: true)
    }
    let rights: AccessRights = nested.marksAccess ? .readWrite : .read
    switch secondStage(table, rights: rights, step: .readTable(.first), memory: memory) {
    case .page(let page):
      return .at(page.piece.advanced(by: index &* 8), isWritable: page.rights.contains(.write))
    case .fault(let cause): return .fault(cause)
    }
  }

  private mutating func leaf(
    _ request: WalkRequest, _ entry: PageTableEntry, at place: PhysicalAddress, isWritable: Bool, level: Int,
    allowed: AccessRights, allowsUser: Bool, memory: borrowing PhysicalMemory, remapping: borrowing RemappingTable
  ) -> TLBFill {
    var allowed = allowed
    var allowsUser = allowsUser
    if request.privilege == .user {
      guard allowsUser else { return .fault(.notUser) }
    } else if !controls.contains(.writeProtect), request.rights.contains(.write), !allowed.contains(.write) {
      // The kernel may, programs may not: the entry is then the kernel's alone.
      allowed.insert(.write)
      allowsUser = false
    }
    if request.rights.contains(.write), !allowed.contains(.write) { return .fault(.notWritable) }
    if request.rights.contains(.execute), !allowed.contains(.execute) { return .fault(.notExecutable) }
    let size: PageSize = level == 1 ? .size4KiB : level == 2 ? .size2MiB : .size1GiB
    // In a large leaf, bit 12 is PAT and the rest below the page's size must be zero.
    let patBit: UInt64 = size == .size4KiB ? 1 << 7 : 1 << 12
    if size != .size4KiB, entry.address.rawValue & (size.rawValue &- 1) & ~patBit != 0 {
      return .fault(.reservedBit)
    }
    let page = PhysicalAddress(entry.address.rawValue & ~(size.rawValue &- 1))
    let piece = PhysicalAddress(page.rawValue | request.virtual.rawValue & (size.rawValue &- 1) & ~0xFFF)
    let type = pageAttributes.type(
      pat: entry.rawValue & patBit != 0, cacheDisabled: entry.flags.contains(.cacheDisabled),
      writeThrough: entry.flags.contains(.writeThrough))
    var found = StagePage(
      page: page, size: size, piece: piece, rights: .all, isUncached: type.mayHoldDeviceRegisters)
    if nested != nil {
      switch secondStage(piece, rights: request.rights, step: .page, memory: memory) {
      case .page(let nestedPage):
        found = nestedPage
        // Either stage's word is enough to make an access one that may be a register's: to look in vain costs little.
        found.isUncached = found.isUncached || type.mayHoldDeviceRegisters
      case .fault(let cause): return .fault(cause)
      }
    } else if !hardware.allows(.page, page: page, size: size, piece: piece) {
      // All of a large page is checked, not only the piece that is asked for.
      return .fault(.dpiMemory)
    }
    let isStore = request.rights.contains(.write)
    let marks: PageTableEntry.Flags = isStore ? [.accessed, .dirty] : .accessed
    if let cause = mark(entry.rawValue, marks, at: place, isWritable: isWritable, memory: memory) {
      return .fault(cause)
    }
    return .entry(
      self.entry(
        request, found, size: size, rights: allowed.intersection(found.rights), allowsUser: allowsUser,
        isGlobal: entry.flags.contains(.global) && controls.contains(.globalPages),
        // Under a hypervisor the second stage's dirty bit has to be set as well, at the first store.
        isDirty: nested == nil ? entry.flags.contains(.dirty) || isStore : isStore, isUncached: found.isUncached,
        remapping: remapping))
  }

  /// From a guest-physical page to a physical one.
  ///
  /// `rights` are what the walker or the access is going to do, `step` what the page is needed for.
  private mutating func secondStage(
    _ guest: PhysicalAddress, rights: AccessRights, step: WalkStep, memory: borrowing PhysicalMemory
  ) -> StageOutcome {
    guard let nested else { return .fault(.nestedViolation) }
    guard guest.rawValue >> UInt64(12 &+ 9 &* nested.levels) == 0 else { return .fault(.nestedViolation) }
    var table = PhysicalAddress(nested.root.rawValue & 0x000F_FFFF_FFFF_F000)
    var allowed = AccessRights.all
    var level = nested.levels
    // At most five rounds.
    while true {
      guard hardware.allows(.readTable(.second), page: table, size: .size4KiB, piece: table) else {
        return .fault(.dpiMemory)
      }
      let shift = UInt64(12 &+ 9 &* (level &- 1))
      let place = table.advanced(by: (guest.rawValue >> shift & 511) &* 8)
      guard let raw = memory.load(UInt64.self, at: place) else { return .fault(.pageTableAbsent) }
      let entry = NestedPageTableEntry(rawValue: raw)
      guard !entry.rights.isEmpty else { return .fault(.nestedViolation) }
      if entry.flags.contains(.writable), !entry.flags.contains(.readable) { return .fault(.nestedMisconfiguration) }
      if level >= 4, entry.flags.contains(.large) { return .fault(.nestedMisconfiguration) }
      allowed.formIntersection(entry.rights)
      guard allowed.isSuperset(of: rights) else { return .fault(.nestedViolation) }
      let isLeaf = level == 1 || (level < 4 && entry.flags.contains(.large))
      var marks: NestedPageTableEntry.Flags = .accessed
      var found: StagePage?
      if isLeaf {
        let size: PageSize = level == 1 ? .size4KiB : level == 2 ? .size2MiB : .size1GiB
        let below = size.rawValue &- 1
        guard entry.address.rawValue & below == 0, let type = entry.type else { return .fault(.nestedMisconfiguration) }
        let piece = PhysicalAddress(entry.address.rawValue | guest.rawValue & below & ~0xFFF)
        guard hardware.allows(step, page: entry.address, size: size, piece: piece) else { return .fault(.dpiMemory) }
        found = StagePage(
          page: entry.address, size: size, piece: piece, rights: allowed, isUncached: type.mayHoldDeviceRegisters)
        if rights.contains(.write) { marks.insert(.dirty) }
      }
      if nested.marksAccess, !entry.flags.isSuperset(of: marks) {
        guard hardware.allows(.markTable(.second), page: table, size: .size4KiB, piece: table) else {
          return .fault(.dpiMemory)
        }
        guard memory.store(raw | marks.rawValue, at: place) else { return .fault(.pageTableAbsent) }
      }
      if let found { return .page(found) }
      table = entry.address
      level &-= 1
    }
  }

  /// The entry for a page that both stages and the extension allow, with the redirection bit of Figure 3.
  private func entry(
    _ request: WalkRequest, _ found: StagePage, size: PageSize, rights: AccessRights, allowsUser: Bool, isGlobal: Bool,
    isDirty: Bool, isUncached: Bool, remapping: borrowing RemappingTable
  ) -> TLBEntry {
    var redirection = false
    if isUncached || uncacheable.touches(found.piece, length: 0x1000) {
      redirection = hardware.redirects(pageAt: found.piece, by: remapping)
    }
    return TLBEntry(
      virtualPage: request.virtual.pageNumber, physicalPage: found.piece.rawValue >> 12, rights: rights,
      allowsUser: allowsUser, isGlobal: isGlobal, isDirty: isDirty, redirection: redirection, pageSize: size)
  }

  /// Sets bits of a first-stage entry, unless they are set; gives the fault when it cannot be written.
  private mutating func mark(
    _ raw: UInt64, _ flags: PageTableEntry.Flags, at place: PhysicalAddress, isWritable: Bool,
    memory: borrowing PhysicalMemory
  ) -> TranslationFault? {
    if PageTableEntry(rawValue: raw).flags.isSuperset(of: flags) { return nil }
    guard isWritable else { return .nestedViolation }
    let table = PhysicalAddress(place.rawValue & ~0xFFF)
    guard hardware.allows(.markTable(.first), page: table, size: .size4KiB, piece: table) else { return .dpiMemory }
    return memory.store(raw | flags.rawValue, at: place) ? nil : .pageTableAbsent
  }
}
