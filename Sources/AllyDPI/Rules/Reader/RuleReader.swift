/// Reads the text of Suricata and Snort rules.
///
/// Off the packet path: called when an appliance starts, or loads a new rule set, on any core.
public struct RuleReader: Sendable {
  let variables: RuleVariables
  let classifications: Classifications
  let support: EngineSupport

  /// - Parameters:
  ///   - configuration: whose variables the rules may use.
  ///   - classifications: what `classtype` may name.
  ///   - support: what rules may ask for and still load.
  public init(
    configuration: DPIConfiguration, classifications: Classifications = .standard, support: EngineSupport = .current
  ) {
    variables = RuleVariables(configuration: configuration)
    self.classifications = classifications
    self.support = support
  }

  /// Reads one rule file's bytes. Never fails as a whole: a rule that does not load becomes a ``RuleProblem``.
  ///
  /// Comments, blank lines and disabled rules (`# alert …`) are passed over; a `\` at the end of a line continues it.
  ///
  /// - Parameters:
  ///   - text: the file's bytes.
  ///   - file: the name for locations.
  public func read(_ text: [UInt8], file: String) -> RuleReport {
    var report = RuleReport()
    for rule in RuleTexts(text, file: file) {
      do {
        let builder = try self.rule(rule)
        builder.reportWarnings(to: &report)
        report.add(builder.rule)
      } catch {
        report.add(
          RuleProblem(
            location: rule.location(at: error.offset), sid: RuleParts.sid(of: rule), reason: error.reason,
            isUnsupported: error.isUnsupported))
      }
    }
    return report
  }

  private func rule(_ text: RuleText) throws(RuleSyntaxError) -> RuleBuilder {
    let parts = try RuleParts(text)
    let header = try RuleHeader(parts.header, variables: variables)
    var builder = RuleBuilder(
      header: header, text: text, classifications: classifications, support: support,
      dialect: RuleDialect(parts.options))
    for option in parts.options { try builder.apply(option) }
    try builder.finish()
    return builder
  }
}
