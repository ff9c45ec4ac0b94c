public import AllyHW
public import AllyRings

/// A descriptor of the NIC, 16 bytes, for either direction: the buffer's address, then a word with the length in bits 15–0 and
/// the bits below. The NIC sets DONE when it has filled or fetched the buffer.
@frozen
public struct MinimalDescriptor: ReceiveDescriptor, TransmitDescriptor {
  public var buffer = BusAddress(0)
  public var word: UInt64 = 0

  @inlinable static var end: UInt64 { 1 << 16 }
  @inlinable static var report: UInt64 { 1 << 17 }
  @inlinable static var damaged: UInt64 { 1 << 18 }
  @inlinable static var done: UInt64 { 1 << 63 }

  @inlinable public init() {}
  @inlinable public static var ownershipWordOffset: Int { 8 }
  @inlinable public var endsFrame: Bool { word & Self.end != 0 }
  @inlinable public var length: UInt32 { UInt32(truncatingIfNeeded: word & 0xFFFF) }
  @inlinable public var isCompleted: Bool {
    get { word & Self.done != 0 }
    set { word = newValue ? word | Self.done : word & ~Self.done }
  }

  @inlinable public init(offering buffer: BusAddress) { self.buffer = buffer }
  @inlinable public init(_ completion: ReceiveCompletion, buffer: BusAddress) {
    self.buffer = buffer
    word = UInt64(completion.length & 0xFFFF) | (completion.endsFrame ? Self.end : 0) | Self.done
    if completion.isDamaged { word |= Self.damaged }
  }
  @inlinable public var offeredBuffer: BusAddress { buffer }
  @inlinable public var completedLength: UInt32 { length }
  @inlinable public var completion: ReceiveCompletion {
    ReceiveCompletion(length: length, endsFrame: endsFrame, isDamaged: word & Self.damaged != 0)
  }
  /// The OS's driver discards what is damaged: that is what `receiveDrop` declares.
  @inlinable public mutating func markDropped() { word |= Self.damaged }

  @inlinable public init?(_ request: TransmitRequest) {
    guard request.kind == .segment, request.length <= 0xFFFF, !request.usesOffloads else { return nil }
    buffer = request.buffer
    word = UInt64(request.length) | (request.endsFrame ? Self.end : 0)
    reportsCompletion = request.reportsCompletion
  }
  @inlinable public static var maximumPlainFrameLength: UInt32 { 0xFFFF }
  @inlinable public var reportsCompletion: Bool {
    get { word & Self.report != 0 }
    set { word = newValue ? word | Self.report : word & ~Self.report }
  }
}
