internal import AllyPacket

/// Telnet (RFC 854), which is recognised and not followed: rules look at its streams.
final class TelnetParser: UnfollowedParser {
  static var applicationProtocol: ApplicationProtocol { .telnet }
  static var recordName: StaticString { "telnet" }
  static var recordKind: RecordKinds { .telnet }

  init(limits: ApplicationLimits, transport: UInt8) {}

  /// On its port alone: what is sent first may be anything.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    guard serverPort == 23 else { return .no }
    return start.byteCount > 0 ? .yes : .needsMore
  }
}
