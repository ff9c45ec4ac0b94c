/// A stream, or a frame that belongs to none.
final class HTTP2Transaction: ApplicationTransaction {
  enum Stage {
    static var opened: UInt8 { 1 }
    /// The header fields are there.
    static var body: UInt8 { 3 }
    /// The body is there.
    static var trailer: UInt8 { 4 }
  }

  /// What one side said.
  struct Side {
    var stage = Stage.opened
    var fields: [HTTP2HeaderTable.Field] = []
    var body = HTTPBody()
    var frames: [UInt8] = []
    var errors: [UInt32] = []
    var priorities: [UInt8] = []
    var windows: [UInt32] = []
    /// Sizes of the header table, each with the number of header fields that stand before it.
    var updates: [(place: Int, size: UInt32)] = []
    var settings: [(identifier: UInt16, value: UInt32)] = []

    /// Values of one kind that are kept at most.
    static var most: Int { 256 }

    func value(of name: StaticString) -> ArraySlice<UInt8>? {
      fields.first { $0.name.isCaselessEqual(to: name) }?.value[...]
    }
  }

  let number: UInt64
  /// 0 for frames that belong to the connection.
  let stream: UInt32
  private(set) var request = Side()
  private(set) var response = Side()
  private(set) var files: [TransferredFile] = []
  private let filePolicy: FilePolicy
  private(set) var events = ApplicationEvents()
  let inspection = TransactionInspection()
  private var requestDecoder: ContentDecoder? = nil
  private var responseDecoder: ContentDecoder? = nil

  init(number: UInt64, stream: UInt32, files policy: FilePolicy) {
    self.number = number
    self.stream = stream
    filePolicy = policy
  }

  private func side(_ side: FlowSide) -> Side { side == .toServer ? request : response }

  private func withSide(_ side: FlowSide, _ body: (inout Side) -> Void) {
    if side == .toServer { body(&request) } else { body(&response) }
  }

  // MARK: what the parser brings

  func note(_ event: HTTP2Event) { events.insert(event.rawValue) }

  private func keep<Value>(_ value: Value, in list: WritableKeyPath<Side, [Value]>, _ side: FlowSide) {
    withSide(side) { if $0[keyPath: list].count < Side.most { $0[keyPath: list].append(value) } }
  }

  func note(frame type: UInt8, _ side: FlowSide) { keep(type, in: \.frames, side) }
  func note(error code: UInt32, _ side: FlowSide) { keep(code, in: \.errors, side) }
  func note(priority weight: UInt8, _ side: FlowSide) { keep(weight, in: \.priorities, side) }
  func note(window size: UInt32, _ side: FlowSide) { keep(size, in: \.windows, side) }
  func note(update size: UInt32, before place: Int, _ flowSide: FlowSide) {
    keep((side(flowSide).fields.count + place, size), in: \.updates, flowSide)
  }
  func note(setting identifier: UInt16, _ value: UInt32, _ side: FlowSide) {
    keep((identifier, value), in: \.settings, side)
  }

  /// Header fields; those that come after the body are its trailer.
  func take(_ fields: [HTTP2HeaderTable.Field], _ flowSide: FlowSide, _ limits: ApplicationLimits) {
    withSide(flowSide) {
      $0.fields.append(contentsOf: fields.prefix(max(0, limits.headers - $0.fields.count)))
      $0.stage = max($0.stage, Stage.body)
    }
    if flowSide == .toServer, let authority = request.value(of: ":authority") {
      if authority.contains(UInt8(ascii: "@")) { note(.userInfoInURI) }
      if let host = request.value(of: "host"), !host.elementsEqual(authority) { note(.authorityHostMismatch) }
    }
    if let range = side(flowSide).value(of: "content-range"), HTTPContentRange(range) == nil { note(.invalidRange) }
    guard let encoding = side(flowSide).value(of: "content-encoding") else { return }
    let decoder = ContentDecoder(limit: limits.decompressedBody)
    if encoding.containsCaseless("gzip") {
      decoder.append(.gzip)
    } else if encoding.containsCaseless("deflate") {
      decoder.append(.deflate)
    } else {
      return
    }
    if flowSide == .toServer { requestDecoder = decoder } else { responseDecoder = decoder }
  }

  func append(_ data: RawSpan, _ flowSide: FlowSide, _ limits: ApplicationLimits) {
    let limit = flowSide == .toServer ? limits.requestBody : limits.responseBody
    if files.firstIndex(where: { $0.side == flowSide }) == nil {
      files.append(TransferredFile(name: [], side: flowSide, policy: filePolicy, keepsBytes: false))
    }
    let decoder = flowSide == .toServer ? requestDecoder : responseDecoder
    if let decoder {
      decoder.decode(data) { keep($0, flowSide, limit) }
      if decoder.hasFailed { note(.failedDecompression) }
    } else {
      keep(data, flowSide, limit)
    }
  }

  private func keep(_ data: RawSpan, _ flowSide: FlowSide, _ limit: Int) {
    if flowSide == .toServer {
      request.body.append(data, limit: limit)
    } else {
      response.body.append(data, limit: limit)
    }
    files.first { $0.side == flowSide }?.append(data)
  }

  func markGap(_ flowSide: FlowSide) {
    files.first { $0.side == flowSide && $0.state == .open }?.skip(0)
  }

  /// The side says no more on this stream.
  func end(_ flowSide: FlowSide) {
    withSide(flowSide) { $0.stage = TransactionStage.complete }
    files.first { $0.side == flowSide && $0.state == .open }?.close(isWhole: true)
  }

  /// Neither side says more on this stream.
  var isOver: Bool {
    stream != 0 && request.stage == TransactionStage.complete && response.stage == TransactionStage.complete
  }

  func endsWithHeaders(_ flowSide: FlowSide) { end(flowSide) }

  // MARK: what rules ask

  func stage(of flowSide: FlowSide) -> UInt8 { stream == 0 ? TransactionStage.complete : side(flowSide).stage }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? {
    let isRequest = side == .toServer
    func fields(when exists: Bool = true) -> BufferAvailability? {
      exists ? BufferAvailability(stage: Stage.body) : nil
    }
    return switch buffer {
    case .httpURI, .httpURIRaw, .httpMethod, .httpRequestLine, .httpHost, .httpHostRaw, .httpUserAgent, .httpReferer,
      .httpAccept,
      .httpAcceptEncoding, .httpAcceptLanguage, .httpRequestHeader:
      fields(when: isRequest)
    case .httpStatusCode, .httpResponseLine, .httpLocation, .httpServer, .httpResponseHeader: fields(when: !isRequest)
    case .httpHeader, .httpHeaderRaw, .httpHeaderNames, .httpCookie, .httpContentType, .httpContentLength,
      .httpConnection, .http2HeaderName, .httpProtocol:
      fields()
    case .httpRequestBody: isRequest ? BufferAvailability(stage: Stage.trailer, grows: true) : nil
    case .httpResponseBody: isRequest ? nil : BufferAvailability(stage: Stage.trailer, grows: true)
    case .fileData: BufferAvailability(stage: Stage.trailer, grows: true)
    default: nil
    }
  }

  func bytes(of buffer: InspectionBuffer, from flowSide: FlowSide, at index: Int) -> ArraySlice<UInt8>? {
    let side = side(flowSide)
    switch buffer {
    case .httpRequestHeader, .httpResponseHeader:
      guard index < side.fields.count else { return nil }
      return HTTP2Transaction.line(side.fields[index])[...]
    case .http2HeaderName: return index < side.fields.count ? side.fields[index].name[...] : nil
    default: return index == 0 ? single(buffer, side) : nil
    }
  }

  private static func line(_ field: HTTP2HeaderTable.Field) -> [UInt8] {
    field.name + [UInt8(ascii: ":"), 0x20] + field.value
  }

  private func single(_ buffer: InspectionBuffer, _ side: Side) -> ArraySlice<UInt8>? {
    switch buffer {
    case .httpURI, .httpURIRaw: return side.value(of: ":path")
    case .httpMethod: return side.value(of: ":method")
    case .httpRequestLine:
      guard let method = side.value(of: ":method"), let path = side.value(of: ":path") else { return nil }
      return (method + [0x20] + path + Array(" HTTP/2\r\n".utf8))[...]
    case .httpResponseLine:
      guard let status = side.value(of: ":status") else { return nil }
      return (Array("HTTP/2 ".utf8) + status + Array("\r\n".utf8))[...]
    case .httpHost: return (side.value(of: ":authority") ?? side.value(of: "host"))?.map(LiteralSearch.lowercase)[...]
    case .httpHostRaw: return side.value(of: ":authority") ?? side.value(of: "host")
    case .httpUserAgent: return side.value(of: "user-agent")
    case .httpReferer: return side.value(of: "referer")
    case .httpAccept: return side.value(of: "accept")
    case .httpAcceptEncoding: return side.value(of: "accept-encoding")
    case .httpAcceptLanguage: return side.value(of: "accept-language")
    case .httpCookie: return side.value(of: "cookie") ?? side.value(of: "set-cookie")
    case .httpContentType: return side.value(of: "content-type")
    case .httpContentLength: return side.value(of: "content-length")
    case .httpConnection: return side.value(of: "connection")
    case .httpLocation: return side.value(of: "location")
    case .httpServer: return side.value(of: "server")
    case .httpStatusCode: return side.value(of: ":status")
    case .httpProtocol: return Array("HTTP/2".utf8)[...]
    case .httpHeader, .httpHeaderRaw:
      if side.fields.isEmpty { return nil }
      return Array(side.fields.map { HTTP2Transaction.line($0) + [0x0D, 0x0A] }.joined())[...]
    case .httpHeaderNames:
      if side.fields.isEmpty { return nil }
      return ([0x0D, 0x0A] + side.fields.flatMap { $0.name + [0x0D, 0x0A] } + [0x0D, 0x0A])[...]
    case .httpRequestBody, .httpResponseBody, .fileData: return side.body.bytes.isEmpty ? nil : side.body.bytes[...]
    default: return nil
    }
  }

  func meets(_ number: ApplicationNumber, _ test: NumberTest, from flowSide: FlowSide) -> Bool {
    let side = side(flowSide)
    return switch number {
    case .http2FrameType: side.frames.contains { test.matches(UInt32($0)) }
    case .http2ErrorCode: side.errors.contains { test.matches($0) }
    case .http2Priority: side.priorities.contains { test.matches(UInt32($0)) }
    case .http2Window: side.windows.contains { test.matches($0) }
    case .http2SizeUpdate: side.updates.contains { test.matches($0.size) }
    default: false
    }
  }

  func meets(_ condition: ApplicationCondition, from flowSide: FlowSide, at time: UInt64) -> Bool {
    guard case .http2Setting(let identifier, let match) = condition else { return false }
    return side(flowSide).settings.contains { $0.identifier == identifier && match.matches($0.value) }
  }
}

// MARK: - records

extension HTTP2Transaction {
  /// Frames that say nothing, such as acknowledgements, are not recorded.
  func recordCount(_ options: RecordOptions) -> Int {
    [request, response].contains {
      !$0.fields.isEmpty || !$0.settings.isEmpty || !$0.errors.isEmpty || !$0.priorities.isEmpty
    }
      ? 1 : 0
  }

  func writeAlertFields(to json: inout JSONWriter, _ options: RecordOptions) {
    if recordCount(options) > 0 { writeFields(to: &json, options) }
  }

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("http")
    json.beginObject()
    json.key("version")
    json.string("2")
    writeHeaders(of: request, "request_headers", to: &json)
    writeHeaders(of: response, "response_headers", to: &json)
    for (name, field, side) in [
      ("http_method" as StaticString, ":method" as StaticString, request), ("url", ":path", request),
      ("http_user_agent", "user-agent", request),
    ] {
      guard let value = side.value(of: field) else { continue }
      json.key(name)
      json.text(value)
    }
    for (name, field) in [("status" as StaticString, ":status" as StaticString), ("length", "content-length")] {
      guard let text = response.value(of: field) ?? request.value(of: field), text.allSatisfy(\.isDecimalDigit),
        !text.isEmpty, text.count < 19
      else { continue }
      json.key(name)
      json.number(text.reduce(0 as UInt64) { $0 * 10 + UInt64($1 &- 0x30) })
    }
    json.key("http2")
    json.beginObject()
    json.key("stream_id")
    json.number(stream)
    for (name, side) in [("request" as StaticString, request), ("response", response)] {
      json.key(name)
      json.beginObject()
      write(side, to: &json)
      json.endObject()
    }
    json.endObject()
    json.endObject()
  }

  private func writeHeaders(of side: Side, _ name: StaticString, to json: inout JSONWriter) {
    if side.fields.isEmpty && side.updates.isEmpty { return }
    json.key(name)
    json.beginArray()
    var updates = side.updates[...]
    for index in 0...side.fields.count {
      while let update = updates.first, update.place <= index {
        updates.removeFirst()
        json.beginObject()
        json.key("table_size_update")
        json.number(update.size)
        json.endObject()
      }
      guard index < side.fields.count else { break }
      json.beginObject()
      json.key("name")
      json.text(side.fields[index].name[...])
      json.key("value")
      json.text(side.fields[index].value[...])
      json.endObject()
    }
    json.endArray()
  }

  private func write(_ side: Side, to json: inout JSONWriter) {
    if !side.settings.isEmpty {
      json.key("settings")
      json.beginArray()
      for (identifier, value) in side.settings {
        json.beginObject()
        json.key("settings_id")
        json.string(HTTP2Transaction.name(ofSetting: identifier))
        json.key("settings_value")
        json.number(value)
        json.endObject()
      }
      json.endArray()
    }
    if let code = side.errors.first {
      json.key("error_code")
      json.string(HTTP2Transaction.name(ofError: code))
    }
    if let weight = side.priorities.first {
      json.key("priority")
      json.number(weight)
    }
  }

  // RFC 9113 §6.5.2.
  private static func name(ofSetting identifier: UInt16) -> String {
    let names = [
      "HEADERTABLESIZE", "ENABLEPUSH", "MAXCONCURRENTSTREAMS", "INITIALWINDOWSIZE", "MAXFRAMESIZE", "MAXHEADERLISTSIZE",
    ]
    guard identifier >= 1, identifier <= names.count else { return "UNKNOWN(\(identifier))" }
    return "SETTINGS" + names[Int(identifier) - 1]
  }

  // RFC 9113 §7.
  private static func name(ofError code: UInt32) -> String {
    let names = [
      "NOERROR", "PROTOCOLERROR", "INTERNALERROR", "FLOWCONTROLERROR", "SETTINGSTIMEOUT", "STREAMCLOSED",
      "FRAMESIZEERROR", "REFUSEDSTREAM", "CANCEL", "COMPRESSIONERROR", "CONNECTERROR", "ENHANCEYOURCALM",
      "INADEQUATESECURITY", "HTTP11REQUIRED",
    ]
    return code < names.count ? names[Int(code)] : "\(code)"
  }
}
