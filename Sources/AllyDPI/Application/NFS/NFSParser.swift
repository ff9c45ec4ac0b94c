internal import AllyPacket

/// NFS 2, 3 and 4 (RFC 1094, RFC 1813, RFC 7530, RFC 8881) in calls of Sun RPC over UDP and TCP: one transaction for each call
/// and its reply, one for each file in each direction. What version 4 bundles in one call is one transaction at most.
final class NFSParser: ApplicationParser {
  static var applicationProtocol: ApplicationProtocol { .nfs }
  static var transports: [UInt8] { [IPProtocolNumber.tcp, IPProtocolNumber.udp] }
  static var recordName: StaticString { "nfs" }
  static var recordKind: RecordKinds { .nfs }
  static var recognizesEachSide: Bool { true }
  static let eventNames: [StaticString] = NFSEvent.allCases.map(\.name)

  /// A call that waits for its reply.
  struct Call {
    var version: UInt32
    var procedure: UInt32
    var name: [UInt8] = []
    var handle: [UInt8] = []
    /// Where a file is moved to.
    var newName: [UInt8] = []
    /// Where in a file is read.
    var offset: UInt64 = 0
    /// What is in it is in a wrapper that says it is unchanged (RFC 2203 §5.3.2.2).
    var isWrapped = false
  }

  let limits: ApplicationLimits
  let conversation: NFSConversation
  private var filePolicy = FilePolicy()
  private var transactions: [NFSTransaction] = []
  private var transactionsBegun: UInt64 = 0
  private var changed = TransactionNumbers.none
  private var toServer = RPCFraming()
  private var toClient = RPCFraming()

  /// By their identifiers.
  private var calls = BoundedMap<UInt32, Call>(capacity: 1024)
  /// Transactions that wait for the reply to one call.
  private var waiting = BoundedMap<UInt32, NFSTransaction>(capacity: 1024)
  /// What handles stand for.
  var names = BoundedMap<[UInt8], [UInt8]>(capacity: 2048)
  /// Files that are being transferred.
  private var files = BoundedMap<FileKey, NFSTransaction>(capacity: 1024)

  private struct FileKey: Hashable {
    var handle: [UInt8]
    var side: FlowSide
  }

  init(limits: ApplicationLimits, transport: UInt8) {
    self.limits = limits
    conversation = NFSConversation(isDatagrams: transport == IPProtocolNumber.udp)
  }

  func useFiles(_ policy: FilePolicy) { filePolicy = policy }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? {
    switch buffer {
    case .fileData, .fileName, .fileMagic: BufferAvailability(stage: TransactionStage.complete, grows: true)
    default: nil
    }
  }

  // MARK: recognition

  private static var program: UInt32 { 100_003 }
  private static var port: UInt16 { 2049 }
  /// What must be there of a record to tell one: its mark, and of a call all up to the flavor of its credentials.
  static var recognizedBytes: Int { 32 }

  /// A call of NFS on any port, a reply on NFS's own.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    if side == .toClient && serverPort != port { return .no }
    let isStream = transport == IPProtocolNumber.tcp
    // Most of what is no message of RPC is told by its kind, and by the mark in front of it: no record is longer than 16 MiB.
    if isStream, start.byteCount > 0, start.byte(at: 0) & 0x7F != 0 { return .no }
    let kind = isStream ? 8 : 4
    for place in kind..<max(kind, min(kind + 4, start.byteCount)) {
      let wanted: UInt8 = place == kind + 3 && side == .toClient ? 1 : 0
      if start.byte(at: place) != wanted { return .no }
    }
    let head = start.extracting(first: 512).array
    if isStream {
      return head.count < recognizedBytes ? .needsMore : isRecord(head[...], from: side) ? .yes : .no
    }
    if side == .toClient { return start.byteCount >= 32 && isReply(head[...]) ? .yes : .no }
    return start.byteCount >= 48 && isCall(head[...], versions: 2...3) ? .yes : .no
  }

  /// Whether a record begins here.
  ///
  /// - Parameter bytes: ``recognizedBytes`` or more, the record's mark first.
  static func isRecord(_ bytes: ArraySlice<UInt8>, from side: FlowSide) -> Bool {
    var reader = ByteReader(bytes)
    guard let length = reader.u32().map({ $0 & 0x7FFF_FFFF }) else { return false }
    if side == .toClient { return (24...35_000).contains(length) && isReply(reader.rest) }
    return length >= 40 && isCall(reader.rest, versions: 3...4)
  }

  private static func isCall(_ bytes: ArraySlice<UInt8>, versions: ClosedRange<UInt32>) -> Bool {
    var reader = ByteReader(bytes)
    guard reader.skip(4), reader.u32() == RPCMessage.call, reader.u32() == 2, reader.u32() == program,
      let version = reader.u32(), versions.contains(version), let procedure = reader.u32()
    else { return false }
    return procedure <= NFS3Procedure.commit
  }

  private static func isReply(_ bytes: ArraySlice<UInt8>) -> Bool {
    var reader = ByteReader(bytes)
    guard let identifier = reader.u32(), identifier != 0, reader.u32() == RPCMessage.reply, reader.u32() == 0 else {
      return false
    }
    // The verifier, and that the call was carried out.
    return reader.skip(4) && reader.opaque(atMost: 400) != nil && reader.u32() == 0
  }

  // MARK: data

  func receive(_ data: RawSpan, from side: FlowSide) {
    if conversation.isDatagrams { return take(data.array[...], from: side) }
    var framing = RPCFraming()
    if side == .toServer { swap(&framing, &toServer) } else { swap(&framing, &toClient) }
    framing.receive(data, from: side, self)
    if side == .toServer { swap(&framing, &toServer) } else { swap(&framing, &toClient) }
  }

  func skip(_ count: Int, from side: FlowSide) {
    if side == .toServer { toServer.skip(count, self) } else { toClient.skip(count, self) }
  }

  func close(_ side: FlowSide) {
    for transaction in transactions { transaction.close(side) }
    changed = .all
  }

  /// A whole call or reply.
  func take(_ message: ArraySlice<UInt8>, from side: FlowSide) {
    if side == .toServer {
      guard let call = RPCCall(message) else { return noteMalformed() }
      take(call)
    } else {
      guard let reply = RPCReply(message) else { return noteMalformed() }
      guard let call = calls.remove(reply.identifier) else { return }
      if conversation.version == 0 { conversation.version = call.version }
      switch call.version {
      case 2: takeReply2(reply, to: call)
      case 3: takeReply3(reply, to: call)
      default: takeReply4(reply, to: call)
      }
    }
  }

  private func take(_ call: RPCCall) {
    switch call.version {
    case 2: takeCall2(call)
    case 3: takeCall3(call)
    case 4: takeCall4(call)
    default: break
    }
  }

  /// The content of a file in a record of which only the head has come; nil when it is another record, or one that may be kept until it
  /// is whole, as those of version 4 are.
  ///
  /// - Returns: the file, where in it the next byte belongs, and how many are missing.
  func content(in head: ArraySlice<UInt8>, length: Int, from side: FlowSide)
    -> (transaction: NFSTransaction, offset: UInt64, left: Int)?
  {
    let mayBeKept = length <= limits.handshake
    if side == .toServer {
      guard let call = RPCCall(head) else { return nil }
      if call.version == 4 { return mayBeKept ? nil : takeWrite4(in: call) }
      guard call.version == 3, call.procedure == NFS3Procedure.write,
        let write = NFS3Write(call.arguments)
      else { return nil }
      return takeWrite3(call, write)
    }
    guard let reply = RPCReply(head), let call = calls[reply.identifier] else { return nil }
    if call.version == 4 { return mayBeKept ? nil : takeRead4(in: reply, to: call) }
    guard call.version == 3,
      call.procedure == NFS3Procedure.read, let read = NFS3Read(reply.results)
    else { return nil }
    endWait(for: reply)
    return takeRead(reply, read, to: call)
  }

  func wait(for call: RPCCall, _ waiting: Call) { calls[call.identifier] = waiting }

  /// The reply has come, or the head of it.
  func endWait(for reply: RPCReply) { calls.remove(reply.identifier) }

  /// Something could not be read: the newest transaction says so.
  func noteMalformed() {
    guard let last = transactions.last else { return }
    last.note(.malformedData)
    note(last)
  }

  // MARK: transactions

  /// Calls wait for their replies, and files stay open: twice as many may be as elsewhere.
  private var mostTransactions: Int { limits.transactions * 2 }

  /// A transaction of one call.
  @discardableResult
  func begin(_ call: RPCCall, _ about: Call, procedure: UInt32? = nil) -> NFSTransaction {
    let transaction = add(
      NFSTransaction(
        number: transactionsBegun, identifier: call.identifier, procedure: procedure ?? call.procedure,
        version: call.version, name: about.name, handle: about.handle, newName: about.newName, conversation))
    transaction.setCaller(of: call)
    transaction.setRequestDone()
    waiting[call.identifier] = transaction
    return transaction
  }

  private func add(_ transaction: NFSTransaction) -> NFSTransaction {
    transactionsBegun += 1
    if transactions.count >= mostTransactions, let oldest = transactions.first(where: { !$0.isOver }) {
      oldest.giveUp()
      note(oldest)
    }
    // The engine takes out what is over with the next packet; what it does not take out must not pile up.
    if transactions.count >= 2 * mostTransactions { transactions.removeFirst() }
    transactions.append(transaction)
    changed.insertAtBack(transaction.number)
    return transaction
  }

  /// Tells the transaction that waits for a reply, if its call was seen and made one.
  func answer(_ reply: RPCReply, status: UInt32, handle: [UInt8]? = nil) {
    guard let transaction = waiting.remove(reply.identifier) else { return }
    transaction.answer(reply, status: status, handle: handle)
    note(transaction)
  }

  /// A transaction has changed.
  func note(_ transaction: NFSTransaction) { changed.insertAtFront(transaction.number) }

  func takeChanged() -> TransactionNumbers {
    defer { changed = .none }
    return changed
  }

  var transactionCount: Int { transactions.count }
  func transaction(at index: Int) -> any ApplicationTransaction { transactions[index] }
  func removeTransaction(at index: Int) {
    let transaction = transactions.remove(at: index)
    if let sender = transaction.sender {
      let key = FileKey(handle: transaction.handle, side: sender)
      if files[key] === transaction { files.remove(key) }
    }
  }

  // MARK: files

  /// The file that one side sends; nil when none is being transferred.
  func file(_ handle: [UInt8], from side: FlowSide) -> NFSTransaction? {
    guard let known = files[FileKey(handle: handle, side: side)], known.isFileOpen else { return nil }
    return known
  }

  /// A file whose transfer begins.
  func beginFile(
    _ handle: [UInt8], named name: [UInt8], from side: FlowSide, identifier: UInt32, procedure: UInt32, version: UInt32
  ) -> NFSTransaction {
    let transaction = add(
      NFSTransaction(
        number: transactionsBegun, identifier: identifier, procedure: procedure, version: version, name: name,
        handle: handle, transfer: NFSTransaction.Transfer(side: side, policy: filePolicy), conversation))
    files[FileKey(handle: handle, side: side)] = transaction
    return transaction
  }

  /// More in one call than any server takes is not believed.
  static var largestTransfer: Int { 16 << 20 }

  /// Content that a reply carries, whole or as far as it has come.
  ///
  /// - Returns: what is missing of it; nil when it is none.
  @discardableResult
  func takeRead(_ reply: RPCReply, _ read: NFS3Read, to call: Call)
    -> (transaction: NFSTransaction, offset: UInt64, left: Int)?
  {
    guard read.count > 0, read.count <= NFSParser.largestTransfer else { return nil }
    let known = file(call.handle, from: .toClient)
    let transaction =
      known
      ?? beginFile(
        call.handle, named: call.name, from: .toClient, identifier: reply.identifier,
        procedure: call.version < 4 ? NFS3Procedure.read : NFS4Operation.read,
        // `nfs_version` is about calls: what a reply begins has none, as in Suricata.
        version: 0)
    if known != nil { transaction.countPiece() }
    note(transaction)
    let left = read.count - read.data.count
    if read.isLast {
      transaction.setReply(reply, status: read.status)
      transaction.setLast(reply.identifier)
    }
    return takePiece(
      transaction, read.data, at: call.offset, count: read.count, standsAlone: left == 0 || call.version == 4,
      isLast: read.isLast)
  }

  /// Content that a call carries, whole or as far as it has come.
  ///
  /// - Returns: what is missing of it; nil when it is none.
  @discardableResult
  func takeWrite(_ call: RPCCall, _ write: NFS3Write, procedure: UInt32)
    -> (transaction: NFSTransaction, offset: UInt64, left: Int)?
  {
    guard write.count > 0, write.count <= NFSParser.largestTransfer else { return nil }
    let handle = Array(write.handle)
    let known = file(handle, from: .toServer)
    let transaction =
      known
      ?? beginFile(
        handle, named: names[handle] ?? [], from: .toServer, identifier: call.identifier, procedure: procedure,
        version: call.version)
    if known != nil { transaction.countPiece() }
    note(transaction)
    if write.isSynchronous { transaction.setLast(call.identifier) }
    return takePiece(
      transaction, write.data, at: write.offset, count: write.count,
      standsAlone: write.data.count == write.count || call.version == 4, isLast: write.isSynchronous)
  }

  private func takePiece(
    _ transaction: NFSTransaction, _ data: ArraySlice<UInt8>, at offset: UInt64, count: Int, standsAlone: Bool,
    isLast: Bool
  ) -> (transaction: NFSTransaction, offset: UInt64, left: Int) {
    let left = count - data.count
    let isWanted = transaction.beginPiece(
      at: offset, count: count, owesPadding: standsAlone && count.xdrPadding > 0, isLast: isLast)
    if isWanted { transaction.take(data.rawBytes, at: offset) }
    if left == 0 { transaction.endPiece() }
    return (transaction, offset &+ UInt64(data.count), left)
  }
}

/// What both sides' transactions share.
final class NFSConversation {
  let isDatagrams: Bool
  /// Of the first call; 0 until it is known.
  var version: UInt32 = 0

  init(isDatagrams: Bool) { self.isDatagrams = isDatagrams }
}
