internal import AllyPacket

/// Where the reading of responses is.
struct HTTPResponseSide {
  enum State {
    case idle, line, headers, trailer, body, bodyToEnd, chunkLength, chunkData, chunkEnd, finished, stopped
  }

  var state = State.idle
  /// The line that is being read.
  var line: [UInt8] = []
  /// A header field that may go on in the next line.
  var field: [UInt8] = []
  /// Bytes of the body or chunk to come.
  var left = 0
  /// The body becomes a file with its first bytes.
  var opensFile = false
  /// The last line ended with LF CR.
  var endedReversed = false
  var decoder: ContentDecoder?

  /// Moves what `input` has of a line behind ``line``. Clients also end a line at a lone CR, and at LF CR.
  ///
  /// - Returns: whether a line is whole.
  mutating func takeLine(_ input: inout HTTPInput) -> Bool {
    while let byte = input.next {
      if line.last == .carriageReturn, byte != .lineFeed, byte != .carriageReturn {
        // CR CR LF is no empty line.
        if state == .line || line.count >= 2 { return true }
      }
      if byte != .lineFeed && byte != .carriageReturn {
        endedReversed = false
        input.takeOrdinary(into: &line)
        continue
      }
      input.offset += 1
      line.append(byte)
      if byte == .lineFeed {
        let wasReversed = endedReversed
        endedReversed = false
        if state == .line { return true }
        let endsWithCR = line.count >= 2 && line[line.count - 2] == .carriageReturn
        if !endsWithCR, input.next == .carriageReturn {
          input.offset += 1
          endedReversed = true
        } else if endsWithCR, wasReversed, input.next == .carriageReturn {
          // LF CR CR LF CR LF are two line ends.
          input.offset += 1
          if input.next == .lineFeed { input.offset += 1 }
        }
        return true
      }
    }
    return false
  }
}

extension HTTPParser {
  func receiveResponse(_ data: RawSpan) {
    var input = HTTPInput(data)
    while true {
      let before = currentResponse
      let step = responseStep(&input)
      if let before, before !== currentResponse { endFrame(of: .toClient, at: input.offset - responseSide.line.count) }
      switch step {
      case .continue: if tunnel == .unknown || tunnel == .other { return }
      case .needsMore: return
      case .stop:
        responseSide.state = .stopped
        currentResponse?.closeFile(from: .toClient, isWhole: false)
        return
      }
    }
  }

  private func responseStep(_ input: inout HTTPInput) -> HTTPStep {
    switch responseSide.state {
    case .stopped: return .needsMore
    case .idle:
      if input.isEmpty { return .needsMore }
      guard let transaction = nextForResponse() else { return .stop }
      currentResponse = transaction
      transaction.response.stage = .line
      beginFrame(of: transaction, .toClient, input)
      responseSide.state = .line
      return .continue
    case .finished: return finishResponse(&input)
    case .line, .headers, .trailer:
      guard responseSide.takeLine(&input) else { return responseLineIsTooLong ? .stop : .needsMore }
      return responseLineIsTooLong ? .stop : responseLine(&input)
    case .chunkLength:
      guard takeChunkLine(&input) else { return responseLineIsTooLong ? .stop : .needsMore }
      return responseLine(&input)
    case .chunkEnd:
      guard input.takeLine(into: &responseSide.line) else { return responseLineIsTooLong ? .stop : .needsMore }
      return responseLine(&input)
    case .body, .chunkData: return responseBody(&input)
    case .bodyToEnd:
      if input.isEmpty { return .needsMore }
      responseBodyData(input.data.extracting(input.offset...))
      input.offset = input.data.byteCount
      return .needsMore
    }
  }

  private var responseLineIsTooLong: Bool {
    guard responseSide.line.count + responseSide.field.count > limits.field else { return false }
    currentResponse?.note(.responseFieldTooLong)
    return true
  }

  // MARK: lines

  /// A chunk's first line; what cannot become one is not waited for.
  private func takeChunkLine(_ input: inout HTTPInput) -> Bool {
    while let byte = input.next {
      input.offset += 1
      responseSide.line.append(byte)
      if byte == .lineFeed { return true }
      if responseSide.line.count >= 8 {
        let first = responseSide.line.first { !$0.isWhiteSpace }
        if let first, first.hexadecimalValue == nil { return true }
      }
    }
    return false
  }

  /// A line is whole.
  private func responseLine(_ input: inout HTTPInput) -> HTTPStep {
    guard let transaction = currentResponse else { return .stop }
    // Taken out while it is read, so that its memory is used again.
    var line = exchange(&responseSide.line, with: [])
    read(line[...], of: transaction, input)
    line.removeAll(keepingCapacity: true)
    responseSide.line = line
    return responseSide.state == .stopped ? .stop : .continue
  }

  private func read(_ line: ArraySlice<UInt8>, of transaction: HTTPTransaction, _ input: HTTPInput) {
    switch responseSide.state {
    case .line:
      if HTTPLine.isBlank(line) { break }
      readStatusLine(line, of: transaction, next: input.next)
    case .headers, .trailer: readResponseField(line, of: transaction, input)
    case .chunkLength: readResponseChunkLength(line, of: transaction)
    default:
      transaction.response.body.wireLength += UInt64(line.count)
      responseSide.state = .chunkLength
    }
  }

  // MARK: the status line

  private func readStatusLine(_ line: ArraySlice<UInt8>, of transaction: HTTPTransaction, next: UInt8?) {
    let text = HTTPLine.withoutEnd(line)
    if HTTPStatusLine.isBody(text) {
      // Lines in front of a status line are a body without one (HTTP/0.9), but for the last and the shortest.
      if let next, next == UInt8(ascii: "H") || text.count <= 2 { return }
      beginResponseBody(of: transaction)
      responseBodyData(line.rawBytes)
      if next == nil {
        transaction.response.stage = .body
        responseSide.state = .finished
      }
      return
    }
    let parts = HTTPStatusLine.parts(text)
    transaction.response.line.append(contentsOf: text)
    transaction.response.version.append(contentsOf: parts.version)
    transaction.response.status.append(contentsOf: parts.status)
    transaction.response.message.append(contentsOf: parts.message)
    transaction.response.versionNumber = HTTPVersion(parts.version)
    transaction.response.statusNumber = HTTPStatusLine.number(parts.status) ?? 0
    if transaction.response.versionNumber == .unknown { transaction.note(.responseInvalidProtocol) }
    if transaction.response.statusNumber == 0 { transaction.note(.responseInvalidStatus) }
    transaction.response.stage = .headers
    responseSide.state = .headers
  }

  // MARK: header fields

  private func readResponseField(_ line: ArraySlice<UInt8>, of transaction: HTTPTransaction, _ input: HTTPInput) {
    if responseSide.state == .headers { transaction.response.rawFields.append(contentsOf: line) }
    if isEndOfFields(line, next: input.next) {
      endResponseField(of: transaction)
      if responseSide.state == .headers { endResponseFields(of: transaction) } else { responseSide.state = .finished }
      return
    }
    let text = HTTPLine.withoutEnd(line)
    if let first = text.first, HTTPLine.isFolded(first) {
      foldResponseField(text, of: transaction)
    } else {
      endResponseField(of: transaction)
      responseSide.field.append(contentsOf: text)
    }
    if let next = input.next, !HTTPLine.isFolded(next) { endResponseField(of: transaction) }
  }

  private func foldResponseField(_ text: ArraySlice<UInt8>, of transaction: HTTPTransaction) {
    if responseSide.field.isEmpty {
      transaction.note(.invalidResponseFieldFolding)
      responseSide.field.append(contentsOf: text.drop { HTTPLine.isFolded($0) })
    } else if text.contains(UInt8(ascii: ":")), responseSide.field.contains(UInt8(ascii: ":")),
      transaction.response.versionNumber == .http11
    {
      // Browsers take it for a field of its own.
      transaction.note(.invalidResponseFieldFolding)
      endResponseField(of: transaction)
      responseSide.field.append(contentsOf: text.dropFirst())
    } else {
      responseSide.field.append(contentsOf: text)
    }
  }

  private func endResponseField(of transaction: HTTPTransaction) {
    guard !responseSide.field.isEmpty else { return }
    defer { responseSide.field.removeAll(keepingCapacity: true) }
    guard transaction.response.fields.count < limits.headers else { return transaction.note(.responseTooManyHeaders) }
    let line = responseSide.field[...]
    let addition: HTTPHeaderFields.Addition
    if let field = HTTPLine.field(line, allowsNUL: true) {
      let isToken = !field.name.isEmpty && field.name.allSatisfy(\.isTokenByte)
      if field.hasSpace || !isToken { transaction.noteField(.responseHeaderInvalid) }
      addition = transaction.response.fields.add(name: field.name, value: field.value)
    } else {
      transaction.noteField(.responseFieldMissingColon, hasColon: false)
      addition = transaction.response.fields.add(name: [], value: line.trimmed)
    }
    switch addition {
    case .added, .repeated: break
    case .tooManyRepeated: transaction.note(.responseHeaderRepetition)
    case .differentLength: transaction.note(.duplicateContentLengthInResponse)
    }
  }

  /// RFC 9112 §6.3: how long the body is.
  private func endResponseFields(of transaction: HTTPTransaction) {
    let fields = transaction.response.fields
    let status = transaction.response.statusNumber
    let encoding = fields.value(of: "transfer-encoding")
    let length = fields.value(of: "content-length")
    let hasFraming = encoding != nil || length != nil

    if transaction.isMethod("CONNECT") {
      if status >= 200, status < 300 { return endResponse(transaction, tunnel: .unknown) }
      tunnel = .none
    }
    if status == 101, !hasFraming { return endResponse(transaction, tunnel: .other) }
    if status == 100, encoding == nil, length.flatMap({ HTTPLine.contentLength($0)?.length }) ?? 0 == 0 {
      return continueResponse(transaction)
    }
    let isBodyless = status >= 100 && status < 200 || status == 204 || status == 304
    if transaction.isMethod("HEAD") || isBodyless && !hasFraming { return endResponse(transaction) }

    transaction.response.stage = .body
    responseSide.decoder = decoder(
      for: fields.value(of: "content-encoding"), of: transaction, layers: limits.encodingLayers)
    if let encoding, encoding.withoutNUL.containsCaseless("chunked") {
      if !encoding.isCaselessEqual(to: "chunked") { transaction.note(.responseAbnormalTransferEncoding) }
      if transaction.response.versionNumber < .http11 { transaction.note(.responseChunkedOldProtocol) }
      responseSide.state = .chunkLength
    } else if let length {
      guard let number = HTTPLine.contentLength(length)?.length else {
        transaction.note(.invalidContentLengthInResponse)
        return giveUp()
      }
      guard number > 0 else { return endResponse(transaction) }
      responseSide.left = number
      responseSide.state = .body
    } else {
      if let type = fields.value(of: "content-type"), type.containsCaseless("multipart/byteranges") {
        transaction.note(.responseMultipartByteRanges)
      }
      responseSide.state = .bodyToEnd
    }
    beginResponseBody(of: transaction)
  }

  /// The first bytes of a body that come begin a file.
  private func beginResponseBody(of transaction: HTTPTransaction) {
    if !transaction.response.hasBody { responseSide.opensFile = true }
    transaction.response.hasBody = true
  }

  /// `100 Continue`: the real response is still to come.
  private func continueResponse(_ transaction: HTTPTransaction) {
    if transaction.response.hasContinued {
      transaction.note(.continueAlreadySeen)
      return giveUp()
    }
    transaction.response.removeAll()
    transaction.response.hasContinued = true
    transaction.response.stage = .line
    responseSide.state = .line
  }

  // MARK: body

  private func readResponseChunkLength(_ line: ArraySlice<UInt8>, of transaction: HTTPTransaction) {
    switch HTTPLine.chunkLength(line) {
    case .blank: transaction.response.body.wireLength += UInt64(line.count)
    case .invalid:
      // Browsers show the rest as it is. Its begin counts twice, up to where it can no longer be a length.
      transaction.note(.invalidResponseChunkLength)
      transaction.response.body.wireLength += UInt64(line.prefix { $0.isWhiteSpace }.count + 1)
      responseSide.state = .bodyToEnd
      responseBodyData(line.rawBytes)
    case .length(let length, let hasExtension):
      if hasExtension { transaction.note(.requestChunkExtension) }
      transaction.response.body.wireLength += UInt64(line.count)
      responseSide.left = length
      if length > 0 {
        responseSide.state = .chunkData
      } else {
        responseSide.state = .trailer
        transaction.response.stage = .trailer
      }
    }
  }

  private func responseBody(_ input: inout HTTPInput) -> HTTPStep {
    guard let transaction = currentResponse else { return .stop }
    let count = min(responseSide.left, input.count)
    if count == 0 && responseSide.left > 0 { return .needsMore }
    responseBodyData(input.data.extracting(input.offset..<(input.offset + count)))
    input.offset += count
    responseSide.left -= count
    guard responseSide.left == 0 else { return .needsMore }
    if responseSide.state == .chunkData { responseSide.state = .chunkEnd } else { endResponse(transaction) }
    return .continue
  }

  private func responseBodyData(_ data: RawSpan) {
    guard let transaction = currentResponse, data.byteCount > 0 else { return }
    openResponseFileIfDue(of: transaction)
    transaction.response.body.wireLength += UInt64(data.byteCount)
    guard let decoder = responseSide.decoder else { return appendResponseContent(data, to: transaction) }
    decoder.decode(data) { appendResponseContent($0, to: transaction) }
    if decoder.hasFailed { transaction.note(.gzipDecompressionFailed) }
    if decoder.hasReachedMemoryLimit { transaction.note(.lzmaMemoryLimitReached) }
    if decoder.isBomb { transaction.note(.compressionBomb) }
  }

  private func openResponseFileIfDue(of transaction: HTTPTransaction) {
    guard responseSide.opensFile else { return }
    responseSide.opensFile = false
    openResponseFile(of: transaction)
  }

  // MARK: end

  private func endResponse(_ transaction: HTTPTransaction, tunnel: Tunnel = .none) {
    responseSide.state = .finished
    responseSide.left = 0
    if tunnel == .none { return }
    completeResponse(transaction)
    if let request = currentRequest, request === transaction {
      request.request.stage = .complete
      currentRequest = nil
      requestSide.state = .idle
    }
    self.tunnel = tunnel
  }

  /// What follows a response and does not look like one belongs to its body.
  private func finishResponse(_ input: inout HTTPInput) -> HTTPStep {
    guard let transaction = currentResponse else {
      responseSide.state = .idle
      return input.isEmpty ? .needsMore : .continue
    }
    if input.isEmpty && responseSide.line.isEmpty {
      completeResponse(transaction)
      return .needsMore
    }
    let start = responseSide.line.count
    let isLine = input.takeLine(into: &responseSide.line)
    guard isLine else { return responseLineIsTooLong ? flushUnexpected(transaction) : .needsMore }
    if HTTPStatusLine.isBody(responseSide.line[...]) {
      return flushUnexpected(transaction)
    }
    // Read it again as the next response's.
    input.offset -= responseSide.line.count - start
    responseSide.line.removeLast(responseSide.line.count - start)
    completeResponse(transaction)
    return .continue
  }

  private func flushUnexpected(_ transaction: HTTPTransaction) -> HTTPStep {
    let line = responseSide.line
    responseSide.line.removeAll(keepingCapacity: true)
    transaction.response.stage = max(transaction.response.stage, .body)
    responseBodyData(line.rawBytes)
    return .continue
  }

  private func completeResponse(_ transaction: HTTPTransaction) {
    transaction.response.stage = .complete
    transaction.closeFile(from: .toClient, isWhole: true)
    transaction.finishRange(filePolicy)
    responseSide.opensFile = false
    responseSide.decoder = nil
    currentResponse = nil
    responseSide.state = .idle
  }

  /// Bytes are missing. In a body they are counted; elsewhere the line in hand goes on with what comes next, so that what is wrong for
  /// a message is right again for the one after it.
  func skipResponse(_ count: Int) {
    guard let transaction = currentResponse else { return }
    switch responseSide.state {
    case .bodyToEnd: skipResponseBody(count, of: transaction)
    case .body:
      let lost = min(count, responseSide.left)
      skipResponseBody(lost, of: transaction)
      responseSide.left -= lost
      if responseSide.left == 0 { completeResponse(transaction) }
    case .chunkData where count <= responseSide.left:
      skipResponseBody(count, of: transaction)
      responseSide.left -= count
      if responseSide.left == 0 { responseSide.state = .chunkEnd }
    case .finished: completeResponse(transaction)
    default: break
    }
  }

  private func skipResponseBody(_ count: Int, of transaction: HTTPTransaction) {
    openResponseFileIfDue(of: transaction)
    transaction.response.body.wireLength += UInt64(count)
    transaction.response.body.hasGap = true
    transaction.markGap(count, from: .toClient)
  }

  func closeResponse() {
    guard let transaction = currentResponse else { return }
    switch responseSide.state {
    case .line where !HTTPLine.isBlank(responseSide.line[...]):
      readStatusLine(responseSide.line[...], of: transaction, next: nil)
    case .headers:
      transaction.response.rawFields.append(contentsOf: responseSide.line)
      responseSide.field.append(contentsOf: HTTPLine.withoutEnd(responseSide.line[...]))
      endResponseField(of: transaction)
    case .finished where !responseSide.line.isEmpty:
      if HTTPStatusLine.isBody(responseSide.line[...]) { _ = flushUnexpected(transaction) }
    case .chunkLength where !responseSide.line.isEmpty:
      let line = responseSide.line
      if case .invalid = HTTPLine.chunkLength(line[...]) { responseBodyData(line.rawBytes) }
    default: break
    }
    responseSide.line.removeAll(keepingCapacity: true)
    // A server that closes early has said what it had to say.
    transaction.closeFile(from: .toClient, isWhole: true)
    transaction.response.stage = .complete
    responseSide.decoder = nil
    currentResponse = nil
    responseSide.state = .stopped
  }

  // MARK: content encoding

  /// What undoes the encodings that a `Content-Encoding` names; nil when there is nothing to undo.
  func decoder(for value: ArraySlice<UInt8>?, of transaction: HTTPTransaction, layers limit: Int) -> ContentDecoder? {
    guard let value = value?.withoutNUL, !value.isEmpty else { return nil }
    let decoder = ContentDecoder(limit: limits.decompressedBody)
    // A value that is one encoding, or none, is as it should be.
    var layers = 0
    if let whole = ContentDecoder.Encoding(value) {
      if whole == .lzma && !limits.options.undoesLZMA { return nil }
      decoder.append(whole)
      return decoder
    }
    if value.isCaselessEqual(to: "inflate") { return nil }
    for token in value.split(whereSeparator: { $0 == UInt8(ascii: ",") || $0 == 0x20 }) {
      layers += 1
      if limit > 0 && layers > limit {
        transaction.note(.tooManyEncodingLayers)
        break
      }
      let format: ContentDecoder.Encoding
      if token.containsCaseless("gzip") {
        format = .gzip
        if !token.isEqual(to: "gzip") && !token.isEqual(to: "x-gzip") {
          transaction.note(.abnormalContentEncodingHeader)
        }
      } else if token.containsCaseless("deflate") {
        format = .deflate
        if !token.isEqual(to: "deflate") && !token.isEqual(to: "x-deflate") {
          transaction.note(.abnormalContentEncodingHeader)
        }
      } else if token.isEqual(to: "lzma") {
        guard limits.options.undoesLZMA else { continue }
        format = .lzma
      } else if token.isEqual(to: "inflate") {
        continue
      } else {
        transaction.note(.abnormalContentEncodingHeader)
        guard token.isCaselessEqual(to: "br") else { continue }
        format = .brotli
      }
      decoder.append(format)
    }
    return decoder.isEmpty ? nil : decoder
  }
}

/// The first line of a response.
enum HTTPStatusLine {
  /// Whether a line does not even begin like one: browsers then show it.
  static func isBody(_ line: ArraySlice<UInt8>) -> Bool {
    let text = line.drop { $0.isWhiteSpace || $0 == 0 }
    return !text.prefix(4).isCaselessEqual(to: "http")
  }

  static func parts(_ line: ArraySlice<UInt8>) -> (
    version: ArraySlice<UInt8>, status: ArraySlice<UInt8>, message: ArraySlice<UInt8>
  ) {
    let start = line.drop(while: \.isWhiteSpace)
    let version = start.prefix { !$0.isWhiteSpace }
    let behind = start.dropFirst(version.count).drop(while: \.isWhiteSpace)
    let status = behind.prefix { !$0.isWhiteSpace }
    let message = behind.dropFirst(status.count).drop(while: \.isWhiteSpace)
    return (version, status, message)
  }

  /// The digits that a status begins with, as records have them.
  static func leadingNumber(_ text: ArraySlice<UInt8>) -> UInt32? {
    let digits = text.prefix { $0.isDecimalDigit }
    guard (1...9).contains(digits.count) else { return nil }
    return digits.reduce(0) { $0 * 10 + UInt32($1 &- 0x30) }
  }

  /// 100 to 999; nil for anything else.
  static func number(_ text: ArraySlice<UInt8>) -> UInt16? {
    guard !text.isEmpty, text.count <= 5, text.allSatisfy(\.isDecimalDigit) else { return nil }
    let number = text.reduce(0) { $0 * 10 + UInt32($1 &- 0x30) }
    return (100...999).contains(number) ? UInt16(number) : nil
  }
}
