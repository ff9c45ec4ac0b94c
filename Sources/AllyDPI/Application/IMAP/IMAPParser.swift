internal import AllyPacket

/// IMAP (RFC 9051), which is recognised and not followed: rules look at its streams.
final class IMAPParser: UnfollowedParser {
  static var applicationProtocol: ApplicationProtocol { .imap }
  static var recordName: StaticString { "imap" }
  static var recordKind: RecordKinds { [] }
  static var recognizesEachSide: Bool { true }

  init(limits: ApplicationLimits, transport: UInt8) {}

  /// What clients ask first, as Suricata knows it. The server's greeting is much like that of other protocols.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    if side == .toClient { return .no }
    for place in 0..<min(start.byteCount, question.count) where start.byte(at: place) != question[place] { return .no }
    return start.byteCount >= question.count ? .yes : .needsMore
  }

  private static let question = Array("1 capability\r\n".utf8)
}
