public import AllyHW
public import AllyPacket

/// The parts of a NIC's DPI memory: the states of both directions, the NIC's ring, the area where frames are gathered, the
/// buffers of the NIC's transmit slots, and what inspectors answer.
@frozen
@unsafe
@usableFromInline
struct ByteRingMemory: BitwiseCopyable {
  @usableFromInline let base: UnsafeMutableRawPointer
  @usableFromInline let address: PhysicalAddress
  @usableFromInline let layout: Layout
  /// Whether there is memory for answers.
  @usableFromInline let hasAnswers: Bool

  /// Bytes of each buffer of a transmit slot.
  @inlinable static var slotLength: UInt64 { 2048 }
  /// Where the states are: the driver module's value comes first.
  static var receiveOffset: UInt64 { pageSize }
  static var transmitOffset: UInt64 { 2 &* pageSize }

  /// Offsets of the parts, and the length.
  @frozen
  @usableFromInline
  struct Layout: BitwiseCopyable {
    @usableFromInline var ring, gather, copies, outboxes, scratch, end: UInt64
    /// Bytes of a frame that inspectors may make of another.
    @usableFromInline var scratchLength: UInt64

    @usableFromInline
    init(ringLength: UInt32, limits: RingLimits) {
      func pages(_ bytes: UInt64) -> UInt64 { (bytes &+ pageSize &- 1) & ~(pageSize &- 1) }
      scratchLength = min(UInt64(limits.maximumFrameLength), UInt64(ringLength))
      ring = unsafe ByteRingMemory.transmitOffset &+ pageSize
      // A page behind the ring, for a NIC that writes a few bytes too many.
      gather = ring &+ pages(UInt64(ringLength)) &+ pageSize
      // A header, a frame, and a frame check sequence that is appended.
      copies = gather &+ pages(UInt64(ringLength) &+ 8)
      outboxes = unsafe copies &+ pages(8 &* ByteRingMemory.slotLength)
      // Answers of inspectors need DPI memory for frames, as copies do; without it there are none.
      let hasAnswers = limits.copyMemory > 0
      scratch = outboxes &+ (hasAnswers ? 2 &* RingMemoryLayout.outboxLength : 0)
      end = scratch &+ (hasAnswers ? pages(scratchLength &+ 2 &* RingMemoryLayout.scratchMargin) : 0)
    }
  }

  /// `base` has as many bytes of DPI memory as the layout says, page-aligned there, 16-byte aligned here.
  init(
    base: UnsafeMutableRawPointer, address: PhysicalAddress, ringLength: UInt32, limits: RingLimits, start: RingStart
  ) {
    unsafe self.base = base
    unsafe self.address = address
    unsafe layout = Layout(ringLength: ringLength, limits: limits)
    unsafe hasAnswers = limits.copyMemory > 0
    guard start == .fresh else { return }
    unsafe receive.initialize(to: ByteRingReceiveState())
    unsafe transmit.initialize(to: TransmitSlotState())
    if unsafe hasAnswers {
      unsafe towardsOS.removeAll()
      unsafe towardsWire.removeAll()
    }
  }

  @usableFromInline var receive: UnsafeMutablePointer<ByteRingReceiveState> {
    unsafe (base + Int(Self.receiveOffset)).assumingMemoryBound(to: ByteRingReceiveState.self)
  }
  @usableFromInline var transmit: UnsafeMutablePointer<TransmitSlotState> {
    unsafe (base + Int(Self.transmitOffset)).assumingMemoryBound(to: TransmitSlotState.self)
  }
  /// The NIC's ring, in this process and on the bus.
  @inlinable var ring: UnsafeMutableRawPointer { unsafe base + Int(layout.ring) }
  @usableFromInline var ringAddress: BusAddress { unsafe BusAddress(address.rawValue &+ layout.ring) }
  @inlinable var gather: UnsafeMutableRawPointer { unsafe base + Int(layout.gather) }
  /// The buffer of one of the NIC's transmit slots.
  @inlinable
  func copy(_ slot: Int) -> UnsafeMutableRawPointer {
    unsafe base + (Int(layout.copies) &+ slot &* Int(Self.slotLength))
  }
  @inlinable
  func copyAddress(_ slot: Int) -> BusAddress {
    unsafe BusAddress(address.rawValue &+ layout.copies &+ UInt64(slot) &* Self.slotLength)
  }

  /// Frames of inspectors' own, towards either side.
  @usableFromInline var towardsOS: FrameOutbox { unsafe outbox(0) }
  @usableFromInline var towardsWire: FrameOutbox { unsafe outbox(1) }

  private func outbox(_ index: UInt64) -> FrameOutbox {
    guard unsafe hasAnswers else { return FrameOutbox() }
    let offset = unsafe layout.outboxes &+ index &* RingMemoryLayout.outboxLength
    return unsafe FrameOutbox(storage: base + Int(offset), length: Int(RingMemoryLayout.outboxLength))
  }

  /// What an inspector gets to answer with.
  @usableFromInline var answers: FrameAnswers {
    guard unsafe hasAnswers else { return FrameAnswers() }
    return unsafe FrameAnswers(
      scratch: base + Int(layout.scratch &+ RingMemoryLayout.scratchMargin), capacity: Int(layout.scratchLength),
      towardsOS: towardsOS, towardsWire: towardsWire)
  }
}
