internal import AllyPacket

/// The application protocols of one core's flows: finds out which one a flow speaks, and feeds its parser.
///
/// A flow has no state here until its protocol is known, and none after it was found to be none that is known here; a packet
/// of such a flow costs a comparison.
struct ApplicationLayer: ~Copyable {
  /// Conversations that are followed at once.
  private static var maximumSessions: Int { 1 << 16 }

  let limits: ApplicationLimits
  private var files: FilePolicy
  private var sessions: [ApplicationSession?] = []
  private var free: [UInt32] = []
  private var expected = ExpectedFlows()
  private(set) var statistics = ApplicationStatistics()

  init(limits: ApplicationLimits, files: FilePolicy = FilePolicy()) {
    self.limits = limits
    self.files = files
    self.files.kept = limits.file
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
  /// - Returns: whether the flow has a session that was fed.
  mutating func receive(
    _ window: borrowing StreamWindow, from side: inout FlowSide, flow: inout Flow, mayRunTheOtherWay: Bool = false
  ) -> Bool {
    if flow.application == .max, mayRunTheOtherWay, window.streamOffset == 0, !flow.flags.contains(.noApplication) {
      side = ApplicationLayer.likelySide(window.bytes, side, flow)
    }
    if flow.application == .max {
      guard !flow.flags.contains(.noApplication) else { return false }
      if !expected.isEmpty, let expectation = expected.take(for: flow) {
        guard open(expectation.parser, flow: &flow) else { return false }
        session(flow)?.parser.adopt(expectation.announcement)
      } else {
        guard window.streamOffset == 0 else {
          giveUp(side, &flow)
          return false
        }
        guard let parser = recognize(window.bytes, IPProtocolNumber.tcp, from: side, flow: &flow) else { return false }
        guard open(parser, flow: &flow) else { return false }
      }
    }
    guard var session = session(flow) else { return false }
    if session.parser.isHandedOver, let next = successor(of: session, window, from: side, flow: &flow) {
      session = next
    }
    let hasHeard = session.receive(window, from: side)
    while let expectation = session.parser.takeExpectation() { expected.add(expectation, announcedBy: flow) }
    return hasHeard
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
    for type in ApplicationParsers.all where type.transports.contains(IPProtocolNumber.tcp) {
      guard
        type.recognize(fresh, from: side, serverPort: flow.serverPort, transport: IPProtocolNumber.tcp) == .yes
      else { continue }
      let next = ApplicationSession(type, limits: limits, files: files, transport: flow.ipProtocol, after: session)
      sessions[Int(flow.application)] = next
      flow.protocolNumber = next.index
      statistics.sessions &+= 1
      return next
    }
    return nil
  }

  // MARK: protocol detection

  /// Which side says this: the one that it is taken for, unless a protocol knows it from the other alone.
  private static func likelySide(_ start: RawSpan, _ side: FlowSide, _ flow: Flow) -> FlowSide {
    func isKnown(_ side: FlowSide, port: UInt16) -> Bool {
      ApplicationParsers.all.contains { parser in
        parser.transports.contains(IPProtocolNumber.tcp)
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
    for parser in ApplicationParsers.all where parser.transports.contains(transport) {
      switch parser.recognize(start, from: side, serverPort: flow.serverPort, transport: transport) {
      case .yes: return parser
      case .needsMore: needsMore = true
      case .no: break
      }
    }
    if !needsMore { giveUp(side, &flow) }
    return nil
  }

  private mutating func giveUp(_ side: FlowSide, _ flow: inout Flow) {
    flow.flags.insert(side == .toServer ? .noApplicationToServer : .noApplicationToClient)
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

/// One flow's conversation in its protocol.
final class ApplicationSession {
  let application: ApplicationProtocol
  /// The protocol's place in ``ApplicationParsers/all``.
  let index: UInt8
  let parser: any ApplicationParser
  /// The kind of the protocol's records.
  let recordKind: RecordKinds
  let eventNames: [StaticString]
  /// How far each side of the stream has been fed.
  private var nextToServer: UInt64
  private var nextToClient: UInt64
  private var isClosedToServer = false
  private var isClosedToClient = false

  /// Its streams are read beyond the depth of reassembly.
  let isReadToTheEnd: Bool
  /// How often a conversation that was handed over has been looked at.
  private var handoverLooks = 0

  /// - Parameters:
  ///   - type: the protocol's parser.
  ///   - limits: what it may keep.
  ///   - files: what is done with the files that it carries.
  ///   - transport: TCP or UDP.
  ///   - before: the conversation that this one goes on with, in the same streams.
  init(
    _ type: any ApplicationParser.Type, limits: ApplicationLimits, files: FilePolicy, transport: UInt8,
    after before: ApplicationSession? = nil
  ) {
    isReadToTheEnd = type.isReadToTheEnd
    nextToServer = before?.nextToServer ?? 0
    nextToClient = before?.nextToClient ?? 0
    application = type.applicationProtocol
    index = ApplicationParsers.index(of: type.applicationProtocol)
    recordKind = type.recordKind
    eventNames = type.eventNames
    parser = type.init(limits: limits, transport: transport)
    parser.useFiles(files)
  }

  /// What of a window has not been fed; nil when there is nothing, or something before it is missing.
  @_lifetime(copy window)
  fileprivate func fresh(_ window: borrowing StreamWindow, from side: FlowSide) -> RawSpan? {
    let fed = side == .toServer ? nextToServer : nextToClient
    guard fed >= window.streamOffset, fed < window.streamOffset + UInt64(window.bytes.byteCount) else { return nil }
    return window.bytes.extracting(Int(fed - window.streamOffset)...)
  }

  /// Whether it is worth looking for what comes after it: a few times, then it is nothing that is known.
  fileprivate func mayBeSucceeded() -> Bool {
    handoverLooks += 1
    return handoverLooks <= 4
  }

  /// How often it heard something, and how far detection has followed on each side.
  private var changes = 0
  private var inspectedToServer = 0
  private var inspectedToClient = 0

  /// Whether it heard something since a packet of this side was last inspected.
  func needsInspection(_ side: FlowSide) -> Bool {
    changes != (side == .toServer ? inspectedToServer : inspectedToClient)
  }

  func setInspected(_ side: FlowSide) {
    if side == .toServer { inspectedToServer = changes } else { inspectedToClient = changes }
  }

  fileprivate func receive(datagram: RawSpan, from side: FlowSide) {
    changes &+= 1
    parser.receive(datagram, from: side)
  }

  /// Feeds what is new in a window, and says what is missing before it.
  ///
  /// - Returns: whether there was anything new.
  fileprivate func receive(_ window: borrowing StreamWindow, from side: FlowSide) -> Bool {
    let fed = side == .toServer ? nextToServer : nextToClient
    let end = window.streamOffset + UInt64(window.bytes.byteCount)
    if fed > window.streamOffset {
      guard fed < end else { return false }
      parser.receive(window.bytes.extracting(Int(fed - window.streamOffset)...), from: side)
    } else {
      if window.streamOffset > fed { parser.skip(Int(clamping: window.streamOffset - fed), from: side) }
      parser.receive(window.bytes, from: side)
    }
    if side == .toServer { nextToServer = end } else { nextToClient = end }
    changes &+= 1
    return true
  }

  /// One side's stream is over.
  ///
  /// - Returns: whether it was open.
  func close(_ side: FlowSide) -> Bool {
    if side == .toServer ? isClosedToServer : isClosedToClient { return false }
    if side == .toServer { isClosedToServer = true } else { isClosedToClient = true }
    parser.close(side)
    changes &+= 1
    return true
  }

  /// The transaction of this number; nil when it is done with.
  func transaction(_ number: UInt64) -> (any ApplicationTransaction)? {
    for index in 0..<parser.transactionCount where parser.transaction(at: index).number == number {
      return parser.transaction(at: index)
    }
    return nil
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
}
