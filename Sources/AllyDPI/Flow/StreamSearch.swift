/// What the search of one side of a stream for literals leaves to the next one, so that bytes are searched once.
struct StreamSearch: BitwiseCopyable, Sendable {
  /// Literals that are noted; where more are found, the next search begins where this one did.
  private static var mostLiterals: Int { 8 }

  /// Where in the stream literals may begin that were not searched for.
  private(set) var end = 0
  /// For which rules that holds (``StreamReassembler/ruleGeneration``).
  private(set) var generation: UInt32 = 0
  /// For which literals, as the place of their ``LiteralSet``.
  private var setNumber: UInt32 = 0
  /// How many literals were found before ``end``: the other options of their rules may be fulfilled by what comes.
  private(set) var count: UInt32 = 0
  /// Places in ``PrefilterTables/literalUses``.
  private var literals = InlineArray<8, UInt32>(repeating: 0)
  /// Where the search ended that found each last, without the high bits.
  private var ends = InlineArray<8, UInt32>(repeating: 0)

  init(generation: UInt32 = 0) { self.generation = generation }

  /// How far was searched for the literals of a set: not at all when it was for another's.
  @inline(__always)
  func of(_ setNumber: Int) -> StreamSearch {
    if self.setNumber == UInt32(truncatingIfNeeded: setNumber) { return self }
    var search = StreamSearch(generation: generation)
    search.setNumber = UInt32(truncatingIfNeeded: setNumber)
    return search
  }

  @inline(__always)
  func literal(at index: Int) -> UInt32 { literals[index] }

  /// Notes a literal that was found before `end`.
  ///
  /// - Returns: whether there was room.
  mutating func note(_ literal: UInt32, before end: Int) -> Bool {
    var place = 0
    while place < Int(count), literals[place] != literal { place &+= 1 }
    if place == Int(count) {
      if place == StreamSearch.mostLiterals { return false }
      literals[place] = literal
      count &+= 1
    }
    ends[place] = UInt32(truncatingIfNeeded: end)
    return true
  }

  /// Forgets literals that lie wholly before a place, because nobody will see them again.
  mutating func forget(before start: Int) {
    var kept = 0
    for place in 0..<Int(count) where Int32(bitPattern: ends[place] &- UInt32(truncatingIfNeeded: start)) > 0 {
      literals[kept] = literals[place]
      ends[kept] = ends[place]
      kept &+= 1
    }
    count = UInt32(kept)
  }

  /// All that begins before `end` was searched.
  mutating func finish(at end: Int) { self.end = end }
}
