internal import AllyPacket

/// FTP's data connection: one file, which a control connection has announced.
final class FTPDataParser: ApplicationParser {
  static var applicationProtocol: ApplicationProtocol { .ftpData }
  static var transports: [UInt8] { [IPProtocolNumber.tcp] }
  static var recordName: StaticString { "ftp-data" }
  static var recordType: StaticString { "ftp_data" }
  static var describesFiles: Bool { false }
  static var recordKind: RecordKinds { .ftp }
  static var eventNames: [StaticString] { [] }

  private var transactionInHand: FTPDataTransaction?

  init(limits: ApplicationLimits, transport: UInt8) { transactionInHand = FTPDataTransaction() }

  func useFiles(_ policy: FilePolicy) { transactionInHand?.policy = policy }

  func adopt(_ announcement: AnyObject) { transactionInHand?.transfer = announcement as? FTPTransfer }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? {
    switch buffer {
    case .fileData, .fileName, .fileMagic: BufferAvailability(stage: TransactionStage.complete, grows: true)
    default: nil
    }
  }

  /// By announcement only.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    .no
  }

  func receive(_ data: RawSpan, from side: FlowSide) { transactionInHand?.receive(data, from: side) }
  func skip(_ count: Int, from side: FlowSide) { transactionInHand?.skip(count, from: side) }
  func close(_ side: FlowSide) { transactionInHand?.close(side) }

  var transactionCount: Int { transactionInHand == nil ? 0 : 1 }
  func transaction(at index: Int) -> any ApplicationTransaction { transactionInHand ?? FTPDataTransaction() }
  func removeTransaction(at index: Int) { transactionInHand = nil }
}

/// A transfer.
final class FTPDataTransaction: ApplicationTransaction {
  var number: UInt64 { 0 }
  var transfer: FTPTransfer?
  var policy = FilePolicy()
  private(set) var files: [TransferredFile] = []
  private var isClosedToServer = false
  private var isClosedToClient = false
  var events: ApplicationEvents { ApplicationEvents() }
  let inspection = TransactionInspection()

  func receive(_ data: RawSpan, from side: FlowSide) {
    if files.isEmpty {
      files.append(TransferredFile(name: (transfer?.name ?? [])[...], side: side, policy: policy))
    }
    if files[0].side == side { files[0].append(data) }
  }

  func skip(_ count: Int, from side: FlowSide) {
    if let file = files.first, file.side == side { file.skip(count) }
  }

  func close(_ side: FlowSide) {
    if side == .toServer { isClosedToServer = true } else { isClosedToClient = true }
    if let file = files.first, file.side == side { file.close(isWhole: true) }
  }

  func stage(of side: FlowSide) -> UInt8 {
    let isClosed = side == .toServer ? isClosedToServer : isClosedToClient
    return isClosed ? TransactionStage.complete : TransactionStage.complete - 1
  }

  func bytes(of buffer: InspectionBuffer, from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? {
    fileBuffer(buffer, from: side, at: index)
  }

  func matches(
    _ test: TransactionTest, in packet: DecodedPacket, from side: FlowSide,
    ranges: ConstantTable<DetectionTables.NumberRange>
  ) -> Bool {
    if case .ftpDataCommand(let command) = test { return transfer?.command == command }
    return false
  }

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("ftp_data")
    json.beginObject()
    if let transfer {
      json.key("filename")
      json.text(transfer.name[...])
      json.key("command")
      json.string(transfer.command == .retr ? "RETR" : "STOR")
    }
    json.endObject()
  }
}
