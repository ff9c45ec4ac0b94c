/// Where a NIC takes a frame's headers to be when it is asked to insert checksums or to cut the frame into segments: in
/// bytes from the frame's beginning, as the OS says. A NIC writes there after the frame was inspected.
///
/// Nil for what the NIC finds by itself.
@frozen
public struct HeaderPlaces: Sendable, BitwiseCopyable, Equatable {
  /// Where the IP header begins, and where its checksum goes.
  public var network: UInt16?
  public var networkChecksum: UInt16?
  /// Where the transport header begins, and where its checksum goes.
  public var transport: UInt16?
  public var transportChecksum: UInt16?
  /// Where the payload begins that is cut.
  public var payload: UInt16?

  @inlinable
  public init(
    network: UInt16? = nil, networkChecksum: UInt16? = nil, transport: UInt16? = nil, transportChecksum: UInt16? = nil,
    payload: UInt16? = nil
  ) {
    self.network = network
    self.networkChecksum = networkChecksum
    self.transport = transport
    self.transportChecksum = transportChecksum
    self.payload = payload
  }

  /// Whether what the packet's ``Packet/offloads`` have the NIC write goes into the fields of the packet's own headers, the
  /// outer ones of a tunnel, and nowhere else.
  public func areHeaders(of packet: borrowing Packet) -> Bool {
    let offloads = packet.offloads
    let isCut = offloads.segmentSize != 0
    guard isCut || offloads.ipChecksum || offloads.transportChecksum else { return true }
    let layers = PacketLayers(of: packet)
    if offloads.ipChecksum {
      guard layers.network == .ipv4, Self.holds(networkChecksum, layers.networkOffset &+ 10) else { return false }
    }
    if offloads.transportChecksum {
      guard layers.hasTransport, let field = Self.checksumField(of: layers.ipProtocol),
        Self.holds(transportChecksum, layers.transportOffset &+ field)
      else { return false }
    }
    guard isCut else { return true }
    return layers.hasTransport && Self.holds(network, layers.networkOffset)
      && Self.holds(transport, layers.transportOffset) && Self.holds(payload, layers.payloadOffset)
  }

  private static func holds(_ place: UInt16?, _ expected: UInt32) -> Bool {
    place.map { UInt32($0) == expected } ?? true
  }

  /// Where a transport header has its checksum (RFC 9293 §3.1, RFC 768, RFC 9260 §3.1).
  private static func checksumField(of transport: IPProtocol) -> UInt32? {
    switch transport {
    case .tcp: 16
    case .udp, .udpLite: 6
    case .sctp: 8
    default: nil
    }
  }
}
