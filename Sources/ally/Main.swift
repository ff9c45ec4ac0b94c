internal import AllyDPITools
internal import AllyTools
internal import ArgumentParser

/// `ally`: the tools of an appliance's operator.
@main
struct Ally: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ally",
    abstract: "Inspects captures, checks rules and edits firmware tables for a sequestered-core appliance.",
    subcommands: [Inspect.self, Rules.self, Control.self, Upgrade.self, Firmware.self])
}

struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Inspect a capture with the engine alone, without NIC and rings.",
    discussion: "Writes eve.json into the log folder and prints a summary. Exit statuses: Docs/ExitStatus.md.")

  @OptionGroup var options: DPIOptions

  func validate() throws {
    if options.capture == nil { throw ValidationError("expected a capture: -r FILE") }
  }

  func run() throws {
    try Command.run("ally") { () throws(CommandFailure) in
      try InspectCommand(name: "ally", options: options).perform(through: DirectRun())
    }
  }
}

struct Control: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Ask a process that inspects for something: reload-rules, rules-top, ruleset-stats, command-list …",
    discussion: "The process listens where --unix-socket says. The answer is one JSON object.")

  @Option(help: ArgumentHelp("Where the process listens.", valueName: "path"))
  var socket: String

  @Argument(help: "What to ask for.")
  var command: String

  func run() throws {
    try Command.run("ally") { () throws(CommandFailure) in
      try ControlCommand(socket: socket, command: command).perform()
    }
  }
}

struct Upgrade: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Have another executable, or other settings, take over from ids or firewall with --keep.",
    discussion: """
      The process listens where its --control says. Rules and settings are read again. Guests notice nothing but a delay; what cannot start, or cannot read what \
      the running one keeps, leaves that serving (Docs/AttachGuest.md). Exit statuses: Docs/ExitStatus.md.
      """)

  @Option(help: ArgumentHelp("Where the process listens.", valueName: "path"))
  var control: String

  @Option(
    help: ArgumentHelp(
      "The executable; without, the one that the process was started from, as it is now.", valueName: "path"))
  var executable: String?

  @Argument(
    parsing: .postTerminator, help: "Options for it, behind --; without, those that the process was started with.")
  var options: [String] = []

  func run() throws {
    try Command.run("ally") { () throws(CommandFailure) in
      try UpgradeCommand(control: control, executable: executable, options: options).perform()
    }
  }
}

struct Rules: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Look at rule files, and at what rules cost.", subcommands: [Check.self, Top.self])

  struct Top: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show the rules that cost most, on a capture or in a process that inspects.")

    @OptionGroup var options: RulesTopOptions

    func run() throws {
      try Command.run("ally") { () throws(CommandFailure) in
        try RulesTopCommand(options: options).perform()
      }
    }
  }

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Say of every rule whether it loads, and if not, why.")

    @Argument(help: "Rule files.")
    var files: [String]

    @OptionGroup var options: RulesCheckOptions

    func run() throws {
      try Command.run("ally") { () throws(CommandFailure) in
        try RulesCheckCommand(files: files, options: options).perform()
      }
    }
  }
}
