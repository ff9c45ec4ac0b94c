internal import AllyPacket

/// What a count or a bit belongs to: a rule or bit by number, and up to two addresses (or a flow).
struct TrackKey: BitwiseCopyable, Sendable, Equatable {
  var number: UInt32
  /// Keeps the numbers of different things apart.
  var scope: UInt32
  var first: IPAddress
  var second: IPAddress

  static var noAddress: IPAddress { IPAddress(high: 0, low: 0) }

  init(number: UInt32, scope: UInt32, first: IPAddress = noAddress, second: IPAddress = noAddress) {
    self.number = number
    self.scope = scope
    self.first = first
    self.second = second
  }

  /// Two addresses in whichever order.
  static func pair(number: UInt32, scope: UInt32, _ one: IPAddress, _ other: IPAddress) -> TrackKey {
    one < other
      ? TrackKey(number: number, scope: scope, first: one, second: other)
      : TrackKey(number: number, scope: scope, first: other, second: one)
  }

  /// Remote hosts choose the addresses: the seed keeps them from choosing the bucket.
  func hash(seed: UInt64) -> UInt64 {
    func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
      let product = a.multipliedFullWidth(by: b)
      return product.high ^ product.low
    }
    var hash = mix(first.high ^ seed, first.low ^ 0x9E37_79B9_7F4A_7C15)
    hash = mix(second.high ^ hash, second.low ^ 0xC2B2_AE3D_27D4_EB4F ^ seed)
    return mix(hash ^ UInt64(number), UInt64(scope) ^ 0x1656_67B1_9E37_79F9 ^ seed)
  }
}

/// A table of bounded size: buckets of eight, in which the entry that was longest not used gives way.
@safe
struct TrackTable<Value: BitwiseCopyable>: ~Copyable {
  struct Slot: BitwiseCopyable {
    var key: TrackKey
    var value: Value
    /// Nanoseconds; 0 for a free slot.
    var lastUse: UInt64
  }

  private static var ways: Int { 8 }
  private let slots: UnsafeMutablePointer<Slot>
  private let bucketMask: Int
  private let seed: UInt64
  /// Entries that gave way to others.
  private(set) var evictions: UInt64 = 0
  /// Whether anything was ever stored.
  private(set) var isUsed = false

  /// - Parameter capacity: entries; rounded up to eight times a power of two.
  init(capacity: Int, seed: UInt64, empty: Value) {
    var buckets = 1
    while buckets * TrackTable.ways < capacity { buckets *= 2 }
    bucketMask = buckets - 1
    self.seed = seed
    unsafe slots = .allocate(capacity: buckets * TrackTable.ways)
    unsafe slots.initialize(
      repeating: Slot(key: TrackKey(number: 0, scope: 0), value: empty, lastUse: 0), count: buckets * TrackTable.ways)
  }

  deinit { unsafe slots.deallocate() }

  /// Has the entries of a table that was made alike, which gets this one's.
  mutating func takeOver(from former: inout TrackTable) {
    if former.isUsed { swap(&self, &former) }
  }

  /// The value for a key; nil when there is none.
  mutating func value(for key: TrackKey, at time: UInt64) -> Value? {
    let first = firstSlot(of: key)
    // A bucket's slots lie within the table: the mask sees to it.
    for index in first..<(first + TrackTable.ways)
    where unsafe slots[index].lastUse != 0 && slots[index].key == key {
      unsafe slots[index].lastUse = max(1, time)
      return unsafe slots[index].value
    }
    return nil
  }

  /// Stores a value, if need be in the place of another key's.
  mutating func store(_ value: Value, for key: TrackKey, at time: UInt64) {
    isUsed = true
    let first = firstSlot(of: key)
    var victim = first
    for index in first..<(first + TrackTable.ways) {
      if unsafe slots[index].lastUse != 0 && slots[index].key == key {
        victim = index
        break
      }
      if unsafe slots[index].lastUse < slots[victim].lastUse { victim = index }
    }
    if unsafe slots[victim].lastUse != 0 && slots[victim].key != key { evictions &+= 1 }
    unsafe slots[victim] = Slot(key: key, value: value, lastUse: max(1, time))
  }

  /// Forgets a key.
  mutating func remove(_ key: TrackKey) {
    let first = firstSlot(of: key)
    for index in first..<(first + TrackTable.ways)
    where unsafe slots[index].lastUse != 0 && slots[index].key == key {
      unsafe slots[index].lastUse = 0
    }
  }

  private func firstSlot(of key: TrackKey) -> Int {
    Int(truncatingIfNeeded: key.hash(seed: seed) & UInt64(bucketMask)) * TrackTable.ways
  }
}
