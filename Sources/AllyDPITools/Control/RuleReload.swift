internal import AllyDPI
internal import AllyTools
internal import Synchronization

/// Reads the rules of a run again, beside it: settings and rule files as they are now are compiled on the caller's thread, and
/// the engine takes the result between two frames.
final class RuleReload: @unchecked Sendable {
  // The options are only read. Everything else is behind the lock.
  private let options: DPIOptions
  private let name: String
  private let mailbox: EngineMailbox
  private let cache: (any DatabaseCache)?
  private let state: Mutex<State>

  private struct State {
    var program: DetectionProgram
    var summary: RuleSummary
  }

  /// Milliseconds in which an engine that sees frames takes its rules.
  private static let patience = 2000

  init(
    name: String, options: DPIOptions, mailbox: EngineMailbox, rules: RuleSet, cache: (any DatabaseCache)?
  ) {
    self.name = name
    self.options = options
    self.mailbox = mailbox
    self.cache = cache
    state = Mutex(State(program: rules.program, summary: RuleSummary(rules.report)))
  }

  /// What became of the rules that are in effect.
  var summary: RuleSummary { state.withLock(\.summary) }

  /// Reads and compiles the rules, and leaves them for the engine. Callers wait for each other.
  ///
  /// - Throws: what is wrong with settings or files; then the rules before stay in effect.
  func reload() throws(CommandFailure) {
    try state.withLock { state throws(CommandFailure) in
      var settings = try DPISettings(options)
      settings.engine.databaseCache = cache
      let rules = try RuleSet(files: settings.ruleFiles, settings: settings, following: state.program)
      try rules.complain(as: name, strict: options.strict, verbose: options.verbose > 0)
      leave(rules.program)
      state = State(program: rules.program, summary: RuleSummary(rules.report))
    }
    // What the former rules took is the system's again.
    ProcessMemory.trim()
  }

  /// Has the engine take rules. The former ones come back here, so that it is not the engine's core that frees them.
  private func leave(_ program: DetectionProgram) {
    let (name, former) = (name, AnswerBox<DetectionProgram>())
    mailbox.leaveReload { engine in
      let before = engine.program
      do {
        try engine.reload(program)
      } catch {
        Console.complain("\(name): the rules before stay in effect: \(error)")
      }
      former.put(before)
    }
    _ = former.wait(milliseconds: Self.patience)
  }
}

/// What became of the rules of some files.
struct RuleSummary: Sendable {
  var loaded: Int
  var problems: [RuleProblem]

  init(_ report: RuleReport) {
    loaded = report.rules.count
    problems = report.problems
  }
}
