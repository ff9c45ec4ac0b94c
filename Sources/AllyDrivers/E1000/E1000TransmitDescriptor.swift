public import AllyHW
public import AllyPacket
public import AllyRings

/// A transmit descriptor of the 8254x family, 16 bytes: legacy (SDM 3.3.3), TCP/IP context (3.3.6) or TCP/IP data (3.3.7), told
/// apart by DEXT and DTYP.
@frozen
public struct E1000TransmitDescriptor: TransmitDescriptor, Equatable {
  /// The buffer's address; of a context descriptor, the checksum offsets.
  public var address: UInt64
  /// Legacy: length in bits 15–0, checksum offset in 23–16, command in 31–24, status in 35–32, checksum start in
  /// 47–40, special in 63–48. Data: length in bits 19–0, DTYP in 23–20, the rest alike.
  public var fields: UInt64

  @inlinable
  public init() {
    self.address = 0
    self.fields = 0
  }

  @inlinable
  public init(address: UInt64, fields: UInt64) {
    self.address = address
    self.fields = fields
  }

  @inlinable
  public static var ownershipWordOffset: Int { 8 }

  /// Command: end of packet (SDM 3.3.3.1).
  @inlinable static var endOfPacket: UInt64 { 1 << 24 }
  /// Command: insert the frame check sequence.
  @inlinable static var insertFCS: UInt64 { 1 << 25 }
  /// Command: insert a checksum (legacy); TCP segmentation (data).
  @inlinable static var insertChecksum: UInt64 { 1 << 26 }
  /// Command: report status.
  @inlinable static var reportStatus: UInt64 { 1 << 27 }
  /// Command: descriptor extension.
  @inlinable static var descriptorExtension: UInt64 { 1 << 29 }
  /// Command: insert a VLAN tag.
  @inlinable static var insertVLAN: UInt64 { 1 << 30 }
  /// Status: descriptor done.
  @inlinable static var done: UInt64 { 1 << 32 }
  /// Data: packet options, the checksums to insert.
  @inlinable static var packetOptions: UInt64 { 0xFF << 40 }

  @inlinable
  var isExtended: Bool { fields & Self.descriptorExtension != 0 }

  @inlinable
  public init?(_ request: TransmitRequest) {
    guard request.kind == .segment, request.length <= 0xFFFF, !request.usesOffloads else { return nil }
    self.address = request.buffer.rawValue
    self.fields = UInt64(request.length) | Self.insertFCS
    if request.endsFrame { fields |= Self.endOfPacket }
    if request.reportsCompletion { fields |= Self.reportStatus }
  }

  @inlinable
  public var kind: TransmitKind {
    guard isExtended else { return .segment }
    switch fields >> 20 & 0xF {
    case 0: return .context
    case 1: return .segment
    default: return .invalid
    }
  }

  /// One legacy descriptor with end-of-packet.
  @inlinable
  @inline(__always)
  public var plainFrameLength: UInt32? {
    // From one byte to 65,535 with the first bit and none of the others: one comparison.
    let one = Self.endOfPacket | 1
    let excess = fields & (Self.endOfPacket | Self.descriptorExtension | Self.done | 0xFFFF) &- one
    return excess < 0xFFFF ? UInt32(truncatingIfNeeded: fields & 0xFFFF) : nil
  }

  @inlinable
  public static var maximumPlainFrameLength: UInt32 { 0xFFFF }

  @inlinable
  @inline(__always)
  public var buffer: BusAddress {
    get { BusAddress(address) }
    set { address = newValue.rawValue }
  }

  @inlinable
  @inline(__always)
  public var length: UInt32 { UInt32(truncatingIfNeeded: isExtended ? fields & 0xF_FFFF : fields & 0xFFFF) }

  @inlinable
  @inline(__always)
  public var endsFrame: Bool { fields & Self.endOfPacket != 0 }

  @inlinable
  @inline(__always)
  public var reportsCompletion: Bool {
    get { fields & Self.reportStatus != 0 }
    set { fields = newValue ? fields | Self.reportStatus : fields & ~Self.reportStatus }
  }

  @inlinable
  @inline(__always)
  public var isCompleted: Bool {
    get { fields & Self.done != 0 }
    set { fields = newValue ? fields | Self.done : fields & ~Self.done }
  }

  /// Command of a context descriptor: it is for segmentation (SDM 3.3.6.1, TUCMD.TSE).
  @inlinable static var segmentationContext: UInt64 { 1 << 26 }

  @inlinable
  public func remember(in context: inout E1000OffloadContext) {
    if fields & Self.segmentationContext != 0 {
      context.segmentation = fields
      context.segmentationPlaces = address
    } else {
      context.places = address
    }
  }

  /// CSS and CSO of a legacy descriptor (SDM 3.3.3), or what the context says that TSE chooses (3.3.6.1, 3.3.7).
  @inlinable
  public func headerPlaces(in context: E1000OffloadContext) -> HeaderPlaces {
    guard isExtended else {
      return HeaderPlaces(transport: UInt16(fields >> 40 & 0xFF), transportChecksum: UInt16(fields >> 16 & 0xFF))
    }
    let isCut = fields & Self.insertChecksum != 0
    let places = isCut ? context.segmentationPlaces : context.places
    return HeaderPlaces(
      network: UInt16(places & 0xFF), networkChecksum: UInt16(places >> 8 & 0xFF),
      transport: UInt16(places >> 32 & 0xFF), transportChecksum: UInt16(places >> 40 & 0xFF),
      payload: isCut ? UInt16(context.segmentation >> 40 & 0xFF) : nil)
  }

  @inlinable
  @inline(__always)
  public func offloads(in context: E1000OffloadContext) -> FrameOffloads {
    var offloads = FrameOffloads.none
    if fields & Self.insertVLAN != 0 { offloads.vlan = UInt16(truncatingIfNeeded: fields >> 48) }
    guard isExtended else {
      offloads.transportChecksum = fields & Self.insertChecksum != 0
      return offloads
    }
    // POPTS: IXSM and TXSM (SDM 3.3.7.2).
    offloads.ipChecksum = fields >> 40 & 1 != 0
    offloads.transportChecksum = fields >> 41 & 1 != 0
    if fields & Self.insertChecksum != 0 {
      offloads.segmentSize = UInt16(truncatingIfNeeded: context.segmentation >> 48)
      offloads.headerLength = UInt16(truncatingIfNeeded: context.segmentation >> 40 & 0xFF)
    }
    return offloads
  }

  @inlinable
  public var request: TransmitRequest {
    let usesOffloads =
      fields & (Self.insertChecksum | Self.insertVLAN) != 0 || (isExtended && fields & Self.packetOptions != 0)
    return TransmitRequest(
      kind: kind, buffer: buffer, length: length, endsFrame: endsFrame, reportsCompletion: reportsCompletion,
      usesOffloads: usesOffloads)
  }
}

/// What the context descriptors of an 8254x leave behind for later frames (SDM 3.3.6): of the two contexts that the chip
/// keeps, the one for segmentation says what becomes of a frame's length.
@frozen
public struct E1000OffloadContext: Sendable, BitwiseCopyable {
  /// The second word of the last segmentation context: header length in bits 47–40, segment size in 63–48.
  @usableFromInline var segmentation: UInt64
  /// The first word of that context, and of the last one that was not for segmentation: where the IP header begins in bits
  /// 7–0, where its checksum goes in 15–8, and the same of the transport header in 39–32 and 47–40.
  @usableFromInline var segmentationPlaces: UInt64
  @usableFromInline var places: UInt64

  @inlinable
  public init() {
    segmentation = 0
    segmentationPlaces = 0
    places = 0
  }
}
