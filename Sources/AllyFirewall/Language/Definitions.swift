/// Takes the `define NAME = VALUE` statements out of a policy's tokens and puts each value where its variable is used.
///
/// A variable stands for the tokens of its value, with the variables in it already replaced; it is known from its
/// definition to the end of the text. The tokens that replace a variable carry the place of its use.
struct Definitions {
  /// The most tokens that a policy may have once its variables are replaced: definitions that double each other would
  /// otherwise fill the memory.
  static let maximumTokens = 1_000_000

  private let file: String
  private var values: [String: [Token]] = [:]
  private var expanded: [Token] = []
  private var definedTokens = 0

  private init(file: String) { self.file = file }

  static func expand(_ tokens: [Token], file: String) throws(PolicyError) -> [Token] {
    var definitions = Definitions(file: file)
    definitions.expanded.reserveCapacity(tokens.count)
    var index = 0
    var atStatement = true
    while index < tokens.count {
      let token = tokens[index]
      if atStatement, token.kind == .word, token.text == "define" {
        try definitions.define(tokens, &index)
        continue
      }
      if token.kind == .variable {
        definitions.expanded += try definitions.value(of: token)
      } else {
        definitions.expanded.append(token)
      }
      guard definitions.expanded.count <= maximumTokens else {
        throw definitions.error(at: token, expected: "at most \(maximumTokens) words after variables are replaced")
      }
      atStatement = token.isSeparator || (token.kind == .symbol && (token.text == "{" || token.text == "}"))
      index += 1
    }
    return definitions.expanded
  }

  private func error(at token: Token, expected: String) -> PolicyError {
    PolicyError(file: file, line: token.line, column: token.column, expected: expected, found: token.phrase)
  }

  private func value(of variable: Token) throws(PolicyError) -> [Token] {
    guard let value = values[variable.text] else {
      throw error(at: variable, expected: "a variable that is defined above")
    }
    return value.map {
      Token(
        kind: $0.kind, text: $0.text, line: variable.line, column: variable.column,
        variable: variable.variable ?? variable.text)
    }
  }

  /// Reads one definition; `index` stands on `define` and is left behind the definition's end.
  private mutating func define(_ tokens: [Token], _ index: inout Int) throws(PolicyError) {
    index += 1
    let name = tokens[index]
    guard name.kind == .word, let first = name.text.utf8.first, !(0x30...0x39).contains(first) else {
      throw error(at: name, expected: "a variable's name")
    }
    guard values[name.text] == nil else {
      throw error(at: name, expected: "a name that is not defined yet")
    }
    index += 1
    guard tokens[index].kind == .symbol, tokens[index].text == "=" else {
      throw error(at: tokens[index], expected: "'='")
    }
    index += 1
    var value: [Token] = []
    var depth = 0
    while true {
      let token = tokens[index]
      if token.kind == .end || token.isSeparator, depth == 0 { break }
      if token.kind == .end || token.kind == .semicolon { throw error(at: token, expected: "'}'") }
      switch (token.kind, token.text) {
      case (.newline, _): break
      case (.variable, _): value += try self.value(of: token)
      case (.symbol, "{"):
        depth += 1
        value.append(token)
      case (.symbol, "}"):
        // The brace of the table or chain that the definition stands in.
        guard depth > 0 else { throw error(at: token, expected: "';' or a new line behind the definition") }
        depth -= 1
        value.append(token)
      default: value.append(token)
      }
      guard definedTokens + value.count <= Definitions.maximumTokens else {
        throw error(at: token, expected: "at most \(Definitions.maximumTokens) words in all definitions")
      }
      index += 1
    }
    guard !value.isEmpty else { throw error(at: tokens[index], expected: "a value") }
    definedTokens += value.count
    values[name.text] = value
  }
}
