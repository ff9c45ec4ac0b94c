/// Reads rule text.
public struct RuleReader {
  /// - Parameter configuration: whose variables the rules may use.
  public init(configuration: DPIConfiguration, classifications: Classifications = .standard) {
    self.configuration = configuration
    self.classifications = classifications
  }

  let configuration: DPIConfiguration
  let classifications: Classifications

  /// Reads one rule file's bytes. Never fails as a whole: a rule that does not load becomes a ``RuleProblem``.
  ///
  /// - Parameter file: the name for locations.
  public func read(_ text: [UInt8], file: String) -> RuleReport { RuleReport() }
}

/// What reading rules gave.
public struct RuleReport: Sendable {
  /// The rules that load, in file order.
  public var rules: [Rule] = []
  /// Those that do not.
  public var problems: [RuleProblem] = []
  public init() {}
}

/// Why a rule does not load.
public struct RuleProblem: Error, Sendable {
  public var location: RuleLocation
  /// 0 when the rule does not get as far as its sid.
  public var sid: UInt32
  /// What was found and what was expected, in one line.
  public var reason: String
  /// Whether the rule uses a keyword that this version does not know, as opposed to being wrong.
  public var isUnsupported: Bool
}

/// `classification.config`: class type to description and priority.
public struct Classifications: Sendable {
  public struct Entry: Sendable {
    public var description: String
    public var priority: UInt8
  }
  public var entries: [String: Entry]
  /// The class types that Suricata and Snort ship.
  public static var standard: Classifications { Classifications(entries: [:]) }
}
