public import AllyHW
public import Synchronization

/// Flags of a virtqueue's descriptors (virtio 1.2, §2.7.5 and §2.8.8).
@usableFromInline
enum VirtqueueFlag {
  @usableFromInline static var next: UInt16 { 1 }
  @usableFromInline static var write: UInt16 { 2 }
  @usableFromInline static var indirect: UInt16 { 4 }
  // Packed layout alone.
  @usableFromInline static var available: UInt16 { 1 << 7 }
  @usableFromInline static var used: UInt16 { 1 << 15 }
}

/// A descriptor, loaded once: behind the address a length and two fields of 16 bits, which differ between the layouts.
@usableFromInline
struct VirtqueueDescriptor: BitwiseCopyable {
  @usableFromInline var address: UInt64
  @usableFromInline var second: UInt64

  @usableFromInline var length: UInt32 { UInt32(truncatingIfNeeded: second) }
  // Split layout.
  @usableFromInline var flags: UInt16 { UInt16(truncatingIfNeeded: second >> 32) }
  @usableFromInline var next: UInt16 { UInt16(truncatingIfNeeded: second >> 48) }
  // Packed layout.
  @usableFromInline var id: UInt16 { UInt16(truncatingIfNeeded: second >> 32) }
  @usableFromInline var packedFlags: UInt16 { UInt16(truncatingIfNeeded: second >> 48) }
}

/// A virtqueue as its driver has programmed it: values of registers, none of them checked.
@frozen
public struct ProgrammedVirtqueue: Sendable, BitwiseCopyable, Equatable {
  /// Elements.
  public var size: UInt32 = 0
  /// The descriptor table, or the ring of a packed queue.
  public var descriptors = BusAddress(0)
  /// The available ring, or the driver's event suppression.
  public var driverArea = BusAddress(0)
  /// The used ring, or the device's event suppression.
  public var deviceArea = BusAddress(0)
  public var isEnabled = false
  /// VIRTIO_F_RING_PACKED.
  public var isPacked = false
  /// VIRTIO_F_INDIRECT_DESC.
  public var hasIndirectDescriptors = false
  /// VIRTIO_F_EVENT_IDX.
  public var hasEventIndex = false
  /// Where it begins, of a queue that somebody else has worked on; nil of a fresh one.
  public var beginning: VirtqueuePosition?

  @inlinable
  public init() {}
}

/// Where a virtqueue stands: the place that is taken from next, and the place that is used next.
///
/// In a split queue these run on over 16 bits; in a packed one they are an element's number with the lap's bit in bit 15.
@frozen
public struct VirtqueuePosition: Sendable, BitwiseCopyable, Equatable {
  public var available: UInt16
  public var used: UInt16

  @inlinable
  public init(available: UInt16, used: UInt16) {
    self.available = available
    self.used = used
  }
}

/// Virtqueues that can be taken up where another device left them.
public protocol PositionedVirtqueues: ~Copyable {
  /// Where a queue that works stands, by its number; nil when it does not.
  func position(ofQueue queue: Int) -> VirtqueuePosition?
  /// Says where a queue begins when it is enabled next.
  mutating func setBeginning(_ position: VirtqueuePosition, ofQueue queue: Int)
}

/// A piece of a buffer: where it is for a device, and in this process as long as the memory is borrowed.
@frozen
@safe
public struct VirtqueueSegment: BitwiseCopyable {
  public let address: UInt64
  /// Invariant: `length` bytes of OS memory from here on.
  public let place: UnsafeMutableRawPointer
  public let length: UInt32
}

/// What was taken from a virtqueue: a buffer of one or more segments, those that the device reads first.
@frozen
public struct VirtqueueChain: Sendable, BitwiseCopyable, Equatable {
  /// What the driver calls it.
  public var id: UInt16 = 0
  /// How many elements of a packed ring it takes.
  public var slots: UInt16 = 1
  /// How many segments it has.
  public var count: UInt16 = 0
  /// How many of these the device reads.
  public var readable: UInt16 = 0
  /// Bytes that the device reads.
  public var readableLength: UInt32 = 0
  /// Bytes that the device may write.
  public var writableLength: UInt32 = 0

  @inlinable
  public init() {}
}

// MARK: - Shared memory

// Each of these is one access to memory that another side writes at the same time. The caller holds up alignment and
// extent.

@inlinable
@inline(__always)
@unsafe
func loadShared(_ place: UnsafeMutableRawPointer, as type: UInt16.Type) -> UInt16 {
  unsafe UInt16(littleEndian: place.assumingMemoryBound(to: Atomic<UInt16>.self).pointee.load(ordering: .acquiring))
}

@inlinable
@inline(__always)
@unsafe
func loadShared(_ place: UnsafeMutableRawPointer, as type: UInt32.Type) -> UInt32 {
  unsafe UInt32(littleEndian: place.assumingMemoryBound(to: Atomic<UInt32>.self).pointee.load(ordering: .acquiring))
}

@inlinable
@inline(__always)
@unsafe
func loadShared(_ place: UnsafeMutableRawPointer, as type: UInt64.Type) -> UInt64 {
  unsafe UInt64(littleEndian: place.assumingMemoryBound(to: Atomic<UInt64>.self).pointee.load(ordering: .acquiring))
}

@inlinable
@inline(__always)
@unsafe
func storeShared(_ value: UInt16, to place: UnsafeMutableRawPointer) {
  unsafe place.assumingMemoryBound(to: Atomic<UInt16>.self).pointee.store(value.littleEndian, ordering: .releasing)
}

@inlinable
@inline(__always)
@unsafe
func storeShared(_ value: UInt32, to place: UnsafeMutableRawPointer) {
  unsafe place.assumingMemoryBound(to: Atomic<UInt32>.self).pointee.store(value.littleEndian, ordering: .releasing)
}

@inlinable
@inline(__always)
@unsafe
func storeShared(_ value: UInt64, to place: UnsafeMutableRawPointer) {
  unsafe place.assumingMemoryBound(to: Atomic<UInt64>.self).pointee.store(value.littleEndian, ordering: .releasing)
}
