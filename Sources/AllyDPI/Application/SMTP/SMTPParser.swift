internal import AllyPacket

/// SMTP (RFC 5321) with the mails that it carries: one transaction for each mail.
final class SMTPParser: ApplicationParser {
  static var applicationProtocol: ApplicationProtocol { .smtp }
  static var transports: [UInt8] { [IPProtocolNumber.tcp] }
  static var recordName: StaticString { "smtp" }
  static var recordKind: RecordKinds { .smtp }
  static let eventNames: [StaticString] = SMTPEvent.allCases.map(\.name)
  static var capitalizesEvents: Bool { true }

  /// Bytes of a line without its end, and of the pieces of a longer one.
  private static var longestLine: Int { 4095 }
  private static var pieceOfLine: Int { 4096 }
  /// Commands that wait for a reply.
  static var mostCommands: Int { 256 }

  let limits: ApplicationLimits
  private(set) var filePolicy = FilePolicy()
  private(set) var transactions: [SMTPTransaction] = []
  private var transactionsBegun: UInt64 = 0

  private var requestLines = LineReader(limit: SMTPParser.longestLine, piece: SMTPParser.pieceOfLine)
  private var replyLines = LineReader(limit: SMTPParser.longestLine, piece: SMTPParser.pieceOfLine)
  /// The mail that is being sent.
  var current: SMTPTransaction?
  /// What the client calls itself.
  var hello: [UInt8] = []

  enum Mode { case commands, data, chunk, tunnel }
  var mode = Mode.commands
  /// Bytes of a `BDAT` chunk to come.
  var chunkLeft = 0
  /// Commands that have not been answered.
  var waiting: [SMTPCommand] = []
  var hasPipelining = false
  var hasGreeted = false
  var isInLongReply = false
  /// Bytes of a side are missing: until a line begins for sure, nothing is read.
  private var isLostToServer = false

  init(limits: ApplicationLimits, transport: UInt8) { self.limits = limits }

  func useFiles(_ policy: FilePolicy) { filePolicy = policy }

  var isHandedOver: Bool { mode == .tunnel }
  var announcedSuccessor: ApplicationProtocol? { .tls }
  static var recognizesEachSide: Bool { true }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? {
    switch buffer {
    case .fileData, .fileName, .fileMagic:
      side == .toServer ? BufferAvailability(stage: SMTPTransaction.Stage.complete, grows: true) : nil
    default: nil
    }
  }

  /// A client greets by name; a server says in its greeting what it is.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    switch side {
    case .toServer:
      if start.byteCount < 5 { return .needsMore }
      let isGreeting = start.hasCaselessPrefix("ehlo") || start.hasCaselessPrefix("helo")
      return isGreeting || start.hasCaselessPrefix("quit\r") ? .yes : .no
    case .toClient:
      // Other protocols greet with 220, too: the client tells.
      return .no
    }
  }

  // MARK: data

  func receive(_ data: RawSpan, from side: FlowSide) {
    if mode == .tunnel { return }
    switch side {
    case .toServer: receiveRequest(data)
    case .toClient: receiveReply(data)
    }
  }

  private func receiveRequest(_ data: RawSpan) {
    var offset = 0
    while offset < data.byteCount, mode != .tunnel {
      if mode == .chunk {
        let count = min(chunkLeft, data.byteCount - offset)
        takeChunk(data.extracting(offset..<(offset + count)))
        offset += count
        continue
      }
      var reader = LineReader(limit: 0)
      swap(&reader, &requestLines)
      offset += reader.read(data.extracting(offset...)) { line in
        request(line)
        return mode != .chunk && mode != .tunnel
      }
      swap(&reader, &requestLines)
    }
  }

  private func receiveReply(_ data: RawSpan) {
    var reader = LineReader(limit: 0)
    swap(&reader, &replyLines)
    _ = reader.read(data) { line in
      reply(line)
      return mode != .tunnel
    }
    swap(&reader, &replyLines)
  }

  func skip(_ count: Int, from side: FlowSide) {
    switch side {
    case .toServer:
      requestLines.removeAll()
      switch mode {
      case .data: current?.openFile?.skip(count)
      case .chunk:
        current?.openFile?.skip(min(count, chunkLeft))
        chunkLeft -= min(count, chunkLeft)
        if chunkLeft == 0 { mode = .commands }
      case .commands, .tunnel: break
      }
    case .toClient: replyLines.removeAll()
    }
  }

  func close(_ side: FlowSide) {
    if side == .toServer {
      // Of a file that ends within a line, that much has come.
      if mode == .data, !requestLines.isEmpty, current?.openFile != nil {
        let rest = Array(requestLines.rest)
        requestLines.removeAll()
        takeDataLine(LineReader.Line(bytes: rest.rawBytes, endLength: 0, isCut: false, isContinuation: false))
      }
      current?.abortMail()
    }
    for transaction in transactions { transaction.close(side) }
  }

  // MARK: transactions

  /// The transaction that commands belong to: a new one when the last mail is done with.
  func transactionForCommand() -> SMTPTransaction? {
    if let current, !current.isDone { return current }
    guard transactions.count < limits.transactions else { return nil }
    let transaction = SMTPTransaction(number: transactionsBegun)
    transactionsBegun += 1
    transactions.append(transaction)
    current = transaction
    return transaction
  }

  /// An event before any command was seen has a transaction of its own.
  func note(_ event: SMTPEvent) { (current ?? transactionForCommand())?.note(event) }

  var transactionCount: Int { transactions.count }
  func transaction(at index: Int) -> any ApplicationTransaction {
    transactions[index].hello = hello
    return transactions[index]
  }

  func removeTransaction(at index: Int) {
    let transaction = transactions.remove(at: index)
    if transaction === current { current = nil }
  }
}

/// What waits for a reply.
enum SMTPCommand { case startTLS, data, endOfData, chunk, reset, other }
