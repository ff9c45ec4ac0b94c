/// What a firewall did so far.
public struct FirewallStatistics: Sendable, Equatable, BitwiseCopyable {
  /// All frames.
  public var frames: UInt64 = 0
  /// Bytes of these frames, from the link-layer header on.
  public var bytes: UInt64 = 0
  public var accepted: UInt64 = 0
  public var dropped: UInt64 = 0
  public var rejected: UInt64 = 0
  /// Frames that carry no IP packet.
  public var framesWithoutIP: UInt64 = 0
  /// Frames dropped because their link-layer or IP header cannot be read.
  public var malformed: UInt64 = 0
  /// Fragments that shared the fate of their datagram's first.
  public var fragmentsFollowed: UInt64 = 0
  /// Later fragments whose first was not seen.
  public var fragmentsWithoutFirst: UInt64 = 0
  /// Fragments dropped because they overlap their datagram's first, leave the datagram's bounds, or cut the transport
  /// header (RFC 1858, RFC 5722).
  public var fragmentsRefused: UInt64 = 0
  /// Packets that connection tracking called invalid.
  public var invalid: UInt64 = 0
  /// Connections tracked now.
  public var connections: UInt64 = 0
  public var connectionsCreated: UInt64 = 0
  /// Connections forgotten after their time.
  public var connectionsExpired: UInt64 = 0
  /// Connections forgotten before their time, to make room.
  public var connectionsEvicted: UInt64 = 0
  /// Packets dropped because there was no room for their connection.
  public var connectionsRefused: UInt64 = 0
  /// Log events that found the queue full.
  public var logEventsLost: UInt64 = 0

  public init() {}
}
