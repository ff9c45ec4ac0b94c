/// Frames on their way, oldest first, each with a stamp: a byte ring of fixed capacity.
///
/// A frame's bytes lie in one piece. Nothing is allocated after ``init(capacity:)``; a frame that does not fit is refused.
/// Owned by one thread at a time.
@frozen
@safe
public struct FrameQueue<Stamp: BitwiseCopyable>: ~Copyable {
  /// A record: the frame's length, the stamp, the bytes; records begin at multiples of 16. The length says `skip` when
  /// the rest of the ring up to its end is unused.
  @usableFromInline static var stampOffset: Int { 16 }
  @inlinable static var bytesOffset: Int { 16 + (MemoryLayout<Stamp>.size + 15) & ~15 }
  @usableFromInline static var skip: Int { -1 }

  @usableFromInline let storage: UnsafeMutableRawPointer
  /// A multiple of 16.
  public let capacity: Int
  // Invariant: `first` and `next` are multiples of 16 and below or at the capacity; `used` bytes from `first` on, with
  // wrapping, are whole records.
  @usableFromInline var first: Int
  @usableFromInline var next: Int
  @usableFromInline var used: Int
  /// How many frames wait.
  public private(set) var count: Int

  /// - Parameters:
  ///   - capacity: bytes for frames, their stamps and 16 bytes each.
  public init(capacity: Int = 1 << 20) {
    precondition(capacity > 0 && MemoryLayout<Stamp>.alignment <= 16, "no capacity, or a stamp of strange alignment")
    self.capacity = (capacity + 15) & ~15
    unsafe storage = .allocate(byteCount: self.capacity, alignment: 16)
    first = 0
    next = 0
    used = 0
    count = 0
  }

  deinit { unsafe storage.deallocate() }

  public var isEmpty: Bool { count == 0 }

  /// Where a record of so many bytes would go; nil when it does not fit.
  @usableFromInline
  func place(for size: Int) -> Int? {
    if used == 0 { return size <= capacity ? 0 : nil }
    if next > first {
      if size <= capacity &- next { return next }
      return size <= first ? 0 : nil
    }
    // Full when both are equal, for `used` is not 0.
    return size <= first &- next ? next : nil
  }

  @usableFromInline
  func recordSize(_ length: Int) -> Int { (Self.bytesOffset &+ length &+ 15) & ~15 }

  /// Whether a frame of `length` bytes fits now.
  public func hasRoom(forFrameOf length: Int) -> Bool {
    length >= 0 && length <= capacity && place(for: recordSize(length)) != nil
  }

  /// Appends a frame; false when it does not fit.
  public mutating func append(_ frame: Span<UInt8>, stamp: Stamp) -> Bool {
    guard frame.count <= capacity else { return false }
    let size = recordSize(frame.count)
    guard let place = place(for: size) else { return false }
    if used == 0 {
      first = 0
    } else if place == 0, next > first {
      // The skip ends with the ring; there is room for a length because places are multiples of 16.
      if next < capacity { unsafe storage.storeBytes(of: Self.skip, toByteOffset: next, as: Int.self) }
      used &+= capacity &- next
    }
    let record = unsafe storage + place
    unsafe record.storeBytes(of: frame.count, as: Int.self)
    unsafe record.storeBytes(of: stamp, toByteOffset: Self.stampOffset, as: Stamp.self)
    unsafe frame.withUnsafeBytes { bytes in
      if let base = bytes.baseAddress {
        unsafe (record + Self.bytesOffset).copyMemory(from: base, byteCount: bytes.count)
      }
    }
    next = place &+ size
    used &+= size
    count &+= 1
    return true
  }

  /// Looks at the oldest frame; nil when none waits.
  public mutating func withFirst<Result>(_ body: (Span<UInt8>, Stamp) -> Result) -> Result? {
    guard count > 0 else { return nil }
    skipToRecord()
    let record = unsafe storage + first
    let length = unsafe record.load(as: Int.self)
    let stamp = unsafe record.load(fromByteOffset: Self.stampOffset, as: Stamp.self)
    let bytes = unsafe UnsafeBufferPointer(
      start: (record + Self.bytesOffset).assumingMemoryBound(to: UInt8.self), count: length)
    return unsafe body(bytes.span, stamp)
  }

  /// Takes the oldest frame out; does nothing when none waits.
  public mutating func removeFirst() {
    guard count > 0 else { return }
    skipToRecord()
    let size = unsafe recordSize((storage + first).load(as: Int.self))
    first &+= size
    used &-= size
    count &-= 1
  }

  private mutating func skipToRecord() {
    guard unsafe first == capacity || (storage + first).load(as: Int.self) == Self.skip else { return }
    used &-= capacity &- first
    first = 0
  }
}
