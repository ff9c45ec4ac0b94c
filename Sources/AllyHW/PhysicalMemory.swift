/// A run of physical memory that has storage behind it.
@frozen
@safe
public struct MemorySegment: BitwiseCopyable {
  /// The first physical address.
  public var base: UInt64
  /// The length in bytes, never 0.
  public var length: UInt64
  /// Where the bytes are in this process; good for `length` bytes until the segment is unmapped.
  @unsafe public var storage: UnsafeMutableRawPointer
  /// What may be done with it.
  public var rights: AccessRights

  @inlinable
  @unsafe
  public init(base: PhysicalAddress, length: UInt64, storage: UnsafeMutableRawPointer, rights: AccessRights) {
    self.base = base.rawValue
    self.length = length
    unsafe self.storage = storage
    self.rights = rights
  }
}

/// Why a segment cannot be mapped or unmapped.
public enum PhysicalMemoryError: Error, Equatable, Sendable {
  /// Length 0, or the end lies beyond 2^64.
  case emptyOrWrapping
  /// Another segment lies there already.
  case overlaps
  /// The table has no free entry.
  case full
  /// No segment has exactly this base and length.
  case notMapped
}

/// Physical memory: a sorted table of segments, each a range of addresses with storage, in one concrete type that
/// every platform fills (decision 12 of Docs/Architecture.md).
///
/// Addresses without a segment are absent: looking them up is a fault, told by a nil, never a trap. A lookup that hits
/// the segment of the one before costs two comparisons. Owned by one core at a time; changing the table while another
/// core uses it is the caller's to prevent (the data path is quiesced first).
@frozen
@safe
public struct PhysicalMemory: ~Copyable {
  @usableFromInline let segments: UnsafeMutablePointer<MemorySegment>
  @usableFromInline let capacity: Int
  @usableFromInline var count: Int
  /// The segment that the last lookup found. A slot to be read and written by lookups, behind a pointer so that a
  /// lookup does not need exclusive access.
  @usableFromInline let lastHit: UnsafeMutablePointer<MemorySegment>
  /// Grows by one with every change of the table; whoever keeps a pointer compares it.
  public private(set) var generation: UInt64

  /// An empty memory with room for `capacity` segments.
  public init(capacity: Int = 64) {
    precondition(capacity > 0)
    unsafe self.segments = .allocate(capacity: capacity)
    unsafe self.lastHit = .allocate(capacity: 1)
    self.capacity = capacity
    self.count = 0
    self.generation = 0
    forgetLastHit()
  }

  deinit {
    unsafe segments.deallocate()
    unsafe lastHit.deallocate()
  }

  /// How many segments are mapped.
  public var segmentCount: Int { count }

  private func forgetLastHit() {
    // Length 0 matches nothing, so that the storage pointer is never used.
    unsafe lastHit.initialize(
      to: MemorySegment(base: PhysicalAddress(0), length: 0, storage: UnsafeMutableRawPointer(segments), rights: []))
  }

  /// Adds a segment.
  ///
  /// `storage` is where its `length` bytes are: they stay valid, and are not moved, until ``unmap(base:length:)``.
  ///
  /// - Throws: ``PhysicalMemoryError``; the table is then unchanged.
  @unsafe
  public mutating func map(
    base: PhysicalAddress, length: UInt64, storage: UnsafeMutableRawPointer, rights: AccessRights
  ) throws(PhysicalMemoryError) {
    let (end, overflow) = base.rawValue.addingReportingOverflow(length)
    guard length > 0, !overflow else { throw .emptyOrWrapping }
    guard count < capacity else { throw .full }
    var place = count
    while place > 0, unsafe segments[place &- 1].base >= base.rawValue { place &-= 1 }
    if place > 0, unsafe segments[place &- 1].base &+ segments[place &- 1].length > base.rawValue { throw .overlaps }
    if place < count, unsafe segments[place].base < end { throw .overlaps }
    var index = count
    while index > place {
      unsafe (segments + index).initialize(to: segments[index &- 1])
      index &-= 1
    }
    unsafe (segments + place).initialize(
      to: MemorySegment(base: base, length: length, storage: storage, rights: rights))
    count &+= 1
    generation &+= 1
    forgetLastHit()
  }

  /// Takes away the segment with exactly this base and length.
  public mutating func unmap(base: PhysicalAddress, length: UInt64) throws(PhysicalMemoryError) {
    var place = 0
    while place < count, unsafe segments[place].base != base.rawValue { place &+= 1 }
    guard place < count, unsafe segments[place].length == length else { throw .notMapped }
    while place &+ 1 < count {
      unsafe segments[place] = segments[place &+ 1]
      place &+= 1
    }
    count &-= 1
    generation &+= 1
    forgetLastHit()
  }

  /// Where `length` bytes from `address` are in this process, if one segment holds them all and allows `rights`.
  ///
  /// The pointer is good for `length` bytes until ``generation`` changes.
  ///
  /// - Returns: nil when any byte is absent, when the range crosses from one segment into another, or when the segment
  ///   does not allow `rights`.
  @unsafe
  @inlinable
  @inline(__always)
  public borrowing func pointer(
    at address: PhysicalAddress, length: UInt64, for rights: AccessRights
  ) -> UnsafeMutableRawPointer? {
    let offset = unsafe address.rawValue &- lastHit.pointee.base
    // One unsigned comparison holds off addresses below the base too: their offset is huge.
    if unsafe offset < lastHit.pointee.length, unsafe length <= lastHit.pointee.length &- offset,
      unsafe lastHit.pointee.rights.isSuperset(of: rights)
    {
      return unsafe lastHit.pointee.storage + Int(truncatingIfNeeded: offset)
    }
    return unsafe pointerSlow(at: address, length: length, for: rights)
  }

  @inline(never)
  @usableFromInline
  @unsafe
  borrowing func pointerSlow(
    at address: PhysicalAddress, length: UInt64, for rights: AccessRights
  ) -> UnsafeMutableRawPointer? {
    var low = 0
    var high = count
    while low < high {
      let middle = (low &+ high) / 2
      if unsafe segments[middle].base <= address.rawValue { low = middle &+ 1 } else { high = middle }
    }
    guard low > 0 else { return nil }
    let segment = unsafe segments[low &- 1]
    let offset = address.rawValue &- segment.base
    guard offset < segment.length, length <= segment.length &- offset, segment.rights.isSuperset(of: rights) else {
      return nil
    }
    unsafe lastHit.pointee = segment
    return unsafe segment.storage + Int(truncatingIfNeeded: offset)
  }
}

extension PhysicalMemory {
  /// The segment that holds the byte at `address`, or nil when it is absent.
  ///
  /// For loops over many buffers, which keep the answer while they borrow the memory (the table cannot change then).
  @inlinable
  @inline(__always)
  public borrowing func segment(containing address: PhysicalAddress) -> MemorySegment? {
    if unsafe address.rawValue &- lastHit.pointee.base < lastHit.pointee.length { return unsafe lastHit.pointee }
    guard unsafe pointerSlow(at: address, length: 1, for: []) != nil else { return nil }
    return unsafe lastHit.pointee
  }

  /// Whether `segment` is mapped exactly as it says: for whoever keeps a segment from one borrow of the memory to the
  /// next. Costs a few comparisons when the last lookup hit it.
  @inlinable
  @inline(__always)
  public borrowing func isMapped(_ segment: MemorySegment) -> Bool {
    if unsafe lastHit.pointee.base != segment.base,
      unsafe pointerSlow(at: PhysicalAddress(segment.base), length: 1, for: []) == nil
    {
      return false
    }
    return unsafe lastHit.pointee.base == segment.base && lastHit.pointee.length == segment.length
      && lastHit.pointee.storage == segment.storage && lastHit.pointee.rights == segment.rights
  }
}

// MARK: - Checked loads and stores, for everything that is not the packet loop

extension PhysicalMemory {
  /// Loads a little-endian integer, or nil on a fault.
  @inlinable
  public borrowing func load<T: FixedWidthInteger & BitwiseCopyable>(
    _ type: T.Type, at address: PhysicalAddress
  ) -> T? {
    guard
      let place = unsafe pointer(at: address, length: UInt64(MemoryLayout<T>.size), for: .read)
    else { return nil }
    return unsafe T(littleEndian: place.loadUnaligned(as: T.self))
  }

  /// Stores a little-endian integer; false on a fault, and nothing was stored.
  @inlinable
  public borrowing func store<T: FixedWidthInteger & BitwiseCopyable>(
    _ value: T, at address: PhysicalAddress
  ) -> Bool {
    guard
      let place = unsafe pointer(at: address, length: UInt64(MemoryLayout<T>.size), for: .write)
    else { return false }
    unsafe place.storeBytes(of: value.littleEndian, as: T.self)
    return true
  }
}
