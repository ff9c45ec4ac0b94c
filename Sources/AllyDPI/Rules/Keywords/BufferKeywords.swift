/// Sticky buffers, and the lengths of buffers.
enum BufferKeywords {
  static let table: [Keyword] = [
    sticky("pkt_data", .payload),
    sticky("ipv4.hdr", .ipv4Header),
    sticky("ipv6.hdr", .ipv6Header),
    sticky("tcp.hdr", .tcpHeader),
    sticky("udp.hdr", .udpHeader),
    sticky("icmpv4.hdr", .icmpv4Header),
    sticky("icmpv6.hdr", .icmpv6Header),
    .number("dsize", in: NumberText.short, isUnique: true) { .dsize($0) },
    Keyword("bsize", .plain) { builder, option throws(RuleSyntaxError) in
      guard builder.buffer != .payload else {
        throw option.keyword.error("expected a sticky buffer in front of 'bsize'; for the payload there is 'dsize'")
      }
      let length = try NumberText.match(option.value, in: NumberText.long)
      builder.append(.bufferSize(builder.buffer, length), at: option.keyword)
    },
  ]

  private static func sticky(_ name: String, _ buffer: InspectionBuffer) -> Keyword {
    Keyword(name, .none) { builder, option throws(RuleSyntaxError) in
      builder.select(buffer, at: option.keyword)
    }
  }
}
