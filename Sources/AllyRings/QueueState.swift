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
  /// The OS's descriptors were copied up to this slot of the OS queue.
  public var copied: UInt32 = 0
  /// Whether the queue runs.
  public var isRunning = false
  /// How well frames are protected on this queue.
  public var protection = PacketProtection.inPlace
  /// What only a receive queue has.
  public var receive = ReceiveProgress()
  /// What only a transmit queue has; two copies, of which ``currentTransmit`` tells the valid one, so that a pass takes
  /// effect in one store.
  public var transmit = InlineArray<2, TransmitProgress>(repeating: TransmitProgress())
  /// Which of ``transmit`` is valid, 0 or 1.
  public var currentTransmit: UInt32 = 0
  /// What happened on the queue so far.
  public var counters = QueueCounters()

  @inlinable
  public init() {}
}

/// How far a receive queue is within a frame.
@frozen
public struct ReceiveProgress: Sendable, BitwiseCopyable {
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

/// How far a transmit queue is within a frame.
@frozen
public struct TransmitProgress: Sendable, BitwiseCopyable {
  /// The OS's descriptors were copied up to this slot of the OS queue.
  public var copied: UInt32 = 0
  /// The slot after the last one of the DPI queue that the NIC may fetch.
  public var tail: UInt32 = 0
  /// The slot after the last one that was written to the DPI queue; those from ``tail`` on are the beginning of a frame
  /// whose end is still to come.
  public var staged: UInt32 = 0
  /// Whether what is left of a frame, up to its end, is dropped because its beginning was.
  public var isDiscarding = false
  /// Bytes of the staged segments.
  public var stagedLength: UInt64 = 0
  /// With ``PacketProtection/copyToDPIMemory``: the first free byte of the copy memory.
  public var copyTail: UInt64 = 0

  @inlinable
  public init() {}
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
  /// Frames that ended here because of a fault, uninspected.
  public var faulted: UInt64 = 0
  /// Bytes of the inspected frames.
  public var bytes: UInt64 = 0
  /// The most descriptors that were handled in one pass.
  public var highWater: UInt32 = 0
  /// Faults by cause.
  public var faults = RingFaultCounters()

  @inlinable
  public init() {}

  /// Frames that were inspected.
  @inlinable
  public var inspected: UInt64 { accepted &+ dropped &+ rejected }
}
