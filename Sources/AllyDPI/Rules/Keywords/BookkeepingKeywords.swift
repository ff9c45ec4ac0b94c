/// What says something about a rule and does not take part in matching.
enum BookkeepingKeywords {
  static let table: [Keyword] = [
    Keyword("msg", .quoted, isUnique: true, message),
    Keyword("sid", .plain, isUnique: true) { builder, option throws(RuleSyntaxError) in
      let sid = UInt32(try option.value.number(in: 1...Int(UInt32.max)))
      builder.update { $0.sid = sid }
    },
    Keyword("rev", .plain, isUnique: true) { builder, option throws(RuleSyntaxError) in
      let rev = UInt32(try option.value.number(in: 1...Int(UInt32.max)))
      builder.update { $0.rev = rev }
    },
    Keyword("gid", .plain) { builder, option throws(RuleSyntaxError) in
      let gid = UInt32(try option.value.number(in: 0...Int(UInt32.max)))
      builder.update { $0.gid = gid }
    },
    Keyword("priority", .plain) { builder, option throws(RuleSyntaxError) in
      builder.setPriority(UInt32(try option.value.number(in: 0...Int(Int32.max))))
    },
    Keyword("classtype", .plain) { builder, option throws(RuleSyntaxError) in
      guard option.value.bytes.allSatisfy(\.isNameCharacter) else {
        throw option.value.expected("the name of a class type: letters, digits, '-' and '_'")
      }
      builder.setClasstype(option.value)
    },
    Keyword("reference", .any, reference),
    Keyword("metadata", .plain, metadata),
    Keyword("target", .plain) { builder, option throws(RuleSyntaxError) in
      let target: Rule.Target
      switch option.value.string {
      case "src_ip": target = .source
      case "dest_ip": target = .destination
      default: throw option.value.expected("'src_ip' or 'dest_ip'")
      }
      builder.update { $0.target = target }
    },
    Keyword("noalert", .none) { builder, _ throws(RuleSyntaxError) in
      builder.update { $0.noAlert = true }
    },
    Keyword("alert", .none) { builder, _ throws(RuleSyntaxError) in
      builder.update { $0.alsoAlerts = true }
    },
    // A mark for the kernel behind NFQUEUE, which is nowhere here; Suricata, too, sets it there alone.
    Keyword("nfq_set_mark", .plain) { _, option throws(RuleSyntaxError) in
      let parts = option.value.separated(by: UInt8(ascii: "/"))
      guard parts.count == 2 else { throw option.value.expected("a mark and a mask, such as 0x10/0xff") }
      for part in parts { _ = try part.anyNumber(in: NumberText.long) }
    },
    Keyword("config", .plain, isUnique: true, configuration),
    // Snort's remark for readers.
    Keyword("rem", .any) { _, _ throws(RuleSyntaxError) in },
  ]

  /// A `\` takes away the meaning of the character behind it and goes.
  @Sendable
  private static func message(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    var bytes: [UInt8] = []
    var isEscaped = false
    for byte in option.value.bytes {
      if byte == UInt8(ascii: "\\") && !isEscaped {
        isEscaped = true
        continue
      }
      isEscaped = false
      bytes.append(byte)
    }
    let message = String(decoding: bytes, as: UTF8.self)
    builder.update { $0.message = message }
  }

  /// `logging disable, type tx|flow, scope tx|flow`. In Suricata all of them mean the transaction's record.
  @Sendable
  private static func configuration(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let parts = option.value.separated()
    guard parts.count == 3 else { throw option.value.expected("'logging disable, type tx, scope tx'") }
    guard parts[0].words.map(\.string) == ["logging", "disable"] else { throw parts[0].expected("'logging disable'") }
    for (part, name) in zip(parts[1...], ["type", "scope"]) {
      let words = part.words.map(\.string)
      guard words == [name, "tx"] || words == [name, "flow"] else {
        throw part.expected("'\(name) tx' or '\(name) flow'")
      }
    }
    builder.update { $0.silencesRecord = true }
  }

  @Sendable
  private static func reference(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let bytes = option.value.text.bytes
    let range = option.value.range
    guard let comma = range.first(where: { bytes[$0] == UInt8(ascii: ",") }) else {
      throw option.value.expected("a reference such as 'cve,2021-44228'")
    }
    let scheme = option.value.slice(range.lowerBound..<comma).trimmed
    var value = option.value.slice(comma + 1..<range.upperBound).trimmed
    if value.range.count >= 2, value.first == UInt8(ascii: "\""), value.last == UInt8(ascii: "\"") {
      value = value.slice(value.range.lowerBound + 1..<value.range.upperBound - 1)
    }
    guard !scheme.isEmpty, !value.isEmpty else {
      throw option.value.expected("a reference such as 'cve,2021-44228'")
    }
    let reference = RuleReference(scheme: scheme.string, value: value.string)
    builder.update { $0.references.append(reference) }
  }

  /// `key value, key value`. Words without a value are passed over.
  @Sendable
  private static func metadata(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    for pair in option.value.separated() {
      let (key, value) = pair.firstWord
      guard !value.isEmpty else { continue }
      builder.update { $0.metadata.append((key: key.string, value: value.string)) }
    }
  }
}

extension UInt8 {
  fileprivate var isNameCharacter: Bool {
    switch self {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"),
      UInt8(ascii: "_"):
      true
    default: isDigit
    }
  }
}
