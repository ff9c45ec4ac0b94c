/// Decoding of base64, and the buffer that it fills.
enum Base64Keywords {
  static let table: [Keyword] = [
    Keyword("base64_decode", .optional, decode),
    Keyword("base64_data", .none) { builder, option throws(RuleSyntaxError) in
      let isFilled = builder.rule.options.contains { if case .base64Decode = $0 { true } else { false } }
      guard isFilled else { throw option.keyword.error("expected 'base64_decode' in front of 'base64_data'") }
      try builder.select(BufferView(.base64Data), at: option.keyword)
    },
  ]

  /// `[bytes N][, offset N][, relative]`.
  @Sendable
  private static func decode(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    var decode = Base64Decode(view: builder.view)
    if option.hasValue {
      // In this order; each may be left out.
      var expected = ["bytes", "offset", "relative"][...]
      for part in option.value.separated() {
        let (word, value) = part.firstWord
        guard let place = expected.firstIndex(of: word.string) else {
          throw part.expected("bytes, offset and relative in this order")
        }
        expected = expected[(place + 1)...]
        switch word.string {
        case "bytes":
          let count = UInt32(try value.anyNumber(in: NumberText.long))
          decode.byteCount = count == 0 ? nil : count
        case "offset": decode.offset = UInt32(try value.anyNumber(in: NumberText.long))
        case "relative" where value.isEmpty: decode.isRelative = true
        default: throw part.expected("bytes, offset or relative")
        }
      }
    }
    decode.view = builder.view(isRelative: decode.isRelative)
    builder.append(.base64Decode(decode), at: option.keyword)
  }
}
