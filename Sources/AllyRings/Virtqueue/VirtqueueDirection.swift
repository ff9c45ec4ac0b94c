public import AllyHW
public import AllyPacket

/// All that a worker must know to go on with one direction, besides what the queues themselves say.
@frozen
public struct VirtqueueDirectionState: Sendable, BitwiseCopyable {
  /// The NIC's queue: descriptors, and the place in its used ring that is looked at next.
  public var nicSize: UInt32 = 0
  public var nicUsed: UInt16 = 0
  /// The OS queue's place behind the buffer that is being given to the NIC.
  public var stagedNext: UInt16 = 0
  public var protection = PacketProtection.inPlace
  /// Whether a received frame may fill several buffers.
  public var mergesBuffers = false
  /// Receive: bytes of each DPI buffer, with ``PacketProtection/copyToDPIMemory``.
  public var bufferLength: UInt32 = 0
  /// Receive, in place: how many of the NIC's buffers, from the place ``discardedAt`` of its used ring on, have a frame whose
  /// bytes are being changed, so that no other worker looks at it again.
  public var discarded: UInt16 = 0
  public var discardedAt: UInt16 = 0
  public var counters = QueueCounters()

  @inlinable
  public init() {}
}

/// A buffer that the OS posted for transmission and has not got back, or a frame of an inspector's own.
@frozen
@usableFromInline
struct VirtqueueEntry: BitwiseCopyable {
  @usableFromInline var id: UInt16 = 0
  /// 0 for a frame of an inspector's own, of which the OS knows nothing.
  @usableFromInline var slots: UInt16 = 0
  /// The OS queue's place behind it.
  @usableFromInline var next: UInt16 = 0
  /// Whether it goes back: the NIC is done with it, or never gets it.
  @usableFromInline var isDone = false
  /// The end of its copy in the copies, counted on without wrapping.
  @usableFromInline var copyEnd: UInt64 = 0

  @inlinable
  init() {}
}

/// The parts of one direction's DPI memory: state, OS side, NIC side, entries, an area where frames are gathered, copies, and
/// what inspectors answer.
@frozen
@unsafe
@usableFromInline
struct VirtqueueMemory: BitwiseCopyable {
  @usableFromInline let base: UnsafeMutableRawPointer
  @usableFromInline let address: PhysicalAddress
  @usableFromInline let limits: RingLimits
  @usableFromInline let capacity: UInt32
  @usableFromInline let layout: Layout

  /// Offsets of the parts, and the length.
  @usableFromInline
  struct Layout: BitwiseCopyable {
    @usableFromInline var nic, entries, gather, copies, outbox, scratch, end: UInt64

    init(limits: RingLimits) {
      func pages(_ bytes: UInt64) -> UInt64 { (bytes &+ pageSize &- 1) & ~(pageSize &- 1) }
      let capacity = unsafe VirtqueueMemory.capacity(limits)
      nic = unsafe VirtqueueMemory.planOffset &+ pages(UInt64(VirtqueueOSSide.maximumSegments) &* 24)
      entries = nic &+ pages(VirtqueueNICSide.byteCount(capacity: capacity))
      gather = entries &+ pages(UInt64(capacity) &* UInt64(MemoryLayout<VirtqueueEntry>.stride))
      copies = gather &+ pages(UInt64(limits.maximumFrameLength) &+ 64)
      outbox = copies &+ pages(limits.copyMemory)
      // As with descriptor rings, there are no answers without memory for frames.
      let hasAnswers = limits.copyMemory > 0
      scratch = outbox &+ (hasAnswers ? RingMemoryLayout.outboxLength : 0)
      let margins = 2 &* RingMemoryLayout.scratchMargin
      end = scratch &+ (hasAnswers ? pages(UInt64(limits.maximumFrameLength) &+ margins) : 0)
    }
  }

  static var osOffset: UInt64 { 1024 }
  static var planOffset: UInt64 { 3 &* pageSize }

  /// The largest power of two that the limits allow.
  static func capacity(_ limits: RingLimits) -> UInt32 {
    let most = min(max(limits.maximumDescriptors, 8), 32768)
    return 1 << (31 &- UInt32(most.leadingZeroBitCount))
  }

  static func requiredLength(_ limits: RingLimits) -> UInt64 { Layout(limits: limits).end }

  /// `base` has ``requiredLength(_:)`` bytes of DPI memory, page-aligned there, 16-byte aligned here.
  init(base: UnsafeMutableRawPointer, address: PhysicalAddress, limits: RingLimits, start: RingStart) {
    unsafe self.base = base
    unsafe self.address = address
    unsafe self.limits = limits
    unsafe self.capacity = Self.capacity(limits)
    unsafe self.layout = Layout(limits: limits)
    guard start == .fresh else { return }
    unsafe state.initialize(to: VirtqueueDirectionState())
    unsafe outbox.removeAll()
  }

  @usableFromInline var state: UnsafeMutablePointer<VirtqueueDirectionState> {
    unsafe base.assumingMemoryBound(to: VirtqueueDirectionState.self)
  }
  @usableFromInline var plan: UnsafeMutablePointer<VirtqueueSegment> {
    unsafe (base + Int(Self.planOffset)).assumingMemoryBound(to: VirtqueueSegment.self)
  }
  @usableFromInline var entries: UnsafeMutablePointer<VirtqueueEntry> {
    unsafe (base + Int(layout.entries)).assumingMemoryBound(to: VirtqueueEntry.self)
  }
  @usableFromInline var gather: UnsafeMutableRawPointer { unsafe base + Int(layout.gather) }
  @usableFromInline var copies: UnsafeMutableRawPointer { unsafe base + Int(layout.copies) }
  @usableFromInline var copiesAddress: UInt64 { unsafe address.rawValue &+ layout.copies }

  /// Frames of inspectors' own that go out in this direction.
  @usableFromInline var outbox: FrameOutbox {
    guard unsafe limits.copyMemory > 0 else { return FrameOutbox() }
    return unsafe FrameOutbox(storage: base + Int(layout.outbox), length: Int(RingMemoryLayout.outboxLength))
  }

  /// Where an inspector puts a frame in the place of another, with room for a header in front; nil without memory for answers.
  @usableFromInline var scratch: UnsafeMutableRawPointer? {
    unsafe limits.copyMemory > 0 ? base + Int(layout.scratch &+ RingMemoryLayout.scratchMargin) : nil
  }

  /// What an inspector gets to answer with: this direction's scratch area, and both outboxes of the queue pair.
  @usableFromInline
  func answers(towardsOS: FrameOutbox, towardsWire: FrameOutbox) -> FrameAnswers {
    guard let scratch = unsafe scratch else { return FrameAnswers() }
    return unsafe FrameAnswers(
      scratch: scratch, capacity: Int(limits.maximumFrameLength), towardsOS: towardsOS, towardsWire: towardsWire)
  }

  func osSide(partition: Partition, start: RingStart) -> VirtqueueOSSide {
    unsafe VirtqueueOSSide(storage: base + Int(Self.osOffset), partition: partition, start: start)
  }

  func nicSide() -> VirtqueueNICSide {
    unsafe VirtqueueNICSide(
      base: base + Int(layout.nic), address: address.advanced(by: layout.nic), capacity: capacity)
  }
}

/// What a pass over one of the OS's virtqueues did.
@frozen
public struct VirtqueuePass: Sendable, BitwiseCopyable {
  /// Frames that were inspected.
  public var frames: UInt32 = 0
  /// Descriptors that were written for the NIC.
  public var descriptors: UInt64 = 0
  /// Whether anything moved.
  public var hasMoved = false
  /// Whether the NIC is to be told that it was given buffers.
  public var notifiesNIC = false
  /// Whether the OS is to be interrupted.
  public var interruptsOS = false
  /// Whether the OS broke the queue just now.
  public var hasBroken = false

  @inlinable
  public init() {}
}

/// What of `struct virtio_net_hdr` concerns an inspector (virtio 1.2, §5.1.6).
@frozen
public struct VirtqueueFrameHeader: Sendable, BitwiseCopyable, Equatable {
  /// Bytes in front of each frame.
  @inlinable public static var length: UInt32 { 12 }

  public var flags: UInt8
  public var segmentation: UInt8
  public var headerLength: UInt16
  public var segmentSize: UInt16
  /// Where the transport header begins in the frame, and where in it the checksum is (transmit).
  public var checksumStart: UInt16
  public var checksumOffset: UInt16
  /// Buffers that the frame fills, with mergeable buffers.
  public var buffers: UInt16

  /// The header at `place`, which has ``length`` bytes.
  @unsafe
  @inlinable
  public init(at place: UnsafeRawPointer) {
    unsafe flags = place.load(as: UInt8.self)
    unsafe segmentation = place.load(fromByteOffset: 1, as: UInt8.self)
    unsafe headerLength = place.loadUnaligned(fromByteOffset: 2, as: UInt16.self)
    unsafe segmentSize = place.loadUnaligned(fromByteOffset: 4, as: UInt16.self)
    unsafe checksumStart = place.loadUnaligned(fromByteOffset: 6, as: UInt16.self)
    unsafe checksumOffset = place.loadUnaligned(fromByteOffset: 8, as: UInt16.self)
    unsafe buffers = place.loadUnaligned(fromByteOffset: 10, as: UInt16.self)
  }

  /// Writes the header of a frame that is complete as it is: `buffers` of the OS's, its checksum verified or not.
  @unsafe
  static func writePlain(at place: UnsafeMutableRawPointer, buffers: UInt16 = 0, isVerified: Bool = false) {
    unsafe place.initializeMemory(as: UInt8.self, repeating: 0, count: Int(length))
    if isVerified { unsafe place.storeBytes(of: 2, as: UInt8.self) }
    unsafe place.storeBytes(of: buffers.littleEndian, toByteOffset: 10, as: UInt16.self)
  }

  /// Whether the checksum is to be completed (transmit).
  @inlinable public var needsChecksum: Bool { flags & 1 != 0 }
  /// What the NIC is asked to do to the frame (transmit).
  @inlinable public var offloads: FrameOffloads {
    FrameOffloads(
      transportChecksum: needsChecksum, segmentSize: segmentation == 0 ? 0 : segmentSize,
      headerLength: segmentation == 0 ? 0 : headerLength)
  }
  /// Where the NIC writes for them: it finds the IP header, and where the payload begins.
  @inlinable public var places: HeaderPlaces {
    HeaderPlaces(transport: checksumStart, transportChecksum: checksumStart &+ checksumOffset)
  }
  /// Whether the checksum was verified (receive).
  @inlinable public var isVerified: Bool { flags & 2 != 0 }
}
