public import AllyPacket

/// All that a worker must know to go on with one direction of a queue pair where another worker stopped: kept in DPI
/// memory, with indexes instead of pointers.
///
/// Written by the virtualizer that works on the queue, and by nobody else. At any instant it, together with the rings, says
/// which frames are done: a worker that dies in the middle of a pass leaves at most one frame that is handled twice, and
/// none that is lost.
@frozen
public struct QueueState: Sendable, BitwiseCopyable {
  /// The queue that the OS made, with the OS Head and Tail Pointers (paper §4.3).
  public var osQueue = DescriptorQueue()
  /// Its twin in DPI memory, which the NIC works on. The tail is what the NIC is told; the head is the slot that the DPI
  /// core looks at next.
  public var dpiQueue = DescriptorQueue()
  /// Whether the queue runs.
  public var isRunning = false
  /// How well frames are protected on this queue.
  public var protection = PacketProtection.inPlace
  /// The key of the NIC's frame checksums, with ``PacketProtection/checksum``.
  public var checksumKey = ChecksumKey()
  /// What only a receive queue has.
  public var receive = ReceiveProgress()
  /// What only a transmit queue has.
  public var transmit = TransmitProgress()
  /// What happened on the queue so far.
  public var counters = QueueCounters()

  @inlinable
  public init() {}
}

/// How far a receive queue is.
@frozen
public struct ReceiveProgress: Sendable, BitwiseCopyable {
  /// With ``PacketProtection/inPlace``: the OS's descriptors were copied up to this slot of either queue.
  public var copied: UInt32 = 0
  /// How many bytes of each buffer the NIC may fill.
  public var bufferLength: UInt32 = 0
  /// How many bytes of a frame's end are its frame check sequence: 4, or 0 when the NIC strips it.
  public var trailerLength: UInt32 = 0
  /// Whether what is left of a frame, up to its end, is dropped because its beginning was.
  public var isDiscarding = false
  /// Whether a verdict on several descriptors was reached and is being carried out.
  public var isPublishing = false
  /// Whether that verdict was to drop.
  public var publishesDropped = false
  /// The slot after the last of those descriptors.
  public var publishEnd: UInt32 = 0

  @inlinable
  public init() {}
}

/// How far a transmit queue is: always at the end of a frame. A frame that the OS has posted in part is not in here; a
/// worker that takes over loads its descriptors again.
@frozen
public struct TransmitProgress: Sendable, BitwiseCopyable {
  /// ``copied``, ``tail`` and ``isDiscarding`` in one word, so that a pass takes effect in one store.
  public var packed: UInt64 = 0
  /// With ``PacketProtection/copyToDPIMemory``: the first free byte of the copy memory.
  public var copyTail: UInt64 = 0

  @inlinable
  public init() {}

  @inlinable
  @inline(__always)
  static func pack(copied: UInt32, tail: UInt32, isDiscarding: Bool) -> UInt64 {
    UInt64(copied) | UInt64(tail) << 32 | (isDiscarding ? 1 << 63 : 0)
  }

  /// The OS's descriptors were copied up to this slot of the OS queue.
  @inlinable
  public var copied: UInt32 { UInt32(truncatingIfNeeded: packed) }
  /// The slot after the last one of the DPI queue that the NIC may fetch.
  @inlinable
  public var tail: UInt32 { UInt32(truncatingIfNeeded: packed >> 32) & 0x7FFF_FFFF }
  /// Whether what is left of a frame, up to its end, is dropped because its beginning was.
  @inlinable
  public var isDiscarding: Bool { packed >> 63 != 0 }
}

/// What happened on one direction of a queue pair so far.
@frozen
public struct QueueCounters: Sendable, BitwiseCopyable {
  /// Frames that went on.
  public var accepted: UInt64 = 0
  /// Frames that ended here by verdict `drop`.
  public var dropped: UInt64 = 0
  /// Frames that ended here by verdict `reject`.
  public var rejected: UInt64 = 0
  /// Frames that ended here, and in whose place another went on.
  public var replaced: UInt64 = 0
  /// Frames that inspectors added in this direction.
  public var injected: UInt64 = 0
  /// Frames that ended here because of a fault, uninspected.
  public var faulted: UInt64 = 0
  /// Bytes of frames that were copied between OS and DPI memory, as protection levels other than ``PacketProtection/inPlace``
  /// do, and a receive ring without descriptors always.
  public var copiedBytes: UInt64 = 0
  /// The most descriptors that were handled in one pass.
  public var highWater: UInt32 = 0
  /// Faults by cause.
  public var faults = RingFaultCounters()

  @inlinable
  public init() {}

  /// Counts a frame that ended here by its verdict.
  @inlinable
  mutating func countRefused(_ verdict: Verdict) {
    if verdict == .reject { rejected &+= 1 } else { dropped &+= 1 }
  }

  /// Frames that were inspected.
  @inlinable
  public var inspected: UInt64 { accepted &+ dropped &+ rejected &+ replaced }
}
