/// What a queue's other side did that it must not do, or that cannot be served. Each is counted; none stops the queue.
@frozen
public enum RingFault: UInt8, Sendable, BitwiseCopyable, CaseIterable {
  /// A tail that is no slot of the queue.
  case tailOutOfRange
  /// A tail that ran backwards, or around past the head.
  case tailPassesHead
  /// A queue length of 0, not a multiple of what the NIC demands, or above the limit.
  case queueLength
  /// A queue base that is not aligned as the NIC demands.
  case queueMisaligned
  /// A queue of which a byte has no memory behind it.
  case queueAbsent
  /// A queue of which a byte is DPI memory.
  case queueInDPIMemory
  /// A head register value that is no slot of the queue.
  case headOutOfRange
  /// A buffer of which a byte has no memory behind it.
  case bufferAbsent
  /// A buffer of which a byte is DPI memory.
  case bufferInDPIMemory
  /// A completed length above the buffer's.
  case lengthAboveBuffer
  /// A chain of descriptors that fills the queue and does not end a frame.
  case endlessChain
  /// A frame longer than ``RingLimits/maximumFrameLength``.
  case frameTooLong
  /// A frame of no bytes.
  case emptyFrame
  /// A context descriptor within a frame, or a request that the NIC's format cannot express.
  case malformedChain
  /// A queue of descriptors in a format that the driver module does not have.
  case descriptorFormat
  /// A frame that an inspector made and that could not be carried out: too long, or no room for it.
  case answerRefused
  /// A frame whose bytes are not those that its checksum is of (``PacketProtection/checksum``): somebody changed it.
  case checksumMismatch
  /// A frame that the NIC is asked to write into after it was inspected, elsewhere than in its headers' own fields
  /// (`HeaderPlaces`); on protection levels other than ``PacketProtection/inPlace``.
  case misplacedHeaders
}

/// How often each fault happened.
@frozen
public struct RingFaultCounters: Sendable, BitwiseCopyable {
  @usableFromInline var counts: InlineArray<18, UInt64>

  @inlinable
  public init() { counts = InlineArray(repeating: 0) }

  /// How often `fault` happened.
  @inlinable
  public subscript(fault: RingFault) -> UInt64 { counts[Int(fault.rawValue)] }

  /// All faults together.
  @inlinable
  public var total: UInt64 {
    var sum: UInt64 = 0
    for index in counts.indices { sum &+= counts[index] }
    return sum
  }

  @inlinable
  public mutating func count(_ fault: RingFault) { counts[Int(fault.rawValue)] &+= 1 }

  /// Adds what was counted elsewhere.
  public mutating func add(_ other: RingFaultCounters) {
    for index in counts.indices { counts[index] &+= other.counts[index] }
  }
}
