internal import AllyDPI
internal import AllyPacket

/// A rule file: read, compiled, and tried on ``SampleTraffic``. Never a trap, and every problem has its place.
struct RulesTarget: FuzzTarget {
  static let name = "rules"

  private let configuration = SmallEngine.configuration
  private let reader: RuleReader

  init() { reader = RuleReader(configuration: configuration) }

  mutating func run(_ input: [UInt8]) {
    let report = reader.read(input, file: "fuzz.rules")
    requirePlaces(report.problems + report.warnings, in: input)
    let program: DetectionProgram
    var engine: DPIEngine
    do {
      program = try DetectionProgram(rules: report.rules, configuration: configuration)
      requirePlaces(program.problems, in: input)
      require(
        program.ruleCount + program.problems.count == report.rules.count,
        "\(report.rules.count) rules were read, \(program.ruleCount) compiled, \(program.problems.count) refused")
      engine = try DPIEngine(program: program, configuration: configuration, sink: RecordCheck())
    } catch {
      fatalError("rules that were read are no program: \(error)")
    }
    for frame in SampleTraffic.frames { _ = frame.withPacket { engine.inspect($0) } }
    engine.finish()
  }
}

/// Each problem stands in the text, and says something.
func requirePlaces(_ problems: [RuleProblem], in text: [UInt8]) {
  guard !problems.isEmpty else { return }
  let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
  for problem in problems {
    let place = problem.location
    require(
      (1...lines.count).contains(place.line) && (1...lines[place.line - 1].count + 1).contains(place.column)
        && !problem.reason.isEmpty, "a problem that stands nowhere: \(problem)")
  }
}
