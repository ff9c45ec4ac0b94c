internal import AllyPacket

/// Turns a policy as written into a program: looks up chains and sets, lays the rules out one behind the other, and
/// refuses what could run without end.
struct PolicyCompiler {
  private let syntax: PolicySyntax
  private let file: String
  private var program = Program()
  private var table = 0
  private var chain = 0
  /// Where each chain of a table begins, as far as it is laid out.
  private var chainStarts: [[UInt32]] = []
  /// Jumps to chains that may lie ahead.
  private var jumps: [Jump] = []

  private struct Jump {
    var instruction: Int
    var table: Int
    var source: Int
    var target: Int
    var token: Token
  }

  private init(_ syntax: PolicySyntax, file: String) {
    self.syntax = syntax
    self.file = file
  }

  static func compile(_ syntax: PolicySyntax, file: String) throws(PolicyError) -> Program {
    var compiler = PolicyCompiler(syntax, file: file)
    try compiler.run()
    return compiler.program
  }

  private mutating func run() throws(PolicyError) {
    for table in syntax.tables.indices {
      self.table = table
      chainStarts.append([])
      for chain in syntax.tables[table].chains.indices {
        self.chain = chain
        chainStarts[table].append(UInt32(program.instructions.count))
        for rule in syntax.tables[table].chains[chain].rules { try emit(rule) }
        program.instructions.append(Instruction(operation: .end))
      }
    }
    for jump in jumps {
      program.instructions[jump.instruction].first = chainStarts[jump.table][jump.target]
    }
    try checkBounds()
    collectBaseChains()
  }

  private func error(_ expected: String, at token: Token) -> PolicyError {
    PolicyError(file: file, line: token.line, column: token.column, expected: expected, found: token.phrase)
  }

  // MARK: Rules

  private mutating func emit(_ rule: RuleSyntax) throws(PolicyError) {
    let start = program.instructions.count
    for step in rule.steps {
      var instruction = try instruction(for: step)
      switch instruction.operation {
      case .accept, .drop, .reject, .jump, .goto, .return, .continue, .log:
        instruction.count = UInt32(program.ruleCount)
      default: break
      }
      program.instructions.append(instruction)
    }
    let next = UInt32(program.instructions.count)
    for index in start..<program.instructions.count { program.instructions[index].otherwise = next }
    program.ruleCount += 1
  }

  private mutating func instruction(for step: StepSyntax) throws(PolicyError) -> Instruction {
    switch step {
    case .network(let ipv4):
      return Instruction(operation: .network, argument: ipv4 ? 4 : 6)
    case .transport(let protocols):
      return Instruction(operation: .transport, first: intern(protocols))
    case .match(let field, let operand, let negated):
      return try match(field, operand, negated: negated)
    case .connectionState(let states, let negated):
      program.usesConnectionState = true
      return Instruction(operation: .connectionState, isNegated: negated, argument: UInt16(states.rawValue))
    case .tcpFlags(let test):
      program.flagTests.append(test)
      return Instruction(operation: .tcpFlags, first: UInt32(program.flagTests.count - 1))
    case .counter(let packets, let bytes):
      program.counters.append(PacketCount(packets: packets, bytes: bytes))
      return Instruction(operation: .counter, first: UInt32(program.counters.count - 1))
    case .log(let statement):
      program.logs.append(statement)
      return Instruction(operation: .log, first: UInt32(program.logs.count - 1))
    case .verdict(let verdict):
      return try instruction(for: verdict)
    }
  }

  private mutating func instruction(for verdict: VerdictSyntax) throws(PolicyError) -> Instruction {
    switch verdict {
    case .accept: return Instruction(operation: .accept)
    case .drop: return Instruction(operation: .drop)
    case .return: return Instruction(operation: .return)
    case .continue: return Instruction(operation: .continue)
    case .reject(let rejection):
      program.rejections.append(rejection)
      return Instruction(operation: .reject, first: UInt32(program.rejections.count - 1))
    case .jump(let token), .goto(let token):
      guard let target = syntax.tables[table].chains.firstIndex(where: { $0.name == token.text }) else {
        throw error("a chain of table '\(syntax.tables[table].name)'", at: token)
      }
      guard syntax.tables[table].chains[target].base == nil else {
        throw error("a chain without a hook", at: token)
      }
      jumps.append(
        Jump(instruction: program.instructions.count, table: table, source: chain, target: target, token: token))
      if case .jump = verdict { return Instruction(operation: .jump) }
      return Instruction(operation: .goto)
    }
  }

  private mutating func match(
    _ field: FieldSyntax, _ operand: OperandSyntax, negated: Bool
  ) throws(PolicyError) -> Instruction {
    let ranges: [ValueRange]
    switch operand {
    case .ranges(let literal):
      ranges = literal
    case .namedSet(let token):
      guard let set = syntax.tables[table].sets.first(where: { $0.name == token.text }) else {
        throw error("a set of table '\(syntax.tables[table].name)'", at: token)
      }
      guard set.type == field.type else {
        let type = field.type.setTypeName.map { "a set of type \($0)" } ?? field.type.expected
        throw error(type, at: token)
      }
      ranges = set.elements.merged
    }
    let operation: Instruction.Operation =
      switch field {
      case .sourceAddress(.ipv4Address): .sourceAddress4
      case .destinationAddress(.ipv4Address): .destinationAddress4
      case .sourceAddress: .sourceAddress6
      case .destinationAddress: .destinationAddress6
      case .sourcePort: .sourcePort
      case .destinationPort: .destinationPort
      case .ipProtocol: .ipProtocol
      case .headerProtocol: .headerProtocol
      case .icmpType: .icmpType
      case .icmpCode: .icmpCode
      }
    var result = Instruction(operation: operation, isNegated: negated, count: UInt32(ranges.count))
    switch field.type {
    case .ipv4Address:
      result.first = UInt32(program.addresses4.count)
      for range in ranges {
        program.addresses4.append(
          AddressRange4(
            lower: UInt32(truncatingIfNeeded: range.lower), upper: UInt32(truncatingIfNeeded: range.upper)))
      }
    case .ipv6Address:
      result.first = UInt32(program.addresses6.count)
      for range in ranges { program.addresses6.append(AddressRange6(lower: range.lower, upper: range.upper)) }
    case .service:
      result.first = UInt32(program.ports.count)
      for range in ranges {
        program.ports.append(
          PortRange(lower: UInt16(truncatingIfNeeded: range.lower), upper: UInt16(truncatingIfNeeded: range.upper)))
      }
    case .ipProtocol, .icmpType, .icmpv6Type, .icmpCode, .icmpv6Code:
      result.first = intern(ranges.bytes)
    }
    return result
  }

  private mutating func intern(_ set: ByteSet) -> UInt32 {
    if let known = program.byteSets.firstIndex(of: set) { return UInt32(known) }
    program.byteSets.append(set)
    return UInt32(program.byteSets.count - 1)
  }

  // MARK: Bounds

  /// Every jump must lead on: no chain comes back to itself, no packet is in more than 16 chains at once, and none takes
  /// more than a million steps.
  private func checkBounds() throws(PolicyError) {
    for table in syntax.tables.indices {
      let chains = syntax.tables[table].chains
      var outgoing = Array(repeating: [Jump](), count: chains.count)
      for jump in jumps where jump.table == table { outgoing[jump.source].append(jump) }
      // Chains in the order in which all that they jump to stands before them.
      var pending = outgoing.map(\.count)
      var incoming = Array(repeating: [Int](), count: chains.count)
      for jump in jumps where jump.table == table { incoming[jump.target].append(jump.source) }
      var ready = chains.indices.filter { pending[$0] == 0 }
      var depth = Array(repeating: 0, count: chains.count)
      var steps = Array(repeating: 0, count: chains.count)
      var settled = 0
      while let chain = ready.popLast() {
        settled += 1
        steps[chain] = 1 + chains[chain].rules.reduce(0) { $0 + $1.steps.count }
        for jump in outgoing[chain] {
          depth[chain] = max(depth[chain], depth[jump.target] + 1)
          steps[chain] += steps[jump.target]
          guard depth[chain] <= Program.maximumDepth else {
            throw error("at most \(Program.maximumDepth) chains that jump to each other", at: jump.token)
          }
          guard steps[chain] <= Program.maximumSteps else {
            throw error("chains that take a packet at most \(Program.maximumSteps) steps", at: jump.token)
          }
        }
        for source in incoming[chain] {
          pending[source] -= 1
          if pending[source] == 0 { ready.append(source) }
        }
      }
      guard settled == chains.count else {
        // What is left contains a loop; its first jump in the text names it.
        let loop = jumps.first { $0.table == table && pending[$0.source] > 0 && reaches($0, outgoing) }
        if let loop { throw error("a chain that does not lead back here", at: loop.token) }
        return
      }
    }
  }

  /// Whether a jump's target leads back to the jump's own chain.
  private func reaches(_ jump: Jump, _ outgoing: [[Jump]]) -> Bool {
    var seen = Set([jump.target])
    var open = [jump.target]
    while let chain = open.popLast() {
      if chain == jump.source { return true }
      for next in outgoing[chain] where seen.insert(next.target).inserted { open.append(next.target) }
    }
    return false
  }

  // MARK: Base chains

  private mutating func collectBaseChains() {
    var found: [(priority: Int, chain: BaseChain)] = []
    for (table, written) in syntax.tables.enumerated() {
      for (chain, writtenChain) in written.chains.enumerated() {
        guard let base = writtenChain.base else { continue }
        found.append(
          (
            base.priority,
            BaseChain(
              seesReceive: base.hook.sees(.receive), seesTransmit: base.hook.sees(.transmit),
              seesIPv4: written.family != .ip6, seesIPv6: written.family != .ip, accepts: base.accepts,
              start: chainStarts[table][chain])
          ))
      }
    }
    // Chains of one priority keep the order of the text.
    let order = found.indices.sorted { (found[$0].priority, $0) < (found[$1].priority, $1) }
    program.baseChains = order.map { found[$0].chain }
  }
}
