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
  @inline(never)
  @usableFromInline
  init?(
    around address: UInt64, memory: borrowing PhysicalMemory, partition: Partition, rights: AccessRights
  ) {
    guard !partition.isDPI(PhysicalAddress(address)),
      let segment = memory.segment(containing: PhysicalAddress(address)), segment.rights.isSuperset(of: rights)
    else { return nil }
    var first = segment.base
    var end = segment.base &+ segment.length
    if partition.boundary.rawValue < partition.end.rawValue {
      if partition.boundary.rawValue > address { end = min(end, partition.boundary.rawValue) }
      if partition.end.rawValue <= address { first = max(first, partition.end.rawValue) }
    }
    self.base = first
    self.length = end &- first
    unsafe self.storage = segment.storage + Int(truncatingIfNeeded: first &- segment.base)
  }

  /// A first guess: drivers take buffers from where they take their queues.
  @inlinable
  init(near queue: DescriptorQueue, memory: borrowing PhysicalMemory, partition: Partition, rights: AccessRights) {
    self =
      BufferWindow(around: queue.base.rawValue, memory: memory, partition: partition, rights: rights) ?? BufferWindow()
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
}
