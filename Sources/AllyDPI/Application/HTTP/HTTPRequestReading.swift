internal import AllyPacket

/// Where the reading of requests is.
struct HTTPRequestSide {
  enum State {
    case idle, line, headers, trailer, body, chunkLength, chunkData, chunkEnd, finished, stopped
  }

  var state = State.idle
  /// The line that is being read.
  var line: [UInt8] = []
  /// A header field that may go on in the next line.
  var field: [UInt8] = []
  /// Bytes of the body or chunk to come.
  var left = 0
  /// The body becomes a file, or several, with its first bytes.
  var opensFile = false
  var decoder: ContentDecoder?
  /// The parts of a form; nil when the body is none.
  var multipart: HTTPMultipart?
}

extension HTTPParser {
  func receiveRequest(_ data: RawSpan) {
    var input = HTTPInput(data)
    while true {
      let before = currentRequest
      let step = requestStep(&input)
      if let before, before !== currentRequest { endFrame(of: .toServer, at: input.offset - requestSide.line.count) }
      switch step {
      case .continue: continue
      case .needsMore: return
      case .stop:
        requestSide.state = .stopped
        return
      }
    }
  }

  private func requestStep(_ input: inout HTTPInput) -> HTTPStep {
    switch requestSide.state {
    case .stopped: return .needsMore
    case .idle:
      if input.isEmpty { return .needsMore }
      guard beginRequest(), let transaction = currentRequest else { return .stop }
      beginFrame(of: transaction, .toServer, input)
      return .continue
    case .finished: return finishRequest(&input)
    case .line, .headers, .trailer, .chunkLength, .chunkEnd:
      guard input.takeLine(into: &requestSide.line) else { return requestLineIsTooLong ? .stop : .needsMore }
      if requestLineIsTooLong { return .stop }
      return requestLine(&input)
    case .body, .chunkData: return requestBody(&input)
    }
  }

  /// - Returns: false at the limit of transactions.
  private func beginRequest() -> Bool {
    guard let transaction = beginTransaction() else { return false }
    currentRequest = transaction
    transaction.request.stage = .line
    requestSide.state = .line
    return true
  }

  private var requestLineIsTooLong: Bool {
    guard requestSide.line.count + requestSide.field.count > limits.field else { return false }
    currentRequest?.note(.requestFieldTooLong)
    return true
  }

  /// A line is whole.
  private func requestLine(_ input: inout HTTPInput) -> HTTPStep {
    guard let transaction = currentRequest else { return .stop }
    // Taken out while it is read, so that its memory is used again.
    var line = exchange(&requestSide.line, with: [])
    read(line[...], of: transaction, input)
    line.removeAll(keepingCapacity: true)
    requestSide.line = line
    return requestSide.state == .stopped ? .stop : .continue
  }

  private func read(_ line: ArraySlice<UInt8>, of transaction: HTTPTransaction, _ input: HTTPInput) {
    switch requestSide.state {
    case .line:
      // Empty lines in front of a request are ignored (RFC 9112 §2.2).
      if HTTPLine.isBlank(line) { break }
      readRequestLine(HTTPLine.withoutEnd(line), of: transaction, input)
    case .headers, .trailer: readRequestField(line, of: transaction, input)
    case .chunkLength: readRequestChunkLength(line, of: transaction)
    default:
      requestSide.state = .chunkLength
      transaction.request.body.wireLength += UInt64(line.count)
    }
  }

  // MARK: the request line

  private func readRequestLine(_ line: ArraySlice<UInt8>, of transaction: HTTPTransaction, _ input: HTTPInput) {
    transaction.request.line.append(contentsOf: line)
    var rest = line
    if let first = rest.first, first.isWhiteSpace {
      transaction.note(.requestLineLeadingWhitespace)
      rest = rest.drop(while: \.isWhiteSpace)
    }
    let method = rest.prefix { !$0.isWhiteSpace }
    rest = rest.dropFirst(method.count)
    transaction.request.method.append(contentsOf: method)
    if let delimiter = rest.first, delimiter != 0x20 { transaction.note(.methodDelimiterNonCompliant) }
    rest = rest.drop(while: \.isWhiteSpace)
    // The target ends at a space; only without any does other white space end it.
    var target = rest.prefix { $0 != 0x20 }
    if target.count == rest.count, target.contains(where: \.isWhiteSpace) {
      transaction.note(.uriDelimiterNonCompliant)
      target = rest.prefix { !$0.isWhiteSpace }
    }
    rest = rest.dropFirst(target.count)
    transaction.request.target.append(contentsOf: target)
    rest = rest.drop(while: \.isWhiteSpace)
    transaction.request.version.append(contentsOf: rest)

    if transaction.isMethod("CONNECT") {
      transaction.request.uri.parseAuthority(of: transaction.request.target)
    } else {
      transaction.request.uri.parse(transaction.request.target, rules: uriRules)
    }
    if transaction.request.uri.isDoubleEncoded { transaction.note(.doubleEncodedURI) }
    if target.isEmpty { transaction.note(.requestLineIncomplete) }

    if rest.isEmpty {
      // HTTP/0.9, unless header fields follow.
      transaction.request.versionNumber = .http09
      guard !input.isEmpty else {
        requestSide.state = .finished
        return
      }
      transaction.note(.requestLineMissingProtocol)
    } else {
      transaction.request.versionNumber = HTTPVersion(rest)
      if transaction.request.versionNumber == .unknown {
        transaction.note(.requestLineInvalid)
      }
    }
    transaction.request.stage = .headers
    requestSide.state = .headers
  }

  // MARK: header fields

  private func readRequestField(_ line: ArraySlice<UInt8>, of transaction: HTTPTransaction, _ input: HTTPInput) {
    if requestSide.state == .headers { transaction.request.rawFields.append(contentsOf: line) }
    if isEndOfFields(line, next: input.next) {
      endRequestField(of: transaction)
      requestSide.state == .headers ? endRequestFields(of: transaction) : endRequest(transaction)
      return
    }
    let text = HTTPLine.withoutEnd(line)
    if let first = text.first, HTTPLine.isFolded(first) {
      if requestSide.field.isEmpty {
        transaction.note(.invalidRequestFieldFolding)
        requestSide.field.append(contentsOf: text.drop { HTTPLine.isFolded($0) })
      } else {
        requestSide.field.append(contentsOf: text)
      }
    } else {
      endRequestField(of: transaction)
      requestSide.field.append(contentsOf: text)
    }
    if let next = input.next, !HTTPLine.isFolded(next) { endRequestField(of: transaction) }
  }

  /// An empty line, or one with a space that no folded line can follow.
  func isEndOfFields(_ line: ArraySlice<UInt8>, next: UInt8?) -> Bool {
    if HTTPLine.isEmpty(line) { return true }
    return line.count == 2 && line.first?.isLinearSpace == true && line.last == .lineFeed
      && next.map { $0 != .lineFeed } ?? false
  }

  private func endRequestField(of transaction: HTTPTransaction) {
    guard !requestSide.field.isEmpty else { return }
    defer { requestSide.field.removeAll(keepingCapacity: true) }
    guard transaction.request.fields.count < limits.headers else { return transaction.note(.requestTooManyHeaders) }
    let line = requestSide.field[...]
    let addition: HTTPHeaderFields.Addition
    if let field = HTTPLine.field(line, allowsNUL: false) {
      let isToken = !field.name.isEmpty && field.name.allSatisfy(\.isTokenByte)
      if field.hasSpace || !isToken { transaction.noteField(.requestHeaderInvalid) }
      addition = transaction.request.fields.add(name: field.name, value: field.value)
    } else {
      transaction.noteField(.requestFieldMissingColon, hasColon: false)
      addition = transaction.request.fields.add(name: [], value: line.trimmed)
    }
    switch addition {
    case .added, .repeated: break
    case .tooManyRepeated: transaction.note(.requestHeaderRepetition)
    case .differentLength: transaction.note(.duplicateContentLengthInRequest)
    }
  }

  private func endRequestFields(of transaction: HTTPTransaction) {
    let fields = transaction.request.fields
    checkHost(of: transaction)
    checkAuthorization(of: transaction)
    transaction.request.stage = .body
    if let encoding = fields.value(of: "transfer-encoding") {
      if encoding.containsCaseless("chunked") {
        transaction.request.hasBody = true
        requestSide.state = .chunkLength
      } else {
        transaction.note(.invalidTransferEncodingInRequest)
        return giveUp()
      }
    } else if let value = fields.value(of: "content-length") {
      guard let length = HTTPLine.contentLength(value)?.length else {
        transaction.note(.invalidContentLengthInRequest)
        return giveUp()
      }
      guard length > 0 else { return endRequest(transaction) }
      transaction.request.hasBody = true
      requestSide.left = length
      requestSide.state = .body
    } else {
      return endRequest(transaction)
    }
    requestSide.decoder = decoder(for: fields.value(of: "content-encoding"), of: transaction, layers: 1)
    requestSide.opensFile = true
  }

  private func checkHost(of transaction: HTTPTransaction) {
    let host = transaction.request.fields.value(of: "host")
    if host == nil && transaction.request.versionNumber == .http11 { transaction.note(.missingHostHeader) }
    if let host, !HTTPHost.isValid(host) { transaction.note(.requestHeaderHostInvalid) }
    guard let authority = transaction.request.uri.host, !authority.isEmpty else { return }
    let target = transaction.request.target
    let hasPort = transaction.request.uri.port.map { HTTPHost.portNumber(target[$0]) != nil } ?? true
    if !hasPort || !HTTPHost.isValidName(target[authority]) { transaction.note(.requestURIHostInvalid) }
    if let host {
      let named = HTTPHost.name(host)
      if !named.elementsEqual(target[authority]) { transaction.note(.hostHeaderAmbiguous) }
    }
  }

  /// Ways to say who one is that are known (RFC 7617, RFC 7616, RFC 6750).
  private static let authorizations: [StaticString] = ["basic", "digest", "bearer"]

  private func checkAuthorization(of transaction: HTTPTransaction) {
    guard let value = transaction.request.fields.value(of: "authorization") else { return }
    let scheme = value.prefix { !$0.isWhiteSpace }
    if HTTPParser.authorizations.contains(where: { scheme.isCaselessEqual(to: $0) }) { return }
    transaction.note(.requestAuthorizationUnrecognized)
  }

  // MARK: body

  private func readRequestChunkLength(_ line: ArraySlice<UInt8>, of transaction: HTTPTransaction) {
    transaction.request.body.wireLength += UInt64(line.count)
    switch HTTPLine.chunkLength(line) {
    case .blank, .invalid:
      transaction.note(.invalidRequestChunkLength)
      giveUp()
    case .length(let length, let hasExtension):
      if hasExtension { transaction.note(.requestChunkExtension) }
      requestSide.left = length
      if length > 0 {
        requestSide.state = .chunkData
      } else {
        requestSide.state = .trailer
        transaction.request.stage = .trailer
      }
    }
  }

  private func requestBody(_ input: inout HTTPInput) -> HTTPStep {
    guard let transaction = currentRequest else { return .stop }
    let count = min(requestSide.left, input.count)
    if count == 0 && requestSide.left > 0 { return .needsMore }
    requestBodyData(input.data.extracting(input.offset..<(input.offset + count)))
    input.offset += count
    requestSide.left -= count
    guard requestSide.left == 0 else { return .needsMore }
    if requestSide.state == .chunkData { requestSide.state = .chunkEnd } else { endRequest(transaction) }
    return .continue
  }

  private func requestBodyData(_ data: RawSpan) {
    guard let transaction = currentRequest, data.byteCount > 0 else { return }
    openRequestFileIfDue(of: transaction)
    transaction.request.body.wireLength += UInt64(data.byteCount)
    guard let decoder = requestSide.decoder else { return appendRequestContent(data, to: transaction) }
    decoder.decode(data) { appendRequestContent($0, to: transaction) }
    if decoder.hasFailed { transaction.note(.gzipDecompressionFailed) }
    if decoder.hasReachedMemoryLimit { transaction.note(.lzmaMemoryLimitReached) }
    if decoder.isBomb { transaction.note(.compressionBomb) }
  }

  private func openRequestFileIfDue(of transaction: HTTPTransaction) {
    guard requestSide.opensFile else { return }
    requestSide.opensFile = false
    openRequestFile(of: transaction)
  }

  // MARK: end

  private func endRequest(_ transaction: HTTPTransaction) {
    requestSide.state = .finished
    requestSide.left = 0
  }

  /// What follows a request at once is the next one, or lines that belong to nothing until one begins with a method: they are
  /// taken for the body's. What comes later is the next request.
  private func finishRequest(_ input: inout HTTPInput) -> HTTPStep {
    guard let transaction = currentRequest else {
      requestSide.state = .idle
      return input.isEmpty ? .needsMore : .continue
    }
    if transaction.isMethod("CONNECT"), transaction.response.stage != .complete {
      // The answer says whether what follows is still HTTP.
      completeRequest(transaction)
      tunnel = .awaitsResponse
      return .needsMore
    }
    let isNextRequest = requestSide.line.isEmpty && (input.next ?? .lineFeed) == .lineFeed
    guard !isNextRequest, transaction.request.stage > .line else {
      completeRequest(transaction)
      return input.isEmpty ? .needsMore : .continue
    }
    let start = requestSide.line.count
    guard input.takeLine(into: &requestSide.line) else { return requestLineIsTooLong ? .stop : .needsMore }
    if HTTPMethod.begins(requestSide.line) {
      // Read it again as the next request's.
      input.offset -= requestSide.line.count - start
      requestSide.line.removeLast(requestSide.line.count - start)
      completeRequest(transaction)
      return .continue
    }
    takeUnexpectedLine(of: transaction)
    return .continue
  }

  /// A line behind a request is taken for the body's.
  private func takeUnexpectedLine(of transaction: HTTPTransaction) {
    transaction.note(.requestBodyUnexpected)
    // Taken out meanwhile: what reads it changes the rest of this side.
    var line = exchange(&requestSide.line, with: [])
    requestBodyData(line.rawBytes)
    line.removeAll(keepingCapacity: true)
    requestSide.line = line
  }

  private func completeRequest(_ transaction: HTTPTransaction) {
    transaction.request.stage = .complete
    transaction.closeFile(from: .toServer, isWhole: true)
    requestSide.opensFile = false
    requestSide.decoder = nil
    requestSide.multipart = nil
    currentRequest = nil
    requestSide.state = .idle
  }

  /// Likewise ``skipResponse(_:)``.
  func skipRequest(_ count: Int) {
    guard let transaction = currentRequest else { return }
    switch requestSide.state {
    case .body:
      let lost = min(count, requestSide.left)
      skipRequestBody(lost, of: transaction)
      requestSide.left -= lost
      if requestSide.left == 0 { completeRequest(transaction) }
    case .chunkData where count <= requestSide.left:
      skipRequestBody(count, of: transaction)
      requestSide.left -= count
      if requestSide.left == 0 { requestSide.state = .chunkEnd }
    case .finished: completeRequest(transaction)
    default: break
    }
  }

  private func skipRequestBody(_ count: Int, of transaction: HTTPTransaction) {
    openRequestFileIfDue(of: transaction)
    transaction.request.body.hasGap = true
    transaction.markGap(count, from: .toServer)
  }

  func closeRequest() {
    guard let transaction = currentRequest else { return }
    switch requestSide.state {
    case .line where !requestSide.line.isEmpty && !HTTPLine.isBlank(requestSide.line[...]):
      readRequestLine(HTTPLine.withoutEnd(requestSide.line[...]), of: transaction, HTTPInput(RawSpan()))
    case .headers:
      transaction.request.rawFields.append(contentsOf: requestSide.line)
      requestSide.field.append(contentsOf: HTTPLine.withoutEnd(requestSide.line[...]))
      endRequestField(of: transaction)
    case .finished where !requestSide.line.isEmpty: takeUnexpectedLine(of: transaction)
    default: break
    }
    transaction.closeFile(from: .toServer, isWhole: requestSide.left == 0)
    requestSide.line.removeAll(keepingCapacity: true)
    transaction.request.stage = .complete
    requestSide.decoder = nil
    requestSide.multipart = nil
    currentRequest = nil
    requestSide.state = .stopped
  }
}

/// Methods that a request may begin with: those of RFC 9110, of WebDAV and its relatives (RFC 4918, RFC 3253).
enum HTTPMethod {
  static let all: [StaticString] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PROPFIND", "PROPPATCH", "MKCOL",
    "COPY", "MOVE", "LOCK", "UNLOCK", "VERSION-CONTROL", "CHECKOUT", "UNCHECKOUT", "CHECKIN", "UPDATE", "LABEL",
    "REPORT", "MKWORKSPACE", "MKACTIVITY", "BASELINE-CONTROL", "MERGE", "INVALID",
  ]
  static var longest: Int { 16 }

  /// Whether a line's first word is a method.
  static func begins(_ line: [UInt8]) -> Bool {
    word(in: line.rawBytes, from: line.firstIndex { !$0.isWhiteSpace } ?? line.count) == .method
  }

  enum Word { case method, other, cut }

  /// What the word at `start` is; `cut` when the data ends within what may become a method.
  static func word(in data: RawSpan, from start: Int) -> Word {
    var end = start
    while end < data.byteCount, !data.byte(at: end).isWhiteSpace, end - start <= longest { end += 1 }
    var isCut = false
    for method in all {
      let length = method.utf8CodeUnitCount
      guard end - start <= length else { continue }
      let isPrefix = method.withUTF8Buffer { text in
        for index in 0..<(end - start) where unsafe text[index] != data.byte(at: start + index) { return false }
        return true
      }
      if !isPrefix { continue }
      if end - start == length && end < data.byteCount { return .method }
      if end == data.byteCount { isCut = true }
    }
    return isCut ? .cut : .other
  }
}

/// The host in a `Host` field or an authority.
enum HTTPHost {
  /// Without the port.
  static func name(_ host: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    if host.first == UInt8(ascii: "["), let end = host.firstIndex(of: UInt8(ascii: "]")) { return host[...end] }
    guard let colon = host.firstIndex(of: UInt8(ascii: ":")) else { return host }
    return host[..<colon].trimmed
  }

  /// A name, and a port behind the colon if there is one.
  static func isValid(_ host: ArraySlice<UInt8>) -> Bool {
    let rest = host.dropFirst(name(host).count).trimmed
    return isValidName(name(host)) && (rest.isEmpty || rest.first == UInt8(ascii: ":") && port(host) != nil)
  }

  /// Labels of letters, digits, hyphens and underscores with a dot between (RFC 1123 §2.1), or an address in brackets.
  static func isValidName(_ name: ArraySlice<UInt8>) -> Bool {
    if name.isEmpty || name.count > 255 { return false }
    if name.first == UInt8(ascii: "[") {
      return name.last == UInt8(ascii: "]") && IPAddressText.ipv6(name.dropFirst().dropLast()) != nil
    }
    // A dot may end it.
    let labels = name.count > 1 && name.last == UInt8(ascii: ".") ? name.dropLast() : name
    var length = 0
    for byte in labels {
      if byte == UInt8(ascii: ".") {
        if length == 0 { return false }
        length = 0
        continue
      }
      length += 1
      guard length <= 63, isLabelByte(byte) else { return false }
    }
    return length > 0
  }

  private static func isLabelByte(_ byte: UInt8) -> Bool {
    byte &- 0x61 < 26 || byte &- 0x41 < 26 || byte.isDecimalDigit || byte == UInt8(ascii: "-")
      || byte == UInt8(ascii: "_")
  }

  /// The port; nil without one.
  static func port(_ host: ArraySlice<UInt8>) -> UInt16? {
    let rest = host.dropFirst(name(host).count).trimmed
    return rest.first == UInt8(ascii: ":") ? portNumber(rest.dropFirst()) : nil
  }

  /// Digits, with blanks around them; nil when that is no port.
  static func portNumber(_ text: ArraySlice<UInt8>) -> UInt16? {
    let digits = text.trimmed
    guard digits.allSatisfy(\.isDecimalDigit), let (number, _) = HTTPLine.contentLength(digits), number > 0 else {
      return nil
    }
    return UInt16(exactly: number)
  }
}
