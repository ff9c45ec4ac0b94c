/// What the Last Level Cache did with the lines of the Remapping Table.
@frozen
public struct CacheCounters: Sendable, BitwiseCopyable, Equatable {
  /// Lines that were there.
  public var hits: UInt64 = 0
  /// Lines that had to come from memory.
  public var misses: UInt64 = 0

  @inlinable
  public init() {}
}

/// The Last Level Cache that all cores share, as far as the Remapping Table goes (paper §4.3: "Ally uses the Last Level
/// Cache to cache the small Remapping Table"): which lines it holds, not what is in them.
///
/// Set-associative, lines of 64 bytes, least recently used first. Reads go through borrowed access, because every MMU
/// reads the table and none changes it. Owned by the platform.
@frozen
@safe
public struct LastLevelCache: ~Copyable {
  public static var lineLength: UInt64 { 64 }

  /// Line numbers plus one, the most recently used first in each set; 0 is a way that holds nothing.
  private let tags: UnsafeMutablePointer<UInt64>
  private let tally: UnsafeMutablePointer<CacheCounters>
  /// The number of sets, a power of two.
  public let sets: Int
  /// The lines of each set.
  public let ways: Int

  /// - Precondition: `sets` is a power of two, and `ways` is between 1 and 64.
  public init(sets: Int = 64, ways: Int = 8) {
    precondition(sets > 0 && sets & (sets - 1) == 0, "the number of sets is not a power of two")
    precondition(ways > 0 && ways <= 64, "a set has between 1 and 64 ways")
    self.sets = sets
    self.ways = ways
    unsafe tags = .allocate(capacity: sets * ways)
    unsafe tags.initialize(repeating: 0, count: sets * ways)
    unsafe tally = .allocate(capacity: 1)
    unsafe tally.initialize(to: CacheCounters())
  }

  deinit {
    unsafe tags.deallocate()
    unsafe tally.deallocate()
  }

  /// What reads of the Remapping Table came to.
  public var counters: CacheCounters { unsafe tally.pointee }

  /// Reads the lines that `length` bytes from `address` are in; counted.
  public borrowing func read(_ address: PhysicalAddress, length: UInt64) {
    forEachLine(address, length) { line in
      if touch(line) { unsafe tally.pointee.hits &+= 1 } else { unsafe tally.pointee.misses &+= 1 }
    }
  }

  /// Other traffic brings in the lines of `length` bytes from `address`, and so drives others out; not counted.
  public borrowing func fill(_ address: PhysicalAddress, length: UInt64) {
    forEachLine(address, length) { line in _ = touch(line) }
  }

  /// Forgets every line, as WBINVD does.
  public borrowing func invalidate() { unsafe tags.update(repeating: 0, count: sets &* ways) }

  /// At most as many lines as the cache has: of a longer range the first ones, which says as much.
  private borrowing func forEachLine(_ address: PhysicalAddress, _ length: UInt64, _ body: (UInt64) -> Void) {
    guard length > 0 else { return }
    var line = address.rawValue / Self.lineLength
    let last = (address.rawValue &+ (length &- 1)) / Self.lineLength
    var left = sets &* ways
    while line <= last, left > 0 {
      body(line)
      line &+= 1
      left &-= 1
    }
  }

  /// Makes a line its set's most recently used one; whether it was there.
  private borrowing func touch(_ line: UInt64) -> Bool {
    // Invariant: the masked set number is below `sets`, so every index is below `sets * ways`.
    let first = Int(truncatingIfNeeded: line) & (sets &- 1) &* ways
    let tag = line &+ 1
    var carried = tag
    for way in first..<(first &+ ways) {
      let before = unsafe tags[way]
      unsafe tags[way] = carried
      if before == tag { return true }
      carried = before
    }
    return false
  }
}
