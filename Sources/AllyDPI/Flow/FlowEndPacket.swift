import AllyPacket

extension DecodedPacket {
  /// What stands for a packet when a flow ends: its endpoints, and nothing on the wire.
  init(endOf flow: Flow, _ side: FlowSide) {
    self.init()
    origin = .flowEnd
    ipVersion = flow.client.isIPv4 ? 4 : 6
    ipProtocol = flow.ipProtocol
    transport = flow.ipProtocol == IPProtocolNumber.tcp ? .tcp : flow.ipProtocol == IPProtocolNumber.udp ? .udp : .none
    vlans = (UInt16(truncatingIfNeeded: flow.vlan), UInt16(truncatingIfNeeded: flow.vlan >> 16), 0)
    vlanCount = vlans.0 == 0 ? 0 : vlans.1 == 0 ? 1 : 2
    (source, sourcePort, destination, destinationPort) =
      (flow.client, flow.clientPort, flow.server, flow.serverPort)
    if side == .toClient { swapEnds() }
  }

  mutating func swapEnds() {
    swap(&source, &destination)
    swap(&sourcePort, &destinationPort)
  }
}
