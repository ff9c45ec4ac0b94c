/// The smallest piece of a policy's text.
struct Token: Sendable {
  enum Kind: Sendable {
    /// A name, a number, an address, a range: letters, digits and `_ . : / -`.
    case word
    /// `"…"`; the text is what stands between the quotes.
    case string
    /// `$name`; the text is the name.
    case variable
    /// `@name`; the text is the name.
    case setReference
    /// `{ } , = == != < > <= >= & | ( ) +`
    case symbol
    /// `;`
    case semicolon
    /// The end of a line.
    case newline
    /// The end of the text.
    case end
  }

  var kind: Kind
  var text: String
  var line: Int
  var column: Int
  /// The variable whose definition put the token here.
  var variable: String?

  var isSeparator: Bool { kind == .semicolon || kind == .newline }

  /// How an error names the token.
  var phrase: String {
    let shown: String
    switch kind {
    case .word, .symbol: shown = "'\(text)'"
    case .string: shown = "\"\(text)\""
    case .variable: shown = "'$\(text)'"
    case .setReference: shown = "'@\(text)'"
    case .semicolon: shown = "';'"
    case .newline: shown = "the end of the line"
    case .end: shown = "the end of the file"
    }
    return variable.map { "\(shown) from $\($0)" } ?? shown
  }

  /// How a listing writes the token.
  var listed: String {
    switch kind {
    case .string: "\"\(text)\""
    case .setReference: "@\(text)"
    case .variable: "$\(text)"
    case .word, .symbol, .semicolon, .newline, .end: text
    }
  }
}
