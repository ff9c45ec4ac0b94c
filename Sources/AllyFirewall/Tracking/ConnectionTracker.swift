internal import AllyPacket

/// What connection tracking makes of one packet. It is taken over only when the packet is accepted: what a dropped packet
/// said never happened.
struct TrackedPacket: BitwiseCopyable {
  enum Change: UInt8, BitwiseCopyable {
    case none
    /// The connection at `index` becomes `connection`.
    case update
    /// `connection` is new.
    case insert
    /// `connection` takes the place of the one at `index`, which is over.
    case replace
  }

  var state: ConnectionStateSet
  var change: Change = .none
  var index: UInt32 = 0
  var connection: Connection?
}

/// Connection tracking of one core.
struct ConnectionTracker: ~Copyable {
  private var table: ConnectionTable
  private let configuration: TrackingConfiguration
  private let seed: UInt64
  private(set) var created: UInt64 = 0
  private(set) var refused: UInt64 = 0

  /// - Parameter memory: where the connections are; nil for memory of its own.
  init(_ configuration: TrackingConfiguration, in memory: UnsafeMutableRawBufferPointer?) {
    self.configuration = configuration
    seed = configuration.seed ?? UInt64.random(in: .min ... .max)
    table = unsafe ConnectionTable(capacity: configuration.maximumConnections, in: memory)
  }

  /// Takes up what another left in the same memory.
  mutating func takeUp() { table.takeUp() }

  var count: Int { table.count }
  var expired: UInt64 { table.expired }
  var evicted: UInt64 { table.evicted }

  /// Says what a packet is to the connections known, and what it would change.
  mutating func track(_ layers: PacketLayers, _ bytes: RawSpan, now: UInt64) -> TrackedPacket {
    guard layers.defect == nil, !layers.fragment.isLater else { return TrackedPacket(state: .invalid) }
    switch (layers.network, layers.ipProtocol) {
    case (_, .tcp):
      return trackTCP(layers, bytes, now)
    case (.ipv4, .icmp), (.ipv6, .icmpv6):
      return trackICMP(layers, bytes, now)
    default:
      return trackOther(layers, identifier: 0, now)
    }
  }

  /// Takes over what an accepted packet changes.
  ///
  /// - Returns: false when the packet begins a connection and there is no room for it.
  mutating func commit(_ tracked: TrackedPacket, now: UInt64) -> Bool {
    guard var connection = tracked.connection else { return true }
    connection.expires = now &+ UInt64(seconds(for: connection)) &* 1_000_000_000
    switch tracked.change {
    case .none:
      return true
    case .update:
      table[tracked.index] = connection
      return true
    case .insert, .replace:
      if tracked.change == .replace { table.remove(tracked.index) }
      guard table.insert(connection, now: now) else {
        refused &+= 1
        return false
      }
      created &+= 1
      return true
    }
  }

  private func seconds(for connection: Connection) -> UInt32 {
    let timeOuts = configuration.timeOuts
    if let tcp = connection.tcp {
      switch tcp.phase {
      case .synSent: return timeOuts.tcpSYNSent
      case .synReceived: return timeOuts.tcpSYNReceived
      case .established: return timeOuts.tcpEstablished
      case .finWait: return timeOuts.tcpFINWait
      case .lastAck: return timeOuts.tcpLastAck
      case .timeWait: return timeOuts.tcpTimeWait
      case .closed: return timeOuts.tcpClosed
      }
    }
    switch connection.key.flow.ipProtocol {
    case IPProtocol.udp.rawValue, IPProtocol.udpLite.rawValue:
      return connection.isAnswered ? timeOuts.udpAnswered : timeOuts.udpUnanswered
    case IPProtocol.icmp.rawValue, IPProtocol.icmpv6.rawValue:
      return timeOuts.icmp
    default:
      return timeOuts.other
    }
  }

  // MARK: Protocols

  private mutating func trackTCP(
    _ layers: PacketLayers, _ bytes: RawSpan, _ now: UInt64
  ) -> TrackedPacket {
    guard let segment = TCPSegment(layers, bytes) else { return TrackedPacket(state: .invalid) }
    let (key, reversed) = ConnectionKey.of(layers)
    let hash = key.hash(seed: seed)
    let opensAnew = segment.flags.contains(.syn) && !segment.flags.contains(.ack)
    var replaced: UInt32?
    if let index = table.find(key, hash: hash, now: now) {
      var connection = table[index]
      if let tcp = connection.tcp, tcp.isOver, opensAnew {
        replaced = index
      } else {
        let fromResponder = reversed != connection.startsReversed
        guard connection.tcp?.take(segment, fromResponder: fromResponder) == true else {
          return TrackedPacket(state: .invalid)
        }
        if fromResponder { connection.isAnswered = true }
        return TrackedPacket(
          state: connection.isAnswered ? .established : .new, change: .update, index: index, connection: connection)
      }
    }
    guard var tcp = TCPTracking(opening: segment, pickUp: configuration.picksUpConnections) else {
      return TrackedPacket(state: .invalid)
    }
    if !configuration.checksWindows { tcp.isLiberal = true }
    let connection = Connection(key: key, startsReversed: reversed, tcp: tcp, hash: hash)
    return TrackedPacket(
      state: .new, change: replaced == nil ? .insert : .replace, index: replaced ?? 0, connection: connection)
  }

  private mutating func trackOther(
    _ layers: PacketLayers, identifier: UInt16, _ now: UInt64
  ) -> TrackedPacket {
    let (key, reversed) = ConnectionKey.of(layers, identifier: identifier)
    let hash = key.hash(seed: seed)
    if let index = table.find(key, hash: hash, now: now) {
      var connection = table[index]
      if reversed != connection.startsReversed { connection.isAnswered = true }
      return TrackedPacket(
        state: connection.isAnswered ? .established : .new, change: .update, index: index, connection: connection)
    }
    return TrackedPacket(
      state: .new, change: .insert, connection: Connection(key: key, startsReversed: reversed, hash: hash))
  }

  private mutating func trackICMP(
    _ layers: PacketLayers, _ bytes: RawSpan, _ now: UInt64
  ) -> TrackedPacket {
    if layers.network == .ipv6, ConnectionTracker.isDiscovery(layers.icmpType) {
      return TrackedPacket(state: .untracked)
    }
    if let query = ICMPQuery(layers) {
      guard let header = ICMPHeader(bytes, at: Int(layers.transportOffset)) else {
        return TrackedPacket(state: .invalid)
      }
      let tracked = trackOther(layers, identifier: header.identifier, now)
      // An answer that nobody asked for begins nothing.
      if query.isReply, tracked.change == .insert { return TrackedPacket(state: .invalid) }
      return tracked
    }
    guard ConnectionTracker.isError(layers), isAboutConnection(layers, bytes, now) else {
      return TrackedPacket(state: .invalid)
    }
    return TrackedPacket(state: .related)
  }

  /// Multicast listener and neighbour discovery (RFC 2710, RFC 3810, RFC 4861).
  private static func isDiscovery(_ type: UInt8) -> Bool { (130...137).contains(type) || type == 143 }

  /// Messages that quote the packet they report about.
  private static func isError(_ layers: PacketLayers) -> Bool {
    switch layers.icmpType {
    // Unreachable, source quench, redirect, time exceeded, parameter problem (RFC 792).
    case 3, 4, 5, 11, 12: layers.network == .ipv4
    // Unreachable, too big, time exceeded, parameter problem (RFC 4443).
    case 1, 2: layers.network == .ipv6
    default: false
    }
  }

  /// Whether an ICMP error quotes a packet of a known connection and goes to that packet's sender.
  private mutating func isAboutConnection(
    _ layers: PacketLayers, _ bytes: RawSpan, _ now: UInt64
  ) -> Bool {
    let start = Int(layers.transportOffset) &+ ICMPHeader.length
    let end = Int(layers.endOffset)
    guard start <= end else { return false }
    let quotedBytes = bytes.extracting(start..<end)
    var quoted = PacketLayers(ofNetworkPacket: quotedBytes, cut: true)
    guard quoted.network == layers.network, quoted.defect == nil, !quoted.fragment.isLater,
      quoted.source == layers.destination
    else { return false }
    quoted.vlan = layers.vlan
    var identifier: UInt16 = 0
    if ICMPQuery(quoted) != nil {
      guard let header = ICMPHeader(quotedBytes, at: Int(quoted.transportOffset)) else { return false }
      identifier = header.identifier
    }
    let (key, _) = ConnectionKey.of(quoted, identifier: identifier)
    return table.find(key, hash: key.hash(seed: seed), now: now) != nil
  }
}
