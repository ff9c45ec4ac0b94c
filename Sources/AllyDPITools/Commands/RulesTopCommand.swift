internal import AllyDPI
internal import AllyPacket
public import AllyTools
public import ArgumentParser

/// `ally rules top`: which rules cost most, on a capture or in a process that inspects.
public struct RulesTopCommand {
  private let options: RulesTopOptions

  public init(options: RulesTopOptions) { self.options = options }

  /// Prints the rules that cost most.
  public func perform() throws(CommandFailure) -> ExitStatus {
    if let socket = options.socket { return try ControlCommand(socket: socket, command: "rules-top").perform() }
    // `validate()` has seen to it.
    guard let capture = options.capture else { return .usage }
    let settings = try DPISettings(files: options.rules, configuration: options.configuration)
    let rules = try RuleSet(files: settings.ruleFiles, settings: settings)
    try rules.complain(as: "ally", strict: false, verbose: false)
    var engine: DPIEngine
    do {
      engine = try DPIEngine(program: rules.program, configuration: settings.engine, sink: NoRecords())
    } catch {
      throw CommandFailure(.systemFault, "the engine cannot be made: \(error)")
    }
    var reader = try CaptureReader.open(capture)
    var run = DirectRun()
    _ = try run.inspect(&reader, inspecting: &engine) { _ in }
    engine.finish()
    for problem in reader.problems { Console.complain("ally: \(problem)") }
    try Console.print(RuleCostTable.text(engine.ruleCosts, limit: options.limit))
    return .success
  }
}

/// Records that nobody wants.
private final class NoRecords: RecordSink {
  func write(record: RawSpan) {}
}

/// The options of `ally rules top`.
public struct RulesTopOptions: ParsableArguments {
  @Option(
    name: .customLong("socket"),
    help: ArgumentHelp("Ask the process that listens here (--unix-socket).", valueName: "path"))
  var socket: String?

  @Option(
    name: [.customShort("r"), .customLong("read")],
    help: ArgumentHelp("Capture to inspect.", valueName: "capture"))
  var capture: String?

  @Option(
    name: [.customShort("S"), .customLong("rules")], parsing: .upToNextOption,
    help: ArgumentHelp("Rule files; those of the configuration are then left out.", valueName: "file"))
  var rules: [String] = []

  @Option(
    name: [.customShort("c"), .customLong("config")],
    help: ArgumentHelp("Settings in Suricata's format.", valueName: "suricata.yaml"))
  var configuration: String?

  @Option(help: "How many rules to show.", transform: OptionValue.number(1...1_000_000))
  var limit = 25

  public init() {}

  public mutating func validate() throws {
    guard (socket == nil) != (capture == nil) else {
      throw ValidationError("expected either a capture (-r FILE) or a process that inspects (--socket PATH)")
    }
    guard socket == nil || (rules.isEmpty && configuration == nil) else {
      throw ValidationError("--socket with rules or settings: the process has its own; expected one of them")
    }
  }
}
