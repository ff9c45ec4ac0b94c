internal import Synchronization

/// Flows whose packets are dropped, in memory that outlives an engine: another that takes its place goes on dropping them.
///
/// A view, not an owner. Flows are told apart by their hash, whose seed is secret and the same for both. An entry that was half
/// written when its engine died is none.
@safe
struct DroppedFlows {
  private struct Entry: BitwiseCopyable {
    var hash: UInt64
    /// Nanoseconds since 1970 until which the flow may be silent; 0 for none.
    var deadline: UInt64
  }

  private static var capacity: Int { 1 << 16 }
  /// Places that a flow may be at. When all are taken, the one that is silent for longest gives way.
  private static var reach: Int { 8 }
  /// To be changed with ``Entry``, and with how a flow's hash is made.
  static var layout: String { "dropped flows 1" }
  static var byteCount: Int { capacity * MemoryLayout<Entry>.stride }

  /// Invariant: `capacity` entries, which the owner keeps.
  private let entries: UnsafeMutablePointer<Entry>

  /// - Parameter memory: ``byteCount`` bytes, zeros at first, aligned to 16, valid as long as any copy is used.
  @unsafe
  init(in memory: UnsafeMutableRawBufferPointer) {
    precondition(memory.count >= Self.byteCount, "too little memory for dropped flows")
    // It has more than no bytes.
    unsafe entries = memory.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Entry.self)
  }

  private static func place(_ hash: UInt64, _ step: Int) -> Int {
    Int(truncatingIfNeeded: hash &+ UInt64(step)) & (capacity - 1)
  }

  /// A packet of a dropped flow came.
  func note(_ hash: UInt64, until deadline: UInt64) {
    var chosen = Self.place(hash, 0)
    for step in 0..<Self.reach {
      let place = Self.place(hash, step)
      if unsafe entries[place].hash == hash {
        chosen = place
        break
      }
      if unsafe entries[place].deadline < entries[chosen].deadline { chosen = place }
    }
    if unsafe entries[chosen].hash != hash {
      unsafe entries[chosen].deadline = 0
      atomicMemoryFence(ordering: .releasing)
      unsafe entries[chosen].hash = hash
      atomicMemoryFence(ordering: .releasing)
    }
    unsafe entries[chosen].deadline = deadline
  }

  /// Whether a flow was dropped, and not silent for too long since.
  func contains(_ hash: UInt64, at now: UInt64) -> Bool {
    for step in 0..<Self.reach {
      let place = Self.place(hash, step)
      if unsafe entries[place].hash == hash, unsafe entries[place].deadline >= now { return true }
    }
    return false
  }
}
