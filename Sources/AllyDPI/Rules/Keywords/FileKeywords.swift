/// Files that HTTP, SMTP, FTP, SMB and NFS carry.
enum FileKeywords {
  static let table: [Keyword] =
    [
      Keyword("filename", .any) { builder, option throws(RuleSyntaxError) in
        try content(&builder, option, in: .fileName, atEnd: false)
      },
      Keyword("fileext", .any) { builder, option throws(RuleSyntaxError) in
        try content(&builder, option, in: .fileName, atEnd: true)
      },
      Keyword("filemagic", .any) { builder, option throws(RuleSyntaxError) in
        try content(&builder, option, in: .fileMagic, atEnd: false)
      },
      // Keeps files, and changes no verdict.
      Keyword("filestore", .optional) { builder, option throws(RuleSyntaxError) in
        if option.hasValue { try checkStore(option.value) }
        try builder.restrict(to: .files, at: option.keyword)
        builder.update { $0.storesFiles = true }
      },
    ] + FileDigestMatch.Kind.allCases.map(digest)

  /// A text in the file's name or magic, in whatever case.
  private static func content(
    _ builder: inout RuleBuilder, _ option: RuleOptionText, in buffer: InspectionBuffer, atEnd: Bool
  ) throws(RuleSyntaxError) {
    var text = option.value
    // Without quotes the `!` is still in front.
    let isNegated = option.isNegated || (!option.isQuoted && text.skip(UInt8(ascii: "!")))
    var content = ContentMatch(bytes: try ContentText.bytes(of: text.trimmed), location: option.keyword.location)
    content.isNegated = isNegated
    content.isCaseless = true
    content.endsWith = atEnd
    content.view = BufferView(buffer)
    try builder.restrict(to: .files, at: option.keyword)
    builder.append(.content(content), at: option.keyword)
  }

  /// `[!]FILE`: a list of digests.
  private static func digest(_ kind: FileDigestMatch.Kind) -> Keyword {
    Keyword(kind.rawValue, .plain) { builder, option throws(RuleSyntaxError) in
      var list = option.value
      let isNegated = list.skip(UInt8(ascii: "!"))
      list = list.trimmed
      guard !list.isEmpty else { throw option.value.expected("the name of a file with digests") }
      try builder.restrict(to: .files, at: option.keyword)
      builder.append(
        .fileDigest(FileDigestMatch(kind: kind, list: list.string, isNegated: isNegated)), at: option.keyword)
    }
  }

  /// `request|response|both[, file|tx|ssn|flow]`.
  private static func checkStore(_ value: RuleSlice) throws(RuleSyntaxError) {
    let parts = value.separated()
    guard ["request", "to_server", "response", "to_client", "both"].contains(parts[0].lowercased) else {
      throw parts[0].expected("request, response, both, to_server or to_client")
    }
    guard parts.count > 1 else { return }
    guard ["file", "tx", "ssn", "flow", "global"].contains(parts[1].lowercased) else {
      throw parts[1].expected("file, tx, ssn, flow or global")
    }
    if parts.count > 2 { throw parts[2].expected("a direction and a scope") }
  }
}
