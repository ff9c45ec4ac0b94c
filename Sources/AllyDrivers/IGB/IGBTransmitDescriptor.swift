public import AllyHW
public import AllyPacket
public import AllyRings

/// A transmit descriptor of the 82576, 16 bytes: legacy (82576 datasheet 7.2.2.1), advanced context (7.2.2.2) or advanced data
/// (7.2.2.3), told apart by DEXT and DTYP.
@frozen
public struct IGBTransmitDescriptor: TransmitDescriptor, Equatable {
  /// The buffer's address; of a context descriptor, header lengths and VLAN tag.
  public var address: UInt64
  /// Legacy: as in the 8254x family. Data: length in bits 15–0, DTYP in 23–20, command in 31–24, status in 35–32, context
  /// in 38–36, packet options in 45–40, length of the whole frame in 63–46.
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

  /// DTYP: 2 for a context, 3 for data.
  @inlinable static var descriptorType: UInt64 { 15 << 20 }
  @inlinable static var dataType: UInt64 { 3 << 20 }
  /// Command: end of packet (7.2.2.3.5).
  @inlinable static var endOfPacket: UInt64 { 1 << 24 }
  /// Command: insert the frame check sequence.
  @inlinable static var insertFCS: UInt64 { 1 << 25 }
  /// Command of a legacy descriptor: insert a checksum.
  @inlinable static var insertChecksum: UInt64 { 1 << 26 }
  /// Command: report status.
  @inlinable static var reportStatus: UInt64 { 1 << 27 }
  /// Command: descriptor extension.
  @inlinable static var descriptorExtension: UInt64 { 1 << 29 }
  /// Command: insert a VLAN tag.
  @inlinable static var insertVLAN: UInt64 { 1 << 30 }
  /// Command of a data descriptor: TCP segmentation.
  @inlinable static var segmentation: UInt64 { 1 << 31 }
  /// Status: descriptor done.
  @inlinable static var done: UInt64 { 1 << 32 }
  /// Packet options: insert the IP checksum, the transport checksum, IPsec.
  @inlinable static var insertIPChecksum: UInt64 { 1 << 40 }
  @inlinable static var insertTransportChecksum: UInt64 { 1 << 41 }
  @inlinable static var packetOptions: UInt64 { 0x3F << 40 }

  @inlinable
  var isExtended: Bool { fields & Self.descriptorExtension != 0 }

  /// A legacy descriptor: it needs no length of the whole frame.
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
    case 2: return .context
    case 3: return .segment
    default: return .invalid
    }
  }

  /// One data descriptor with end-of-packet that leaves nothing to the NIC.
  @inlinable
  @inline(__always)
  public var plainFrameLength: UInt32? {
    let kept =
      Self.descriptorType | Self.endOfPacket | Self.descriptorExtension | Self.insertVLAN | Self.segmentation
      | Self.done | Self.packetOptions | 0xFFFF
    // From one byte to 65,535 with these bits and none of the others: one comparison.
    let one = Self.dataType | Self.endOfPacket | Self.descriptorExtension | 1
    let excess = fields & kept &- one
    return excess < 0xFFFF ? UInt32(truncatingIfNeeded: fields & 0xFFFF) : nil
  }

  /// Context descriptors are not written back (82576 datasheet 7.2.2.2).
  @inlinable public static var reportsContexts: Bool { false }

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
  public var length: UInt32 { UInt32(truncatingIfNeeded: fields & 0xFFFF) }

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

  @inlinable
  public var request: TransmitRequest {
    let usesOffloads =
      isExtended
      ? fields & (Self.packetOptions | Self.insertVLAN | Self.segmentation) != 0
      : fields & (Self.insertChecksum | Self.insertVLAN) != 0
    return TransmitRequest(
      kind: kind, buffer: buffer, length: length, endsFrame: endsFrame, reportsCompletion: reportsCompletion,
      usesOffloads: usesOffloads)
  }

  // MARK: - Context descriptors

  /// The two contexts that a queue keeps (7.2.2.2.11).
  @frozen
  public struct OffloadContext: Sendable, BitwiseCopyable {
    @usableFromInline var contexts = InlineArray<2, Context>(repeating: Context())

    @inlinable
    public init() {}
  }

  /// What later frames use of a context descriptor.
  @frozen
  @usableFromInline
  struct Context: Sendable, BitwiseCopyable {
    @usableFromInline var vlan: UInt16 = 0
    @usableFromInline var segmentSize: UInt16 = 0
    @usableFromInline var headerLength: UInt16 = 0
    /// Where the IP header and the transport header begin, and where in the latter the checksum is.
    @usableFromInline var network: UInt16 = 0
    @usableFromInline var transport: UInt16 = 0
    @usableFromInline var checksumField: UInt16 = 0

    @inlinable
    init() {}
  }

  /// IDX, of which the lowest bit counts.
  @inlinable
  var contextIndex: Int { Int(truncatingIfNeeded: fields >> 36 & 1) }

  @inlinable
  public func remember(in context: inout OffloadContext) {
    var remembered = Context()
    remembered.vlan = UInt16(truncatingIfNeeded: address >> 16)
    remembered.segmentSize = UInt16(truncatingIfNeeded: fields >> 48)
    let ip = UInt16(truncatingIfNeeded: address & 0x1FF)
    let link = UInt16(truncatingIfNeeded: address >> 9 & 0x7F)
    let transport = UInt16(truncatingIfNeeded: fields >> 40 & 0xFF)
    remembered.headerLength = link &+ ip &+ transport
    remembered.network = link
    remembered.transport = link &+ ip
    // L4T: UDP, TCP, SCTP (7.2.2.2.5).
    remembered.checksumField =
      switch fields >> 11 & 3 {
      case 0: 6
      case 1: 16
      default: 8
      }
    context.contexts[contextIndex] = remembered
  }

  @inlinable
  public func offloads(in context: OffloadContext) -> FrameOffloads {
    guard isExtended else {
      // The tag of a legacy descriptor is in its special field.
      return FrameOffloads(
        vlan: fields & Self.insertVLAN != 0 ? UInt16(truncatingIfNeeded: fields >> 48) : nil,
        transportChecksum: fields & Self.insertChecksum != 0)
    }
    let remembered = context.contexts[contextIndex]
    let isSegmented = fields & Self.segmentation != 0
    return FrameOffloads(
      vlan: fields & Self.insertVLAN != 0 ? remembered.vlan : nil,
      ipChecksum: fields & Self.insertIPChecksum != 0,
      transportChecksum: fields & Self.insertTransportChecksum != 0,
      segmentSize: isSegmented ? remembered.segmentSize : 0,
      headerLength: isSegmented ? remembered.headerLength : 0)
  }

  /// CSS and CSO of a legacy descriptor, or where the lengths of the context's headers put them: the NIC knows the fields.
  @inlinable
  public func headerPlaces(in context: OffloadContext) -> HeaderPlaces {
    guard isExtended else {
      return HeaderPlaces(transport: UInt16(fields >> 40 & 0xFF), transportChecksum: UInt16(fields >> 16 & 0xFF))
    }
    let remembered = context.contexts[contextIndex]
    return HeaderPlaces(
      network: remembered.network, networkChecksum: remembered.network &+ 10, transport: remembered.transport,
      transportChecksum: remembered.transport &+ remembered.checksumField,
      payload: fields & Self.segmentation != 0 ? remembered.headerLength : nil)
  }
}
