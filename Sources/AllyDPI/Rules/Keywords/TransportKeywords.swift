/// Options about the headers of TCP, ICMP and Sun RPC.
enum TransportKeywords {
  static let table: [Keyword] = [
    Keyword("flags", .plain, tcpFlags),
    Keyword("tcp.flags", .plain, tcpFlags),
    .exactly("seq", in: NumberText.long) { .tcpSequence($0) },
    .exactly("tcp.seq", in: NumberText.long) { .tcpSequence($0) },
    .exactly("ack", in: NumberText.long) { .tcpAcknowledgement($0) },
    .exactly("tcp.ack", in: NumberText.long) { .tcpAcknowledgement($0) },
    Keyword("window", .plain, window),
    Keyword("tcp.window", .plain, window),
    .number("tcp.mss", in: NumberText.short) { .tcpMSS($0) },
    .number("itype", in: NumberText.byte) { .icmpType($0) },
    .number("icode", in: NumberText.byte) { .icmpCode($0) },
    .exactly("icmp_id", in: NumberText.short) { .icmpID($0) },
    .exactly("icmp_seq", in: NumberText.short) { .icmpSequence($0) },
    Keyword("rpc", .plain, rpc),
  ]

  /// `PROGRAM[, VERSION|*[, PROCEDURE|*]]`.
  @Sendable
  private static func rpc(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let parts = option.value.separated()
    guard parts.count <= 3 else { throw parts[3].expected("program, version and procedure at most") }
    func number(_ place: Int) throws(RuleSyntaxError) -> UInt32? {
      guard place < parts.count, parts[place].string != "*" else { return nil }
      return UInt32(try parts[place].number(in: NumberText.long))
    }
    let program = UInt32(try parts[0].number(in: NumberText.long))
    let match = RPCMatch(program: program, version: try number(1), procedure: try number(2))
    builder.append(.rpc(match), at: option.keyword)
  }

  @Sendable
  private static func window(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    builder.append(.tcpWindow(try NumberText.equality(option.value, in: NumberText.short)), at: option.keyword)
  }

  /// The modifier may stand in front of the flags or behind them.
  @Sendable
  private static func tcpFlags(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let parts = option.value.separated()
    guard parts.count <= 2 else { throw parts[2].expected("flags and at most one mask") }
    var match = TCPFlagsMatch(flags: 0, ignored: 0, modifier: .exactly)
    var hasModifier = false
    var hasFlag = false
    for index in parts[0].range {
      let place = parts[0].slice(index..<index + 1)
      switch parts[0].text.bytes[index] {
      case UInt8(ascii: "!"), UInt8(ascii: "*"), UInt8(ascii: "+"):
        guard !hasModifier else { throw place.expected("only one of ! * +") }
        hasModifier = true
        match.modifier = place.first == UInt8(ascii: "!") ? .not : place.first == UInt8(ascii: "*") ? .any : .all
      case UInt8(ascii: "0"): hasFlag = true
      case UInt8(ascii: " "): break
      default:
        guard let bit = bit(place) else { throw place.expected("TCP flags out of F S R P A U C E 0") }
        hasFlag = true
        match.flags |= bit
      }
    }
    guard hasFlag else { throw option.value.expected("TCP flags out of F S R P A U C E 0") }
    if parts.count == 2 {
      guard !parts[1].isEmpty else { throw parts[1].expected("flags to look away from") }
      for index in parts[1].range {
        let place = parts[1].slice(index..<index + 1)
        guard let bit = bit(place) else { throw place.expected("TCP flags out of F S R P A U C E") }
        match.ignored |= bit
      }
    }
    builder.append(.tcpFlags(match), at: option.keyword)
  }

  /// RFC 9293 §3.1. Snort's older names for CWR and ECE are 1 and 2.
  private static func bit(_ letter: RuleSlice) -> UInt8? {
    switch letter.first {
    case UInt8(ascii: "F"): 0x01
    case UInt8(ascii: "S"): 0x02
    case UInt8(ascii: "R"): 0x04
    case UInt8(ascii: "P"): 0x08
    case UInt8(ascii: "A"): 0x10
    case UInt8(ascii: "U"): 0x20
    case UInt8(ascii: "E"), UInt8(ascii: "2"): 0x40
    case UInt8(ascii: "C"), UInt8(ascii: "1"): 0x80
    default: nil
    }
  }
}
