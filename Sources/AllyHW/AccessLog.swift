public import Synchronization

/// The mailbox through which OS cores' redirected accesses reach the DPI core, in order: a ring in DPI memory.
///
/// A shadow register holds only the last value, but two writes to a set-bits register such as IMS mean both. So every
/// redirected access is appended here before the IPI is raised. When the ring is full the OS core waits; nothing is
/// lost and nothing grows.
///
/// A view, not an owner, like ``RegisterFile``. One core appends at a time (accesses to one device are ordered by the
/// bus), one DPI core removes. Memory of zeros is an empty log, and a DPI core that takes over finds what its
/// predecessor had not removed.
@frozen
@safe
public struct AccessLog: BitwiseCopyable, @unchecked Sendable {
  /// Two cache lines of indexes, then the entries.
  @usableFromInline static var headerByteCount: Int { 128 }
  @usableFromInline static var entryByteCount: Int { 16 }

  @usableFromInline let storage: UnsafeMutableRawPointer
  /// How many accesses fit, a power of two.
  public let capacity: Int

  /// The bytes of DPI memory that a log needs.
  @inlinable
  public static func byteCount(capacity: Int) -> Int { headerByteCount + entryByteCount * capacity }

  /// The log in `byteCount(capacity:)` bytes of DPI memory.
  ///
  /// - Parameters:
  ///   - storage: 8-byte aligned; stays valid as long as any copy of the log is used.
  ///   - capacity: accesses that may wait.
  /// - Precondition: `capacity` is a power of two.
  @unsafe
  @inlinable
  public init(storage: UnsafeMutableRawPointer, capacity: Int) {
    precondition(capacity > 0 && capacity & (capacity - 1) == 0, "the capacity is not a power of two")
    precondition(UInt(bitPattern: storage) & 7 == 0, "the log is not 8-byte aligned")
    unsafe self.storage = storage
    self.capacity = capacity
  }

  /// The log in DPI memory at `address`; nil when no single segment has the bytes there.
  ///
  /// The segment must stay mapped as long as any copy of the log is used.
  @unsafe
  @inlinable
  public init?(at address: PhysicalAddress, capacity: Int, in memory: borrowing PhysicalMemory) {
    let length = UInt64(Self.byteCount(capacity: capacity))
    guard let place = unsafe memory.pointer(at: address, length: length, for: .readWrite),
      UInt(bitPattern: place) & 7 == 0
    else { return nil }
    unsafe self.init(storage: place, capacity: capacity)
  }

  // Both indexes run on without wrapping back; their difference is the number of entries.
  @usableFromInline
  @unsafe
  var removed: UnsafeMutablePointer<Atomic<UInt64>> { unsafe storage.assumingMemoryBound(to: Atomic<UInt64>.self) }
  @usableFromInline
  @unsafe
  var appended: UnsafeMutablePointer<Atomic<UInt64>> {
    unsafe (storage + 64).assumingMemoryBound(to: Atomic<UInt64>.self)
  }
  /// Invariant: the masked index is below the capacity.
  @usableFromInline
  @unsafe
  func entry(_ index: UInt64) -> UnsafeMutableRawPointer {
    let place = Int(truncatingIfNeeded: index) & (capacity &- 1)
    return unsafe storage + Self.headerByteCount + Self.entryByteCount &* place
  }

  /// How many accesses wait for the DPI core.
  @inlinable
  public var count: Int {
    let last = unsafe appended.pointee.load(ordering: .acquiring)
    return unsafe Int(truncatingIfNeeded: last &- removed.pointee.load(ordering: .acquiring))
  }

  @inlinable public var isEmpty: Bool { count == 0 }
  @inlinable public var isFull: Bool { count >= capacity }

  /// Appends an access; called on the OS core's side.
  ///
  /// - Returns: false when the log is full: the OS core has to wait and try again.
  @inlinable
  public func append(_ access: RedirectedAccess) -> Bool {
    guard !isFull else { return false }
    let index = unsafe appended.pointee.load(ordering: .relaxed)
    let place = unsafe entry(index)
    let first = UInt64(access.offset) | UInt64(access.width.rawValue) << 32 | (access.isWrite ? 1 << 40 : 0)
    unsafe place.storeBytes(of: first, as: UInt64.self)
    unsafe place.storeBytes(of: access.value, toByteOffset: 8, as: UInt64.self)
    unsafe appended.pointee.store(index &+ 1, ordering: .releasing)
    return true
  }

  /// The oldest access, which stays in the log; for the DPI core. Nil when none waits.
  ///
  /// A DPI core handles it and then takes it out (``removeFirst()``), so that one that dies in between leaves it to its
  /// successor.
  @inlinable
  public var first: RedirectedAccess? {
    guard !isEmpty else { return nil }
    let index = unsafe removed.pointee.load(ordering: .relaxed)
    let place = unsafe entry(index)
    let first = unsafe place.load(as: UInt64.self)
    return RedirectedAccess(
      offset: UInt32(truncatingIfNeeded: first),
      width: RegisterWidth(rawValue: UInt8(truncatingIfNeeded: first >> 32)) ?? .doubleWord,
      isWrite: first >> 40 & 1 == 1, value: unsafe place.load(fromByteOffset: 8, as: UInt64.self))
  }

  /// Takes the oldest access out; called by the DPI core. Nil when none waits.
  @discardableResult
  @inlinable
  public func removeFirst() -> RedirectedAccess? {
    guard let access = first else { return nil }
    let index = unsafe removed.pointee.load(ordering: .relaxed)
    unsafe removed.pointee.store(index &+ 1, ordering: .releasing)
    return access
  }
}
