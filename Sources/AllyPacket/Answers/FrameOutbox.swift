/// Frames that inspectors made and that wait to be sent, oldest first, in DPI memory that is handed in.
///
/// A view, not an owner: copies mean the same frames. Memory of zeros is an empty outbox, and a worker that takes over
/// finds what its predecessor had not sent. One core uses it at a time.
@frozen
@safe
public struct FrameOutbox: BitwiseCopyable {
  /// Where the first and the next record begin: two 32-bit offsets. Then the records: length, offloads, bytes.
  @usableFromInline static var headerLength: Int { 16 }
  @usableFromInline static var recordHeader: Int { 16 }

  @usableFromInline let storage: UnsafeMutableRawPointer?
  @usableFromInline let capacity: Int

  /// An outbox without memory, which takes no frames.
  @inlinable
  public init() {
    unsafe storage = nil
    capacity = 0
  }

  /// The outbox in `length` bytes at `storage`, which is 16-byte aligned and valid as long as any copy is used.
  @unsafe
  @inlinable
  public init(storage: UnsafeMutableRawPointer, length: Int) {
    unsafe self.storage = storage
    capacity = length >= Self.headerLength &+ Self.recordHeader ? min(length, 1 << 30) : 0
  }

  // Both offsets are our own, in DPI memory; they are bounded all the same.
  @usableFromInline
  var first: Int { unsafe bounded(storage?.load(as: UInt32.self)) }
  @usableFromInline
  var next: Int { unsafe bounded(storage?.load(fromByteOffset: 4, as: UInt32.self)) }

  private func bounded(_ offset: UInt32?) -> Int { max(Self.headerLength, min(Int(offset ?? 0), capacity)) }

  @usableFromInline
  func set(first: Int, next: Int) {
    // The capacity is at most 2^30.
    unsafe storage?.storeBytes(of: UInt32(truncatingIfNeeded: first), as: UInt32.self)
    unsafe storage?.storeBytes(of: UInt32(truncatingIfNeeded: next), toByteOffset: 4, as: UInt32.self)
  }

  /// Whether no frame waits.
  @inlinable
  public var isEmpty: Bool { capacity == 0 || first >= next }

  /// Appends a frame; false when there is no room for it, or it is empty.
  public func append(_ frame: RawSpan, offloads: FrameOffloads = .none) -> Bool {
    if isEmpty, capacity > 0 { set(first: Self.headerLength, next: Self.headerLength) }
    let start = next
    let size = (Self.recordHeader &+ frame.byteCount &+ 15) & ~15
    guard capacity > 0, frame.byteCount > 0, frame.byteCount < capacity, size <= capacity &- start,
      let storage = unsafe storage
    else { return false }
    // The record lies within the capacity.
    let record = unsafe storage + start
    unsafe record.storeBytes(of: UInt32(truncatingIfNeeded: frame.byteCount), as: UInt32.self)
    let flags: UInt16 =
      (offloads.vlan == nil ? 0 : 1) | (offloads.ipChecksum ? 2 : 0) | (offloads.transportChecksum ? 4 : 0)
    unsafe record.storeBytes(of: flags, toByteOffset: 4, as: UInt16.self)
    unsafe record.storeBytes(of: offloads.vlan ?? 0, toByteOffset: 6, as: UInt16.self)
    unsafe frame.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      unsafe (record + Self.recordHeader).copyMemory(from: base, byteCount: bytes.count)
    }
    set(first: first, next: start &+ size)
    return true
  }

  /// Looks at the oldest frame; nil when none waits.
  public func withFirst<Result>(_ body: (RawSpan, FrameOffloads) -> Result) -> Result? {
    guard !isEmpty, let storage = unsafe storage else { return nil }
    let record = unsafe storage + first
    let length = unsafe min(Int(record.load(as: UInt32.self)), next &- first &- Self.recordHeader)
    let flags = unsafe record.load(fromByteOffset: 4, as: UInt16.self)
    let offloads = unsafe FrameOffloads(
      vlan: flags & 1 == 0 ? nil : record.load(fromByteOffset: 6, as: UInt16.self), ipChecksum: flags & 2 != 0,
      transportChecksum: flags & 4 != 0)
    let bytes = unsafe UnsafeRawBufferPointer(start: record + Self.recordHeader, count: max(0, length))
    return unsafe body(bytes.bytes, offloads)
  }

  /// Takes the oldest frame out; does nothing when none waits.
  public func removeFirst() {
    guard !isEmpty, let storage = unsafe storage else { return }
    let length = unsafe Int((storage + first).load(as: UInt32.self))
    set(first: min(next, first &+ (Self.recordHeader &+ length &+ 15) & ~15), next: next)
  }

  /// Forgets all frames.
  public func removeAll() { set(first: Self.headerLength, next: Self.headerLength) }
}
