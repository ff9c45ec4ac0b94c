import AllyPacket

/// The flows of one DPI core, found by their endpoints.
///
/// Records lie in a pool whose size the memory cap sets; a hash index with a secret seed finds them; a timer wheel ends those that
/// fell silent. At the cap a new flow takes the place of one that was silent for long among a few that are looked at.
struct FlowTable: ~Copyable {
  /// A flow and its place in the index.
  struct Entry: BitwiseCopyable {
    var flow: Flow
    var key: FlowKey
    /// What tells flows apart besides the key: the innermost VLAN of three, and how many packets are around.
    var context: UInt32
    var hash: UInt64
    /// The client is the key's high endpoint.
    var clientIsHigh: Bool
    /// Out of the index, and waiting for someone to ask for it.
    var hasEnded = false
    /// In use at all.
    var isLive = true
    var nextEnded: UInt32 = .max
  }

  private let timeouts: FlowTimeouts

  private let seed: UInt64
  private var entries: Pool<Entry>
  private var slots: HashSlots
  private var wheel: TimerWheel
  private var hand: UInt32 = 0
  private var made: UInt64 = 0
  private var firstEnded: UInt32 = .max
  private var lastEnded: UInt32 = .max
  private(set) var statistics = FlowStatistics()

  init(memoryCap: Int, seed: UInt64, timeouts: FlowTimeouts = FlowTimeouts()) {
    self.seed = seed
    self.timeouts = timeouts
    // A record, its timer's links, its share of the index (half full, rounded up to a power of two) and of the free list.
    let perFlow = MemoryLayout<Entry>.stride + 12 + 32 + 4
    let capacity = max(16, memoryCap / perFlow)
    entries = Pool(capacity: capacity)
    slots = HashSlots(capacity: capacity)
    wheel = TimerWheel(capacity: capacity)
  }

  var capacity: Int { entries.capacity }
  /// Flows that are not ended.
  var count: Int { slots.count }

  func hash(_ key: FlowKey, context: UInt32) -> UInt64 {
    let hash = key.hash(seed: seed)
    if context == 0 { return hash }
    let product = (hash ^ UInt64(context)).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
    return product.high ^ product.low
  }

  func hash(of index: FlowIndex) -> UInt64 { entries[index.rawValue].hash }

  /// - Returns: the flow of these endpoints, timed out or not; nil when there is none.
  @inline(__always)
  func find(_ key: FlowKey, context: UInt32, hash: UInt64) -> FlowIndex? {
    slots.find(hash) { entries[$0].key == key && entries[$0].context == context }.map(FlowIndex.init(rawValue:))
  }

  /// Makes a flow whose client sent the packet.
  ///
  /// - Parameter evicted: the flow that gave way, if one had to: what hangs on it is to be given back.
  /// - Returns: nil when not even that made room.
  mutating func insert(
    _ key: FlowKey, context: UInt32, hash: UInt64, packet: DecodedPacket, clientIsHigh: Bool, time: UInt64,
    evicted: inout Flow?
  ) -> FlowIndex? {
    if entries.count == entries.capacity {
      if firstEnded != .max {
        // Nobody asked for these records in time.
        evicted = nextEnded()
        statistics.unrecorded += 1
      } else if let victim = victim() {
        statistics.evictions += 1
        evicted = entries[victim].flow
        end(FlowIndex(rawValue: victim), .evicted, time: time)
        _ = nextEnded()
        statistics.unrecorded += 1
      }
    }
    made &+= 1
    let product = (hash ^ made).multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
    let flow = Flow(
      identifier: max(1, (product.high ^ product.low) & (1 << 53 - 1)), client: packet.source,
      server: packet.destination, clientPort: packet.sourcePort, serverPort: packet.destinationPort,
      ipProtocol: packet.ipProtocol, vlan: packet.vlanKey, firstTime: time, lastTime: time)
    guard
      let place = entries.insert(
        Entry(flow: flow, key: key, context: context, hash: hash, clientIsHigh: clientIsHigh))
    else { return nil }
    slots.insert(hash, place: place)
    wheel.schedule(place, at: deadline(entries[place].flow) / 1_000_000_000 + 1, now: time / 1_000_000_000)
    statistics.flows += 1
    switch key.ipProtocol {
    case IPProtocolNumber.tcp: statistics.tcpFlows += 1
    case IPProtocolNumber.udp: statistics.udpFlows += 1
    case IPProtocolNumber.icmp, IPProtocolNumber.icmpv6: statistics.icmpFlows += 1
    default: break
    }
    return FlowIndex(rawValue: place)
  }

  subscript(index: FlowIndex) -> Flow {
    @inline(__always) _read { yield entries[index.rawValue].flow }
    @inline(__always) _modify { yield &entries[index.rawValue].flow }
  }

  /// Whether the client is the key's high endpoint.
  func clientIsHigh(_ index: FlowIndex) -> Bool { entries[index.rawValue].clientIsHigh }

  /// Takes the other side for the client.
  mutating func swapSides(_ index: FlowIndex) {
    entries[index.rawValue].clientIsHigh.toggle()
    entries[index.rawValue].flow.swapSides()
  }

  // MARK: Ends

  /// When a flow is over if nothing comes, in nanoseconds since 1970.
  @inline(__always)  // else the flow is copied
  func deadline(_ flow: Flow) -> UInt64 {
    let timeouts =
      switch flow.ipProtocol {
      case IPProtocolNumber.tcp: self.timeouts.tcp
      case IPProtocolNumber.udp: self.timeouts.udp
      case IPProtocolNumber.icmp, IPProtocolNumber.icmpv6: self.timeouts.icmp
      default: self.timeouts.other
      }
    let seconds =
      switch flow.state {
      case .new: timeouts.new
      case .established: timeouts.established
      case .closed: timeouts.closed
      }
    // Suricata counts whole seconds, and a flow is over in the one after the last.
    return (flow.lastTime / 1_000_000_000 &+ UInt64(seconds) &+ 1) &* 1_000_000_000 &- 1
  }

  /// Ends a flow: it leaves the index at once, and its record waits for ``nextEnded()``.
  mutating func end(_ index: FlowIndex, _ reason: Flow.Ending, time: UInt64) {
    let place = index.rawValue
    wheel.cancel(place)
    retire(place, reason)
  }

  /// Ends a flow whose time is over.
  ///
  /// - Returns: the flow, so that what hangs on it can be given back; nil when there is none for now. Call it again until then;
  ///   `steps` bounds the work of these calls together.
  mutating func expireNext(time: UInt64, steps: inout Int) -> Flow? {
    let second = time / 1_000_000_000
    while steps > 0, let place = wheel.next(before: second, steps: &steps) {
      steps -= 1
      let deadline = deadline(entries[place].flow)
      if deadline >= time {
        wheel.schedule(place, at: deadline / 1_000_000_000 + 1, now: second)
        continue
      }
      statistics.timeouts += 1
      retire(place, .timeout)
      return entries[place].flow
    }
    return nil
  }

  var hasEnded: Bool { firstEnded != .max }

  /// A flow that ended, each once, in the order of their ends.
  mutating func nextEnded() -> Flow? {
    guard firstEnded != .max else { return nil }
    let place = firstEnded
    firstEnded = entries[place].nextEnded
    if firstEnded == .max { lastEnded = .max }
    entries[place].isLive = false
    let flow = entries[place].flow
    entries.remove(place)
    return flow
  }

  /// Some flow that is not ended.
  mutating func anyLive() -> FlowIndex? {
    while hand < entries.untouched {
      let entry = entries[hand]
      if entry.isLive && !entry.hasEnded { return FlowIndex(rawValue: hand) }
      hand += 1
    }
    hand = 0
    return nil
  }

  private mutating func retire(_ place: UInt32, _ reason: Flow.Ending) {
    slots.remove(entries[place].hash, place: place)
    entries[place].flow.ending = reason
    entries[place].hasEnded = true
    entries[place].nextEnded = .max
    if lastEnded == .max { firstEnded = place } else { entries[lastEnded].nextEnded = place }
    lastEnded = place
  }

  /// Of the next few flows under the hand, the one silent for longest.
  private mutating func victim() -> UInt32? {
    var best: UInt32? = nil
    for _ in 0..<16 {
      hand = hand + 1 < entries.untouched ? hand + 1 : 0
      let entry = entries[hand]
      guard entry.isLive, !entry.hasEnded else { continue }
      if let other = best, entries[other].flow.lastTime <= entry.flow.lastTime { continue }
      best = hand
    }
    return best
  }
}
