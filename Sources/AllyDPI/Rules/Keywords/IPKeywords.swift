/// Options about the IP header.
enum IPKeywords {
  static let table: [Keyword] =
    [
      .number("ttl", in: NumberText.byte) { .ttl($0) },
      .exactly("id", in: NumberText.short) { .ipID($0) },
      Keyword("tos", .plain, tos),
      Keyword("ip_proto", .plain, ipProtocol),
      Keyword("l3_proto", .plain, isUnique: true, ipVersion),
      Keyword("ipopts", .plain, ipOption),
      Keyword("fragbits", .plain, fragmentBits),
      Keyword("fragoffset", .plain, fragmentOffset),
      .number("icmpv6.mtu", in: NumberText.long) { .icmpv6MTU($0) },
      Keyword("sameip", .none) { builder, option throws(RuleSyntaxError) in
        builder.append(.sameIP, at: option.keyword)
      },
    ] + ChecksumMatch.Layer.allCases.map(checksum)

  /// `valid` or `invalid`.
  private static func checksum(_ layer: ChecksumMatch.Layer) -> Keyword {
    Keyword(layer.rawValue, .plain, isUnique: true) { builder, option throws(RuleSyntaxError) in
      let isValid: Bool
      switch option.value.lowercased {
      case "valid": isValid = true
      case "invalid": isValid = false
      default: throw option.value.expected("valid or invalid")
      }
      builder.append(.checksum(ChecksumMatch(layer: layer, isValid: isValid)), at: option.keyword)
    }
  }

  /// Decimal, or hexadecimal behind an `x`; `!` in front.
  @Sendable
  private static func tos(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    var rest = option.value
    let isNegated = rest.skip(UInt8(ascii: "!"))
    let value: Int
    if rest.skip(UInt8(ascii: "x")) {
      guard (1...2).contains(rest.range.count), rest.bytes.allSatisfy({ $0.hexDigit != nil }) else {
        throw rest.expected("one or two hexadecimal digits")
      }
      value = rest.bytes.reduce(0) { $0 << 4 | Int($1.hexDigit ?? 0) }
    } else {
      value = try rest.number(in: NumberText.byte)
    }
    builder.append(.tos(isNegated ? .notEqual(UInt32(value)) : .equal(UInt32(value))), at: option.keyword)
  }

  /// A number or a name, with `!`, `<` or `>`. Several of them may stand in a rule when none asks for equality.
  @Sendable
  private static func ipProtocol(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    switch builder.rule.ruleProtocol {
    case .ip, .ip4, .ip6, .pkthdr: break
    default: throw option.keyword.error("expected 'ip_proto' only in rules whose protocol is 'ip'")
    }
    var rest = option.value
    let isNegated = rest.skip(UInt8(ascii: "!"))
    let isLess = !isNegated && rest.skip(UInt8(ascii: "<"))
    let isGreater = !isNegated && !isLess && rest.skip(UInt8(ascii: ">"))
    rest = rest.trimmed
    let number: UInt32
    if rest.first?.isDigit == true {
      number = UInt32(try rest.number(in: NumberText.byte))
    } else if let known = IPProtocolNames.number(rest.lowercased) {
      number = UInt32(known)
    } else {
      throw rest.expected("a protocol number from 0 to 255 or a protocol's name")
    }
    let match: NumberMatch =
      isNegated ? .notEqual(number) : isLess ? .less(number) : isGreater ? .greater(number) : .equal(number)
    for case .ipProtocol(let earlier) in builder.rule.options where earlier.isEquality || match.isEquality {
      throw option.keyword.error("expected no second 'ip_proto' beside one that asks for equality")
    }
    builder.append(.ipProtocol(match), at: option.keyword)
  }

  /// `ipv4`, `ip4`, `ipv6` or `ip6`: of a rule on IP the same as that protocol in its header.
  @Sendable
  private static func ipVersion(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let version: UInt8
    switch option.value.lowercased {
    case "ipv4", "ip4": version = 4
    case "ipv6", "ip6": version = 6
    default: throw option.value.expected("ipv4 or ipv6")
    }
    if builder.rule.ruleProtocol == .ip {
      builder.update { $0.ruleProtocol = version == 4 ? .ip4 : .ip6 }
    } else {
      builder.append(.ipVersion(version), at: option.keyword)
    }
  }

  @Sendable
  private static func ipOption(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    guard let match = ipOptions[option.value.lowercased] else {
      throw option.value.expected("an IP option (\(ipOptions.keys.sorted().joined(separator: ", ")))")
    }
    builder.append(.ipOption(match), at: option.keyword)
  }

  private static let ipOptions: [String: IPOptionMatch] = [
    "rr": .recordRoute, "eol": .endOfList, "nop": .noOperation, "ts": .timestamp, "sec": .security,
    "esec": .extendedSecurity, "lsrr": .looseSourceRoute, "ssrr": .strictSourceRoute, "satid": .streamID, "any": .any,
  ]

  @Sendable
  private static func fragmentBits(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    var match = FragmentBitsMatch(bits: 0, modifier: .exactly)
    var hasModifier = false
    for index in option.value.range {
      let place = option.value.slice(index..<index + 1)
      switch option.value.text.bytes[index] {
      case UInt8(ascii: "M"): match.bits |= 1
      case UInt8(ascii: "D"): match.bits |= 2
      case UInt8(ascii: "R"): match.bits |= 4
      case UInt8(ascii: "+"), UInt8(ascii: "*"), UInt8(ascii: "!"):
        guard !hasModifier else { throw place.expected("only one of + * !") }
        hasModifier = true
        match.modifier = place.first == UInt8(ascii: "+") ? .all : place.first == UInt8(ascii: "*") ? .any : .not
      default: throw place.expected("fragment bits M, D, R and one of + * !")
      }
    }
    guard match.bits != 0 else { throw option.value.expected("at least one of the fragment bits M, D, R") }
    builder.append(.fragmentBits(match), at: option.keyword)
  }

  @Sendable
  private static func fragmentOffset(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    var rest = option.value
    let isLess = rest.skip(UInt8(ascii: "<"))
    let isGreater = !isLess && rest.skip(UInt8(ascii: ">"))
    let number = UInt32(try rest.trimmed.number(in: NumberText.short))
    builder.append(
      .fragmentOffset(isLess ? .less(number) : isGreater ? .greater(number) : .equal(number)), at: option.keyword)
  }
}

extension NumberMatch {
  fileprivate var isEquality: Bool {
    if case .equal = self { true } else { false }
  }
}
