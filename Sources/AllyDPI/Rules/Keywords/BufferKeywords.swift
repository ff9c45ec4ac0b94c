/// Sticky buffers, and the lengths of buffers.
enum BufferKeywords {
  static let table: [Keyword] =
    InspectionBuffer.allCases.filter { $0 != .frame && $0 != .base64Data }.map { sticky($0.rawValue, $0) }
    + [
      .number("dsize", in: NumberText.short, isUnique: true) { .dsize($0) },
      Keyword("bsize", .plain) { builder, option throws(RuleSyntaxError) in
        guard builder.hasSticky else {
          throw option.keyword.error("expected a sticky buffer in front of 'bsize'; for the payload there is 'dsize'")
        }
        let length = try NumberText.match(option.value, in: NumberText.long)
        builder.append(.bufferSize(builder.view, length), at: option.keyword)
      },
    ]

  private static func sticky(_ name: String, _ buffer: InspectionBuffer) -> Keyword {
    Keyword(name, .none) { builder, option throws(RuleSyntaxError) in
      try builder.select(BufferView(buffer), at: option.keyword)
    }
  }
}
