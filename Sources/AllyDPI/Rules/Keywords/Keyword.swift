/// One keyword of the rule language: its name, what stands behind its colon, and how that is read.
///
/// A new keyword is one more entry in the table of its family.
struct Keyword: Sendable {
  /// What may stand behind the keyword.
  enum Value: Sendable {
    /// Nothing: `nocase;`.
    case none
    /// A value without quotes: `offset:5;`.
    case plain
    /// A value without quotes, or nothing: `fast_pattern;`, `fast_pattern:only;`.
    case optional
    /// A value in quotes: `msg:"text";`.
    case quoted
    /// A value in quotes, with or without a `!` in front: `content:!"text";`.
    case quotedNegatable
    /// With or without quotes.
    case any
  }

  typealias Parse = @Sendable (inout RuleBuilder, RuleOptionText) throws(RuleSyntaxError) -> Void

  let name: String
  let value: Value
  /// Whether a rule may have it only once.
  let isUnique: Bool
  let parse: Parse

  init(_ name: String, _ value: Value, isUnique: Bool = false, _ parse: @escaping Parse) {
    self.name = name
    self.value = value
    self.isUnique = isUnique
    self.parse = parse
  }

  /// Whether the option has the kind of value that the keyword takes.
  func check(_ option: RuleOptionText) throws(RuleSyntaxError) {
    switch value {
    case .none:
      guard !option.hasValue else { throw option.value.expected("no value for '\(name)'") }
      return
    case .optional where !option.hasValue:
      return
    default:
      guard option.hasValue else { throw option.keyword.error("expected a value behind '\(name)'") }
    }
    guard !option.value.isEmpty else {
      throw option.value.error("expected a value behind '\(name)', found an empty one")
    }
    switch value {
    case .none, .any: break
    case .plain, .optional:
      guard !option.isQuoted else { throw option.value.error("expected the value of '\(name)' without quotes") }
    case .quoted, .quotedNegatable:
      guard option.isQuoted else { throw option.value.expected("the value of '\(name)' in quotes") }
    }
    if value != .quotedNegatable, value != .any, option.isNegated {
      throw option.value.error("expected no '!' in front of the value of '\(name)'")
    }
    if !option.modifiers.isEmpty, !takesModifiers {
      throw option.modifiers[0].expected("';' behind the value of '\(name)'")
    }
  }

  /// Snort 3 writes the modifiers of a content behind it.
  private var takesModifiers: Bool { name == "content" || name == "uricontent" }
}

/// All keywords.
enum KeywordTable {
  static func keyword(_ name: String) -> Keyword? { keywords[name] }

  private static let keywords: [String: Keyword] = {
    let families = [
      BookkeepingKeywords.table, RequirementKeywords.table, ContentKeywords.table, PatternKeywords.table,
      ByteKeywords.table,
      BufferKeywords.table, ModifierKeywords.table, TransformKeywords.table, Base64Keywords.table,
      DataSetKeywords.table, FileKeywords.table, StreamKeywords.table, ApplicationKeywords.table, NumberKeywords.table,
      TLSKeywords.table, DCERPCKeywords.table, ProtocolKeywords.table, IndustrialKeywords.table, IPKeywords.table,
      TransportKeywords.table, FlowKeywords.table, StateKeywords.table,
      ThresholdKeywords.table, EventKeywords.table,
    ]
    return Dictionary(uniqueKeysWithValues: families.joined().map { ($0.name, $0) })
  }()
}
