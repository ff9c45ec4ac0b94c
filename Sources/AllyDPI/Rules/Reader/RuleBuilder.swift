/// A rule while its options are read one after the other. The keywords' parse functions work on this.
struct RuleBuilder {
  private(set) var rule: Rule
  let text: RuleText
  let header: RuleHeader
  let classifications: Classifications

  /// The buffer that options look at: the last sticky buffer's.
  private(set) var buffer: InspectionBuffer = .payload
  /// Where each sticky buffer was first asked for.
  private var bufferPlaces: [InspectionBuffer: RuleSlice] = [:]
  /// Where each keyword stood that may stand only once.
  private var seen: [String: RuleSlice] = [:]
  /// Where the options of `rule.options` stand, one for each.
  private var places: [RuleSlice] = []
  private var hasPriority = false
  private var warnings: [RuleSyntaxError] = []

  init(header: RuleHeader, text: RuleText, classifications: Classifications) {
    self.header = header
    self.text = text
    self.classifications = classifications
    rule = Rule(
      location: header.protocolText.text.location(at: text.all.trimmed.range.lowerBound), action: header.action,
      ruleProtocol: header.ruleProtocol, source: header.source, sourcePorts: header.sourcePorts,
      direction: header.direction, destination: header.destination, destinationPorts: header.destinationPorts)
    rule.text = text.all.trimmed.string
  }

  /// Looks the option's keyword up and lets it parse.
  mutating func apply(_ option: RuleOptionText) throws(RuleSyntaxError) {
    guard let keyword = KeywordTable.keyword(option.name) else {
      throw option.keyword.unsupported("the keyword '\(option.name)' is not supported")
    }
    try keyword.check(option)
    if keyword.isUnique { try once(option) }
    try keyword.parse(&self, option)
  }

  /// Complains about a second one.
  mutating func once(_ option: RuleOptionText) throws(RuleSyntaxError) {
    guard seen.updateValue(option.keyword, forKey: option.name) == nil else {
      throw option.keyword.error("expected '\(option.name)' only once in a rule")
    }
  }

  func has(_ keyword: String) -> Bool { seen[keyword] != nil }

  /// Changes the rule's own fields.
  mutating func update(_ change: (inout Rule) -> Void) { change(&rule) }

  /// `priority` stands above what the class type says, wherever it stands.
  mutating func setPriority(_ priority: UInt32) {
    rule.priority = priority
    hasPriority = true
  }

  mutating func setClasstype(_ name: RuleSlice) {
    rule.classtype = name.string
    guard let entry = classifications[name.string] else {
      warnings.append(name.error("the class type \(name.quoted) is not defined; priority 3 is taken"))
      return
    }
    rule.category = entry.description
    if !hasPriority { rule.priority = entry.priority }
  }

  // MARK: - Options

  mutating func append(_ option: RuleOption, at place: RuleSlice) {
    rule.options.append(option)
    places.append(place)
  }

  /// Lets the options that follow look at `buffer`.
  mutating func select(_ buffer: InspectionBuffer, at place: RuleSlice) {
    self.buffer = buffer
    if buffer != .payload && bufferPlaces[buffer] == nil { bufferPlaces[buffer] = place }
  }

  /// Changes the last content of the current buffer: that is what a modifier is about.
  mutating func modifyLastContent(
    for option: RuleOptionText, _ change: (inout ContentMatch) throws(RuleSyntaxError) -> Void
  ) throws(RuleSyntaxError) {
    for index in rule.options.indices.reversed() {
      guard case .content(var content) = rule.options[index], content.buffer == buffer else { continue }
      try change(&content)
      rule.options[index] = .content(content)
      return
    }
    throw option.keyword.error("expected a content in front of '\(option.name)'")
  }

  /// Whether there is a content or pattern in front, of whatever buffer: a relative pattern asks for one.
  var hasMatch: Bool {
    rule.options.contains { option in
      switch option {
      case .content, .pcre: true
      default: false
      }
    }
  }

  /// The content in front of the last one, in the current buffer.
  var contentBeforeLast: ContentMatch? {
    var isLast = true
    for option in rule.options.reversed() {
      guard case .content(let content) = option, content.buffer == buffer else { continue }
      if !isLast { return content }
      isLast = false
    }
    return nil
  }

  /// Whether some content already has `fast_pattern`.
  var hasFastPattern: Bool {
    rule.options.contains { option in
      if case .content(let content) = option { content.fastPattern != nil } else { false }
    }
  }

  // MARK: - Variables

  /// A number, or the name of a variable that an option in front of this one defines.
  func value(_ text: RuleSlice, in limits: ClosedRange<Int>) throws(RuleSyntaxError) -> RuleValue {
    if let variable = rule.byteVariables.firstIndex(of: text.string) { return .variable(variable) }
    if let first = text.first, !first.isDigit, first != UInt8(ascii: "-"), first != UInt8(ascii: "+") {
      throw text.error("no byte_extract or byte_math in front of this defines \(text.quoted)")
    }
    return .constant(try text.anyNumber(in: limits))
  }

  /// Makes a variable, or finds the one of this name, which then changes its value.
  mutating func define(_ name: RuleSlice) throws(RuleSyntaxError) -> Int {
    guard !name.isEmpty, name.bytes.allSatisfy({ !$0.isSpace }) else { throw name.expected("a name for the variable") }
    if let known = rule.byteVariables.firstIndex(of: name.string) { return known }
    rule.byteVariables.append(name.string)
    return rule.byteVariables.count - 1
  }

  // MARK: - The end

  /// What can only be checked when all options are read.
  mutating func finish() throws(RuleSyntaxError) {
    for (buffer, place) in bufferPlaces where !rule.options.contains(where: { $0.buffer == buffer }) {
      throw place.error("expected a content, pcre or bsize behind the buffer '\(place.string)'")
    }
    guard has("sid") else {
      throw RuleSyntaxError(offset: text.all.trimmed.range.lowerBound, reason: "expected a sid, the rule has none")
    }
    let check = RuleCheck(rule: rule, places: places, header: header)
    try check.run()
  }

  func reportWarnings(to report: inout RuleReport) {
    for warning in warnings {
      report.add(
        warning: RuleProblem(
          location: text.location(at: warning.offset), sid: rule.sid, reason: warning.reason, isUnsupported: false))
    }
  }
}
