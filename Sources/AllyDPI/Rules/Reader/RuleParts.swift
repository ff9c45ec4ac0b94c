/// A rule taken apart: the header in front of the parenthesis, and the options in it.
struct RuleParts {
  var header: RuleSlice
  var options: [RuleOptionText]
  /// Bytes of a rule, eight times what Suricata takes.
  private static let longest = 65_536

  init(_ text: RuleText) throws(RuleSyntaxError) {
    let all = text.all.trimmed
    guard all.range.count <= Self.longest else { throw all.error("expected a rule of at most \(Self.longest) bytes") }
    guard let open = all.range.first(where: { text.bytes[$0] == UInt8(ascii: "(") }) else {
      throw RuleSyntaxError(offset: all.range.upperBound, reason: "expected '(' and the rule's options, found the end")
    }
    header = all.slice(all.range.lowerBound..<open)
    options = []
    var rest = all.slice(open + 1..<all.range.upperBound)
    while true {
      rest.skipSpaces()
      if rest.skip(UInt8(ascii: ")")) { break }
      guard !rest.isEmpty else { throw rest.error("expected ')' at the end of the rule, found the end") }
      options.append(try RuleOptionText(takenFrom: &rest))
    }
    rest.skipSpaces()
    guard rest.isEmpty else { throw rest.expected("nothing behind the ')' of the options") }
  }

  /// The signature id of a rule that does not load, as far as it can be made out; 0 else.
  static func sid(of text: RuleText) -> UInt32 {
    guard let open = text.bytes.firstIndex(of: UInt8(ascii: "(")) else { return 0 }
    var rest = text.all.slice(open + 1..<text.bytes.count)
    // Text that is no rule at all is not searched to its end.
    var failures = 0
    while !rest.isEmpty && failures < 16 {
      // Past an option that cannot be read the next one begins behind the next semicolon.
      let start = rest.range.lowerBound
      if let option = try? RuleOptionText(takenFrom: &rest) {
        if option.name == "sid", let value = try? option.value.number(in: 0...Int(UInt32.max)) { return UInt32(value) }
      } else {
        failures += 1
        let end = rest.slice(start..<text.bytes.count).range.first { text.bytes[$0] == UInt8(ascii: ";") }
        rest = text.all.slice((end ?? text.bytes.count - 1) + 1..<text.bytes.count)
      }
    }
    return 0
  }
}

/// One option as written: `keyword;`, `keyword:value;`, `keyword:!"value";` or, in Snort 3's way,
/// `keyword:"value",modifier,modifier value;`.
struct RuleOptionText {
  /// In lower case.
  var name: String
  var keyword: RuleSlice
  /// Whether there was a colon.
  var hasValue: Bool
  /// The value without quotes and without the `!` in front of them, trimmed if it stood without quotes. Escapes are
  /// still in it.
  var value: RuleSlice
  var isQuoted: Bool
  /// A `!` in front of the quotes. In front of an unquoted value it is part of the value.
  var isNegated: Bool
  /// What follows the closing quote: Snort 3's modifiers.
  var modifiers: [RuleSlice]

  /// Takes an option and its semicolon off the front of `rest`, which must not be empty.
  init(takenFrom rest: inout RuleSlice) throws(RuleSyntaxError) {
    let bytes = rest.text.bytes
    rest.skipSpaces()
    let start = rest.range.lowerBound
    let limit = rest.range.upperBound
    var end = start
    while end < limit, !Self.endsKeyword(bytes[end]) { end += 1 }
    keyword = rest.slice(start..<end).trimmed
    name = keyword.lowercased
    isQuoted = false
    isNegated = false
    modifiers = []
    rest.range = end..<limit
    guard !keyword.isEmpty else { throw rest.expected("a keyword") }
    if rest.skip(UInt8(ascii: ";")) {
      hasValue = false
      value = rest.slice(end..<end)
      return
    }
    guard rest.skip(UInt8(ascii: ":")) else { throw rest.expected("':' or ';' behind the keyword '\(name)'") }
    hasValue = true
    rest.skipSpaces()
    value = rest
    let negated = rest.skip(UInt8(ascii: "!"))
    rest.skipSpaces()
    if rest.skip(UInt8(ascii: "\"")) {
      isQuoted = true
      isNegated = negated
      let opening = rest.range.lowerBound
      guard let closing = Self.closingQuote(in: rest) else {
        throw rest.slice(opening - 1..<limit).expected("a closing '\"' and ';' for the keyword '\(name)'")
      }
      value = rest.slice(opening..<closing)
      rest.range = closing + 1..<limit
      rest.skipSpaces()
      let separators = rest
      if !rest.skip(UInt8(ascii: ";")) {
        guard rest.skip(UInt8(ascii: ",")) else { throw separators.expected("';' behind the value of '\(name)'") }
        modifiers = try Self.unquoted(takenFrom: &rest, of: name).separated()
      }
    } else {
      rest = value
      value = try Self.unquoted(takenFrom: &rest, of: name)
    }
  }

  private static func endsKeyword(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: ":") || byte == UInt8(ascii: ";") || byte == UInt8(ascii: ")") || byte == UInt8(ascii: "\"")
  }

  /// Up to the next semicolon that is not escaped, which is taken off too.
  private static func unquoted(takenFrom rest: inout RuleSlice, of name: String) throws(RuleSyntaxError) -> RuleSlice {
    let bytes = rest.text.bytes
    var index = rest.range.lowerBound
    while index < rest.range.upperBound {
      if bytes[index] == UInt8(ascii: "\\") {
        index += 2
      } else if bytes[index] == UInt8(ascii: ";") {
        let value = rest.slice(rest.range.lowerBound..<index).trimmed
        rest.range = index + 1..<rest.range.upperBound
        return value
      } else {
        index += 1
      }
    }
    throw rest.slice(rest.range.upperBound..<rest.range.upperBound)
      .error("expected ';' at the end of the option '\(name)', found the end of the rule")
  }

  /// The quote that ends the value: not escaped, and followed by `;` or `,`. A quote in the middle of a value, as rules
  /// have them in `msg` and `pcre`, is part of it. Suricata ends an option at the first `;` that is not escaped, Snort
  /// lets it stand between quotes; so do we.
  private static func closingQuote(in rest: RuleSlice) -> Int? {
    let bytes = rest.text.bytes
    let limit = rest.range.upperBound
    var index = rest.range.lowerBound
    var candidate: Int?
    while index < limit {
      if bytes[index] == UInt8(ascii: "\\") {
        index += 2
        continue
      }
      if bytes[index] == UInt8(ascii: "\"") {
        var after = index + 1
        while after < limit && bytes[after].isSpace { after += 1 }
        if after < limit && (bytes[after] == UInt8(ascii: ";") || startsModifiers(rest.slice(after..<limit))) {
          return index
        }
        candidate = index
      } else if bytes[index] == UInt8(ascii: ";"), let candidate {
        // `"value" x;`: what follows the quote is for the caller to complain about.
        return candidate
      }
      index += 1
    }
    return candidate
  }

  /// Whether Snort 3's modifiers stand here: a comma, and no further quote before the semicolon.
  private static func startsModifiers(_ rest: RuleSlice) -> Bool {
    guard rest.first == UInt8(ascii: ",") else { return false }
    for byte in rest.bytes {
      if byte == UInt8(ascii: ";") { return true }
      if byte == UInt8(ascii: "\"") { return false }
    }
    return false
  }
}
