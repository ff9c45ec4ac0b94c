/// TLS and SSH.
enum TLSKeywords {
  static let table: [Keyword] = [
    Keyword("tls.version", .plain, version),
    Keyword("ssl_version", .plain, versions),
    Keyword("ssl_state", .plain, state),
    Keyword("tls.subject", .quotedNegatable) { builder, option throws(RuleSyntaxError) in
      try content(&builder, option, in: .tlsCertificateSubject)
    },
    Keyword("tls.issuerdn", .quotedNegatable) { builder, option throws(RuleSyntaxError) in
      try content(&builder, option, in: .tlsCertificateIssuer)
    },
    Keyword("tls.fingerprint", .quotedNegatable) { builder, option throws(RuleSyntaxError) in
      try content(&builder, option, in: .tlsCertificateFingerprint, isWhole: true)
    },
    Keyword("ssh.softwareversion", .any) { builder, option throws(RuleSyntaxError) in
      try content(&builder, option, in: .sshSoftware)
    },
    validity("tls_cert_expired", .expired),
    validity("tls_cert_valid", .valid),
    time("tls_cert_notbefore", .tlsCertificateNotBefore),
    time("tls_cert_notafter", .tlsCertificateNotAfter),
    // Keeps certificates, and changes no verdict.
    Keyword("tls_store", .none) { builder, option throws(RuleSyntaxError) in
      try builder.restrict(to: [.tls], at: option.keyword)
    },
    Keyword("tls.store", .none) { builder, option throws(RuleSyntaxError) in
      try builder.restrict(to: [.tls], at: option.keyword)
    },
  ]

  private static let numbers: [String: UInt16] = ["1.0": 0x0301, "1.1": 0x0302, "1.2": 0x0303, "1.3": 0x0304]

  /// `1.2`, or a number behind `0x`.
  @Sendable
  private static func version(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let text = option.value
    let number: UInt16
    if let known = numbers[text.string] {
      number = known
    } else {
      guard text.bytes.starts(with: [UInt8(ascii: "0"), UInt8(ascii: "x")]) else {
        throw text.expected("1.0, 1.1, 1.2, 1.3 or a number such as 0x0304")
      }
      number = UInt16(try text.anyNumber(in: NumberText.short))
    }
    try builder.restrict(to: [.tls], at: option.keyword)
    builder.append(.tlsVersion(TLSVersionMatch(versions: [number])), at: option.keyword)
  }

  /// Several versions, all of them or none with a `!`.
  @Sendable
  private static func versions(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let known: [String: UInt16] = [
      "sslv2": 0x0200, "sslv3": 0x0300, "tls1.0": 0x0301, "tls1.1": 0x0302, "tls1.2": 0x0303, "tls1.3": 0x0304,
    ]
    var match = TLSVersionMatch(versions: [])
    for part in option.value.separated() {
      var name = part
      let isNegated = name.skip(UInt8(ascii: "!"))
      guard let number = known[name.trimmed.lowercased] else {
        throw part.expected("sslv2, sslv3, tls1.0, tls1.1, tls1.2 or tls1.3")
      }
      guard match.versions.isEmpty || match.isNegated == isNegated else {
        throw part.error("expected '!' in front of all versions, or of none")
      }
      match.isNegated = isNegated
      match.versions.append(number)
    }
    try builder.restrict(to: [.tls], at: option.keyword)
    builder.append(.tlsVersion(match), at: option.keyword)
  }

  /// States between commas or `|`, each with or without `!`.
  @Sendable
  private static func state(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    var match = TLSStateMatch()
    let isList = option.value.bytes.contains(UInt8(ascii: "|"))
    for part in option.value.separated(by: UInt8(ascii: isList ? "|" : ",")) {
      var name = part
      let isNegated = name.skip(UInt8(ascii: "!"))
      guard let state = TLSStateMatch.State(rawValue: name.trimmed.lowercased) else {
        throw part.expected("one of \(TLSStateMatch.State.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      if isNegated { match.excluded.append(state) } else { match.states.append(state) }
    }
    try builder.restrict(to: [.tls], at: option.keyword)
    builder.append(.tlsState(match), at: option.keyword)
  }

  /// A text in the buffer, with or without quotes.
  private static func content(
    _ builder: inout RuleBuilder, _ option: RuleOptionText, in buffer: InspectionBuffer, isWhole: Bool = false
  ) throws(RuleSyntaxError) {
    var text = option.value
    let isNegated = option.isNegated || (!option.isQuoted && text.skip(UInt8(ascii: "!")))
    text = text.trimmed
    guard !text.isEmpty else { throw option.value.expected("a text") }
    var content = ContentMatch(bytes: Array(text.bytes), location: option.keyword.location)
    content.isNegated = isNegated
    content.view = BufferView(buffer)
    if isWhole {
      content.isCaseless = true
      content.startsWith = true
      content.endsWith = true
      content.offset = 0
      content.depth = .constant(content.bytes.count)
    }
    try builder.restrict(toBuffer: buffer, at: option.keyword)
    builder.append(.content(content), at: option.keyword)
  }

  private static func validity(_ name: String, _ validity: CertificateValidity) -> Keyword {
    Keyword(name, .none) { builder, option throws(RuleSyntaxError) in
      try builder.restrict(to: [.tls], at: option.keyword)
      builder.append(.certificateValidity(validity), at: option.keyword)
    }
  }

  // MARK: - Times

  private static func time(_ name: String, _ number: ApplicationNumber) -> Keyword {
    Keyword(name, .plain) { builder, option throws(RuleSyntaxError) in
      let match = try timeMatch(option.value)
      try builder.restrict(to: [.tls], at: option.keyword)
      builder.append(.applicationNumber(number, match), at: option.keyword)
    }
  }

  /// `2015-10-22`, `<2016`, `>2015-10-22T23`, `2015<>2016-05-22`.
  private static func timeMatch(_ text: RuleSlice) throws(RuleSyntaxError) -> NumberMatch {
    var rest = text
    if rest.skip("<") { return .less(try seconds(rest.trimmed)) }
    if rest.skip(">") { return .greater(try seconds(rest.trimmed)) }
    for index in text.range {
      var last = text.slice(index..<text.range.upperBound)
      guard last.skip("<>") else { continue }
      let low = try seconds(text.slice(text.range.lowerBound..<index).trimmed)
      let high = try seconds(last.trimmed)
      guard low < high, high - low > 1 else {
        throw text.error("expected the earlier time first, found \(text.quoted)")
      }
      return .range(low + 1...high - 1)
    }
    return .equal(try seconds(text))
  }

  /// `YYYY[-MM[-DD[THH[:MM[:SS]]]]]` or seconds since 1970.
  private static func seconds(_ text: RuleSlice) throws(RuleSyntaxError) -> UInt32 {
    if text.range.count > 4, text.bytes.allSatisfy(\.isDigit) { return UInt32(try text.number(in: NumberText.long)) }
    let separators = [UInt8(ascii: "-"), UInt8(ascii: "-"), UInt8(ascii: "T"), UInt8(ascii: ":"), UInt8(ascii: ":")]
    let limits = [1970...2105, 1...12, 1...31, 0...23, 0...59, 0...60]
    var fields = [1970, 1, 1, 0, 0, 0]
    var start = text.range.lowerBound
    var field = 0
    while true {
      let end =
        text.slice(start..<text.range.upperBound).range.first { index in
          field < separators.count && text.text.bytes[index] == separators[field]
        } ?? text.range.upperBound
      fields[field] = try text.slice(start..<end).number(in: limits[field])
      guard end < text.range.upperBound else { break }
      field += 1
      start = end + 1
    }
    return UInt32(
      clamping: CivilDate.days(fields[0], fields[1], fields[2]) * 86_400 + fields[3] * 3_600 + fields[4] * 60
        + fields[5])
  }
}
