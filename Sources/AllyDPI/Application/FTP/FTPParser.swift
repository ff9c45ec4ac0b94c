internal import AllyPacket

/// FTP's control connection (RFC 959): one transaction for each command and its replies.
///
/// A transfer's data comes over a connection of its own, which the commands announce: ``takeExpectation()``.
final class FTPParser: ApplicationParser {
  static var applicationProtocol: ApplicationProtocol { .ftp }
  static var transports: [UInt8] { [IPProtocolNumber.tcp] }
  static var recordName: StaticString { "ftp" }
  static var recordKind: RecordKinds { .ftp }
  static let eventNames: [StaticString] = FTPEvent.allCases.map(\.name)

  private static var longestLine: Int { 4096 }

  let limits: ApplicationLimits
  private(set) var transactions: [FTPTransaction] = []
  private var transactionsBegun: UInt64 = 0
  private var requestLines = LineReader(limit: FTPParser.longestLine)
  private var replyLines = LineReader(limit: FTPParser.longestLine)
  /// Where the next transfer's data will go: what `PORT`, `PASV` and their like agreed upon.
  private var dataPort: (number: UInt16, isActive: Bool)?
  private var expectations: [FlowExpectation] = []
  private(set) var isHandedOver = false
  var announcedSuccessor: ApplicationProtocol? { .tls }
  static var recognizesEachSide: Bool { true }

  init(limits: ApplicationLimits, transport: UInt8) { self.limits = limits }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? { nil }

  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    switch side {
    case .toServer:
      if start.byteCount < 5 { return .needsMore }
      let isCommand =
        start.hasCaselessPrefix("user ") || start.hasCaselessPrefix("pass ") || start.hasCaselessPrefix("port ")
        || start.hasCaselessPrefix("feat\r") || start.hasCaselessPrefix("auth tls")
        || start.hasCaselessPrefix("auth ssl")
      return isCommand ? .yes : .no
    case .toClient:
      // Other protocols greet with 220, too: mostly the client tells.
      if start.hasCaselessPrefix("220 (") { return .yes }
      return start.byteCount < 5 ? .needsMore : .no
    }
  }

  // MARK: data

  func receive(_ data: RawSpan, from side: FlowSide) {
    if isHandedOver { return }
    var reader = LineReader(limit: 0)
    switch side {
    case .toServer:
      swap(&reader, &requestLines)
      _ = reader.read(data) { line in
        request(line)
        return true
      }
      swap(&reader, &requestLines)
    case .toClient:
      swap(&reader, &replyLines)
      _ = reader.read(data) { line in
        reply(line)
        return !isHandedOver
      }
      swap(&reader, &replyLines)
    }
  }

  func skip(_ count: Int, from side: FlowSide) {
    if side == .toServer { requestLines.removeAll() } else { replyLines.removeAll() }
  }

  func close(_ side: FlowSide) {
    for transaction in transactions where side == .toClient { transaction.isDone = true }
  }

  // MARK: commands

  private func request(_ line: borrowing LineReader.Line) {
    if line.isContinuation || line.bytes.byteCount == 0 { return }
    guard let transaction = beginTransaction() else { return }
    transaction.take(line.bytes, isCut: line.isCut)
    if line.isCut { transaction.note(.commandTooLong) }
    if transaction.command == .retr || transaction.command == .stor { announce(transaction) }
  }

  /// The data of a transfer comes over another connection.
  private func announce(_ transaction: FTPTransaction) {
    guard let dataPort, let name = transaction.parameter, !name.isEmpty, expectations.count < 16 else { return }
    self.dataPort = nil
    let transfer = FTPTransfer(command: transaction.command == .retr ? .retr : .stor, name: Array(name))
    expectations.append(
      FlowExpectation(
        listener: dataPort.isActive ? .toServer : .toClient, port: dataPort.number, parser: FTPDataParser.self,
        announcement: transfer))
  }

  func takeExpectation() -> FlowExpectation? { expectations.isEmpty ? nil : expectations.removeFirst() }

  // MARK: replies

  private func reply(_ line: borrowing LineReader.Line) {
    if line.isContinuation { return }
    guard let transaction = transactions.first(where: { !$0.isDone }) ?? transactions.last ?? beginTransaction() else {
      return
    }
    if line.isCut { transaction.note(.replyTooLong) }
    transaction.addReply(line.bytes, isCut: line.isCut)
    switch transaction.command {
    case .authTLS: if line.bytes.hasCaselessPrefix("234 ") { isHandedOver = true }
    case .port, .eprt:
      let isPlain = transaction.command == .port
      guard let text = transaction.parameter,
        let port = isPlain ? FTPAddress.port(text)?.port : FTPAddress.extendedPort(text)
      else { break }
      transaction.dynamicPort = port
      transaction.isActive = true
      dataPort = (port, true)
    case .pasv, .epsv:
      let isPlain = transaction.command == .pasv
      guard line.bytes.hasCaselessPrefix(isPlain ? "227 " : "229 ") else { break }
      let text = line.bytes.array[...]
      guard let port = isPlain ? FTPAddress.passivePort(text) : FTPAddress.extendedPassivePort(text) else { break }
      transaction.dynamicPort = port
      dataPort = (port, false)
    default: break
    }
    // A preliminary reply leaves the command open (RFC 959 §4.2).
    if line.bytes.byteCount >= 3, line.bytes.byte(at: 0) == UInt8(ascii: "1") { return }
    transaction.isDone = true
  }

  // MARK: transactions

  private func beginTransaction() -> FTPTransaction? {
    guard transactions.count < limits.transactions else { return nil }
    let transaction = FTPTransaction(number: transactionsBegun)
    transactionsBegun += 1
    transactions.append(transaction)
    return transaction
  }

  var transactionCount: Int { transactions.count }
  func transaction(at index: Int) -> any ApplicationTransaction { transactions[index] }
  func removeTransaction(at index: Int) { transactions.remove(at: index) }
}

/// What is odd about an FTP conversation.
enum FTPEvent: UInt8, CaseIterable, Sendable {
  case commandTooLong, replyTooLong

  var name: StaticString {
    switch self {
    case .commandTooLong: "request_command_too_long"
    case .replyTooLong: "response_command_too_long"
    }
  }
}

/// What a control connection says of a transfer.
final class FTPTransfer {
  let command: FTPDataCommand
  let name: [UInt8]

  init(command: FTPDataCommand, name: [UInt8]) {
    self.command = command
    self.name = name
  }
}
