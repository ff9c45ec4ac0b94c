internal import AllyPacket

/// Modbus over TCP (Modbus Messaging on TCP/IP 1.0b). A transaction is a request with its response.
final class ModbusParser: ApplicationParser {
  static var applicationProtocol: ApplicationProtocol { .modbus }
  static var recordName: StaticString { "modbus" }
  static var standardPort: UInt16 { 502 }
  static var recordKind: RecordKinds { .modbus }
  static var transports: [UInt8] { [IPProtocolNumber.tcp] }
  static let eventNames: [StaticString] = ModbusEvent.allCases.map(\.name)

  /// Bytes behind the length: a unit, a function, and what it needs.
  private static var longest: Int { 254 }

  private let limits: ApplicationLimits
  private var transactions: [ModbusTransaction] = []
  private var transactionsBegun: UInt64 = 0
  private var toServer: [UInt8] = []
  private var toClient: [UInt8] = []
  private(set) var isLost = false

  init(limits: ApplicationLimits, transport: UInt8) { self.limits = limits }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? { nil }

  /// Elsewhere than on port 502 a request must be there as a whole, and be a public one.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    guard let header = Window<8>(start, at: 0) else { return serverPort == 502 ? .needsMore : .no }
    let length = Int(header.u16(4))
    guard header.u16(2) == 0, (2...longest).contains(length) else { return .no }
    if serverPort == 502 { return .yes }
    guard side == .toServer, start.byteCount == 6 + length else { return .no }
    let function = header.u8(7)
    return length == 6 && (1...6).contains(function) ? .yes : .no
  }

  // MARK: data

  func receive(_ data: RawSpan, from side: FlowSide) {
    for transaction in transactions where side == .toServer && transaction.isFinished { transaction.isSettled = true }
    if isLost { return }
    if side == .toServer { read(data, &toServer, side) } else { read(data, &toClient, side) }
  }

  private func read(_ data: RawSpan, _ pending: inout [UInt8], _ side: FlowSide) {
    var offset = 0
    while offset < data.byteCount, !isLost {
      let wanted = pending.count < 6 ? 6 : 6 + ModbusParser.length(pending)
      let count = min(wanted - pending.count, data.byteCount - offset)
      pending.append(data.extracting(offset..<(offset + count)))
      offset += count
      if pending.count == 6 {
        let length = ModbusParser.length(pending)
        guard (2...ModbusParser.longest).contains(length) else {
          begin()?.note(.invalidLength)
          isLost = true
          return
        }
        continue
      }
      guard pending.count == wanted, wanted > 6 else { return }
      if let message = ModbusMessage(pending, isRequest: side == .toServer) { take(message, side) }
      pending.removeAll(keepingCapacity: true)
    }
  }

  private static func length(_ header: [UInt8]) -> Int { Int(header[4]) << 8 | Int(header[5]) }

  private func take(_ message: ModbusMessage, _ side: FlowSide) {
    if side == .toServer {
      begin()?.request = message
      return
    }
    let waiting = transactions.first {
      $0.response == nil && $0.request?.transaction == message.transaction && $0.request?.unit == message.unit
    }
    guard let transaction = waiting else {
      let transaction = begin()
      transaction?.response = message
      transaction?.note(.unsolicitedResponse)
      transaction?.isFinished = true
      return
    }
    transaction.response = message
    transaction.isFinished = true
  }

  private func begin() -> ModbusTransaction? {
    guard transactions.count < limits.transactions else {
      transactions.last?.note(.flooded)
      return nil
    }
    transactionsBegun += 1
    let transaction = ModbusTransaction(number: transactionsBegun - 1, isInline: limits.options.isInline)
    transactions.append(transaction)
    return transaction
  }

  func skip(_ count: Int, from side: FlowSide) { isLost = true }

  func close(_ side: FlowSide) {
    for transaction in transactions {
      transaction.isFinished = true
      transaction.isSettled = true
    }
  }

  var transactionCount: Int { transactions.count }
  func transaction(at index: Int) -> any ApplicationTransaction { transactions[index] }
  func removeTransaction(at index: Int) { transactions.remove(at: index) }
}

/// What is odd about a message. The names are those that rules ask for as `app-layer-event:modbus.NAME`.
enum ModbusEvent: UInt8, CaseIterable, Sendable {
  case flooded, invalidProtocolID, unsolicitedResponse, invalidLength, invalidFunctionCode, invalidValue
  case invalidExceptionCode, valueMismatch

  var name: StaticString {
    switch self {
    case .flooded: "flooded"
    case .invalidProtocolID: "invalid_protocol_id"
    case .unsolicitedResponse: "unsolicited_response"
    case .invalidLength: "invalid_length"
    case .invalidFunctionCode: "invalid_function_code"
    case .invalidValue: "invalid_value"
    case .invalidExceptionCode: "invalid_exception_code"
    case .valueMismatch: "value_mismatch"
    }
  }
}
