/// `content` and its modifiers.
enum ContentKeywords {
  static let table: [Keyword] = [
    Keyword("content", .quotedNegatable, content),
    Keyword("nocase", .none, nocase),
    Keyword("rawbytes", .none, rawbytes),
    Keyword("offset", .plain, offset),
    Keyword("depth", .plain, depth),
    Keyword("distance", .plain, distance),
    Keyword("within", .plain, within),
    Keyword("startswith", .none, startsWith),
    Keyword("endswith", .none, endsWith),
    Keyword("fast_pattern", .optional, fastPattern),
    Keyword("prefilter", .none, prefilter),
  ]

  /// How far `distance` and `within` may reach, in bytes.
  private static let farthest = 1 << 20

  @Sendable
  static func content(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    var content = ContentMatch(
      bytes: try ContentText.bytes(of: option.value), location: option.keyword.location)
    content.isNegated = option.isNegated
    content.view = builder.view
    builder.append(.content(content), at: option.keyword)
    for modifier in option.modifiers { try apply(modifier, to: &builder) }
  }

  /// Snort 3's `content:"…",depth 5,nocase`.
  private static func apply(_ modifier: RuleSlice, to builder: inout RuleBuilder) throws(RuleSyntaxError) {
    let (word, value) = modifier.firstWord
    switch word.lowercased {
    case "fast_pattern_offset", "fast_pattern_length":
      try chop(word, value, of: &builder)
      return
    case let name where modifiers.contains(name):
      let option = RuleOptionText(name: name, keyword: word, value: value)
      guard let keyword = KeywordTable.keyword(name) else { return }
      try keyword.check(option)
      try keyword.parse(&builder, option)
    default: throw word.expected("a modifier of content")
    }
  }

  private static let modifiers: Set = [
    "nocase", "offset", "depth", "distance", "within", "startswith", "endswith", "fast_pattern", "rawbytes",
  ]

  private static func chop(
    _ keyword: RuleSlice, _ value: RuleSlice, of builder: inout RuleBuilder
  ) throws(RuleSyntaxError) {
    let option = RuleOptionText(name: keyword.lowercased, keyword: keyword, value: value)
    try builder.modifyLastContent(for: option) { content throws(RuleSyntaxError) in
      let length = content.bytes.count
      var chop = content.fastPattern?.chop ?? 0..<length
      if option.name == "fast_pattern_offset" {
        let offset = try value.number(in: 0...max(0, length - 1))
        chop = offset..<max(offset + 1, chop.upperBound)
      } else {
        let count = try value.number(in: 1...max(1, length - chop.lowerBound))
        chop = chop.lowerBound..<chop.lowerBound + count
      }
      content.fastPattern = ContentMatch.FastPattern(chop: chop)
    }
  }

  @Sendable
  private static func nocase(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    try builder.modifyLastContent(for: option) { content throws(RuleSyntaxError) in
      guard !content.isCaseless else { throw option.again }
      content.isCaseless = true
    }
  }

  @Sendable
  private static func rawbytes(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    try builder.modifyLastContent(for: option) { content throws(RuleSyntaxError) in
      guard content.buffer == .payload else {
        throw option.keyword.error("expected 'rawbytes' only for the payload, which no sticky buffer is")
      }
      guard !content.isRaw else { throw option.again }
      content.isRaw = true
    }
  }

  @Sendable
  private static func offset(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let value = try builder.value(option.value, in: 0...Int(UInt16.max))
    try builder.modifyLastContent(for: option) { content throws(RuleSyntaxError) in
      if content.startsWith { throw option.keyword.error("expected no offset for a content with startswith") }
      guard content.offset == nil else { throw option.again }
      try checkAbsolute(content, option)
      content.offset = value
    }
  }

  @Sendable
  private static func depth(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let value = try builder.value(option.value, in: 0...Int(UInt16.max))
    try builder.modifyLastContent(for: option) { content throws(RuleSyntaxError) in
      guard content.depth == nil else { throw option.again }
      try checkAbsolute(content, option)
      try checkRoom(value, content, option)
      content.depth = value
    }
  }

  @Sendable
  private static func distance(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let value = try builder.value(option.value, in: -farthest...farthest)
    let before = builder.contentBeforeLast
    try builder.modifyLastContent(for: option) { content throws(RuleSyntaxError) in
      guard content.distance == nil else { throw option.again }
      try checkRelative(content, after: before, option)
      content.distance = value
    }
  }

  @Sendable
  private static func within(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let value = try builder.value(option.value, in: -farthest...farthest)
    let before = builder.contentBeforeLast
    try builder.modifyLastContent(for: option) { content throws(RuleSyntaxError) in
      guard content.within == nil else { throw option.again }
      try checkRelative(content, after: before, option)
      try checkRoom(value, content, option)
      content.within = value
    }
  }

  @Sendable
  private static func startsWith(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    try builder.modifyLastContent(for: option) { content throws(RuleSyntaxError) in
      guard content.depth == nil, !content.startsWith else {
        throw option.keyword.error("expected only one of depth and startswith for a content")
      }
      guard content.offset == nil else {
        throw option.keyword.error("expected no offset for a content with startswith")
      }
      try checkAbsolute(content, option)
      content.startsWith = true
      content.offset = 0
      content.depth = .constant(content.bytes.count)
    }
  }

  @Sendable
  private static func endsWith(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    try builder.modifyLastContent(for: option) { content throws(RuleSyntaxError) in
      content.endsWith = true
    }
  }

  @Sendable
  private static func fastPattern(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let isElsewhere = builder.hasFastPattern
    try builder.modifyLastContent(for: option) { content throws(RuleSyntaxError) in
      guard content.fastPattern == nil else { throw option.again }
      guard !isElsewhere else { throw option.keyword.error("expected fast_pattern at only one content of a rule") }
      let pattern = try fastPattern(option, content)
      let isPlaced = content.isRelative || content.offset != nil || content.depth != nil
      if content.isNegated && isPlaced {
        throw option.keyword.error("expected no fast_pattern at a negated content that says where to look")
      }
      if pattern.only && (content.isNegated || isPlaced) {
        throw option.value.error("expected 'only' at a content that is not negated and may stand anywhere")
      }
      content.fastPattern = pattern
    }
  }

  private static func fastPattern(
    _ option: RuleOptionText, _ content: ContentMatch
  ) throws(RuleSyntaxError) -> ContentMatch.FastPattern {
    guard option.hasValue else { return ContentMatch.FastPattern() }
    if option.value.string == "only" { return ContentMatch.FastPattern(only: true) }
    let numbers = option.value.separated()
    guard numbers.count == 2 else { throw option.value.expected("'only', or an offset and a length") }
    let offset = try numbers[0].number(in: 0...Int(UInt16.max))
    let length = try numbers[1].number(in: 1...Int(UInt16.max))
    guard offset + length <= content.bytes.count else {
      throw option.value.error("expected a part of the content, which has \(content.bytes.count) bytes")
    }
    return ContentMatch.FastPattern(chop: offset..<offset + length)
  }

  /// Suricata's hint for its own search: for a content it means `fast_pattern`; for `flow` and options about a packet's
  /// header it changes nothing about what matches.
  @Sendable
  private static func prefilter(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    guard let last = builder.rule.options.last else {
      throw option.keyword.error("expected an option to match in front of 'prefilter'")
    }
    switch last {
    case .content:
      if !builder.hasFastPattern { try fastPattern(&builder, option) }
      return
    case .flow: return
    default: break
    }
    guard last.view == nil, last.needsPacket else {
      throw option.keyword.error("expected a content or an option about a header in front of 'prefilter'")
    }
  }

  // MARK: - Checks

  private static func checkAbsolute(_ content: ContentMatch, _ option: RuleOptionText) throws(RuleSyntaxError) {
    guard !content.isRelative else { throw mixed(option) }
    try checkFastPattern(content, option)
  }

  private static func checkRelative(
    _ content: ContentMatch, after before: ContentMatch?, _ option: RuleOptionText
  ) throws(RuleSyntaxError) {
    guard content.offset == nil, content.depth == nil else { throw mixed(option) }
    try checkFastPattern(content, option)
    if before?.fastPattern?.only == true {
      throw option.keyword.error("the content in front has fast_pattern:only, which leaves nothing to be relative to")
    }
  }

  private static func mixed(_ option: RuleOptionText) -> RuleSyntaxError {
    option.keyword.error("expected either offset, depth and startswith, or distance and within, for a content")
  }

  private static func checkFastPattern(_ content: ContentMatch, _ option: RuleOptionText) throws(RuleSyntaxError) {
    guard let pattern = content.fastPattern else { return }
    if pattern.only { throw option.keyword.error("expected no '\(option.name)' at a content with fast_pattern:only") }
    if content.isNegated {
      throw option.keyword.error("expected no '\(option.name)' at a negated content with fast_pattern")
    }
  }

  /// `depth` and `within` must leave room for the content.
  private static func checkRoom(
    _ value: RuleValue, _ content: ContentMatch, _ option: RuleOptionText
  ) throws(RuleSyntaxError) {
    if let number = value.constant, number < content.bytes.count {
      throw option.value.error(
        "\(option.name) \(number) is less than the \(content.bytes.count) bytes of the content: this never matches")
    }
  }
}

extension RuleOptionText {
  /// An option that is put together by the reader itself.
  init(name: String, keyword: RuleSlice, value: RuleSlice) {
    self.name = name
    self.keyword = keyword
    hasValue = !value.isEmpty
    self.value = value
    isQuoted = false
    isNegated = false
    modifiers = []
  }

  var again: RuleSyntaxError { keyword.error("expected '\(name)' only once for a content") }
}
