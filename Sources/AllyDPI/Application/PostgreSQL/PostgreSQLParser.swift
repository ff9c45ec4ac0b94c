internal import AllyPacket

/// PostgreSQL's protocol, version 3 (PostgreSQL documentation, "Frontend/Backend Protocol"): one transaction for each request of
/// the client and all that answers it.
final class PostgreSQLParser: ApplicationParser {
  static var applicationProtocol: ApplicationProtocol { .pgsql }
  static var transports: [UInt8] { [IPProtocolNumber.tcp] }
  static var recordName: StaticString { "pgsql" }
  static var recordKind: RecordKinds { .pgsql }

  /// Bytes of a message that are kept; what is beyond is passed over.
  private static var longest: Int { 64 << 10 }

  private let limits: ApplicationLimits
  private var transactions: [PostgreSQLTransaction] = []
  /// Numbers count from 1.
  private var transactionsBegun: UInt64 = 1
  private var toServer = Reading()
  private var toClient = Reading()
  var isLost: Bool { toServer.isLost || toClient.isLost }
  /// The client's next message begins a session: it has no type.
  private var isStarting = true
  /// The client has asked for encryption, which one byte answers.
  private var awaitsEncryption = false
  private(set) var isHandedOver = false

  /// Where one side's stream is.
  private struct Reading {
    var pending: [UInt8] = []
    /// Bytes of a message that are passed over.
    var skipping = 0
    var isLost = false
  }

  init(limits: ApplicationLimits, transport: UInt8) { self.limits = limits }

  var announcedSuccessor: ApplicationProtocol? { .tls }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? { nil }

  /// A client begins with its protocol's version, or asks for encryption.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    guard side == .toServer else { return .no }
    guard let header = Window<8>(start, at: 0) else {
      return start.byteCount == 0 || start.byte(at: 0) == 0 ? .needsMore : .no
    }
    let length = header.u32(0)
    switch header.u32(4) {
    case PostgreSQLMessage.encryption, PostgreSQLMessage.encryptionByGSS: return length == 8 ? .yes : .no
    case PostgreSQLMessage.cancel: return length == 16 ? .yes : .no
    case PostgreSQLMessage.version3: return length > 8 && length <= 10_000 ? .yes : .no
    default: return .no
    }
  }

  // MARK: data

  func receive(_ data: RawSpan, from side: FlowSide) {
    if isHandedOver { return }
    var reading = Reading()
    if side == .toServer { swap(&reading, &toServer) } else { swap(&reading, &toClient) }
    read(data, &reading, side)
    if side == .toServer { swap(&reading, &toServer) } else { swap(&reading, &toClient) }
  }

  private func read(_ data: RawSpan, _ reading: inout Reading, _ side: FlowSide) {
    var offset = 0
    while offset < data.byteCount, !reading.isLost, !isHandedOver {
      if reading.skipping > 0 {
        let count = min(reading.skipping, data.byteCount - offset)
        reading.skipping -= count
        offset += count
        continue
      }
      if side == .toClient, awaitsEncryption {
        answerEncryption(data.byte(at: offset))
        offset += 1
        continue
      }
      let hasType = side == .toClient || !isStarting
      let header = hasType ? 5 : 4
      if reading.pending.count < header {
        let count = min(header - reading.pending.count, data.byteCount - offset)
        reading.pending.append(data.extracting(offset..<(offset + count)))
        offset += count
        if reading.pending.count < header { return }
      }
      var reader = ByteReader(reading.pending[(header - 4)...])
      guard let length = reader.u32(), length >= 4, length <= 1 << 30 else {
        reading.isLost = true
        return
      }
      let whole = header - 4 + Int(length)
      let kept = min(whole, PostgreSQLParser.longest)
      let count = min(kept - reading.pending.count, data.byteCount - offset)
      reading.pending.append(data.extracting(offset..<(offset + count)))
      offset += count
      guard reading.pending.count == kept else { return }
      let type = hasType ? reading.pending[0] : 0
      let body = Array(reading.pending[header...])
      reading.pending.removeAll(keepingCapacity: true)
      reading.skipping = whole - kept
      if side == .toServer { takeRequest(type, body) } else { takeResponse(type, body) }
    }
  }

  // MARK: messages

  private func takeRequest(_ type: UInt8, _ body: [UInt8]) {
    guard let request = PostgreSQLRequest(type, body, isStart: isStarting) else { return }
    switch request {
    case .encryption: awaitsEncryption = true
    case .startup, .cancel: isStarting = false
    default: break
    }
    // What goes on with a request that is being put together (parse, bind, execute) belongs to it.
    if case .other = request, let last = transactions.last, !last.isAnswered, last.isExtended { return }
    guard transactions.count < limits.transactions else { return }
    let transaction = PostgreSQLTransaction(number: transactionsBegun, request)
    transactionsBegun += 1
    transactions.append(transaction)
  }

  private func answerEncryption(_ answer: UInt8) {
    awaitsEncryption = false
    let isAccepted = answer == UInt8(ascii: "S") || answer == UInt8(ascii: "G")
    waiting?.answerEncryption(isAccepted: isAccepted)
    isHandedOver = isAccepted
  }

  private func takeResponse(_ type: UInt8, _ body: [UInt8]) { waiting?.answer(type, body) }

  /// The oldest request without a whole answer.
  private var waiting: PostgreSQLTransaction? { transactions.first { !$0.isAnswered } }

  func skip(_ count: Int, from side: FlowSide) {
    if side == .toServer { skip(count, &toServer) } else { skip(count, &toClient) }
  }

  private func skip(_ count: Int, _ reading: inout Reading) {
    if count <= reading.skipping { reading.skipping -= count } else { reading.isLost = true }
  }

  func close(_ side: FlowSide) { for transaction in transactions { transaction.close(side) } }

  var transactionCount: Int { transactions.count }
  func transaction(at index: Int) -> any ApplicationTransaction { transactions[index] }
  func removeTransaction(at index: Int) { transactions.remove(at: index) }
}

/// Numbers that begin a session.
enum PostgreSQLMessage {
  static var version3: UInt32 { 0x0003_0000 }
  static var cancel: UInt32 { 80_877_102 }
  static var encryption: UInt32 { 80_877_103 }
  static var encryptionByGSS: UInt32 { 80_877_104 }
}
