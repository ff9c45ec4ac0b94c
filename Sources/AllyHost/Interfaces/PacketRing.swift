public import AllyPacket
internal import CAllyLinux
internal import Glibc
internal import Synchronization

/// Frames that pass a network interface of this machine, both ways, as copies: what an appliance hears that stands beside the
/// wire. Needs `CAP_NET_RAW`.
///
/// A packet socket with a ring in memory that the kernel shares (packet(7), TPACKET_V3): blocks of frames, handed over when
/// they are full or 10 ms old. Frames are inspected where they lie. One thread uses it.
@safe
public struct PacketRing: ~Copyable {
  public struct Settings: Sendable {
    /// Bytes of each frame that are kept; longer ones are cut. What they had on the wire is in their stamps.
    public var longestFrame = 65_535 + 14 + 8
    /// Whether what is addressed to other machines is heard too.
    public var isPromiscuous = true
    /// Bytes of the ring, rounded up to whole blocks of 1 MiB.
    public var byteCount = 64 << 20

    public init() {}
  }

  /// What was heard.
  public struct Counts: Sendable {
    /// Frames that passed the interface and were to be heard.
    public var frames: UInt64 = 0
    /// Those of them that found the ring full.
    public var dropped: UInt64 = 0
    /// Those that were cut.
    public var cut: UInt64 = 0

    public init() {}
  }

  public let interface: String
  private let file: OwnedDescriptor
  private let index: Int32
  private let isLoopback: Bool
  private let linkType: LinkType
  /// Invariant: `blocks` blocks of `blockLength` bytes, shared with the kernel, until this value is gone.
  private let ring: UnsafeMutableRawPointer
  private let blocks: Int
  /// The block that comes next.
  private var next = 0
  private var count = Counts()

  private static var blockLength: Int { 1 << 20 }
  /// ARPHRD_ETHER, ARPHRD_LOOPBACK, ARPHRD_NONE.
  private static var kinds: [Int32: LinkType] { [1: .ethernet, 772: .ethernet, 0xFFFE: .raw] }

  /// Begins to hear an interface.
  public init(_ interface: String, settings: Settings = Settings()) throws(HostError) {
    var index: Int32 = 0
    var kind: Int32 = 0
    let number = unsafe ally_packet_socket(interface, &index, &kind)
    guard number >= 0 else { throw HostError("cannot hear the interface \(interface)", code: errno) }
    let file = OwnedDescriptor(number)
    guard let linkType = Self.kinds[kind] else {
      throw HostError("\(interface): frames of its kind (\(kind)) are not understood; expected Ethernet")
    }
    let blocks = max(2, (settings.byteCount + Self.blockLength - 1) / Self.blockLength)
    guard
      ally_packet_ring(
        number, UInt32(Self.blockLength), UInt32(clamping: blocks), 10, UInt32(clamping: settings.longestFrame)) == 0
    else { throw HostError("cannot make a ring for the interface \(interface)", code: errno) }
    if settings.isPromiscuous, kind != 772, ally_packet_promiscuous(number, index) != 0 {
      throw HostError("cannot hear all of the interface \(interface)", code: errno)
    }
    guard ally_packet_bind(number, index) == 0 else {
      throw HostError("cannot hear the interface \(interface)", code: errno)
    }
    guard
      let ring = unsafe mmap(nil, blocks * Self.blockLength, PROT_READ | PROT_WRITE, MAP_SHARED, number, 0),
      unsafe ring != MAP_FAILED
    else { throw HostError("cannot map the ring of the interface \(interface)", code: errno) }
    self.interface = interface
    self.file = file
    self.index = index
    self.linkType = linkType
    isLoopback = kind == 772
    unsafe self.ring = ring
    self.blocks = blocks
  }

  deinit { unsafe munmap(ring, blocks * Self.blockLength) }

  /// Readable when frames wait.
  public var descriptor: Int32 { file.number }

  /// Whether the interface is still there; one that is down may come up again.
  public mutating func isThere() -> Bool {
    _ = ally_socket_error(file.number)
    return unsafe if_nametoindex(interface) == UInt32(bitPattern: index)
  }

  /// Has the frames of the next block inspected, if there is one.
  ///
  /// - Parameters:
  ///   - ordinal: the number of the frame before; counted on.
  ///   - body: gets each frame, in the order in which they passed.
  /// - Returns: whether there was a block.
  public mutating func takeBlock(ordinal: inout UInt64, _ body: (borrowing Packet) -> Void) -> Bool {
    let block = unsafe ring + next * Self.blockLength
    // The status word is aligned, mapped, and changed by the kernel too.
    let status = unsafe (block + Block.status).assumingMemoryBound(to: Atomic<UInt32>.self)
    guard unsafe status.pointee.load(ordering: .acquiring) & Block.isOurs != 0 else { return false }
    var left = unsafe block.load(fromByteOffset: Block.frames, as: UInt32.self)
    var offset = unsafe Int(block.load(fromByteOffset: Block.firstFrame, as: UInt32.self))
    while left > 0 {
      // The kernel, which wrote the block, keeps its frames inside.
      let frame = unsafe block + offset
      unsafe inspect(frame, ordinal: &ordinal, body)
      offset += unsafe Int(frame.load(fromByteOffset: Frame.nextOffset, as: UInt32.self))
      left -= 1
    }
    unsafe status.pointee.store(0, ordering: .releasing)
    next = next + 1 == blocks ? 0 : next + 1
    return true
  }

  @unsafe
  private mutating func inspect(
    _ frame: UnsafeMutableRawPointer, ordinal: inout UInt64, _ body: (borrowing Packet) -> Void
  ) {
    // The address of the link layer (struct sockaddr_ll) follows the header; its tenth byte says where the frame went.
    let isOutgoing = unsafe frame.load(fromByteOffset: Frame.packetType, as: UInt8.self) == 4
    // On a loopback interface a frame that goes out comes in again.
    if isLoopback, isOutgoing { return }
    let status = unsafe frame.load(fromByteOffset: Frame.status, as: UInt32.self)
    var start = unsafe frame + Int(frame.load(fromByteOffset: Frame.start, as: UInt16.self))
    var length = unsafe Int(frame.load(fromByteOffset: Frame.keptLength, as: UInt32.self))
    var lengthOnWire = unsafe frame.load(fromByteOffset: Frame.length, as: UInt32.self)
    if lengthOnWire > UInt32(clamping: length) { count.cut &+= 1 }
    if status & Frame.hasTag != 0, linkType == .ethernet, length >= 12 {
      // Where the tag was: behind the addresses, which move into the room that is kept before each frame.
      unsafe (start - 4).copyMemory(from: start, byteCount: 12)
      unsafe start -= 4
      let kind = unsafe frame.load(fromByteOffset: Frame.tagKind, as: UInt16.self)
      let tag = unsafe UInt16(truncatingIfNeeded: frame.load(fromByteOffset: Frame.tag, as: UInt32.self))
      unsafe (start + 12).storeBytes(of: (status & Frame.hasTagKind == 0 ? 0x8100 : kind).bigEndian, as: UInt16.self)
      unsafe (start + 14).storeBytes(of: tag.bigEndian, as: UInt16.self)
      length += 4
      lengthOnWire &+= 4
    }
    ordinal &+= 1
    let seconds = unsafe frame.load(fromByteOffset: Frame.seconds, as: UInt32.self)
    let nanoseconds = unsafe frame.load(fromByteOffset: Frame.nanoseconds, as: UInt32.self)
    let stamp = FrameStamp(
      time: UInt64(seconds) &* 1_000_000_000 &+ UInt64(nanoseconds), ordinal: ordinal, lengthOnWire: lengthOnWire,
      linkType: linkType)
    // A checksum that an interface will insert, or has verified.
    let isGood = status & (Frame.checksumMissing | Frame.checksumGood) != 0
    let bytes = unsafe UnsafeRawBufferPointer(start: start, count: min(length, 65_535 + 14 + 8)).bytes
    body(
      Packet(
        bytes: bytes, stamp: stamp, direction: isOutgoing ? .transmit : .receive,
        offloads: FrameOffloads(transportChecksum: isGood)))
  }

  /// What was heard so far.
  public mutating func counts() -> Counts {
    var frames: UInt32 = 0
    var dropped: UInt32 = 0
    // The kernel begins anew with each call.
    if unsafe ally_packet_counts(file.number, &frames, &dropped) == 0 {
      count.frames &+= UInt64(frames)
      count.dropped &+= UInt64(dropped)
    }
    return count
  }
}

/// Where things are in a block (struct tpacket_block_desc), in bytes.
private enum Block {
  static let status = 8
  static let frames = 12
  static let firstFrame = 16
  /// TP_STATUS_USER.
  static let isOurs: UInt32 = 1
}

/// Where things are in a frame's header (struct tpacket3_hdr), in bytes, and what its status says.
private enum Frame {
  static let nextOffset = 0
  static let seconds = 4
  static let nanoseconds = 8
  static let keptLength = 12
  static let length = 16
  static let status = 20
  static let start = 24
  static let tag = 32
  static let tagKind = 36
  /// Behind 48 bytes of header, at byte 10 of struct sockaddr_ll.
  static let packetType = 58
  /// TP_STATUS_CSUMNOTREADY, TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID, TP_STATUS_CSUM_VALID.
  static let checksumMissing: UInt32 = 1 << 3
  static let hasTag: UInt32 = 1 << 4
  static let hasTagKind: UInt32 = 1 << 6
  static let checksumGood: UInt32 = 1 << 7
}
