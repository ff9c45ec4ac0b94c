public import ArgumentParser

/// The options of `ally rules check`.
public struct RulesCheckOptions: ParsableArguments {
  @Flag(help: "Print one JSON object: the counts, and the rules that were skipped.")
  var json = false

  @Flag(
    name: [.customLong("strict"), .customLong("init-errors-fatal")],
    help: "End with an error when a rule does not load.")
  var strict = false

  @Option(
    name: [.customShort("c"), .customLong("config")],
    help: ArgumentHelp("Settings in Suricata's format, for their variables.", valueName: "suricata.yaml"))
  var configuration: String?

  @Option(
    name: .customLong("var"),
    help: ArgumentHelp("A rule variable, such as HOME_NET=[10.0.0.0/8]; repeatable.", valueName: "name=value"),
    transform: RuleVariable.read)
  var variables: [RuleVariable] = []

  public init() {}
}
