/// What the wire knows about a frame besides its bytes: when it passed, and as the how-manieth.
///
/// The wire stamps each frame; the stamp reaches ``PacketInspector/inspect(_:)`` in arrival order, so that the
/// inspector's clock advances per frame and not per batch.
@frozen
public struct FrameStamp: Sendable, BitwiseCopyable, Equatable {
  /// Nanoseconds since 1970-01-01T00:00:00Z.
  public var time: UInt64
  /// The frame's number on its wire, counted from 1 (a capture's packet number).
  public var ordinal: UInt64
  /// Bytes the frame had on the wire; more than its bytes here when the capture cut it.
  public var lengthOnWire: UInt32
  /// How the frame's bytes begin.
  public var linkType: LinkType

  @inlinable
  public init(time: UInt64 = 0, ordinal: UInt64 = 0, lengthOnWire: UInt32 = 0, linkType: LinkType = .ethernet) {
    self.time = time
    self.ordinal = ordinal
    self.lengthOnWire = lengthOnWire
    self.linkType = linkType
  }
}

/// The link layer that a frame's bytes begin with, numbered as in the registry of capture link types (LINKTYPE_…).
@frozen
public struct LinkType: RawRepresentable, Sendable, BitwiseCopyable, Equatable {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// BSD loopback: a four-byte address family in the byte order of the capturing host, then the network header.
  @inlinable public static var null: LinkType { LinkType(rawValue: 0) }
  /// IEEE 802.3 Ethernet, without preamble and frame check sequence.
  @inlinable public static var ethernet: LinkType { LinkType(rawValue: 1) }
  /// An IPv4 or IPv6 header right away.
  @inlinable public static var raw: LinkType { LinkType(rawValue: 101) }
  /// Cisco HDLC.
  @inlinable public static var ciscoHDLC: LinkType { LinkType(rawValue: 104) }
  /// Linux "cooked" capture, 16-byte header.
  @inlinable public static var linuxSLL: LinkType { LinkType(rawValue: 113) }
  /// An IPv4 header right away.
  @inlinable public static var ipv4: LinkType { LinkType(rawValue: 228) }
  /// An IPv6 header right away.
  @inlinable public static var ipv6: LinkType { LinkType(rawValue: 229) }
  /// Linux "cooked" capture, version 2, 20-byte header.
  @inlinable public static var linuxSLL2: LinkType { LinkType(rawValue: 276) }
}
