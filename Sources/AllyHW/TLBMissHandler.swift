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
/// core, with a range check and the redirection bit.
///
/// On an OS core it refuses to load a page of which any part is DPI memory, and to read page tables from there: both
/// happen on misses only, so a hit costs nothing. For a page that no cache keeps and that holds a register of the
/// Remapping Table it sets the entry's redirection bit. DPI cores are exempt from both.
@frozen
public struct TLBMissHandler: Sendable, BitwiseCopyable {
  public var role: CoreRole
  /// The boundary register of paper §4.2.
  public var partition: Partition
  /// The core's IA32_PAT.
  public var pageAttributes: PageAttributeTable
  public var uncacheable: UncacheableRanges

  @inlinable
  public init(
    role: CoreRole, partition: Partition, pageAttributes: PageAttributeTable = .powerUp,
    uncacheable: UncacheableRanges = UncacheableRanges()
  ) {
    self.role = role
    self.partition = partition
    self.pageAttributes = pageAttributes
    self.uncacheable = uncacheable
  }

  /// Walks the page tables for the page of `virtual`, four levels at most.
  ///
  /// Sets the accessed bits on the way and, for a store, the leaf's dirty bit, once the access is known to be allowed.
  /// `root` is CR3; nil while paging is off, when a virtual address is a physical one (the range check still holds).
  public func fill(
    _ virtual: VirtualAddress, rights: AccessRights, privilege: Privilege, root: PhysicalAddress?,
    memory: borrowing PhysicalMemory, remapping: borrowing RemappingTable
  ) -> TLBFill {
    guard let root else {
      let page = PhysicalAddress(virtual.rawValue & ~0xFFF)
      return finish(
        virtual, page: page, size: .size4KiB, rights: [.read, .write, .execute], allowsUser: true, isGlobal: false,
        isDirty: true, isUncached: true, remapping: remapping)
    }
    let upper = Int64(bitPattern: virtual.rawValue) >> 47
    guard upper == 0 || upper == -1 else { return .fault(.nonCanonical) }

    var table = PhysicalAddress(root.rawValue & 0x000F_FFFF_FFFF_F000)
    var allowed: AccessRights = [.read, .write, .execute]
    var allowsUser = true
    var level = 4
    // At most four rounds: each goes one level down or returns.
    while true {
      if role == .os, partition.touchesDPI(table, length: 0x1000) { return .fault(.dpiMemory) }
      let shift = UInt64(12 &+ 9 &* (level &- 1))
      let place = table.advanced(by: (virtual.rawValue >> shift & 511) &* 8)
      guard let raw = memory.load(UInt64.self, at: place) else { return .fault(.pageTableAbsent) }
      let entry = PageTableEntry(rawValue: raw)
      guard entry.flags.contains(.present) else { return .fault(.notPresent) }
      if !entry.flags.contains(.writable) { allowed.remove(.write) }
      if entry.flags.contains(.executeDisabled) { allowed.remove(.execute) }
      if !entry.flags.contains(.user) { allowsUser = false }

      let isLeaf = level == 1 || (level < 4 && entry.flags.contains(.large))
      if level == 4, entry.flags.contains(.large) { return .fault(.reservedBit) }
      if !isLeaf {
        if !mark(entry, .accessed, at: place, memory: memory) { return .fault(.pageTableAbsent) }
        table = entry.address
        level &-= 1
        continue
      }

      if privilege == .user, !allowsUser { return .fault(.notUser) }
      if rights.contains(.write), !allowed.contains(.write) { return .fault(.notWritable) }
      if rights.contains(.execute), !allowed.contains(.execute) { return .fault(.notExecutable) }
      let size: PageSize = level == 1 ? .size4KiB : level == 2 ? .size2MiB : .size1GiB
      // In a large leaf, bit 12 is PAT and the rest below the page's size must be zero.
      let patBit: UInt64 = size == .size4KiB ? 1 << 7 : 1 << 12
      let page = PhysicalAddress(entry.address.rawValue & ~(size.rawValue &- 1))
      if size != .size4KiB, entry.address.rawValue & (size.rawValue &- 1) & ~patBit != 0 {
        return .fault(.reservedBit)
      }
      let type = pageAttributes.type(
        pat: raw & patBit != 0, cacheDisabled: entry.flags.contains(.cacheDisabled),
        writeThrough: entry.flags.contains(.writeThrough))
      let filled = finish(
        virtual, page: page, size: size, rights: allowed, allowsUser: allowsUser,
        isGlobal: entry.flags.contains(.global),
        isDirty: entry.flags.contains(.dirty) || rights.contains(.write),
        isUncached: type.mayHoldDeviceRegisters, remapping: remapping)
      guard case .entry = filled else { return filled }
      let marks: PageTableEntry.Flags = rights.contains(.write) ? [.accessed, .dirty] : .accessed
      return mark(entry, marks, at: place, memory: memory) ? filled : .fault(.pageTableAbsent)
    }
  }

  /// The range check of Figure 2 and the redirection bit of Figure 3, for a page that the tables allow.
  private func finish(
    _ virtual: VirtualAddress, page: PhysicalAddress, size: PageSize, rights: AccessRights, allowsUser: Bool,
    isGlobal: Bool, isDirty: Bool, isUncached: Bool, remapping: borrowing RemappingTable
  ) -> TLBFill {
    let piece = PhysicalAddress(page.rawValue | virtual.rawValue & (size.rawValue &- 1) & ~0xFFF)
    var redirection = false
    if role == .os {
      // All of a large page is checked, not only the piece that is asked for.
      if partition.touchesDPI(page, length: size.rawValue) { return .fault(.dpiMemory) }
      if isUncached || uncacheable.touches(piece, length: 0x1000) {
        redirection = remapping.holdsRegister(inPageAt: piece)
      }
    }
    return .entry(
      TLBEntry(
        virtualPage: virtual.pageNumber, physicalPage: piece.rawValue >> 12, rights: rights,
        allowsUser: allowsUser, isGlobal: isGlobal, isDirty: isDirty, redirection: redirection, pageSize: size))
  }

  /// Sets bits of an entry, unless they are set; false when the table cannot be written.
  private func mark(
    _ entry: PageTableEntry, _ flags: PageTableEntry.Flags, at place: PhysicalAddress,
    memory: borrowing PhysicalMemory
  ) -> Bool {
    entry.flags.isSuperset(of: flags) || memory.store(entry.rawValue | flags.rawValue, at: place)
  }
}
