/// `requires`: what a rule asks of the engine. A rule whose wish is not met is left out, without being wrong.
enum RequirementKeywords {
  static let table: [Keyword] = [Keyword("requires", .plain, isUnique: true, requires)]

  /// Whose rule language this is: the version that `requires: version` is compared with.
  private static let version = [7, 0, 10]

  /// What Suricata calls features and this reads.
  private static let features: Set = ["ja3", "ja4", "output::file-store"]

  /// `version >= 7.0.3 < 8 | >= 8.1, feature NAME, keyword NAME`.
  @Sendable
  private static func requires(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    for requirement in option.value.separated() {
      let (kind, wish) = requirement.firstWord
      switch kind.string {
      case "version":
        guard try isMet(wish) else {
          throw requirement.unsupported(
            "the rule requires \(requirement.quoted) of Suricata; this is the language of 7.0.10")
        }
      case "keyword":
        guard KeywordTable.keyword(wish.lowercased) != nil else {
          throw requirement.unsupported("the rule requires the keyword \(wish.quoted)")
        }
      case "feature":
        guard features.contains(wish.lowercased) else {
          throw requirement.unsupported("the rule requires the feature \(wish.quoted)")
        }
      default:
        throw requirement.unsupported("the rule requires \(requirement.quoted)")
      }
    }
  }

  /// Alternatives between `|`, each of comparisons that must all hold.
  private static func isMet(_ wish: RuleSlice) throws(RuleSyntaxError) -> Bool {
    var isMet = false
    for alternative in wish.separated(by: UInt8(ascii: "|")) {
      var rest = alternative
      guard !rest.isEmpty else { throw rest.expected("a comparison such as '>= 7.0.3'") }
      var holds = true
      while !rest.isEmpty {
        if try !holdsNext(&rest) { holds = false }
        rest = rest.trimmed
      }
      if holds { isMet = true }
    }
    return isMet
  }

  private static func holdsNext(_ rest: inout RuleSlice) throws(RuleSyntaxError) -> Bool {
    let start = rest
    let isAtLeast = rest.skip(">=")
    let isAtMost = !isAtLeast && rest.skip("<=")
    let isAbove = !isAtLeast && !isAtMost && rest.skip(">")
    let isBelow = !isAtLeast && !isAtMost && !isAbove && rest.skip("<")
    guard isAtLeast || isAtMost || isAbove || isBelow else { throw start.expected("one of >= > <= <") }
    let (text, following) = rest.firstWord
    rest = following
    var wished: [Int] = []
    for part in text.separated(by: UInt8(ascii: ".")) { wished.append(try part.number(in: NumberText.short)) }
    guard wished.count <= version.count else { throw text.expected("a version such as 7.0.3") }
    wished += Array(repeating: 0, count: version.count - wished.count)
    if wished == version { return isAtLeast || isAtMost }
    return version.lexicographicallyPrecedes(wished) ? isAtMost || isBelow : isAtLeast || isAbove
  }
}
