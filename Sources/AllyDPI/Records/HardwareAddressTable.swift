internal import AllyPacket

/// The hardware addresses that each flow's frames had (`ethernet: yes`): kept only when records are to carry them.
struct HardwareAddressTable {
  /// Those of one flow, in the order of appearance; the client's are the sources.
  struct Addresses {
    var sources: [UInt64] = []
    var destinations: [UInt64] = []
  }

  /// Flows, and addresses of one side of a flow, at most.
  private static var mostFlows: Int { 1 << 16 }
  private static var mostAddresses: Int { 8 }
  private var flows: [UInt64: Addresses] = [:]

  /// Notes the addresses of an Ethernet header (IEEE 802.3 §3.2).
  mutating func note(_ frame: RawSpan, from side: FlowSide, flow: UInt64) {
    guard let header = Window<14>(frame, at: 0) else { return }
    let destination = UInt64(header.u32(0)) << 16 | UInt64(header.u16(4))
    let source = UInt64(header.u16(6)) << 32 | UInt64(header.u32(8))
    if flows[flow] == nil && flows.count >= Self.mostFlows { return }
    let isRequest = side == .toServer
    Self.insert(isRequest ? source : destination, into: &flows[flow, default: Addresses()].sources)
    Self.insert(isRequest ? destination : source, into: &flows[flow, default: Addresses()].destinations)
  }

  private static func insert(_ address: UInt64, into list: inout [UInt64]) {
    if list.count < mostAddresses && !list.contains(address) { list.append(address) }
  }

  /// Takes out what is known of a flow that ended.
  mutating func remove(_ flow: UInt64) -> Addresses? { flows.removeValue(forKey: flow) }
}

extension EVEWriter {
  /// `"ether":{…}` of a flow, or of what one side of it sent.
  mutating func hardwareAddresses(of flow: HardwareAddressTable.Addresses, from side: FlowSide) {
    let (sources, destinations) =
      side == .toServer ? (flow.sources, flow.destinations) : (flow.destinations, flow.sources)
    json.key("ether")
    json.beginObject()
    for (key, addresses) in [("dest_macs" as StaticString, destinations), ("src_macs", sources)] {
      json.key(key)
      json.beginArray()
      for address in addresses { json.string { $0.appendHardwareAddress(address) } }
      json.endArray()
    }
    json.endObject()
  }
}

extension [UInt8] {
  /// Appends `00:11:22:33:44:55`.
  mutating func appendHardwareAddress(_ address: UInt64) {
    for shift in stride(from: 40, through: 0, by: -8) {
      let byte = UInt8(truncatingIfNeeded: address >> UInt64(shift))
      append(hexadecimalDigit(byte >> 4))
      append(hexadecimalDigit(byte & 15))
      if shift > 0 { append(UInt8(ascii: ":")) }
    }
  }
}
