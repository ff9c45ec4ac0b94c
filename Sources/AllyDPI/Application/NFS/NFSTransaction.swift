internal import AllyPacket

/// What is odd about a message. The names are those that rules ask for as `app-layer-event:nfs.NAME`.
enum NFSEvent: UInt8, CaseIterable, Sendable {
  case malformedData, nonExistingVersion, unsupportedVersion, tooManyTransactions

  var name: StaticString {
    switch self {
    case .malformedData: "malformed_data"
    case .nonExistingVersion: "non_existing_version"
    case .unsupportedVersion: "unsupported_version"
    case .tooManyTransactions: "too_many_transactions"
    }
  }
}

/// A call and its reply, or a file that is read or written by many of them.
final class NFSTransaction: ApplicationTransaction {
  let number: UInt64
  let identifier: UInt32
  let procedure: UInt32
  let version: UInt32
  let conversation: NFSConversation
  private(set) var name: [UInt8]
  private(set) var handle: [UInt8]
  /// Where a file is moved to.
  let newName: [UInt8]
  private(set) var flavor: UInt32 = 0
  private(set) var caller: RPCCall.Caller?
  /// Of the reply.
  private(set) var state: UInt32 = 0
  private(set) var status: UInt32 = 0
  private(set) var events = ApplicationEvents()
  let inspection = TransactionInspection()

  private var isRequestDone = false
  private var isResponseDone = false
  private var isClosedToServer = false
  private var isClosedToClient = false

  /// Of a file alone.
  private let transfer: Transfer?
  /// The file, once its first bytes have come.
  private(set) var files: [TransferredFile] = []
  private var assembly: FileAssembly?
  /// Pieces that came behind the first call.
  private(set) var pieces = 0
  /// The call that ended the file.
  private(set) var lastIdentifier: UInt32 = 0
  private(set) var isLast = false
  private var isFileClosed = false
  /// It ends with the piece that is coming.
  private var endsWithPiece = false
  /// Where the piece that is coming ends.
  private var endOfPiece: UInt64 = 0
  /// A piece did not end on a word, and nothing was read behind it. What comes next is not taken to follow it.
  private var isPaddingOwed = false
  /// COMMIT of the file.
  private var laterProcedure: UInt32?

  /// Who sends a file, and what is done with it.
  struct Transfer {
    var side: FlowSide
    var policy: FilePolicy
  }

  init(
    number: UInt64, identifier: UInt32, procedure: UInt32, version: UInt32, name: [UInt8], handle: [UInt8],
    newName: [UInt8] = [], transfer: Transfer? = nil, _ conversation: NFSConversation
  ) {
    self.number = number
    self.identifier = identifier
    self.procedure = procedure
    self.version = version
    self.name = name
    self.handle = handle
    self.newName = newName
    self.transfer = transfer
    self.conversation = conversation
  }

  func note(_ event: NFSEvent) { events.insert(event.rawValue) }

  func setCaller(of call: RPCCall) {
    flavor = call.flavor
    caller = call.caller
  }

  func setRequestDone() { isRequestDone = true }

  /// The reply has come.
  ///
  /// - Parameter handle: of what was looked up or made; nil when the reply names none.
  func answer(_ reply: RPCReply, status: UInt32, handle: [UInt8]? = nil) {
    isResponseDone = true
    state = reply.state
    self.status = status
    if let handle { self.handle = handle }
  }

  /// Both sides are done with it: what is said later is another's.
  var isOver: Bool { isRequestDone && isResponseDone }

  /// Too many are open: nothing more is waited for.
  func giveUp() {
    note(.tooManyTransactions)
    isRequestDone = true
    isResponseDone = true
    isFileClosed = true
    assembly?.close(isWhole: false)
  }

  // MARK: files

  var isFile: Bool { transfer != nil }
  /// Who sends the file; nil for other transactions.
  var sender: FlowSide? { transfer?.side }
  /// More of the file may come.
  var isFileOpen: Bool { isFile && !isFileClosed }

  func countPiece() { pieces += 1 }

  /// A piece of the file begins.
  ///
  /// - Parameters:
  ///   - offset: in the file.
  ///   - count: of its bytes.
  ///   - owesPadding: it ends between words and stands alone in its record.
  ///   - isLast: it is the file's end, as far as the two sides say.
  /// - Returns: whether its bytes are wanted.
  func beginPiece(at offset: UInt64, count: Int, owesPadding: Bool, isLast: Bool) -> Bool {
    guard let transfer else { return false }
    let file = files.first ?? TransferredFile(name: name[...], side: transfer.side, policy: transfer.policy)
    if files.isEmpty {
      files.append(file)
      assembly = FileAssembly(file, transfer.policy.budget)
    }
    if isPaddingOwed { assembly?.close(isWhole: false) }
    isPaddingOwed = owesPadding
    endsWithPiece = isLast
    endOfPiece = 0
    if isLast, offset != file.size {
      // Something before the end is missing.
      if file.size > 0 { assembly?.close(isWhole: false) }
      return false
    }
    endOfPiece = offset &+ UInt64(count)
    return file.state == .open
  }

  func take(_ data: RawSpan, at offset: UInt64) { assembly?.take(data, at: offset) }

  /// All of the piece has come.
  func endPiece() {
    guard endsWithPiece else { return }
    isFileClosed = true
    assembly?.close(isWhole: true, at: endOfPiece)
    if sender == .toClient { isResponseDone = true }
  }

  /// A call, or the reply to it, ends the file.
  func setLast(_ identifier: UInt32) {
    isLast = true
    isRequestDone = true
    lastIdentifier = identifier
  }

  func setReply(_ reply: RPCReply, status: UInt32) {
    state = reply.state
    self.status = status
  }

  /// COMMIT, or CLOSE.
  func closeFile(_ call: RPCCall, as procedure: UInt32?) {
    laterProcedure = procedure
    setLast(call.identifier)
    isFileClosed = true
    assembly?.close(isWhole: true)
  }

  // MARK: the seam

  func close(_ side: FlowSide) {
    if side == .toServer { isClosedToServer = true } else { isClosedToClient = true }
    if files.first?.side == side { assembly?.close(isWhole: false) }
  }

  func stage(of side: FlowSide) -> UInt8 {
    let isDone = side == .toServer ? isRequestDone || isClosedToServer : isResponseDone || isClosedToClient
    // Of a file that ended early, no more is heard.
    let hasEnded = files.first.map { $0.side == side && $0.state != .open } ?? false
    return isDone || hasEnded ? TransactionStage.complete : TransactionStage.complete - 1
  }

  func bytes(of buffer: InspectionBuffer, from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? {
    fileBuffer(buffer, from: side, at: index)
  }

  func meets(_ number: ApplicationNumber, _ test: NumberTest, from side: FlowSide) -> Bool {
    guard side == .toServer else { return false }
    switch number {
    case .nfsProcedure: return test.matches(procedure) || laterProcedure.map { test.matches($0) } ?? false
    case .nfsVersion: return test.matches(version)
    default: return false
    }
  }
}
