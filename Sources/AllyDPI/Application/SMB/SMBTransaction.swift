internal import AllyPacket

/// A request and its response, a file, or a call.
final class SMBTransaction: ApplicationTransaction {
  struct Negotiation {
    var dialects: [[UInt8]] = []
    var clientIdentifier: [UInt8] = []
    var serverIdentifier: [UInt8] = []
  }

  /// What an end of SMB 1 calls its system and its LAN manager.
  struct Systems {
    var system: [UInt8] = []
    var manager: [UInt8] = []
  }

  struct Session {
    var logon: NTLMSSP? = nil
    var ticket: KerberosTicketNames? = nil
    var request: Systems? = nil
    var response: Systems? = nil
  }

  struct Tree {
    var name: [UInt8]
    /// 1 for files, 2 for pipes, 3 for printers; 0 until the server has said.
    var kind: UInt8 = 0
    var requestedService: [UInt8] = []
    var service: [UInt8] = []
  }

  struct Create {
    var name: [UInt8]
    var disposition: UInt32
    var isDirectory: Bool
    var isDeletedOnClose: Bool
    var identifier: [UInt8] = []
    /// Created, accessed, modified, changed: in 100 ns since 1601.
    var times: [UInt64] = [0, 0, 0, 0]
    var size: UInt64 = 0
  }

  struct File {
    var name: [UInt8]
    var share: [UInt8]
    var identifier: [UInt8]
  }

  struct Rename {
    var from: [UInt8]
    var to: [UInt8]
    var identifier: [UInt8]
  }

  struct Disposition {
    var name: [UInt8]
    var identifier: [UInt8]
    var deletes: Bool
  }

  enum Kind {
    case other
    case negotiation(Negotiation)
    case session(Session)
    case tree(Tree)
    case create(Create)
    case file(File)
    case rename(Rename)
    case disposition(Disposition)
    case control(UInt32)
    case call(DCERPCCall)
  }

  let number: UInt64
  private(set) var header: SMBHeader
  private(set) var kind: Kind
  let conversation: SMBConversation
  var interfaces: DCERPCInterfaces?
  private(set) var files: [TransferredFile] = []
  private var assembly: FileAssembly?
  private(set) var events = ApplicationEvents()
  let inspection = TransactionInspection()
  /// The response has come, and its status.
  private(set) var status: UInt32?
  private(set) var isAnswered = false
  private var isComplete = false
  private var isClosedToServer = false
  private var isClosedToClient = false

  init(number: UInt64, _ header: SMBHeader, _ kind: Kind, _ conversation: SMBConversation) {
    self.number = number
    self.header = header
    self.kind = kind
    self.conversation = conversation
  }

  func note(_ event: SMBEvent) { events.insert(event.rawValue) }
  func add(_ file: TransferredFile, _ budget: FileBudget) {
    files.append(file)
    assembly = FileAssembly(file, budget)
  }

  /// Takes content of the file at its place: clients read and write out of order.
  func take(_ data: RawSpan, at offset: UInt64) {
    if assembly?.take(data, at: offset) == true { note(.fileOverlap) }
  }

  /// Bytes of its file, and pieces of them, that wait for what is in front of them.
  var waiting: (bytes: Int, pieces: Int) { assembly.map { ($0.bytesAhead, $0.piecesAhead) } ?? (0, 0) }

  /// No more content comes.
  func closeFile(isWhole: Bool) { assembly?.close(isWhole: isWhole) }

  func complete() { isComplete = true }
  func close(_ side: FlowSide) { if side == .toServer { isClosedToServer = true } else { isClosedToClient = true } }

  var isNegotiation: Bool { if case .negotiation = kind { true } else { false } }

  /// Whether a response with its number is its own.
  var awaitsResponse: Bool {
    switch kind {
    case .file, .call: false
    default: !isAnswered
    }
  }

  // MARK: responses

  func answer(_ response: SMBHeader) {
    isAnswered = true
    noteStatus(response)
    if case .tree = kind { header.treeID = response.treeID }
    if response.version == header.version { header.sessionID = response.sessionID }
  }

  func noteStatus(_ response: SMBHeader) {
    status = response.status
    header.isDOSStatus = response.isDOSStatus
  }

  /// - Returns: the dialect of SMB 1 that the server chose; nil when there is no such.
  @discardableResult
  func negotiated(serverIdentifier: [UInt8], chosen: Int? = nil) -> [UInt8]? {
    guard case .negotiation(var negotiation) = kind else { return nil }
    negotiation.serverIdentifier = serverIdentifier
    kind = .negotiation(negotiation)
    guard let chosen, negotiation.dialects.indices.contains(chosen) else { return nil }
    return negotiation.dialects[chosen]
  }

  func answered(by systems: Systems) {
    guard case .session(var session) = kind else { return }
    session.response = systems
    kind = .session(session)
  }

  /// - Returns: the tree's name; nil when this asked for none.
  func connected(_ response: SMBHeader, kind treeKind: UInt8, service: [UInt8] = []) -> [UInt8]? {
    guard case .tree(var tree) = kind else { return nil }
    tree.kind = treeKind
    tree.service = service
    kind = .tree(tree)
    return tree.name
  }

  /// - Returns: the file's name; nil when this asked for none.
  func created(_ identifier: [UInt8], times: [UInt64], size: UInt64) -> [UInt8]? {
    guard case .create(var create) = kind else { return nil }
    create.identifier = identifier
    create.times = times
    create.size = size
    kind = .create(create)
    return create.name
  }

  func take(_ unit: DCERPCHeader, _ body: RawSpan, limit: Int) {
    guard case .call(var call) = kind else { return }
    call.take(unit, body, hasPlainResponses: true, limit: limit)
    kind = .call(call)
  }

  // MARK: the seam

  func stage(of side: FlowSide) -> UInt8 {
    let isClosed = side == .toServer ? isClosedToServer : isClosedToClient
    let isDone =
      switch kind {
      case .file: isComplete
      case .call(let call): side == .toServer ? call.isRequestDone : call.isResponseDone
      // What kind of a tree it is, the response says.
      case .tree: isAnswered
      default: side == .toServer || isAnswered
      }
    return isDone || isClosed ? TransactionStage.complete : TransactionStage.complete - 1
  }

  /// Rules of the client's side look at what the server's answer completes.
  var isInspectedLate: Bool { if case .tree = kind { true } else { false } }

  var isLittleEndian: Bool { if case .call(let call) = kind { call.isLittleEndian } else { true } }

  func bytes(of buffer: InspectionBuffer, from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? {
    switch (buffer, kind) {
    case (.fileData, _), (.fileName, _), (.fileMagic, _): return fileBuffer(buffer, from: side, at: index)
    case _ where index > 0: return nil
    case (.dcerpcStubData, .call(let call)): return call.stub(from: side)
    case (.smbNamedPipe, .tree(let tree)): return tree.kind == 2 ? tree.name[...] : nil
    case (.smbShare, .tree(let tree)): return tree.kind == 2 ? nil : tree.name[...]
    case (.smbNTLMSSPUser, .session(let session)): return session.logon.map { $0.user[...] }
    case (.smbNTLMSSPDomain, .session(let session)): return session.logon.map { $0.domain[...] }
    default: return nil
    }
  }

  func matches(
    _ test: TransactionTest, in packet: DecodedPacket, from side: FlowSide,
    ranges: ConstantTable<DetectionTables.NumberRange>
  ) -> Bool {
    guard case .call(let call) = kind else { return false }
    switch test {
    case .dcerpcInterface(let interface):
      return call.requestType == .request && call.matches(interface, interfaces?.all ?? [], byContext: false)
    case .dcerpcOperation(let operations): return call.matches(operations, ranges)
    default: return false
    }
  }
}
