/// What a flow has come to: its numbers, its sizes, its age.
enum StreamKeywords {
  static let table: [Keyword] = [
    Keyword("flowint", .plain, flowInteger),
    Keyword("stream_size", .plain, streamSize),
    .number("flow.age", in: NumberText.long) { .flowAge($0) },
    Keyword("tag", .plain, tag),
    Keyword("bypass", .none) { builder, _ throws(RuleSyntaxError) in
      builder.update { $0.bypasses = true }
    },
  ]

  /// `NAME, OPERATION[, NUMBER|NAME]`.
  @Sendable
  private static func flowInteger(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let parts = option.value.separated()
    guard parts.count >= 2 else { throw option.value.expected("a name, an operation and a value") }
    try checkName(parts[0])
    let operation: FlowInteger.Operation
    switch parts[1].string {
    case "=": operation = .set
    case "+": operation = .add
    case "-": operation = .subtract
    case "<": operation = .less
    case "<=": operation = .lessOrEqual
    case "==": operation = .equal
    case "!=": operation = .notEqual
    case ">=": operation = .greaterOrEqual
    case ">": operation = .greater
    case "isset": operation = .isSet
    case "isnotset", "notset": operation = .isNotSet
    default: throw parts[1].expected("one of = + - < <= == != >= > isset isnotset")
    }
    var integer = FlowInteger(name: parts[0].string, operation: operation, operand: nil)
    if operation == .isSet || operation == .isNotSet {
      // A value is passed over.
      guard parts.count <= 3 else { throw parts[3].expected("nothing behind \(parts[1].quoted)") }
    } else {
      guard parts.count >= 3, !parts[2].isEmpty else {
        throw parts[1].error("expected a value behind \(parts[1].quoted)")
      }
      guard parts.count == 3 else { throw parts[3].expected("nothing behind the value") }
      if parts[2].first?.isDigit == true {
        integer.operand = .constant(UInt32(try parts[2].number(in: NumberText.long)))
      } else {
        try checkName(parts[2])
        integer.operand = .name(parts[2].string)
      }
    }
    builder.append(.flowInteger(integer), at: option.keyword)
  }

  private static func checkName(_ text: RuleSlice) throws(RuleSyntaxError) {
    let isName = text.string.utf8.enumerated().allSatisfy { index, byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
      case UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "/"): index > 0
      default: index > 0 && byte.isDigit
      }
    }
    guard isName, text.range.count >= 2 else {
      throw text.expected("a name: a letter, then at least one of letters, digits, '_', '.' and '/'")
    }
  }

  /// `server|client|both|either, OPERATOR, BYTES`.
  @Sendable
  private static func streamSize(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let parts = option.value.separated()
    guard parts.count == 3 else { throw option.value.expected("a side, an operator and a number of bytes") }
    guard let side = StreamSize.Side(rawValue: parts[0].string) else {
      throw parts[0].expected("server, client, both or either")
    }
    let number = UInt32(try parts[2].number(in: NumberText.long))
    let size: NumberMatch
    switch parts[1].string {
    case "<": size = .less(number)
    case "<=": size = .lessOrEqual(number)
    case "=": size = .equal(number)
    case "!=": size = .notEqual(number)
    case ">=": size = .greaterOrEqual(number)
    case ">": size = .greater(number)
    default: throw parts[1].expected("one of < <= = != >= >")
    }
    builder.append(.streamSize(StreamSize(side: side, size: size)), at: option.keyword)
  }

  /// `session|host[, COUNT, packets|bytes|seconds[, src|dst]]`; Snort 3 writes `session, packets COUNT` and `host_src`.
  @Sendable
  private static func tag(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    var parts = option.value.separated()
    var tag = Tag(scope: .session, count: 256, unit: .packets)
    var isHost = false
    switch parts.removeFirst().string {
    case "session": break
    case "host": isHost = true
    case "host_src": tag.scope = .sourceHost
    case "host_dst": tag.scope = .destinationHost
    default: throw option.value.expected("'session' or 'host'")
    }
    if let first = parts.first {
      let (word, value) = first.firstWord
      if let unit = Tag.Unit(rawValue: word.string), !value.isEmpty {
        tag.unit = unit
        tag.count = UInt32(try value.number(in: NumberText.long))
        parts.removeFirst()
      } else {
        tag.count = UInt32(try first.number(in: NumberText.long))
        guard parts.count >= 2 else { throw first.error("expected packets, bytes or seconds behind the count") }
        guard let unit = Tag.Unit(rawValue: parts[1].string) else {
          throw parts[1].expected("packets, bytes or seconds")
        }
        tag.unit = unit
        parts.removeFirst(2)
      }
    }
    if isHost {
      tag.scope = .sourceHost
    }
    if let side = parts.first {
      switch side.string {
      case "src": break
      case "dst": if isHost { tag.scope = .destinationHost }
      default: throw side.expected("'src' or 'dst'")
      }
      parts.removeFirst()
    }
    if let rest = parts.first { throw rest.expected("nothing more") }
    builder.update { if $0.tag == nil { $0.tag = tag } else { $0.furtherTags.append(tag) } }
  }
}
