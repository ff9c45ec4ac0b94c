/// How far a virtqueue is, of which Ally is the device: kept in DPI memory, with indexes instead of pointers.
///
/// Places run on over 16 bits in a split queue; in a packed one they are an element's number with the lap's bit in bit 15.
@frozen
public struct VirtqueueOSState: Sendable, BitwiseCopyable {
  public var queue = ProgrammedVirtqueue()
  public var isRunning = false
  /// Whether the driver broke the rules: nothing is taken until the queue is reset.
  public var isBroken = false
  /// The place taken from next, in bits 15–0, and what the far side commits along with it, above.
  public var taken: UInt64 = 0
  /// The place used next, in bits 15–0, and what the far side commits along with it, above.
  public var used: UInt64 = 0
  /// The place used next when the driver was last asked whether it wants to be interrupted.
  public var signalled: UInt16 = 0
  /// The buffers that are being handed back.
  public var handover = VirtqueueHandover()

  @inlinable
  public init() {}
}

/// A hand-over that was decided: what makes it visible, and the state after it. A worker that takes over carries it out
/// again, which changes nothing when it was done.
@frozen
public struct VirtqueueHandover: Sendable, BitwiseCopyable {
  /// Whether there is one.
  public var isDecided = false
  /// Whether any buffer is handed back; else only the state moves.
  public var isVisible = false
  public var taken: UInt64 = 0
  public var used: UInt64 = 0
  /// Of a packed queue: the element that is stored last, and where.
  public var word: UInt64 = 0
  public var slot: UInt16 = 0
  /// The ``VirtqueueOSState/used`` before, and how many buffers the far side had been given then.
  public var usedBefore: UInt64 = 0
  public var postedBefore: UInt16 = 0

  @inlinable
  public init() {}
}
