/// A firewall's rules, in a subset of nftables' own language (Docs/FirewallPolicy.md), read, checked and compiled.
///
/// An immutable value that all cores share; each core makes a ``FirewallInspector`` of its own from it.
public struct FirewallPolicy: Sendable {
  /// A rule's place.
  public struct Rule: Sendable, Equatable {
    public var table: String
    public var chain: String
    /// Its line in the policy's text, from 1.
    public var line: Int
  }

  let syntax: PolicySyntax
  let program: Program

  /// Reads a policy.
  ///
  /// - Parameters:
  ///   - text: the policy, UTF-8.
  ///   - file: what errors call it.
  /// - Throws: ``PolicyError`` at the first place that cannot be understood.
  public init(_ text: [UInt8], file: String) throws(PolicyError) {
    syntax = try PolicyParser.parse(text, file: file)
    program = try PolicyCompiler.compile(syntax, file: file)
  }

  /// Reads a policy from a string.
  public init(_ text: String, file: String = "policy") throws(PolicyError) {
    try self.init(Array(text.utf8), file: file)
  }

  /// The rules, in the order of the text.
  public var rules: [Rule] {
    syntax.tables.flatMap { table in
      table.chains.flatMap { chain in
        chain.rules.map { Rule(table: table.name, chain: chain.name, line: $0.line) }
      }
    }
  }

  /// The `log` statements, in the order of the text.
  public var logStatements: [LogStatement] { program.logs }

  /// Whether a packet that travels so meets a chain at all.
  public func judges(_ hook: FirewallHook) -> Bool {
    syntax.tables.contains { $0.chains.contains { $0.base?.hook == hook } }
  }

  /// The rules with their counters, as `nft list ruleset` prints them.
  ///
  /// - Parameter counters: what ``FirewallInspector/counters`` says; nil: what the policy starts with.
  public func listing(counters: PolicyCounters? = nil) -> String {
    let numbers = counters?.statements ?? program.counters
    var counter = 0
    var text = ""
    for table in syntax.tables {
      text += "table \(table.family.rawValue) \(table.name) {\n"
      var blocks: [String] = []
      for set in table.sets { blocks.append(FirewallPolicy.listing(of: set)) }
      for chain in table.chains {
        var block = "\tchain \(chain.name) {\n"
        if let base = chain.base {
          block += "\t\ttype filter hook \(base.hook.rawValue) priority \(base.listedPriority); "
          block += "policy \(base.accepts ? "accept" : "drop");\n"
        }
        for rule in chain.rules {
          var pieces: [String] = []
          for piece in rule.listed {
            switch piece {
            case .text(let written): pieces.append(written)
            case .counter:
              let number = numbers[counter]
              pieces.append("counter packets \(number.packets) bytes \(number.bytes)")
              counter += 1
            }
          }
          block += "\t\t" + pieces.joined(separator: " ") + "\n"
        }
        blocks.append(block + "\t}\n")
      }
      text += blocks.joined(separator: "\n") + "}\n"
    }
    return text
  }

  private static func listing(of set: SetSyntax) -> String {
    var text = "\tset \(set.name) {\n\t\ttype \(set.type.setTypeName ?? "")\n"
    if set.hasIntervals { text += "\t\tflags interval\n" }
    if set.mergesIntervals { text += "\t\tauto-merge\n" }
    if !set.listedElements.isEmpty {
      text += "\t\telements = { \(set.listedElements.joined(separator: ", ")) }\n"
    }
    return text + "\t}\n"
  }
}
