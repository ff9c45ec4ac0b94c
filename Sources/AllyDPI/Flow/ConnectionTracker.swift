import AllyPacket

/// Flows and TCP streams together: gives each packet its flow, its side, its connection's state, and the stream data that it
/// brings within reach.
///
/// ## What a caller does with each packet
///
/// 1. ``track(_:bytes:time:)`` once, in the order of inspection.
/// 2. The packet's own payload is at ``DecodedPacket/payloadRange``.
/// 3. While ``PacketContext/hasStreamData`` says so, ``window(bytes:)`` is the stream as far as it is contiguous now: bytes
///    seen earlier (up to ``StreamReassembler/history``), then those that are new. A segment out of order brings nothing; the one
///    that closes the gap brings all that has become contiguous, at most 64 KiB at once: ``nextWindow()`` goes on, until
///    it returns false.
/// 4. The flow is at ``flow(_:)``; the engine's own marks in it (bits, flags) are changed through ``withFlow(_:_:)``.
/// 5. ``nextEndedFlow()`` until nil: flows that ended, for records; ``showRest(of:_:)`` has what of each nobody has seen, and
///    ``close(_:)`` gives its memory back.
///
/// Each byte of a stream is new exactly once. Inline that is on arrival: no frame is held back, so what shall be dropped must
/// be found in the frame that completes it (Docs/ADR/0004). Passively it is with the first packet of its side behind the
/// acknowledgement; applications hear of it with the acknowledgement itself (``PacketContext/releasesOther``). Where
/// copies differ, the first that became contiguous has been inspected and stays.
///
/// Data that the receiver acknowledged but that was never seen is a gap: the stream goes on behind it with a new window.
struct ConnectionTracker: ~Copyable {
  /// Buckets and records that time-outs may look at for one packet.
  private static var stepsPerPacket: Int { 64 }

  private var policy: TCPPolicy
  private let hosts: HostSystems
  private let tracksVLANs: Bool
  private var flows: FlowTable
  private var sessions: Pool<TCPSession>
  private var reassembler: StreamReassembler
  private var now: UInt64 = 0
  private var isFinishing = false
  private var counters = FlowStatistics()
  /// What the last packet brought within reach: whose side.
  private var reach = Reach()
  private var lost: Flow? = nil
  /// What outlives this tracker of dropped flows, and whether there was one before it.
  private var dropped: DroppedFlows?
  private var hasPredecessor = false

  private struct Reach: BitwiseCopyable {
    var session: UInt32 = .max
    var side = FlowSide.toServer
  }

  init(configuration: DPIConfiguration, dropped: DroppedFlows? = nil) {
    self.dropped = dropped
    hosts = configuration.hostSystems
    tracksVLANs = configuration.tracksVLANs
    policy = TCPPolicy(
      midstream: configuration.midstream, asyncOneSide: configuration.asyncOneSide, isInline: configuration.isInline,
      midstreamPolicy: configuration.midstreamPolicy.asSeen(byInline: configuration.isInline))
    let seed = configuration.hashSeed ?? UInt64.random(in: .min ... .max)
    flows = FlowTable(memoryCap: configuration.flowMemoryCap, seed: seed, timeouts: configuration.flowTimeouts)
    sessions = Pool(capacity: max(16, configuration.streamMemoryCap / MemoryLayout<TCPSession>.stride))
    reassembler = StreamReassembler(
      memoryCap: configuration.reassemblyMemoryCap, depth: Int(configuration.reassemblyDepth),
      keepsUnacknowledged: policy.isInline,
      releasesOnAcknowledgement: !(configuration.streamInline ?? configuration.isInline))
  }

  /// Gives a packet to its flow and its stream. Packets without a flow (broken headers, plain fragments) give
  /// a context with ``FlowIndex/none``.
  ///
  /// - Parameters:
  ///   - bytes: what the packet's offsets count in.
  ///   - time: nanoseconds since 1970; the tracker's clock never runs backwards.
  mutating func track(_ packet: DecodedPacket, bytes: RawSpan, time: UInt64) -> PacketContext {
    now = max(now, time)
    reach = Reach()
    expire()
    var context = PacketContext()
    guard packet.hasFlow, let index = flow(of: packet, bytes: bytes, context: &context) else { return context }
    context.flow = index
    update(index, packet, &context)
    if packet.transport == .tcp && flows[index].ipProtocol == IPProtocolNumber.tcp {
      trackTCP(packet, bytes: bytes, index, &context)
    }
    return context
  }

  /// The stream data that the last ``track(_:bytes:time:)`` or ``nextWindow()`` brought within reach, in the direction of
  /// the packet. Empty when there is none.
  @_lifetime(borrow self, copy bytes)
  func window(bytes: RawSpan) -> StreamWindow {
    guard reach.session != .max else { return StreamWindow(bytes: RawSpan(), streamOffset: 0, freshOffset: 0) }
    let stream =
      reach.side == .toServer ? sessions[reach.session].client.stream : sessions[reach.session].server.stream
    let window = reassembler.window(of: stream)
    // The window belongs to `reassembler`, which is part of `self`.
    return unsafe _overrideLifetime(window, borrowing: self)
  }

  /// The other side's stream data as far as it is released: what it shows may have been heard before.
  @_lifetime(borrow self, copy bytes)
  func otherWindow(bytes: RawSpan) -> StreamWindow {
    guard reach.session != .max else { return StreamWindow(bytes: RawSpan(), streamOffset: 0, freshOffset: 0) }
    let stream =
      reach.side == .toServer ? sessions[reach.session].server.stream : sessions[reach.session].client.stream
    let window = reassembler.window(of: stream)
    // The window belongs to `reassembler`, which is part of `self`.
    return unsafe _overrideLifetime(window, borrowing: self)
  }

  /// What records show of a flow's stream: what its application had not heard before the packet in hand, and all that is
  /// kept when there is none.
  func excerpt(of flow: Flow, _ side: FlowSide, atMost limit: Int) -> [UInt8] {
    guard flow.stream != .max else { return [] }
    let stream = side == .toServer ? sessions[flow.stream].client.stream : sessions[flow.stream].server.stream
    return reassembler.excerpt(of: stream, from: flow.application == .max ? 0 : stream.freshFrom, atMost: limit)
  }

  /// The number of the byte that a side of a flow would send next; nil when it is no connection.
  func nextSequence(of flow: Flow, _ side: FlowSide) -> UInt32? {
    guard flow.stream != .max else { return nil }
    return side == .toServer ? sessions[flow.stream].client.nextSequence : sessions[flow.stream].server.nextSequence
  }

  /// Shows what a side of a flow that ended has sent and nobody has looked at, acknowledged or not: ``window(bytes:)``
  /// has it, and ``nextWindow()`` goes on.
  ///
  /// - Returns: whether there is any.
  mutating func showRest(of flow: Flow, _ side: FlowSide) -> Bool {
    reach = Reach()
    guard flow.stream != .max else { return false }
    reach = Reach(session: flow.stream, side: side)
    if side == .toServer {
      sessions[flow.stream].client.stream.releasesEverything = true
      reassembler.begin(&sessions[flow.stream].client)
      return reassembler.show(&sessions[flow.stream].client)
    }
    sessions[flow.stream].server.stream.releasesEverything = true
    reassembler.begin(&sessions[flow.stream].server)
    return reassembler.show(&sessions[flow.stream].server)
  }

  /// Takes the other side of a flow for the client.
  mutating func swapSides(_ index: FlowIndex) {
    flows.swapSides(index)
    let place = flows[index].stream
    guard place != .max else { return }
    let session = sessions[place]
    sessions[place].client = session.server
    sessions[place].server = session.client
    // Each side has literals of its own.
    sessions[place].client.stream.search = StreamSearch()
    sessions[place].server.stream.search = StreamSearch()
    reach.side = reach.side.opposite
  }

  /// Keeps how far the stream that ``window(bytes:)`` shows was searched.
  mutating func keep(_ search: StreamSearch) {
    guard reach.session != .max else { return }
    if reach.side == .toServer {
      sessions[reach.session].client.stream.search = search
    } else {
      sessions[reach.session].server.stream.search = search
    }
  }

  /// Other rules are in effect: what no literal of the rules before was found in may hold one of theirs.
  mutating func forgetSearches() { reassembler.ruleGeneration &+= 1 }

  /// Whether a connection was picked up without its begin.
  func isMidstream(_ flow: Flow) -> Bool {
    flow.stream != .max && sessions[flow.stream].connection.flags.contains(.midstream)
  }

  /// Whether an ended flow's connection was open to the last.
  func isOpen(_ flow: Flow) -> Bool {
    guard flow.stream != .max else { return false }
    let state = sessions[flow.stream].connection.state
    return state >= .established && state < .closed
  }

  /// Gives back what an ended flow's connection holds.
  mutating func close(_ flow: Flow) {
    reach = Reach()
    closeSession(flow.stream)
  }

  /// A flow that had to give way without its record; its application is to be given back.
  mutating func takeLostFlow() -> Flow? {
    defer { lost = nil }
    return lost
  }

  /// Goes on to stream data that did not fit into the last window.
  ///
  /// - Returns: whether ``window(bytes:)`` shows new bytes.
  mutating func nextWindow() -> Bool {
    guard reach.session != .max else { return false }
    var events = StreamEventSet()
    if reach.side == .toServer {
      return reassembler.drainMore(side: &sessions[reach.session].client, events: &events)
    }
    return reassembler.drainMore(side: &sessions[reach.session].server, events: &events)
  }

  /// A flow's state now.
  func flow(_ index: FlowIndex) -> Flow { flows[index] }

  /// The TCP connection of a flow; nil when there is none.
  func connection(_ index: FlowIndex) -> TCPConnection? {
    let place = flows[index].stream
    return place == .max ? nil : sessions[place].connection
  }

  /// Whether the connection of a flow is over, and was not reset.
  func isClosed(_ index: FlowIndex) -> Bool {
    let place = flows[index].stream
    return place != .max && sessions[place].connection.state == .closed
      && !sessions[place].client.flags.contains(.resetSent) && !sessions[place].server.flags.contains(.resetSent)
  }

  /// Changes a flow in place.
  mutating func withFlow<Result>(_ index: FlowIndex, _ change: (inout Flow) -> Result) -> Result {
    change(&flows[index])
  }

  /// Goes on with connections whose begin another tracker saw: flows are dropped that it dropped, if this one has the same memory and
  /// seed, and connections without a seen handshake are picked up, and not stopped for the lack of it.
  mutating func takeOver() {
    hasPredecessor = true
    policy.midstream = true
    if policy.midstreamPolicy.stopsTraffic { policy.midstreamPolicy = .ignore }
  }

  /// A packet was dropped: notes its flow if all of that is.
  func noteDropped(_ index: FlowIndex) {
    guard let dropped, flows[index].flags.contains(.drop) else { return }
    dropped.note(flows.hash(of: index), until: flows.deadline(flows[index]))
  }

  /// Lets a flow's streams be reassembled to their end.
  mutating func liftDepth(of index: FlowIndex) {
    let place = flows[index].stream
    // What has reached it is over.
    guard place != .max, !sessions[place].client.flags.contains(.depthReached),
      !sessions[place].server.flags.contains(.depthReached)
    else { return }
    sessions[place].client.flags.insert(.noDepth)
    sessions[place].server.flags.insert(.noDepth)
  }

  /// Nothing more of a flow's streams is put together.
  mutating func stopReassembly(of index: FlowIndex) {
    let place = flows[index].stream
    guard place != .max else { return }
    sessions[place].client.flags.insert(.depthReached)
    sessions[place].server.flags.insert(.depthReached)
  }

  /// Whether there may be one to take with ``takeLostFlow()`` or ``nextEndedFlow()``.
  var hasEndedFlows: Bool { flows.hasEnded || lost != nil || isFinishing }

  /// A flow that ended since; each once. Those that nobody asks for make room for new ones.
  mutating func nextEndedFlow() -> Flow? {
    if let flow = flows.nextEnded() { return flow }
    guard isFinishing, let index = flows.anyLive() else { return nil }
    end(index, .shutdown)
    return flows.nextEnded()
  }

  /// Ends all flows, at the end of traffic: ``nextEndedFlow()`` gives them.
  mutating func finish() { isFinishing = true }

  /// Counters so far.
  var statistics: FlowStatistics {
    var sum = flows.statistics
    sum.activeFlows = UInt64(flows.count)
    sum.withoutFlow = counters.withoutFlow
    sum.tcpSessions = counters.tcpSessions
    sum.tcpWithoutSession = counters.tcpWithoutSession
    sum.tcpInvalidChecksum = counters.tcpInvalidChecksum
    sum.streamMemoryCap = counters.streamMemoryCap
    sum.reassemblyMemoryCap = reassembler.unkept
    sum.gaps = reassembler.gaps
    sum.overlaps = reassembler.overlaps
    sum.differingOverlaps = reassembler.differing
    return sum
  }

  /// Bytes that streams hold now, and the flows that can be.
  var bytesHeld: Int { reassembler.bytesHeld }
  var flowCapacity: Int { flows.capacity }

  // MARK: Flows

  /// Finds or makes the flow of a packet, and says which way the packet runs.
  private mutating func flow(of packet: DecodedPacket, bytes: RawSpan, context: inout PacketContext) -> FlowIndex? {
    let (key, reversed, isError) = packet.flowKey(withVLANs: tracksVLANs)
    var extra = UInt32(tracksVLANs ? packet.vlans.2 : 0) | UInt32(packet.depth) << 16
    // RFC 4303 §2.1: each security association is a flow of its own.
    let spi = packet.securityParametersIndex(bytes: bytes)
    if let spi { extra = extra &* 0x9E37_79B1 &+ spi }
    let hash = flows.hash(key, context: extra)
    if let index = flows.find(key, context: extra, hash: hash) {
      if let reason = ending(of: index, for: packet, reversed: reversed) {
        end(index, reason)
      } else {
        // An error message comes from either end, or from between: whose address it bears decides.
        let fromClient =
          isError ? packet.source == flows[index].client : reversed == flows.clientIsHigh(index)
        context.side = fromClient ? .toServer : .toClient
        return index
      }
    }
    // An error message belongs to the flow it speaks of, or to none.
    if packet.isICMPv4Error { return nil }
    var evicted: Flow? = nil
    let made = flows.insert(
      key, context: extra, hash: hash, packet: packet, clientIsHigh: reversed, time: now, evicted: &evicted)
    if let evicted {
      closeSession(evicted.stream)
      lost = evicted
    }
    guard let made else {
      counters.withoutFlow &+= 1
      return nil
    }
    context.isNewFlow = true
    if hasPredecessor, let dropped, dropped.contains(hash, at: now) { flows[made].flags.insert(.drop) }
    if let spi { flows[made].securityParametersIndex = spi }
    return made
  }

  /// Why a flow that a packet would belong to is over; nil when it is not.
  private func ending(of index: FlowIndex, for packet: DecodedPacket, reversed: Bool) -> Flow.Ending? {
    if flows.deadline(flows[index]) < now { return .timeout }
    guard packet.transport == .tcp, packet.tcp.isSYN, !packet.tcp.isFIN, !packet.tcp.isRST else { return nil }
    let place = flows[index].stream
    guard place != .max else { return nil }
    let isOver = sessions[place].connection.state.isOver
    // A SYN once more is no new connection.
    let isResent =
      reversed == flows.clientIsHigh(index) && packet.tcp.sequence == sessions[place].client.initialSequence
    return isOver && !isResent && !packet.tcp.isACK ? .reused : nil
  }

  private mutating func update(_ index: FlowIndex, _ packet: DecodedPacket, _ context: inout PacketContext) {
    let wasEstablished = flows[index].state == .established || isConnected(index)
    if now > flows[index].lastTime { flows[index].lastTime = now }
    if context.side == .toServer {
      flows[index].packetsToServer &+= 1
      flows[index].bytesToServer &+= UInt64(packet.accountedLength)
    } else {
      flows[index].packetsToClient &+= 1
      flows[index].bytesToClient &+= UInt64(packet.accountedLength)
    }
    flows[index].hopLimits.take(packet.hopLimit, from: context.side)
    if !packet.isICMPv4Error {
      flows[index].flags.insert(context.side == .toServer ? .seenToServer : .seenToClient)
    }
    if packet.transport == .icmpv4 || packet.transport == .icmpv6 {
      if context.isNewFlow {
        flows[index].icmp.type = packet.icmp.type
        flows[index].icmp.code = packet.icmp.code
      } else if context.side == .toClient && flows[index].packetsToClient == 1 {
        flows[index].icmp.replyType = packet.icmp.type
        flows[index].icmp.replyCode = packet.icmp.code
      }
    }
    if wasEstablished {
      context.isEstablished = true
    } else if flows[index].ipProtocol != IPProtocolNumber.tcp,
      flows[index].flags.isSuperset(of: [.seenToServer, .seenToClient])
    {
      context.isEstablished = true
      flows[index].state = .established
    }
  }

  private func isConnected(_ index: FlowIndex) -> Bool {
    let place = flows[index].stream
    return place != .max && sessions[place].connection.state >= .established
  }

  private mutating func expire() {
    var steps = Self.stepsPerPacket
    while flows.expireNext(time: now, steps: &steps) != nil {}
  }

  private mutating func end(_ index: FlowIndex, _ reason: Flow.Ending) { flows.end(index, reason, time: now) }

  private mutating func closeSession(_ place: UInt32) {
    guard place != .max else { return }
    reassembler.close(&sessions[place].client)
    reassembler.close(&sessions[place].server)
    sessions.remove(place)
  }

  // MARK: TCP

  private mutating func noteTCPFlags(_ packet: DecodedPacket, _ index: FlowIndex, from side: FlowSide) {
    if side == .toServer {
      flows[index].tcpFlagsToServer |= packet.tcp.flags
    } else {
      flows[index].tcpFlagsToClient |= packet.tcp.flags
    }
  }

  private mutating func trackTCP(
    _ packet: DecodedPacket, bytes: RawSpan, _ index: FlowIndex, _ context: inout PacketContext
  ) {
    if packet.flaws.contains(.transportChecksum) {
      counters.tcpInvalidChecksum &+= 1
      return
    }
    // Nothing of it arrives: its connection stays as it was, and its record tells what was sent.
    if policy.isInline && flows[index].flags.contains(.drop) {
      if flows[index].stream != .max { noteTCPFlags(packet, index, from: context.side) }
      return
    }
    let outcome: TCPConnection.Outcome
    if flows[index].stream == .max {
      if packet.isMidstream {
        context.exception = policy.midstreamPolicy
        if !policy.midstreamPolicy.letsFollow { return }
      }
      outcome = openSession(packet, index, &context)
      guard outcome == .taken else {
        counters.tcpWithoutSession &+= 1
        // What another tracker saw begin may end here.
        context.mustDrop = policy.isInline && outcome == .refused && !hasPredecessor
        return
      }
    } else {
      outcome = sessions[flows[index].stream].follow(
        packet, from: context.side, time: now, policy: policy, events: &context.streamEvents)
    }
    let place = flows[index].stream
    context.isInConnection = true
    context.clientSize = sessions[place].client.nextSequence &- sessions[place].client.initialSequence
    context.serverSize = sessions[place].server.nextSequence &- sessions[place].server.initialSequence
    let state = sessions[place].connection.state
    flows[index].tcpState = state
    noteTCPFlags(packet, index, from: context.side)
    switch state {
    case .established, .finWait1, .finWait2, .closing, .closeWait: flows[index].state = .established
    case .lastACK, .timeWait, .closed: flows[index].state = .closed
    default: break
    }
    guard outcome == .taken else {
      context.mustDrop = policy.isInline && outcome == .refused
      return
    }
    sessions[place].take(packet, bytes: bytes, from: context.side, into: &reassembler, context: &context)
    flows[index].hasGapToServer = sessions[place].client.flags.contains(.gap)
    flows[index].hasGapToClient = sessions[place].server.flags.contains(.gap)
    if context.hasStreamData || context.releasesOther { reach = Reach(session: place, side: context.side) }
    if context.streamEvents.contains(.reassemblyOverlapDifferentData) && policy.isInline { context.mustDrop = true }
    if context.hasStreamData && state >= .established { context.isEstablished = true }
    if state == .closed && !context.hasStreamData && reassembler.isSpent(sessions[place].client)
      && reassembler.isSpent(sessions[place].server)
    {
      // Nothing more will be shown: the memory is better used elsewhere.
      reassembler.close(&sessions[place].client)
      reassembler.close(&sessions[place].server)
    }
  }

  private mutating func openSession(
    _ packet: DecodedPacket, _ index: FlowIndex, _ context: inout PacketContext
  ) -> TCPConnection.Outcome {
    var session = TCPSession()
    var swaps = false
    let outcome = session.connection.open(
      packet, &session.client, &session.server, time: now, policy: policy, events: &context.streamEvents, swaps: &swaps)
    guard outcome == .taken else { return outcome }
    let isFromClient = (context.side == .toServer) != (swaps && context.isNewFlow)
    if !isFromClient { (session.client, session.server) = (session.server, session.client) }
    if !hosts.isEmpty {
      // The receiver decides.
      let (client, server) = isFromClient ? (packet.source, packet.destination) : (packet.destination, packet.source)
      session.client.stream.policy = hosts.system(of: server).ofSegments
      session.server.stream.policy = hosts.system(of: client).ofSegments
    }
    guard let place = sessions.insert(session) else {
      counters.streamMemoryCap &+= 1
      return .ignored
    }
    counters.tcpSessions &+= 1
    if swaps && context.isNewFlow {
      flows.swapSides(index)
      context.side = context.side.opposite
      flows[index].flags.remove(.seenToServer)
      flows[index].flags.insert(.seenToClient)
    }
    flows[index].stream = place
    return .taken
  }
}

extension DecodedPacket {
  /// Whether a TCP packet can only be part of a connection whose begin was not seen.
  fileprivate var isMidstream: Bool { (tcp.isACK || tcp.isFIN) && !tcp.isRST }

  /// Whether the packet belongs to a flow: its transport header is whole.
  var hasFlow: Bool {
    transport != .none || ipVersion != 0 && ipProtocol == IPProtocolNumber.esp && !fragment.isFragment
  }

  /// "Destination unreachable" and the like (RFC 792): they speak of another flow.
  var isICMPv4Error: Bool {
    guard transport == .icmpv4 else { return false }
    switch icmp.type {
    case 3, 4, 5, 11, 12: return true
    default: return false
    }
  }

  /// What finds a packet's flow; `isError` when it is the flow that an error message quotes.
  fileprivate func flowKey(withVLANs: Bool) -> (key: FlowKey, reversed: Bool, isError: Bool) {
    let vlanKey = withVLANs ? self.vlanKey : 0
    if isICMPv4Error && icmp.hasQuotation {
      let canonical = FlowKey.canonical(
        source: icmp.quotedSource, sourcePort: icmp.quotedSourcePort, destination: icmp.quotedDestination,
        destinationPort: icmp.quotedDestinationPort, ipProtocol: icmp.quotedProtocol, vlan: vlanKey)
      return (canonical.key, canonical.reversed, true)
    }
    var ports = (sourcePort, destinationPort)
    if transport == .icmpv4 || transport == .icmpv6 {
      // Question and answer make one flow: the types stand for ports.
      ports = (UInt16(icmp.type), UInt16(icmpCounterpart))
    }
    let canonical = FlowKey.canonical(
      source: source, sourcePort: ports.0, destination: destination, destinationPort: ports.1, ipProtocol: ipProtocol,
      vlan: vlanKey)
    return (canonical.key, canonical.reversed, false)
  }

  /// The type of the message that answers this one, or that this one answers; 0 when there is none.
  private var icmpCounterpart: UInt8 {
    switch (transport, icmp.type) {
    case (.icmpv4, 0): 8
    case (.icmpv4, 8): 0
    case (.icmpv4, 9): 10
    case (.icmpv4, 10): 9
    case (.icmpv4, 13): 14
    case (.icmpv4, 14): 13
    case (.icmpv4, 15): 16
    case (.icmpv4, 16): 15
    case (.icmpv4, 17): 18
    case (.icmpv4, 18): 17
    case (.icmpv6, 128): 129
    case (.icmpv6, 129): 128
    case (.icmpv6, 133): 134
    case (.icmpv6, 134): 133
    case (.icmpv6, 135): 136
    case (.icmpv6, 136): 135
    case (.icmpv6, 130): 131
    case (.icmpv6, 131): 130
    case (.icmpv6, 139): 140
    case (.icmpv6, 140): 139
    case (.icmpv6, 144): 145
    case (.icmpv6, 145): 144
    default: 0
    }
  }
}

/// What the tracker knows about one packet.
struct PacketContext: BitwiseCopyable, Sendable {
  var flow: FlowIndex = .none
  var side: FlowSide = .toServer
  /// The packet opened the flow.
  var isNewFlow = false
  /// What `flow:established` asks for: both sides have been seen, and for TCP the handshake was complete before this packet, or is
  /// now and the packet brings data.
  var isEstablished = false
  /// The payload became part of the reassembled stream (at once, or when the gap before it closes).
  var isInStream = false
  /// ``ConnectionTracker/window(bytes:)`` has new bytes.
  var hasStreamData = false
  /// ``ConnectionTracker/otherWindow(bytes:)`` has bytes that the other side sent and this packet acknowledges.
  var releasesOther = false
  /// All that this side sends has been seen: its FIN is in order, or there was a valid RST.
  var endsStream = false
  /// Likewise of the other side.
  var endsOther = false
  /// Both sides are over: there was a valid RST.
  var endsConnection = false
  /// The stream data is more of what a packet brought within reach: the packet itself has been inspected.
  var isContinuation = false
  /// It is no packet but stands for the end of what a side says, of which something is still to be inspected.
  var standsForEnd = false
  /// Inline: the packet must not pass, because it does not fit the connection or differs from what was inspected (decision 11).
  var mustDrop = false
  /// What becomes of the packet's flow because the engine cannot follow it.
  var exception = ExceptionPolicy.ignore
  /// It is the application that the engine cannot follow, not the connection.
  var isApplicationLost = false
  var streamEvents = StreamEventSet()
  /// What finding out the protocol met with this packet.
  var detectionEvents = DetectionEventSet()
  /// `stream_size`: sequence numbers that each side of a TCP connection has used, its SYN included; of use when
  /// ``isInConnection``.
  var clientSize: UInt32 = 0
  var serverSize: UInt32 = 0
  /// The packet's flow has a TCP connection.
  var isInConnection = false
}

/// A contiguous piece of one side of a TCP stream.
struct StreamWindow: ~Escapable {
  /// Bytes inspected earlier, then the new ones.
  let bytes: RawSpan
  /// Where `bytes` begins in the stream: 0 is the first byte after the SYN.
  let streamOffset: UInt64
  /// Where the new bytes begin in `bytes`.
  let freshOffset: Int
  /// How far the stream was searched for literals.
  let search: StreamSearch

  @_lifetime(copy bytes)
  init(bytes: RawSpan, streamOffset: UInt64, freshOffset: Int, search: StreamSearch = StreamSearch()) {
    self.bytes = bytes
    self.streamOffset = streamOffset
    self.freshOffset = freshOffset
    self.search = search
  }
}
