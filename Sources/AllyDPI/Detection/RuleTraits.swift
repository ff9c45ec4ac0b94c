/// What a rule's options as a whole make of it.
struct RuleTraits {
  var kind: SignatureKind
  var data: InspectedData
  var flow: FlowRequirements = []
  var hasAbsolutePositions = false

  /// Suricata's classes of rules (`ip_only`, `like_ip_only`, `de_only`, `pkt`, `pkt_stream`, `stream`): they decide how often
  /// a rule is evaluated and whom its action concerns.
  init(_ rule: Rule) {
    var hasPayload = false
    var needsPacket = rule.ruleProtocol == .tcpPkt
    var needsStream = rule.ruleProtocol == .tcpStream
    var hasFlow = false
    var events = 0
    var others = 0
    for option in rule.options {
      switch option {
      case .content(let content):
        hasPayload = hasPayload || !content.buffer.isHeader
        needsPacket = needsPacket || content.buffer.isHeader
        others += 1
        if !content.isRelative && (content.offset != nil || content.depth != nil) && !content.buffer.isHeader {
          hasAbsolutePositions = true
        }
      case .pcre(let pattern):
        hasPayload = hasPayload || !pattern.buffer.isHeader
        needsPacket = needsPacket || pattern.buffer.isHeader
        others += 1
        if pattern.anchored && !pattern.relative { hasAbsolutePositions = true }
      case .byteTest(let test):
        hasPayload = hasPayload || !test.buffer.isHeader
        needsPacket = needsPacket || test.buffer.isHeader
        hasAbsolutePositions = hasAbsolutePositions || !test.isRelative
        others += 1
      case .byteJump(let jump):
        hasPayload = hasPayload || !jump.buffer.isHeader
        needsPacket = needsPacket || jump.buffer.isHeader
        hasAbsolutePositions = hasAbsolutePositions || !jump.isRelative || jump.origin != .bytesRead
        others += 1
      case .byteExtract(let extract):
        hasPayload = hasPayload || !extract.buffer.isHeader
        needsPacket = needsPacket || extract.buffer.isHeader
        hasAbsolutePositions = hasAbsolutePositions || !extract.isRelative
        others += 1
      case .byteMath(let math):
        hasPayload = hasPayload || !math.buffer.isHeader
        needsPacket = needsPacket || math.buffer.isHeader
        hasAbsolutePositions = hasAbsolutePositions || !math.isRelative
        others += 1
      case .isDataAt(let test):
        hasPayload = hasPayload || !test.buffer.isHeader
        needsPacket = needsPacket || test.buffer.isHeader
        hasAbsolutePositions = hasAbsolutePositions || !test.isRelative
        others += 1
      case .bufferSize(let view, _):
        hasPayload = hasPayload || !view.isHeader
        needsPacket = needsPacket || view.isHeader
        hasAbsolutePositions = true
        others += 1
      case .flow(let match):
        hasFlow = true
        needsPacket = needsPacket || match.noStream
        needsStream = needsStream || match.onlyStream
        flow.formUnion(FlowRequirements(match))
      case .flowbits(let bits), .hostbits(let bits), .xbits(let bits):
        if bits.action.isCondition { others += 1 }
      case .decodeEvent: events += 1
      case .streamEvent: others += 1
      case .ipProtocol: break  // part of the header, in effect
      default:
        needsPacket = true
        others += 1
      }
    }

    if events > 0 && others == 0 && !hasFlow {
      kind = .decoderEvents
    } else if others == 0 && events == 0 && !hasFlow {
      let isNegated = rule.source.containsNegation || rule.destination.containsNegation
      kind = isNegated ? .negatedAddressesOnly : .addressesOnly
    } else {
      kind = hasPayload ? .payload : .packet
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
        let countsFromStart = rule.options.contains { option in
          guard case .content(let content) = option, content.buffer == .payload else { return false }
          return content.offset != nil || content.depth != nil
        }
        if countsFromStart { data.insert(.packet) }
      default: data = .packet
      }
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
