public import AllyHW

/// Queues of a virtio device, by number: a bit each.
@frozen
public struct VirtqueueSet: Sendable, BitwiseCopyable, Equatable {
  public var bits: UInt64

  @inlinable
  public init(bits: UInt64 = 0) { self.bits = bits }
  @inlinable
  public init(_ queue: Int) { bits = 1 << UInt64(truncatingIfNeeded: queue) }
  @inlinable public static var all: VirtqueueSet { VirtqueueSet(bits: .max) }

  /// Takes the lowest number out; nil when the set is empty.
  @inlinable
  public mutating func removeFirst() -> Int? {
    guard bits != 0 else { return nil }
    let queue = bits.trailingZeroBitCount
    bits &= bits &- 1
    return queue
  }
}

/// What Ally must know of a transport of virtio network devices: its registers, what they mean, and how the real NIC is
/// pointed at the twins of the OS's queues. What ``NICDriver`` is to descriptor rings.
///
/// A value without pointers, kept in persistent DPI memory. Its calls are never concurrent, and none is made per frame. Queue
/// *2n* receives and *2n* + 1 transmits, of pair *n*.
public protocol VirtqueueDriver: BitwiseCopyable, Sendable {
  /// What becomes of OS accesses to the NIC's registers; fewer than ten runs.
  static var registers: [RegisterRange] { get }
  /// The most queue pairs that are served; 1 to 15.
  static var queuePairs: Int { get }

  /// The state after power-on.
  init()

  /// A queue as the OS has programmed it so far.
  func queue(_ index: Int) -> ProgrammedVirtqueue
  /// The number of the control queue; nil when there is none.
  var controlQueue: Int? { get }
  /// Whether the OS has finished setting the device up: queues work from then on.
  var isLive: Bool { get }
  /// Whether a received frame may fill several buffers.
  var mergesBuffers: Bool { get }
  /// Bytes that a receive buffer must have for the longest frame, header included; with mergeable buffers any length will do.
  var receiveBufferLength: UInt32 { get }

  /// Takes the NIC over, before the OS starts.
  mutating func attach<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC)

  /// An OS core accessed a redirected register. Must accept any offset, width and value.
  ///
  /// - Returns: the queues that were enabled, disabled or reset.
  mutating func handle<NIC: NICDevice & ~Copyable>(
    _ access: RedirectedAccess, registers: RegisterFile, nic: inout NIC
  ) -> VirtqueueSet

  /// The most descriptors that the NIC's queue can have.
  func maximumSize<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC) -> UInt32
  /// Points the NIC at a queue's twin.
  mutating func startQueue<NIC: NICDevice & ~Copyable>(_ queue: Int, on twin: ProgrammedVirtqueue, nic: inout NIC)
  /// Tells the NIC that a queue has new buffers.
  func notify<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC)
  /// Acknowledges the NIC's interrupt, and hands configuration changes on.
  ///
  /// - Returns: whether the NIC had interrupted.
  mutating func takeInterrupt<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) -> Bool
  /// A queue's buffers went back to the OS, which wants to know.
  mutating func noteUsed(_ queue: Int, registers: RegisterFile)
  /// The OS broke a queue: the device asks to be reset (virtio 1.2, §2.1.2).
  mutating func noteBroken(registers: RegisterFile)
  /// See ``NICVirtualizer/takeOSInterrupts(at:by:registers:)``.
  mutating func takeOSInterrupts(at now: UInt64, by delivery: InterruptDelivery, registers: RegisterFile)
    -> NICInterrupts
}
