import AllyHW

/// Writes page tables of either stage. It only builds: what a table means is the flat map's to say.
struct TableBuilder {
  /// A table: where entries that point to it say it is, and where its bytes are. Of a guest's table these differ.
  struct Table {
    var named: UInt64
    var place: UInt64
  }

  let levels: Int
  let root: Table
  private let memory: TwinMemory
  private var tables: [UInt64: Table] = [:]

  init(levels: Int, root: Table, memory: TwinMemory) {
    self.levels = levels
    self.root = root
    self.memory = memory
  }

  /// Maps a page; `allocate` gives the table of a level, where one is missing.
  ///
  /// - Returns: where the leaf's bytes are.
  @discardableResult
  mutating func map(_ address: UInt64, size: PageSize, leaf: UInt64, allocate: (Int) -> Table) -> UInt64 {
    let leafLevel = size == .size4KiB ? 1 : size == .size2MiB ? 2 : 3
    var table = root
    for level in stride(from: levels, to: leafLevel, by: -1) {
      let shift = UInt64(12 + 9 * (level - 1))
      // The part of the address that leads here, and the level, which its upper bits leave room for.
      let key = address >> shift | UInt64(level) << 58
      if let known = tables[key] {
        table = known
        continue
      }
      let next = allocate(level - 1)
      // Present, writable, for programs; in the second stage: readable, writable, executable. The leaf decides.
      memory.put(next.named | 7, at: table.place + (address >> shift & 511) * 8)
      tables[key] = next
      table = next
    }
    let place = table.place + (address >> UInt64(12 + 9 * (leafLevel - 1)) & 511) * 8
    memory.put(leaf, at: place)
    return place
  }
}
