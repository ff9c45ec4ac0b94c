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
  /// - Throws: ``ExitStatus/badConfiguration`` when a rule does not load and `--strict` is set.
  public func perform() throws(CommandFailure) -> ExitStatus {
    let settings = try DPISettings(variables: options.variables, configuration: options.configuration)
    let report = try RuleSet(files: files, settings: settings).report
    try Console.print(options.json ? Self.json(report) : Self.text(report))
    guard !options.strict || report.problems.isEmpty else {
      throw CommandFailure(.badConfiguration, RuleSet.strictly(report.problems.count))
    }
    return .success
  }

  /// A line for each rule in file order, and a summary.
  static func text(_ report: RuleReport) -> String {
    var lines: [(place: RuleLocation, text: String)] = []
    for rule in report.rules {
      let place = "\(rule.location.file):\(rule.location.line):\(rule.location.column)"
      lines.append((rule.location, "loaded   \(place): \(rule.message) (sid \(rule.sid))"))
    }
    for problem in report.problems { lines.append((problem.location, "skipped  \(problem)")) }
    for warning in report.warnings { lines.append((warning.location, "warning  \(warning)")) }
    lines.sort { ($0.place.file, $0.place.line, $0.text) < ($1.place.file, $1.place.line, $1.text) }
    let wrong = report.problems.count - report.unsupportedCount
    let summary =
      "\(report.rules.count) loaded, \(report.problems.count) skipped: "
      + "\(report.unsupportedCount) not supported, \(wrong) wrong"
    return (lines.map(\.text) + [summary]).joined(separator: "\n")
  }

  /// One object: the counts, and the rules that were skipped.
  static func json(_ report: RuleReport) -> String {
    let skipped = report.problems.map { problem in
      "{\"file\": \(JSONText.string(problem.location.file)), \"line\": \(problem.location.line), "
        + "\"column\": \(problem.location.column), \"sid\": \(problem.sid), "
        + "\"reason\": \(JSONText.string(problem.reason))}"
    }
    return "{\"loaded\": \(report.rules.count), \"skipped\": \(report.problems.count), "
      + "\"rules\": [\(skipped.joined(separator: ", "))]}"
  }
}
