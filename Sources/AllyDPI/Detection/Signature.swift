/// A rule as the packet path evaluates it: flat, its lists elsewhere in the ``DetectionProgram``'s tables.
///
/// A signature's place in the program's table is its rank: signatures are evaluated and their actions applied in this
/// order.
///
/// What decides about most candidates stands first, in one line of the processor's cache.
struct Signature: BitwiseCopyable, Sendable {
  var actions: Actions
  var kind: SignatureKind
  var protocolFilter: ProtocolFilter
  var flow: FlowRequirements
  var data: InspectedData
  /// Indices into the program's address and port lists; ``Signature/any`` for no restriction.
  var source: UInt32
  var destination: UInt32
  var sourcePorts: UInt32
  var destinationPorts: UInt32
  /// `service`: a bit for each parser; once a flow's protocol is known, it must be one of these, and ports do not count.
  var services: UInt32 = 0
  var applications = ApplicationMask.any
  /// Into the program's ``PacketTest``s.
  var tests: TableRange
  /// Into the program's ``PayloadStep``s: those that look at the payload or the stream.
  var payload: TableRange
  /// Into the program's ``HeaderSteps``.
  var headers: TableRange
  /// Into the program's ``StateChange``s, done after a match.
  var changes: TableRange
  /// Into the program's ``ThresholdRule``s.
  var thresholds: TableRange
  var rateFilter: UInt32
  /// Into the program's ``SuppressionTest``s.
  var suppressions: TableRange
  /// `bypass`: behind a match the flow is not inspected any more.
  var bypasses = false
  /// Into the program's ``TagRule``s: whose packets are recorded behind an alert.
  var tags = TableRange.empty
  /// Whether the payload has options that count from its start or end: they mean nothing in the midst of a stream.
  var hasAbsolutePositions: Bool
  /// Whether a match keeps the transaction's files.
  var storesFiles = false
  /// Whether a match keeps the transaction from its record.
  var silencesRecord = false

  /// Contents of the payload have `offset` or `depth`.
  var countsFromStreamStart = false

  static var any: UInt32 { .max }
}

/// A bit for each parser that a flow may have.
struct ApplicationMask: BitwiseCopyable, Sendable {
  var bits: UInt32

  /// Any flow, also one whose protocol is not known.
  static var any: ApplicationMask { ApplicationMask(bits: 0) }

  /// Whether a flow of this protocol may match.
  @inline(__always)
  func admits(_ protocolNumber: UInt8) -> Bool {
    bits == 0 || protocolNumber < 32 && bits & 1 &<< UInt32(protocolNumber) != 0
  }
}

/// What happens when a signature matches.
struct Actions: OptionSet, BitwiseCopyable, Sendable {
  let rawValue: UInt8
  /// A record is written.
  static var alert: Actions { Actions(rawValue: 1) }
  static var pass: Actions { Actions(rawValue: 2) }
  static var drop: Actions { Actions(rawValue: 4) }
  /// Who sent it, or who is to get it, is told, besides the drop.
  static var reject: Actions { Actions(rawValue: 8) }
  /// With ``reject``: the receiver is told.
  static var tellsReceiver: Actions { Actions(rawValue: 16) }
  /// With ``reject``: the sender is told.
  static var tellsSender: Actions { Actions(rawValue: 32) }

  init(rawValue: UInt8) { self.rawValue = rawValue }

  init(_ action: RuleAction) {
    switch action {
    case .alert: self = .alert
    case .pass: self = .pass
    case .config: self = []
    case .drop: self = [.drop, .alert]
    case .reject, .rejectsrc: self = [.drop, .reject, .alert, .tellsSender]
    case .rejectdst: self = [.drop, .reject, .alert, .tellsReceiver]
    case .rejectboth: self = [.drop, .reject, .alert, .tellsReceiver, .tellsSender]
    }
  }
}

/// What a signature looks at, and therefore how often it is evaluated and what its verdict is about. The kinds and their
/// effects are Suricata's.
enum SignatureKind: UInt8, BitwiseCopyable, Sendable {
  /// Addresses, ports and protocol alone: evaluated once for each side of a flow, and its verdict is the flow's.
  case addressesOnly
  /// The same with a negated address: evaluated for every packet, its verdict is the flow's.
  case negatedAddressesOnly
  /// Decoder events and nothing else: the one kind that sees packets with broken headers.
  case decoderEvents
  /// Something of the packet itself: its verdict is the packet's.
  case packet
  /// Payload, of a packet or of a stream: its verdict is the flow's when it was found in a stream.
  case payload
  /// The application's protocol and nothing else: evaluated for every packet of such a flow, its verdict is the flow's.
  case application
  /// What a side was found to speak and nothing else (`app-layer-protocol`): evaluated once for each side of a TCP flow, when
  /// that is known, and for every datagram of a known protocol; its verdict is the flow's.
  case detectedProtocol
  /// A transaction of an application's protocol: its verdict is the flow's.
  case transaction
  /// A frame of an application's protocol: likewise.
  case frame

  /// Whether drop and pass stand for the whole flow.
  @inline(__always)
  func actsOnFlow(matchedStream: Bool) -> Bool {
    switch self {
    case .addressesOnly, .negatedAddressesOnly, .application, .detectedProtocol, .transaction, .frame: true
    case .decoderEvents, .packet: false
    case .payload: matchedStream
    }
  }
}

/// Where a signature's payload options look.
struct InspectedData: OptionSet, BitwiseCopyable, Sendable {
  let rawValue: UInt8
  static var packet: InspectedData { InspectedData(rawValue: 1) }
  static var stream: InspectedData { InspectedData(rawValue: 2) }
  /// The rule names the stream and nothing else: a payload that did not become part of one is not looked at.
  static var onlyStream: InspectedData { InspectedData(rawValue: 4) }
}

/// The protocol of a rule's header.
enum ProtocolFilter: UInt8, BitwiseCopyable, Sendable {
  case any, ip4, ip6, tcp, udp, sctp, icmp, icmpv4, icmpv6

  init(_ ruleProtocol: RuleProtocol) {
    self =
      switch ruleProtocol {
      case .ip, .pkthdr: .any
      case .ip4: .ip4
      case .ip6: .ip6
      case .tcp, .tcpPkt, .tcpStream: .tcp
      case .udp: .udp
      case .sctp: .sctp
      case .icmp: .icmp
      case .icmpv4: .icmpv4
      case .icmpv6: .icmpv6
      }
  }

  /// By the number in the IP header, so that it also holds for a packet whose transport header is broken.
  @inline(__always)
  func matches(_ packet: DecodedPacket) -> Bool {
    switch self {
    case .any: true
    case .ip4: packet.ipVersion == 4
    case .ip6: packet.ipVersion == 6
    case .tcp: packet.ipProtocol == IPProtocolNumber.tcp
    case .udp: packet.ipProtocol == IPProtocolNumber.udp
    case .sctp: packet.ipProtocol == IPProtocolNumber.sctp
    case .icmp: packet.ipProtocol == IPProtocolNumber.icmp || packet.ipProtocol == IPProtocolNumber.icmpv6
    case .icmpv4: packet.ipProtocol == IPProtocolNumber.icmp
    case .icmpv6: packet.ipProtocol == IPProtocolNumber.icmpv6
    }
  }

  /// Whether packets of a class can match.
  func admits(_ transport: TransportClass) -> Bool {
    switch self {
    case .any, .ip4, .ip6: true
    case .tcp: transport == .tcp
    case .udp: transport == .udp
    case .icmp, .icmpv4, .icmpv6: transport == .icmp
    case .sctp: transport == .other
    }
  }
}

/// By which protocol signatures are grouped.
enum TransportClass: UInt8, CaseIterable, BitwiseCopyable, Sendable {
  case tcp, udp, icmp, other

  @inline(__always)
  init(_ packet: DecodedPacket) {
    switch packet.ipProtocol {
    case IPProtocolNumber.tcp: self = .tcp
    case IPProtocolNumber.udp: self = .udp
    case IPProtocolNumber.icmp, IPProtocolNumber.icmpv6: self = .icmp
    default: self = .other
    }
  }
}

/// What `flow` asks for.
struct FlowRequirements: OptionSet, BitwiseCopyable, Sendable {
  let rawValue: UInt8
  static var established: FlowRequirements { FlowRequirements(rawValue: 1) }
  static var notEstablished: FlowRequirements { FlowRequirements(rawValue: 2) }
  static var toServer: FlowRequirements { FlowRequirements(rawValue: 4) }
  static var toClient: FlowRequirements { FlowRequirements(rawValue: 8) }
  static var onlyFragments: FlowRequirements { FlowRequirements(rawValue: 16) }
  static var noFragments: FlowRequirements { FlowRequirements(rawValue: 32) }
  /// The packet must have a flow at all.
  static var someFlow: FlowRequirements { FlowRequirements(rawValue: 64) }

  @inline(__always)
  func matches(_ packet: DecodedPacket, _ context: PacketContext) -> Bool {
    if isEmpty { return true }
    if contains(.established) && !context.isEstablished { return false }
    if contains(.notEstablished) && context.isEstablished { return false }
    if contains(.someFlow) && context.flow.isNone { return false }
    if contains(.toServer) && context.side != .toServer { return false }
    if contains(.toClient) && context.side != .toClient { return false }
    let isReassembled = packet.origin == .defragmented
    if contains(.onlyFragments) && !isReassembled { return false }
    if contains(.noFragments) && isReassembled { return false }
    return true
  }
}

/// What a record says about a signature: read for records alone.
struct SignatureRecord: Sendable {
  var gid: UInt32
  var sid: UInt32
  var rev: UInt32
  var message: String
  var category: String
  var severity: UInt32
  /// `metadata`, values gathered under their keys in the order of first appearance.
  var metadata: [(key: String, values: [String])]
  var target: Rule.Target?
  /// `reference`, each as `scheme:value`, and the rule as written.
  var references: [String] = []
  var text = ""
  /// The rule is about an application protocol, by its own or by a keyword.
  var isOfApplication = false

  /// ``DetectionTables/identities``.
  var identity: UInt32 { sid &+ (gid &- 1) &* 0x9E37_79B1 }
}
