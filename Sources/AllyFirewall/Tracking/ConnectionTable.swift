import Synchronization

/// A connection as it lies in the table: a plain value.
struct Connection: BitwiseCopyable {
  var key: ConnectionKey
  /// Whether its first packet ran from the key's high endpoint to the low one.
  var startsReversed: Bool
  /// Whether packets were seen both ways.
  var isAnswered = false
  /// Whether it holds a connection, or is free.
  var isInUse = true
  /// For TCP.
  var tcp: TCPTracking?
  /// When it is to be forgotten, in nanoseconds as frames are stamped.
  var expires: UInt64 = 0
  var hash: UInt64
  /// The next free one, while this one is.
  var nextFree: UInt32 = 0

  /// Whether it may be given up to make room: nothing but one side's word speaks for it.
  var isExpendable: Bool {
    guard let tcp else { return !isAnswered }
    return tcp.phase == .synSent || tcp.phase == .synReceived || tcp.isOver
  }
}

/// The connections: a pool of plain values, and a table of 8-byte slots (32 bits of the hash, 32 bits of place) that is
/// never more than half full, probed linearly, with deletion that closes the gap.
///
/// The pool can lie in memory that outlives this value: another over the same memory, made like this one and before it was used,
/// finds the connections there. All memory is taken at once. Nothing runs by itself: an expired connection is forgotten when it is looked up, and every
/// new one has two others looked at, so that the table cannot fill with dead ones.
@safe
struct ConnectionTable: ~Copyable {
  private let slots: UnsafeMutablePointer<UInt64>
  private let mask: Int
  private let pool: UnsafeMutablePointer<Connection>
  /// In memory of somebody else's, before the pool; nil when the pool is this value's own.
  private let saved: UnsafeMutablePointer<SavedConnections>?
  private let capacity: Int
  /// One more than the first free place, 0 without.
  private var firstFree: UInt32 = 0
  /// Places from here on were never used. What is saved says the same, unless another has used it in between.
  private var untouched = 0 {
    didSet { if let saved = unsafe saved { unsafe saved.pointee.untouched = untouched } }
  }
  /// Where the search for dead connections goes on.
  private var hand = 0

  private(set) var count = 0
  private(set) var expired: UInt64 = 0
  private(set) var evicted: UInt64 = 0

  /// To be changed with ``Connection``, and with how a connection's hash is made.
  static var layout: String { "connections 1 of \(MemoryLayout<Connection>.stride)" }

  /// How many bytes ``init(capacity:in:)`` takes.
  static func byteCount(capacity: Int) -> Int {
    MemoryLayout<SavedConnections>.stride + bounded(capacity) * MemoryLayout<Connection>.stride
  }

  private static func bounded(_ capacity: Int) -> Int { min(max(capacity, 1), 1 << 28) }

  /// A table with memory of its own.
  init(capacity: Int) { unsafe self.init(capacity: capacity, in: nil) }

  /// - Parameters:
  ///   - capacity: how many connections there can be.
  ///   - memory: where they are, as ``byteCount(capacity:)`` says, aligned to 16: zeros, or what another left there. It outlives
  ///     this value. Nil for memory of its own.
  init(capacity: Int, in memory: UnsafeMutableRawBufferPointer?) {
    let capacity = Self.bounded(capacity)
    var slotCount = 2
    while slotCount < 2 * capacity { slotCount *= 2 }
    self.capacity = capacity
    mask = slotCount - 1
    unsafe slots = .allocate(capacity: slotCount)
    unsafe slots.initialize(repeating: 0, count: slotCount)
    guard let memory = unsafe memory, let start = memory.baseAddress else {
      unsafe saved = nil
      // Left uninitialized: `untouched` says how much of it was ever written.
      unsafe pool = .allocate(capacity: capacity)
      return
    }
    precondition(
      memory.count >= Self.byteCount(capacity: capacity) && UInt(bitPattern: start) % 16 == 0,
      "too little memory for so many connections, or not aligned")
    let stride = MemoryLayout<SavedConnections>.stride
    unsafe saved = start.bindMemory(to: SavedConnections.self, capacity: 1)
    unsafe pool = (start + stride).bindMemory(to: Connection.self, capacity: capacity)
  }

  deinit {
    unsafe slots.deallocate()
    if unsafe saved == nil { unsafe pool.deallocate() }
  }

  /// Takes up the connections that another has left, if one has used the memory since this value did.
  mutating func takeUp() {
    guard let saved = unsafe saved, unsafe saved.pointee.untouched != untouched else { return }
    unsafe SavedConnections.finish(saved, pool)
    untouched = min(unsafe saved.pointee.untouched, capacity)
    for slot in 0...mask { unsafe slots[slot] = 0 }
    firstFree = 0
    count = 0
    for place in 0..<untouched {
      let index = UInt32(truncatingIfNeeded: place)
      if unsafe pool[place].isInUse {
        enter(index, unsafe pool[place].hash)
      } else {
        unsafe pool[place].nextFree = firstFree
        firstFree = index &+ 1
      }
    }
  }

  /// Stores a connection in one step, if another could have to take it up.
  private func store(_ connection: Connection, at index: Int) {
    guard let saved = unsafe saved else { return unsafe (pool + index).initialize(to: connection) }
    unsafe SavedConnections.store(connection, at: index, saved, pool)
  }

  /// Puts a place into the table of slots.
  private mutating func enter(_ index: UInt32, _ hash: UInt64) {
    count &+= 1
    var slot = Int(truncatingIfNeeded: hash) & mask
    while unsafe slots[slot] != 0 { slot = (slot &+ 1) & mask }
    unsafe slots[slot] = (hash & ~0xFFFF_FFFF) | UInt64(index &+ 1)
  }

  subscript(index: UInt32) -> Connection {
    get {
      precondition(Int(index) < untouched)
      return unsafe pool[Int(index)]
    }
    set {
      precondition(Int(index) < untouched)
      store(newValue, at: Int(index))
    }
  }

  /// - Returns: the connection's place, or nil; an expired one is forgotten.
  mutating func find(_ key: ConnectionKey, hash: UInt64, now: UInt64) -> UInt32? {
    var slot = Int(truncatingIfNeeded: hash) & mask
    // The table is at most half full: an empty slot ends every probe.
    while case let entry = unsafe slots[slot], entry != 0 {
      if entry >> 32 == hash >> 32 {
        let index = UInt32(truncatingIfNeeded: entry) &- 1
        if unsafe pool[Int(index)].key == key {
          guard unsafe pool[Int(index)].expires < now else { return index }
          expired &+= 1
          remove(index)
          return nil
        }
      }
      slot = (slot &+ 1) & mask
    }
    return nil
  }

  /// Adds a connection that is not there yet.
  ///
  /// - Returns: whether there was room; a connection that only one side speaks for makes room.
  mutating func insert(_ connection: Connection, now: UInt64) -> Bool {
    for _ in 0..<min(2, untouched) { forgetNext(ifExpiredAt: now) }
    guard let index = takeFree() ?? makeRoom(now) else { return false }
    store(connection, at: Int(index))
    enter(index, connection.hash)
    return true
  }

  /// Forgets the connection at a place.
  mutating func remove(_ index: UInt32) {
    precondition(Int(index) < untouched)
    guard unsafe pool[Int(index)].isInUse else { return }
    var gap = Int(truncatingIfNeeded: unsafe pool[Int(index)].hash) & mask
    while unsafe UInt32(truncatingIfNeeded: slots[gap]) != index &+ 1 { gap = (gap &+ 1) & mask }
    // Entries behind the gap move into it unless they would then stand before their own first slot.
    var next = (gap &+ 1) & mask
    while case let entry = unsafe slots[next], entry != 0 {
      let place = Int(UInt32(truncatingIfNeeded: entry) &- 1)
      let home = Int(truncatingIfNeeded: unsafe pool[place].hash) & mask
      if (next &- home) & mask >= (next &- gap) & mask {
        unsafe slots[gap] = entry
        gap = next
      }
      next = (next &+ 1) & mask
    }
    unsafe slots[gap] = 0
    unsafe pool[Int(index)].isInUse = false
    unsafe pool[Int(index)].nextFree = firstFree
    firstFree = index &+ 1
    count &-= 1
  }

  private mutating func takeFree() -> UInt32? {
    if firstFree != 0 {
      let index = firstFree &- 1
      firstFree = unsafe pool[Int(index)].nextFree
      return index
    }
    guard untouched < capacity else { return nil }
    untouched &+= 1
    return UInt32(truncatingIfNeeded: untouched &- 1)
  }

  private mutating func forgetNext(ifExpiredAt now: UInt64) {
    let index = advanceHand()
    guard unsafe pool[index].isInUse, unsafe pool[index].expires < now else { return }
    expired &+= 1
    remove(UInt32(truncatingIfNeeded: index))
  }

  /// Looks at eight connections for one that is dead or expendable.
  private mutating func makeRoom(_ now: UInt64) -> UInt32? {
    for _ in 0..<8 {
      let index = advanceHand()
      let connection = unsafe pool[index]
      guard connection.isInUse else { continue }
      if connection.expires < now {
        expired &+= 1
      } else if connection.isExpendable {
        evicted &+= 1
      } else {
        continue
      }
      remove(UInt32(truncatingIfNeeded: index))
      return takeFree()
    }
    return nil
  }

  private mutating func advanceHand() -> Int {
    hand = hand &+ 1 >= untouched ? 0 : hand &+ 1
    return hand
  }
}

/// What is before the pool in memory that outlives its table: how much of it was used, and the connection that is being stored.
///
/// A connection is some ten words; whoever dies while he stores one leaves it to the next (``finish(_:_:)``).
struct SavedConnections: BitwiseCopyable {
  var untouched: Int
  /// One more than the place that `next` goes to; 0 when it is there.
  private var pending: Int
  private var next: Connection

  @unsafe
  static func store(
    _ connection: Connection, at index: Int, _ saved: UnsafeMutablePointer<Self>,
    _ pool: UnsafeMutablePointer<Connection>
  ) {
    unsafe saved.pointee.next = connection
    unsafe setPending(index &+ 1, saved)
    unsafe finish(saved, pool)
  }

  @unsafe
  static func finish(_ saved: UnsafeMutablePointer<Self>, _ pool: UnsafeMutablePointer<Connection>) {
    let place = unsafe saved.pointee.pending
    guard place > 0, unsafe place <= saved.pointee.untouched else { return }
    unsafe (pool + (place &- 1)).initialize(to: saved.pointee.next)
    unsafe setPending(0, saved)
  }

  /// After all stores before it, and before all after it.
  @unsafe
  private static func setPending(_ value: Int, _ saved: UnsafeMutablePointer<Self>) {
    unsafe withUnsafeMutablePointer(to: &saved.pointee.pending) { place in
      unsafe UnsafeMutableRawPointer(place).assumingMemoryBound(to: Atomic<Int>.self).pointee.store(
        value, ordering: .sequentiallyConsistent)
    }
  }
}
