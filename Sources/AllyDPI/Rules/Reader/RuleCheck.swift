/// Whether the options of a rule fit each other and its header.
struct RuleCheck {
  let rule: Rule
  /// Where each option stands.
  let places: [RuleSlice]
  let header: RuleHeader
  let dialect: RuleDialect

  func run() throws(RuleSyntaxError) {
    for index in rule.options.indices {
      let option = rule.options[index]
      try checkProtocol(option, places[index])
      try checkPacketOnly(option, places[index])
      if case .content(let content) = option { try checkContent(content, places[index]) }
      if option.buffer == .httpHeaderRaw, rule.side == nil, dialect == .suricata {
        throw places[index].error("expected 'flow' with a side: 'http.header.raw' is of requests and of responses")
      }
      switch option {
      case .dsize(let number): try checkLength(number, of: .payload, "dsize", places[index])
      case .bufferSize(let view, let number): try checkLength(number, of: view, "bsize", places[index])
      default: break
      }
    }
  }

  /// Header buffers exist only in packets of their protocol.
  private func checkProtocol(_ option: RuleOption, _ place: RuleSlice) throws(RuleSyntaxError) {
    guard let buffer = option.buffer else { return }
    let fits: Bool =
      switch (buffer, rule.ruleProtocol) {
      case (_, .ip), (_, .pkthdr), (_, .ip4), (_, .ip6): true
      case (.ipv4Header, _), (.ipv6Header, _), (.ipSource, _), (.ipDestination, _): true
      case (.tcpHeader, .tcp), (.tcpHeader, .tcpPkt), (.tcpHeader, .tcpStream): true
      case (.udpHeader, .udp): true
      case (.icmpv4Header, .icmp), (.icmpv4Header, .icmpv4): true
      case (.icmpv6Header, .icmp), (.icmpv6Header, .icmpv6): true
      default: !buffer.isHeader
      }
    guard fits else { throw place.error("the rule's protocol \(header.protocolText.quoted) never has this header") }
  }

  /// A rule for reassembled data never sees a packet.
  private func checkPacketOnly(_ option: RuleOption, _ place: RuleSlice) throws(RuleSyntaxError) {
    let isStreamOnly = rule.ruleProtocol == .tcpStream || rule.flow?.onlyStream == true
    let isPacketOnly = option.needsPacket || rule.ruleProtocol == .tcpPkt
    if isStreamOnly && isPacketOnly {
      throw place.error("expected no option about packets in a rule for the stream only (tcp-stream, only_stream)")
    }
    let isAboutTransactions = rule.options.contains { $0.isAboutTransactions }
    let excludesTransactions =
      option.excludesTransactions || rule.ruleProtocol == .tcpPkt || rule.flow?.noStream == true
    if isAboutTransactions && excludesTransactions && dialect == .suricata {
      throw place.error("expected no option about packets beside one about an application's messages")
    }
    if option.buffer?.protocols == .files {
      switch rule.ruleProtocol {
      case .udp, .sctp, .icmp, .icmpv4, .icmpv6:
        throw place.error("the rule's protocol \(header.protocolText.quoted) never carries a file")
      default: break
      }
    }
  }

  /// What is known of the bytes in a buffer.
  private func checkContent(_ content: ContentMatch, _ place: RuleSlice) throws(RuleSyntaxError) {
    if let reason = content.view.transforms.last?.objection(to: content) { throw place.error(reason) }
    guard content.view.transforms.isEmpty else { return }
    if let reason = content.buffer.objection(to: content) { throw place.error(reason) }
  }

  /// Contents that cannot fit into the length that `dsize` or `bsize` allows.
  private func checkLength(
    _ number: NumberMatch, of view: BufferView, _ keyword: String, _ place: RuleSlice
  ) throws(RuleSyntaxError) {
    let limit: Int
    switch number {
    case .equal(let n), .less(let n), .lessOrEqual(let n): limit = Int(n)
    case .range(let range): limit = Int(range.upperBound) + 1
    case .greater, .greaterOrEqual, .notEqual, .notRange: return
    }
    let required = requiredLength(of: view)
    guard required <= limit else {
      throw place.error("the contents need \(required) bytes, which is more than \(keyword) allows")
    }
  }

  /// The fewest bytes in which the contents of `view` can stand.
  private func requiredLength(of view: BufferView) -> Int {
    var required = 0
    // The first byte at which the last match may have ended.
    var cursor = 0
    for option in rule.options {
      switch option {
      case .content(let content) where content.view == view && !content.isNegated:
        let start = content.isRelative ? cursor + (content.distance?.constant ?? 0) : content.offset?.constant ?? 0
        cursor = max(0, start) + content.bytes.count
        required = max(required, cursor)
      case .pcre, .byteJump, .byteExtract, .byteMath: cursor = 0
      default: break
      }
    }
    return required
  }
}

extension RuleValue {
  /// The number, when it is known before the rule is evaluated.
  var constant: Int? {
    if case .constant(let number) = self { number } else { nil }
  }
}

extension Rule {
  /// The rule's `flow` option; there is at most one.
  public var flow: FlowMatch? {
    for option in options {
      if case .flow(let flow) = option { return flow }
    }
    return nil
  }
}

extension RuleOption {
  /// What the option looks at; nil for options about headers and state.
  public var view: BufferView? {
    switch self {
    case .content(let match): match.view
    case .pcre(let match): match.view
    case .byteTest(let test): test.view
    case .byteJump(let jump): jump.view
    case .byteExtract(let extract): extract.view
    case .byteMath(let math): math.view
    case .isDataAt(let isDataAt): isDataAt.view
    case .bufferSize(let view, _): view
    case .base64Decode(let decode): decode.view
    case .dataset(let match): match.view
    case .dataReputation(let match): match.view
    case .asn1: .payload
    default: nil
    }
  }

  /// The buffer that the option looks at, transforms aside; nil for options about headers and state.
  public var buffer: InspectionBuffer? { view?.buffer }

  /// Whether the option asks about a message of an application.
  var isAboutTransactions: Bool {
    switch self {
    case .applicationEvent(let event): event.protocols != nil
    case .applicationNumber, .applicationFlags, .fileDigest, .dcerpcInterface, .dcerpcOperation,
      .tlsVersion, .certificateValidity, .modbus, .dnp3Object, .cipService, .http2Setting, .ikeAttribute,
      .krb5TicketEncryption, .ftpDataCommand, .ftpBounce:
      true
    default: buffer?.origin == .transaction
    }
  }

  /// Whether the option cannot stand beside one about an application's messages.
  var excludesTransactions: Bool {
    switch self {
    case .dsize, .ttl, .ipID, .tos, .ipProtocol, .ipOption, .fragmentBits, .fragmentOffset, .sameIP, .tcpFlags,
      .tcpSequence, .tcpAcknowledgement, .tcpWindow, .tcpMSS, .icmpType, .icmpCode, .icmpID, .icmpSequence, .icmpv6MTU,
      .rpc, .flowAge:
      true
    default:
      if let buffer, buffer != .ipSource, buffer != .ipDestination { buffer.isHeader } else { false }
    }
  }

  /// Whether the option asks about one packet, so that reassembled data can never fulfil it.
  public var needsPacket: Bool {
    switch self {
    case .dsize, .ttl, .ipID, .tos, .ipProtocol, .ipOption, .fragmentBits, .fragmentOffset, .sameIP, .tcpFlags,
      .tcpSequence, .tcpAcknowledgement, .tcpWindow, .tcpMSS, .icmpType, .icmpCode, .icmpID, .icmpSequence,
      .icmpv6MTU, .rpc, .checksum, .decodeEvent, .streamEvent:
      true
    default: buffer?.isHeader ?? false
    }
  }
}
