public import AllyPacket

/// How a firewall behaves where its policy has no say.
public struct FirewallConfiguration: Sendable, Equatable {
  /// What becomes of frames that carry no IP packet (address resolution, spanning tree): rules of the families ip, ip6
  /// and inet do not see them.
  public var frameWithoutIP: Verdict
  public var tracking: TrackingConfiguration
  /// The most log events that wait to be taken.
  public var maximumLogEvents: Int

  public init(
    frameWithoutIP: Verdict = .accept, tracking: TrackingConfiguration = TrackingConfiguration(),
    maximumLogEvents: Int = 1_024
  ) {
    self.frameWithoutIP = frameWithoutIP
    self.tracking = tracking
    self.maximumLogEvents = maximumLogEvents
  }
}

/// A stateful firewall: judges every frame by a ``FirewallPolicy``.
///
/// One DPI core owns it. All memory is taken when it is made; a frame costs no allocation, and work that the policy
/// bounds (``FirewallPolicy`` refuses one without bound). Time is the frames' own
/// (`FrameStamp.time`).
public struct FirewallInspector: ~Copyable, PacketInspector {
  private var program: LoadedProgram
  private var tracker: ConnectionTracker
  private var fragments: FragmentTable
  private var log: LogQueue
  private let frameWithoutIP: Verdict
  private let tracksConnections: Bool
  private let fragmentLifetime: UInt64
  private var count = FirewallStatistics()

  /// How the last rejected packet's sender is to be told; nil when the last frame was not rejected.
  public private(set) var rejection: Rejection?

  public init(policy: FirewallPolicy, configuration: FirewallConfiguration = FirewallConfiguration()) {
    unsafe self.init(policy: policy, configuration: configuration, connections: nil)
  }

  /// How many bytes the connections take.
  public static func connectionMemory(_ configuration: FirewallConfiguration) -> Int {
    ConnectionTable.byteCount(capacity: configuration.tracking.maximumConnections)
  }

  /// What is in them: a firewall of another program that has another word for it cannot read them.
  public static var connectionLayout: String { ConnectionTable.layout }

  /// A firewall whose connections outlive it: in memory that copies of this process share. A copy that goes on in the place of
  /// another calls ``takeUpConnections()`` first.
  ///
  /// - Parameters:
  ///   - policy: what is let through.
  ///   - configuration: limits and time-outs.
  ///   - connections: zeros, ``connectionMemory(_:)`` bytes, aligned to 16, which stay valid as long as this value exists; nil
  ///     for memory of its own.
  @unsafe
  public init(
    policy: FirewallPolicy, configuration: FirewallConfiguration, connections: UnsafeMutableRawBufferPointer?
  ) {
    program = LoadedProgram(policy.program)
    tracker = unsafe ConnectionTracker(configuration.tracking, in: connections)
    fragments = FragmentTable(
      capacity: configuration.tracking.maximumDatagrams,
      seed: configuration.tracking.seed ?? UInt64.random(in: .min ... .max))
    log = LogQueue(capacity: configuration.maximumLogEvents)
    frameWithoutIP = configuration.frameWithoutIP
    tracksConnections = policy.program.usesConnectionState
    fragmentLifetime = UInt64(configuration.tracking.timeOuts.fragments) &* 1_000_000_000
  }

  /// Goes on with the connections that a copy of this process had, which has ended.
  public mutating func takeUpConnections() { tracker.takeUp() }

  /// It tells the senders of what it rejects.
  public static var actions: InspectorActions { [.injectsTowardsOS, .injectsTowardsWire] }

  public mutating func inspect(_ packet: borrowing Packet, answering answers: inout FrameAnswers) -> Verdict {
    let verdict = inspect(packet)
    if verdict == .reject, let rejection { answers.reject(packet, with: rejection) }
    return verdict
  }

  public mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    rejection = nil
    count.frames &+= 1
    count.bytes &+= UInt64(packet.bytes.byteCount)
    let layers = PacketLayers(of: packet)
    let verdict = judge(layers, packet)
    switch verdict {
    case .accept, .replace: count.accepted &+= 1
    case .drop: count.dropped &+= 1
    case .reject: count.rejected &+= 1
    }
    return verdict
  }

  /// What the policy's rules counted so far.
  public var counters: PolicyCounters { program.count }

  public var statistics: FirewallStatistics {
    var statistics = count
    statistics.connections = UInt64(tracker.count)
    statistics.connectionsCreated = tracker.created
    statistics.connectionsExpired = tracker.expired
    statistics.connectionsEvicted = tracker.evicted
    statistics.connectionsRefused = tracker.refused
    statistics.logEventsLost = log.lost
    return statistics
  }

  /// Takes the oldest log event out of the queue; nil when there is none.
  public mutating func nextLogEvent() -> FirewallLogEvent? { log.next() }

  private mutating func judge(_ layers: PacketLayers, _ packet: borrowing Packet) -> Verdict {
    if let defect = layers.defect, defect.isBelowTransport {
      count.malformed &+= 1
      return .drop
    }
    if layers.network == .other {
      count.framesWithoutIP &+= 1
      return frameWithoutIP
    }
    if layers.fragment.isFragment { return judgeFragment(layers, packet) }
    return evaluate(layers, packet)
  }

  private mutating func evaluate(_ layers: PacketLayers, _ packet: borrowing Packet) -> Verdict {
    guard tracksConnections else {
      return decide(layers, .untracked, packet)
    }
    let now = packet.stamp.time
    let tracked = tracker.track(layers, packet.bytes, now: now)
    if tracked.state == .invalid { count.invalid &+= 1 }
    let verdict = decide(layers, tracked.state, packet)
    guard verdict == .accept else { return verdict }
    return tracker.commit(tracked, now: now) ? .accept : .drop
  }

  private mutating func decide(
    _ layers: PacketLayers, _ state: ConnectionStateSet, _ packet: borrowing Packet
  ) -> Verdict {
    let decision = program.evaluate(
      layers, state: state, direction: packet.direction, log: &log, stamp: packet.stamp)
    rejection = decision.rejection
    return decision.verdict
  }

  // MARK: Fragments

  /// The first fragment is judged by the rules, the later ones share its fate. A later one that comes before it is judged
  /// as it is, without ports; nothing can be put together from it unless the first fragment passes too.
  private mutating func judgeFragment(_ layers: PacketLayers, _ packet: borrowing Packet) -> Verdict {
    let piece = layers.networkOffset &+ layers.networkLength &- layers.fragment.pieceOffset
    let end = UInt32(layers.fragment.offset) &+ piece
    guard end <= UInt32(UInt16.max) else {
      count.fragmentsRefused &+= 1
      return .drop
    }
    let now = packet.stamp.time
    let key = FragmentTable.key(layers)
    let (known, place) = fragments.find(key, now: now)
    var datagram = known ?? key
    datagram.expires = now &+ fragmentLifetime
    let verdict: Verdict
    if layers.fragment.isLater {
      if datagram.isDecided {
        if UInt32(layers.fragment.offset) < datagram.firstEnd {
          // It would replace what the rules have seen: the whole datagram is given up (RFC 5722 §3).
          count.fragmentsRefused &+= 1
          datagram.passes = false
          verdict = .drop
        } else {
          count.fragmentsFollowed &+= 1
          verdict = datagram.passes ? .accept : .drop
        }
      } else {
        count.fragmentsWithoutFirst &+= 1
        verdict = evaluate(layers, packet)
        guard verdict == .accept else { return verdict }
        datagram.lowestPassed = min(datagram.lowestPassed, UInt32(layers.fragment.offset))
      }
    } else {
      // Without its whole transport header, or with one that a piece already let through would replace, a first fragment
      // says nothing that can be relied on (RFC 1858 §3).
      if layers.defect != nil || end > datagram.lowestPassed {
        count.fragmentsRefused &+= 1
        verdict = .drop
      } else {
        verdict = evaluate(layers, packet)
      }
      // A first fragment that comes twice can only make it worse.
      datagram.passes = verdict == .accept && (!datagram.isDecided || datagram.passes)
      datagram.firstEnd = max(datagram.firstEnd, end)
      datagram.isDecided = true
    }
    fragments.store(datagram, at: place)
    return verdict
  }
}
