/// What reading rules gave: those that load, and why the others do not.
public struct RuleReport: Sendable {
  /// The rules that load, in the order of their files.
  public private(set) var rules: [Rule] = []
  /// Those that do not, likewise.
  public private(set) var problems: [RuleProblem] = []
  /// What loads but is worth a look, likewise: a class type that nobody defines, a rule that can never match.
  public private(set) var warnings: [RuleProblem] = []

  /// Where each signature stands in `rules`.
  private var indexes: [Signature: Int] = [:]

  private struct Signature: Hashable, Sendable {
    var gid: UInt32
    var sid: UInt32
  }

  public init() {}

  /// How many rules were read.
  public var total: Int { rules.count + problems.count }
  /// How many of the problems are keywords or protocols beyond this version.
  public var unsupportedCount: Int { problems.count { $0.isUnsupported } }

  /// Adds a rule. Of two with the same gid and sid the one with the higher `rev` stays, the first one among equals; the
  /// other becomes a problem, as in Suricata.
  public mutating func add(_ rule: Rule) {
    let signature = Signature(gid: rule.gid, sid: rule.sid)
    guard let index = indexes[signature] else {
      indexes[signature] = rules.count
      rules.append(rule)
      return
    }
    let earlier = rules[index]
    if rule.rev > earlier.rev {
      rules[index] = rule
      problems.append(duplicate(earlier, of: rule))
    } else {
      problems.append(duplicate(rule, of: earlier))
    }
  }

  public mutating func add(_ problem: RuleProblem) { problems.append(problem) }

  /// Adds a remark on a rule that loads.
  public mutating func add(warning: RuleProblem) { warnings.append(warning) }

  /// Adds what another file gave; duplicates between the files are resolved as within one.
  public mutating func merge(_ other: RuleReport) {
    problems += other.problems
    warnings += other.warnings
    for rule in other.rules { add(rule) }
  }

  /// Takes rules out that could be read but not compiled (``DetectionProgram/problems``).
  public mutating func refuse(_ problems: [RuleProblem]) {
    guard !problems.isEmpty else { return }
    let refused = Set(problems.map(\.sid))
    rules.removeAll { refused.contains($0.sid) }
    indexes.removeAll()
    for (index, rule) in rules.enumerated() { indexes[Signature(gid: rule.gid, sid: rule.sid)] = index }
    self.problems += problems
  }

  /// Changes the rules that load, for a threshold file.
  mutating func updateRules(_ change: (inout Rule) -> Void) {
    for index in rules.indices { change(&rules[index]) }
  }

  private func duplicate(_ loser: Rule, of winner: Rule) -> RuleProblem {
    let place = "\(winner.location.file):\(winner.location.line)"
    return RuleProblem(
      location: loser.location, sid: loser.sid,
      reason: winner.rev > loser.rev
        ? "duplicate signature: rev \(loser.rev) gives way to rev \(winner.rev) at \(place)"
        : "duplicate signature: the same sid and rev stand at \(place)",
      isUnsupported: false)
  }
}

/// Why a rule does not load.
public struct RuleProblem: Error, Sendable {
  /// Of the text that is wrong.
  public var location: RuleLocation
  /// 0 when the rule has none that can be read.
  public var sid: UInt32
  /// What was found and what was expected, in one line.
  public var reason: String
  /// Whether the rule uses something that this version does not know, as opposed to being wrong.
  public var isUnsupported: Bool

  public init(location: RuleLocation, sid: UInt32, reason: String, isUnsupported: Bool) {
    self.location = location
    self.sid = sid
    self.reason = reason
    self.isUnsupported = isUnsupported
  }
}

extension RuleProblem: CustomStringConvertible {
  /// `FILE:LINE:COLUMN: reason (sid N)`.
  public var description: String {
    let place = "\(location.file):\(location.line):\(location.column): \(reason)"
    return sid == 0 ? place : "\(place) (sid \(sid))"
  }
}
