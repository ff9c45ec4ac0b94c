internal import AllyPacket

/// The application protocols of one core's flows: finds out which one a flow speaks, and feeds its parser.
///
/// A flow has no state here until its protocol is known, and none after it was found to be none that is known here; a packet
/// of such a flow costs a comparison.
struct ApplicationLayer: ~Copyable {
  /// Conversations that are followed at once.
  private static var maximumSessions: Int { 1 << 16 }

  private(set) var limits: ApplicationLimits
  /// The protocols that the operator wants followed.
  private let parsers: [any ApplicationParser.Type]
  private var files: FilePolicy
  private var sessions: [ApplicationSession?] = []
  private var free: [UInt32] = []
  private var expected = ExpectedFlows()
  private(set) var statistics = ApplicationStatistics()
  /// What detection met since it was last asked.
  private var events = DetectionEventSet()

  init(limits: ApplicationLimits, files: FilePolicy) {
    self.limits = limits
    parsers = ApplicationParsers.all.filter { !limits.options.disabled.contains($0.applicationProtocol) }
    self.files = files
  }

  /// Goes on with other rules: transactions that go on are looked at anew.
  mutating func reload(limits: ApplicationLimits, files: FilePolicy, _ translation: MatchTranslation) {
    self.limits = limits
    self.files = files
    for case let session? in sessions { session.reload(translation) }
  }

  /// The session at a flow's place; nil without one.
  func session(_ flow: Flow) -> ApplicationSession? {
    let place = Int(flow.application)
    return place < sessions.count ? sessions[place] : nil
  }

  /// Takes stream data: finds the protocol out, or feeds its parser.
  ///
  /// - Parameters:
  ///   - side: whose data it is; the other one when a connection that was picked up in its midst turns out to run the other
  ///     way.
  ///   - mayRunTheOtherWay: whether which side is the server is a guess.
  ///   - onlyDetects: the protocol is found out, and nothing is fed.
  /// - Returns: whether the flow has a session that was fed.
  mutating func receive(
    _ window: borrowing StreamWindow, from side: inout FlowSide, flow: inout Flow, mayRunTheOtherWay: Bool = false,
    onlyDetects: Bool = false
  ) -> Bool {
    if flow.application == .max, mayRunTheOtherWay, window.streamOffset == 0, !flow.flags.contains(.noApplication) {
      side = likelySide(window.bytes, side, flow)
    }
    if flow.application == .max {
      guard !flow.flags.contains(.noApplication) else { return false }
      if !expected.isEmpty, let expectation = expected.take(for: &flow) {
        guard open(expectation.parser, flow: &flow) else { return false }
        session(flow)?.parser.adopt(expectation.announcement)
        flow.protocols.toServer = flow.protocolNumber
        flow.protocols.toClient = flow.protocolNumber
      } else {
        guard window.streamOffset == 0 else {
          giveUp(side, &flow)
          return false
        }
        guard let parser = recognize(window.bytes, IPProtocolNumber.tcp, from: side, flow: &flow) else { return false }
        guard open(parser, flow: &flow) else { return false }
        noteSides(parser, recognizedFrom: side, &flow)
      }
    } else if flow.protocols[side] == ApplicationParsers.none, window.streamOffset == 0 {
      compareSide(window.bytes, side, &flow)
    }
    if onlyDetects { return false }
    guard var session = session(flow) else { return false }
    if session.parser.isHandedOver, let next = successor(of: session, window, from: side, flow: &flow) {
      session = next
    }
    let hasHeard = session.receive(window, from: side)
    while let expectation = session.parser.takeExpectation() { expected.add(expectation, announcedBy: flow) }
    return hasHeard
  }

  /// What detection met since it was last asked.
  mutating func takeEvents() -> DetectionEventSet {
    defer { events = DetectionEventSet() }
    return events
  }

  /// Takes a datagram.
  mutating func receive(datagram: RawSpan, from side: FlowSide, flow: inout Flow) -> Bool {
    if flow.application == .max {
      guard !flow.flags.contains(.noApplication),
        let parser = recognize(datagram, flow.ipProtocol, from: side, flow: &flow), open(parser, flow: &flow)
      else { return false }
    }
    guard let session = session(flow) else { return false }
    session.receive(datagram: datagram, from: side)
    return true
  }

  /// Takes a session out, at the end of its flow. Its transactions must be done with.
  mutating func remove(_ flow: Flow) {
    let place = Int(flow.application)
    guard place < sessions.count, sessions[place] != nil else { return }
    sessions[place] = nil
    free.append(flow.application)
  }

  /// What goes on in a conversation that its protocol has handed over: a tunnel, or encryption that has begun.
  private mutating func successor(
    of session: ApplicationSession, _ window: borrowing StreamWindow, from side: FlowSide, flow: inout Flow
  ) -> ApplicationSession? {
    guard let fresh = session.fresh(window, from: side), session.mayBeSucceeded() else { return nil }
    let announced = session.parser.announcedSuccessor
    for type in parsers where isLookedFor(type, over: IPProtocolNumber.tcp) {
      guard
        type.recognize(fresh, from: side, serverPort: flow.serverPort, transport: IPProtocolNumber.tcp) == .yes
      else { continue }
      let next = ApplicationSession(type, limits: limits, files: files, transport: flow.ipProtocol, after: session)
      next.parser.follow(session.parser)
      sessions[Int(flow.application)] = next
      flow.protocols = FlowProtocols()
      flow.protocols.original = session.index
      flow.protocols[side] = next.index
      flow.protocolNumber = next.index
      if let announced, announced != next.application { noteUnexpected(announced) }
      statistics.sessions &+= 1
      return next
    }
    if let announced, flow.protocols.original == ApplicationParsers.none {
      flow.protocols = FlowProtocols()
      flow.protocols.original = session.index
      flow.protocols.expected = ApplicationParsers.index(of: announced)
      flow.protocolNumber = ApplicationParsers.failed
      noteUnexpected(announced)
    }
    return nil
  }

  private mutating func noteUnexpected(_ announced: ApplicationProtocol) {
    events.insert(.unexpectedProtocol)
    if announced == .tls { events.insert(.noTLSAfterSTARTTLS) }
  }

  // MARK: protocol detection

  private func isLookedFor(_ parser: any ApplicationParser.Type, over transport: UInt8) -> Bool {
    let disabled =
      transport == IPProtocolNumber.udp ? limits.options.disabledOverUDP : limits.options.disabledOverTCP
    return parser.transports.contains(transport) && !disabled.contains(parser.applicationProtocol)
  }

  /// Which side says this: the one that it is taken for, unless a protocol knows it from the other alone.
  private func likelySide(_ start: RawSpan, _ side: FlowSide, _ flow: Flow) -> FlowSide {
    func isKnown(_ side: FlowSide, port: UInt16) -> Bool {
      parsers.contains { parser in
        isLookedFor(parser, over: IPProtocolNumber.tcp)
          && parser.recognize(start, from: side, serverPort: port, transport: IPProtocolNumber.tcp) == .yes
      }
    }
    if isKnown(side, port: flow.serverPort) { return side }
    return isKnown(side.opposite, port: flow.clientPort) ? side.opposite : side
  }

  private mutating func recognize(
    _ start: RawSpan, _ transport: UInt8, from side: FlowSide, flow: inout Flow
  ) -> (any ApplicationParser.Type)? {
    var needsMore = false
    for parser in parsers where isLookedFor(parser, over: transport) {
      let port = limits.options.port(
        flow.serverPort, of: parser.applicationProtocol, standard: parser.standardPort, transport: transport)
      switch parser.recognize(start, from: side, serverPort: port, transport: transport) {
      case .yes: return parser
      case .needsMore: needsMore = true
      case .no: break
      }
    }
    if !needsMore { giveUp(side, &flow) }
    return nil
  }

  /// A protocol was recognised from what one side said; of the other nothing may have been.
  private mutating func noteSides(
    _ parser: any ApplicationParser.Type, recognizedFrom side: FlowSide, _ flow: inout Flow
  ) {
    flow.protocols[side] = flow.protocolNumber
    let other = side.opposite
    guard parser.recognizesEachSide, flow.flags.contains(.noApplication(other)) else { return }
    flow.protocols[other] = ApplicationParsers.failed
    events.insert(.onlyOneDirection)
  }

  /// Looks at what the second side says first: it may be another protocol, or none.
  private mutating func compareSide(_ start: RawSpan, _ side: FlowSide, _ flow: inout Flow) {
    guard let session = session(flow) else { return }
    let own = ApplicationParsers.all[Int(session.index)]
    guard own.recognizesEachSide, flow.protocols.original == ApplicationParsers.none else {
      flow.protocols[side] = session.index
      return
    }
    let tcp = IPProtocolNumber.tcp
    switch own.recognize(start, from: side, serverPort: flow.serverPort, transport: tcp) {
    case .yes: flow.protocols[side] = session.index
    case .needsMore: break
    case .no:
      for parser in parsers
      where parser.recognizesEachSide && isLookedFor(parser, over: tcp)
        && parser.recognize(start, from: side, serverPort: flow.serverPort, transport: tcp) == .yes
      {
        flow.protocols[side] = ApplicationParsers.index(of: parser.applicationProtocol)
        events.insert(.mismatchBothDirections)
        return
      }
      flow.protocols[side] = ApplicationParsers.failed
      events.insert(.onlyOneDirection)
    }
  }

  private mutating func giveUp(_ side: FlowSide, _ flow: inout Flow) {
    flow.flags.insert(.noApplication(side))
    if flow.flags.isSuperset(of: .noApplication) { statistics.unknown &+= 1 }
  }

  private mutating func open(_ parser: any ApplicationParser.Type, flow: inout Flow) -> Bool {
    let session = ApplicationSession(parser, limits: limits, files: files, transport: flow.ipProtocol)
    if let place = free.popLast() {
      sessions[Int(place)] = session
      flow.application = place
    } else {
      guard sessions.count < ApplicationLayer.maximumSessions else {
        statistics.refused &+= 1
        flow.flags.insert(.noApplication)
        return false
      }
      flow.application = UInt32(sessions.count)
      sessions.append(session)
    }
    flow.protocolNumber = session.index
    statistics.sessions &+= 1
    return true
  }
}

/// What the application layer counted.
struct ApplicationStatistics: BitwiseCopyable, Sendable {
  /// Flows whose protocol was found.
  var sessions: UInt64 = 0
  /// Flows that speak nothing that is known here.
  var unknown: UInt64 = 0
  /// Flows that were not followed because too many were.
  var refused: UInt64 = 0
}

extension Flow.Flags {
  /// What this side says is no protocol that is known here.
  static var noApplicationToServer: Flow.Flags { Flow.Flags(rawValue: 1024) }
  static var noApplicationToClient: Flow.Flags { Flow.Flags(rawValue: 2048) }
  static var noApplication: Flow.Flags { [.noApplicationToServer, .noApplicationToClient] }
  static func noApplication(_ side: FlowSide) -> Flow.Flags {
    side == .toServer ? .noApplicationToServer : .noApplicationToClient
  }
}
