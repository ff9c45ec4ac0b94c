/// Reads tables, chains and sets; rules are in `PolicyParser+Rules.swift`. The grammar is in Docs/FirewallPolicy.md.
struct PolicyParser {
  let tokens: [Token]
  private let file: String
  private var index = 0
  private var syntax = PolicySyntax()

  private init(_ tokens: [Token], file: String) {
    self.tokens = tokens
    self.file = file
  }

  static func parse(_ text: [UInt8], file: String) throws(PolicyError) -> PolicySyntax {
    let tokens = try Definitions.expand(Lexer.tokens(of: text, file: file), file: file)
    var parser = PolicyParser(tokens, file: file)
    try parser.parsePolicy()
    return parser.syntax
  }

  // MARK: Tokens

  /// The token to be read next; the last one, `end`, is never passed.
  var token: Token { tokens[index] }

  /// The token after ``token``.
  var following: Token { tokens[min(index + 1, tokens.count - 1)] }

  mutating func advance() { index = min(index + 1, tokens.count - 1) }

  func isWord(_ text: String) -> Bool { token.kind == .word && token.text == text }
  func isSymbol(_ text: String) -> Bool { token.kind == .symbol && token.text == text }

  mutating func takeWord(_ text: String) -> Bool {
    guard isWord(text) else { return false }
    advance()
    return true
  }

  mutating func takeSymbol(_ text: String) -> Bool {
    guard isSymbol(text) else { return false }
    advance()
    return true
  }

  mutating func skipSeparators() { while token.isSeparator { advance() } }
  mutating func skipNewlines() { while token.kind == .newline { advance() } }

  func error(_ expected: String, at token: Token? = nil) -> PolicyError {
    let token = token ?? self.token
    return PolicyError(
      file: file, line: token.line, column: token.column, expected: expected, found: token.phrase)
  }

  mutating func expectSymbol(_ text: String) throws(PolicyError) {
    guard takeSymbol(text) else { throw error("'\(text)'") }
  }

  /// The end of a statement: a new line, `;`, or the brace that closes the block around it.
  mutating func expectEnd(of statement: String) throws(PolicyError) {
    guard token.isSeparator || isSymbol("}") || token.kind == .end else {
      throw error("the end of the \(statement) (';' or a new line)")
    }
    skipSeparators()
  }

  /// Text of tokens from `start` to the one before ``token``, as a listing writes it.
  func listedText(from start: Int) -> String { PolicyParser.listed(tokens[start..<index]) }

  var position: Int { index }

  static func listed(_ tokens: ArraySlice<Token>) -> String {
    var text = ""
    var depth = 0
    var afterComma = false
    for token in tokens where !token.isSeparator {
      let isComma = token.kind == .symbol && token.text == ","
      // `established,related`, but `{ 22, 80 }`.
      if !text.isEmpty, !isComma, !afterComma || depth > 0 { text += " " }
      text += token.listed
      afterComma = isComma
      if token.kind == .symbol, token.text == "{" { depth += 1 }
      if token.kind == .symbol, token.text == "}" { depth -= 1 }
    }
    return text
  }

  /// A name that the policy gives to a table, chain or set.
  mutating func name(_ what: String) throws(PolicyError) -> String {
    guard token.kind == .word || token.kind == .string, let first = token.text.utf8.first,
      (0x41...0x5A).contains(first) || (0x61...0x7A).contains(first) || first == UInt8(ascii: "_")
    else { throw error(what) }
    defer { advance() }
    return token.text
  }

  mutating func string(_ what: String) throws(PolicyError) -> String {
    guard token.kind == .string else { throw error(what) }
    defer { advance() }
    return token.text
  }

  // MARK: Policy, tables

  private mutating func parsePolicy() throws(PolicyError) {
    skipSeparators()
    while token.kind != .end {
      if isWord("flush"), following.kind == .word, following.text == "ruleset" {
        // Every run starts without rules.
        advance()
        advance()
        try expectEnd(of: "statement")
      } else if takeWord("table") {
        try parseTable()
      } else {
        throw error("'table', 'define' or 'flush ruleset'")
      }
      skipSeparators()
    }
  }

  private mutating func parseTable() throws(PolicyError) {
    // Without a family it is ip (nft(8), "TABLES").
    var family = TableFamily.ip
    if token.kind == .word, let named = TableFamily(rawValue: token.text) {
      family = named
      advance()
    } else if token.kind == .word, ["arp", "bridge", "netdev"].contains(token.text), following.kind == .word {
      throw error("the family ip, ip6 or inet")
    }
    let name = try name("a table's name")
    let position = syntax.tables.firstIndex { $0.family == family && $0.name == name } ?? syntax.tables.endIndex
    if position == syntax.tables.endIndex { syntax.tables.append(TableSyntax(family: family, name: name)) }
    skipNewlines()
    try expectSymbol("{")
    skipSeparators()
    while !takeSymbol("}") {
      if takeWord("chain") {
        try parseChain(in: position)
      } else if takeWord("set") {
        try parseSet(in: position)
      } else if takeWord("comment") {
        _ = try string("a comment in quotes")
        try expectEnd(of: "comment")
      } else {
        throw error("'chain', 'set', 'define', 'comment' or '}'")
      }
      skipSeparators()
    }
  }

  // MARK: Chains

  private mutating func parseChain(in table: Int) throws(PolicyError) {
    let name = try name("a chain's name")
    let family = syntax.tables[table].family
    // A chain that is written twice holds the rules of both, as in nft.
    let position =
      syntax.tables[table].chains.firstIndex { $0.name == name } ?? syntax.tables[table].chains.endIndex
    var chain =
      position < syntax.tables[table].chains.endIndex
      ? syntax.tables[table].chains[position] : ChainSyntax(name: name)
    skipNewlines()
    try expectSymbol("{")
    skipSeparators()
    while !takeSymbol("}") {
      if isWord("type") {
        guard chain.base == nil, chain.rules.isEmpty else {
          throw error("one 'type' at most, before the chain's rules")
        }
        chain.base = try parseBaseChain()
      } else if isWord("policy") {
        guard chain.base != nil else { throw error("'type filter hook …' before the policy") }
        advance()
        if takeWord("accept") {
          chain.base?.accepts = true
        } else if takeWord("drop") {
          chain.base?.accepts = false
        } else {
          throw error("'accept' or 'drop'")
        }
        try expectEnd(of: "policy")
      } else if isWord("comment"), following.kind == .string {
        advance()
        advance()
        try expectEnd(of: "comment")
      } else {
        chain.rules.append(try parseRule(family: family))
        try expectEnd(of: "rule")
      }
      skipSeparators()
    }
    if position < syntax.tables[table].chains.endIndex {
      syntax.tables[table].chains[position] = chain
    } else {
      syntax.tables[table].chains.append(chain)
    }
  }

  /// `type filter hook input priority filter + 10;`
  private mutating func parseBaseChain() throws(PolicyError) -> BaseChainSyntax {
    advance()
    guard takeWord("filter") else { throw error("the chain type 'filter'") }
    guard takeWord("hook") else { throw error("'hook'") }
    guard token.kind == .word, let hook = FirewallHook(rawValue: token.text) else {
      throw error("the hook input, forward or output")
    }
    advance()
    guard takeWord("priority") else { throw error("'priority'") }
    let start = position
    let priority = try parsePriority()
    let base = BaseChainSyntax(hook: hook, priority: priority, listedPriority: listedText(from: start))
    try expectEnd(of: "'type' statement")
    return base
  }

  private mutating func parsePriority() throws(PolicyError) -> Int {
    let expected = "a priority: a number, or one of raw, mangle, filter, security"
    guard token.kind == .word else { throw error(expected) }
    if let number = signedNumber(token.text) {
      advance()
      return number
    }
    guard let named = Names.priorities[token.text] else { throw error(expected) }
    advance()
    var sign = 1
    if takeWord("-") {
      sign = -1
    } else if !takeSymbol("+") {
      // `filter -10` is one word with its sign.
      if token.kind == .word, token.text.hasPrefix("-"), let number = signedNumber(token.text) {
        advance()
        return named + number
      }
      return named
    }
    guard token.kind == .word, let number = signedNumber(token.text), number >= 0 else { throw error("a number") }
    advance()
    return named + sign * number
  }

  private func signedNumber(_ text: String) -> Int? {
    let negative = text.hasPrefix("-")
    guard let magnitude = Number.parse(text.dropFirst(negative ? 1 : 0)), magnitude <= UInt64(Int32.max) else {
      return nil
    }
    return negative ? -Int(magnitude) : Int(magnitude)
  }

  // MARK: Sets

  private mutating func parseSet(in table: Int) throws(PolicyError) {
    let nameToken = token
    let name = try name("a set's name")
    guard !syntax.tables[table].sets.contains(where: { $0.name == name }) else {
      throw error("a set's name that the table does not have yet", at: nameToken)
    }
    skipNewlines()
    try expectSymbol("{")
    skipSeparators()
    var type: ValueType?
    var set = SetSyntax(name: name, type: .service)
    var places: [Token] = []
    while !isSymbol("}") {
      if takeWord("type") {
        let names = ValueType.ofSets.compactMap(\.setTypeName).joined(separator: ", ")
        guard token.kind == .word, let known = ValueType.ofSets.first(where: { $0.setTypeName == token.text }) else {
          throw error("a type: one of \(names)")
        }
        advance()
        type = known
        set.type = known
        try expectEnd(of: "type")
      } else if takeWord("flags") {
        repeat {
          if takeWord("interval") {
            set.hasIntervals = true
          } else if !takeWord("constant") {
            throw error("the flag interval or constant")
          }
        } while takeSymbol(",")
        try expectEnd(of: "flags")
      } else if takeWord("auto-merge") {
        set.mergesIntervals = true
        try expectEnd(of: "'auto-merge'")
      } else if takeWord("comment") {
        _ = try string("a comment in quotes")
        try expectEnd(of: "comment")
      } else if isWord("elements") {
        guard type != nil else { throw error("'type' before the elements") }
        advance()
        try expectSymbol("=")
        try parseElements(into: &set, places: &places)
        try expectEnd(of: "elements")
      } else {
        throw error("'type', 'flags', 'auto-merge', 'elements', 'comment' or '}'")
      }
      skipSeparators()
    }
    guard type != nil else { throw error("'type' in a set") }
    if !set.mergesIntervals { try refuseOverlaps(set.elements, places) }
    advance()
    syntax.tables[table].sets.append(set)
  }

  private mutating func parseElements(into set: inout SetSyntax, places: inout [Token]) throws(PolicyError) {
    guard isSymbol("{") else { throw error("'{'") }
    let type = set.type
    try parseBraces { (parser: inout PolicyParser) throws(PolicyError) in
      let start = parser.token
      let position = parser.position
      let range = try parser.range(type)
      guard set.hasIntervals || range.lower == range.upper else {
        throw parser.error("a single value, or 'flags interval' before the elements", at: start)
      }
      set.elements.append(range)
      places.append(start)
      set.listedElements.append(parser.listedText(from: position))
      if parser.takeWord("comment") { _ = try parser.string("a comment in quotes") }
    }
  }

  /// Elements may be written twice but not overlap, unless the set merges them: that is most often a mistake.
  private func refuseOverlaps(_ elements: [ValueRange], _ places: [Token]) throws(PolicyError) {
    let order = elements.indices.sorted { (elements[$0].lower, $0) < (elements[$1].lower, $1) }
    for (one, next) in zip(order, order.dropFirst())
    where elements[next].lower <= elements[one].upper && elements[next] != elements[one] {
      throw error("an element that overlaps no other, or 'auto-merge' in the set", at: places[max(one, next)])
    }
  }

  // MARK: Values

  /// `{ element, element, … }`; sets within the set, as variables bring them, are taken for their elements.
  mutating func parseBraces(
    element: (inout PolicyParser) throws(PolicyError) -> Void
  ) throws(PolicyError) {
    var depth = 0
    // Whether an element has just ended, so that only a comma or a brace may follow.
    var ended = false
    repeat {
      skipNewlines()
      if !ended, takeSymbol("{") {
        depth += 1
      } else if ended, takeSymbol("}") {
        depth -= 1
      } else if ended {
        guard takeSymbol(",") else { throw error("',' or '}'") }
        ended = false
        skipNewlines()
        // A comma may stand behind the last element.
        if isSymbol("}") { ended = true }
      } else {
        try element(&self)
        ended = true
      }
    } while depth > 0
  }

  /// A value, a prefix or a range.
  mutating func range(_ type: ValueType) throws(PolicyError) -> ValueRange {
    let start = token
    guard start.kind == .word else { throw error(type.expected) }
    let text = start.text[...]
    if let value = type.single(text) {
      advance()
      guard isWord("-") else { return ValueRange(lower: value, upper: value) }
      advance()
      guard token.kind == .word, let upper = type.single(token.text[...]) else { throw error(type.expected) }
      guard value <= upper else { throw error("an end of the range that is not below its start") }
      advance()
      return ValueRange(lower: value, upper: upper)
    }
    if let prefix = type.prefix(text) {
      advance()
      return prefix
    }
    // Names hold hyphens too: without blanks, a range begins with a digit (or an IPv6 address).
    if let hyphen = text.firstIndex(of: "-"), type == .ipv6Address || text.first?.isNumber == true,
      let lower = type.single(text[..<hyphen]), let upper = type.single(text[text.index(after: hyphen)...])
    {
      guard lower <= upper else { throw error("an end of the range that is not below its start") }
      advance()
      return ValueRange(lower: lower, upper: upper)
    }
    throw error(type.expected)
  }
}
