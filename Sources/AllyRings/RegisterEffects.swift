public import AllyHW

/// A set of queue pairs, by number: a bit each.
@frozen
public struct QueueSet: Sendable, BitwiseCopyable, Equatable {
  /// Bit *n* stands for queue pair *n*.
  public var bits: UInt32

  @inlinable
  public init(bits: UInt32 = 0) { self.bits = bits }

  /// The set of one queue pair, from 0 to 31.
  @inlinable
  public init(_ queue: Int) { bits = 1 << UInt32(truncatingIfNeeded: queue) }

  @inlinable public var isEmpty: Bool { bits == 0 }

  @inlinable
  public func contains(_ queue: Int) -> Bool { bits >> UInt32(truncatingIfNeeded: queue) & 1 == 1 }

  @inlinable
  public mutating func formUnion(_ other: QueueSet) { bits |= other.bits }

  @inlinable
  public mutating func subtract(_ other: QueueSet) { bits &= ~other.bits }

  /// The queue pair with the lowest number; nil when the set is empty.
  @inlinable public var first: Int? { bits == 0 ? nil : bits.trailingZeroBitCount }
}

/// What an OS core's access to a redirected register calls for.
@frozen
public struct RegisterEffects: Sendable, BitwiseCopyable, Equatable {
  /// The receive tails that were written.
  public var receiveTails: QueueSet
  /// The transmit tails that were written.
  public var transmitTails: QueueSet
  /// The receive queues that were enabled, disabled, moved or resized.
  public var receiveQueues: QueueSet
  /// The transmit queues that were enabled, disabled, moved or resized.
  public var transmitQueues: QueueSet
  /// Whether interrupt masks, causes or rates changed.
  public var interrupts: Bool

  @inlinable
  public init(
    receiveTails: QueueSet = QueueSet(), transmitTails: QueueSet = QueueSet(), receiveQueues: QueueSet = QueueSet(),
    transmitQueues: QueueSet = QueueSet(), interrupts: Bool = false
  ) {
    self.receiveTails = receiveTails
    self.transmitTails = transmitTails
    self.receiveQueues = receiveQueues
    self.transmitQueues = transmitQueues
    self.interrupts = interrupts
  }

  /// The access calls for nothing.
  @inlinable public static var none: RegisterEffects { RegisterEffects() }
  /// The interrupt mask, causes or rate changed.
  @inlinable public static var interrupts: RegisterEffects { RegisterEffects(interrupts: true) }

  /// A receive tail was written.
  @inlinable
  public static func receiveTail(_ queue: Int) -> RegisterEffects { RegisterEffects(receiveTails: QueueSet(queue)) }
  /// A transmit tail was written.
  @inlinable
  public static func transmitTail(_ queue: Int) -> RegisterEffects { RegisterEffects(transmitTails: QueueSet(queue)) }
  /// A receive queue was enabled, disabled, moved or resized.
  @inlinable
  public static func receiveQueue(_ queue: Int) -> RegisterEffects { RegisterEffects(receiveQueues: QueueSet(queue)) }
  /// A transmit queue was enabled, disabled, moved or resized.
  @inlinable
  public static func transmitQueue(_ queue: Int) -> RegisterEffects {
    RegisterEffects(transmitQueues: QueueSet(queue))
  }

  /// What both call for.
  @inlinable
  public func union(_ other: RegisterEffects) -> RegisterEffects {
    var both = self
    both.receiveTails.formUnion(other.receiveTails)
    both.transmitTails.formUnion(other.transmitTails)
    both.receiveQueues.formUnion(other.receiveQueues)
    both.transmitQueues.formUnion(other.transmitQueues)
    both.interrupts = interrupts || other.interrupts
    return both
  }
}

extension RedirectedAccess {
  /// What a write calls for on a NIC whose registers have 32 bits: a write of 64 bits is two, and a narrower one, which such
  /// NICs do not take, is none. A read is none either.
  public func forEachDoubleWord(
    _ write: (_ offset: UInt32, _ value: UInt32) -> RegisterEffects
  ) -> RegisterEffects {
    guard isWrite, width == .doubleWord || width == .quadWord else { return .none }
    let effects = write(offset, UInt32(truncatingIfNeeded: value))
    guard width == .quadWord else { return effects }
    return effects.union(write(offset &+ 4, UInt32(truncatingIfNeeded: value >> 32)))
  }
}
