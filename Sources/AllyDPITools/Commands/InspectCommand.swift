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
    let settings = try readSettings()
    var reader = try openCapture()
    var session = try InspectSession(name: name, options: options, settings: settings, .waits)
    session.control.begin()
    let eve = session.eve
    reader.stop { eve.failure != nil }
    var summary = RunSummary()
    var failure: CommandFailure?
    do {
      summary = try run.inspect(&reader, inspecting: &session.engine) { _ in }
    } catch {
      failure = error
    }
    failure = try session.finish(summary, failure)
    for problem in reader.problems { Console.complain("\(name): \(problem)") }
    if let failure { throw failure }
    return reader.problems.lazy.map { Self.status($0, strict: options.strict) }.first { $0 != .success } ?? .success
  }

  /// Reads settings and rules, has guests' frames inspected until the operator ends it, and prints the summary. Records are
  /// in their files within a second.
  public func perform(on run: GuestRun) throws(CommandFailure) -> ExitStatus {
    let run = try run.kept()
    return try perform(
      keeping: try run.keptState(length: DPIEngine.droppedFlowMemory, layout: DPIEngine.droppedFlowLayout)
    ) {
      session, summary, flush throws(CommandFailure) in
      let control = session.control
      try run.inspect(
        inspecting: &session.engine, counting: &summary, ready: control.begin,
        takeOver: { $0.engine.takeOverConnections() }, often: flush)
    }
  }

  /// As ``perform(on:)`` with guests, but with rules, engine and records in a process of their own, which prints its part of the
  /// summary itself.
  public func perform(on run: GuestRun, apart: InspectorProcessOptions) throws(CommandFailure) -> ExitStatus {
    guard apart.isWanted else { return try perform(on: run) }
    let hasRecordsThere = try DPISettings(options).recordsAreOnStandardOutput
    return try run.inspect(apart, by: ControlledEngine.self) { summary throws(CommandFailure) in
      try InspectSession.print(SummarySection.text(summary.sections) + "\n", besideRecords: hasRecordsThere)
    } inspect: { run throws(CommandFailure) in
      try perform(isPart: true) { session, _, flush throws(CommandFailure) in
        let control = session.control
        if run.hasPredecessor { session.engine.engine.takeOverConnections() }
        try run.inspect(inspecting: &session.engine, ready: control.begin, often: flush)
      }
    }
  }

  /// Reads settings and rules, inspects what passes interfaces until the operator ends it, and prints the summary. Records
  /// are in their files within a second.
  public func perform(on run: InterfaceRun) throws(CommandFailure) -> ExitStatus {
    try perform { session, summary, flush throws(CommandFailure) in
      let control = session.control
      try run.inspect(inspecting: &session.engine, counting: &summary, ready: control.begin, often: flush)
    }
  }

  /// - Parameters:
  ///   - isPart: whether frames are counted elsewhere, and the summary is the engine's part alone.
  ///   - kept: memory for what is to outlive the engine.
  private func perform(
    isPart: Bool = false, keeping kept: KeptState? = nil,
    _ inspect: (inout InspectSession, inout RunSummary, _ often: (inout ControlledEngine) -> Bool)
      throws(CommandFailure)
      -> Void
  ) throws(CommandFailure) -> ExitStatus {
    var session = try InspectSession(name: name, options: options, settings: try readSettings(), .drops, keeping: kept)
    let files: [any RecordOutput] = [session.eve] + [session.fastLog].compactMap(\.self)
    var summary = RunSummary()
    var failure: CommandFailure?
    do {
      try inspect(&session, &summary) { engine in
        engine.serveRequests()
        for file in files { file.flush() }
        return files.allSatisfy { $0.failure == nil }
      }
    } catch {
      failure = error
    }
    if let failure = try session.finish(isPart ? nil : summary, failure) { throw failure }
    return .success
  }

  private func readSettings() throws(CommandFailure) -> DPISettings {
    let settings = try DPISettings(options)
    for note in settings.notes { Console.complain("\(name): \(note)") }
    return settings
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
    guard let capture = options.capture else { throw CommandFailure(.usage, "expected a capture: -r FILE") }
    return try .open(capture)
  }
}
