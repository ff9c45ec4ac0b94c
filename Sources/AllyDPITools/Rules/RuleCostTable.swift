internal import AllyDPI

/// What rules cost, as people and as programs read it.
enum RuleCostTable {
  /// The dearest rules, one a line.
  static func text(_ costs: [RuleCost], limit: Int) -> String {
    let total = max(1, costs.reduce(0) { $0 + $1.nanoseconds })
    var lines = ["share %  evaluations  matches  ns each  rule"]
    for cost in costs.prefix(limit) {
      let share = Double(cost.nanoseconds) * 100 / Double(total)
      lines.append(
        padded(decimal(share), 7) + padded("\(cost.evaluations * RuleCost.measuredShare)", 13)
          + padded("\(cost.matches * RuleCost.measuredShare)", 9)
          + padded("\(cost.nanoseconds / max(1, cost.evaluations))", 9)
          + "  [\(cost.gid):\(cost.sid):\(cost.rev)] \(cost.message)")
    }
    lines.append(
      "\(costs.count) rules were evaluated; numbers are estimates from one packet of \(RuleCost.measuredShare)")
    return lines.joined(separator: "\n")
  }

  /// One rule for `rules-top` of the control socket.
  static func object(_ cost: RuleCost) -> [String: Any] {
    [
      "gid": Int(cost.gid), "sid": Int(cost.sid), "rev": Int(cost.rev), "message": cost.message,
      "evaluations": Int(clamping: cost.evaluations * RuleCost.measuredShare),
      "matches": Int(clamping: cost.matches * RuleCost.measuredShare),
      "nanoseconds": Int(clamping: cost.nanoseconds * RuleCost.measuredShare),
    ]
  }

  private static func padded(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }

  /// With one digit behind the point.
  private static func decimal(_ number: Double) -> String {
    let tenths = Int((number * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }
}
