internal import AllyPacket

/// DCE/RPC over TCP (C706 §12) and UDP (§13): one transaction for each call.
final class DCERPCParser: ApplicationParser {
  static var applicationProtocol: ApplicationProtocol { .dcerpc }
  static var transports: [UInt8] { [IPProtocolNumber.tcp, IPProtocolNumber.udp] }
  static var recordName: StaticString { "dcerpc" }
  static var recordKind: RecordKinds { .dcerpc }
  static var eventNames: [StaticString] { [] }

  let limits: ApplicationLimits
  private let isStream: Bool
  private var transactions: [DCERPCTransaction] = []
  private var transactionsBegun: UInt64 = 0
  private let interfaces = DCERPCInterfaces()
  /// The unit that is not whole.
  private var pendingToServer: [UInt8] = []
  private var pendingToClient: [UInt8] = []
  private var isLostToServer = false
  private var isLostToClient = false
  var isLost: Bool { isLostToServer || isLostToClient }

  init(limits: ApplicationLimits, transport: UInt8) {
    self.limits = limits
    isStream = transport == IPProtocolNumber.tcp
  }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? {
    buffer == .dcerpcStubData ? BufferAvailability(stage: TransactionStage.complete) : nil
  }

  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    if transport == IPProtocolNumber.udp {
      guard let header = DCERPCDatagramHeader(start), header.type.rawValue <= 10 else { return .no }
      return header.type.isFromClient == (side == .toServer) || header.type == .ack || header.type == .fack ? .yes : .no
    }
    guard start.byteCount >= 1, start.byte(at: 0) == 5 else { return start.byteCount == 0 ? .needsMore : .no }
    guard start.byteCount >= DCERPCHeader.length else { return .needsMore }
    // Characters, numbers and floats in one of the known forms, and nothing where nothing may be.
    guard let header = DCERPCHeader(start), start.byte(at: 4) & 0xEE == 0, start.byte(at: 5) <= 3,
      start.byte(at: 6) == 0, start.byte(at: 7) == 0
    else { return .no }
    return header.type.isFromClient == (side == .toServer) ? .yes : .no
  }

  // MARK: data

  func receive(_ data: RawSpan, from side: FlowSide) {
    guard isStream else { return takeDatagram(data) }
    if side == .toServer {
      if !isLostToServer { isLostToServer = !split(data, &pendingToServer) }
    } else if !isLostToClient {
      isLostToClient = !split(data, &pendingToClient)
    }
  }

  /// - Returns: whether the bytes are units.
  private func split(_ data: RawSpan, _ pending: inout [UInt8]) -> Bool {
    var offset = 0
    while offset < data.byteCount {
      if pending.count < DCERPCHeader.length {
        let count = min(DCERPCHeader.length - pending.count, data.byteCount - offset)
        pending.append(data.extracting(offset..<(offset + count)))
        offset += count
        if pending.count < DCERPCHeader.length { return true }
      }
      guard let header = DCERPCHeader(pending.rawBytes) else { return false }
      let count = min(header.fragmentLength - pending.count, data.byteCount - offset)
      pending.append(data.extracting(offset..<(offset + count)))
      offset += count
      guard pending.count == header.fragmentLength else { return true }
      let body = pending[DCERPCHeader.length...]
      take(header, body.rawBytes)
      pending.removeAll(keepingCapacity: true)
    }
    return true
  }

  private func take(_ header: DCERPCHeader, _ body: RawSpan) {
    let isRequest = header.type.isFromClient
    guard let transaction = transaction(for: header.callID, isRequest: isRequest) else { return }
    interfaces.take(header, body)
    transaction.call.take(header, body, hasPlainResponses: false, limit: limits.file)
    if isRequest && header.type == .bind { transaction.interfaces = interfaces }
  }

  private func takeDatagram(_ data: RawSpan) {
    guard let header = DCERPCDatagramHeader(data) else { return }
    let isRequest = header.type.isFromClient
    let known = transactions.first {
      $0.datagram?.activity == header.activity && $0.datagram?.sequence == header.sequence
        && !(isRequest ? $0.call.isRequestDone : $0.call.isResponseDone)
    }
    guard let transaction = known ?? beginTransaction(callID: 0) else { return }
    if known == nil { transaction.datagram = header }
    transaction.interfaces = interfaces
    transaction.call.operation = header.operation
    transaction.call.isLittleEndian = header.isLittleEndian
    if isRequest { transaction.call.requestType = header.type } else { transaction.call.responseType = header.type }
    let end = min(data.byteCount, DCERPCDatagramHeader.length + header.fragmentLength)
    transaction.call.take(
      data.extracting(DCERPCDatagramHeader.length..<end), fromClient: isRequest, limit: limits.file)
    if header.isLastFragment {
      if isRequest { transaction.call.isRequestDone = true } else { transaction.call.isResponseDone = true }
    }
  }

  func skip(_ count: Int, from side: FlowSide) {
    // Where the next unit begins is known only when the gap lies within one.
    if side == .toServer { isLostToServer = true } else { isLostToClient = true }
  }

  func close(_ side: FlowSide) { for transaction in transactions { transaction.close(side) } }

  // MARK: transactions

  private func transaction(for callID: UInt32, isRequest: Bool) -> DCERPCTransaction? {
    let known = transactions.first {
      $0.call.callID == callID && !(isRequest ? $0.call.isRequestDone : $0.call.isResponseDone)
    }
    if let known { return known }
    let transaction = beginTransaction(callID: callID)
    // A response without a request: that was not seen.
    if !isRequest { transaction?.call.isRequestDone = true }
    return transaction
  }

  private func beginTransaction(callID: UInt32) -> DCERPCTransaction? {
    guard transactions.count < limits.transactions else { return nil }
    let transaction = DCERPCTransaction(number: transactionsBegun, callID: callID)
    transactionsBegun += 1
    transaction.interfaces = interfaces
    transactions.append(transaction)
    return transaction
  }

  var transactionCount: Int { transactions.count }
  func transaction(at index: Int) -> any ApplicationTransaction { transactions[index] }
  func removeTransaction(at index: Int) { transactions.remove(at: index) }
}

/// The interfaces that a conversation is bound to.
final class DCERPCInterfaces {
  private(set) var contexts: [DCERPCContext] = []

  /// Looks at a unit.
  func take(_ header: DCERPCHeader, _ body: RawSpan) {
    switch header.type {
    case .bind, .alterContext:
      let bound = DCERPCContext.list(inBind: body, isLittleEndian: header.isLittleEndian)
      if header.type == .bind { contexts = bound } else { lastAltered = bound }
    case .bindAck: DCERPCContext.acknowledge(&contexts, body, isLittleEndian: header.isLittleEndian)
    case .alterContextResponse:
      DCERPCContext.acknowledge(&lastAltered, body, isLittleEndian: header.isLittleEndian)
      altered = (altered + lastAltered).suffix(64)
    default: break
    }
  }

  private var lastAltered: [DCERPCContext] = []
  /// Those that were added later.
  private var altered: [DCERPCContext] = []

  var all: [DCERPCContext] { contexts + altered }
}

/// The header of DCE/RPC over datagrams (C706 §12.5.2.1).
struct DCERPCDatagramHeader {
  static var length: Int { 80 }

  var type: DCERPCType
  var isLittleEndian: Bool
  var isLastFragment: Bool
  var activity: [UInt8]
  var sequence: UInt32
  var operation: UInt16
  var fragmentLength: Int

  init?(_ data: RawSpan) {
    guard data.byteCount >= DCERPCDatagramHeader.length, data.byte(at: 0) == 4,
      let type = DCERPCType(rawValue: data.byte(at: 1)), data.byte(at: 4) & 0xEE == 0, data.byte(at: 5) <= 3
    else { return nil }
    self.type = type
    let flags = data.byte(at: 2)
    // A single fragment says neither "fragment" nor "last".
    isLastFragment = flags & 0x04 == 0 || flags & 0x02 != 0
    isLittleEndian = data.byte(at: 4) & 0x10 != 0
    // Suricata's records show it so, whatever the byte order.
    activity = UUIDText.written(data.extracting(40..<56), isLittleEndian: true)
    var reader = FieldReader(data, at: 64, isLittleEndian: isLittleEndian)
    sequence = reader.u32()
    operation = reader.u16()
    reader.skip(4)
    fragmentLength = Int(reader.u16())
  }
}

/// A call.
final class DCERPCTransaction: ApplicationTransaction {
  let number: UInt64
  var call: DCERPCCall
  var interfaces = DCERPCInterfaces()
  var datagram: DCERPCDatagramHeader?
  private var isClosedToServer = false
  private var isClosedToClient = false
  var events: ApplicationEvents { ApplicationEvents() }
  let inspection = TransactionInspection()

  init(number: UInt64, callID: UInt32) {
    self.number = number
    call = DCERPCCall(callID: callID)
  }

  func close(_ side: FlowSide) { if side == .toServer { isClosedToServer = true } else { isClosedToClient = true } }

  func stage(of side: FlowSide) -> UInt8 {
    let isDone =
      side == .toServer
      ? call.isRequestDone || isClosedToServer : call.isResponseDone || isClosedToClient
    return isDone ? TransactionStage.complete : TransactionStage.complete - 1
  }

  var isLittleEndian: Bool { call.isLittleEndian }

  func bytes(of buffer: InspectionBuffer, from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? {
    index == 0 && buffer == .dcerpcStubData ? call.stub(from: side) : nil
  }

  func matches(
    _ test: TransactionTest, in packet: DecodedPacket, from side: FlowSide,
    ranges: ConstantTable<DetectionTables.NumberRange>
  ) -> Bool {
    switch test {
    case .dcerpcInterface(let interface): call.matches(interface, interfaces.all, byContext: true)
    case .dcerpcOperation(let operations): call.matches(operations, ranges)
    default: false
    }
  }

  // MARK: record

  /// Alerts say nothing of it.
  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {}

  func writeRecord(_ index: Int, to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("dcerpc")
    json.beginObject()
    writeRequest(to: &json)
    json.key("response")
    if call.isResponseDone, let type = call.responseType {
      json.string(type.name)
      if type == .response {
        json.key("res")
        json.beginObject()
        json.key("frag_cnt")
        json.number(UInt64(call.response.fragments))
        json.key("stub_data_size")
        json.number(UInt64(call.response.size))
        json.endObject()
      }
    } else {
      json.string("RESPONSE_LOST")
    }
    if let datagram {
      json.key("activityuuid")
      json.string { UUIDText.append(datagram.activity, to: &$0) }
      json.key("seqnum")
      json.number(datagram.sequence)
      json.key("rpc_version")
      json.string("4.0")
    } else {
      json.key("call_id")
      json.number(call.callID)
      json.key("rpc_version")
      json.string("5.0")
    }
    json.endObject()
  }

  private func writeRequest(to json: inout JSONWriter) {
    json.key("request")
    guard call.isRequestDone, let type = call.requestType else { return json.string("REQUEST_LOST") }
    json.string(type.name)
    switch type {
    case .request:
      json.key("req")
      json.beginObject()
      json.key("opnum")
      json.number(call.operation)
      json.key("frag_cnt")
      json.number(UInt64(call.request.fragments))
      json.key("stub_data_size")
      json.number(UInt64(call.request.size))
      json.endObject()
    case .bind:
      json.key("interfaces")
      json.beginArray()
      for context in interfaces.contexts {
        json.beginObject()
        context.writeName(to: &json)
        json.key("ack_result")
        json.number(context.result ?? 0)
        json.endObject()
      }
      json.endArray()
    default: break
    }
  }
}

extension DCERPCContext {
  func writeName(to json: inout JSONWriter) {
    json.key("uuid")
    json.string { UUIDText.append(uuid, to: &$0) }
    json.key("version")
    json.string("\(version).\(minorVersion)")
  }
}
