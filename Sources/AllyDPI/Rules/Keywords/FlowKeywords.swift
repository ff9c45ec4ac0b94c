/// `flow`.
enum FlowKeywords {
  static let table: [Keyword] = [Keyword("flow", .plain, isUnique: true, flow)]

  @Sendable
  private static func flow(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    var match = FlowMatch()
    for word in option.value.separated() {
      switch word.lowercased {
      case "established": try set(&match.state, .established, word)
      case "not_established": try set(&match.state, .notEstablished, word)
      case "stateless": try set(&match.state, .stateless, word)
      case "to_server", "from_client": try set(&match.side, .toServer, word)
      case "to_client", "from_server": try set(&match.side, .toClient, word)
      case "only_stream": try set(&match.onlyStream, unless: match.noStream, word)
      case "no_stream": try set(&match.noStream, unless: match.onlyStream, word)
      case "only_frag": try set(&match.onlyFragments, unless: match.noFragments, word)
      case "no_frag": try set(&match.noFragments, unless: match.onlyFragments, word)
      default:
        throw word.expected(
          "established, not_established, stateless, to_server, from_client, to_client, from_server, "
            + "only_stream, no_stream, only_frag or no_frag")
      }
    }
    if let side = match.side { try builder.restrict(to: side, at: option.keyword) }
    builder.append(.flow(match), at: option.keyword)
  }

  private static func set<Value>(_ field: inout Value?, _ value: Value, _ word: RuleSlice) throws(RuleSyntaxError) {
    guard field == nil else { throw word.error("\(word.quoted) says again, or against, what was said in front of it") }
    field = value
  }

  private static func set(_ field: inout Bool, unless other: Bool, _ word: RuleSlice) throws(RuleSyntaxError) {
    guard !field, !other else {
      throw word.error("\(word.quoted) says again, or against, what was said in front of it")
    }
    field = true
  }
}
