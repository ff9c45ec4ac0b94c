/// What follows a link-layer header, as numbered in the IEEE registry (RFC 9542 appendix B).
@frozen
public struct EtherType: RawRepresentable, Sendable, BitwiseCopyable, Equatable {
  public var rawValue: UInt16

  @inlinable
  @inline(__always)
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// No type: the link layer named none (an IEEE 802.3 length field, an unknown address family).
  @inlinable public static var none: EtherType { EtherType(rawValue: 0) }
  /// IPv4 (RFC 894).
  @inlinable public static var ipv4: EtherType { EtherType(rawValue: 0x0800) }
  /// Address resolution (RFC 826).
  @inlinable public static var arp: EtherType { EtherType(rawValue: 0x0806) }
  /// A VLAN tag, customer (IEEE 802.1Q).
  @inlinable public static var vlan: EtherType { EtherType(rawValue: 0x8100) }
  /// IPv6 (RFC 2464).
  @inlinable public static var ipv6: EtherType { EtherType(rawValue: 0x86DD) }
  /// A VLAN tag, service provider (IEEE 802.1ad, "QinQ").
  @inlinable public static var serviceVLAN: EtherType { EtherType(rawValue: 0x88A8) }
  /// A VLAN tag as many switches wrote the outer one before IEEE 802.1ad.
  @inlinable public static var legacyServiceVLAN: EtherType { EtherType(rawValue: 0x9100) }

  /// Whether a VLAN tag follows.
  @inlinable
  @inline(__always)
  public var isVLAN: Bool { self == .vlan || self == .serviceVLAN || self == .legacyServiceVLAN }

  /// Whether the field is a type at all: below 1536 it is the length of an IEEE 802.3 frame.
  @inlinable
  public var isType: Bool { rawValue >= 0x0600 }
}
