internal import AllyPacket

/// A call: a request and its response, each in one fragment or several.
struct DCERPCCall {
  var callID: UInt32
  var requestType: DCERPCType?
  var responseType: DCERPCType?
  var operation: UInt16 = 0
  var context: UInt16 = 0
  var isLittleEndian = true
  private(set) var request = Stub()
  private(set) var response = Stub()
  var isRequestDone = false
  var isResponseDone = false

  /// What the fragments of one side carry.
  struct Stub {
    /// The first bytes.
    private(set) var bytes: [UInt8] = []
    private(set) var size = 0
    private(set) var fragments = 0

    mutating func append(_ data: RawSpan, limit: Int) {
      fragments += 1
      size += data.byteCount
      if bytes.count < limit { bytes.append(data.extracting(0..<min(data.byteCount, limit - bytes.count))) }
    }
  }

  init(callID: UInt32) { self.callID = callID }

  /// Takes a fragment.
  ///
  /// - Parameters:
  ///   - body: what follows the header.
  ///   - hasPlainResponses: whether a response's stub begins behind its own fields; over TCP, Suricata's rules and records
  ///     count these fields in, as they do a request's object.
  ///   - limit: bytes of a stub that are kept.
  mutating func take(_ header: DCERPCHeader, _ body: RawSpan, hasPlainResponses: Bool, limit: Int) {
    isLittleEndian = header.isLittleEndian
    var reader = FieldReader(body, isLittleEndian: header.isLittleEndian)
    if header.type.isFromClient {
      if requestType == nil { requestType = header.type }
      if header.type == .request {
        reader.skip(4)
        context = reader.u16()
        operation = reader.u16()
        request.append(reader.bytes(reader.left), limit: limit)
      }
      if header.isLast { isRequestDone = true }
      // The third leg of an authentication has no answer (MS-RPCE 2.2.2.5).
      if header.type == .auth3 { isResponseDone = true }
    } else {
      if responseType == nil { responseType = header.type }
      if header.type == .response {
        if hasPlainResponses { reader.skip(8) }
        response.append(reader.bytes(reader.left), limit: limit)
      }
      if header.isLast { isResponseDone = true }
    }
  }

  /// A request or response without a header of its own: DCE/RPC over datagrams.
  mutating func take(_ stub: RawSpan, fromClient: Bool, limit: Int) {
    if fromClient { request.append(stub, limit: limit) } else { response.append(stub, limit: limit) }
  }

  func stub(from side: FlowSide) -> ArraySlice<UInt8>? {
    let stub = side == .toServer ? request : response
    return stub.fragments == 0 ? nil : stub.bytes[...]
  }

  /// `dcerpc.iface`: the call is about an interface that was accepted.
  ///
  /// - Parameter byContext: only the interface that the call names counts.
  func matches(_ test: DCERPCInterfaceTest, _ contexts: [DCERPCContext], byContext: Bool) -> Bool {
    guard requestType == .request || responseType == .response else { return false }
    return contexts.contains { entry in
      guard entry.isAccepted, !byContext || entry.number == context, entry.uuid.count == 16,
        entry.uuid[..<8].reduce(0, { $0 << 8 | UInt64($1) }) == test.high,
        entry.uuid[8...].reduce(0, { $0 << 8 | UInt64($1) }) == test.low
      else { return false }
      return test.version.map { $0.matches(UInt32(entry.version)) } ?? true
    }
  }

  /// `dcerpc.opnum`.
  func matches(_ operations: TableRange, _ ranges: ConstantTable<DetectionTables.NumberRange>) -> Bool {
    guard requestType == .request else { return false }
    return operations.indices.contains { ranges[$0].first <= operation && operation <= ranges[$0].last }
  }
}
