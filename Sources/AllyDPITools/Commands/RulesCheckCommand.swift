internal import AllyDPI
public import AllyTools

/// `ally rules check`: what becomes of each rule of some files.
public struct RulesCheckCommand {
  private let files: [String]
  private let options: RulesCheckOptions

  public init(files: [String], options: RulesCheckOptions) {
    self.files = files
    self.options = options
  }

  /// Reads the files and prints the report.
  ///
  /// - Returns: ``ExitStatus/badConfiguration`` when a rule does not load and `--strict` is set.
  public func perform() throws(CommandFailure) -> ExitStatus {
    let settings = try DPISettings(variables: options.variables, configuration: options.configuration)
    let rules = try RuleSet(
      files: files, configuration: settings.engine, classifications: settings.classifications)
    try Console.print(options.json ? Self.json(rules) : Self.text(rules))
    return options.strict && !rules.problems.isEmpty ? .badConfiguration : .success
  }

  /// A line for each rule in file order, and a summary.
  static func text(_ rules: RuleSet) -> String {
    var lines: [(file: String, line: Int, text: String)] = []
    for rule in rules.rules {
      let place = "\(rule.location.file):\(rule.location.line):\(rule.location.column)"
      lines.append(
        (rule.location.file, rule.location.line, "loaded   \(place): rule \(rule.sid): \(rule.message)"))
    }
    for problem in rules.problems {
      lines.append((problem.location.file, problem.location.line, "skipped  \(RuleSet.line(problem))"))
    }
    lines.sort { ($0.file, $0.line) < ($1.file, $1.line) }
    let unsupported = rules.problems.count { $0.isUnsupported }
    return
      (lines.map(\.text) + [
        "\(rules.rules.count) loaded, \(rules.problems.count) skipped: "
          + "\(unsupported) not supported, \(rules.problems.count - unsupported) wrong"
      ]).joined(separator: "\n")
  }

  /// One object: the counts, and the rules that were skipped.
  static func json(_ rules: RuleSet) -> String {
    let skipped = rules.problems.map { problem in
      "{\"file\": \(JSONText.string(problem.location.file)), \"line\": \(problem.location.line), "
        + "\"column\": \(problem.location.column), \"sid\": \(problem.sid), "
        + "\"reason\": \(JSONText.string(problem.reason))}"
    }
    return "{\"loaded\": \(rules.rules.count), \"skipped\": \(rules.problems.count), "
      + "\"rules\": [\(skipped.joined(separator: ", "))]}"
  }
}
