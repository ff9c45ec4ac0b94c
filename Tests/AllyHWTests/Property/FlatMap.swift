import AllyHW

/// A piece of virtual memory that lies in one run of physical memory, as the generator has laid it out: what it knows
/// without walking a table.
struct FlatPiece {
  var virtual: UInt64
  var physical: UInt64
  /// Bytes, a multiple of 4,096.
  var length: UInt64
  var isWritable: Bool
  /// The page that the hardware loads to reach the piece, whole: the second stage's under a hypervisor.
  var pageBase: UInt64
  var pageLength: UInt64
  /// A table on the way lies in DPI memory, for good.
  var hasForgedTable: Bool
  /// Where the first stage's leaf is.
  var leaf: UInt64
  /// What its accessed and dirty bits have to say; nil when the generator cannot tell.
  var isAccessed: Bool? = false
  var isDirty: Bool? = false
  /// Whether the leaf can be changed on the fly to map another page of 4 KiB.
  var isRemappable = false
}

/// How the OS cores of one world translate.
enum PagingKind: CaseIterable {
  case fourLevels
  case fiveLevels
  case nested
  case nestedFiveLevels

  var isNested: Bool { self == .nested || self == .nestedFiveLevels }
  var levels: Int { self == .fiveLevels || self == .nestedFiveLevels ? 5 : 4 }
}

/// The places of a world: where memory ends, where DPI memory may be, and the part of it that always is.
struct WorldGeography {
  /// The first physical address after memory.
  var end: UInt64
  /// DPI memory lies from here up to `end` at the most.
  var lowest: UInt64
  /// These bytes are DPI memory wherever the boundary is: tables, shadow registers, secrets.
  var keep: Range<UInt64>

  static let keepLength: UInt64 = 16 << 20
  /// OS memory for page tables and pages, wherever the boundary is.
  static let tables: UInt64 = 1 << 20
  static let osPages: Range<UInt64> = (64 << 20)..<(128 << 20)

  init(using random: inout SeededGenerator) {
    // Below the devices' addresses, or above them.
    let isHigh = Bool.random(using: &random)
    end = isHigh ? 9 << 30 : 3 << 30
    lowest = isHigh ? 4 << 30 : 128 << 20
    let start = lowest + (1 << 30) + UInt64.random(in: 0..<(isHigh ? 3 << 18 : 1 << 18), using: &random) << 12
    keep = start..<(start + Self.keepLength)
  }

  var remappingTable: UInt64 { keep.lowerBound }
  var shadowRegisters: UInt64 { keep.lowerBound + 0x10000 }
  var accessLog: UInt64 { keep.lowerBound + 0x20000 }
  /// Where the attacker's tables go.
  var forgedTables: Range<UInt64> { (keep.lowerBound + (1 << 20))..<(keep.lowerBound + (4 << 20)) }
  var secrets: Range<UInt64> { (keep.lowerBound + (4 << 20))..<keep.upperBound }

  /// A partition that holds what has to be kept. `near` is a place that its boundary may well be at.
  func partition(near: UInt64?, using random: inout SeededGenerator) -> Partition {
    var boundary = UInt64.random(in: lowest...keep.lowerBound, using: &random) & ~0xFFF
    if let near, near >= lowest, near <= keep.lowerBound { boundary = near & ~0xFFF }
    var end = self.end
    if Bool.random(using: &random) { end = UInt64.random(in: keep.upperBound...self.end, using: &random) & ~0xFFF }
    return Partition(boundary: PhysicalAddress(boundary), end: PhysicalAddress(end))
  }
}

/// Makes a flat map, and the page tables that say the same.
struct FlatMap {
  private(set) var pieces: [FlatPiece] = []
  /// Pieces whose bytes lie in the part of DPI memory that stays, those that the boundary can pass, those of registers, and
  /// the rest.
  private(set) var secret: [Int] = []
  private(set) var movable: [Int] = []
  private(set) var registers: [Int] = []
  private(set) var ordinary: [Int] = []
  /// Pages of DPI memory that the map has to do with: no access of an OS core may change them.
  private(set) var watched: Set<UInt64> = []
  private(set) var root: UInt64 = 0
  private(set) var nestedRoot: UInt64?

  private let kind: PagingKind
  private let geography: WorldGeography
  private let memory: TwinMemory
  private var random: SeededGenerator
  private var nextTable = WorldGeography.tables
  private var nextForged: UInt64
  private var nextGuestTable: UInt64 = 0
  private var first: TableBuilder
  private var second: TableBuilder?

  static let registerBase: UInt64 = 0xFEB0_0000

  init(kind: PagingKind, geography: WorldGeography, memory: TwinMemory, seed: UInt64) {
    self.kind = kind
    self.geography = geography
    self.memory = memory
    random = SeededGenerator(seed: seed)
    nextForged = geography.forgedTables.lowerBound
    first = TableBuilder(levels: kind.levels, root: .init(named: 0, place: 0), memory: memory)
    if kind.isNested {
      let root = takeTable()
      nestedRoot = root
      second = TableBuilder(levels: 4, root: .init(named: root, place: root), memory: memory)
    }
    let table = firstStageTable(isForged: false)
    root = table.named
    first = TableBuilder(levels: kind.levels, root: table, memory: memory)
    for slot in 0..<UInt64(100) { addSlot(slot) }
  }

  // MARK: Tables

  private mutating func takeTable() -> UInt64 {
    nextTable += 0x1000
    precondition(nextTable < WorldGeography.osPages.lowerBound, "no room for more tables")
    return nextTable - 0x1000
  }

  private mutating func takeForgedTable() -> UInt64 {
    nextForged += 0x1000
    precondition(nextForged <= geography.forgedTables.upperBound, "no room for more forged tables")
    watched.insert(nextForged - 0x1000)
    return nextForged - 0x1000
  }

  /// A table of the first stage: of a guest, at a guest-physical page of its own that the second stage maps.
  private mutating func firstStageTable(isForged: Bool) -> TableBuilder.Table {
    let place = isForged ? takeForgedTable() : takeTable()
    guard kind.isNested else { return .init(named: place, place: place) }
    let guest = UInt64(1000) << 30 + nextGuestTable
    nextGuestTable += 0x1000
    mapNested(guest, to: place, size: .size4KiB, forgedLevel: nil)
    return .init(named: guest, place: place)
  }

  private mutating func mapNested(_ guest: UInt64, to physical: UInt64, size: PageSize, forgedLevel: Int?) {
    let type = physical >= Self.registerBase && physical < 4 << 30 ? MemoryType.uncacheable : .writeBack
    var flags: NestedPageTableEntry.Flags = .all
    if size != .size4KiB { flags.insert(.large) }
    let leaf = NestedPageTableEntry(PhysicalAddress(physical), flags, type: type).rawValue
    guard var builder = second else { return }
    var taken = (table: nextTable, forged: nextForged)
    builder.map(guest, size: size, leaf: leaf) { level in
      let isForged = level == forgedLevel
      let place = isForged ? taken.forged : taken.table
      if isForged { taken.forged += 0x1000 } else { taken.table += 0x1000 }
      return .init(named: place, place: place)
    }
    while nextTable < taken.table { _ = takeTable() }
    while nextForged < taken.forged { _ = takeForgedTable() }
    second = builder
  }

  private mutating func mapFirst(
    _ virtual: UInt64, to named: UInt64, size: PageSize, isWritable: Bool, isUncached: Bool, forgedLevel: Int?
  ) -> UInt64 {
    var flags: PageTableEntry.Flags = .present
    if isWritable { flags.insert(.writable) }
    if isUncached { flags.insert(.cacheDisabled) }
    if size != .size4KiB { flags.insert(.large) }
    let leafLevel = size == .size4KiB ? 1 : size == .size2MiB ? 2 : 3
    // The tables that will be asked for, from the top: every slot has its own from the third level down.
    var fresh: [Int: TableBuilder.Table] = [:]
    for level in stride(from: kind.levels - 1, through: leafLevel, by: -1) {
      fresh[level] = firstStageTable(isForged: level == forgedLevel)
    }
    return first.map(
      virtual, size: size, leaf: PageTableEntry(PhysicalAddress(named), flags).rawValue,
      allocate: { level in fresh[level]! })
  }

  // MARK: Slots

  /// A GiB of virtual addresses (and of guest-physical ones), with what the dice say in it.
  private mutating func addSlot(_ slot: UInt64) {
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<30: addPages(slot, in: WorldGeography.osPages, kind: .ordinary)
    case 30..<42: addPages(slot, in: geography.secrets, kind: .secret)
    case 42..<60: addPages(slot, in: geography.lowest..<geography.keep.lowerBound, kind: .movable)
    case 60..<68: addPages(slot, in: geography.keep.upperBound..<geography.end, kind: .movable)
    case 68..<78: addLargest(slot)
    case 78..<90: addRegisters(slot)
    default: addForged(slot)
    }
  }

  private enum Use { case ordinary, secret, movable, registers, forged }

  private mutating func add(_ piece: FlatPiece, _ use: Use) {
    switch use {
    case .ordinary: ordinary.append(pieces.count)
    case .secret:
      secret.append(pieces.count)
      for page in stride(from: piece.physical, to: piece.physical + min(piece.length, 0x4000), by: 0x1000) {
        watched.insert(page)
      }
    case .forged: secret.append(pieces.count)
    case .movable: movable.append(pieces.count)
    case .registers: registers.append(pieces.count)
    }
    pieces.append(piece)
  }

  private func virtualBase(_ slot: UInt64) -> UInt64 { slot << 30 | (kind.levels == 5 ? 1 << 52 : 1 << 41) }

  private mutating func page(in range: Range<UInt64>, size: PageSize) -> UInt64 {
    let first = (range.lowerBound + size.rawValue - 1) / size.rawValue
    let last = range.upperBound / size.rawValue
    return UInt64.random(in: first..<max(last, first + 1), using: &random) * size.rawValue
  }

  /// One or two pages of 4 KiB side by side, or a large one.
  private mutating func addPages(_ slot: UInt64, in range: Range<UInt64>, kind use: Use) {
    let isLarge = range.upperBound - range.lowerBound >= 4 << 20 && Int.random(in: 0..<4, using: &random) == 0
    let size: PageSize = isLarge ? .size2MiB : .size4KiB
    let isWritable = Int.random(in: 0..<5, using: &random) > 0
    let physical = page(in: range, size: size)
    guard kind.isNested else {
      let leaf = mapFirst(
        virtualBase(slot), to: physical, size: size, isWritable: isWritable, isUncached: false, forgedLevel: nil)
      add(
        FlatPiece(
          virtual: virtualBase(slot), physical: physical, length: size.rawValue, isWritable: isWritable,
          pageBase: physical, pageLength: size.rawValue, hasForgedTable: false, leaf: leaf,
          isRemappable: size == .size4KiB && use == .ordinary), use)
      guard size == .size4KiB, Bool.random(using: &random) else { return }
      addNeighbour(of: pieces.count - 1, in: range, use)
      return
    }
    addNestedPage(slot, guestSize: size, in: range, isWritable: isWritable, use)
  }

  /// The next page of virtual memory, somewhere else in physical memory.
  private mutating func addNeighbour(of index: Int, in range: Range<UInt64>, _ use: Use) {
    var piece = pieces[index]
    piece.virtual += 0x1000
    piece.leaf += 8
    piece.physical = page(in: range, size: .size4KiB)
    piece.pageBase = piece.physical
    let flags: PageTableEntry.Flags = piece.isWritable ? [.present, .writable] : .present
    memory.put(PageTableEntry(PhysicalAddress(piece.physical), flags).rawValue, at: piece.leaf)
    add(piece, use)
  }

  /// A guest's page, in a page of the second stage that is larger or smaller.
  private mutating func addNestedPage(
    _ slot: UInt64, guestSize: PageSize, in range: Range<UInt64>, isWritable: Bool, _ use: Use
  ) {
    let roomy = range.upperBound - range.lowerBound >= 4 << 20
    let hostSize: PageSize = roomy && Bool.random(using: &random) ? .size2MiB : .size4KiB
    let guestBase = slot << 30
    let larger = max(guestSize.rawValue, hostSize.rawValue)
    let guestPage = guestBase + UInt64.random(in: 0..<larger / guestSize.rawValue, using: &random) * guestSize.rawValue
    let leaf = mapFirst(
      virtualBase(slot), to: guestPage, size: guestSize, isWritable: isWritable, isUncached: false, forgedLevel: nil)
    var piece = FlatPiece(
      virtual: virtualBase(slot), physical: 0, length: guestSize.rawValue, isWritable: isWritable, pageBase: 0,
      pageLength: hostSize.rawValue, hasForgedTable: false, leaf: leaf)
    if hostSize.rawValue >= guestSize.rawValue {
      piece.pageBase = page(in: range, size: hostSize)
      piece.physical = piece.pageBase + (guestPage - guestBase)
      mapNested(guestBase, to: piece.pageBase, size: hostSize, forgedLevel: nil)
      add(piece, use)
      return
    }
    // Some pieces of the guest's large page. They share its leaf, so whose access set its bits is not asked.
    for part in Set((0..<3).map { _ in UInt64.random(in: 0..<512, using: &random) }).sorted() {
      piece.virtual = virtualBase(slot) + part << 12
      piece.length = 0x1000
      piece.physical = page(in: range, size: .size4KiB)
      piece.pageBase = piece.physical
      piece.isAccessed = nil
      piece.isDirty = nil
      mapNested(guestPage + part << 12, to: piece.physical, size: .size4KiB, forgedLevel: nil)
      add(piece, use)
    }
  }

  /// A page of 1 GiB, wherever it lies.
  private mutating func addLargest(_ slot: UInt64) {
    let physical = page(in: geography.lowest..<geography.end, size: .size1GiB)
    var piece = FlatPiece(
      virtual: virtualBase(slot), physical: physical, length: PageSize.size1GiB.rawValue, isWritable: true,
      pageBase: physical, pageLength: PageSize.size1GiB.rawValue, hasForgedTable: false, leaf: 0)
    if kind.isNested {
      mapNested(slot << 30, to: physical, size: .size1GiB, forgedLevel: nil)
      piece.leaf = mapFirst(
        piece.virtual, to: slot << 30, size: .size1GiB, isWritable: true, isUncached: false, forgedLevel: nil)
    } else {
      piece.leaf = mapFirst(
        piece.virtual, to: physical, size: .size1GiB, isWritable: true, isUncached: false, forgedLevel: nil)
    }
    add(piece, .movable)
  }

  /// A device's registers, uncached as an OS maps them or not, in pages of 4 KiB or in a large one.
  private mutating func addRegisters(_ slot: UInt64) {
    let isLarge = Bool.random(using: &random)
    let size: PageSize = isLarge ? .size2MiB : .size4KiB
    let offset = isLarge ? 0 : [UInt64(0), 0x2000, 0x5000].randomElement(using: &random)!
    let pageBase = isLarge ? Self.registerBase & ~(size.rawValue - 1) : Self.registerBase + offset
    let inPage = isLarge ? Self.registerBase - pageBase : 0
    if kind.isNested { mapNested(slot << 30, to: pageBase, size: size, forgedLevel: nil) }
    let leaf = mapFirst(
      virtualBase(slot), to: kind.isNested ? slot << 30 : pageBase, size: size, isWritable: true,
      isUncached: Bool.random(using: &random), forgedLevel: nil)
    for page in isLarge ? [UInt64(0), 0x2000, 0x5000] : [0] {
      add(
        FlatPiece(
          virtual: virtualBase(slot) + inPage + page, physical: pageBase + inPage + page, length: 0x1000,
          isWritable: true, pageBase: pageBase, pageLength: size.rawValue, hasForgedTable: false, leaf: leaf,
          isAccessed: nil, isDirty: nil), .registers)
    }
  }

  /// A page of OS memory that is reached through a table in DPI memory only: the walker must not even look there.
  private mutating func addForged(_ slot: UInt64) {
    let physical = page(in: WorldGeography.osPages, size: .size4KiB)
    var piece = FlatPiece(
      virtual: virtualBase(slot), physical: physical, length: 0x1000, isWritable: true, pageBase: physical,
      pageLength: 0x1000, hasForgedTable: true, leaf: 0, isAccessed: nil, isDirty: nil)
    let level = Int.random(in: 1...2, using: &random)
    let isSecondStage = kind.isNested && Bool.random(using: &random)
    if kind.isNested {
      mapNested(slot << 30, to: physical, size: .size4KiB, forgedLevel: isSecondStage ? level : nil)
    }
    piece.leaf = mapFirst(
      piece.virtual, to: kind.isNested ? slot << 30 : physical, size: .size4KiB, isWritable: true, isUncached: false,
      forgedLevel: isSecondStage ? nil : level)
    add(piece, .forged)
  }

  // MARK: What the map says later

  /// Maps another page where a remappable piece is, as an OS does that then executes INVLPG.
  mutating func remap(_ index: Int) {
    let physical = page(in: WorldGeography.osPages, size: .size4KiB)
    let flags: PageTableEntry.Flags = pieces[index].isWritable ? [.present, .writable] : .present
    memory.put(PageTableEntry(PhysicalAddress(physical), flags).rawValue, at: pieces[index].leaf)
    pieces[index].physical = physical
    pieces[index].pageBase = physical
    pieces[index].isAccessed = false
    pieces[index].isDirty = false
  }

  /// Notes that a translation was made.
  mutating func noteAccess(_ index: Int, isStore: Bool) {
    if pieces[index].isAccessed != nil { pieces[index].isAccessed = true }
    if isStore, pieces[index].isDirty != nil { pieces[index].isDirty = true }
  }

  /// Notes that a translation may have been made.
  mutating func forgetAccess(_ index: Int) {
    pieces[index].isAccessed = nil
    pieces[index].isDirty = nil
  }

  /// The piece that begins where another ends.
  func neighbour(of index: Int) -> Int? {
    let next = index + 1
    guard next < pieces.count, pieces[next].virtual == pieces[index].virtual + pieces[index].length else { return nil }
    return next
  }
}
