internal import AllyFirewall
internal import AllyPacket

/// The firewall as guests' frames meet it: received ones go to the guest, sent ones come from it, and what is rejected is
/// told so in the way that the rule names. The log is written down packet by packet.
struct GuestFirewall: ~Copyable, PacketInspector {
  private var firewall: FirewallInspector
  private let log: PacketLog?
  private(set) var logged: UInt64 = 0

  init(_ firewall: consuming FirewallInspector, log: PacketLog?) {
    self.firewall = firewall
    self.log = log
  }

  static var actions: InspectorActions { [.injectsTowardsOS, .injectsTowardsWire] }

  var counters: PolicyCounters { firewall.counters }
  var statistics: FirewallStatistics { firewall.statistics }

  mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    let verdict = firewall.inspect(packet)
    while let event = firewall.nextLogEvent() {
      logged += 1
      log?.write(event)
    }
    return verdict
  }

  mutating func inspect(_ packet: borrowing Packet, answering answers: inout FrameAnswers) -> Verdict {
    let verdict = inspect(packet)
    // A reply for which there is no room is one that got lost: the sender tries again.
    if let rejection = firewall.rejection { answers.reject(packet, with: rejection) }
    return verdict
  }
}
