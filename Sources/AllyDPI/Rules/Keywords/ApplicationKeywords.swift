/// The flow's application protocol, and what its parser met.
enum ApplicationKeywords {
  static let table: [Keyword] = [
    Keyword("app-layer-protocol", .plain, applicationProtocol),
    Keyword("app-layer-event", .plain, applicationEvent),
    // Snort's list of services.
    Keyword("service", .plain, isUnique: true) { builder, option throws(RuleSyntaxError) in
      var services = ApplicationProtocolSet()
      for name in option.value.separated() {
        guard let known = ApplicationProtocolSet(named: name.lowercased) else {
          throw name.unsupported("the service \(name.quoted) is not supported")
        }
        services.formUnion(known)
      }
      builder.setServices(services)
    },
  ]

  /// `[!]NAME`, or `failed` when detection gave up.
  @Sendable
  private static func applicationProtocol(
    _ builder: inout RuleBuilder, _ option: RuleOptionText
  ) throws(RuleSyntaxError) {
    var name = option.value
    let isNegated = name.skip(UInt8(ascii: "!"))
    name = name.trimmed
    var match = ApplicationProtocolMatch(subject: .failed, isNegated: isNegated)
    if name.lowercased != "failed" {
      guard let protocols = ApplicationProtocolSet(named: name.lowercased) else {
        throw name.expected("the name of an application protocol, or 'failed'")
      }
      match.subject = .protocols(protocols)
    }
    if let header = builder.header.applicationProtocols, !isNegated || header.isEmpty {
      throw option.keyword.error("the rule's header says \(header.names) already")
    }
    for case .applicationProtocol(let other) in builder.rule.options where !(other.isNegated && isNegated) {
      throw option.keyword.error("expected several 'app-layer-protocol' only when all are negated")
    }
    builder.append(.applicationProtocol(match), at: option.keyword)
  }

  /// `PROTOCOL.NAME`, or `applayer_…` for protocol detection itself.
  @Sendable
  private static func applicationEvent(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let name = option.value.lowercased
    if DetectionEvent.named(name) != nil {
      builder.append(.applicationEvent(ApplicationEvent(protocols: nil, name: name)), at: option.keyword)
      return
    }
    guard let dot = name.firstIndex(of: "."), let protocols = ApplicationProtocolSet(named: String(name[..<dot])) else {
      throw option.value.expected("a protocol and the name of its event, such as 'http.missing_host_header'")
    }
    let event = String(name[name.index(after: dot)...])
    guard ApplicationEventNames.of(String(name[..<dot])).contains(event) else {
      throw option.value.expected("an event of \(protocols.names)")
    }
    try builder.restrict(to: protocols, at: option.value)
    builder.append(.applicationEvent(ApplicationEvent(protocols: protocols, name: event)), at: option.keyword)
  }
}
