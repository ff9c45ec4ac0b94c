internal import AllyPacket

/// HTTP/0.9, 1.0 and 1.1 (RFC 9110, RFC 9112), read as lenient servers and browsers read it: what an endpoint would still
/// understand is understood here, and noted as an event.
///
/// The cases were chosen to be Suricata's, whose parser is libhtp with `personality: IDS`.
final class HTTPParser: ApplicationParser {
  static var applicationProtocol: ApplicationProtocol { .http1 }
  static var transports: [UInt8] { [IPProtocolNumber.tcp] }
  static var recordName: StaticString { "http" }
  static var recordKind: RecordKinds { .http }
  static var recognizesEachSide: Bool { true }
  static var capitalizesEvents: Bool { true }
  static let eventNames: [StaticString] = HTTPEvent.allCases.map(\.name)

  let limits: ApplicationLimits
  let uriRules: HTTPURI.Rules
  private(set) var filePolicy = FilePolicy()
  /// Those that are not done with, oldest first.
  private(set) var transactions: [HTTPTransaction] = []
  /// Transactions to be used again.
  private var spare: [HTTPTransaction] = []
  private var transactionsBegun: UInt64 = 0

  var requestSide = HTTPRequestSide()
  var responseSide = HTTPResponseSide()
  /// The transaction whose request, whose response is being read.
  var currentRequest: HTTPTransaction?
  var currentResponse: HTTPTransaction?
  /// How many transactions have been given a response.
  private var responsesBegun: UInt64 = 0
  /// What the bytes are after `CONNECT` or an upgrade.
  enum Tunnel { case none, awaitsResponse, unknown, other }
  var tunnel = Tunnel.none

  init(limits: ApplicationLimits, transport: UInt8) {
    self.limits = limits
    uriRules = HTTPURI.Rules(limits.options)
  }

  /// The request and the response that are being read, as frames.
  private var frames: FrameList?
  private var requestFrame: ProtocolFrame?
  private var responseFrame: ProtocolFrame?

  // MARK: the seam

  static var frameTypes: [StaticString] { ["request", "response"] }

  func useFrames(_ list: FrameList) { frames = list }

  func beginFrame(of transaction: HTTPTransaction, _ side: FlowSide, _ input: HTTPInput) {
    guard let frames else { return }
    // Its first line may have begun in bytes that came earlier.
    let begun = side == .toServer ? requestSide.line : responseSide.line
    let bytes = begun + input.data.extracting(input.offset...).array
    let frame = frames.begin(
      side == .toServer ? 0 : 1, side, at: input.offset - begun.count, bytes.rawBytes, length: nil)
    frame?.transaction = transaction.number
    if side == .toServer { requestFrame = frame } else { responseFrame = frame }
  }

  func endFrame(of side: FlowSide, at offset: Int) {
    frames?.end(side == .toServer ? requestFrame : responseFrame, at: offset)
    if side == .toServer { requestFrame = nil } else { responseFrame = nil }
  }

  func useFiles(_ policy: FilePolicy) { filePolicy = policy }

  var isHandedOver: Bool { tunnel == .unknown || tunnel == .other }

  private var changed = TransactionNumbers.none

  func takeChanged() -> TransactionNumbers {
    defer { changed = .none }
    return changed
  }

  /// A side goes on, or went on, with the transaction in hand.
  private func noteChange(from side: FlowSide) {
    switch side {
    case .toServer:
      if let currentRequest { changed.insertAtBack(currentRequest.number) }
      if transactionsBegun > 0 { changed.insertAtBack(transactionsBegun - 1) }
    case .toClient:
      if let currentResponse { changed.insertAtFront(currentResponse.number) }
      if responsesBegun > 0 { changed.insertAtFront(responsesBegun - 1) }
    }
  }

  func receive(_ data: RawSpan, from side: FlowSide) {
    noteChange(from: side)
    defer { noteChange(from: side) }
    if isTunnelled(data, from: side) { return }
    switch side {
    case .toServer: receiveRequest(data)
    case .toClient: receiveResponse(data)
    }
  }

  func skip(_ count: Int, from side: FlowSide) {
    noteChange(from: side)
    defer { noteChange(from: side) }
    if tunnel != .none { return }
    switch side {
    case .toServer: skipRequest(count)
    case .toClient: skipResponse(count)
    }
  }

  /// Whether bytes belong to another protocol, or come too early. In a tunnel, HTTP may go on.
  private func isTunnelled(_ data: RawSpan, from side: FlowSide) -> Bool {
    switch (tunnel, side) {
    case (.none, _), (.awaitsResponse, .toClient): return false
    case (.other, _), (.awaitsResponse, .toServer): return true
    case (.unknown, .toClient): tunnel = .other
    case (.unknown, .toServer):
      var start = 0
      while start < data.byteCount, data.byte(at: start).isWhiteSpace { start += 1 }
      if start == data.byteCount { return true }
      tunnel = HTTPMethod.word(in: data, from: start) == .method ? .none : .other
    }
    return tunnel == .other
  }

  func close(_ side: FlowSide) {
    noteChange(from: side)
    switch side {
    case .toServer: closeRequest()
    case .toClient:
      changed = .all
      closeResponse()
      // What was not answered will not be.
      for transaction in transactions { transaction.response.stage = .complete }
    }
  }

  /// Where the messages of a side begin and end cannot be told any more: nothing of the connection is read on.
  func giveUp() {
    requestSide.state = .stopped
    responseSide.state = .stopped
  }

  var transactionCount: Int { transactions.count }
  func transaction(at index: Int) -> any ApplicationTransaction { transactions[index] }

  func removeTransaction(at index: Int) {
    let transaction = transactions.remove(at: index)
    if transaction === currentRequest { currentRequest = nil }
    if transaction === currentResponse { currentResponse = nil }
    if spare.count < 2 { spare.append(transaction) }
  }

  // MARK: transactions

  /// A new transaction; nil at the limit: then nothing more is read.
  func beginTransaction() -> HTTPTransaction? {
    guard transactions.count < limits.transactions else {
      if let last = transactions.last {
        last.note(.tooManyTransactions)
        changed.insertAtBack(last.number)
      }
      return nil
    }
    let transaction = spare.popLast() ?? HTTPTransaction()
    transaction.reset(number: transactionsBegun)
    changed.insertAtBack(transactionsBegun)
    transactionsBegun += 1
    transactions.append(transaction)
    return transaction
  }

  /// The transaction that the next response belongs to: the oldest without one, or one of its own.
  func nextForResponse() -> HTTPTransaction? {
    defer { responsesBegun += 1 }
    if let transaction = transactions.first(where: { $0.number == responsesBegun }) { return transaction }
    guard responsesBegun >= transactionsBegun, let transaction = beginTransaction() else { return nil }
    // The request was not seen.
    transaction.note(.unableToMatchResponseToRequest)
    transaction.request.target.append(text: "/libhtp::request_uri_not_seen")
    transaction.request.uri.parse(transaction.request.target, rules: uriRules)
    transaction.request.stage = .complete
    return transaction
  }
}

/// Bytes on their way through a parser.
struct HTTPInput: ~Escapable {
  let data: RawSpan
  var offset = 0

  @_lifetime(copy data)
  init(_ data: RawSpan) { self.data = data }

  var isEmpty: Bool { offset >= data.byteCount }
  var count: Int { data.byteCount - offset }
  var next: UInt8? { offset < data.byteCount ? data.byte(at: offset) : nil }

  /// Moves everything up to the next CR or LF behind `line`.
  @_lifetime(self: copy self)
  mutating func takeOrdinary(into line: inout [UInt8]) {
    var end = offset
    while end < data.byteCount, data.byte(at: end) != .lineFeed, data.byte(at: end) != .carriageReturn { end += 1 }
    line.append(data.extracting(offset..<end))
    offset = end
  }

  /// Moves everything up to and with the next line feed behind `line`.
  ///
  /// - Returns: whether there was a line feed.
  @_lifetime(self: copy self)
  mutating func takeLine(into line: inout [UInt8]) -> Bool {
    let end = data.firstIndex(of: .lineFeed, from: offset)
    let stop = end.map { $0 + 1 } ?? data.byteCount
    line.append(data.extracting(offset..<stop))
    offset = stop
    return end != nil
  }
}

/// What a step of a parser's state machine came to.
enum HTTPStep { case `continue`, needsMore, stop }

/// What lines are made of.
enum HTTPLine {
  /// Without the line end: LF, CR LF, and what else is taken for one.
  static func withoutEnd(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    var end = line.endIndex
    while end > line.startIndex, line[end - 1] == .lineFeed || line[end - 1] == .carriageReturn { end -= 1 }
    return line[..<end]
  }

  /// Nothing but a line end.
  static func isEmpty(_ line: ArraySlice<UInt8>) -> Bool {
    switch line.count {
    case 1: line.first == .lineFeed || line.first == .carriageReturn
    case 2: line.first == .carriageReturn && line.last == .lineFeed
    default: false
    }
  }

  static func isBlank(_ line: ArraySlice<UInt8>) -> Bool { line.allSatisfy(\.isWhiteSpace) }

  /// Whether a line goes on with the field before it (RFC 9112 §5.2); servers also take NUL for white space.
  static func isFolded(_ byte: UInt8) -> Bool { byte.isLinearSpace || byte == 0 }

  /// The name and value of a header field; nil without a colon.
  ///
  /// - Parameter allowsNUL: whether a name may hold NUL.
  static func field(_ line: ArraySlice<UInt8>, allowsNUL: Bool) -> (
    name: ArraySlice<UInt8>, value: ArraySlice<UInt8>, hasSpace: Bool
  )? {
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return nil }
    if !allowsNUL, line[..<colon].contains(0) { return nil }
    var name = line[..<colon]
    var hasSpace = false
    while let last = name.last, last.isLinearSpace || last == 0x0B || last == 0x0C {
      name = name.dropLast()
      hasSpace = true
    }
    return (name, line[(colon + 1)...].trimmed, hasSpace)
  }

  /// The number in a `Content-Length`, junk around it ignored; nil without digits or above 2⁶².
  static func contentLength(_ value: ArraySlice<UInt8>) -> (length: Int, isOdd: Bool)? {
    var rest = value
    var isOdd = false
    while let first = rest.first, !first.isDecimalDigit {
      if !first.isLinearSpace { isOdd = true }
      rest.removeFirst()
    }
    guard !rest.isEmpty else { return nil }
    var length = 0
    while let digit = rest.first, digit.isDecimalDigit {
      guard length < 1 << 58 else { return nil }
      length = length * 10 + Int(digit &- 0x30)
      rest.removeFirst()
    }
    return (length, isOdd || !rest.isEmpty)
  }

  /// The number in a chunk's first line, as far as it is one.
  enum ChunkLength { case length(Int, hasExtension: Bool), blank, invalid }

  static func chunkLength(_ line: ArraySlice<UInt8>) -> ChunkLength {
    var rest = line.drop(while: \.isWhiteSpace)
    if rest.isEmpty { return .blank }
    var length = 0
    var digits = 0
    while let value = rest.first?.hexadecimalValue {
      guard length < 1 << 27 else { return .invalid }
      length = length << 4 | Int(value)
      digits += 1
      rest = rest.dropFirst()
    }
    return digits == 0 ? .invalid : .length(length, hasExtension: rest.contains(UInt8(ascii: ";")))
  }
}
