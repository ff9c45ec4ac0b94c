/// An open-addressing index from hashes to places in a pool.
///
/// Eight bytes a slot (tag and place), at most half of them in use, linear probing, deletion by shifting back: no tombstones, so
/// that a table under churn stays as fast as a new one. The caller compares keys; a tag of 32 bits makes that rare.
@safe
struct HashSlots: ~Copyable {
  private let slots: UnsafeMutablePointer<UInt64>
  private let mask: Int
  private(set) var count = 0

  /// - Parameter capacity: entries that fit.
  init(capacity: Int) {
    var size = 16
    while size < capacity * 2 { size <<= 1 }
    mask = size - 1
    unsafe slots = UnsafeMutablePointer<UInt64>.allocate(capacity: size)
    unsafe slots.initialize(repeating: 0, count: size)
  }

  deinit { unsafe slots.deallocate() }

  /// - Parameter matches: whether the entry at a place is the one looked for.
  /// - Returns: the entry's place; nil when there is none.
  @inline(__always)
  func find(_ hash: UInt64, where matches: (UInt32) -> Bool) -> UInt32? {
    let tag = hash &>> 32
    var position = Int(truncatingIfNeeded: tag) & mask
    while true {
      let slot = unsafe slots[position]
      if slot == 0 { return nil }
      if slot &>> 32 == tag {
        let place = UInt32(truncatingIfNeeded: slot) &- 1
        if matches(place) { return place }
      }
      position = (position &+ 1) & mask
    }
  }

  /// Enters a place that is not there yet.
  ///
  /// - Precondition: fewer than the capacity's entries are there.
  mutating func insert(_ hash: UInt64, place: UInt32) {
    precondition(count < (mask + 1) / 2)
    let tag = hash &>> 32
    var position = Int(truncatingIfNeeded: tag) & mask
    while unsafe slots[position] != 0 { position = (position &+ 1) & mask }
    unsafe slots[position] = tag &<< 32 | UInt64(place &+ 1)
    count += 1
  }

  /// Takes a place out.
  mutating func remove(_ hash: UInt64, place: UInt32) {
    let wanted = (hash &>> 32) &<< 32 | UInt64(place &+ 1)
    var hole = Int(truncatingIfNeeded: hash &>> 32) & mask
    while true {
      let slot = unsafe slots[hole]
      if slot == 0 { return }
      if slot == wanted { break }
      hole = (hole &+ 1) & mask
    }
    count -= 1
    // Shift back what probed past the hole.
    var position = hole
    while true {
      position = (position &+ 1) & mask
      let slot = unsafe slots[position]
      if slot == 0 { break }
      let home = Int(truncatingIfNeeded: slot &>> 32) & mask
      if (position &- home) & mask >= (position &- hole) & mask {
        unsafe slots[hole] = slot
        hole = position
      }
    }
    unsafe slots[hole] = 0
  }
}
