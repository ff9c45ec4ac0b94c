/// A mail: who sends it, to whom, and what it is.
final class SMTPTransaction: ApplicationTransaction {
  enum Stage {
    static var commands: UInt8 { 254 }
    static var complete: UInt8 { TransactionStage.complete }
  }

  private static var mostRecipients: Int { 256 }

  let number: UInt64
  var hello: [UInt8] = []
  var sender: [UInt8] = []
  private(set) var recipients: [[UInt8]] = []
  var mail: MIMEMessage?
  /// The mail as it is sent, where that is all that is wanted.
  private(set) var rawMail: TransferredFile?
  /// It has a mail, whether that is read or not.
  private(set) var hasMail = false
  var hasChunks = false
  var isLastChunk = false
  var chunkLines = LineReader(limit: 4096)
  private(set) var files: [TransferredFile] = []
  private(set) var events = ApplicationEvents()
  let inspection = TransactionInspection()
  /// The client has said all about it.
  private(set) var isDone = false
  /// Sides of a stream that ended before.
  private var isClosedToServer = false
  private var isClosedToClient = false

  init(number: UInt64) { self.number = number }

  func note(_ event: SMTPEvent) { events.insert(event.rawValue) }

  func addRecipient(_ recipient: [UInt8]) {
    if recipients.count < SMTPTransaction.mostRecipients { recipients.append(recipient) }
  }

  func endRequest() { isDone = true }

  /// One side says no more: of a mail that is not done with, that side is complete all the same.
  func close(_ side: FlowSide) {
    if side == .toServer { isClosedToServer = true } else { isClosedToClient = true }
  }

  /// A mail begins.
  func beginMail(_ options: ApplicationOptions.SMTP, _ policy: FilePolicy) {
    hasMail = true
    if options.readsMail { mail = MIMEMessage(options) }
    if options.isRaw { rawMail = openFile(Array("rawmsg".utf8)[...], policy) }
  }

  /// A line of the mail, or a piece of one.
  func take(_ line: borrowing LineReader.Line, _ policy: FilePolicy) {
    mail?.take(line) { openFile($0, policy) }
    if let rawMail {
      let end = line.end
      rawMail.append(line.bytes)
      rawMail.append(end.rawBytes)
    }
    noteMailEvents()
  }

  /// The mail is over.
  func finishMail() {
    mail?.finish()
    rawMail?.close(isWhole: true)
    noteMailEvents()
    endRequest()
  }

  /// The mail broke off.
  func abortMail() {
    mail?.abort()
    rawMail?.close(isWhole: false)
  }

  /// The file that content belongs to which is missing.
  var openFile: TransferredFile? { rawMail ?? mail?.file }

  func openFile(_ name: ArraySlice<UInt8>, _ policy: FilePolicy) -> TransferredFile? {
    guard files.count < 64 else { return nil }
    let file = TransferredFile(name: name, side: .toServer, policy: policy)
    files.append(file)
    return file
  }

  private func noteMailEvents() {
    guard let found = mail?.events, !found.isEmpty else { return }
    for (bit, event) in SMTPEvent.ofMail where found.contains(bit) { note(event) }
    mail?.events = []
  }

  func stage(of side: FlowSide) -> UInt8 {
    isDone || (side == .toServer ? isClosedToServer : isClosedToClient) ? Stage.complete : Stage.commands
  }

  func bytes(of buffer: InspectionBuffer, from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? {
    fileBuffer(buffer, from: side, at: index)
  }
}
