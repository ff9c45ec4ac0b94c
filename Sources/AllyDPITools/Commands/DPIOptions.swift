internal import AllyTools
public import ArgumentParser

/// The options that `ids` and `ally inspect` share: Suricata's own names, so that its users' habits and scripts carry over.
public struct DPIOptions: ParsableArguments {
  @Option(
    name: [.customShort("r"), .customLong("read")],
    help: ArgumentHelp(
      "Capture to inspect: a pcap or pcapng file, a folder of them, or - for standard input.", valueName: "capture"))
  public var capture: String?

  @Option(
    name: [.customShort("S"), .customLong("rules")], parsing: .upToNextOption,
    help: ArgumentHelp("Rule files; those of the configuration are then left out.", valueName: "file"))
  var rules: [String] = []

  @Option(
    name: .customShort("s"), parsing: .upToNextOption,
    help: ArgumentHelp("Rule files besides those of the configuration.", valueName: "file"))
  var additionalRules: [String] = []

  @Option(
    name: [.customShort("l"), .customLong("log-dir")],
    help: ArgumentHelp(
      "Folder for eve.json; made when it is not there (default: default-log-dir, else the current folder).",
      valueName: "folder"))
  var logFolder: String?

  @Option(name: .customShort("k"), help: "Whether packets with a wrong checksum are left out: all or none.")
  var checksums: ChecksumValidation?

  @Flag(
    name: [.customLong("inline"), .customLong("simulate-ips")],
    help: "Let drop and reject rules act on the traffic.")
  var inline = false

  @Option(
    name: [.customShort("c"), .customLong("config")],
    help: ArgumentHelp("Settings in Suricata's format (Docs/Configuration.md).", valueName: "suricata.yaml"))
  var configuration: String?

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp("A setting by its path, such as stream.midstream=true; repeatable.", valueName: "name=value"))
  var settings: [String] = []

  @Option(
    name: .customLong("var"),
    help: ArgumentHelp("A rule variable, such as HOME_NET=[10.0.0.0/8]; repeatable.", valueName: "name=value"),
    transform: RuleVariable.read)
  var variables: [RuleVariable] = []

  @Option(
    name: .customLong("unix-socket"),
    help: ArgumentHelp(
      "Socket to listen at for `ally control` and suricatasc; rules are read again on SIGUSR2, too.", valueName: "path")
  )
  var unixSocket: String?

  @Flag(
    name: [.customLong("strict"), .customLong("init-errors-fatal")],
    help: "Stop at a rule that does not load, and end with an error after a damaged capture.")
  var strict = false

  @Flag(name: .shortAndLong, help: "Say more; repeatable.")
  var verbose: Int

  @Option(name: .customLong("runmode"), help: .hidden)
  var runMode: String?

  @Option(name: .customLong("data-dir"), help: .hidden)
  var dataFolder: String?

  @Option(name: .customLong("pidfile"), help: .hidden)
  var processIDFile: String?

  public init() {}

  /// Whether `drop` and `reject` are to act.
  public var isInline: Bool { inline }

  /// Options that are taken for the sake of scripts and do nothing.
  var ignoredOptions: [String] {
    var names: [String] = []
    if runMode != nil { names.append("--runmode") }
    if dataFolder != nil { names.append("--data-dir") }
    if processIDFile != nil { names.append("--pidfile") }
    return names
  }

  public func validate() throws {
    if rules.isEmpty && additionalRules.isEmpty && configuration == nil {
      throw ValidationError("expected rules: -S FILE, or -c with a configuration that names rule files")
    }
  }
}

/// `-k`.
enum ChecksumValidation: String, ExpressibleByArgument, CaseIterable {
  case all, none
}

/// `--var NAME=VALUE`.
struct RuleVariable: Equatable {
  var name: String
  var value: String

  static let read = OptionValue.read("NAME=VALUE, such as HOME_NET=[10.0.0.0/8]", RuleVariable.init)

  init?(_ argument: String) {
    guard let equals = argument.firstIndex(of: "="), equals != argument.startIndex else { return nil }
    // Rules write $NAME; the dollar is no part of the name.
    name = String(argument[..<equals].drop { $0 == "$" })
    value = String(argument[argument.index(after: equals)...])
    if name.isEmpty || value.isEmpty { return nil }
  }
}
