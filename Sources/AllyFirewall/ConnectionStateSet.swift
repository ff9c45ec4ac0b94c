/// What connection tracking says of a packet, as `ct state` asks it; a packet has exactly one of these.
@frozen
public struct ConnectionStateSet: OptionSet, Sendable, BitwiseCopyable, Hashable {
  public var rawValue: UInt8

  @inlinable
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Belongs to no connection although it ought to, or contradicts the one that it names.
  @inlinable public static var invalid: ConnectionStateSet { ConnectionStateSet(rawValue: 1) }
  /// Belongs to a connection that has seen packets both ways.
  @inlinable public static var established: ConnectionStateSet { ConnectionStateSet(rawValue: 2) }
  /// An ICMP error about a packet of a connection.
  @inlinable public static var related: ConnectionStateSet { ConnectionStateSet(rawValue: 4) }
  /// Begins a connection, or belongs to one that was not answered yet.
  @inlinable public static var new: ConnectionStateSet { ConnectionStateSet(rawValue: 8) }
  /// Not tracked: neighbour and multicast listener discovery.
  @inlinable public static var untracked: ConnectionStateSet { ConnectionStateSet(rawValue: 64) }

  static let names: [String: ConnectionStateSet] = [
    "invalid": .invalid, "established": .established, "related": .related, "new": .new, "untracked": .untracked,
  ]
}
