internal import AllyPacket

/// Reads a mail (RFC 5322) and its parts (RFC 2045, 2046) as its lines come: keeps the header fields that records show, hands
/// the content of attachments on as files, and collects the links in text.
///
/// It keeps a header, a line and the stack of open parts, each within ``MIMELimits``; never a body.
struct MIMEMessage {
  enum Status: String {
    case headerStarted = "HEADER_STARTED"
    case headerReady = "HEADER_READY"
    case bodyStarted = "BODY_STARTED"
    case bodyEnded = "BODY_END_BOUND"
    case done = "PARSE_DONE"
    case failed = "PARSE_ERROR"
  }

  private(set) var status = Status.headerReady
  /// The fields of the message's own header.
  private(set) var header: MIMEHeader
  /// Names of attachments that are whole, of the message's own parts, in the order of appearance.
  private(set) var attachments: [[UInt8]] = []
  private(set) var links = MIMELinks()
  var events = MIMEEvents()

  /// The open parts, the message itself first.
  private var stack: [MIMEPart] = []
  /// The header of the part that is being read.
  private var partHeader: MIMEHeader
  private var isInHeader = true
  /// The attachment that is open.
  private(set) var file: TransferredFile?
  private var openName: [UInt8]?
  private let options: ApplicationOptions.SMTP
  /// Of everything behind the message's own header; nil when nobody asks for it.
  private var digest: Digest?
  /// The MD5 of that, once the mail is over.
  private(set) var bodyDigest: [UInt8]?
  private var decoder = MIMEDecoder()

  /// Parts within parts.
  private static var deepest: Int { 16 }
  private static var mostAttachments: Int { 64 }
  /// Records tell of the message and its own parts, not of theirs.
  private static var deepestRecorded: Int { 2 }

  init(_ options: ApplicationOptions.SMTP = ApplicationOptions.SMTP()) {
    self.options = options
    header = MIMEHeader(longestValue: options.headerValue)
    partHeader = header
    stack.append(MIMEPart())
  }

  // MARK: lines

  /// Takes a line, or a piece of a long one.
  ///
  /// - Parameter open: makes a file for an attachment; nil when there are too many.
  mutating func take(_ line: borrowing LineReader.Line, open: (ArraySlice<UInt8>) -> TransferredFile?) {
    guard status != .done, status != .failed else { return }
    if digest != nil {
      let end = line.end
      digest?.update(line.bytes)
      digest?.update(end.rawBytes)
    }
    if line.bytes.byteCount > MIMELimits.line || line.isCut { events.insert(.longLine) }
    if !line.isContinuation, line.bytes.byteCount >= 2, line.bytes.byte(at: 0) == 0x2D, line.bytes.byte(at: 1) == 0x2D,
      takeDelimiter(line.bytes)
    {
      return
    }
    if isInHeader { takeHeaderLine(line, open: open) } else { takeBodyLine(line) }
  }

  /// The mail is over.
  mutating func finish() {
    if isInHeader { endHeader(open: { _ in nil }) }
    // No delimiter follows the last line: its end is content.
    if let file { decoder.release { file.append($0) } }
    closeFile(isWhole: true)
    bodyDigest = digest?.finish()
    digest = nil
    status = .done
  }

  /// The mail broke off.
  mutating func abort() { closeFile(isWhole: false) }

  // MARK: delimiters

  /// `--boundary` begins the next part of the innermost part that has this boundary, `--boundary--` ends them.
  private mutating func takeDelimiter(_ line: RawSpan) -> Bool {
    for depth in stack.indices.reversed() {
      guard let boundary = stack[depth].boundary, line.byteCount >= boundary.count + 2 else { continue }
      var isEqual = true
      for (index, byte) in boundary.enumerated() where line.byte(at: index + 2) != byte {
        isEqual = false
        break
      }
      guard isEqual else { continue }
      if isInHeader { endHeader(open: { _ in nil }) }
      closeFile(isWhole: true)
      stack.removeSubrange((depth + 1)...)
      let end = boundary.count + 2
      let isLast = line.byteCount >= end + 2 && line.byte(at: end) == 0x2D && line.byte(at: end + 1) == 0x2D
      decoder = MIMEDecoder()
      if isLast {
        // What follows is the outer part's again.
        isInHeader = false
        status = .bodyEnded
      } else {
        stack.append(MIMEPart(isChild: true))
        partHeader = MIMEHeader(longestValue: options.headerValue)
        isInHeader = true
      }
      return true
    }
    return false
  }

  // MARK: header

  private mutating func takeHeaderLine(
    _ line: borrowing LineReader.Line, open: (ArraySlice<UInt8>) -> TransferredFile?
  ) {
    if line.isContinuation { return }
    if line.bytes.byteCount == 0 { return endHeader(open: open) }
    status = .headerStarted
    switch partHeader.take(line.bytes) {
    case .field: break
    case .longName: events.insert(.longHeaderName)
    case .longValue: events.insert(.longHeaderValue)
    case .malformed: events.insert(.malformedMessage)
    }
  }

  private mutating func endHeader(open: (ArraySlice<UInt8>) -> TransferredFile?) {
    isInHeader = false
    partHeader.finish()
    status = .bodyStarted
    guard let top = stack.indices.last else { return }
    if !stack[top].isChild {
      header = partHeader
      if options.makesDigest && digest == nil { digest = Digest(.md5) }
    }
    let type = partHeader.value(of: "content-type")
    var name = partHeader.value(of: "content-disposition").flatMap { MIMEHeader.parameter("filename=", of: $0) }
    if let type {
      if let boundary = MIMEHeader.parameter("boundary=", of: type) {
        if boundary.count > MIMELimits.boundary {
          events.insert(.longBoundary)
        } else if !boundary.isEmpty, stack.count < MIMEMessage.deepest {
          stack[top].boundary = Array(boundary)
        }
      }
      if name == nil { name = MIMEHeader.parameter("name=", of: type) }
      let kind = type.drop { $0.isWhiteSpace }.prefix { $0 != UInt8(ascii: ";") && !$0.isWhiteSpace }
      stack[top].isText = kind.isCaselessEqual(to: "text/plain") || kind.isCaselessEqual(to: "text/html")
      if kind.isCaselessEqual(to: "message/rfc822"), stack.count < MIMEMessage.deepest {
        // A mail within the mail begins with a header of its own.
        stack.append(MIMEPart(isChild: true))
        partHeader = MIMEHeader(longestValue: options.headerValue)
        isInHeader = true
        return
      }
      stack[top].isOther = !stack[top].isText && !kind.isEmpty
    }
    decoder = MIMEDecoder(encoding: partHeader.value(of: "content-transfer-encoding"), options)
    if let name {
      stack[top].isAttachment = true
      var name = name
      if name.count > MIMELimits.fileName {
        events.insert(.longFileName)
        name = name.prefix(MIMELimits.fileName)
      }
      openName = Array(name)
      file = open(name)
    }
  }

  // MARK: body

  private mutating func takeBodyLine(_ line: borrowing LineReader.Line) {
    guard let part = stack.last else { return }
    decoder.decode(line, events: &events) { data in
      if part.isAttachment {
        file?.append(data)
      } else if options.findsLinks && stack.count <= MIMEMessage.deepestRecorded {
        links.search(data, depth: stack.count, part: part)
      }
    }
  }

  private mutating func closeFile(isWhole: Bool) {
    decoder.finish(events: &events)
    file?.close(isWhole: isWhole)
    file = nil
    if let openName, isWhole, stack.count == MIMEMessage.deepestRecorded,
      attachments.count < MIMEMessage.mostAttachments
    {
      attachments.append(openName)
    }
    openName = nil
    if let top = stack.indices.last { stack[top].isAttachment = false }
  }
}

/// A part that is open.
struct MIMEPart {
  /// Between its own parts.
  var boundary: [UInt8]? = nil
  var isChild = false
  var isAttachment = false
  var isText = false
  /// Its type is named and is no text.
  var isOther = false
}

/// Caps in bytes; what is beyond is an event.
enum MIMELimits {
  static var line: Int { 998 }
  static var encodedLine: Int { 76 }
  static var headerName: Int { 128 }
  static var boundary: Int { 254 }
  static var fileName: Int { 255 }
}

/// What is odd about a mail.
struct MIMEEvents: OptionSet {
  let rawValue: UInt16
  static var invalidBase64: MIMEEvents { MIMEEvents(rawValue: 1) }
  static var invalidQuotedPrintable: MIMEEvents { MIMEEvents(rawValue: 2) }
  static var longLine: MIMEEvents { MIMEEvents(rawValue: 4) }
  static var longEncodedLine: MIMEEvents { MIMEEvents(rawValue: 8) }
  static var longHeaderName: MIMEEvents { MIMEEvents(rawValue: 16) }
  static var longHeaderValue: MIMEEvents { MIMEEvents(rawValue: 32) }
  static var malformedMessage: MIMEEvents { MIMEEvents(rawValue: 64) }
  static var longBoundary: MIMEEvents { MIMEEvents(rawValue: 128) }
  static var longFileName: MIMEEvents { MIMEEvents(rawValue: 256) }
}
