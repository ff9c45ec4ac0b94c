extension HTTPParser {
  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? {
    typealias Stage = HTTPTransaction.Stage
    let isRequest = side == .toServer
    func from(_ stage: Stage, when exists: Bool = true, grows: Bool = false) -> BufferAvailability? {
      exists ? BufferAvailability(stage: stage.rawValue, grows: grows) : nil
    }
    return switch buffer {
    case .httpURI, .httpURIRaw, .httpMethod, .httpRequestLine: from(.headers, when: isRequest)
    case .httpProtocol: from(.headers)
    case .httpResponseLine, .httpStatusCode, .httpStatusMessage: from(.headers, when: !isRequest)
    case .httpHost, .httpHostRaw, .httpUserAgent, .httpReferer, .httpAccept, .httpAcceptEncoding, .httpAcceptLanguage,
      .httpRequestHeader:
      from(.body, when: isRequest)
    case .httpLocation, .httpServer, .httpResponseHeader: from(.body, when: !isRequest)
    case .httpHeader, .httpHeaderRaw, .httpHeaderNames, .httpCookie, .httpContentType, .httpContentLength,
      .httpConnection, .httpStart:
      from(.body)
    case .httpRequestBody: from(.trailer, when: isRequest, grows: true)
    case .httpResponseBody: from(.trailer, when: !isRequest, grows: true)
    case .fileData, .fileName, .fileMagic: from(.trailer, grows: true)
    default: nil
    }
  }
}

/// Buffers that are put together out of a message's parts, each once and only when it is asked for.
struct HTTPComposedBuffers {
  fileprivate struct Composed {
    var header: [UInt8]? = nil
    var names: [UInt8]? = nil
    var start: [UInt8]? = nil
    var field: [UInt8] = []
  }

  private var request = Composed()
  private var response = Composed()
  private var host: [UInt8]? = nil

  mutating func removeAll() {
    request = Composed()
    response = Composed()
    host = nil
  }

  mutating func bytes(
    of buffer: InspectionBuffer, from side: FlowSide, at index: Int, in transaction: HTTPTransaction
  ) -> ArraySlice<UInt8>? {
    if index > 0 && !buffer.isRepeated { return nil }
    return side == .toServer
      ? requestBytes(of: buffer, at: index, transaction) : responseBytes(of: buffer, at: index, transaction)
  }

  private mutating func requestBytes(of buffer: InspectionBuffer, at index: Int, _ transaction: HTTPTransaction)
    -> ArraySlice<UInt8>?
  {
    switch buffer {
    case .httpURI: return present(transaction.request.uri.normalized)
    case .httpURIRaw: return present(transaction.request.target)
    case .httpMethod: return present(transaction.request.method)
    case .httpProtocol: return present(transaction.request.version)
    case .httpRequestLine: return present(transaction.request.line)
    case .httpHost:
      guard let name = transaction.hostName else { return nil }
      let lowered = host ?? name.map(LiteralSearch.lowercase)
      host = lowered
      return lowered[...]
    case .httpHostRaw: return transaction.rawHost
    case .httpUserAgent: return transaction.request.fields.value(of: "user-agent")
    case .httpReferer: return transaction.request.fields.value(of: "referer")
    case .httpAccept: return transaction.request.fields.value(of: "accept")
    case .httpAcceptEncoding: return transaction.request.fields.value(of: "accept-encoding")
    case .httpAcceptLanguage: return transaction.request.fields.value(of: "accept-language")
    case .httpCookie: return transaction.request.fields.value(of: "cookie")
    case .httpRequestHeader: return request.line(of: transaction.request.fields, at: index)
    case .httpHeaderRaw: return present(transaction.request.rawFields)
    case .httpHeader: return request.header(of: transaction.request.fields, without: "cookie")
    case .httpStart: return request.start(transaction.request.line, transaction.request.rawFields)
    case .httpRequestBody: return present(transaction.request.body.bytes)
    case .fileData: return transaction.fileBytes(from: .toServer, at: index)
    default: return request.shared(buffer, of: transaction.request.fields, at: index, transaction, .toServer)
    }
  }

  private mutating func responseBytes(of buffer: InspectionBuffer, at index: Int, _ transaction: HTTPTransaction)
    -> ArraySlice<UInt8>?
  {
    switch buffer {
    case .httpProtocol: return present(transaction.response.version)
    case .httpResponseLine: return present(transaction.response.line)
    case .httpStatusCode: return present(transaction.response.status)
    case .httpStatusMessage: return present(transaction.response.message)
    case .httpLocation: return transaction.response.fields.value(of: "location")
    case .httpServer: return transaction.response.fields.value(of: "server")
    case .httpCookie: return transaction.response.fields.value(of: "set-cookie")
    case .httpResponseHeader: return response.line(of: transaction.response.fields, at: index)
    case .httpHeaderRaw: return present(transaction.response.rawFields)
    case .httpHeader: return response.header(of: transaction.response.fields, without: "set-cookie")
    case .httpStart: return response.start(transaction.response.line, transaction.response.rawFields)
    case .httpResponseBody, .fileData: return index == 0 ? present(transaction.response.body.bytes) : nil
    default: return response.shared(buffer, of: transaction.response.fields, at: index, transaction, .toClient)
    }
  }

  private func present(_ bytes: [UInt8]) -> ArraySlice<UInt8>? { bytes.isEmpty ? nil : bytes[...] }
}

extension HTTPComposedBuffers.Composed {
  /// What requests and responses have alike.
  fileprivate mutating func shared(
    _ buffer: InspectionBuffer, of fields: HTTPHeaderFields, at index: Int, _ transaction: HTTPTransaction,
    _ side: FlowSide
  ) -> ArraySlice<UInt8>? {
    switch buffer {
    case .httpContentType: return fields.value(of: "content-type")
    case .httpContentLength: return fields.value(of: "content-length")
    case .httpConnection: return fields.value(of: "connection")
    case .httpHeaderNames: return headerNames(of: fields)
    case .fileName: return transaction.fileName(from: side, at: index)
    case .fileMagic: return transaction.fileMagic(from: side, at: index)
    default: return nil
    }
  }

  /// All fields, one on a line, as `name: value`; cookies have a buffer of their own.
  fileprivate mutating func header(of fields: HTTPHeaderFields, without cookie: StaticString) -> ArraySlice<UInt8>? {
    if let header { return header[...] }
    guard !fields.isEmpty else { return nil }
    var text: [UInt8] = []
    text.reserveCapacity(fields.byteCount + fields.count * 4)
    for index in 0..<fields.count where !fields.name(index).isCaselessEqual(to: cookie) {
      text.append(contentsOf: fields.name(index))
      text.append(text: ": ")
      text.append(contentsOf: fields.value(index))
      text.append(text: "\r\n")
    }
    header = text
    return text.isEmpty ? nil : text[...]
  }

  fileprivate mutating func headerNames(of fields: HTTPHeaderFields) -> ArraySlice<UInt8>? {
    if let names { return names[...] }
    guard !fields.isEmpty else { return nil }
    var text: [UInt8] = []
    text.append(text: "\r\n")
    for index in 0..<fields.count {
      text.append(contentsOf: fields.name(index))
      text.append(text: "\r\n")
    }
    text.append(text: "\r\n")
    names = text
    return text[...]
  }

  fileprivate mutating func start(_ line: [UInt8], _ rawFields: [UInt8]) -> ArraySlice<UInt8>? {
    if let start { return start[...] }
    guard !line.isEmpty else { return nil }
    var text = line
    text.append(text: "\r\n")
    text.append(contentsOf: rawFields)
    start = text
    return text[...]
  }

  /// One field as `name: value`.
  fileprivate mutating func line(of fields: HTTPHeaderFields, at index: Int) -> ArraySlice<UInt8>? {
    guard index < fields.count else { return nil }
    field.removeAll(keepingCapacity: true)
    field.append(contentsOf: fields.name(index))
    field.append(text: ": ")
    field.append(contentsOf: fields.value(index))
    return field[...]
  }
}

extension HTTPTransaction {
  /// The host that the request names, as sent: in the target, else in `Host`.
  var rawHost: ArraySlice<UInt8>? {
    if let host = request.uri.host, !host.isEmpty { return request.target[host] }
    return request.fields.value(of: "host")
  }

  /// The same without a port.
  var hostName: ArraySlice<UInt8>? { rawHost.map(HTTPHost.name) }

  /// The port that the request names; 0 as long as no request says whether it does, or none was seen.
  var hostPort: UInt16? {
    if request.stage < .body || request.line.isEmpty { return 0 }
    if let host = request.uri.host, !host.isEmpty {
      return request.uri.port.flatMap { HTTPHost.portNumber(request.target[$0]) }
    }
    return request.fields.value(of: "host").flatMap(HTTPHost.port)
  }
}
