/// What decoder and stream tracking found odd.
enum EventKeywords {
  static let table: [Keyword] = [
    Keyword("decode-event", .plain, decoderEvent),
    // The name that it had before.
    Keyword("engine-event", .plain, decoderEvent),
    Keyword("stream-event", .plain) { builder, option throws(RuleSyntaxError) in
      let name = option.value.lowercased
      guard streamEvents.contains(name) else { throw option.value.expected("the name of a stream event") }
      builder.append(.streamEvent(name), at: option.keyword)
    },
  ]

  @Sendable
  private static func decoderEvent(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let name = option.value.lowercased
    guard decoderEvents.contains(name) else { throw option.value.expected("the name of a decoder event") }
    builder.append(.decodeEvent(name), at: option.keyword)
  }

  private static let decoderEvents = Set(DecoderEvent.allCases.map { "\($0.name)" })
  private static let streamEvents = Set(StreamEvent.allCases.map { "\($0.name)" })
}
