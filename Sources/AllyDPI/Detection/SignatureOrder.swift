/// The order in which rules are evaluated and their actions applied: by action, then so that those that set bits come before
/// those that ask for them, then by priority, then as in the files.
enum SignatureOrder {
  static func sorted(_ rules: [Rule], actionOrder: [RuleAction]) -> [Rule] {
    rules.enumerated()
      .map { (key: key(of: $0.element, position: $0.offset, actionOrder), rule: $0.element) }
      .sorted { $0.key < $1.key }
      .map(\.rule)
  }

  private struct Key: Comparable {
    /// By action, flow bits, flow integers, variables of flows and packets, bits of hosts, bits of pairs, priority, position.
    var ranks: InlineArray<9, Int>

    static func < (left: Key, right: Key) -> Bool {
      for index in left.ranks.indices where left.ranks[index] != right.ranks[index] {
        return left.ranks[index] < right.ranks[index]
      }
      return false
    }

    static func == (left: Key, right: Key) -> Bool {
      left.ranks.indices.allSatisfy { left.ranks[$0] == right.ranks[$0] }
    }
  }

  private static func key(of rule: Rule, position: Int, _ actionOrder: [RuleAction]) -> Key {
    Key(
      ranks: [
        rank(of: rule.action, in: actionOrder), bitRank(of: rule) { $0 == .flow }, integerRank(of: rule),
        variableRank(of: rule, .flow), variableRank(of: rule, .packet),
        bitRank(of: rule) { $0 == .sourceHost || $0 == .destinationHost }, bitRank(of: rule) { $0 == .hostPair },
        Int(rule.priority), position,
      ])
  }

  private static func rank(of action: RuleAction, in order: [RuleAction]) -> Int {
    let general: RuleAction =
      switch action {
      case .rejectsrc, .rejectdst, .rejectboth: .reject
      default: action
      }
    return order.firstIndex(of: general) ?? order.count
  }

  /// As with bits.
  private static func integerRank(of rule: Rule) -> Int {
    var changes = false
    var asks = false
    for case .flowInteger(let integer) in rule.options {
      if integer.operation.isCondition { asks = true } else { changes = true }
    }
    return changes ? (asks ? 1 : 0) : (asks ? 2 : 3)
  }

  /// As with bits.
  private static func variableRank(of rule: Rule, _ scope: PatternMatch.Capture.Scope) -> Int {
    var captures = false
    var asks = false
    for option in rule.options {
      switch option {
      case .pcre(let pattern): captures = captures || pattern.captureScopes.contains(scope)
      case .variable(let match): asks = asks || match.scope == scope
      default: continue
      }
    }
    return captures ? (asks ? 1 : 0) : (asks ? 2 : 3)
  }

  /// Set alone, set and asked for, asked for alone, neither.
  private static func bitRank(of rule: Rule, _ isTracked: (StateBits.Track) -> Bool) -> Int {
    var sets = false
    var asks = false
    for option in rule.options {
      switch option {
      case .flowbits(let bits), .hostbits(let bits), .xbits(let bits):
        guard isTracked(bits.track) else { continue }
        if bits.action.isCondition { asks = true } else { sets = true }
      default: continue
      }
    }
    return sets ? (asks ? 1 : 0) : (asks ? 2 : 3)
  }
}
