public import AllyHW
public import AllyPacket

/// What a NIC with frame checksums adds to each descriptor of 16 bytes: the checksum in bytes 23–16, and in bit 0 of bytes 31–24
/// whether there is one.
@frozen
public struct ChecksumWords: Sendable, BitwiseCopyable, Equatable {
  public var checksum: UInt64 = 0
  public var flags: UInt64 = 0

  @inlinable
  public init() {}

  @inlinable
  public var value: UInt64? {
    get { flags & 1 != 0 ? checksum : nil }
    set {
      checksum = newValue ?? 0
      flags = newValue == nil ? 0 : 1
    }
  }
}

/// A receive descriptor of a NIC with frame checksums, 32 bytes: a family's own, and the words that are added.
@frozen
public struct ChecksummedReceiveDescriptor<Core: ReceiveDescriptor>: ReceiveDescriptor {
  public var core: Core
  public var words = ChecksumWords()

  @inlinable
  public init() { core = Core() }

  @inlinable
  public init(core: Core) { self.core = core }

  @inlinable
  public init(offering buffer: BusAddress) { core = Core(offering: buffer) }

  @inlinable
  public init(_ completion: ReceiveCompletion, buffer: BusAddress) { core = Core(completion, buffer: buffer) }

  @inlinable public static var ownershipWordOffset: Int { Core.ownershipWordOffset }
  @inlinable public static var hasFrameChecksum: Bool { true }
  @inlinable
  public var frameChecksum: UInt64? {
    get { words.value }
    set { words.value = newValue }
  }

  @inlinable public var offeredBuffer: BusAddress { core.offeredBuffer }
  @inlinable public var isCompleted: Bool { core.isCompleted }
  @inlinable public var endsFrame: Bool { core.endsFrame }
  @inlinable public var endingLength: UInt32? { core.endingLength }
  @inlinable public var completedLength: UInt32 { core.completedLength }
  @inlinable public var completion: ReceiveCompletion { core.completion }
  @inlinable public var offloads: FrameOffloads { core.offloads }

  @inlinable
  public mutating func markDropped() { core.markDropped() }
}

/// A transmit descriptor of a NIC with frame checksums, 32 bytes.
@frozen
public struct ChecksummedTransmitDescriptor<Core: TransmitDescriptor>: TransmitDescriptor {
  public typealias OffloadContext = Core.OffloadContext

  public var core: Core
  public var words = ChecksumWords()

  @inlinable
  public init() { core = Core() }

  @inlinable
  public init(core: Core) { self.core = core }

  @inlinable
  public init?(_ request: TransmitRequest) {
    guard let core = Core(request) else { return nil }
    self.core = core
  }

  @inlinable public static var ownershipWordOffset: Int { Core.ownershipWordOffset }
  @inlinable public static var hasFrameChecksum: Bool { true }
  @inlinable public static var reportsContexts: Bool { Core.reportsContexts }
  @inlinable
  public var frameChecksum: UInt64? {
    get { words.value }
    set { words.value = newValue }
  }
  /// Bit 1 of bytes 31–24, which the NIC writes before it completes the descriptor.
  @inlinable public var isRefused: Bool { words.flags & 2 != 0 }

  @inlinable
  public func remember(in context: inout Core.OffloadContext) { core.remember(in: &context) }

  @inlinable
  public func offloads(in context: Core.OffloadContext) -> FrameOffloads { core.offloads(in: context) }

  @inlinable
  public func headerPlaces(in context: Core.OffloadContext) -> HeaderPlaces { core.headerPlaces(in: context) }

  @inlinable public var kind: TransmitKind { core.kind }
  @inlinable public var plainFrameLength: UInt32? { core.plainFrameLength }
  @inlinable public static var maximumPlainFrameLength: UInt32 { Core.maximumPlainFrameLength }
  @inlinable
  public var buffer: BusAddress {
    get { core.buffer }
    set { core.buffer = newValue }
  }
  @inlinable public var length: UInt32 { core.length }
  @inlinable public var endsFrame: Bool { core.endsFrame }
  @inlinable
  public var reportsCompletion: Bool {
    get { core.reportsCompletion }
    set { core.reportsCompletion = newValue }
  }
  @inlinable
  public var isCompleted: Bool {
    get { core.isCompleted }
    set { core.isCompleted = newValue }
  }
  @inlinable public var request: TransmitRequest { core.request }
}
