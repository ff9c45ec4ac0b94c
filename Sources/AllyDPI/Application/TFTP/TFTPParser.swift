internal import AllyPacket

/// TFTP (RFC 1350): one transaction for each request to read or write a file. The file itself goes from another port.
final class TFTPParser: MessageParser {
  static var applicationProtocol: ApplicationProtocol { .tftp }
  static var transports: [UInt8] { [IPProtocolNumber.udp] }
  static var recordName: StaticString { "tftp" }
  static var recordKind: RecordKinds { .tftp }

  var list: TransactionList<TFTPTransaction>

  init(limits: ApplicationLimits, transport: UInt8) { list = TransactionList(limits: limits) }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? { nil }

  /// On its port alone: little in a message is always the same.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    serverPort == 69 && side == .toServer && start.byteCount >= 4 && start.byte(at: 0) == 0 ? .yes : .no
  }

  func receive(_ data: RawSpan, from side: FlowSide) {
    guard side == .toServer, let request = TFTPRequest(data.array[...]) else { return }
    _ = list.begin { TFTPTransaction(number: $0, request: request) }
  }
}

/// A request, read once (RFC 1350 §5).
struct TFTPRequest {
  /// How the file is to be sent (RFC 1350 §1).
  enum Mode: String, CaseIterable { case netascii, octet, mail }

  var isWrite: Bool
  var name: ArraySlice<UInt8>
  var mode: Mode

  /// - Returns: nil for other messages, and for names that are no text.
  init?(_ message: ArraySlice<UInt8>) {
    var reader = ByteReader(message)
    guard let operation = reader.u16(), operation == 1 || operation == 2 else { return nil }
    let fields = reader.rest.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
    guard fields.count == 3, String(validating: fields[0], as: UTF8.self) != nil,
      let mode = Mode(rawValue: String(decoding: fields[1], as: UTF8.self).lowercased())
    else { return nil }
    isWrite = operation == 2
    name = fields[0]
    self.mode = mode
  }
}

/// A request.
final class TFTPTransaction: MessageTransaction {
  let number: UInt64
  private let request: TFTPRequest
  var events: ApplicationEvents { ApplicationEvents() }
  let inspection = TransactionInspection()

  init(number: UInt64, request: TFTPRequest) {
    self.number = number
    self.request = request
  }

  /// Alerts say nothing about it.
  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {}

  func writeRecord(_ index: Int, to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("tftp")
    json.beginObject()
    json.key("packet")
    json.string(request.isWrite ? "write" : "read")
    json.key("file")
    json.text(request.name)
    json.key("mode")
    json.string(request.mode.rawValue)
    json.endObject()
  }
}
