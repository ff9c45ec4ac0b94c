/// Rules, compiled: immutable, shared by all cores.
public final class DetectionProgram: Sendable {
  let tables: DetectionTables
  /// What records say of each rule.
  let records: [SignatureRecord]
  /// By number: for records.
  let flowBitNames: [String]
  let hostBitNames: [String]
  let integerNames: [String]
  let variableNames: [String]
  /// Rules that could be read but not compiled (a pattern that PCRE2 refuses, an event that no decoder knows): they are left out.
  public let problems: [RuleProblem]
  /// The rules that are in effect.
  public var ruleCount: Int { records.count }

  /// Compiles rules.
  ///
  /// - Parameters:
  ///   - rules: as ``RuleReader`` gave them.
  ///   - configuration: what the engines will run with.
  ///   - former: the rules that these take the place of (``DPIEngine/reload(_:)``).
  /// - Throws: ``DetectionProgramError/matcher(_:)`` when Hyperscan refuses.
  public init(
    rules: [Rule], configuration: DPIConfiguration, following former: DetectionProgram? = nil
  ) throws(DetectionProgramError) {
    var compiler = RuleCompiler(following: former)
    tables = try compiler.compile(rules, configuration)
    records = compiler.records
    problems = compiler.problems
    flowBitNames = compiler.flowBitNames
    hostBitNames = compiler.hostBitNames
    integerNames = compiler.integerNames
    variableNames = compiler.variableNames
  }

  // Engines hold the program, so nobody reads the tables any more.
  deinit { unsafe tables.deallocate() }

  /// The protocols whose frames rules or records ask for: a bit for each parser.
  func framesAskedFor(records: RecordKinds) -> UInt32 {
    if records.contains(.frames) { return .max }
    return (0..<tables.frames.count).reduce(0) { $0 | 1 &<< UInt32(tables.frames[$1].application) }
  }

  /// What records say of a signature.
  func record(of signature: UInt32) -> SignatureRecord { records[Int(tables.records[signature])] }
}

/// Why rules cannot be compiled.
public enum DetectionProgramError: Error, Sendable {
  /// The matcher's library refused; a defect or a lack of memory, since rules were checked when read.
  case matcher(String)
}
