public import AllyHW

/// The OS queue's slots in this process, and the OS memory around them, in which drivers have their buffers too. Kept from
/// pass to pass; good as long as the segment that they lie in is mapped as it was.
@frozen
@safe
@usableFromInline
struct OSQueueView<Format: Descriptor> {
  @usableFromInline var segment: MemorySegment
  @usableFromInline var window: BufferWindow
  @usableFromInline var slots: DescriptorSlots<Format>

  /// A view of nothing.
  @inlinable
  init() {
    // Never mapped (the end would lie beyond 2^64), so never dereferenced.
    let nowhere = unsafe UnsafeMutableRawPointer(bitPattern: 16).unsafelyUnwrapped
    self.segment = unsafe MemorySegment(base: PhysicalAddress(.max), length: 1, storage: nowhere, rights: [])
    self.window = BufferWindow()
    self.slots = unsafe DescriptorSlots(base: nowhere, count: 0)
  }

  /// Makes sure that the view is good.
  ///
  /// - Returns: false when the memory behind the queue is gone.
  @inlinable
  @inline(__always)
  mutating func isGood(
    for queue: DescriptorQueue, memory: borrowing PhysicalMemory, partition: Partition
  ) -> Bool {
    memory.isMapped(segment) || renew(for: queue, memory: memory, partition: partition)
  }

  @inline(never)
  @inlinable
  mutating func renew(
    for queue: DescriptorQueue, memory: borrowing PhysicalMemory, partition: Partition
  ) -> Bool {
    guard let segment = memory.segment(containing: queue.base),
      let window = BufferWindow(
        around: queue.base.rawValue, memory: memory, partition: partition, rights: .readWrite),
      let slots = window.slots(of: queue, Format.self)
    else { return false }
    self.segment = segment
    self.window = window
    self.slots = slots
    return true
  }
}
