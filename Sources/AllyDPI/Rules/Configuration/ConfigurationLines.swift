/// What the small configuration files beside rules have in common: one entry a line, `#` for comments.
enum ConfigurationLines {
  /// Reads each entry, and returns what is wrong with those that cannot be read.
  static func read(
    _ text: [UInt8], file: String, entry: (RuleSlice) throws(RuleSyntaxError) -> Void
  ) -> [RuleProblem] {
    var problems: [RuleProblem] = []
    for line in RuleTexts(text, file: file) {
      do {
        try entry(line.all.trimmed)
      } catch {
        problems.append(
          RuleProblem(
            location: line.location(at: error.offset), sid: 0, reason: error.reason, isUnsupported: error.isUnsupported)
        )
      }
    }
    return problems
  }

  /// What follows `config NAME:`.
  static func value(of name: String, in line: RuleSlice) throws(RuleSyntaxError) -> RuleSlice {
    let (config, rest) = line.firstWord
    guard config.string == "config", let colon = rest.range.first(where: { line.text.bytes[$0] == UInt8(ascii: ":") }),
      rest.slice(rest.range.lowerBound..<colon).trimmed.string == name
    else { throw line.expected("'config \(name):'") }
    return rest.slice(colon + 1..<rest.range.upperBound).trimmed
  }
}
