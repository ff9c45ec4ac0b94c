import AllyPacket

/// A piece of memory from a ``BlockPool``.
struct Block: BitwiseCopyable, Sendable {
  /// In units of ``BlockPool/unit`` bytes from the pool's start.
  fileprivate(set) var index: UInt32
  /// The block is `BlockPool.unit << order` bytes.
  fileprivate(set) var order: UInt8

  static var none: Block { Block(index: .max, order: 0) }
  var isNone: Bool { index == .max }
  var capacity: Int { BlockPool.unit << Int(order) }
}

/// Memory for segments, windows and fragments, under one cap: a binary buddy allocator over one area.
///
/// Blocks are powers of two from ``unit`` to ``largest`` bytes. Allocation and release take a bounded number of steps (one per
/// size), never ask the system, and neighbours that are free melt together, so that a flood of small blocks leaves no
/// area unusable for large ones. Memory that was never used is never touched.
@safe
struct BlockPool: ~Copyable {
  /// The smallest block, in bytes.
  static var unit: Int { 128 }
  private static var orders: Int { 11 }
  /// The largest block, in bytes: 128 KiB.
  static var largest: Int { unit << (orders - 1) }

  private let base: UnsafeMutableRawPointer
  /// One byte for each unit: what begins there.
  private let states: UnsafeMutablePointer<UInt8>
  private let areaCount: Int
  /// Areas of the largest size from here on were never used.
  private var untouched = 0
  private var heads: InlineArray<11, UInt32> = InlineArray(repeating: .max)
  /// Bytes handed out now.
  private(set) var used = 0

  /// - Parameter capacity: bytes in all; rounded down to whole areas of ``largest`` bytes, but at least one.
  init(capacity: Int) {
    areaCount = max(1, min(capacity, Int(UInt32.max >> 1)) / Self.largest)
    unsafe base = UnsafeMutableRawPointer.allocate(byteCount: areaCount * Self.largest, alignment: 64)
    unsafe states = UnsafeMutablePointer<UInt8>.allocate(capacity: areaCount << (Self.orders - 1))
  }

  deinit {
    unsafe base.deallocate()
    unsafe states.deallocate()
  }

  var capacity: Int { areaCount * Self.largest }

  /// - Returns: a block of at least `byteCount` bytes with undefined contents; nil at the cap, or above ``largest``.
  mutating func allocate(_ byteCount: Int) -> Block? {
    let wanted = Self.order(for: byteCount)
    guard wanted < Self.orders else { return nil }
    var order = wanted
    while order < Self.orders && heads[order] == .max { order += 1 }
    var index: UInt32
    if order < Self.orders {
      index = heads[order]
      unlink(index, order: order)
    } else {
      guard untouched < areaCount else { return nil }
      order = Self.orders - 1
      index = UInt32(untouched << order)
      untouched += 1
    }
    while order > wanted {
      order -= 1
      link(index + UInt32(1 << order), order: order)
    }
    setState(.inUse, order: wanted, at: index)
    used += Self.unit << wanted
    return Block(index: index, order: UInt8(wanted))
  }

  /// Whether ``allocate(_:)`` would give a block now.
  func hasRoom(for byteCount: Int) -> Bool {
    var order = Self.order(for: byteCount)
    if untouched < areaCount { return order < Self.orders }
    while order < Self.orders {
      if heads[order] != .max { return true }
      order += 1
    }
    return false
  }

  private static func order(for byteCount: Int) -> Int {
    let units = (max(byteCount, 1) + unit - 1) / unit
    return units == 1 ? 0 : Int.bitWidth - (units - 1).leadingZeroBitCount
  }

  /// Gives a block back. Each block once; ``Block/none`` is ignored.
  mutating func release(_ block: Block) {
    if block.isNone { return }
    check(block)
    var index = block.index
    var order = Int(block.order)
    used -= Self.unit << order
    while order < Self.orders - 1 {
      let buddy = index ^ UInt32(1 << order)
      guard isFree(buddy, order: order) else { break }
      unlink(buddy, order: order)
      index = min(index, buddy)
      order += 1
    }
    link(index, order: order)
  }

  /// Copies bytes into a block.
  ///
  /// - Precondition: `offset + bytes.byteCount` is within the block.
  mutating func write(_ bytes: RawSpan, to block: Block, at offset: Int) {
    check(block)
    precondition(offset >= 0 && offset &+ bytes.byteCount <= block.capacity)
    let target = unsafe base + (Int(block.index) * Self.unit + offset)
    // The block is `capacity` bytes within the area, and the range was checked.
    unsafe bytes.withUnsafeBytes { source in
      guard let start = source.baseAddress, source.count > 0 else { return }
      unsafe target.copyMemory(from: start, byteCount: source.count)
    }
  }

  /// Copies bytes of one block into another.
  mutating func copy(from source: Block, _ range: Range<Int>, to target: Block, at offset: Int = 0) {
    check(source)
    check(target)
    precondition(source.index != target.index, "a block onto itself")
    precondition(range.lowerBound >= 0 && range.upperBound <= source.capacity)
    precondition(offset >= 0 && offset + range.count <= target.capacity)
    let from = unsafe base + (Int(source.index) * Self.unit + range.lowerBound)
    unsafe (base + Int(target.index) * Self.unit + offset).copyMemory(from: from, byteCount: range.count)
  }

  /// Moves bytes within a block; the ranges may overlap.
  mutating func move(_ range: Range<Int>, to offset: Int, in block: Block) {
    check(block)
    precondition(range.lowerBound >= 0 && range.upperBound <= block.capacity)
    precondition(offset >= 0 && offset &+ range.count <= block.capacity)
    let start = unsafe base + Int(block.index) * Self.unit
    unsafe (start + offset).copyMemory(from: start + range.lowerBound, byteCount: range.count)
  }

  /// Bytes of a block that were written before.
  @_lifetime(borrow self)
  func bytes(_ block: Block, _ range: Range<Int>) -> RawSpan {
    check(block)
    precondition(range.lowerBound >= 0 && range.upperBound <= block.capacity)
    let start = unsafe base + (Int(block.index) * Self.unit + range.lowerBound)
    let span = unsafe RawSpan(_unsafeStart: start, byteCount: range.count)
    return unsafe _overrideLifetime(span, borrowing: self)
  }

  // MARK: Free lists, kept in the free blocks themselves.

  private enum Kind: UInt8 { case inUse = 0x40, free = 0x80 }

  private func check(_ block: Block) {
    precondition(Int(block.index) < untouched << (Self.orders - 1), "a block of another pool")
    unsafe precondition(states[Int(block.index)] == Kind.inUse.rawValue | block.order, "a block that was given back")
  }

  private mutating func setState(_ kind: Kind, order: Int, at index: UInt32) {
    unsafe states[Int(index)] = kind.rawValue | UInt8(order)
  }

  private func isFree(_ index: UInt32, order: Int) -> Bool {
    unsafe states[Int(index)] == Kind.free.rawValue | UInt8(order)
  }

  private func links(_ index: UInt32) -> UnsafeMutablePointer<(next: UInt32, previous: UInt32)> {
    // A free block holds its two links in its first eight bytes.
    unsafe (base + Int(index) * Self.unit).assumingMemoryBound(to: (next: UInt32, previous: UInt32).self)
  }

  private mutating func link(_ index: UInt32, order: Int) {
    setState(.free, order: order, at: index)
    let next = heads[order]
    unsafe links(index).pointee = (next, .max)
    if next != .max { unsafe links(next).pointee.previous = index }
    heads[order] = index
  }

  private mutating func unlink(_ index: UInt32, order: Int) {
    let own = unsafe links(index).pointee
    if own.previous == .max {
      heads[order] = own.next
    } else {
      unsafe links(own.previous).pointee.next = own.next
    }
    if own.next != .max { unsafe links(own.next).pointee.previous = own.previous }
    // No longer the head of a free block: a neighbour must not melt with it.
    unsafe states[Int(index)] = 0
  }
}
