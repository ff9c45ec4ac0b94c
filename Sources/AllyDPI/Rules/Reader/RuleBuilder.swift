/// A rule while its options are read one after the other. The keywords' parse functions work on this.
struct RuleBuilder {
  private(set) var rule: Rule
  let text: RuleText
  let header: RuleHeader
  let classifications: Classifications
  let support: EngineSupport
  let dialect: RuleDialect

  /// What options look at: the last sticky buffer.
  private(set) var view: BufferView = .payload
  /// Where the sticky buffer in force stands; nil while options look at the payload.
  private var sticky: RuleSlice?
  /// Whether a transform may stand here: behind a sticky buffer, in front of the first option that looks at it.
  private var takesTransforms = false
  private static let mostTransforms = 16
  /// Each sticky buffer and where it was asked for.
  private var idle: [(view: BufferView, place: RuleSlice)] = []
  /// The option that first said which side or protocol the rule is about.
  private var sidePlace: RuleSlice?
  /// Where each keyword stood that may stand only once.
  private var seen: [String: RuleSlice] = [:]
  /// Where the options of `rule.options` stand, one for each.
  private var places: [RuleSlice] = []
  private var hasPriority = false
  private var warnings: [RuleSyntaxError] = []

  init(
    header: RuleHeader, text: RuleText, classifications: Classifications, support: EngineSupport,
    dialect: RuleDialect
  ) {
    self.header = header
    self.text = text
    self.classifications = classifications
    self.support = support
    self.dialect = dialect
    rule = Rule(
      location: header.protocolText.text.location(at: text.all.trimmed.range.lowerBound), action: header.action,
      ruleProtocol: header.ruleProtocol, source: header.source, sourcePorts: header.sourcePorts,
      direction: header.direction, destination: header.destination, destinationPorts: header.destinationPorts)
    rule.text = text.all.trimmed.string
    rule.applicationProtocols = header.applicationProtocols
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
    if option.view != nil { takesTransforms = false }
  }

  // MARK: - Protocol and side

  /// Only flows of these protocols can match from here on.
  mutating func restrict(to protocols: ApplicationProtocolSet, at place: RuleSlice) throws(RuleSyntaxError) {
    guard let known = rule.applicationProtocols else {
      rule.applicationProtocols = protocols
      return
    }
    let both = known.intersection(protocols)
    guard !both.isEmpty else {
      throw place.error(
        "'\(place.string)' is of \(protocols.names), and the rule is about \(known.names) already")
    }
    rule.applicationProtocols = both
  }

  /// Snort's `service`: widens rather than narrows what the header says.
  mutating func setServices(_ services: ApplicationProtocolSet) {
    rule.servicesReplacePorts = true
    rule.applicationProtocols = services.union(header.applicationProtocols ?? [])
  }

  /// Only messages that have the buffer can match.
  mutating func restrict(toBuffer buffer: InspectionBuffer, at place: RuleSlice) throws(RuleSyntaxError) {
    if let protocols = buffer.protocols { try restrict(to: protocols, at: place) }
    if let side = buffer.side { try restrict(to: side, at: place) }
  }

  /// Only this side's messages can match.
  mutating func restrict(to side: FlowMatch.Side, at place: RuleSlice) throws(RuleSyntaxError) {
    if let known = rule.side, known != side {
      throw place.error(
        "'\(place.string)' is of messages \(side == .toServer ? "to the server" : "to the client"), and "
          + "'\(sidePlace?.string ?? "flow")' of the others")
    }
    if rule.side == nil { sidePlace = place }
    rule.side = side
  }

  /// Lets the options that follow look at a sticky buffer.
  mutating func select(_ view: BufferView, at place: RuleSlice) throws(RuleSyntaxError) {
    if self.view.buffer == .base64Data, view.buffer != .payload {
      throw place.error("expected 'pkt_data' behind 'base64_data' before any other buffer")
    }
    try restrict(toBuffer: view.buffer, at: place)
    var view = view
    if view.buffer.isRepeated, view.buffer.protocols != .files {
      view.instance = idle.count { $0.view.buffer == view.buffer }
    }
    self.view = view
    takesTransforms = view.buffer != .payload
    sticky = view.buffer == .payload ? nil : place
    if view.buffer != .payload { idle.append((view, place)) }
  }

  /// Adds a transform to the sticky buffer in force. Options in front of it look at the buffer as it was.
  mutating func add(_ transform: BufferTransform, at place: RuleSlice) throws(RuleSyntaxError) {
    guard hasSticky, takesTransforms || view.transforms.isEmpty else {
      throw place.error("expected a sticky buffer directly in front of '\(place.string)'")
    }
    guard view.transforms.count < Self.mostTransforms else {
      throw place.error("expected at most \(Self.mostTransforms) transforms of a buffer")
    }
    if takesTransforms { idle.removeLast() }
    takesTransforms = true
    view.transforms.append(transform)
    idle.append((view, place))
  }

  /// Moves the last content to another buffer: the older way to name a buffer.
  mutating func moveLastContent(to buffer: InspectionBuffer, for option: RuleOptionText) throws(RuleSyntaxError) {
    if sticky != nil {
      throw option.keyword.error("expected no sticky buffer in force; 'pkt_data' in front of the content ends it")
    }
    let last = rule.options.lastIndex { option in
      if case .content(let content) = option { content.view == .payload } else { false }
    }
    guard let last, case .content(var content) = rule.options[last] else {
      throw option.keyword.error("expected a content in front of '\(option.name)'")
    }
    guard !content.isRaw else { throw option.keyword.error("expected no 'rawbytes' at a content of '\(option.name)'") }
    try restrict(toBuffer: buffer, at: option.keyword)
    content.view = BufferView(buffer)
    rule.options[last] = .content(content)
  }

  /// What an option looks at: one that counts from a match, without a sticky buffer, looks where the match is.
  func view(isRelative: Bool) -> BufferView {
    guard isRelative, !hasSticky, let last = rule.options.last(where: { $0.view != nil })?.view else { return view }
    return last
  }

  /// Whether a sticky buffer is in force.
  var hasSticky: Bool { sticky != nil }

  /// Changes the last content that a modifier can be about: of the sticky buffer in force, else of the whole rule.
  mutating func modifyLastContent(
    for option: RuleOptionText, _ change: (inout ContentMatch) throws(RuleSyntaxError) -> Void
  ) throws(RuleSyntaxError) {
    for index in rule.options.indices.reversed() {
      guard case .content(var content) = rule.options[index], sticky == nil || content.view == view else { continue }
      try change(&content)
      rule.options[index] = .content(content)
      return
    }
    throw option.keyword.error("expected a content in front of '\(option.name)'")
  }

  /// `isdataat:!1,relative` behind a content is another way to write `endswith`, and means the same when the content is negated.
  ///
  /// - Returns: whether there is a content right in front, which now ends its buffer.
  mutating func endsLastOption(in view: BufferView) -> Bool {
    guard let last = rule.options.lastIndex(where: { $0.view == view }),
      case .content(var content) = rule.options[last]
    else { return false }
    content.endsWith = true
    rule.options[last] = .content(content)
    return true
  }

  /// Whether there is a content or pattern in front: a relative pattern asks for one, in the same buffer unless a sticky
  /// one is in force.
  func hasMatch(in view: BufferView) -> Bool {
    rule.options.contains { option in
      switch option {
      case .content, .pcre: hasSticky || option.view == view
      default: false
      }
    }
  }

  /// The content in front of the last one, in the same buffer.
  var contentBeforeLast: ContentMatch? {
    var last: ContentMatch?
    for option in rule.options.reversed() {
      guard case .content(let content) = option, sticky == nil || content.view == view else { continue }
      guard let last else {
        last = content
        continue
      }
      if content.view == last.view { return content }
    }
    return nil
  }

  /// Whether a content of the payload already has `fast_pattern`. Suricata takes several in other buffers, and the first
  /// is the one that counts.
  var hasFastPattern: Bool {
    rule.options.contains { option in
      if case .content(let content) = option, content.view == .payload { content.fastPattern != nil } else { false }
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
    for (view, place) in idle where !rule.options.contains(where: { $0.view == view }) {
      throw place.error("expected a content, pcre or bsize behind the buffer '\(place.string)'")
    }
    guard has("sid") else {
      throw RuleSyntaxError(offset: text.all.trimmed.range.lowerBound, reason: "expected a sid, the rule has none")
    }
    for (index, option) in rule.options.enumerated() {
      if case .content(let content) = option, content.view.transforms.isEmpty {
        rule.options[index] = .content(content.buffer.normalized(content))
      }
    }
    let check = RuleCheck(rule: rule, places: places, header: header, dialect: dialect)
    try check.run()
    try support.check(rule, places: places, header: header)
  }

  func reportWarnings(to report: inout RuleReport) {
    for warning in warnings {
      report.add(
        warning: RuleProblem(
          location: text.location(at: warning.offset), sid: rule.sid, reason: warning.reason, isUnsupported: false))
    }
  }
}
