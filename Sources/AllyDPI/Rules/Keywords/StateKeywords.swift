/// Bits that rules leave for each other.
enum StateKeywords {
  static let table: [Keyword] = [
    Keyword("flowbits", .plain, flowbits),
    Keyword("hostbits", .plain, hostbits),
    Keyword("xbits", .plain, xbits),
    variable("flowvar", .flow),
    variable("pktvar", .packet),
  ]

  /// `set,NAME`, `isset,NAME|NAME`, …, `noalert`.
  @Sendable
  private static func flowbits(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let parts = option.value.separated()
    if try isNoAlert(parts, &builder) { return }
    let bits = try bits(parts, track: .flow, option)
    guard parts.count == 2 else { throw parts[2].expected("only an action and a name") }
    builder.append(.flowbits(bits), at: option.keyword)
  }

  /// `set,NAME[,src|dst]`.
  @Sendable
  private static func hostbits(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let parts = option.value.separated()
    if try isNoAlert(parts, &builder) { return }
    var bits = try bits(parts, track: .sourceHost, option)
    if parts.count >= 3 {
      switch parts[2].string {
      case "src": bits.track = .sourceHost
      case "dst": bits.track = .destinationHost
      default: throw parts[2].expected("'src' or 'dst'")
      }
    }
    guard parts.count <= 3 else { throw parts[3].expected("only an action, a name and 'src' or 'dst'") }
    if bits.action == .set { bits.expiry = 300 }
    builder.append(.hostbits(bits), at: option.keyword)
  }

  /// `set,NAME,track ip_src|ip_dst|ip_pair[,expire SECONDS]`.
  @Sendable
  private static func xbits(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let parts = option.value.separated()
    var bits = try bits(parts, track: .sourceHost, option)
    guard parts.count >= 3 else { throw option.value.expected("'track ip_src', 'track ip_dst' or 'track ip_pair'") }
    switch parts[2].words.map(\.string) {
    case ["track", "ip_src"]: bits.track = .sourceHost
    case ["track", "ip_dst"]: bits.track = .destinationHost
    case ["track", "ip_pair"]: bits.track = .hostPair
    default: throw parts[2].expected("'track ip_src', 'track ip_dst' or 'track ip_pair'")
    }
    if bits.action == .set || bits.action == .toggle { bits.expiry = 30 }
    if parts.count >= 4 {
      let words = parts[3].words
      guard words.count == 2, words[0].string == "expire" else { throw parts[3].expected("'expire' and seconds") }
      let seconds = UInt32(try words[1].number(in: 1...Int(UInt32.max)))
      if bits.action == .set || bits.action == .toggle { bits.expiry = seconds }
    }
    guard parts.count <= 4 else { throw parts[4].expected("nothing behind 'expire'") }
    builder.append(.xbits(bits), at: option.keyword)
  }

  /// `NAME,"text"`: what a pattern captured under the name holds the text.
  private static func variable(_ keyword: String, _ scope: PatternMatch.Capture.Scope) -> Keyword {
    Keyword(keyword, .plain) { builder, option throws(RuleSyntaxError) in
      guard let comma = option.value.range.first(where: { option.value.text.bytes[$0] == UInt8(ascii: ",") }) else {
        throw option.value.expected("a name and a text, such as user,\"root\"")
      }
      let name = option.value.slice(option.value.range.lowerBound..<comma).trimmed
      var text = option.value.slice(comma + 1..<option.value.range.upperBound).trimmed
      if text.first == UInt8(ascii: "!") { throw text.unsupported("'\(keyword)' cannot be negated") }
      if text.range.count >= 2, text.first == UInt8(ascii: "\""), text.last == UInt8(ascii: "\"") {
        text = text.slice(text.range.lowerBound + 1..<text.range.upperBound - 1)
      }
      guard !name.isEmpty, name.words.count == 1 else { throw name.expected("a name without white space") }
      builder.append(
        .variable(VariableMatch(scope: scope, name: name.string, text: try ContentText.bytes(of: text))),
        at: option.keyword)
    }
  }

  private static func isNoAlert(_ parts: [RuleSlice], _ builder: inout RuleBuilder) throws(RuleSyntaxError) -> Bool {
    guard parts[0].string == "noalert" else { return false }
    guard parts.count == 1 else { throw parts[1].expected("nothing behind 'noalert'") }
    builder.update { $0.noAlert = true }
    return true
  }

  private static func bits(
    _ parts: [RuleSlice], track: StateBits.Track, _ option: RuleOptionText
  ) throws(RuleSyntaxError) -> StateBits {
    let action: StateBits.Action
    switch parts[0].string {
    case "set": action = .set
    case "unset": action = .unset
    case "toggle": action = .toggle
    case "isset": action = .isSet
    case "isnotset": action = .isNotSet
    default: throw parts[0].expected("set, unset, toggle, isset, isnotset or noalert")
    }
    guard parts.count >= 2, !parts[1].isEmpty else {
      throw option.value.error("expected a name behind \(parts[0].quoted)")
    }
    let names = parts[1].separated(by: UInt8(ascii: "|")).filter { !$0.isEmpty }
    guard let first = names.first else { throw parts[1].expected("a name") }
    for name in names where name.words.count > 1 { throw name.expected("a name without white space") }
    guard names.count == 1 || action.isCondition else {
      throw first.error("expected one name; only isset and isnotset take several")
    }
    return StateBits(action: action, names: names.map(\.string), track: track)
  }
}
