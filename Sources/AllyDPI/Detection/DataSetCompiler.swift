/// Gathers the sets that rules name: what one rule says of a set holds for all.
struct DataSetCompiler {
  private(set) var definitions: [DataSetDefinition] = []
  /// ``DPIConfiguration/readResource``.
  var readResource: @Sendable (_ name: String, _ place: RuleLocation) -> [UInt8]? = { _, _ in nil }

  /// Takes up what the settings say of sets. A set ends at ``DataSetSetting/wrongLine``.
  init(_ settings: [DataSetSetting] = []) {
    for setting in settings {
      var definition = DataSetDefinition(name: setting.name, kind: setting.kind)
      definition.save = setting.save
      if let cap = setting.memoryCap { definition.memoryCap = cap }
      _ = definition.load(setting.contents ?? [])
      definitions.append(definition)
    }
  }

  mutating func step(for match: DataSetMatch, of rule: Rule) throws(RuleProblem) -> DataSetStep {
    let set = try define(match.name, match.kind, load: match.load, mayBeMissing: match.save != nil, rule)
    if let save = match.save { definitions[set].save = save }
    if let cap = match.memoryCap { definitions[set].memoryCap = cap }
    let action: DataSetStep.Action =
      switch match.action {
      case .isSet: .isSet
      case .isNotSet: .isNotSet
      case .set: .set
      case .unset: .unset
      }
    return DataSetStep(set: UInt32(set), action: action)
  }

  mutating func step(for match: DataReputationMatch, of rule: Rule) throws(RuleProblem) -> ReputationStep {
    let set = try define(match.name, match.kind, load: match.load, mayBeMissing: false, rule)
    if let cap = match.memoryCap { definitions[set].memoryCap = cap }
    return ReputationStep(set: UInt32(set), test: NumberTest(match.reputation))
  }

  private mutating func define(
    _ name: String, _ kind: DataSetMatch.Kind?, load: String?, mayBeMissing: Bool, _ rule: Rule
  ) throws(RuleProblem) -> Int {
    if let known = definitions.firstIndex(where: { $0.name == name }) {
      guard kind == nil || kind == definitions[known].kind else {
        throw problem("the set \"\(name)\" is of type \(definitions[known].kind.rawValue) already", rule)
      }
      return known
    }
    guard let kind else { throw problem("no rule in front of this says the type of the set \"\(name)\"", rule) }
    var definition = DataSetDefinition(name: name, kind: kind)
    if let load {
      let file = readResource(load, rule.location)
      if file == nil && !mayBeMissing { throw problem("the file \(load) of the set \"\(name)\" cannot be read", rule) }
      if let line = definition.load(file ?? []) {
        throw problem("\(load):\(line): expected a value of type \(kind.rawValue), and perhaps a reputation", rule)
      }
    }
    definitions.append(definition)
    return definitions.count - 1
  }

  private func problem(_ reason: String, _ rule: Rule) -> RuleProblem {
    RuleProblem(location: rule.location, sid: rule.sid, reason: "dataset: " + reason, isUnsupported: false)
  }
}
