internal import AllyDPI
internal import AllyTools

/// The engine with its rules and what takes its records, from the first rule that is read to the last line of the summary.
struct InspectSession: ~Copyable {
  private let name: String
  private let settings: DPISettings
  private let rules: RuleReload
  private let store: FileFolder?
  /// What the engine's dropped flows lie in.
  private let kept: KeptState?
  /// To begin when frames are about to come.
  let control: ControlThread
  let fastLog: (any RecordOutput)?
  let eve: any RecordOutput
  var engine: ControlledEngine

  /// Reads the rules, and opens what takes the records.
  ///
  /// - Parameters:
  ///   - patience: what becomes of records that nobody reads in time.
  ///   - kept: memory of `DPIEngine.droppedFlowMemory` bytes for what is to outlive the engine.
  init(
    name: String, options: DPIOptions, settings: DPISettings, _ patience: RecordPatience, keeping kept: KeptState? = nil
  ) throws(CommandFailure) {
    self.kept = kept
    var settings = settings
    // Another worker, or executable, finds its dropped flows by it.
    if let kept { settings.engine.hashSeed = kept.seed }
    let continues = kept?.isSuccessor == true
    let rules = try RuleSet(files: settings.ruleFiles, settings: settings)
    try rules.complain(as: name, strict: options.strict, verbose: options.verbose > 0)
    try FileSystem.makeFolder(settings.logFolder)
    HangUp.listen()
    let eve = try settings.eve.open(in: settings.logFolder, patience, continues: continues)
    let store = try Self.openFileStore(settings)
    let fastLog = try settings.fastLog?.open(in: settings.logFolder, patience, continues: continues)
    let mailbox = EngineMailbox()
    let reload = RuleReload(
      name: name, options: options, mailbox: mailbox, rules: rules, cache: settings.engine.databaseCache)
    let control = try ControlThread(
      name: name, reload: reload, mailbox: mailbox, socket: options.unixSocket ?? settings.controlSocket,
      keeping: kept)
    do {
      engine = ControlledEngine(
        unsafe try DPIEngine(
          program: rules.program, configuration: settings.engine, sink: eve, store: store, fastLog: fastLog,
          droppedFlows: kept?.bytes),
        mailbox: mailbox)
    } catch {
      throw CommandFailure(.systemFault, "the engine cannot be made: \(error)")
    }
    self.name = name
    self.settings = settings
    self.rules = reload
    self.control = control
    self.store = store
    self.fastLog = fastLog
    self.eve = eve
  }

  /// Ends the inspection: writes what is left, and prints the summary, or with nil the engine's part of it.
  ///
  /// - Returns: why the command fails: `failure`, or else what happened here.
  mutating func finish(_ summary: RunSummary?, _ failure: CommandFailure?) throws(CommandFailure) -> CommandFailure? {
    var failure = failure
    engine.engine.finish()
    control.close()
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
      for set in engine.engine.savedDataSets { try Self.save(set.text, as: set.file, in: settings.logFolder) }
    } catch {
      failure = failure ?? error
    }
    if let store, store.failures > 0 { Console.complain("\(name): \(store.failures) files could not be kept") }
    var sections = (summary?.sections ?? []) + [Self.alerts(engine.engine.statistics), Self.rules(rules)]
    let dropped = eve.droppedRecords + (fastLog?.droppedRecords ?? 0)
    if dropped > 0 { sections.append(SummarySection("Records", [.init("dropped: nobody read them in time", dropped)])) }
    let text = SummarySection.text(sections) + "\n\nRecords: \(settings.eve.name(in: settings.logFolder))"
    try Self.print(text, besideRecords: settings.recordsAreOnStandardOutput)
    return failure
  }

  /// Prints text where a summary goes: to standard output, unless records go there.
  static func print(_ text: String, besideRecords: Bool) throws(CommandFailure) {
    guard besideRecords else { return try Console.print(text) }
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) { Console.complain(String(line)) }
  }

  private static func openFileStore(_ settings: DPISettings) throws(CommandFailure) -> FileFolder? {
    guard settings.fileStore.isEnabled else { return nil }
    return try FileFolder(folder: FileSystem.resolve(settings.fileStore.folder, in: settings.logFolder))
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

  private static func rules(_ rules: RuleReload) -> SummarySection {
    SummarySection(
      "Rules",
      [.init("loaded", UInt64(rules.summary.loaded)), .init("skipped", UInt64(rules.summary.problems.count))])
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
