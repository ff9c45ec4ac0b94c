internal import AllyDPI
internal import AllyTools

/// The rules of a run: those of all files together.
struct RuleSet {
  private(set) var rules: [Rule] = []
  private(set) var problems: [RuleProblem] = []

  /// Reads rule files.
  ///
  /// - Throws: ``ExitStatus/missingInput`` when a file cannot be read. What is wrong inside a file is in ``problems``.
  init(
    files: [String], configuration: DPIConfiguration, classifications: Classifications
  ) throws(CommandFailure) {
    let reader = RuleReader(configuration: configuration, classifications: classifications)
    for file in files {
      let report = reader.read(try FileSystem.contents(of: file), file: file)
      rules += report.rules
      problems += report.problems
    }
  }

  /// A problem as one line: file, line, column, what was found and what was expected.
  static func line(_ problem: RuleProblem) -> String {
    let place = "\(problem.location.file):\(problem.location.line):\(problem.location.column)"
    return problem.sid == 0 ? "\(place): \(problem.reason)" : "\(place): rule \(problem.sid): \(problem.reason)"
  }

  /// Tells about the rules that were skipped, on standard error.
  ///
  /// - Throws: ``ExitStatus/badConfiguration`` when there are some and `strict` is set.
  func report(to name: String, strict: Bool, verbose: Bool) throws(CommandFailure) {
    guard !problems.isEmpty else { return }
    let shown = verbose ? problems.count : min(problems.count, Self.problemsShown)
    for problem in problems[..<shown] {
      Console.complain("\(name): \(Self.line(problem))")
    }
    let count = problems.count == 1 ? "1 rule does" : "\(problems.count) rules do"
    if strict { throw CommandFailure(.badConfiguration, "\(count) not load, and --strict is set") }
    if shown < problems.count {
      Console.complain("\(name): \(count) not load, of which \(shown) are shown; `ally rules check` lists them")
    }
  }

  /// Lines that an operator still reads.
  private static let problemsShown = 20
}
