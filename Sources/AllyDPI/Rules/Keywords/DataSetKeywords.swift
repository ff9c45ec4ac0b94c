/// Values and addresses that are looked up in sets.
enum DataSetKeywords {
  static let table: [Keyword] = [
    Keyword("dataset", .plain, dataSet),
    Keyword("datarep", .plain, dataReputation),
    Keyword("iprep", .plain, addressReputation),
  ]

  /// `isset|isnotset|set|unset, NAME[, type T][, load FILE][, save FILE][, state FILE][, memcap N][, hashsize N]`.
  @Sendable
  private static func dataSet(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let parts = option.value.separated()
    guard parts.count >= 2 else { throw option.value.expected("an action and the name of a set") }
    guard let action = DataSetMatch.Action(rawValue: parts[0].string) else {
      throw parts[0].expected("isset, isnotset, set or unset")
    }
    try checkSticky(builder, option)
    let fields = try Fields(parts[2...], takesFiles: ["load", "save", "state"])
    var match = DataSetMatch(
      view: builder.view, action: action, name: try name(parts[1]), kind: fields.kind)
    if let state = fields.files["state"] {
      guard fields.files["load"] == nil, fields.files["save"] == nil else {
        throw option.value.error("expected either 'state', or 'load' and 'save'")
      }
      match.load = state
      match.save = state
    } else {
      match.load = fields.files["load"]
      match.save = fields.files["save"]
    }
    match.memoryCap = fields.memoryCap
    match.hashSize = fields.hashSize
    builder.append(.dataset(match), at: option.keyword)
  }

  /// `NAME, OPERATOR, VALUE[, type T][, load FILE][, memcap N][, hashsize N]`.
  @Sendable
  private static func dataReputation(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let parts = option.value.separated()
    guard parts.count >= 3 else { throw option.value.expected("the name of a set, an operator and a reputation") }
    try checkSticky(builder, option)
    let reputation = try comparison(parts[1], UInt32(try parts[2].number(in: NumberText.short)))
    let fields = try Fields(parts[3...], takesFiles: ["load"])
    guard let kind = fields.kind else { throw option.value.error("expected 'type' and one of \(kinds)") }
    builder.append(
      .dataReputation(
        DataReputationMatch(
          view: builder.view, name: try name(parts[0]), kind: kind, reputation: reputation, load: fields.files["load"],
          memoryCap: fields.memoryCap, hashSize: fields.hashSize)), at: option.keyword)
  }

  /// `any|src|dst|both, CATEGORY, isset|isnotset`, or `…, OPERATOR, VALUE`.
  @Sendable
  private static func addressReputation(
    _ builder: inout RuleBuilder, _ option: RuleOptionText
  ) throws(RuleSyntaxError) {
    let parts = option.value.separated()
    guard (3...4).contains(parts.count), let side = IPReputationMatch.Side(rawValue: parts[0].string) else {
      throw option.value.expected(
        "any, src, dst or both, a category, and 'isset', 'isnotset' or an operator and a reputation")
    }
    let condition: IPReputationMatch.Condition
    if parts.count == 4 {
      condition = .score(try score(parts[2], UInt32(try parts[3].number(in: NumberText.byte))))
    } else {
      switch parts[2].string {
      case "isset": condition = .isSet
      case "isnotset": condition = .isNotSet
      default: throw parts[2].expected("'isset', 'isnotset', or an operator and a reputation")
      }
    }
    builder.append(
      .ipReputation(IPReputationMatch(side: side, category: parts[1].string, condition: condition)), at: option.keyword)
  }

  private static func score(_ text: RuleSlice, _ number: UInt32) throws(RuleSyntaxError) -> NumberMatch {
    return switch text.string {
    case "<": .less(number)
    case ">": .greater(number)
    case "=", "==": .equal(number)
    case "!=": .notEqual(number)
    case "<=": .lessOrEqual(number)
    case ">=": .greaterOrEqual(number)
    default: throw text.expected("one of < <= = != >= >")
    }
  }

  private static func checkSticky(_ builder: RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    guard builder.hasSticky else {
      throw option.keyword.error("expected a sticky buffer in front of '\(option.name)'")
    }
  }

  private static func name(_ text: RuleSlice) throws(RuleSyntaxError) -> String {
    guard !text.isEmpty, text.range.count < 64, text.words.count == 1 else {
      throw text.expected("the name of a set: at most 63 bytes without white space")
    }
    return text.string
  }

  private static func comparison(_ text: RuleSlice, _ number: UInt32) throws(RuleSyntaxError) -> NumberMatch {
    return switch text.string {
    case "<": .less(number)
    case ">": .greater(number)
    case "==": .equal(number)
    default: throw text.expected("one of < == >")
    }
  }

  private static let kinds = DataSetMatch.Kind.allCases.map(\.rawValue).joined(separator: ", ")

  /// What follows in any order.
  private struct Fields {
    var kind: DataSetMatch.Kind?
    var files: [String: String] = [:]
    var memoryCap: UInt64?
    var hashSize: UInt32?

    init(_ parts: ArraySlice<RuleSlice>, takesFiles: [String]) throws(RuleSyntaxError) {
      for part in parts {
        let (word, value) = part.firstWord
        guard !value.isEmpty else { throw part.expected("a word and its value, such as 'type string'") }
        switch word.string {
        case "type":
          guard let known = DataSetMatch.Kind(rawValue: value.string) else {
            throw value.expected("one of \(DataSetKeywords.kinds)")
          }
          kind = known
        case let file where takesFiles.contains(file): files[file] = value.string
        case "memcap": memoryCap = try Fields.size(value)
        case "hashsize": hashSize = UInt32(try value.number(in: 1...Int(UInt32.max)))
        default: throw word.expected("type, \(takesFiles.joined(separator: ", ")), memcap or hashsize")
        }
      }
    }

    /// Bytes, with `kb`, `mb` or `gb` or without.
    private static func size(_ text: RuleSlice) throws(RuleSyntaxError) -> UInt64 {
      let end = text.range.first { !text.text.bytes[$0].isDigit } ?? text.range.upperBound
      let number = try text.slice(text.range.lowerBound..<end).number(in: NumberText.long)
      switch text.slice(end..<text.range.upperBound).lowercased {
      case "", "b": return UInt64(number)
      case "kb", "kib": return UInt64(number) << 10
      case "mb", "mib": return UInt64(number) << 20
      case "gb", "gib": return UInt64(number) << 30
      default: throw text.expected("a size such as 64mb")
      }
    }
  }
}
