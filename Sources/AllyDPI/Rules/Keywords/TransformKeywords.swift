/// What is done with a sticky buffer before it is searched.
enum TransformKeywords {
  static let table: [Keyword] =
    plain.map { name, transform in
      Keyword(name, .none) { builder, option throws(RuleSyntaxError) in
        try builder.add(transform, at: option.keyword)
      }
    } + [Keyword("xor", .quoted, xor), Keyword("pcrexform", .quoted, capture)]

  private static let plain: [(String, BufferTransform)] = [
    ("dotprefix", .dotPrefix), ("to_lowercase", .toLowercase), ("to_uppercase", .toUppercase), ("to_md5", .toMD5),
    ("to_sha1", .toSHA1), ("to_sha256", .toSHA256), ("strip_whitespace", .stripWhitespace),
    ("compress_whitespace", .compressWhitespace), ("url_decode", .urlDecode),
    ("header_lowercase", .headerLowercase), ("strip_pseudo_headers", .stripPseudoHeaders),
  ]

  /// The key in hexadecimal digits.
  @Sendable
  private static func xor(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let digits = option.value.bytes.map(\.hexDigit)
    guard !digits.isEmpty, digits.count % 2 == 0, !digits.contains(nil) else {
      throw option.value.expected("a key of two hexadecimal digits a byte")
    }
    guard digits.count <= 512 else { throw option.value.error("expected a key of at most 256 bytes") }
    let key = stride(from: 0, to: digits.count, by: 2).map { (digits[$0] ?? 0) << 4 | (digits[$0 + 1] ?? 0) }
    try builder.add(.xor(key: key), at: option.keyword)
  }

  /// The pattern must have one group, whose text is what is left.
  @Sendable
  private static func capture(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let pattern = PatternMatch(pattern: Array(option.value.bytes), location: option.value.location)
    let groups = try PatternCheck.groupCount(pattern, at: option.value)
    guard groups == 1 else { throw option.value.error("expected exactly one group in the pattern, found \(groups)") }
    try builder.add(.capture(pattern: pattern.pattern), at: option.keyword)
  }
}
