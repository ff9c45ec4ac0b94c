public import AllyHW
public import AllyPacket

/// The layout of a descriptor in memory, as one family of NICs (or one generation's format) defines it.
///
/// A conforming type is the descriptor's exact bytes: a multiple of 8, without padding, stored in a ring one after the
/// other. It is loaded from shared memory once, 64 bits at a time, and everything works on that copy. A conformance needs
/// no experimental language feature.
public protocol Descriptor: BitwiseCopyable, Sendable {
  /// The descriptor without what an enhanced NIC adds to it. Formats with the same core carry over whole, whatever
  /// ``ReceiveCompletion`` and ``TransmitRequest`` can say. By default the descriptor itself.
  associatedtype Core: BitwiseCopyable & Sendable = Self

  /// The descriptor without what an enhanced NIC adds to it.
  var core: Core { get }

  /// A descriptor around `core`, with no frame checksum.
  init(core: Core)

  /// Whether the NIC computes and verifies frame checksums (``PacketProtection/checksum``); false by default.
  static var hasFrameChecksum: Bool { get }

  /// Of a descriptor that ends its frame, with ``hasFrameChecksum``: the checksum of the frame's bytes in its buffers. Of a
  /// received frame the NIC has computed it; of one to be transmitted the NIC is to find it, and nil has it look for none.
  var frameChecksum: UInt64? { get set }

  /// A descriptor of all zeros.
  init()

  /// The byte offset, a multiple of 8, of the 64-bit word with the ownership bit (DD with Intel NICs). It is loaded
  /// first, with acquire, and stored last, with release; so whoever sees the bit sees the rest.
  static var ownershipWordOffset: Int { get }
}

extension Descriptor where Core == Self {
  @inlinable
  @inline(__always)
  public var core: Self { self }

  @inlinable
  @inline(__always)
  public init(core: Self) { self = core }
}

/// A format of a NIC without frame checksums.
extension Descriptor {
  @inlinable public static var hasFrameChecksum: Bool { false }

  @inlinable
  public var frameChecksum: UInt64? {
    get { nil }
    set {}
  }
}

/// A receive descriptor: offered with an empty buffer, completed with (a part of) a frame.
public protocol ReceiveDescriptor: Descriptor {
  /// A descriptor that offers `buffer`, not completed.
  init(offering buffer: BusAddress)

  /// A completed descriptor whose `buffer` holds what `completion` says. Used when the OS's format is not the NIC's,
  /// and when frames are copied (``PacketProtection/copyToDPIMemory``).
  init(_ completion: ReceiveCompletion, buffer: BusAddress)

  /// The buffer of an offered descriptor. Not asked of a completed one: some formats overwrite it.
  var offeredBuffer: BusAddress { get }

  /// Whether the NIC is done with the descriptor.
  var isCompleted: Bool { get }

  /// Of a completed descriptor: whether the frame ends in its buffer.
  var endsFrame: Bool { get }

  /// The ``completedLength`` of a descriptor that is completed and ends its frame, nil for any other: what nearly all
  /// are, decided as cheaply as the format allows.
  var endingLength: UInt32? { get }

  /// Of a completed descriptor: how many bytes the NIC wrote to its buffer.
  var completedLength: UInt32 { get }

  /// Of a completed descriptor: all that another format can carry over.
  var completion: ReceiveCompletion { get }

  /// Turns a completed descriptor into one whose frame the OS's driver discards, in the way that
  /// ``NICDriver/receiveDrop`` declares.
  mutating func markDropped()
}

extension ReceiveDescriptor {
  @inlinable
  @inline(__always)
  public var endingLength: UInt32? { isCompleted && endsFrame ? completedLength : nil }

  /// Of a completed descriptor that ends its frame: what the NIC found out about the frame.
  @inlinable
  @inline(__always)
  public var offloads: FrameOffloads { completion.offloads }
}

/// What a completed receive descriptor says, apart from its format.
@frozen
public struct ReceiveCompletion: Sendable, BitwiseCopyable, Equatable {
  /// Bytes in the buffer.
  public var length: UInt32
  /// Whether the frame ends here.
  public var endsFrame: Bool
  /// Whether the NIC found the frame damaged.
  public var isDamaged: Bool
  /// Whether the NIC verified the IP header checksum and found it good.
  public var ipChecksumIsGood: Bool
  /// Whether the NIC verified the TCP or UDP checksum and found it good.
  public var transportChecksumIsGood: Bool
  /// The VLAN tag that the NIC took out of the frame, or nil.
  public var strippedVLAN: UInt16?

  /// The part of it that inspectors see.
  @inlinable
  public var offloads: FrameOffloads {
    FrameOffloads(vlan: strippedVLAN, ipChecksum: ipChecksumIsGood, transportChecksum: transportChecksumIsGood)
  }

  /// What a frame that an inspector made is published with.
  @inlinable
  init(length: UInt32, endsFrame: Bool, offloads: FrameOffloads) {
    self.init(
      length: length, endsFrame: endsFrame, ipChecksumIsGood: offloads.ipChecksum,
      transportChecksumIsGood: offloads.transportChecksum, strippedVLAN: offloads.vlan)
  }

  @inlinable
  public init(
    length: UInt32, endsFrame: Bool, isDamaged: Bool = false, ipChecksumIsGood: Bool = false,
    transportChecksumIsGood: Bool = false, strippedVLAN: UInt16? = nil
  ) {
    self.length = length
    self.endsFrame = endsFrame
    self.isDamaged = isDamaged
    self.ipChecksumIsGood = ipChecksumIsGood
    self.transportChecksumIsGood = transportChecksumIsGood
    self.strippedVLAN = strippedVLAN
  }
}

/// What a transmit descriptor asks for.
@frozen
public enum TransmitKind: UInt8, Sendable, BitwiseCopyable {
  /// A part of a frame, or all of it.
  case segment
  /// Settings that later frames refer to (offload context); carries no part of a frame.
  case context
  /// Something the NIC does not know; the frame that it is in is not sent.
  case invalid
}

/// A transmit descriptor: posted by the OS with (a part of) a frame, completed by the NIC once it was fetched.
///
/// Where a format has context descriptors, ``OffloadContext`` is what later frames use of them: the virtualizer keeps one
/// value for each queue, lets each context descriptor that passes change it, and asks each frame's first descriptor what it
/// makes of it.
public protocol TransmitDescriptor: Descriptor {
  /// What context descriptors leave behind for later frames; no larger than 256 bytes, and all zeros at a queue's start.
  associatedtype OffloadContext: BitwiseCopyable & Sendable = NoOffloadContext

  /// Of a context descriptor: notes what later frames use of it.
  func remember(in context: inout OffloadContext)

  /// Of a segment: what the NIC is asked to do to the frame, as far as this descriptor says it. The frame's first one counts,
  /// and for the VLAN tag the last.
  func offloads(in context: OffloadContext) -> FrameOffloads

  /// Of a segment: where the NIC writes what ``offloads(in:)`` ask it for. All nil by default: the NIC finds the headers.
  func headerPlaces(in context: OffloadContext) -> HeaderPlaces

  /// A descriptor that asks for what `request` says, or nil when this format cannot say it. Used when the OS's format is
  /// not the NIC's.
  init?(_ request: TransmitRequest)

  /// What the descriptor is.
  var kind: TransmitKind { get }

  /// The length of a plain frame: a descriptor that is a whole frame of at least one byte, is not completed, and needs no
  /// further look. Nil for any other descriptor. The common case, decided as cheaply as the format allows.
  var plainFrameLength: UInt32? { get }

  /// The most that ``plainFrameLength`` can be, in bytes.
  static var maximumPlainFrameLength: UInt32 { get }

  /// Of a segment: where its bytes are.
  var buffer: BusAddress { get set }

  /// Of a segment: how many bytes it has.
  var length: UInt32 { get }

  /// Of a segment: whether the frame ends with it.
  var endsFrame: Bool { get }

  /// Whether whoever posted it wants to see it completed (RS with Intel NICs). A NIC completes only these.
  var reportsCompletion: Bool { get set }

  /// Whether it is completed; a bit of the ownership word, set as the NIC would.
  var isCompleted: Bool { get set }

  /// All that another format can carry over.
  var request: TransmitRequest { get }

  /// Whether the NIC completes context descriptors that ask for it; true by default. Where it does not, only later segments
  /// tell that it is past them.
  static var reportsContexts: Bool { get }

  /// Of a descriptor that ends its frame, when the NIC is past it: whether the NIC did not send the frame, because its
  /// checksum was another. False by default.
  var isRefused: Bool { get }
}

extension TransmitDescriptor {
  @inlinable public var isRefused: Bool { false }

  @inlinable public static var reportsContexts: Bool { true }

  @inlinable
  @inline(__always)
  public var plainFrameLength: UInt32? {
    kind == .segment && endsFrame && !isCompleted && length > 0 ? length : nil
  }

  @inlinable
  public func offloads(in context: OffloadContext) -> FrameOffloads { .none }

  @inlinable
  public func headerPlaces(in context: OffloadContext) -> HeaderPlaces { HeaderPlaces() }
}

/// A format without context descriptors and without offloads.
extension TransmitDescriptor where OffloadContext == NoOffloadContext {
  @inlinable
  public func remember(in context: inout OffloadContext) {}

  @inlinable
  @inline(__always)
  public var kind: TransmitKind { .segment }

  @inlinable
  public var request: TransmitRequest {
    TransmitRequest(
      kind: kind, buffer: buffer, length: length, endsFrame: endsFrame, reportsCompletion: reportsCompletion)
  }
}

/// The offload context of a format without context descriptors.
@frozen
public struct NoOffloadContext: Sendable, BitwiseCopyable {
  @inlinable
  public init() {}
}

/// What a transmit descriptor asks for, apart from its format.
@frozen
public struct TransmitRequest: Sendable, BitwiseCopyable, Equatable {
  public var kind: TransmitKind
  /// Where the segment's bytes are.
  public var buffer: BusAddress
  /// How many bytes.
  public var length: UInt32
  /// Whether the frame ends here.
  public var endsFrame: Bool
  /// Whether completion is to be reported.
  public var reportsCompletion: Bool
  /// Whether the descriptor asks for anything that only its own format can express: checksum insertion, segmentation,
  /// VLAN insertion. Another format answers nil to such a request.
  public var usesOffloads: Bool

  @inlinable
  public init(
    kind: TransmitKind = .segment, buffer: BusAddress, length: UInt32, endsFrame: Bool, reportsCompletion: Bool,
    usesOffloads: Bool = false
  ) {
    self.kind = kind
    self.buffer = buffer
    self.length = length
    self.endsFrame = endsFrame
    self.reportsCompletion = reportsCompletion
    self.usesOffloads = usesOffloads
  }
}
