public import AllyHW

/// Builds the second stage's page tables in simulated memory, as a hypervisor does (Intel 64 SDM volume 3, §28.3).
public struct NestedPageTables {
  /// The top-level table: what goes into the EPTP.
  public let root: PhysicalAddress
  private var nextTable: UInt64
  private let lastTable: UInt64

  /// Tables may take the `pages` pages from `arena` on, all zero; the first becomes the root, of four levels.
  public init(arena: PhysicalAddress, pages: UInt64) {
    precondition(pages > 0 && arena.rawValue % 0x1000 == 0)
    root = arena
    nextTable = arena.rawValue + 0x1000
    lastTable = arena.rawValue + pages * 0x1000
  }

  /// Maps one page of guest-physical memory, for every kind of access.
  ///
  /// - Returns: false when the arena is used up; nothing that was mapped before changes.
  public mutating func map(
    _ guest: PhysicalAddress, to physical: PhysicalAddress, size: PageSize, type: MemoryType = .writeBack,
    in memory: borrowing PhysicalMemory
  ) -> Bool {
    precondition(guest.rawValue % size.rawValue == 0 && physical.rawValue % size.rawValue == 0)
    let leafLevel =
      switch size {
      case .size4KiB: 1
      case .size2MiB: 2
      case .size1GiB: 3
      }
    var table = root
    var level = 4
    while level > leafLevel {
      let place = entry(of: guest, level: level, in: table)
      guard let raw = memory.load(UInt64.self, at: place) else { return false }
      if raw != 0 {
        table = NestedPageTableEntry(rawValue: raw).address
      } else {
        guard nextTable < lastTable else { return false }
        table = PhysicalAddress(nextTable)
        nextTable += 0x1000
        guard memory.store(NestedPageTableEntry(table, .all).rawValue, at: place) else { return false }
      }
      level -= 1
    }
    let flags: NestedPageTableEntry.Flags = size == .size4KiB ? .all : [.all, .large]
    return memory.store(
      NestedPageTableEntry(physical, flags, type: type).rawValue, at: entry(of: guest, level: leafLevel, in: table))
  }

  private func entry(of guest: PhysicalAddress, level: Int, in table: PhysicalAddress) -> PhysicalAddress {
    table.advanced(by: (guest.rawValue >> (12 + 9 * UInt64(level - 1)) & 0x1FF) * 8)
  }
}
