internal import AllyPacket

/// What the server says.
extension SMTPParser {
  func reply(_ line: borrowing LineReader.Line) {
    if line.isCut && !line.isContinuation { note(.truncatedLine) }
    if line.isContinuation || line.bytes.byteCount == 0 { return }
    guard let code = SMTPParser.code(line.bytes) else { return note(.invalidReply) }
    let isMore = line.bytes.byteCount >= 4 && line.bytes.byte(at: 3) == UInt8(ascii: "-")
    if !hasGreeted {
      if !isMore { hasGreeted = true }
      if code != 220 && code != 554 && code != 421 { note(.invalidReply) }
      return
    }
    isInLongReply = isMore
    guard let command = waiting.first else {
      // Behind the end of a connection a server may still say why.
      if code != 421 { note(.replyWithoutRequest) }
      return
    }
    switch command {
    case .startTLS:
      if code == 220 {
        mode = .tunnel
        current?.endRequest()
      } else {
        current?.note(.tlsRejected)
      }
    case .data:
      if code == 354 {
        mode = .data
      } else {
        current?.note(.dataRejected)
        // With pipelining, the mail was expected before this reply.
        if mode == .data { mode = .commands }
      }
    case .reset:
      if code == 250, !hasPipelining {
        current?.endRequest()
      }
    case .endOfData, .chunk, .other: break
    }
    if isMore {
      if code == 250, line.bytes.byteCount == 14, line.bytes.extracting(4...).hasCaselessPrefix("pipelining") {
        hasPipelining = true
      }
    } else {
      waiting.removeFirst()
    }
  }

  /// The three digits in front (RFC 5321 §4.2.1).
  private static func code(_ line: RawSpan) -> Int? {
    guard line.byteCount >= 3 else { return nil }
    var code = 0
    for index in 0..<3 {
      guard line.byte(at: index).isDecimalDigit else { return nil }
      code = code * 10 + Int(line.byte(at: index) &- 0x30)
    }
    return (200..<560).contains(code) ? code : nil
  }
}
