public import AllyHW

/// Where a descriptor queue lies and how far it is: the part of it that outlives a worker, so indexes and no
/// pointers.
///
/// Slots from ``head`` up to, not including, ``tail`` belong to the consumer; equal indexes mean an empty queue, so at
/// most `count - 1` slots are ever in use.
@frozen
public struct DescriptorQueue: Sendable, BitwiseCopyable, Equatable {
  /// Physical address of slot 0.
  public var base: PhysicalAddress
  /// How many slots; 0 while there is no queue.
  public var count: UInt32
  /// The slot to be completed next.
  public var head: UInt32
  /// The slot after the last one that was posted.
  public var tail: UInt32

  /// An empty queue at `base` whose first slot to be used is `start`.
  ///
  /// - Precondition: `start < count`, or both are 0.
  @inlinable
  public init(base: PhysicalAddress = PhysicalAddress(0), count: UInt32 = 0, start: UInt32 = 0) {
    precondition(start < count || start == 0)
    self.base = base
    self.count = count
    self.head = start
    self.tail = start
  }

  /// Slots between two indexes of this queue, going up from `first`.
  @inlinable
  @inline(__always)
  public func distance(from first: UInt32, to last: UInt32) -> UInt32 {
    last >= first ? last &- first : last &+ count &- first
  }

  /// The slot after `index`.
  @inlinable
  @inline(__always)
  public func next(after index: UInt32) -> UInt32 {
    let following = index &+ 1
    return following == count ? 0 : following
  }

  /// The slot `steps` slots before `index`, at most one turn.
  @inlinable
  @inline(__always)
  public func moved(_ index: UInt32, back steps: UInt32) -> UInt32 {
    index >= steps ? index &- steps : index &+ count &- steps
  }

  /// Slots that are posted and not yet completed.
  @inlinable
  public var outstanding: UInt32 { distance(from: head, to: tail) }

  /// Moves the tail to a value that the other side wrote (paper Figure 4(a)).
  ///
  /// The value is anything: it must be a slot of the queue, and the step from the present tail must not run past the
  /// head, which is where a tail that was moved backwards would lead.
  ///
  /// - Returns: nil, or why the queue was left as it was.
  @inlinable
  public mutating func moveTail(to value: UInt32) -> RingFault? {
    guard value < count else { return .tailOutOfRange }
    guard distance(from: head, to: value) >= outstanding else { return .tailPassesHead }
    tail = value
    return nil
  }
}
