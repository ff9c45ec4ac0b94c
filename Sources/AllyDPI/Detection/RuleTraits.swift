/// What a rule's options as a whole make of it.
struct RuleTraits {
  var kind: SignatureKind
  var data: InspectedData
  var flow: FlowRequirements = []
  var hasAbsolutePositions = false
  /// Contents of the payload have `offset` or `depth`: in a stream they count from its start.
  var countsFromStreamStart = false

  /// Suricata's classes of rules (`ip_only`, `like_ip_only`, `de_only`, `pkt`, `pkt_stream`, `stream`): they decide how often
  /// a rule is evaluated and whom its action concerns.
  init(_ rule: Rule) {
    var hasPayload = false
    var hasTransaction = false
    var hasFrame = false
    var needsPacket = rule.ruleProtocol == .tcpPkt
    var needsStream = rule.ruleProtocol == .tcpStream
    var hasFlow = false
    var asksOnlyForSide = true
    var detected = 0
    var events = 0
    var others = 0
    for option in rule.options {
      if let view = option.view {
        others += 1
        switch view.buffer.origin {
        case .payload where view.buffer == .base64Data: break  // decoded from what another option looks at
        case .payload:
          hasPayload = true
          hasAbsolutePositions = hasAbsolutePositions || option.countsFromStart
        case .header: needsPacket = true
        case .transaction where view.buffer == .frame: hasFrame = true
        case .transaction: hasTransaction = true
        }
        continue
      }
      switch option {
      case .flow(let match):
        hasFlow = true
        var side = FlowMatch()
        side.side = match.side
        asksOnlyForSide = asksOnlyForSide && match == side
        needsPacket = needsPacket || match.noStream
        needsStream = needsStream || match.onlyStream
        flow.formUnion(FlowRequirements(match))
      case .flowbits(let bits), .hostbits(let bits), .xbits(let bits):
        if bits.action.isCondition { others += 1 }
      case .decodeEvent: events += 1
      case .streamEvent: others += 1
      // Part of the header, in effect.
      case .ipProtocol, .ipVersion, .ipReputation: break
      case .streamSize, .flowInteger: others += 1
      case .applicationProtocol:
        detected += 1
        others += 1
      case .applicationEvent(let event) where event.protocols == nil:
        needsPacket = true
        others += 1
      case .applicationEvent, .applicationNumber, .applicationFlags, .tlsVersion, .tlsState, .certificateValidity,
        .modbus, .dnp3Object, .cipService, .http2Setting, .ikeAttribute, .krb5TicketEncryption, .fileDigest,
        .ftpDataCommand,
        .ftpBounce, .dcerpcInterface, .dcerpcOperation:
        hasTransaction = true
        others += 1
      default:
        needsPacket = true
        others += 1
      }
    }

    if hasFrame {
      kind = .frame
    } else if hasTransaction || rule.storesFiles {
      kind = .transaction
    } else if rule.applicationProtocols != nil && others == 0 && events == 0 {
      kind = .application
    } else if detected > 0 && others == detected && events == 0 && asksOnlyForSide && !needsPacket && !needsStream {
      kind = .detectedProtocol
    } else if events > 0 && others == 0 && !hasFlow {
      kind = .decoderEvents
    } else if others == 0 && events == 0 && !hasFlow {
      let isNegated = rule.source.containsNegation || rule.destination.containsNegation
      kind = isNegated ? .negatedAddressesOnly : .addressesOnly
    } else {
      kind = hasPayload ? .payload : .packet
    }

    countsFromStreamStart = rule.options.contains { option in
      guard case .content(let content) = option, content.buffer == .payload else { return false }
      return content.offset != nil || content.depth != nil
    }
    data = []
    guard hasPayload else { return }
    if needsPacket { data.insert(.packet) }
    if needsStream { data.formUnion([.stream, .onlyStream]) }
    if data.isEmpty {
      switch rule.ruleProtocol {
      case .tcp, .ip, .ip4, .ip6, .pkthdr:
        data = .stream
        // What counts from the start of the data may mean the packet's or the stream's.
        if countsFromStreamStart { data.insert(.packet) }
      default: data = .packet
      }
    }
  }
}

extension RuleOption {
  /// Whether the option counts from the start or the end of the data.
  fileprivate var countsFromStart: Bool {
    switch self {
    case .content(let content): !content.isRelative && (content.offset != nil || content.depth != nil)
    case .pcre(let pattern): pattern.anchored && !pattern.relative
    case .byteTest(let test): !test.isRelative
    case .byteJump(let jump): !jump.isRelative || jump.origin != .bytesRead
    case .byteExtract(let extract): !extract.isRelative
    case .byteMath(let math): !math.isRelative
    case .isDataAt(let test): !test.isRelative
    case .bufferSize: true
    default: false
    }
  }
}

extension FlowRequirements {
  init(_ match: FlowMatch) {
    self = []
    switch match.state {
    case .established: insert(.established)
    case .notEstablished: insert(.notEstablished)
    case .stateless, nil: break
    }
    switch match.side {
    case .toServer: insert(.toServer)
    case .toClient: insert(.toClient)
    case nil: break
    }
    if match.state != nil || match.side != nil { insert(.someFlow) }
    if match.onlyFragments { insert(.onlyFragments) }
    if match.noFragments { insert(.noFragments) }
  }
}
