internal import Synchronization

/// What a keeper and its workers tell each other without a call: memory that they share.
public final class KeeperPage {
  let memory: MappedMemory

  public init() throws(HostError) {
    memory = try MappedMemory(shared: 4096)
    store(MonotonicTime.now, Word.start)
  }

  static let layout = KeptLayout.text("a keeper's page", Word.counts, mostCounts, KeptInspection.byteCount)

  private enum Word {
    static let beat = 0
    static let start = 8
    static let deaths = 64
    static let stalls = 72
    static let setAside = 80
    static let upgrades = 88
    static let frame = 96
    static let counts = 128
    static let inspection = counts + mostCounts
  }

  /// Bytes of counts, at most.
  private static let mostCounts = 2048

  // Offsets of 8-byte words in one page of this object's own.

  private func load(_ word: Int) -> UInt64 { unsafe memory.storage.load(fromByteOffset: word, as: UInt64.self) }

  private func store(_ value: UInt64, _ word: Int) {
    unsafe memory.storage.storeBytes(of: value, toByteOffset: word, as: UInt64.self)
  }

  /// Grows while a worker works; see ``beat()``.
  var beats: UInt64 { unsafe atomic(Word.beat).pointee.load(ordering: .relaxed) }

  /// The worker is alive: to be called more than once a second.
  func beat() { unsafe atomic(Word.beat).pointee.store(beats &+ 1, ordering: .relaxed) }

  /// A worker is about to begin: from now on it is worried about.
  func begin() { if beats == .max { beat() } }

  /// The worker comes to its end: nobody is to worry any more.
  func rest() { unsafe atomic(Word.beat).pointee.store(.max, ordering: .relaxed) }

  @unsafe
  private func atomic(_ word: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
    unsafe (memory.storage + word).assumingMemoryBound(to: Atomic<UInt64>.self)
  }

  /// Seconds since the command began.
  public var age: Double { Double(MonotonicTime.now &- load(Word.start)) / 1e9 }

  /// Executables that took another's place.
  public internal(set) var upgrades: UInt64 {
    get { load(Word.upgrades) }
    set { store(newValue, Word.upgrades) }
  }

  /// Workers that died, and were replaced.
  public internal(set) var deaths: UInt64 {
    get { load(Word.deaths) }
    set { store(newValue, Word.deaths) }
  }

  /// Those of them that the keeper ended, because they stood still.
  public internal(set) var stalls: UInt64 {
    get { load(Word.stalls) }
    set { store(newValue, Word.stalls) }
  }

  /// Frames that were not inspected, because workers had died of them.
  public internal(set) var setAside: UInt64 {
    get { load(Word.setAside) }
    set { store(newValue, Word.setAside) }
  }

  /// The frame that a worker inspects.
  public var frame: FrameUnderInspection { unsafe FrameUnderInspection(at: memory.storage + Word.frame, of: self) }

  /// What a worker's inspector does.
  var inspection: KeptInspection { unsafe KeptInspection(at: memory.storage + Word.inspection) }

  /// Counts that are to outlive a worker, as whoever composes it likes; zeros at first.
  ///
  /// - Precondition: they have 2,048 bytes at the most, and a layout that `KeptLayout.version` tells.
  public func save<Counts: BitwiseCopyable>(_ counts: Counts) {
    precondition(MemoryLayout<Counts>.size <= Self.mostCounts, "too many counts")
    unsafe memory.storage.storeBytes(of: counts, toByteOffset: Word.counts, as: Counts.self)
  }

  /// Counts of the same type that ``save(_:)`` was given last.
  public func restore<Counts: BitwiseCopyable>(_ type: Counts.Type) -> Counts {
    precondition(MemoryLayout<Counts>.size <= Self.mostCounts, "too many counts")
    return unsafe memory.storage.loadUnaligned(fromByteOffset: Word.counts, as: Counts.self)
  }
}
