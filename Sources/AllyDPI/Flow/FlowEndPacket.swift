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

/// A packet that stands for the end of a TCP connection, as records show it: an IP and a TCP header without flags or data.
enum FlowEndPacket {
  /// - Parameters:
  ///   - packet: ``DecodedPacket/init(endOf:_:)``.
  ///   - sequence: of the byte that its sender would send next.
  static func bytes(of packet: DecodedPacket, sequence: UInt32) -> [UInt8] {
    var bytes: [UInt8] = []
    let isIPv4 = packet.ipVersion == 4
    if isIPv4 {
      bytes += [0x45, 0, 0, 40, 0, 0, 0, 0, 64, IPProtocolNumber.tcp, 0, 0]
      bytes.append(bigEndian: packet.source.v4Bits)
      bytes.append(bigEndian: packet.destination.v4Bits)
      bytes.store(Checksum.header(bytes.rawBytes, length: 20), at: 10)
    } else {
      bytes += [0x60, 0, 0, 0, 0, 20, IPProtocolNumber.tcp, 64]
      for word in [packet.source.high, packet.source.low, packet.destination.high, packet.destination.low] {
        bytes.append(bigEndian: word)
      }
    }
    let start = bytes.count
    bytes.append(bigEndian: packet.sourcePort)
    bytes.append(bigEndian: packet.destinationPort)
    bytes.append(bigEndian: sequence)
    bytes.append(bigEndian: 0 as UInt32)
    bytes += [0x50, 0, 0x0A, 0, 0, 0, 0, 0]
    bytes.store(Checksum.transport(packet, in: bytes.rawBytes, from: start), at: start + 16)
    return bytes
  }
}

extension [UInt8] {
  fileprivate mutating func append(bigEndian number: some FixedWidthInteger) {
    for shift in stride(from: number.bitWidth - 8, through: 0, by: -8) {
      append(UInt8(truncatingIfNeeded: number >> shift))
    }
  }

  fileprivate mutating func store(_ number: UInt16, at place: Int) {
    self[place] = UInt8(number >> 8)
    self[place + 1] = UInt8(number & 0xFF)
  }
}
