internal import AllyPacket

/// A condition on a packet's headers or on its flow.
enum PacketTest: BitwiseCopyable, Sendable {
  case dsize(NumberTest)
  /// The same for packets with a payload that is inspected.
  case payloadSize(NumberTest)
  case ttl(NumberTest)
  case ipID(NumberTest)
  case tos(NumberTest)
  case ipProtocol(NumberTest)
  case ipVersion(UInt8)
  /// An IPv4 option type; 0xFF for any.
  case ipOption(UInt8)
  case fragmentBits(FragmentBits)
  case fragmentOffset(NumberTest)
  case sameIP
  case tcpFlags(TCPFlags)
  case tcpSequence(NumberTest)
  case tcpAcknowledgement(NumberTest)
  case tcpWindow(NumberTest)
  case tcpMSS(NumberTest)
  case rpc(RPCMatch)
  case icmpType(NumberTest)
  case icmpCode(NumberTest)
  case icmpID(NumberTest)
  case icmpSequence(NumberTest)
  case decoderEvent(DecoderEvent)
  case streamEvent(StreamEvent)
  case bits(BitCondition)
  case applicationProtocol(ProtocolCondition)
  case applicationEvent(EventCondition)
  case detectionEvent(DetectionEvent)
  case applicationNumber(ApplicationNumber, NumberTest)
  case icmpv6MTU(NumberTest)
  case checksum(ChecksumMatch.Layer, isValid: Bool)
  case streamSize(StreamSize.Side, NumberTest)
  case flowInteger(FlowIntegerStep)
  case flowAge(NumberTest)
  case variable(VariableTest)
  case reputation(ReputationTest)
  /// There is the layer, whatever its checksum.
  case layer(ChecksumMatch.Layer)
  /// What no packet meets: the wrong checksum that is asked for when none is looked at.
  case never
  /// Into ``DetectionTables/conditions``.
  case applicationCondition(UInt32)
  case file(FileTest)
  case transaction(TransactionTest)

  /// ``TCPFlagsMatch``, flat.
  struct TCPFlags: BitwiseCopyable, Sendable {
    var flags: UInt8
    var ignored: UInt8
    var modifier: TCPFlagsMatch.Modifier

    init(_ match: TCPFlagsMatch) {
      flags = match.flags
      ignored = match.ignored
      modifier = match.modifier
    }

    @inline(__always)
    func matches(_ segment: UInt8) -> Bool {
      TCPFlagsMatch(flags: flags, ignored: ignored, modifier: modifier).matches(segment)
    }
  }

  /// ``FragmentBitsMatch``, flat.
  struct FragmentBits: BitwiseCopyable, Sendable {
    var bits: UInt8
    var modifier: FragmentBitsMatch.Modifier

    init(_ match: FragmentBitsMatch) {
      bits = match.bits
      modifier = match.modifier
    }

    @inline(__always)
    func matches(_ header: UInt8) -> Bool { FragmentBitsMatch(bits: bits, modifier: modifier).matches(header) }
  }
}

extension PacketTest {
  /// Whether a transaction may meet the condition at any time until it is complete.
  var isOfTransaction: Bool {
    switch self {
    case .file, .transaction: true
    default: false
    }
  }

  /// Whether a packet's headers meet the condition. What needs the flow or a transaction is not decided here: true.
  @inline(__always)
  func matches(_ packet: DecodedPacket, bytes: RawSpan, streamEvents: StreamEventSet) -> Bool {
    switch self {
    case .dsize(let test): test.matches(packet.payloadLength)
    case .ttl(let test): packet.ipVersion != 0 && test.matches(UInt32(packet.hopLimit))
    case .ipID(let test): packet.ipVersion == 4 && test.matches(packet.fragment.identification & 0xFFFF)
    case .tos(let test): packet.ipVersion == 4 && test.matches(UInt32(packet.trafficClass))
    case .ipProtocol(let test): packet.ipVersion != 0 && test.matches(UInt32(packet.ipProtocol))
    case .ipVersion(let version): packet.ipVersion == version
    case .ipOption(let type): packet.ipVersion == 4 && packet.hasIPv4Option(type, bytes: bytes)
    case .fragmentBits(let test): packet.ipVersion == 4 && test.matches(packet.fragmentBits(bytes: bytes))
    case .fragmentOffset(let test): packet.ipVersion != 0 && test.matches(UInt32(packet.fragment.offset) / 8)
    case .sameIP: packet.ipVersion != 0 && packet.source == packet.destination
    case .tcpFlags(let test): packet.transport == .tcp && test.matches(packet.tcp.flags)
    case .tcpSequence(let test): packet.transport == .tcp && test.matches(packet.tcp.sequence)
    case .tcpAcknowledgement(let test): packet.transport == .tcp && test.matches(packet.tcp.acknowledgement)
    case .tcpWindow(let test): packet.transport == .tcp && test.matches(UInt32(packet.tcp.window))
    case .tcpMSS(let test):
      packet.transport == .tcp && packet.tcp.options.contains(.maximumSegmentSize)
        && test.matches(UInt32(packet.tcp.maximumSegmentSize))
    case .rpc(let call): packet.hasCall(call, bytes: bytes)
    case .icmpType(let test): packet.hasICMP && test.matches(UInt32(packet.icmp.type))
    case .icmpCode(let test): packet.hasICMP && test.matches(UInt32(packet.icmp.code))
    case .icmpID(let test):
      packet.hasICMP && packet.icmp.hasIdentifier && test.matches(UInt32(packet.icmp.identifier))
    case .icmpSequence(let test):
      packet.hasICMP && packet.icmp.hasIdentifier && test.matches(UInt32(packet.icmp.sequence))
    case .decoderEvent(let event): packet.events.contains(event)
    case .streamEvent(let event): streamEvents.contains(event)
    case .icmpv6MTU(let test):
      packet.packetTooBigMTU(bytes: bytes).map { test.matches($0) } ?? false
    case .checksum(let layer, let isValid): packet.checksum(of: layer, isValid: isValid, bytes: bytes)
    case .layer(let layer):
      packet.checksum(of: layer, isValid: true, bytes: bytes)
        || packet.checksum(of: layer, isValid: false, bytes: bytes)
    case .never: false
    case .payloadSize, .bits, .variable, .reputation, .applicationProtocol, .applicationEvent, .applicationNumber,
      .applicationCondition, .streamSize,
      .flowAge, .flowInteger, .file, .transaction, .detectionEvent:
      true
    }
  }
}

/// `app-layer-protocol`: what the flow was found to speak.
struct ProtocolCondition: BitwiseCopyable, Sendable {
  /// A bit for each parser.
  var applications: UInt32
  /// `failed`: it speaks nothing that is known here.
  var isFailed: Bool
  var isNegated: Bool

  init(_ match: ApplicationProtocolMatch) {
    isNegated = match.isNegated
    switch match.subject {
    case .protocols(let protocols):
      applications = ApplicationParsers.mask(of: protocols)
      isFailed = false
    case .failed:
      applications = 0
      isFailed = true
    }
  }

  func matches(_ marks: FlowMarks, _ context: PacketContext) -> Bool {
    // Before anything is known, neither the one nor the other is true.
    guard let spoken = marks.spoken(by: context.side) else { return false }
    let isTrue =
      isFailed
      ? spoken == ApplicationParsers.failed : spoken < 32 && applications & 1 &<< UInt32(spoken) != 0
    return isTrue != isNegated
  }
}

/// `app-layer-event`: the event's number in each parser's list.
struct EventCondition: BitwiseCopyable, Sendable {
  /// By the parser's place; 255 where there is no such event.
  private var numbers: InlineArray<32, UInt8> = InlineArray(repeating: 255)

  /// - Returns: nil when no parser knows the event.
  init?(_ event: ApplicationEvent) {
    var isKnown = false
    for (place, parser) in ApplicationParsers.all.enumerated()
    where event.protocols?.contains(parser.applicationProtocol) ?? false {
      guard let number = parser.eventNames.firstIndex(where: { $0.description == event.name }) else { continue }
      numbers[place] = UInt8(number)
      isKnown = true
    }
    if !isKnown { return nil }
  }

  func number(in protocolNumber: UInt8) -> UInt8 { protocolNumber < 32 ? numbers[Int(protocolNumber)] : 255 }
}

extension DecodedPacket {
  /// Whether an ICMP header of either family was found.
  @inline(__always) var hasICMP: Bool { transport == .icmpv4 || transport == .icmpv6 }

  /// The reserved, don't-fragment and more-fragments bits of an IPv4 header (RFC 791 §3.1), numbered as
  /// ``FragmentBitsMatch`` does.
  func fragmentBits(bytes: RawSpan) -> UInt8 {
    let offset = Int(networkOffset) + 6
    guard offset < bytes.byteCount else { return 0 }
    return bytes.byte(at: offset) >> 5
  }

  /// Which security association an ESP packet belongs to (RFC 4303 §2.1); nil for other packets.
  @inline(__always)
  func securityParametersIndex(bytes: RawSpan) -> UInt32? {
    guard ipProtocol == IPProtocolNumber.esp else { return nil }
    return Window<4>(bytes, at: Int(transportOffset))?.u32(0)
  }

  /// The MTU of an ICMPv6 "packet too big" (RFC 4443 §3.2); nil for other packets.
  func packetTooBigMTU(bytes: RawSpan) -> UInt32? {
    guard transport == .icmpv6, icmp.type == 2, let header = Window<8>(bytes, at: Int(transportOffset)) else {
      return nil
    }
    return header.u32(4)
  }

  /// Whether a call of Sun RPC begins in the payload (RFC 5531 §9), over TCP behind a record's mark (§11), of whichever
  /// version of RPC.
  func hasCall(_ call: RPCMatch, bytes: RawSpan) -> Bool {
    guard transport == .udp || transport == .tcp else { return false }
    let mark: UInt32 = transport == .tcp ? 4 : 0
    guard payloadLength >= mark + 24, let header = Window<24>(bytes, at: Int(payloadOffset &+ mark)) else {
      return false
    }
    return header.u32(4) == RPCMessage.call && header.u32(12) == call.program
      && (call.version ?? header.u32(16)) == header.u32(16)
      && (call.procedure ?? header.u32(20)) == header.u32(20)
  }

  /// Whether the packet has the layer, and its checksum is as asked for.
  func checksum(of layer: ChecksumMatch.Layer, isValid: Bool, bytes: RawSpan) -> Bool {
    switch layer {
    case .ipv4: ipVersion == 4 && Checksum.networkIsValid(self, in: bytes) == isValid
    case .tcpv4: ipVersion == 4 && transport == .tcp && Checksum.transportIsValid(self, in: bytes) == isValid
    case .tcpv6: ipVersion == 6 && transport == .tcp && Checksum.transportIsValid(self, in: bytes) == isValid
    case .udpv4: ipVersion == 4 && transport == .udp && Checksum.transportIsValid(self, in: bytes) == isValid
    case .udpv6: ipVersion == 6 && transport == .udp && Checksum.transportIsValid(self, in: bytes) == isValid
    case .icmpv4: transport == .icmpv4 && Checksum.transportIsValid(self, in: bytes) == isValid
    case .icmpv6: transport == .icmpv6 && Checksum.transportIsValid(self, in: bytes) == isValid
    }
  }

  /// Whether an IPv4 header has an option of this type; 0xFF asks for any option.
  func hasIPv4Option(_ type: UInt8, bytes: RawSpan) -> Bool {
    let start = Int(networkOffset)
    guard start < bytes.byteCount else { return false }
    let end = min(start + Int(bytes.byte(at: start) & 0x0F) * 4, bytes.byteCount)
    var offset = start + 20
    while offset < end {
      let found = bytes.byte(at: offset)
      if found == type || type == 0xFF { return true }
      if found == 0 { return false }  // end of the list
      if found == 1 {
        offset += 1
        continue
      }
      guard offset + 1 < end, bytes.byte(at: offset + 1) >= 2 else { return false }
      offset += Int(bytes.byte(at: offset + 1))
    }
    return false
  }

  /// Where a header buffer of the rule language lies in the packet's bytes; nil when the packet has no such header.
  func range(of buffer: InspectionBuffer, bytes: RawSpan) -> Range<Int>? {
    switch buffer {
    case .payload: payloadRange
    case .ipv4Header: ipVersion == 4 ? Int(networkOffset)..<Int(transportOffset) : nil
    case .ipSource: addressRange(ipv4: 12, ipv6: 8)
    case .ipDestination: addressRange(ipv4: 16, ipv6: 24)
    case .ipv6Header: ipVersion == 6 ? Int(networkOffset)..<Int(transportOffset) : nil
    case .tcpHeader: transport == .tcp ? Int(transportOffset)..<Int(payloadOffset) : nil
    case .udpHeader: transport == .udp ? Int(transportOffset)..<Int(payloadOffset) : nil
    case .icmpv4Header: transport == .icmpv4 ? icmpv4Header(bytes: bytes) : nil
    case .icmpv6Header: transport == .icmpv6 ? Int(transportOffset)..<Int(payloadOffset) : nil
    default: nil
    }
  }

  private func addressRange(ipv4: Int, ipv6: Int) -> Range<Int>? {
    switch ipVersion {
    case 4: Int(networkOffset) + ipv4..<Int(networkOffset) + ipv4 + 4
    case 6: Int(networkOffset) + ipv6..<Int(networkOffset) + ipv6 + 16
    default: nil
    }
  }

  /// Eight bytes, or as many as the message type has before its data (RFC 792; RFC 1256 §3, RFC 950 Appendix I).
  private func icmpv4Header(bytes: RawSpan) -> Range<Int> {
    let start = Int(transportOffset)
    let end = Int(networkEnd)
    var length = 8
    switch icmp.type {
    case 9 where start + 6 <= bytes.byteCount:  // router advertisement: so many addresses of so many words
      length += Int(bytes.byte(at: start + 4)) * Int(bytes.byte(at: start + 5)) * 4
    case 13, 14: length = 20  // timestamp
    case 17, 18: length = 12  // address mask
    default: break
    }
    return start..<max(start, min(start + length, end))
  }
}

extension PacketTest {
  /// Whether the test is about a transaction, and may come to hold at any time of its life.
  var isAboutTransaction: Bool {
    switch self {
    case .applicationNumber, .applicationCondition: true
    default: false
    }
  }
}
