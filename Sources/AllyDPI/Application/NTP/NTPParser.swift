internal import AllyPacket

/// NTP, versions 3 and 4 (RFC 1305, RFC 5905): one transaction for each message. There are no records of it.
final class NTPParser: MessageParser {
  static var applicationProtocol: ApplicationProtocol { .ntp }
  static var transports: [UInt8] { [IPProtocolNumber.udp] }
  static var recordName: StaticString { "ntp" }
  static var standardPort: UInt16 { 123 }
  static var recordKind: RecordKinds { [] }
  static var eventNames: [StaticString] { ["malformed_data"] }

  /// Bytes of a message without extensions.
  fileprivate static var headerLength: Int { 48 }

  var list: TransactionList<NTPTransaction>

  init(limits: ApplicationLimits, transport: UInt8) { list = TransactionList(limits: limits) }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? { nil }

  /// On its port alone: little in a message is always the same.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    guard serverPort == 123, start.byteCount > 0 else { return .no }
    let version = start.byte(at: 0) >> 3 & 7
    let mode = start.byte(at: 0) & 7
    // Mode 6 is for control and 7 private: they have forms of their own.
    let isTime = (1...5).contains(mode) && start.byteCount >= headerLength
    return version >= 3 && version <= 4 && (isTime || mode >= 6 && start.byteCount >= 12) ? .yes : .no
  }

  func receive(_ data: RawSpan, from side: FlowSide) {
    let transaction = list.begin { NTPTransaction(number: $0) }
    guard data.byteCount > 0 else { return }
    let first = data.byte(at: 0)
    let isKnown = (3...4).contains(first >> 3 & 7) && first & 7 != 0
    if !isKnown || first & 7 < 6 && data.byteCount < NTPParser.headerLength { transaction?.noteMalformed() }
  }
}

/// A message.
final class NTPTransaction: MessageTransaction {
  let number: UInt64
  private(set) var events = ApplicationEvents()
  let inspection = TransactionInspection()

  init(number: UInt64) { self.number = number }

  func noteMalformed() { events.insert(0) }
  func recordCount(_ options: RecordOptions) -> Int { 0 }
  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {}
}
