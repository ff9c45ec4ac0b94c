import AllyDPI
import AllyPacket
import Testing

/// Reads rule text as a file of its own.
func readRules(
  _ text: String, variables: [String: String] = [:], ports: [String: String] = [:],
  classifications: Classifications = .standard, support: EngineSupport = .everything
) -> RuleReport {
  readRules(
    Array(text.utf8), variables: variables, ports: ports, classifications: classifications, support: support)
}

func readRules(
  _ text: [UInt8], variables: [String: String] = [:], ports: [String: String] = [:],
  classifications: Classifications = .standard, support: EngineSupport = .everything
) -> RuleReport {
  var configuration = DPIConfiguration()
  configuration.addressVariables.merge(variables) { $1 }
  configuration.portVariables.merge(ports) { $1 }
  return RuleReader(configuration: configuration, classifications: classifications, support: support).read(
    text, file: "test.rules")
}

/// The rule with these options, when it loads.
func rule(
  _ options: String, header: String = "alert tcp any any -> any any", sourceLocation: SourceLocation = #_sourceLocation
) throws -> Rule {
  let report = readRules("\(header) (\(options) sid:1;)")
  if let problem = report.problems.first { Issue.record("\(problem)", sourceLocation: sourceLocation) }
  return try #require(report.rules.first, sourceLocation: sourceLocation)
}

/// Why the rule with these options does not load.
func problem(
  _ options: String, header: String = "alert tcp any any -> any any", sourceLocation: SourceLocation = #_sourceLocation
) throws -> RuleProblem {
  let report = readRules("\(header) (\(options) sid:1;)")
  #expect(report.rules.isEmpty, "it loads: \(options)", sourceLocation: sourceLocation)
  return try #require(report.problems.first, sourceLocation: sourceLocation)
}

/// The contents of a rule.
func contents(_ rule: Rule) -> [ContentMatch] {
  rule.options.compactMap { if case .content(let content) = $0 { content } else { nil } }
}

func address(_ text: String) -> IPAddress {
  let parts = text.split(separator: ".").map { UInt32($0)! }
  return IPAddress(v4: parts.reduce(0) { $0 << 8 | $1 })
}
