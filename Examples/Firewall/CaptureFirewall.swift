internal import AllyFirewall
internal import AllyPacket

/// The firewall as a capture's frames meet it: it tells received frames from sent ones by their source, and writes the log
/// down packet by packet.
struct CaptureFirewall: ~Copyable, PacketInspector {
  private var firewall: FirewallInspector
  private let log: PacketLog?
  private let hosts: [IPAddress]
  private(set) var logged: UInt64 = 0

  init(_ firewall: consuming FirewallInspector, log: PacketLog?, hosts: [IPAddress]) {
    self.firewall = firewall
    self.log = log
    self.hosts = hosts
  }

  var counters: PolicyCounters { firewall.counters }
  var statistics: FirewallStatistics { firewall.statistics }

  static var actions: InspectorActions { FirewallInspector.actions }

  mutating func inspect(_ packet: borrowing Packet, answering answers: inout FrameAnswers) -> Verdict {
    let verdict = inspect(packet)
    // Whoever sent it, it came over the wire of this machine.
    if verdict == .reject, let rejection = firewall.rejection { answers.reject(packet, with: rejection) }
    return verdict
  }

  mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    let directed = Packet(
      bytes: packet.bytes, stamp: packet.stamp, direction: direction(of: packet), queue: packet.queue)
    let verdict = firewall.inspect(directed)
    while let event = firewall.nextLogEvent() {
      logged += 1
      log?.write(event)
    }
    return verdict
  }

  private func direction(of packet: borrowing Packet) -> Direction {
    if hosts.isEmpty { return packet.direction }
    return hosts.contains(PacketLayers(of: packet).source) ? .transmit : .receive
  }
}
