internal import AllyPacket

/// Names a connection. ``FlowKey`` alone would confuse an IPv6 packet between IPv4-mapped addresses with an IPv4 packet.
struct ConnectionKey: BitwiseCopyable, Equatable {
  var flow: FlowKey
  var isIPv6: Bool

  func hash(seed: UInt64) -> UInt64 { flow.hash(seed: isIPv6 ? seed ^ 0xD6E8_FEB8_6659_FD93 : seed) }

  /// The key of a packet, and whether the packet runs from the key's high endpoint to its low one.
  ///
  /// An ICMP query has its identifier for its sender's port and its type for its receiver's, so that two hosts that ping
  /// each other with one identifier are two connections.
  static func of(_ layers: PacketLayers, identifier: UInt16 = 0) -> (key: ConnectionKey, reversed: Bool) {
    var source = layers.sourcePort
    var destination = layers.destinationPort
    if let query = ICMPQuery(layers) {
      source = query.isReply ? UInt16(query.requestType) : identifier
      destination = query.isReply ? identifier : UInt16(query.requestType)
    }
    let (flow, reversed) = FlowKey.canonical(
      source: layers.source, sourcePort: source, destination: layers.destination, destinationPort: destination,
      ipProtocol: layers.ipProtocol.rawValue, vlan: layers.vlan)
    return (ConnectionKey(flow: flow, isIPv6: layers.network == .ipv6), reversed)
  }
}

/// An ICMP message that asks or answers, as opposed to one that reports.
struct ICMPQuery: BitwiseCopyable {
  var requestType: UInt8
  var isReply: Bool

  /// - Returns: nil when the packet is none.
  init?(_ layers: PacketLayers) {
    guard layers.hasTransport else { return nil }
    switch (layers.network, layers.ipProtocol, layers.icmpType) {
    // Echo, timestamp, information, address mask: the reply's type is beside the request's (RFC 792, RFC 950).
    case (.ipv4, .icmp, 8), (.ipv4, .icmp, 13), (.ipv4, .icmp, 15), (.ipv4, .icmp, 17), (.ipv6, .icmpv6, 128):
      self.init(requestType: layers.icmpType, isReply: false)
    case (.ipv4, .icmp, 0):
      self.init(requestType: 8, isReply: true)
    case (.ipv4, .icmp, 14), (.ipv4, .icmp, 16), (.ipv4, .icmp, 18), (.ipv6, .icmpv6, 129):
      self.init(requestType: layers.icmpType &- 1, isReply: true)
    default:
      return nil
    }
  }

  private init(requestType: UInt8, isReply: Bool) {
    self.requestType = requestType
    self.isReply = isReply
  }
}
