import AllyPacket

/// What is known of a packet behind the matches of a rule that were read so far.
private struct RuleContext {
  /// nil: either family.
  var isIPv4: Bool?
  /// The transport protocols that are still possible.
  var protocols = ByteSet.all
  var steps: [StepSyntax] = []
  var counters = 0
}

extension PolicyParser {
  private static let expectedStatement =
    "a match (ip, ip6, tcp, udp, udplite, sctp, dccp, th, icmp, icmpv6, meta or ct), a statement (counter, log or "
    + "comment) or a verdict (accept, drop, reject, jump, goto, return or continue)"

  /// Reads matches and statements up to the end of the rule.
  mutating func parseRule(family: TableFamily) throws(PolicyError) -> RuleSyntax {
    var rule = RuleSyntax(line: token.line)
    var context = RuleContext()
    switch family {
    case .ip: context.isIPv4 = true
    case .ip6: context.isIPv4 = false
    case .inet: break
    }
    var decided = false
    var textStart = position
    func text(_ parser: PolicyParser) -> [ListedPiece] {
      textStart < parser.position ? [.text(parser.listedText(from: textStart))] : []
    }
    repeat {
      if isWord("comment") {
        advance()
        _ = try string("a comment in quotes")
        guard token.isSeparator || isSymbol("}") || token.kind == .end else {
          throw error("the end of the rule behind its comment")
        }
        break
      }
      guard !decided else { throw error("the end of the rule: nothing runs behind a verdict") }
      if isWord("counter") {
        rule.listed += text(self)
        try parseCounter(&context)
        rule.listed.append(.counter(context.counters))
        context.counters += 1
        textStart = position
      } else {
        decided = try parseStatement(&context)
      }
    } while !(token.isSeparator || isSymbol("}") || token.kind == .end)
    rule.listed += text(self)
    rule.steps = context.steps
    return rule
  }

  /// - Returns: whether it was a verdict.
  private mutating func parseStatement(_ context: inout RuleContext) throws(PolicyError) -> Bool {
    guard token.kind == .word else { throw error(PolicyParser.expectedStatement) }
    let keyword = token
    switch keyword.text {
    case "ip":
      advance()
      try parseNetworkField(&context, keyword, isIPv4: true)
    case "ip6":
      advance()
      try parseNetworkField(&context, keyword, isIPv4: false)
    case "tcp":
      advance()
      if isWord("flags") {
        try require(ByteSet(6), &context, keyword)
        try parseTCPFlags(&context)
      } else {
        try parsePort(&context, keyword, ByteSet(6), fields: "sport, dport or flags")
      }
    case "udp":
      advance()
      try parsePort(&context, keyword, ByteSet(17))
    case "udplite":
      advance()
      try parsePort(&context, keyword, ByteSet(136))
    case "sctp":
      advance()
      try parsePort(&context, keyword, ByteSet(132))
    case "dccp":
      advance()
      try parsePort(&context, keyword, ByteSet(33))
    case "th":
      advance()
      try parsePort(&context, keyword, ByteSet(6, 17, 33, 132, 136))
    case "icmp":
      advance()
      try require(isIPv4: true, &context, keyword)
      try require(ByteSet(1), &context, keyword)
      try parseICMPField(&context, type: .icmpType, code: .icmpCode)
    case "icmpv6":
      advance()
      try require(isIPv4: false, &context, keyword)
      try require(ByteSet(58), &context, keyword)
      try parseICMPField(&context, type: .icmpv6Type, code: .icmpv6Code)
    case "meta":
      advance()
      try parseMeta(&context)
    case "ct":
      advance()
      guard takeWord("state") else { throw error("'state'") }
      try parseConnectionState(&context)
    case "log":
      advance()
      context.steps.append(.log(try parseLog()))
    case "accept", "drop", "return", "continue", "reject", "jump", "goto":
      advance()
      context.steps.append(.verdict(try parseVerdict(keyword, &context)))
      return true
    case "iif", "iifname", "oif", "oifname":
      throw error("\(PolicyParser.expectedStatement); a NIC has no interfaces to choose from, the hook names the way")
    default:
      throw error(PolicyParser.expectedStatement)
    }
    return false
  }

  // MARK: What a match implies

  private func require(isIPv4: Bool, _ context: inout RuleContext, _ at: Token) throws(PolicyError) {
    if let known = context.isIPv4 {
      guard known == isIPv4 else {
        throw error(
          "a match for \(known ? "IPv4" : "IPv6"), which the rule's table or an earlier match asks for", at: at)
      }
    } else {
      context.isIPv4 = isIPv4
      context.steps.append(.network(ipv4: isIPv4))
    }
  }

  private func require(_ protocols: ByteSet, _ context: inout RuleContext, _ at: Token) throws(PolicyError) {
    let possible = context.protocols.intersection(protocols)
    guard !possible.isEmpty else {
      throw error("a match for the protocol that an earlier match of the rule asks for", at: at)
    }
    if possible != context.protocols { context.steps.append(.transport(protocols)) }
    context.protocols = possible
  }

  private func narrow(
    _ operand: OperandSyntax, negated: Bool, _ context: inout RuleContext, _ at: Token
  ) throws(PolicyError) {
    guard case .ranges(let ranges) = operand else { return }
    context.protocols = context.protocols.intersection(negated ? ranges.bytes.inverted : ranges.bytes)
    guard !context.protocols.isEmpty else {
      throw error("a protocol that an earlier match of the rule leaves possible", at: at)
    }
  }

  // MARK: Matches

  private mutating func parseNetworkField(
    _ context: inout RuleContext, _ keyword: Token, isIPv4: Bool
  ) throws(PolicyError) {
    try require(isIPv4: isIPv4, &context, keyword)
    let type: ValueType = isIPv4 ? .ipv4Address : .ipv6Address
    let field: FieldSyntax
    switch token.kind == .word ? token.text : "" {
    case "saddr": field = .sourceAddress(type)
    case "daddr": field = .destinationAddress(type)
    case "protocol" where isIPv4, "nexthdr" where !isIPv4: field = .headerProtocol
    default: throw error(isIPv4 ? "saddr, daddr or protocol" : "saddr, daddr or nexthdr")
    }
    advance()
    let value = position
    let (operand, negated) = try parseOperand(field.type)
    // In IPv6 the header may name an extension header before the protocol.
    if case .headerProtocol = field, isIPv4 {
      try narrow(operand, negated: negated, &context, tokens[value])
    }
    context.steps.append(.match(field, operand, negated: negated))
  }

  private mutating func parsePort(
    _ context: inout RuleContext, _ keyword: Token, _ protocols: ByteSet, fields: String = "sport or dport"
  ) throws(PolicyError) {
    try require(protocols, &context, keyword)
    let field: FieldSyntax
    switch token.kind == .word ? token.text : "" {
    case "sport": field = .sourcePort
    case "dport": field = .destinationPort
    default: throw error(fields)
    }
    advance()
    let (operand, negated) = try parseOperand(.service)
    context.steps.append(.match(field, operand, negated: negated))
  }

  private mutating func parseICMPField(
    _ context: inout RuleContext, type: ValueType, code: ValueType
  ) throws(PolicyError) {
    let field: FieldSyntax
    switch token.kind == .word ? token.text : "" {
    case "type": field = .icmpType(type)
    case "code": field = .icmpCode(code)
    default: throw error("type or code")
    }
    advance()
    let (operand, negated) = try parseOperand(field.type)
    context.steps.append(.match(field, operand, negated: negated))
  }

  private mutating func parseMeta(_ context: inout RuleContext) throws(PolicyError) {
    if takeWord("l4proto") {
      let value = position
      let (operand, negated) = try parseOperand(.ipProtocol)
      try narrow(operand, negated: negated, &context, tokens[value])
      context.steps.append(.match(.ipProtocol, operand, negated: negated))
    } else if takeWord("nfproto") {
      var negated = false
      if takeSymbol("!=") { negated = true } else { _ = takeSymbol("==") }
      let value = token
      if takeWord("ipv4") {
        try require(isIPv4: !negated, &context, value)
      } else if takeWord("ipv6") {
        try require(isIPv4: negated, &context, value)
      } else {
        throw error("ipv4 or ipv6")
      }
    } else {
      throw error("l4proto or nfproto")
    }
  }

  /// `new`, `established,related` or `{ established, related }`
  private mutating func parseConnectionState(_ context: inout RuleContext) throws(PolicyError) {
    var negated = false
    if takeSymbol("!=") { negated = true } else { _ = takeSymbol("==") }
    var states: ConnectionStateSet = []
    let one = { (parser: inout PolicyParser) throws(PolicyError) in
      guard parser.token.kind == .word, let state = ConnectionStateSet.names[parser.token.text] else {
        throw parser.error("a state: new, established, related, invalid or untracked")
      }
      states.formUnion(state)
      parser.advance()
    }
    if isSymbol("{") {
      try parseBraces(element: one)
    } else {
      repeat { try one(&self) } while takeSymbol(",")
    }
    context.steps.append(.connectionState(states, negated: negated))
  }

  /// `syn`, `syn,ack`, `== syn`, `& (fin | syn) == syn`, `syn / fin,syn`
  private mutating func parseTCPFlags(_ context: inout RuleContext) throws(PolicyError) {
    advance()
    let test: TCPFlagsTest
    if takeSymbol("&") {
      let mask = try parseFlagList()
      let equal = isSymbol("==")
      guard takeSymbol("==") || takeSymbol("!=") else { throw error("'==' or '!='") }
      let value = try parseFlagList()
      test = TCPFlagsTest(comparison: equal ? .equal : .notEqual, mask: mask, value: value)
    } else if isSymbol("==") || isSymbol("!=") {
      let equal = isSymbol("==")
      advance()
      let value = try parseFlagList()
      let mask = takeWord("/") ? try parseFlagList() : 0xFF
      test = TCPFlagsTest(comparison: equal ? .equal : .notEqual, mask: mask, value: value)
    } else {
      let value = try parseFlagList()
      if takeWord("/") {
        test = TCPFlagsTest(comparison: .equal, mask: try parseFlagList(), value: value)
      } else {
        test = TCPFlagsTest(comparison: .any, mask: 0xFF, value: value)
      }
    }
    context.steps.append(.tcpFlags(test))
  }

  /// Flags with `|` between them, in parentheses or not, or with `,`; or a number.
  private mutating func parseFlagList() throws(PolicyError) -> UInt8 {
    let parenthesized = takeSymbol("(")
    var bits: UInt8 = 0
    repeat {
      guard token.kind == .word, let flag = Names.tcpFlags[token.text] ?? PolicyParser.flagNumber(token.text) else {
        throw error("a TCP flag: fin, syn, rst, psh, ack, urg, ecn or cwr")
      }
      bits |= flag
      advance()
    } while takeSymbol("|") || (!parenthesized && takeSymbol(","))
    if parenthesized { try expectSymbol(")") }
    return bits
  }

  private static func flagNumber(_ text: String) -> UInt8? {
    Number.parse(text[...]).flatMap { UInt8(exactly: $0) }
  }

  // MARK: Operands

  /// A comparison and what is compared with: a value, a range, a prefix, `{ … }` or `@set`.
  private mutating func parseOperand(_ type: ValueType) throws(PolicyError) -> (OperandSyntax, negated: Bool) {
    let comparison = token
    var order: String?
    var negated = false
    switch (comparison.kind, comparison.text) {
    case (.symbol, "=="), (.word, "eq"): advance()
    case (.symbol, "!="), (.word, "ne"):
      negated = true
      advance()
    case (.symbol, "<"), (.symbol, ">"), (.symbol, "<="), (.symbol, ">="):
      order = comparison.text
      advance()
    case (.word, "lt"), (.word, "gt"), (.word, "le"), (.word, "ge"):
      order = ["lt": "<", "gt": ">", "le": "<=", "ge": ">="][comparison.text]
      advance()
    default: break
    }
    if let order {
      guard token.kind == .word, let value = type.single(token.text[...]) else { throw error(type.expected) }
      let maximum = type.maximum
      let range: ValueRange? =
        switch order {
        case "<": value == 0 ? nil : ValueRange(lower: 0, upper: value - 1)
        case "<=": ValueRange(lower: 0, upper: value)
        case ">": value == maximum ? nil : ValueRange(lower: value + 1, upper: maximum)
        default: ValueRange(lower: value, upper: maximum)
        }
      guard let range else { throw error("a value that something can be \(order == "<" ? "below" : "above")") }
      advance()
      return (.ranges([range]), false)
    }
    if token.kind == .setReference {
      defer { advance() }
      return (.namedSet(token), negated)
    }
    if isSymbol("{") {
      var ranges: [ValueRange] = []
      try parseBraces { (parser: inout PolicyParser) throws(PolicyError) in ranges.append(try parser.range(type)) }
      return (.ranges(ranges.merged), negated)
    }
    return (.ranges([try range(type)]), negated)
  }

  // MARK: Statements

  /// `counter` or `counter packets 3 bytes 180`, as a listing prints it.
  private mutating func parseCounter(_ context: inout RuleContext) throws(PolicyError) {
    advance()
    var packets: UInt64 = 0
    var bytes: UInt64 = 0
    if takeWord("packets") {
      packets = try number()
      guard takeWord("bytes") else { throw error("'bytes'") }
      bytes = try number()
    }
    context.steps.append(.counter(packets: packets, bytes: bytes))
  }

  private mutating func number() throws(PolicyError) -> UInt64 {
    guard token.kind == .word, let number = Number.parse(token.text[...]) else { throw error("a number") }
    advance()
    return number
  }

  private mutating func parseLog() throws(PolicyError) -> LogStatement {
    var statement = LogStatement(prefix: "", level: nil)
    while true {
      if takeWord("prefix") {
        statement.prefix = try string("a prefix in quotes")
      } else if takeWord("level") {
        guard token.kind == .word, Names.logLevels.contains(token.text) else {
          throw error("a level: emerg, alert, crit, err, warn, notice, info or debug")
        }
        statement.level = token.text
        advance()
      } else {
        return statement
      }
    }
  }

  private mutating func parseVerdict(
    _ keyword: Token, _ context: inout RuleContext
  ) throws(PolicyError) -> VerdictSyntax {
    switch keyword.text {
    case "accept": return .accept
    case "drop": return .drop
    case "return": return .return
    case "continue": return .continue
    case "reject": return .reject(try parseRejection(&context))
    default:
      let target = token
      _ = try name("a chain's name")
      return keyword.text == "jump" ? .jump(target) : .goto(target)
    }
  }

  /// Nothing, or `with tcp reset`, `with icmp type host-unreachable`, …; what it needs of the packet becomes a match.
  private mutating func parseRejection(_ context: inout RuleContext) throws(PolicyError) -> Rejection {
    guard takeWord("with") else {
      return .icmpx(icmpCode: 3, icmpv6Code: 4)
    }
    let kind = token
    if takeWord("tcp") {
      guard takeWord("reset") else { throw error("'reset'") }
      try require(ByteSet(6), &context, kind)
      return .tcpReset
    }
    if takeWord("icmp") {
      _ = takeWord("type")
      guard token.kind == .word, let code = Names.icmpCodes[token.text] else {
        throw error("an ICMP code: \(PolicyParser.list(Names.icmpCodes.keys))")
      }
      try require(isIPv4: true, &context, kind)
      advance()
      return .icmp(code: code)
    }
    if takeWord("icmpv6") {
      _ = takeWord("type")
      guard token.kind == .word, let code = Names.icmpv6Codes[token.text] else {
        throw error("an ICMPv6 code: \(PolicyParser.list(Names.icmpv6Codes.keys))")
      }
      try require(isIPv4: false, &context, kind)
      advance()
      return .icmpv6(code: code)
    }
    if takeWord("icmpx") {
      _ = takeWord("type")
      guard token.kind == .word, let codes = Names.icmpxCodes[token.text] else {
        throw error("a code: \(PolicyParser.list(Names.icmpxCodes.keys))")
      }
      advance()
      return .icmpx(icmpCode: codes.icmp, icmpv6Code: codes.icmpv6)
    }
    throw error("tcp, icmp, icmpv6 or icmpx")
  }

  private static func list(_ names: some Collection<String>) -> String {
    names.sorted().joined(separator: ", ")
  }
}
