internal import AllyPacket

/// SMB 1, 2 and 3 without encryption (MS-CIFS, MS-SMB, MS-SMB2), over TCP directly or in NetBIOS sessions: one transaction for
/// each request and its response, one for each file in each direction, one for each DCE/RPC call in a pipe.
final class SMBParser: ApplicationParser {
  static var applicationProtocol: ApplicationProtocol { .smb }
  static var transports: [UInt8] { [IPProtocolNumber.tcp] }
  static var recordName: StaticString { "smb" }
  static var standardPort: UInt16 { 139 }
  static var recordKind: RecordKinds { .smb }
  static var recognizesEachSide: Bool { true }
  static var isReadToTheEnd: Bool { true }
  static let eventNames: [StaticString] = SMBEvent.allCases.map(\.name)

  static let frameTypes: [StaticString] = [
    "nbss.pdu", "nbss.hdr", "nbss.data", "smb1.pdu", "smb1.hdr", "smb1.data", "smb2.pdu", "smb2.hdr", "smb2.data",
    "smb3.pdu",
  ]

  let limits: ApplicationLimits
  private var frames: FrameList?
  private(set) var filePolicy = FilePolicy()
  private(set) var transactions: [SMBTransaction] = []
  private var transactionsBegun: UInt64 = 0
  var toServer = SMBFraming()
  var toClient = SMBFraming()
  let conversation = SMBConversation()

  /// What the two sides know of each other.
  var trees = BoundedMap<UInt64, SMBTree>(capacity: 1024)
  /// The file that was asked for last.
  var lastCreated: [UInt8] = []
  /// Names of open files by session-wide identifiers.
  var names = BoundedMap<[UInt8], [UInt8]>(capacity: 2048)
  /// Which file, and which place in it, a read asked for.
  var reads = BoundedMap<UInt64, SMBRead>(capacity: 1024)
  /// Writes without an answer.
  var writes = BoundedMap<UInt64, SMBTransaction>(capacity: 256)
  /// Files that are being transferred: by identifier and sender.
  var files = BoundedMap<SMBFileKey, SMBTransaction>(capacity: 256)
  var pipes = BoundedMap<[UInt8], SMBPipe>(capacity: 256)
  /// Pipes of transactions in hand (`SMB_COM_TRANSACTION`).
  var pipesInTransactions = BoundedMap<UInt64, [UInt8]>(capacity: 256)
  let interfaces = DCERPCInterfaces()

  init(limits: ApplicationLimits, transport: UInt8) { self.limits = limits }

  func useFiles(_ policy: FilePolicy) { filePolicy = policy }

  func useFrames(_ list: FrameList) { frames = list }

  /// A message has come, or the head of a large one.
  ///
  /// - Parameters:
  ///   - head: what has been kept of it, with the session's header.
  ///   - rest: what else has come.
  ///   - length: of the message without the session's header.
  ///   - side: who sends it.
  ///   - offset: where it begins in what was received.
  func show(_ head: [UInt8], _ rest: RawSpan, length: Int, from side: FlowSide, at offset: Int) {
    guard let frames, head.count >= 8 else { return }
    let known = head + rest.extracting(first: max(0, 4 + length - head.count)).array
    let message = known[4...]
    frames.begin(0, side, at: offset, known.rawBytes, length: 4 + length)
    let session = known[..<4]
    frames.begin(1, side, at: offset, session.rawBytes, length: 4)
    frames.begin(2, side, at: offset + 4, message.rawBytes, length: length)
    let (type, header): (UInt8, Int)
    switch known[4] {
    case 0xFF: (type, header) = (3, SMBHeader.length1)
    case 0xFE: (type, header) = (6, SMBHeader.length2)
    case 0xFD: (type, header) = (9, 0)
    default: return
    }
    frames.begin(type, side, at: offset + 4, message.rawBytes, length: length)
    guard header > 0, length >= header, message.count >= header else { return }
    let fields = message.prefix(header)
    frames.begin(type + 1, side, at: offset + 4, fields.rawBytes, length: header)
    let body = message.dropFirst(header)
    frames.begin(type + 2, side, at: offset + 4 + header, body.rawBytes, length: length - header)
  }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? {
    switch buffer {
    case .fileData, .fileName, .fileMagic: BufferAvailability(stage: TransactionStage.complete, grows: true)
    case .dcerpcStubData: BufferAvailability(stage: TransactionStage.complete)
    case .smbNamedPipe, .smbShare, .smbNTLMSSPUser, .smbNTLMSSPDomain:
      side == .toServer ? BufferAvailability(stage: TransactionStage.complete) : nil
    default: nil
    }
  }

  /// A NetBIOS session message, and an SMB header in it.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    guard start.byteCount >= 8 else {
      return start.byteCount == 0 || [0, 0x81, 0x82].contains(start.byte(at: 0)) ? .needsMore : .no
    }
    switch start.byte(at: 0) {
    case 0: return SMBHeader.isMagic(start.extracting(4...)) ? .yes : .no
    case 0x81 where side == .toServer, 0x82 where side == .toClient:
      // A session request (RFC 1002 §4.3.2): what follows it tells.
      let length = Int(start.byte(at: 2)) << 8 | Int(start.byte(at: 3))
      guard start.byteCount >= 12 + length else { return serverPort == 139 ? .needsMore : .no }
      return SMBHeader.isMagic(start.extracting((8 + length)...)) ? .yes : .no
    default: return .no
    }
  }

  // MARK: data

  func receive(_ data: RawSpan, from side: FlowSide) {
    var framing = SMBFraming()
    if side == .toServer { swap(&framing, &toServer) } else { swap(&framing, &toClient) }
    framing.receive(data, from: side, self)
    if side == .toServer { swap(&framing, &toServer) } else { swap(&framing, &toClient) }
  }

  func skip(_ count: Int, from side: FlowSide) {
    if side == .toServer { toServer.skip(count) } else { toClient.skip(count) }
  }

  func close(_ side: FlowSide) {
    for transaction in transactions {
      if transaction.files.first?.side == side { transaction.closeFile(isWhole: false) }
      transaction.close(side)
    }
  }

  /// A whole message.
  func take(_ message: RawSpan, from side: FlowSide) {
    guard let header = SMBHeader(message) else { return note(.malformedData) }
    if header.version == 2 { takeVersion2(message, from: side) } else { takeVersion1(header, message, from: side) }
    if header.isResponse != (side == .toClient) { note(side == .toServer ? .responseToServer : .requestToClient) }
  }

  /// The content of a file in a message of which only the head has come; nil when it must be whole.
  func content(in head: RawSpan, length: Int, from side: FlowSide) -> SMBContent? {
    guard let header = SMBHeader(head) else { return nil }
    return header.version == 2 ? content2(in: head, header, length: length) : content1(in: head, header)
  }

  // MARK: transactions

  /// Something is odd about what was said last.
  func note(_ event: SMBEvent) { transactions.last?.note(event) }

  /// A request to log on.
  func beginSession(_ header: SMBHeader, _ blob: RawSpan, _ systems: SMBTransaction.Systems? = nil) {
    var session = SMBTransaction.Session()
    session.logon = NTLMSSP(in: blob)
    let isMalformed = session.logon == nil && NTLMSSP.isLogon(in: blob)
    if session.logon == nil { session.ticket = KerberosTicketNames(in: blob.array[...]) }
    session.request = systems
    let transaction = begin(header, .session(session))
    if isMalformed { transaction?.note(.malformedNTLMSSP) }
    if session.logon?.hasUnusualOrder == true { transaction?.note(.unusualNTLMSSPOrder) }
  }

  func begin(_ header: SMBHeader, _ kind: SMBTransaction.Kind) -> SMBTransaction? {
    guard transactions.count < limits.transactions else {
      note(.tooManyTransactions)
      return nil
    }
    let transaction = SMBTransaction(number: transactionsBegun, header, kind, conversation)
    transactionsBegun += 1
    transactions.append(transaction)
    return transaction
  }

  /// The transaction whose response a message is; nil when its request was not seen.
  func awaiting(_ header: SMBHeader) -> SMBTransaction? {
    if header.isNegotiation, let first = transactions.first(where: { $0.isNegotiation && !$0.isAnswered }) {
      return first
    }
    return transactions.first {
      $0.awaitsResponse && $0.header.messageID == header.messageID && $0.header.version == header.version
    }
  }

  var transactionCount: Int { transactions.count }
  func transaction(at index: Int) -> any ApplicationTransaction { transactions[index] }
  func removeTransaction(at index: Int) { transactions.remove(at: index) }

  // MARK: files

  /// The transaction of a file that one side sends; made when its first bytes come.
  func fileTransaction(_ identifier: [UInt8], from side: FlowSide, _ header: SMBHeader) -> SMBTransaction? {
    let key = SMBFileKey(identifier: identifier, side: side)
    if let known = files[key], known.files.first?.state == .open { return known }
    // Of a file whose opening was not seen, records say so.
    let name = names[identifier] ?? Array("<unknown>".utf8)
    // Records name the share of what is read, and of all files of SMB 1.
    let share = side == .toClient || header.version == 1 ? trees[header.treeKey]?.name ?? [] : []
    guard
      let transaction = begin(header, .file(SMBTransaction.File(name: name, share: share, identifier: identifier)))
    else { return nil }
    transaction.add(TransferredFile(name: name[...], side: side, policy: filePolicy), filePolicy.budget)
    files[key] = transaction
    return transaction
  }

  /// Whether content may be taken that a message brings: neither side agreed to more, and not too much of the file waits for what
  /// is in front of it.
  func admits(_ length: Int, of identifier: [UInt8], from side: FlowSide) -> Bool {
    let options = limits.options.smb
    let isRead = side == .toClient
    if isTooLarge(length, isRead: isRead) {
      note(isRead ? .readResponseTooLarge : .writeRequestTooLarge)
      return false
    }
    guard let file = files[SMBFileKey(identifier: identifier, side: side)] else { return true }
    let (size, count) = file.waiting
    if size > 0 && size + length > (isRead ? options.readQueueSize : options.writeQueueSize) {
      note(isRead ? .readQueueSizeExceeded : .writeQueueSizeExceeded)
      return false
    }
    if count >= (isRead ? options.readQueueCount : options.writeQueueCount) {
      note(isRead ? .readQueueCountExceeded : .writeQueueCountExceeded)
      return false
    }
    return true
  }

  /// Whether a read or a write is of more than was agreed upon, or than the operator allows.
  func isTooLarge(_ length: Int, isRead: Bool) -> Bool {
    let agreed = Int(isRead ? conversation.largestRead : conversation.largestWrite)
    return agreed > 0 && length > agreed
      || length > (isRead ? limits.options.smb.largestRead : limits.options.smb.largestWrite)
  }

  func closeFile(_ identifier: [UInt8]) {
    for side in [FlowSide.toServer, .toClient] {
      guard let transaction = files.remove(SMBFileKey(identifier: identifier, side: side)) else { continue }
      transaction.closeFile(isWhole: true)
      transaction.complete()
    }
    names.remove(identifier)
    pipes.remove(identifier)
  }

  // MARK: pipes

  /// Data in a pipe: units of DCE/RPC.
  func takePipeData(_ data: RawSpan, _ identifier: [UInt8], from side: FlowSide, _ header: SMBHeader) {
    var pipe = pipes[identifier] ?? SMBPipe()
    pipe.receive(data, from: side) { unit, body in
      interfaces.take(unit, body)
      let isRequest = unit.type.isFromClient
      let known = transactions.first { transaction in
        guard case .call(let call) = transaction.kind else { return false }
        return call.callID == unit.callID && !(isRequest ? call.isRequestDone : call.isResponseDone)
      }
      guard let transaction = known ?? (isRequest ? begin(header, .call(DCERPCCall(callID: unit.callID))) : nil) else {
        return
      }
      transaction.interfaces = interfaces
      transaction.take(unit, body, limit: limits.file)
      if !isRequest { transaction.answer(header) }
    }
    pipes[identifier] = pipe
  }
}

/// What both sides agreed upon.
final class SMBConversation {
  /// Of SMB 2 and later; 0 before that.
  var dialect: UInt16 = 0
  /// Of SMB 1; nil until it is known.
  var dialectName: [UInt8]?
  var largestRead: UInt32 = 0
  var largestWrite: UInt32 = 0
}

struct SMBTree {
  var name: [UInt8]
  var isPipe: Bool
}

struct SMBRead {
  var identifier: [UInt8]
  var offset: UInt64
}

struct SMBFileKey: Hashable {
  var identifier: [UInt8]
  var side: FlowSide
}

/// A pipe's two directions: a unit may come in several messages.
struct SMBPipe {
  private var toServer: [UInt8] = []
  private var toClient: [UInt8] = []

  mutating func receive(_ data: RawSpan, from side: FlowSide, _ body: (DCERPCHeader, RawSpan) -> Void) {
    var pending: [UInt8] = []
    if side == .toServer { swap(&pending, &toServer) } else { swap(&pending, &toClient) }
    pending.append(data)
    while let header = DCERPCHeader(pending.rawBytes), pending.count >= header.fragmentLength {
      let unit = pending[DCERPCHeader.length..<header.fragmentLength]
      body(header, unit.rawBytes)
      pending.removeFirst(header.fragmentLength)
    }
    // What is no unit is not kept.
    if pending.count >= DCERPCHeader.length && DCERPCHeader(pending.rawBytes) == nil { pending.removeAll() }
    if side == .toServer { swap(&pending, &toServer) } else { swap(&pending, &toClient) }
  }
}
