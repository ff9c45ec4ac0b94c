internal import AllyPacket

/// BitTorrent's distributed hash table (BEP 5): one transaction for each message.
final class BitTorrentParser: MessageParser {
  static var applicationProtocol: ApplicationProtocol { .bittorrentDHT }
  static var transports: [UInt8] { [IPProtocolNumber.udp] }
  static var recordName: StaticString { "bittorrent-dht" }
  static var recordType: StaticString { "bittorrent_dht" }
  static var recordKind: RecordKinds { .bittorrentDHT }
  static var eventNames: [StaticString] { ["malformed_packet"] }

  var list: TransactionList<BitTorrentTransaction>

  init(limits: ApplicationLimits, transport: UInt8) { list = TransactionList(limits: limits) }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? { nil }

  private static let opening = Array("d1:ad2:id20:".utf8)

  /// A question, on any port.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    guard start.byteCount >= opening.count else { return .no }
    for place in 0..<opening.count where start.byte(at: place) != opening[place] { return .no }
    return .yes
  }

  func receive(_ data: RawSpan, from side: FlowSide) {
    let bytes = data.array[...]
    guard BitTorrentMessage.isLikely(bytes) else { return }
    let message = BitTorrentMessage(bytes)
    let transaction = list.begin { BitTorrentTransaction(number: $0, side: side, message: message) }
    if message?.identifier == nil { transaction?.noteMalformed() }
  }
}
