internal import AllyDPI
internal import AllyTools

/// The rules of a run: those of all files together, with what a threshold file says about them.
struct RuleSet {
  private(set) var report = RuleReport()
  /// The rules that load, compiled.
  let program: DetectionProgram
  /// What is wrong with the threshold file.
  private(set) var thresholdProblems: [RuleProblem] = []

  /// Reads and compiles rule files.
  ///
  /// - Parameters:
  ///   - files: rule files.
  ///   - settings: what an operator decided.
  ///   - former: the rules that these take the place of.
  /// - Throws: ``ExitStatus/missingInput`` when a file cannot be read. What is wrong inside a file is in ``report``.
  init(files: [String], settings: DPISettings, following former: DetectionProgram? = nil) throws(CommandFailure) {
    let reader = RuleReader(configuration: settings.engine, classifications: settings.classifications)
    for file in files {
      report.merge(reader.read(try FileSystem.contents(of: file), file: file))
    }
    if let file = settings.thresholdFile {
      let thresholds = ThresholdFile(
        try FileSystem.contents(of: file), file: file, configuration: settings.engine)
      thresholds.apply(to: &report)
      thresholdProblems = thresholds.problems
    }
    do {
      program = try DetectionProgram(rules: report.rules, configuration: settings.engine, following: former)
    } catch {
      throw CommandFailure(.internalFault, "the rules cannot be compiled: \(error)")
    }
    report.refuse(program.problems)
  }

  /// Tells about the rules that were skipped, on standard error.
  ///
  /// - Throws: ``ExitStatus/badConfiguration`` when something does not load and `strict` is set.
  func complain(as name: String, strict: Bool, verbose: Bool) throws(CommandFailure) {
    let problems = report.problems + thresholdProblems
    let shown = verbose ? problems.count : min(problems.count, Self.problemsShown)
    for problem in problems[..<shown] { Console.complain("\(name): \(problem)") }
    if verbose {
      for warning in report.warnings { Console.complain("\(name): \(warning)") }
    }
    guard !problems.isEmpty else { return }
    if strict { throw CommandFailure(.badConfiguration, Self.strictly(problems.count)) }
    if shown < problems.count {
      Console.complain(
        "\(name): \(problems.count) rules do not load, of which \(shown) are shown; `ally rules check` lists them")
    }
  }

  /// Why rules that do not load end a command.
  static func strictly(_ count: Int) -> String {
    "\(count == 1 ? "1 rule does" : "\(count) rules do") not load, and --strict is set"
  }

  /// Lines that an operator still reads.
  private static let problemsShown = 10
}
