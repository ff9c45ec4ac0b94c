/// A threshold file (`threshold.config`): what an operator says about the alerts of rules without touching the rules.
///
///     suppress gen_id 1, sig_id 2002087, track by_src, ip [10.0.0.0/8,!10.1.1.1]
///     threshold gen_id 1, sig_id 2002088, type limit, track by_src, count 1, seconds 60
///     rate_filter gen_id 1, sig_id 2002089, track by_src, count 5, seconds 10, new_action drop, timeout 60
///
/// A `sig_id` of 0 stands for every rule of the `gen_id`, and 0 for both for every rule.
public struct ThresholdFile: Sendable {
  /// One line.
  public struct Entry: Sendable {
    public enum Effect: Sendable {
      case suppress(Suppression)
      case threshold(Threshold)
      case rateFilter(RateFilter)
    }
    public var location: RuleLocation
    /// 0 for all.
    public var gid: UInt32
    /// 0 for all.
    public var sid: UInt32
    public var effect: Effect

    /// Whether the entry is about `rule`.
    func concerns(_ rule: Rule) -> Bool { (gid == 0 || gid == rule.gid) && (sid == 0 || sid == rule.sid) }
  }

  /// In the order of the file.
  public private(set) var entries: [Entry] = []
  /// What is wrong with the lines that were left out.
  public private(set) var problems: [RuleProblem] = []

  /// Reads a threshold file's bytes.
  ///
  /// - Parameters:
  ///   - text: the file's bytes.
  ///   - file: the name for locations.
  ///   - configuration: whose variables `ip` may use.
  public init(_ text: [UInt8], file: String, configuration: DPIConfiguration) {
    let addresses = AddressReader(variables: RuleVariables(configuration: configuration))
    var entries: [Entry] = []
    problems = ConfigurationLines.read(text, file: file) { line throws(RuleSyntaxError) in
      entries.append(try Self.entry(line, addresses))
    }
    self.entries = entries
  }

  /// Hands the entries to the rules that they are about. A rule's own `threshold` or `detection_filter` stands above a
  /// `threshold` here, an entry that names the rule above one for all, and the first of several above the others.
  public func apply(to report: inout RuleReport) {
    // Those that name their rule come first.
    let ordered = entries.filter { $0.sid != 0 } + entries.filter { $0.sid == 0 }
    report.updateRules { rule in
      for entry in ordered where entry.concerns(rule) {
        switch entry.effect {
        case .suppress(let suppression): rule.suppressions.append(suppression)
        case .threshold(let threshold): if rule.threshold == nil { rule.threshold = threshold }
        case .rateFilter(let filter): if rule.rateFilter == nil { rule.rateFilter = filter }
        }
      }
    }
  }

  private static func entry(_ line: RuleSlice, _ addresses: AddressReader) throws(RuleSyntaxError) -> Entry {
    let (kind, rest) = line.firstWord
    let fields = try ThresholdText(parts(of: rest))
    let gid = try fields.number("gen_id", line)
    let sid = try fields.number("sig_id", line)
    let effect: Entry.Effect
    switch kind.string {
    case "suppress": effect = .suppress(try suppression(fields, line, addresses))
    case "threshold", "event_filter":
      try fields.allow(["gen_id", "sig_id", "type", "track", "count", "seconds"])
      effect = .threshold(try fields.threshold(at: line))
    case "rate_filter": effect = .rateFilter(try rateFilter(fields, line))
    default: throw kind.expected("suppress, threshold, event_filter or rate_filter")
    }
    return Entry(location: line.location, gid: gid, sid: sid, effect: effect)
  }

  private static func suppression(
    _ fields: ThresholdText, _ line: RuleSlice, _ addresses: AddressReader
  ) throws(RuleSyntaxError) -> Suppression {
    try fields.allow(["gen_id", "sig_id", "track", "ip"])
    guard let track = fields.optional("track") else {
      if let ip = fields.optional("ip") { throw ip.error("expected 'track' beside 'ip'") }
      return Suppression(side: .everything, addresses: .any)
    }
    let side: Suppression.Side
    switch track.string {
    case "by_src": side = .source
    case "by_dst": side = .destination
    case "by_either": side = .either
    default: throw track.expected("by_src, by_dst or by_either")
    }
    return Suppression(side: side, addresses: try addresses.read(try fields.required("ip", line)))
  }

  private static func rateFilter(_ fields: ThresholdText, _ line: RuleSlice) throws(RuleSyntaxError) -> RateFilter {
    try fields.allow(["gen_id", "sig_id", "track", "count", "seconds", "new_action", "timeout"])
    let action = try fields.required("new_action", line)
    guard let newAction = RuleAction(rawValue: action.string) else {
      throw action.expected("an action (\(RuleAction.allCases.map(\.rawValue).joined(separator: ", ")))")
    }
    return RateFilter(
      track: try fields.track(line), count: try fields.number("count", line),
      seconds: try fields.number("seconds", line), newAction: newAction, timeout: try fields.number("timeout", line))
  }

  /// The parts between commas, but for those in brackets.
  private static func parts(of text: RuleSlice) -> [RuleSlice] {
    var parts: [RuleSlice] = []
    var depth = 0
    var start = text.range.lowerBound
    for index in text.range {
      switch text.text.bytes[index] {
      case UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "]"): depth -= 1
      case UInt8(ascii: ",") where depth == 0:
        parts.append(text.slice(start..<index).trimmed)
        start = index + 1
      default: break
      }
    }
    parts.append(text.slice(start..<text.range.upperBound).trimmed)
    return parts
  }
}
