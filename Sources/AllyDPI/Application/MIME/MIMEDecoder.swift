internal import AllyPacket

/// Undoes the transfer encoding of a part (RFC 2045 §6) line by line.
struct MIMEDecoder {
  private enum Encoding { case none, base64, quotedPrintable }

  private var encoding = Encoding.none
  /// The bits of a group of base 64 that is not whole yet, and how many digits they came from.
  private var bits: UInt32 = 0
  private var digits = 0
  /// Nothing more is decoded: the encoding was not kept to.
  private var hasFailed = false
  /// The last line's end: it belongs to the content only when another line follows.
  private var lineEnd: Int = 0
  private var output: [UInt8] = []

  init() {}

  /// - Parameters:
  ///   - encoding: `Content-Transfer-Encoding`; nil without one.
  ///   - options: which encodings are undone.
  init(encoding: ArraySlice<UInt8>?, _ options: ApplicationOptions.SMTP) {
    guard let encoding = encoding?.trimmed else { return }
    if encoding.isCaselessEqual(to: "base64") {
      if options.undoesBase64 { self.encoding = .base64 }
    } else if encoding.isCaselessEqual(to: "quoted-printable") {
      if options.undoesQuotedPrintable { self.encoding = .quotedPrintable }
    }
  }

  mutating func decode(_ line: borrowing LineReader.Line, events: inout MIMEEvents, _ body: (RawSpan) -> Void) {
    output.removeAll(keepingCapacity: true)
    switch encoding {
    case .none:
      // The line end in front of a delimiter belongs to that (RFC 2046 §5.1.1): it is held back.
      appendLineEnd(lineEnd)
      output.append(line.bytes)
      lineEnd = line.endLength
    case .base64: decodeBase64(line.bytes, &events)
    case .quotedPrintable: decodeQuotedPrintable(line, &events)
    }
    if !output.isEmpty { body(output.rawBytes) }
  }

  /// The part is over.
  mutating func finish(events: inout MIMEEvents) {
    if encoding == .base64 && digits > 0 && !hasFailed { events.insert(.invalidBase64) }
    digits = 0
  }

  /// The line end that is held back is content after all: no delimiter follows.
  mutating func release(_ body: (RawSpan) -> Void) {
    output.removeAll(keepingCapacity: true)
    appendLineEnd(lineEnd)
    lineEnd = 0
    if !output.isEmpty { body(output.rawBytes) }
  }

  private mutating func appendLineEnd(_ length: Int) {
    if length == 2 { output.append(.carriageReturn) }
    if length >= 1 { output.append(.lineFeed) }
  }

  // MARK: base 64

  private mutating func decodeBase64(_ line: RawSpan, _ events: inout MIMEEvents) {
    if hasFailed { return }
    if line.byteCount > MIMELimits.encodedLine { events.insert(.longEncodedLine) }
    var index = 0
    while index < line.byteCount {
      if digits == 0 {
        index = decodeGroups(line, from: index)
        if index == line.byteCount { return }
      }
      let byte = line.byte(at: index)
      index += 1
      if byte.isWhiteSpace { continue }
      if byte == UInt8(ascii: "=") {
        flushGroup()
        continue
      }
      guard let value = Base64Buffer.digit(byte) else {
        events.insert(.invalidBase64)
        hasFailed = true
        return
      }
      bits = bits << 6 | UInt32(value)
      digits += 1
      if digits == 4 {
        output.append(UInt8(truncatingIfNeeded: bits >> 16))
        output.append(UInt8(truncatingIfNeeded: bits >> 8))
        output.append(UInt8(truncatingIfNeeded: bits))
        digits = 0
        bits = 0
      }
    }
  }

  /// Decodes groups of four digits, of which most lines are made.
  ///
  /// - Returns: where something else begins.
  private mutating func decodeGroups(_ line: RawSpan, from start: Int) -> Int {
    let values = MIMEDecoder.values.span
    var index = start
    while index + 4 <= line.byteCount {
      let first = values[Int(line.byte(at: index))]
      let second = values[Int(line.byte(at: index + 1))]
      let third = values[Int(line.byte(at: index + 2))]
      let fourth = values[Int(line.byte(at: index + 3))]
      if (first | second | third | fourth) & 0xC0 != 0 { break }
      output.append(first << 2 | second >> 4)
      output.append(second << 4 | third >> 2)
      output.append(third << 6 | fourth)
      index += 4
    }
    return index
  }

  /// A group that padding makes whole (RFC 4648 §4).
  private mutating func flushGroup() {
    if digits == 2 { output.append(UInt8(truncatingIfNeeded: bits >> 4)) }
    if digits == 3 {
      output.append(UInt8(truncatingIfNeeded: bits >> 10))
      output.append(UInt8(truncatingIfNeeded: bits >> 2))
    }
    digits = 0
    bits = 0
  }

  /// What each byte stands for as a digit; above 63 for what is none.
  private static let values = (0...UInt8.max).map { Base64Buffer.digit($0) ?? .max }

  // MARK: quoted-printable

  private mutating func decodeQuotedPrintable(_ line: borrowing LineReader.Line, _ events: inout MIMEEvents) {
    let text = line.bytes
    if text.byteCount > MIMELimits.encodedLine { events.insert(.longEncodedLine) }
    var index = 0
    while index < text.byteCount {
      let byte = text.byte(at: index)
      guard byte == UInt8(ascii: "=") else {
        output.append(byte)
        index += 1
        continue
      }
      // A soft line break.
      if index + 1 == text.byteCount { return }
      guard index + 2 < text.byteCount, let high = text.byte(at: index + 1).hexadecimalValue,
        let low = text.byte(at: index + 2).hexadecimalValue
      else {
        events.insert(.invalidQuotedPrintable)
        output.append(byte)
        index += 1
        continue
      }
      output.append(high << 4 | low)
      index += 3
    }
    appendLineEnd(line.endLength)
  }
}
