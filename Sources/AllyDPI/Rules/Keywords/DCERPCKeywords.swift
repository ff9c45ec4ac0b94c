/// DCE/RPC: the interface and the operation of a request.
enum DCERPCKeywords {
  static let table: [Keyword] = [
    Keyword("dcerpc.iface", .plain, interface), Keyword("dce_iface", .plain, interface),
    Keyword("dcerpc.opnum", .any, operation), Keyword("dce_opnum", .any, operation),
  ]

  /// `[uuid ]UUID[, <N|>N|=N|!N][, any_frag]`; Snort 3 writes `version <N`.
  @Sendable
  private static func interface(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let parts = option.value.separated()
    var text = parts[0]
    if text.skip("uuid ") { text = text.trimmed }
    var interface = DCERPCInterface(uuid: try uuid(text))
    for part in parts[1...] {
      if part.string == "any_frag" {
        interface.anyFragment = true
        continue
      }
      guard interface.version == nil else { throw part.expected("any_frag") }
      var comparison = part
      if comparison.skip("version ") { comparison = comparison.trimmed }
      let sign = comparison.first
      guard
        sign == UInt8(ascii: "<") || sign == UInt8(ascii: ">") || sign == UInt8(ascii: "=") || sign == UInt8(ascii: "!")
      else { throw part.expected("a version such as '=1', or any_frag") }
      interface.version = try NumberText.match(comparison, in: NumberText.short)
    }
    try builder.restrict(to: [.dcerpc, .smb], at: option.keyword)
    builder.append(.dcerpcInterface(interface), at: option.keyword)
  }

  /// Groups of 4, 2, 2, 2 and 6 bytes.
  private static func uuid(_ text: RuleSlice) throws(RuleSyntaxError) -> [UInt8] {
    let groups = text.separated(by: UInt8(ascii: "-"))
    let lengths = [8, 4, 4, 4, 12]
    let digits = groups.flatMap { $0.bytes.map(\.hexDigit) }
    guard groups.map(\.range.count) == lengths, !digits.contains(nil) else {
      throw text.expected("a UUID such as 4b324fc8-1670-01d3-1278-5a47bf6ee188")
    }
    return stride(from: 0, to: digits.count, by: 2).map { (digits[$0] ?? 0) << 4 | (digits[$0 + 1] ?? 0) }
  }

  /// Numbers and ranges between commas.
  @Sendable
  private static func operation(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    var ranges: [ClosedRange<UInt16>] = []
    for part in option.value.separated() {
      let ends = part.separated(by: UInt8(ascii: "-"))
      guard ends.count <= 2 else { throw part.expected("a number or a range such as 0-11") }
      let low = try ends[0].number(in: NumberText.short)
      let high = ends.count == 2 ? try ends[1].number(in: NumberText.short) : low
      guard low <= high else { throw part.error("expected the lower number first, found \(part.quoted)") }
      ranges.append(UInt16(low)...UInt16(high))
    }
    try builder.restrict(to: [.dcerpc, .smb], at: option.keyword)
    builder.append(.dcerpcOperation(ranges), at: option.keyword)
  }
}
