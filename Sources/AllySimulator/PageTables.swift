public import AllyHW

/// Builds x86-64 page tables in simulated memory, as an operating system does (Intel 64 SDM volume 3, §4.5).
public struct PageTables {
  /// The top-level table: what goes into CR3.
  public let root: PhysicalAddress
  /// 4, or 5 for a core with `PagingControls.fiveLevels`.
  public let levels: Int
  private var nextTable: UInt64
  private let lastTable: UInt64

  /// Tables may take the `pages` pages from `arena` on, all zero; the first becomes the root.
  public init(arena: PhysicalAddress, pages: UInt64, levels: Int = 4) {
    precondition(pages > 0 && arena.rawValue % 0x1000 == 0 && (levels == 4 || levels == 5))
    root = arena
    self.levels = levels
    nextTable = arena.rawValue + 0x1000
    lastTable = arena.rawValue + pages * 0x1000
  }

  /// Maps one page.
  ///
  /// `uncacheable` sets PCD and PWT, as for memory-mapped registers.
  ///
  /// - Returns: false when the arena is used up; nothing that was mapped before changes.
  public mutating func map(
    _ virtual: VirtualAddress, to physical: PhysicalAddress, size: PageSize, writable: Bool = true,
    uncacheable: Bool = false, in memory: borrowing PhysicalMemory
  ) -> Bool {
    precondition(virtual.rawValue % size.rawValue == 0 && physical.rawValue % size.rawValue == 0)
    let leafLevel =
      switch size {
      case .size4KiB: 1
      case .size2MiB: 2
      case .size1GiB: 3
      }
    var table = root
    var level = levels
    while level > leafLevel {
      let entryAddress = entry(of: virtual, level: level, in: table)
      guard let raw = memory.load(UInt64.self, at: entryAddress) else { return false }
      let entry = PageTableEntry(rawValue: raw)
      if entry.flags.contains(.present) {
        table = entry.address
      } else {
        guard nextTable < lastTable else { return false }
        table = PhysicalAddress(nextTable)
        nextTable += 0x1000
        // Everything is allowed on the way: the leaf decides.
        let upper = PageTableEntry(table, [.present, .writable, .user])
        guard memory.store(upper.rawValue, at: entryAddress) else { return false }
      }
      level -= 1
    }
    var flags: PageTableEntry.Flags = .present
    if writable { flags.insert(.writable) }
    if uncacheable { flags.formUnion([.cacheDisabled, .writeThrough]) }
    if size != .size4KiB { flags.insert(.large) }
    return memory.store(
      PageTableEntry(physical, flags).rawValue, at: entry(of: virtual, level: leafLevel, in: table))
  }

  private func entry(of virtual: VirtualAddress, level: Int, in table: PhysicalAddress) -> PhysicalAddress {
    let index = virtual.rawValue >> (12 + 9 * UInt64(level - 1)) & 0x1FF
    return table.advanced(by: index * 8)
  }
}
