public import AllyHW
public import AllyPacket

/// A piece of DPI memory, handed to a queue by the appliance.
@frozen
public struct DPIRegion: Sendable, BitwiseCopyable, Equatable {
  /// The first byte; a multiple of 4,096.
  public var base: PhysicalAddress
  /// The length in bytes.
  public var length: UInt64

  @inlinable
  public init(base: PhysicalAddress, length: UInt64) {
    self.base = base
    self.length = length
  }
}

/// Whether a queue starts anew or goes on where another worker stopped.
@frozen
public enum RingStart: Sendable, BitwiseCopyable {
  /// Whatever the memory holds is overwritten.
  case fresh
  /// The memory holds the state that another worker left.
  case resuming
}

/// What stands at the start of a queue's memory, so that a worker does not take up something that is not its own.
@usableFromInline
struct RingMemoryHeader: BitwiseCopyable, Equatable {
  var magic: UInt64 = 0x416C_6C79_5269_6E67
  var version: UInt32 = 1
  var osStride: UInt32
  var nicStride: UInt32
  var stateSize: UInt32
  var limits: RingLimits
}

/// The unit in which DPI memory is laid out.
let pageSize: UInt64 = 4096

/// Offsets of the parts of one direction's memory, and the total length.
struct RingMemoryLayout {
  var slots, words, dispositions, refused, gather, copies, outbox, scratch, end: UInt64

  /// Bytes for frames that inspectors made and that wait: the largest frame of 65,535 bytes, or many small ones.
  static let outboxLength: UInt64 = 0x2_0000
  /// Bytes before and behind a replacement, for what a link header or a frame check sequence needs.
  static let scratchMargin: UInt64 = 64

  init(limits: RingLimits, stride: Int) {
    func pages(_ bytes: UInt64) -> UInt64 { (bytes &+ pageSize &- 1) & ~(pageSize &- 1) }
    let descriptors = UInt64(limits.maximumDescriptors)
    slots = pageSize
    words = slots &+ pages(descriptors &* UInt64(stride))
    dispositions = words &+ pages(descriptors &* 8)
    refused = dispositions &+ pages(descriptors)
    gather = refused &+ pages(UInt64(limits.maximumBufferLength))
    copies = gather &+ pages(UInt64(limits.maximumFrameLength))
    outbox = copies &+ pages(limits.copyMemory)
    // Answers of inspectors need DPI memory for frames, as copies do; without it there are none.
    let hasAnswers = limits.copyMemory > 0
    scratch = outbox &+ (hasAnswers ? Self.outboxLength : 0)
    end = scratch &+ (hasAnswers ? pages(UInt64(limits.maximumFrameLength) &+ 2 &* Self.scratchMargin) : 0)
  }
}

/// The parts of one direction's memory: header and state, DPI queue, a 64-bit word and a byte per slot, a buffer that takes the
/// frames of refused descriptors, the area where frames are gathered, the copies, and what inspectors answer.
///
/// The pointers stay good because the appliance keeps DPI memory mapped as long as a virtualizer exists; every offset follows
/// from the limits alone.
@frozen
@unsafe
@usableFromInline
struct RingMemory: BitwiseCopyable {
  @usableFromInline let state: UnsafeMutablePointer<QueueState>
  @usableFromInline let contextPlace: UnsafeMutableRawPointer
  @usableFromInline let slots: UnsafeMutableRawPointer
  @usableFromInline let slotsAddress: PhysicalAddress
  /// Receive: the address of the buffer that a slot offers. Transmit: where a slot's frame begins in the copies, and
  /// in the top bit whether it is a frame of an inspector's own.
  @usableFromInline let words: UnsafeMutablePointer<UInt64>
  /// Transmit: what became of a slot of the OS queue.
  @usableFromInline let dispositions: UnsafeMutablePointer<SlotDisposition>
  @usableFromInline let refusedBuffer: PhysicalAddress
  @usableFromInline let gather: UnsafeMutableRawPointer
  @usableFromInline let copies: UnsafeMutableRawPointer
  @usableFromInline let copiesAddress: PhysicalAddress
  /// Frames of inspectors' own that go out in this direction.
  @usableFromInline let outbox: FrameOutbox
  /// Where an inspector puts a frame in the place of another; nil without memory for answers.
  @usableFromInline let scratch: UnsafeMutableRawPointer?
  @usableFromInline let limits: RingLimits

  /// What context descriptors have left behind, in the page of the state.
  @inlinable
  func context<Format: TransmitDescriptor>(_ format: Format.Type) -> UnsafeMutablePointer<Format.OffloadContext> {
    unsafe contextPlace.assumingMemoryBound(to: Format.OffloadContext.self)
  }

  @usableFromInline
  static func requiredLength(limits: RingLimits, stride: Int) -> UInt64 {
    RingMemoryLayout(limits: limits, stride: stride).end
  }

  @usableFromInline
  init(
    region: DPIRegion, memory: borrowing PhysicalMemory, partition: Partition, limits: RingLimits, osStride: Int,
    nicStride: Int, start: RingStart
  ) throws(RingSetupError) {
    guard limits.maximumDescriptors >= 8, limits.maximumDescriptors <= 1 << 20, limits.maximumFrameLength <= 1 << 30,
      limits.maximumBufferLength > 0, limits.maximumBufferLength <= 1 << 20, limits.copyMemory <= 1 << 40
    else { throw .limits }
    let layout = RingMemoryLayout(limits: limits, stride: nicStride)
    guard region.length >= layout.end else { throw .memoryTooSmall(needed: layout.end) }
    guard region.base.rawValue % pageSize == 0,
      let first = unsafe memory.pointer(at: region.base, length: layout.end, for: .readWrite),
      UInt(bitPattern: first) % 16 == 0
    else { throw .memoryUnusable }
    guard partition.isDPI(region.base), partition.isDPI(region.base.advanced(by: layout.end &- 1)) else {
      throw .memoryOutsideDPIMemory
    }
    let header = RingMemoryHeader(
      osStride: UInt32(osStride), nicStride: UInt32(nicStride), stateSize: UInt32(MemoryLayout<QueueState>.size),
      limits: limits)
    unsafe self.state = (first + 256).assumingMemoryBound(to: QueueState.self)
    // 256 bytes behind the state, which is less than that.
    unsafe self.contextPlace = first + 2048
    unsafe self.slots = first + Int(layout.slots)
    unsafe self.slotsAddress = region.base.advanced(by: layout.slots)
    unsafe self.words = (first + Int(layout.words)).assumingMemoryBound(to: UInt64.self)
    unsafe self.dispositions = (first + Int(layout.dispositions)).assumingMemoryBound(to: SlotDisposition.self)
    unsafe self.refusedBuffer = region.base.advanced(by: layout.refused)
    unsafe self.gather = first + Int(layout.gather)
    unsafe self.copies = first + Int(layout.copies)
    unsafe self.copiesAddress = region.base.advanced(by: layout.copies)
    let hasAnswers = limits.copyMemory > 0
    unsafe self.outbox =
      hasAnswers
      ? FrameOutbox(storage: first + Int(layout.outbox), length: Int(RingMemoryLayout.outboxLength)) : FrameOutbox()
    unsafe self.scratch = hasAnswers ? first + Int(layout.scratch &+ RingMemoryLayout.scratchMargin) : nil
    unsafe self.limits = limits
    switch start {
    case .fresh:
      unsafe state.initialize(to: QueueState())
      unsafe clearContext()
      if hasAnswers { unsafe outbox.removeAll() }
      unsafe first.storeBytes(of: header, as: RingMemoryHeader.self)
    case .resuming:
      guard unsafe first.load(as: RingMemoryHeader.self) == header else { throw .noState }
    }
  }
}

extension RingMemory {
  /// Forgets what context descriptors have left behind.
  @usableFromInline
  func clearContext() { unsafe contextPlace.initializeMemory(as: UInt8.self, repeating: 0, count: 256) }
}

/// What became of a descriptor that the OS posted for transmission.
@frozen
@usableFromInline
enum SlotDisposition: UInt8, BitwiseCopyable {
  /// It is in the DPI queue.
  case forwarded = 0
  /// It is in the DPI queue, and asks for a report that the OS did not ask for.
  case forwardedWithReport = 1
  /// The NIC never sees it.
  case dropped = 2
  /// Another frame is in the DPI queue in its frame's place.
  case replaced = 3
}
