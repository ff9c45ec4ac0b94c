/// Which bytes a content, pattern or byte operation looks at. A sticky buffer keyword (`tcp.hdr`, …) sets it for the
/// options behind it, `pkt_data` sets it back. The next buffers (`http.uri`, …) become new cases.
public enum InspectionBuffer: Sendable, BitwiseCopyable, Hashable, CaseIterable {
  /// The packet's payload, or the reassembled stream.
  case payload
  /// `ipv4.hdr`: the IPv4 header with its options.
  case ipv4Header
  /// `ipv6.hdr`: the IPv6 header with its extension headers.
  case ipv6Header
  /// `tcp.hdr`: the TCP header with its options.
  case tcpHeader
  /// `udp.hdr`: the 8 bytes of the UDP header.
  case udpHeader
  /// `icmpv4.hdr`: the ICMP header, 8 bytes or as long as the type has it.
  case icmpv4Header
  /// `icmpv6.hdr`: likewise.
  case icmpv6Header

  /// Whether the buffer lies in one packet's headers: never in a stream.
  public var isHeader: Bool { self != .payload }
}
