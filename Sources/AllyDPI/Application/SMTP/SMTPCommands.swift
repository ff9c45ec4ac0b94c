internal import AllyPacket

/// What the client says.
extension SMTPParser {
  func request(_ line: borrowing LineReader.Line) {
    if mode == .data { return takeDataLine(line) }
    if line.isCut && !line.isContinuation { note(.truncatedLine) }
    if line.isContinuation { return }
    guard let transaction = transactionForCommand() else { return }
    if !hasGreeted && !line.isCut { transaction.note(.noWelcome) }
    let text = line.bytes
    var command = SMTPCommand.other
    if text.hasCaselessPrefix("starttls") {
      command = .startTLS
    } else if text.hasCaselessPrefix("data") {
      command = .data
      if transaction.hasMail && !transaction.hasChunks {
        // The server has not said that it wants the first mail.
        transaction.note(.unparsableContent)
        return
      }
      transaction.beginMail(limits.options.smtp, filePolicy)
      if hasPipelining { mode = .data }
    } else if text.hasCaselessPrefix("bdat") {
      guard beginChunk(text, transaction) else { return }
      command = .chunk
    } else if text.hasCaselessPrefix("helo") || text.hasCaselessPrefix("ehlo") {
      if hello.isEmpty { hello = SMTPParser.parameter(of: text, behind: 4) } else { transaction.note(.duplicateFields) }
    } else if text.hasCaselessPrefix("mail from") {
      if transaction.sender.isEmpty {
        transaction.sender = SMTPParser.parameter(of: text, behind: 9)
      } else {
        transaction.note(.duplicateFields)
      }
    } else if text.hasCaselessPrefix("rcpt to") {
      transaction.addRecipient(SMTPParser.parameter(of: text, behind: 7))
    } else if text.hasCaselessPrefix("rset") {
      command = .reset
      if hasPipelining { transaction.endRequest() }
    }
    awaitReply(to: command)
  }

  private func awaitReply(to command: SMTPCommand) {
    if waiting.count < SMTPParser.mostCommands { waiting.append(command) }
  }

  /// The first word behind a command and one character more.
  private static func parameter(of line: RawSpan, behind length: Int) -> [UInt8] {
    var start = length + 1
    while start < line.byteCount, line.byte(at: start) == 0x20 { start += 1 }
    var end = start
    while end < line.byteCount, line.byte(at: end) != 0x20 { end += 1 }
    return start < end ? line.extracting(start..<end).array : []
  }

  // MARK: mail

  func takeDataLine(_ line: borrowing LineReader.Line) {
    guard let transaction = current else { return }
    if !line.isContinuation, line.endLength > 0, line.bytes.byteCount == 1, line.bytes.byte(at: 0) == UInt8(ascii: "."),
      !line.isCut
    {
      mode = .commands
      awaitReply(to: .endOfData)
      transaction.finishMail()
      return
    }
    transaction.take(line, filePolicy)
  }

  // MARK: chunks (RFC 3030)

  private func beginChunk(_ line: RawSpan, _ transaction: SMTPTransaction) -> Bool {
    let words = line.array[...].split(separator: 0x20)
    guard words.count >= 2, words[1].count < 10, words[1].allSatisfy(\.isDecimalDigit) else { return false }
    chunkLeft = words[1].reduce(0) { $0 * 10 + Int($1 &- 0x30) }
    if !transaction.hasMail { transaction.beginMail(limits.options.smtp, filePolicy) }
    transaction.hasChunks = true
    transaction.isLastChunk = words.count > 2 && words[2].isCaselessEqual(to: "last")
    if chunkLeft > 0 { mode = .chunk } else { endChunk(transaction) }
    return true
  }

  func takeChunk(_ data: RawSpan) {
    guard let transaction = current else {
      mode = .commands
      return
    }
    var reader = LineReader(limit: 0)
    swap(&reader, &transaction.chunkLines)
    _ = reader.read(data) { line in
      transaction.take(line, filePolicy)
      return true
    }
    swap(&reader, &transaction.chunkLines)
    chunkLeft -= data.byteCount
    if chunkLeft <= 0 { endChunk(transaction) }
  }

  private func endChunk(_ transaction: SMTPTransaction) {
    mode = .commands
    guard transaction.isLastChunk else { return }
    transaction.finishMail()
  }
}
