/// What an IP header carries: IPv4's protocol and IPv6's next header field share one registry (RFC 5237).
@frozen
public struct IPProtocol: RawRepresentable, Sendable, BitwiseCopyable, Hashable {
  public var rawValue: UInt8

  @inlinable
  @inline(__always)
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// IPv6 hop-by-hop options (RFC 8200 §4.3).
  @inlinable public static var hopByHop: IPProtocol { IPProtocol(rawValue: 0) }
  @inlinable public static var icmp: IPProtocol { IPProtocol(rawValue: 1) }
  @inlinable public static var tcp: IPProtocol { IPProtocol(rawValue: 6) }
  @inlinable public static var udp: IPProtocol { IPProtocol(rawValue: 17) }
  @inlinable public static var dccp: IPProtocol { IPProtocol(rawValue: 33) }
  /// IPv6 routing header (RFC 8200 §4.4).
  @inlinable public static var routing: IPProtocol { IPProtocol(rawValue: 43) }
  /// IPv6 fragment header (RFC 8200 §4.5).
  @inlinable public static var fragment: IPProtocol { IPProtocol(rawValue: 44) }
  /// Authentication header (RFC 4302).
  @inlinable public static var authentication: IPProtocol { IPProtocol(rawValue: 51) }
  @inlinable public static var icmpv6: IPProtocol { IPProtocol(rawValue: 58) }
  /// IPv6: nothing follows (RFC 8200 §4.7).
  @inlinable public static var noNextHeader: IPProtocol { IPProtocol(rawValue: 59) }
  /// IPv6 destination options (RFC 8200 §4.6).
  @inlinable public static var destinationOptions: IPProtocol { IPProtocol(rawValue: 60) }
  @inlinable public static var sctp: IPProtocol { IPProtocol(rawValue: 132) }
  @inlinable public static var udpLite: IPProtocol { IPProtocol(rawValue: 136) }
}
