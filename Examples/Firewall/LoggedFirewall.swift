internal import AllyFirewall
internal import AllyPacket

/// The firewall as frames meet it, with its log written down packet by packet. Of a capture, which does not say which of its
/// frames were sent, it can be told by their source; what is rejected is told so in the way that the rule names.
struct LoggedFirewall: ~Copyable, PacketInspector {
  private var firewall: FirewallInspector
  private let log: PacketLog?
  private let hosts: [IPAddress]
  private(set) var logged: UInt64 = 0

  /// - Parameters:
  ///   - firewall: what judges.
  ///   - log: where its log goes.
  ///   - hosts: addresses whose packets were sent, whatever the frames say; none when the frames are to be believed.
  init(_ firewall: consuming FirewallInspector, log: PacketLog?, hosts: [IPAddress] = []) {
    self.firewall = firewall
    self.log = log
    self.hosts = hosts
  }

  /// Goes on with the connections of a worker that died.
  mutating func takeUpConnections() { firewall.takeUpConnections() }

  var counters: PolicyCounters { firewall.counters }
  var statistics: FirewallStatistics { firewall.statistics }

  static var actions: InspectorActions { FirewallInspector.actions }

  mutating func inspect(_ packet: borrowing Packet, answering answers: inout FrameAnswers) -> Verdict {
    let verdict = inspect(packet)
    // Whoever sent it, it came over the wire of this machine. A reply for which there is no room is one that got lost.
    if verdict == .reject, let rejection = firewall.rejection { answers.reject(packet, with: rejection) }
    return verdict
  }

  mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    let verdict = judge(packet)
    while let event = firewall.nextLogEvent() {
      logged += 1
      log?.write(event)
    }
    return verdict
  }

  private mutating func judge(_ packet: borrowing Packet) -> Verdict {
    if hosts.isEmpty { return firewall.inspect(packet) }
    let isSent = hosts.contains(PacketLayers(of: packet).source)
    let directed = Packet(
      bytes: packet.bytes, stamp: packet.stamp, direction: isSent ? .transmit : .receive, queue: packet.queue)
    return firewall.inspect(directed)
  }
}
