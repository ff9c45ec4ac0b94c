public import AllyHW

/// How far a receive ring of bytes is: kept in DPI memory, so that a worker that takes over knows it.
@frozen
public struct ByteRingReceiveState: Sendable, BitwiseCopyable {
  /// The ring that the OS made, as long as ``isRunning``.
  public var ring = ByteRing()
  public var isRunning = false
  /// Whether the NIC receives into its own ring.
  public var isNICRunning = false
  /// Whether the NIC has been stopped, to start anew when what it had received is done with.
  public var isDraining = false
  /// The place from which the OS reads next.
  public var readPlace: UInt32 = 0
  /// Up to where the OS's ring is filled, and from where on the NIC's is not done with: one word, so that a frame takes effect
  /// in one store.
  public var places: UInt64 = 0
  public var counters = QueueCounters()

  @inlinable
  public init() {}

  /// The place that the OS sees the NIC write next.
  @inlinable
  @inline(__always)
  public var writePlace: UInt32 { UInt32(truncatingIfNeeded: places) }
  /// The place of the next frame in the NIC's ring.
  @inlinable
  @inline(__always)
  public var nicPlace: UInt32 { UInt32(truncatingIfNeeded: places >> 32) }

  @inlinable
  @inline(__always)
  static func pack(writePlace: UInt32, nicPlace: UInt32) -> UInt64 { UInt64(writePlace) | UInt64(nicPlace) << 32 }
}

/// How far a NIC's transmit slots are, and the OS's.
///
/// The four places run on without wrapping; a slot's number is the place's remainder.
@frozen
public struct TransmitSlotState: Sendable, BitwiseCopyable {
  public var protection = PacketProtection.inPlace
  /// The OS's slot that is looked at next, and the NIC's slot that is filled next: one word, so that a frame takes effect in
  /// one store.
  public var places: UInt64 = 0
  /// The OS's slot that completes next.
  public var completed: UInt32 = 0
  /// The NIC's slot that is sent next.
  public var sent: UInt32 = 0
  /// Whether the NIC was being given the slot before ``given``.
  public var isGiving = false
  /// Whether the OS was being told of the slot at ``completed``.
  public var isNoting = false
  /// What became of the frames of the OS's slots.
  @usableFromInline var osSlots: InlineArray<8, OSSlot> = .init(repeating: OSSlot())
  /// What is in the NIC's slots.
  @usableFromInline var nicSlots: InlineArray<8, NICSlot> = .init(repeating: NICSlot())
  public var counters = QueueCounters()

  @inlinable
  public init() {}

  @inlinable
  @inline(__always)
  public var taken: UInt32 { UInt32(truncatingIfNeeded: places) }
  @inlinable
  @inline(__always)
  public var given: UInt32 { UInt32(truncatingIfNeeded: places >> 32) }

  @inlinable
  @inline(__always)
  static func pack(taken: UInt32, given: UInt32) -> UInt64 { UInt64(taken) | UInt64(given) << 32 }

  @frozen
  @usableFromInline
  struct OSSlot: BitwiseCopyable, Sendable {
    @usableFromInline var isDone = false
    @usableFromInline var status = SlotStatus.sent
    @inlinable
    init() {}
  }

  @frozen
  @usableFromInline
  struct NICSlot: BitwiseCopyable, Sendable {
    /// Whether a frame of the OS's is in it, and of which slot; else one of an inspector's own, or one that the OS has
    /// forgotten.
    @usableFromInline var isOS = false
    @usableFromInline var osSlot: UInt8 = 0
    @usableFromInline var frame = NICFrame(buffer: BusAddress(0), length: 0)
    @inlinable
    init() {}
  }
}
