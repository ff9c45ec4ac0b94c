/// What a `log` statement says besides the packet.
public struct LogStatement: Sendable, Equatable {
  /// Put before the packet's fields; empty without.
  public var prefix: String
  /// syslog's name of the level; nil when the statement names none.
  public var level: String?
}
