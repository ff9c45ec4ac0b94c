internal import AllyDPI

/// The small files beside rules. The first byte says which: a threshold file, classes or references.
struct RuleFilesTarget: FuzzTarget {
  static let name = "rule-files"

  private let configuration = SmallEngine.configuration
  private let rules: RuleReport

  init() throws {
    let text = """
      alert tcp any any -> any any (msg:"one"; content:"GET"; sid:1;)
      alert udp any any -> any any (msg:"two"; threshold:type limit,track by_src,count 1,seconds 60; sid:2;)
      """
    rules = RuleReader(configuration: configuration).read(Array(text.utf8), file: "two.rules")
    require(rules.rules.count == 2, "the two rules load")
  }

  mutating func run(_ input: [UInt8]) {
    var input = InputReader(input)
    let kind = input.byte()
    let text = input.rest()
    switch kind % 3 {
    case 0: thresholds(text)
    case 1:
      let (classes, problems) = Classifications.read(text, file: "fuzz.config")
      requirePlaces(problems, in: text)
      for name in classes.entries.keys { require(classes[name] != nil, "the class \(name) is not found by its name") }
    default:
      let (references, problems) = References.read(text, file: "fuzz.config")
      requirePlaces(problems, in: text)
      for scheme in references.prefixes.keys {
        require(
          references.url(of: RuleReference(scheme: scheme, value: "x")) != nil,
          "the scheme \(scheme) is not found by its name")
      }
    }
  }

  /// What a file says of rules must be fit to run.
  private func thresholds(_ text: [UInt8]) {
    let file = ThresholdFile(text, file: "fuzz.config", configuration: configuration)
    requirePlaces(file.problems, in: text)
    guard !file.entries.isEmpty else { return }
    var report = rules
    file.apply(to: &report)
    do {
      let program = try DetectionProgram(rules: report.rules, configuration: configuration)
      var engine = try DPIEngine(program: program, configuration: configuration, sink: RecordCheck())
      for _ in 0..<3 {
        for frame in SampleTraffic.frames { _ = frame.withPacket { engine.inspect($0) } }
      }
    } catch {
      fatalError("a threshold file made rules unfit: \(error)")
    }
  }
}
