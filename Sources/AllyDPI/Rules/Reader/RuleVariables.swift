/// The variables that rules may use, resolved once per reader.
///
/// A variable is text; what it means is only known where it is used, since an address group may name a port group's
/// name. Resolved lists are kept, because tens of thousands of rules use the same few.
struct RuleVariables: Sendable {
  let addresses: [String: Resolution<ListParts<AddressSet>>]
  let ports: [String: Resolution<ListParts<PortSet>>]

  /// What became of a variable.
  enum Resolution<Value: Sendable>: Sendable {
    case resolved(Value)
    /// Why every rule that uses it fails.
    case failed(String)
  }

  /// What a `$name` stands for.
  typealias LookUp<Value> = (RuleSlice) throws(RuleSyntaxError) -> Value

  init(configuration: DPIConfiguration) {
    addresses = Resolver(texts: configuration.addressVariables, read: AddressReader.parts).all
    ports = Resolver(texts: configuration.portVariables, read: PortReader.parts).all
  }

  /// - Parameter name: the variable without its `$`.
  func addresses(_ name: RuleSlice) throws(RuleSyntaxError) -> ListParts<AddressSet> {
    try Self.unwrap(addresses[name.string], of: name)
  }

  func ports(_ name: RuleSlice) throws(RuleSyntaxError) -> ListParts<PortSet> {
    try Self.unwrap(ports[name.string], of: name)
  }

  private static func unwrap<Value>(
    _ resolution: Resolution<Value>?, of name: RuleSlice
  ) throws(RuleSyntaxError) -> Value {
    switch resolution {
    case .resolved(let value): return value
    case .failed(let reason): throw name.error(reason)
    case nil: throw name.error("the variable $\(name.string) is not defined")
    }
  }

  /// Resolves each variable with those that it names; a variable that leads back to itself fails.
  private final class Resolver<Value: Sendable> {
    private let texts: [String: String]
    private let read: (RuleSlice, @escaping LookUp<Value>) throws(RuleSyntaxError) -> Value
    private var done: [String: Resolution<Value>] = [:]
    /// The variables that are being resolved, each named by the one in front of it.
    private var path: [String] = []

    init(
      texts: [String: String], read: @escaping (RuleSlice, @escaping LookUp<Value>) throws(RuleSyntaxError) -> Value
    ) {
      self.texts = texts
      self.read = read
    }

    var all: [String: Resolution<Value>] {
      for name in texts.keys.sorted() { _ = resolve(name) }
      return done
    }

    private func resolve(_ name: String) -> Resolution<Value>? {
      if let known = done[name] { return known }
      guard let text = texts[name] else { return nil }
      if let start = path.firstIndex(of: name) {
        let cycle = (path[start...] + [name]).map { "$" + $0 }.joined(separator: " -> ")
        return .failed("the variable leads back to itself: \(cycle)")
      }
      guard path.count < 64 else { return .failed("more than 64 variables name each other") }
      path.append(name)
      let outcome: Resolution<Value>
      do {
        let slice = RuleText(file: "$" + name, value: text).all.trimmed
        outcome = .resolved(
          try read(slice) { [self] variable throws(RuleSyntaxError) in
            try RuleVariables.unwrap(resolve(variable.string), of: variable)
          })
      } catch {
        outcome = .failed("in the value '\(text)' of $\(name): \(error.reason)")
      }
      path.removeLast()
      done[name] = outcome
      return outcome
    }
  }
}
