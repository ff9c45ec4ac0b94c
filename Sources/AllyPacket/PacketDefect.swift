/// What stands in the way of reading a frame's headers. It ends the reading; what was read before it stands.
@frozen
public enum PacketDefect: UInt8, Error, Sendable, BitwiseCopyable {
  /// The frame's link layer is none that ``LinkType`` names.
  case unknownLinkType
  /// The frame ends within its link-layer header or a VLAN tag.
  case linkHeaderCut
  /// More VLAN tags than ``PacketLayers/maximumVLANTags``.
  case tooManyVLANTags
  /// The frame ends within its IP header, or that header's version, header length or total length contradict each
  /// other. An operating system discards such a packet before anything looks at it (RFC 1122 §3.2.1).
  case badNetworkHeader
  /// The IP header announces more bytes than the frame had on the wire.
  case lengthBeyondFrame
  /// An IPv6 extension header is cut, comes twice where it must not, or there are more than
  /// ``PacketLayers/maximumExtensionHeaders``.
  case badExtensionHeader
  /// The packet ends within its transport header, or that header contradicts itself.
  case badTransportHeader

  /// Whether not even the network layer is known, so that no rule about addresses can be asked.
  @inlinable
  public var isBelowTransport: Bool { self != .badTransportHeader }
}
