/// A request with its response.
final class ModbusTransaction: ApplicationTransaction {
  let number: UInt64
  var request: ModbusMessage? = nil { didSet { if let request { noteProblems(of: request) } } }
  var response: ModbusMessage? = nil { didSet { if let response { noteProblems(of: response) } } }
  /// The response is there, or will not come.
  var isFinished = false
  /// The client has spoken since.
  var isSettled = false
  private(set) var events = ApplicationEvents()
  let inspection = TransactionInspection()

  private let isInline: Bool

  init(number: UInt64, isInline: Bool) {
    self.number = number
    self.isInline = isInline
  }

  func note(_ event: ModbusEvent) { events.insert(event.rawValue) }

  private func noteProblems(of message: ModbusMessage) {
    if message.protocolID != 0 { note(.invalidProtocolID) }
    if message.isTooShort { note(.invalidLength) }
    if message.hasBadValue { note(.invalidValue) }
    if message.function == 0 { note(.invalidFunctionCode) }
  }

  /// All that rules ask is about the request. Inline it is judged at once, otherwise together with its response.
  func stage(of side: FlowSide) -> UInt8 {
    side == .toServer ? (isSettled ? TransactionStage.complete : 1) : isFinished ? TransactionStage.complete : 1
  }

  var isRecordable: Bool { isFinished }

  func bytes(of buffer: InspectionBuffer, from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? { nil }

  func meets(_ condition: ApplicationCondition, from side: FlowSide, at time: UInt64) -> Bool {
    guard case .modbus(let match) = condition, side == .toServer, let request, isSettled || isInline else {
      return false
    }
    if let unit = match.unit, !unit.matches(UInt32(request.unit)) { return false }
    if let function = match.function, function != request.function { return false }
    if let wanted = match.subfunction {
      guard case .diagnostic(let code, _) = request.content, code == wanted else { return false }
    }
    if let category = match.category, (request.category & category.bits != 0) == category.isNegated { return false }
    if let access = match.access { return meets(access, request) }
    return true
  }

  private func meets(_ wanted: ModbusMatch.Access, _ request: ModbusMessage) -> Bool {
    // A message that does both is asked for both.
    let isBoth = request.function == 23
    guard let access = request.access, access.isWrite == wanted.isWrite || isBoth else { return false }
    if let table = wanted.table, table != access.table { return false }
    guard let address = wanted.address else { return true }
    let (first, count, values) = range(of: request, isWrite: wanted.isWrite)
    guard let first else { return false }
    for place in 0..<max(count, 1) where address.matches(UInt32(first) + UInt32(place)) {
      guard let value = wanted.value else { return true }
      if place < values.count, value.matches(values[place]) { return true }
    }
    return false
  }

  /// What is accessed: the first address, how many, and what is written.
  private func range(of request: ModbusMessage, isWrite: Bool) -> (UInt16?, Int, [UInt32]) {
    switch request.content {
    case .readRequest(let address, let quantity): return (address, Int(quantity), [])
    case .writeSingle(let address, let data):
      return (address, 1, [request.function == 5 ? (data == 0xFF00 ? 1 : 0) : UInt32(data)])
    case .writeMultiple(let address, let quantity, let data):
      return (address, Int(quantity), values(data, Int(quantity), isBits: request.function == 15))
    case .mask(let address, _, _): return (address, 1, [])
    case .readWrite(let address, let quantity, let writeAddress, let writeQuantity, let data):
      if !isWrite { return (address, Int(quantity), []) }
      return (writeAddress, Int(writeQuantity), values(data, Int(writeQuantity), isBits: false))
    default: return (nil, 0, [])
    }
  }

  private func values(_ data: ArraySlice<UInt8>, _ count: Int, isBits: Bool) -> [UInt32] {
    var reader = ByteReader(data)
    var values: [UInt32] = []
    if !isBits {
      while let value = reader.u16() { values.append(UInt32(value)) }
      return values
    }
    while let byte = reader.u8() {
      for bit in 0..<8 as Range<UInt8> where values.count < count { values.append(UInt32(byte >> bit & 1)) }
    }
    return values
  }

  // MARK: records

  var recordsHaveNumber: Bool { false }

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("modbus")
    json.beginObject()
    json.key("id")
    json.number(number + 1)
    for (name, message) in [("request" as StaticString, request), ("response", response)] {
      guard let message else { continue }
      json.key(name)
      json.beginObject()
      ModbusRecord.write(message, to: &json)
      json.endObject()
    }
    json.endObject()
  }
}
