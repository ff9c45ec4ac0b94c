internal import AllyDPI
public import AllyTools

/// Inspects a capture with a set of rules: what `ids` and `ally inspect` do, which differ in the way that the frames take.
public struct InspectCommand {
  private let name: String
  private let options: DPIOptions

  /// - Parameters:
  ///   - name: the command, for the lines on standard error.
  ///   - options: what the operator asked for.
  public init(name: String, options: DPIOptions) {
    self.name = name
    self.options = options
  }

  /// Reads settings and rules, inspects the capture, writes `eve.json`, and prints the summary.
  ///
  /// - Parameter run: the way of the frames to the engine.
  /// - Returns: the exit status; damage in the capture is told on standard error.
  public func perform(through run: some CaptureRun) throws(CommandFailure) -> ExitStatus {
    var run = run
    let settings = try DPISettings(options)
    for note in settings.notes { Console.complain("\(name): \(note)") }
    var reader = try openCapture()
    let rules = try loadRules(settings)
    let eve = try openEVEFile(settings)
    let fastLog = try openFastLog(settings)
    var engine = try makeEngine(rules.program, settings, eve, fastLog)

    reader.stop { eve.failure != nil }
    var summary = RunSummary()
    var failure: CommandFailure?
    do {
      summary = try run.inspect(&reader, inspecting: &engine) { _ in }
    } catch {
      failure = error
    }
    engine.finish()
    do {
      try eve.close()
    } catch {
      failure = failure ?? error
    }
    do {
      try fastLog?.close()
    } catch {
      failure = failure ?? error
    }
    do {
      for set in engine.savedDataSets { try Self.save(set.text, as: set.file, in: settings.logFolder) }
    } catch {
      failure = failure ?? error
    }

    let sections = summary.sections + [Self.alerts(engine.statistics), Self.rules(rules)]
    try Console.print(SummarySection.text(sections) + "\n\nRecords: \(Self.evePath(settings))")
    for problem in reader.problems { Console.complain("\(name): \(problem)") }
    if let failure { throw failure }
    return reader.problems.lazy.map { Self.status($0, strict: options.strict) }.first { $0 != .success } ?? .success
  }

  /// What a problem of the capture means for the command.
  ///
  /// A capture that breaks off is an error: the rest is somewhere else. A damaged record behind good frames is not:
  /// nobody has the rest, and scripts made for Suricata, which ends with 0 here, keep the result. `--strict` makes it one.
  static func status(_ problem: CaptureError, strict: Bool) -> ExitStatus {
    if case .damaged(_, let frame, _) = problem, frame > 1, !strict { return .success }
    return problem.status
  }

  private func openCapture() throws(CommandFailure) -> CaptureReader {
    do {
      return try CaptureReader(path: options.capture, showsProgress: Console.showsProgress)
    } catch {
      throw error.failure
    }
  }

  private func loadRules(_ settings: DPISettings) throws(CommandFailure) -> RuleSet {
    let rules = try RuleSet(files: settings.ruleFiles, settings: settings)
    try rules.complain(as: name, strict: options.strict, verbose: options.verbose > 0)
    return rules
  }

  private func openEVEFile(_ settings: DPISettings) throws(CommandFailure) -> EVEFile {
    try FileSystem.makeFolder(settings.logFolder)
    return try EVEFile(path: Self.evePath(settings), appending: settings.eve.appends)
  }

  private func openFastLog(_ settings: DPISettings) throws(CommandFailure) -> EVEFile? {
    guard let fast = settings.fastLog else { return nil }
    return try EVEFile(path: FileSystem.resolve(fast.fileName, in: settings.logFolder), appending: fast.appends)
  }

  private static func evePath(_ settings: DPISettings) -> String {
    FileSystem.resolve(settings.eve.fileName, in: settings.logFolder)
  }

  private func makeEngine(
    _ program: DetectionProgram, _ settings: DPISettings, _ eve: EVEFile, _ fastLog: EVEFile?
  ) throws(CommandFailure) -> DPIEngine {
    do {
      return try DPIEngine(program: program, configuration: settings.engine, sink: eve, fastLog: fastLog)
    } catch {
      throw CommandFailure(.systemFault, "the engine cannot be made: \(error)")
    }
  }

  /// Writes a set that rules want kept; the file takes its name when it is whole.
  private static func save(_ text: [UInt8], as name: String, in folder: String) throws(CommandFailure) {
    let path = FileSystem.resolve(name, in: folder)
    do {
      var file = try OutputFile(replacing: path)
      try file.write(text[...])
      try file.commit()
    } catch {
      throw CommandFailure(.cannotWrite, "cannot write \(path): \(error.reason)")
    }
  }

  private static func rules(_ rules: RuleSet) -> SummarySection {
    SummarySection(
      "Rules",
      [.init("loaded", UInt64(rules.report.rules.count)), .init("skipped", UInt64(rules.report.problems.count))])
  }

  /// Alerts by signature, the most frequent first.
  private static func alerts(_ statistics: DPIStatistics) -> SummarySection {
    var lines = statistics.alertsBySignature.map {
      SummarySection.Line("[\($0.gid):\($0.sid)] \($0.message)", $0.count)
    }
    lines.append(.init("alerts in all", statistics.alerts))
    if statistics.suppressedAlerts > 0 {
      lines.append(.init("held back by a threshold or a suppression", statistics.suppressedAlerts))
    }
    if statistics.discardedAlerts > 0 {
      lines.append(.init("beyond the most for one packet (packet-alert-max)", statistics.discardedAlerts))
    }
    return SummarySection("Alerts by signature", lines)
  }
}
