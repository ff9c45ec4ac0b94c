/// `pcre`.
enum PatternKeywords {
  static let table: [Keyword] = [Keyword("pcre", .any, pcre), Keyword("asn1", .plain, asn1)]

  /// `bitstring_overflow`, `double_overflow`, `oversize_length N`, `absolute_offset N`, `relative_offset N`, between commas or
  /// spaces.
  @Sendable
  private static func asn1(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    var match = ASN1Match()
    for part in option.value.separated() {
      let (word, value) = part.firstWord
      switch word.lowercased {
      case "bitstring_overflow" where value.isEmpty: match.bitStringOverflow = true
      case "double_overflow" where value.isEmpty: match.doubleOverflow = true
      case "oversize_length": match.longest = UInt32(try value.number(in: NumberText.long))
      case "absolute_offset":
        match.isRelative = false
        match.offset = Int32(try value.anyNumber(in: 0...Int(UInt16.max)))
      case "relative_offset":
        match.isRelative = true
        match.offset = Int32(try value.anyNumber(in: -Int(UInt16.max)...Int(UInt16.max)))
      default:
        throw part.expected(
          "bitstring_overflow, double_overflow, oversize_length N, absolute_offset N or relative_offset N")
      }
    }
    builder.append(.asn1(match), at: option.keyword)
  }

  @Sendable
  private static func pcre(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    var text = option.value
    // Without quotes the `!` is still in front.
    let isNegated = option.isNegated || (!option.isQuoted && text.skip(UInt8(ascii: "!")))
    let whole = text
    // `m/…/` is the same as `/…/`.
    if text.first == UInt8(ascii: "m") { text.range = text.range.lowerBound + 1..<text.range.upperBound }
    guard text.skip(UInt8(ascii: "/")), let end = closingSlash(of: text) else {
      throw whole.expected("a pattern such as /text/i")
    }
    let body = text.slice(text.range.lowerBound..<end)
    var pattern = PatternMatch(pattern: Array(body.bytes), location: body.location)
    pattern.isNegated = isNegated
    pattern.view = builder.view
    let flags = text.slice(end + 1..<text.range.upperBound)
    if let buffer = try apply(flags, to: &pattern) {
      // The body of a response and the file in it are the same.
      let sticky = builder.view.buffer == .fileData ? .httpResponseBody : builder.view.buffer
      guard !builder.hasSticky || sticky == buffer else {
        throw flags.error("expected no flag that names another buffer than the sticky one in force")
      }
      try builder.restrict(toBuffer: buffer, at: option.keyword)
      if !builder.hasSticky { pattern.view = BufferView(buffer) }
    }
    if pattern.relative, !builder.hasMatch(in: pattern.view) {
      throw option.keyword.error("expected a content or pcre in front that /R can be relative to, in the same buffer")
    }
    let groups = try PatternCheck.groupCount(pattern, at: body)
    guard pattern.captures.count <= groups else {
      throw option.value.error("expected a group in the pattern for each of \(pattern.captures.count) names")
    }
    builder.append(.pcre(pattern), at: option.keyword)
  }

  /// The last slash that is not escaped.
  private static func closingSlash(of text: RuleSlice) -> Int? {
    let bytes = text.text.bytes
    return text.range.last { index in
      guard bytes[index] == UInt8(ascii: "/") else { return false }
      let escapes = bytes[text.range.lowerBound..<index].reversed().prefix { $0 == UInt8(ascii: "\\") }.count
      return escapes % 2 == 0
    }
  }

  /// Flags that name a buffer, as the words behind a content do.
  private static let buffers: [UInt8: InspectionBuffer] = [
    UInt8(ascii: "U"): .httpURI, UInt8(ascii: "I"): .httpURIRaw, UInt8(ascii: "P"): .httpRequestBody,
    UInt8(ascii: "Q"): .httpResponseBody, UInt8(ascii: "H"): .httpHeader, UInt8(ascii: "D"): .httpHeaderRaw,
    UInt8(ascii: "M"): .httpMethod, UInt8(ascii: "C"): .httpCookie, UInt8(ascii: "S"): .httpStatusCode,
    UInt8(ascii: "Y"): .httpStatusMessage, UInt8(ascii: "V"): .httpUserAgent, UInt8(ascii: "W"): .httpHost,
    UInt8(ascii: "Z"): .httpHostRaw,
  ]

  /// `flow:NAME` or `pkt:NAME` for each group, for records.
  private static func captures(_ text: RuleSlice) throws(RuleSyntaxError) -> [PatternMatch.Capture] {
    var captures: [PatternMatch.Capture] = []
    for part in text.separated() {
      let words = part.separated(by: UInt8(ascii: ":"))
      guard words.count == 2, !words[1].isEmpty, let scope = PatternMatch.Capture.Scope(rawValue: words[0].string)
      else {
        throw part.expected("'flow:' or 'pkt:' and a name")
      }
      captures.append(PatternMatch.Capture(scope: scope, name: words[1].string))
    }
    return captures
  }

  /// - Returns: the buffer that the flags name.
  private static func apply(
    _ flags: RuleSlice, to pattern: inout PatternMatch
  ) throws(RuleSyntaxError) -> InspectionBuffer? {
    var buffer: InspectionBuffer?
    var isRaw = false
    for index in flags.range {
      let place = flags.slice(index..<index + 1)
      switch flags.text.bytes[index] {
      case UInt8(ascii: "i"): pattern.caseless = true
      case UInt8(ascii: "s"): pattern.dotAll = true
      case UInt8(ascii: "m"): pattern.multiline = true
      case UInt8(ascii: "x"): pattern.extended = true
      case UInt8(ascii: "A"): pattern.anchored = true
      case UInt8(ascii: "E"): pattern.dollarEndOnly = true
      case UInt8(ascii: "G"): pattern.ungreedy = true
      case UInt8(ascii: "R"): pattern.relative = true
      case UInt8(ascii: "O"): pattern.overridesMatchLimit = true
      // Nothing is decoded before the search, so the raw bytes are what is searched.
      case UInt8(ascii: "B"):
        guard buffer == nil else { throw place.error("expected only one flag that names a buffer") }
        isRaw = true
      case let flag where buffers[flag] != nil:
        guard let named = buffers[flag] else { continue }
        guard buffer == nil, !isRaw else { throw place.error("expected only one flag that names a buffer") }
        buffer = named
      case UInt8(ascii: ","):
        pattern.captures = try captures(flags.slice(index + 1..<flags.range.upperBound))
        return buffer
      case UInt8(ascii: " "): break
      default:
        throw place.expected("a pcre flag (i s m x A E G R B O U I P Q H D M C S Y V W Z)")
      }
    }
    return buffer
  }
}
