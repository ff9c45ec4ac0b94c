internal import AllyPacket

/// DNS over UDP and TCP (RFC 1035). Each message is a transaction of its own, as answers may come without questions.
final class DNSParser: ApplicationParser {
  static var applicationProtocol: ApplicationProtocol { .dns }
  static var transports: [UInt8] { [IPProtocolNumber.udp, IPProtocolNumber.tcp] }
  static var recordName: StaticString { "dns" }
  static var standardPort: UInt16 { 53 }
  static var recordKind: RecordKinds { .dns }
  static let eventNames: [StaticString] = DNSEvent.allCases.map(\.name)

  /// The largest message over TCP with its length before it.
  private static var largestMessage: Int { 65_537 }

  static var frameTypes: [StaticString] { ["pdu"] }

  private let limits: ApplicationLimits
  private var frames: FrameList?
  private let isStream: Bool
  private var transactions: [DNSTransaction] = []
  private var transactionsBegun: UInt64 = 0
  /// The beginning of a message over TCP.
  private var pendingToServer: [UInt8] = []
  private var pendingToClient: [UInt8] = []
  /// Bytes are missing: where the next message begins is not known.
  private var isLostToServer = false
  private var isLostToClient = false
  var isLost: Bool { isLostToServer || isLostToClient }

  init(limits: ApplicationLimits, transport: UInt8) {
    self.limits = limits
    isStream = transport == IPProtocolNumber.tcp
  }

  func useFrames(_ list: FrameList) { frames = list }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? {
    buffer == .dnsQuery && side == .toServer ? BufferAvailability(stage: TransactionStage.complete) : nil
  }

  /// A header that makes sense, and a question that is one. Elsewhere than on port 53 the whole message must be sound.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    // LLMNR, multicast DNS and NetBIOS look alike and are protocols of their own (RFC 4795, RFC 6762, RFC 1002).
    if serverPort == 5355 || serverPort == 5353 || serverPort == 137 { return .no }
    var message = start
    if transport == IPProtocolNumber.tcp {
      guard let prefix = Window<2>(start, at: 0) else { return .needsMore }
      let length = Int(prefix.u16(0))
      guard length >= 12 else { return .no }
      // Elsewhere than on its port, a message in pieces is too little to go by.
      if start.byteCount < 14 { return serverPort == 53 ? .needsMore : .no }
      if start.byteCount < 2 + length {
        guard serverPort == 53 else { return .no }
        return DNSParser.hasPossibleHeader(start.extracting(2...), from: side, length: length) ? .yes : .no
      }
      message = start.extracting(2..<(2 + length))
    }
    if serverPort == 53 {
      return hasPossibleHeader(message, from: side, length: message.byteCount) && DNSMessage(message) != nil
        ? .yes : .no
    }
    guard hasPlausibleHeader(message, from: side), let decoded = DNSMessage(message) else { return .no }
    return decoded.isMalformed || decoded.questions.isEmpty ? .no : .yes
  }

  /// Whether a message may hold what its header says, and says it to the right side.
  private static func hasPossibleHeader(_ message: RawSpan, from side: FlowSide, length: Int) -> Bool {
    guard let header = Window<12>(message, at: 0) else { return false }
    let records = Int(header.u16(4)) + Int(header.u16(6)) + Int(header.u16(8)) + Int(header.u16(10))
    return 2 * records <= length && (header.u16(2) & 0x8000 != 0) == (side == .toClient)
  }

  private static func hasPlausibleHeader(_ message: RawSpan, from side: FlowSide) -> Bool {
    guard let header = Window<12>(message, at: 0) else { return false }
    let flags = header.u16(2)
    let opcode = flags >> 11 & 15
    let isResponse = flags & 0x8000 != 0
    guard opcode <= 6, isResponse == (side == .toClient) else { return false }
    // Only a query has no answers: a notification (RFC 1996) may.
    return header.u16(4) <= 8 && (isResponse || opcode != 0 || header.u16(6) == 0)
  }

  // MARK: data

  func receive(_ data: RawSpan, from side: FlowSide) {
    guard isStream else { return take(data, from: side, at: 0) }
    if side == .toServer {
      if !isLostToServer { DNSParser.split(data, &pendingToServer) { take($0, from: side, at: $1) } }
    } else if !isLostToClient {
      DNSParser.split(data, &pendingToClient) { take($0, from: side, at: $1) }
    }
  }

  /// Messages over TCP have their length before them (RFC 1035 §4.2.2).
  private static func split(_ data: RawSpan, _ pending: inout [UInt8], _ body: (RawSpan, Int) -> Void) {
    var offset = 0
    while offset < data.byteCount {
      var wanted = 2
      if pending.count >= 2 { wanted = 2 + (Int(pending[0]) << 8 | Int(pending[1])) }
      let count = min(wanted - pending.count, data.byteCount - offset)
      pending.append(data.extracting(offset..<(offset + count)))
      offset += count
      guard pending.count >= 2, pending.count == 2 + (Int(pending[0]) << 8 | Int(pending[1])) else { continue }
      let message = pending[2...]
      body(message.rawBytes, offset - message.count)
      pending.removeAll(keepingCapacity: true)
    }
  }

  /// - Parameter offset: where the message begins in what was received.
  private func take(_ data: RawSpan, from side: FlowSide, at offset: Int) {
    frames?.begin(0, side, at: offset, data, length: data.byteCount)
    guard transactions.count < limits.transactions else { return }
    let transaction = DNSTransaction(number: transactionsBegun, side: side)
    guard let message = DNSMessage(data) else { return }
    transactionsBegun += 1
    transaction.message = message
    if message.isMalformed { transaction.note(.malformedData) }
    if side == .toServer && message.isResponse { transaction.note(.notRequest) }
    if side == .toClient && !message.isResponse { transaction.note(.notResponse) }
    if message.flags & 0x0040 != 0 { transaction.note(.zFlagSet) }
    if message.operationCode >= 7 { transaction.note(.invalidOpcode) }
    if message.nameFaults.contains(.tooLong) { transaction.note(.nameTooLong) }
    if message.nameFaults.contains(.loop) { transaction.note(.infiniteLoop) }
    if message.nameFaults.contains(.tooManyLabels) { transaction.note(.tooManyLabels) }
    transactions.append(transaction)
  }

  func skip(_ count: Int, from side: FlowSide) {
    if side == .toServer { isLostToServer = true } else { isLostToClient = true }
  }

  func close(_ side: FlowSide) {}

  var transactionCount: Int { transactions.count }
  func transaction(at index: Int) -> any ApplicationTransaction { transactions[index] }
  func removeTransaction(at index: Int) { transactions.remove(at: index) }
}

/// What is odd about a message. The names are those that rules ask for as `app-layer-event:dns.NAME`.
enum DNSEvent: UInt8, CaseIterable, Sendable {
  case malformedData, notRequest, notResponse, zFlagSet, invalidOpcode, nameTooLong, infiniteLoop, tooManyLabels

  var name: StaticString {
    switch self {
    case .malformedData: "malformed_data"
    case .notRequest: "not_request"
    case .notResponse: "not_response"
    case .zFlagSet: "z_flag_set"
    case .invalidOpcode: "invalid_opcode"
    case .nameTooLong: "name_too_long"
    case .infiniteLoop: "infinite_loop"
    case .tooManyLabels: "too_many_labels"
    }
  }
}

/// A question or an answer.
final class DNSTransaction: MessageTransaction {
  let number: UInt64
  let side: FlowSide
  fileprivate(set) var message: DNSMessage?
  private(set) var events = ApplicationEvents()
  let inspection = TransactionInspection()

  init(number: UInt64, side: FlowSide) {
    self.number = number
    self.side = side
  }

  fileprivate func note(_ event: DNSEvent) { events.insert(event.rawValue) }

  var inspectedSide: FlowSide? { side }

  /// A message is there as a whole, and nothing belongs to it from the other side.

  func bytes(of buffer: InspectionBuffer, from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? {
    guard buffer == .dnsQuery, side == self.side, let message, !message.isResponse, index < message.questions.count
    else { return nil }
    return message.questions[index].name.text[...]
  }

  func value(of number: ApplicationNumber) -> UInt32? {
    guard number == .dnsOpcode, let message else { return nil }
    return UInt32(message.operationCode)
  }
}
