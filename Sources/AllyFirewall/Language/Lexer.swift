/// Cuts a policy's text into tokens. Comments (`#` to the end of the line) and a backslash before the end of a line leave
/// no trace.
struct Lexer {
  private let bytes: [UInt8]
  private let file: String
  private var index = 0
  private var line = 1
  private var column = 1

  private init(_ bytes: [UInt8], file: String) {
    self.bytes = bytes
    self.file = file
  }

  /// - Returns: the tokens, the last of them ``Token/Kind/end``.
  static func tokens(of bytes: [UInt8], file: String) throws(PolicyError) -> [Token] {
    var lexer = Lexer(bytes, file: file)
    var tokens: [Token] = []
    while true {
      let token = try lexer.next()
      tokens.append(token)
      if token.kind == .end { return tokens }
    }
  }

  private var current: UInt8? { index < bytes.count ? bytes[index] : nil }

  private mutating func advance() {
    if bytes[index] == UInt8(ascii: "\n") {
      line += 1
      column = 1
    } else if index + 1 >= bytes.count || bytes[index + 1] & 0xC0 != 0x80 {
      // Only a scalar's last byte moves the column.
      column += 1
    }
    index += 1
  }

  private mutating func next() throws(PolicyError) -> Token {
    skipBlanks()
    let (line, column) = (line, column)
    func token(_ kind: Token.Kind, _ text: String) -> Token {
      Token(kind: kind, text: text, line: line, column: column)
    }
    guard let byte = current else { return token(.end, "") }
    switch byte {
    case UInt8(ascii: "\n"):
      advance()
      return token(.newline, "\n")
    case UInt8(ascii: ";"):
      advance()
      return token(.semicolon, ";")
    case UInt8(ascii: "\""):
      return token(.string, try string())
    case UInt8(ascii: "$"), UInt8(ascii: "@"):
      advance()
      let name = word()
      guard let first = name.utf8.first, Lexer.isLetter(first) else {
        throw PolicyError(
          file: file, line: line, column: column,
          expected: byte == UInt8(ascii: "$") ? "a variable's name behind '$'" : "a set's name behind '@'",
          found: foundHere)
      }
      return token(byte == UInt8(ascii: "$") ? .variable : .setReference, name)
    case UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: ","), UInt8(ascii: "&"), UInt8(ascii: "|"),
      UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "+"):
      advance()
      return token(.symbol, String(Unicode.Scalar(byte)))
    case UInt8(ascii: "="), UInt8(ascii: "!"), UInt8(ascii: "<"), UInt8(ascii: ">"):
      advance()
      guard current == UInt8(ascii: "=") else { return token(.symbol, String(Unicode.Scalar(byte))) }
      advance()
      return token(.symbol, String(Unicode.Scalar(byte)) + "=")
    case _ where Lexer.isWord(byte):
      return token(.word, word())
    default:
      throw PolicyError(
        file: file, line: line, column: column,
        expected: "a word, a quoted text or one of { } ( ) ; , = ! < > & | + $ @",
        found: foundHere)
    }
  }

  private mutating func skipBlanks() {
    while let byte = current {
      switch byte {
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"):
        advance()
      case UInt8(ascii: "\\") where endOfLineFollows():
        while current != UInt8(ascii: "\n") { advance() }
        advance()
      case UInt8(ascii: "#"):
        while let byte = current, byte != UInt8(ascii: "\n") { advance() }
      default:
        return
      }
    }
  }

  /// Whether only a carriage return stands between the backslash here and the end of its line.
  private func endOfLineFollows() -> Bool {
    var next = index + 1
    if next < bytes.count, bytes[next] == UInt8(ascii: "\r") { next += 1 }
    return next < bytes.count && bytes[next] == UInt8(ascii: "\n")
  }

  private mutating func word() -> String {
    let start = index
    while let byte = current, Lexer.isWord(byte) { advance() }
    return String(decoding: bytes[start..<index], as: UTF8.self)
  }

  private mutating func string() throws(PolicyError) -> String {
    advance()
    let start = index
    while let byte = current, byte != UInt8(ascii: "\"") {
      // A control character would let a log prefix forge lines of the log.
      guard byte >= 0x20, byte != 0x7F else {
        throw PolicyError(
          file: file, line: line, column: column, expected: "the closing quote of a text", found: foundHere)
      }
      advance()
    }
    guard current != nil else {
      throw PolicyError(
        file: file, line: line, column: column, expected: "the closing quote of a text", found: foundHere)
    }
    let text = String(decoding: bytes[start..<index], as: UTF8.self)
    advance()
    return text
  }

  private var foundHere: String {
    guard let byte = current else { return "the end of the file" }
    if byte == UInt8(ascii: "\n") { return "the end of the line" }
    if byte > 0x20, byte < 0x7F { return "'\(Unicode.Scalar(byte))'" }
    return "the byte 0x" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
  }

  private static func isLetter(_ byte: UInt8) -> Bool {
    (byte >= 0x41 && byte <= 0x5A) || (byte >= 0x61 && byte <= 0x7A) || byte == UInt8(ascii: "_")
  }

  private static func isWord(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, UInt8(ascii: "."), UInt8(ascii: ":"), UInt8(ascii: "/"), UInt8(ascii: "-"):
      true
    default: isLetter(byte)
    }
  }
}
