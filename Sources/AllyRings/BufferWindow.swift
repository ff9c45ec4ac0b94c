public import AllyHW

/// A run of OS memory around the buffer that was looked up last, so that most buffers of a pass cost two comparisons
/// and no look at the segment table. It never reaches into DPI memory.
///
/// Valid while the memory is borrowed: the table cannot change then.
@frozen
@safe
@usableFromInline
struct BufferWindow: BitwiseCopyable {
  @usableFromInline var base: UInt64
  @usableFromInline var length: UInt64
  @usableFromInline var storage: UnsafeMutableRawPointer?

  /// A window that holds nothing.
  @inlinable
  init() {
    self.base = 0
    self.length = 0
    unsafe self.storage = nil
  }

  /// The part of the memory around `address` that the OS side owns, that one segment holds and that allows `rights`.
  @inlinable
  init?(
    around address: UInt64, memory: borrowing PhysicalMemory, partition: Partition, rights: AccessRights
  ) {
    guard let segment = memory.segment(containing: PhysicalAddress(address)), segment.rights.isSuperset(of: rights)
    else { return nil }
    self.base = segment.base
    self.length = segment.length
    unsafe self.storage = segment.storage
    if partition.touchesDPI(PhysicalAddress(base), length: length), !cut(around: address, partition) { return nil }
  }

  /// Cuts away the part that is DPI memory, and what lies beyond it.
  ///
  /// - Returns: false when `address` is DPI memory.
  @inline(never)
  @usableFromInline
  mutating func cut(around address: UInt64, _ partition: Partition) -> Bool {
    guard !partition.isDPI(PhysicalAddress(address)) else { return false }
    let end = base &+ length
    if address < partition.boundary.rawValue {
      length = min(end, partition.boundary.rawValue) &- base
    } else {
      let first = max(base, partition.end.rawValue)
      unsafe storage = storage.unsafelyUnwrapped + Int(truncatingIfNeeded: first &- base)
      length = end &- first
      base = first
    }
    return true
  }

  /// Where `length` bytes from `address` are, if the window holds them all.
  @unsafe
  @inlinable
  @inline(__always)
  func pointer(at address: UInt64, length: UInt32) -> UnsafeMutableRawPointer? {
    let offset = address &- base
    guard offset < self.length, UInt64(length) <= self.length &- offset else { return nil }
    return unsafe storage.unsafelyUnwrapped + Int(truncatingIfNeeded: offset)
  }

  /// Makes the window one that holds `length` bytes from `address`.
  ///
  /// - Returns: nil, or why there is no such window; the present one then stays.
  @inlinable
  @inline(never)
  mutating func move(
    to address: UInt64, length: UInt32, memory: borrowing PhysicalMemory, partition: Partition, rights: AccessRights
  ) -> RingFault? {
    if partition.touchesDPI(PhysicalAddress(address), length: UInt64(length)) { return .bufferInDPIMemory }
    guard
      let window = BufferWindow(around: address, memory: memory, partition: partition, rights: rights),
      unsafe window.pointer(at: address, length: length) != nil
    else { return .bufferAbsent }
    self = window
    return nil
  }

  /// A bound for the offsets in the window from which `maximumLength` bytes fit; 0 in a window that is too small.
  @inlinable
  @inline(__always)
  func roomyOffsets(for maximumLength: UInt32) -> UInt64 {
    length > UInt64(maximumLength) ? length &- UInt64(maximumLength) : 0
  }

  /// The queue's slots in this process, if the window holds them all.
  @inlinable
  @inline(__always)
  func slots<Format: Descriptor>(of queue: DescriptorQueue, _ format: Format.Type) -> DescriptorSlots<Format>? {
    let length = queue.count &* UInt32(DescriptorSlots<Format>.stride)
    guard let place = unsafe pointer(at: queue.base.rawValue, length: length) else { return nil }
    return unsafe DescriptorSlots(base: place, count: queue.count)
  }

  /// Where the byte at an offset is, which must lie within the window.
  @unsafe
  @inlinable
  @inline(__always)
  func place(at offset: UInt64) -> UnsafeMutableRawPointer {
    unsafe storage.unsafelyUnwrapped + Int(truncatingIfNeeded: offset)
  }
}
