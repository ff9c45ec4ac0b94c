/// The older way to name a buffer, behind its content: `content:"x"; http_uri;`. In Snort 3's rules the same words are
/// sticky buffers.
enum ModifierKeywords {
  static let table: [Keyword] =
    buffers.map { name, buffer in modifier(name, buffer) } + [
      Keyword("uricontent", .quotedNegatable) { builder, option throws(RuleSyntaxError) in
        try ContentKeywords.content(&builder, option)
        try builder.moveLastContent(to: .httpURI, for: option)
      }
    ]

  private static let buffers: [(String, InspectionBuffer)] = [
    ("http_client_body", .httpRequestBody), ("http_cookie", .httpCookie), ("http_header", .httpHeader),
    ("http_host", .httpHost), ("http_method", .httpMethod), ("http_raw_header", .httpHeaderRaw),
    ("http_raw_host", .httpHostRaw), ("http_raw_uri", .httpURIRaw), ("http_server_body", .httpResponseBody),
    ("http_stat_code", .httpStatusCode), ("http_stat_msg", .httpStatusMessage), ("http_uri", .httpURI),
    ("http_user_agent", .httpUserAgent),
  ]

  private static func modifier(_ name: String, _ buffer: InspectionBuffer) -> Keyword {
    Keyword(name, .optional) { builder, option throws(RuleSyntaxError) in
      guard builder.dialect == .snort else {
        guard !option.hasValue else { throw option.value.expected("no value for '\(name)'") }
        try builder.moveLastContent(to: buffer, for: option)
        return
      }
      try builder.select(try view(of: buffer, option), at: option.keyword)
    }
  }

  /// Snort's `http_header:field NAME`.
  private static func view(of buffer: InspectionBuffer, _ option: RuleOptionText) throws(RuleSyntaxError) -> BufferView
  {
    var view = BufferView(buffer)
    guard option.hasValue else { return view }
    for part in option.value.separated() {
      let (word, value) = part.firstWord
      switch word.string {
      case "field" where buffer == .httpHeader || buffer == .httpHeaderRaw:
        guard !value.isEmpty else { throw part.expected("the name of a header behind 'field'") }
        view.transforms = [.headerField(name: value.lowercased)]
      default: throw part.unsupported("the part \(part.quoted) of '\(option.name)' is not supported")
      }
    }
    return view
  }
}
