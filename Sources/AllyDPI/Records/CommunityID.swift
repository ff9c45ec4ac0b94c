internal import AllyPacket

/// The Community ID of a flow, version 1: the same for both directions and for every tool that knows it
/// (https://github.com/corelight/community-id-spec).
enum CommunityID {
  /// `1:` and the digest in base 64.
  static func text(of flow: Flow, seed: UInt16) -> [UInt8] {
    var first = (address: flow.client, port: flow.clientPort)
    var second = (address: flow.server, port: flow.serverPort)
    if flow.ipProtocol == IPProtocolNumber.icmp || flow.ipProtocol == IPProtocolNumber.icmpv6 {
      first.port = UInt16(flow.icmp.type)
      second.port = UInt16(counterpart(of: flow.icmp.type, isIPv4: flow.client.isIPv4) ?? flow.icmp.code)
    }
    if flow.securityParametersIndex != 0 {
      // Suricata has both halves of it where other protocols have their ports.
      first.port = UInt16(truncatingIfNeeded: flow.securityParametersIndex)
      second.port = UInt16(truncatingIfNeeded: flow.securityParametersIndex >> 16)
    }
    // Of a host that talks to itself, Suricata compares the ports' low bytes first.
    if second.address < first.address
      || second.address == first.address && second.port.byteSwapped < first.port.byteSwapped
    {
      swap(&first, &second)
    }
    var bytes: [UInt8] = []
    append(seed, to: &bytes)
    append(first.address, to: &bytes)
    append(second.address, to: &bytes)
    bytes.append(flow.ipProtocol)
    bytes.append(0)
    append(first.port, to: &bytes)
    append(second.port, to: &bytes)
    var json = JSONWriter(capacity: 64)
    unsafe json.base64(Digest.of(bytes.span, .sha1).span.bytes)
    return Array("1:".utf8) + json.bytes.dropFirst().dropLast()
  }

  private static func append(_ value: UInt16, to bytes: inout [UInt8]) {
    bytes.append(UInt8(value >> 8))
    bytes.append(UInt8(truncatingIfNeeded: value))
  }

  private static func append(_ address: IPAddress, to bytes: inout [UInt8]) {
    if address.isIPv4 {
      for shift in stride(from: 24, through: 0, by: -8) {
        bytes.append(UInt8(truncatingIfNeeded: address.v4Bits >> UInt32(shift)))
      }
      return
    }
    for half in [address.high, address.low] {
      for shift in stride(from: 56, through: 0, by: -8) {
        bytes.append(UInt8(truncatingIfNeeded: half >> UInt64(shift)))
      }
    }
  }

  /// The type of the message that answers; nil for messages without an answer, whose code counts instead.
  private static func counterpart(of type: UInt8, isIPv4: Bool) -> UInt8? {
    let pairs: [(UInt8, UInt8)] =
      isIPv4
      ? [(0, 8), (9, 10), (13, 14), (15, 16), (17, 18)]
      : [(128, 129), (133, 134), (135, 136), (130, 131), (139, 140), (144, 145)]
    for (one, other) in pairs {
      if type == one { return other }
      if type == other { return one }
    }
    return nil
  }
}
