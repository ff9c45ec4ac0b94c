internal import AllyPacket

/// Commands that are known (RFC 959 §4.1, RFC 2389, RFC 2428, RFC 3659, RFC 4217).
enum FTPCommand: String, CaseIterable {
  case port = "PORT"
  case eprt = "EPRT"
  case authTLS = "AUTH TLS"
  case pasv = "PASV"
  case epsv = "EPSV"
  case retr = "RETR"
  case stor = "STOR"
  case abor = "ABOR"
  case acct = "ACCT"
  case allo = "ALLO"
  case appe = "APPE"
  case cdup = "CDUP"
  case chmod = "CHMOD"
  case cwd = "CWD"
  case dele = "DELE"
  case help = "HELP"
  case idle = "IDLE"
  case list = "LIST"
  case mail = "MAIL"
  case mdtm = "MDTM"
  case mkd = "MKD"
  case mlfl = "MLFL"
  case mode = "MODE"
  case mrcp = "MRCP"
  case mrsq = "MRSQ"
  case msam = "MSAM"
  case msnd = "MSND"
  case msom = "MSOM"
  case nlst = "NLST"
  case noop = "NOOP"
  case pass = "PASS"
  case pwd = "PWD"
  case quit = "QUIT"
  case rein = "REIN"
  case rest = "REST"
  case rmd = "RMD"
  case rnfr = "RNFR"
  case rnto = "RNTO"
  case site = "SITE"
  case size = "SIZE"
  case smnt = "SMNT"
  case stat = "STAT"
  case stou = "STOU"
  case stru = "STRU"
  case syst = "SYST"
  case type = "TYPE"
  case umask = "UMASK"
  case user = "USER"

  /// The command at the start of a line; nil when it is none of them.
  init?(line: ArraySlice<UInt8>) {
    for command in FTPCommand.allCases {
      let name = command.rawValue.utf8
      guard line.count >= name.count,
        zip(line, name).allSatisfy({ LiteralSearch.lowercase($0) == LiteralSearch.lowercase($1) })
      else { continue }
      self = command
      return
    }
    return nil
  }
}

/// A command and its replies.
final class FTPTransaction: ApplicationTransaction {
  /// Lines of replies that are kept.
  private static var mostReplies: Int { 128 }

  let number: UInt64
  private(set) var command: FTPCommand?
  private var line: [UInt8] = []
  private var isCut = false
  private(set) var replies: [[UInt8]] = []
  private(set) var hasCutReply = false
  /// What the two agreed upon for a transfer's connection; 0 without.
  var dynamicPort: UInt16 = 0
  var isActive = false
  var isDone = false
  private(set) var events = ApplicationEvents()
  let inspection = TransactionInspection()

  init(number: UInt64) { self.number = number }

  func note(_ event: FTPEvent) { events.insert(event.rawValue) }

  func take(_ line: RawSpan, isCut: Bool) {
    self.line = line.array
    self.isCut = isCut
    command = FTPCommand(line: self.line[...])
  }

  func addReply(_ line: RawSpan, isCut: Bool) {
    if isCut { hasCutReply = true }
    if replies.count < FTPTransaction.mostReplies { replies.append(line.array) }
  }

  /// What stands behind a known command and a space; nil without.
  var parameter: ArraySlice<UInt8>? {
    guard let command, line.count > command.rawValue.utf8.count + 1 else { return nil }
    return line[(command.rawValue.utf8.count + 1)...]
  }

  func stage(of side: FlowSide) -> UInt8 { isDone ? TransactionStage.complete : TransactionStage.complete - 1 }

  func bytes(of buffer: InspectionBuffer, from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? { nil }

  func matches(
    _ test: TransactionTest, in packet: DecodedPacket, from side: FlowSide,
    ranges: ConstantTable<DetectionTables.NumberRange>
  ) -> Bool {
    guard case .ftpBounce = test, side == .toServer, command == .port, let parameter,
      let named = FTPAddress.port(parameter)
    else { return false }
    return packet.ipVersion == 4 && packet.source != IPAddress(v4: named.address)
  }

  // MARK: record
  /// Records of alerts say nothing about it.
  func writeAlertFields(to json: inout JSONWriter, _ options: RecordOptions) {}

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("ftp")
    json.beginObject()
    writeDetails(to: &json)
    json.endObject()
  }

  private func writeDetails(to json: inout JSONWriter) {
    if let command {
      json.key("command")
      json.string(command.rawValue)
      if let parameter {
        json.key("command_data")
        json.text(parameter)
        json.key("command_truncated")
        json.bool(isCut)
      }
    }
    let codes = replies.compactMap { FTPTransaction.code($0) }
    if !replies.isEmpty {
      if !codes.isEmpty {
        json.key("completion_code")
        json.beginArray()
        for code in codes { json.text(code) }
        json.endArray()
      }
      let texts = replies.map(FTPTransaction.text).filter { !$0.isEmpty }
      if !texts.isEmpty {
        json.key("reply")
        json.beginArray()
        for text in texts { json.text(text) }
        json.endArray()
      }
    }
    if dynamicPort != 0 {
      json.key("dynamic_port")
      json.number(dynamicPort)
    }
    if command == .port || command == .eprt {
      json.key("mode")
      json.string(isActive ? "active" : "passive")
    }
    json.key("reply_received")
    json.string(replies.isEmpty ? "no" : "yes")
    json.key("reply_truncated")
    json.bool(hasCutReply)
  }

  /// What is behind the code, without blanks at the end.
  private static func text(_ reply: [UInt8]) -> ArraySlice<UInt8> {
    var text = code(reply) == nil ? reply[...] : reply.dropFirst(4)
    while let last = text.last, last.isWhiteSpace { text = text.dropLast() }
    return text
  }

  /// The three digits in front.
  private static func code(_ reply: [UInt8]) -> ArraySlice<UInt8>? {
    let digits = reply.prefix(3)
    return digits.count == 3 && digits.allSatisfy(\.isDecimalDigit) ? digits : nil
  }
}
