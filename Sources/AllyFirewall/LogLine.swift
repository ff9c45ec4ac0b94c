internal import AllyPacket

extension FirewallPolicy {
  /// A log event as one line, with the field names of Linux's packet log (nf_log), so that its users' filters carry over:
  ///
  ///     2026-03-01T12:00:00.123456Z web: FRAME=7 DIR=receive SRC=192.0.2.1 DST=198.51.100.7 LEN=60 TTL=64 PROTO=TCP SPT=40000 DPT=443 SYN
  ///
  /// The line holds nothing that the packet's sender chose freely, and no control characters.
  public func logLine(for event: FirewallLogEvent) -> String {
    let layers = event.layers
    let statement = logStatements.indices.contains(event.statement) ? logStatements[event.statement] : nil
    var fields: [String] = [
      "FRAME=\(event.stamp.ordinal)", "DIR=\(event.direction == .receive ? "receive" : "transmit")",
    ]
    if layers.vlan != 0 { fields.append("VLAN=\(layers.vlan & 0xFFFF)") }
    fields.append("SRC=\(FirewallPolicy.text(layers.source, layers))")
    fields.append("DST=\(FirewallPolicy.text(layers.destination, layers))")
    fields.append("LEN=\(layers.networkLength) TTL=\(layers.timeToLive)")
    if layers.fragment.isFragment {
      fields.append("ID=\(layers.fragment.identification) FRAG=\(layers.fragment.offset)")
      if layers.fragment.moreFollow { fields.append("MF") }
    }
    fields.append("PROTO=\(FirewallPolicy.name(of: layers.ipProtocol))")
    if layers.hasTransport { fields += FirewallPolicy.transportFields(layers) }
    let level = statement?.level.map { "<\($0)> " } ?? ""
    return FirewallPolicy.text(time: event.stamp.time) + " " + level + (statement?.prefix ?? "")
      + fields.joined(separator: " ")
  }

  private static func text(_ address: IPAddress, _ layers: PacketLayers) -> String {
    layers.network == .ipv6 ? address.ipv6Text : address.description
  }

  private static func name(of ipProtocol: IPProtocol) -> String {
    switch ipProtocol {
    case .tcp: "TCP"
    case .udp: "UDP"
    case .udpLite: "UDPLITE"
    case .icmp: "ICMP"
    case .icmpv6: "ICMPv6"
    case .sctp: "SCTP"
    case .dccp: "DCCP"
    case .authentication: "AH"
    default: ipProtocol.rawValue == 50 ? "ESP" : String(ipProtocol.rawValue)
    }
  }

  private static func transportFields(_ layers: PacketLayers) -> [String] {
    switch layers.ipProtocol {
    case .icmp, .icmpv6:
      return ["TYPE=\(layers.icmpType)", "CODE=\(layers.icmpCode)"]
    case .tcp:
      let flags: [(TCPFlags, String)] = [
        (.cwr, "CWR"), (.ece, "ECE"), (.urg, "URG"), (.ack, "ACK"), (.psh, "PSH"), (.rst, "RST"), (.syn, "SYN"),
        (.fin, "FIN"),
      ]
      return ["SPT=\(layers.sourcePort)", "DPT=\(layers.destinationPort)"]
        + flags.filter { layers.tcpFlags.contains($0.0) }.map(\.1)
    default:
      return ["SPT=\(layers.sourcePort)", "DPT=\(layers.destinationPort)"]
    }
  }

  /// Nanoseconds since 1970 as RFC 3339 in UTC, with microseconds.
  static func text(time: UInt64) -> String {
    let seconds = time / 1_000_000_000
    let second = seconds % 86_400
    let (year, month, day) = date(days: Int(seconds / 86_400))
    func padded(_ number: Int, _ width: Int) -> String {
      let digits = String(number)
      return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
    return padded(year, 4) + "-" + padded(month, 2) + "-" + padded(day, 2) + "T"
      + padded(Int(second / 3_600), 2) + ":" + padded(Int(second / 60 % 60), 2) + ":" + padded(Int(second % 60), 2)
      + "." + padded(Int(time / 1_000 % 1_000_000), 6) + "Z"
  }

  /// The Gregorian date so many days after 1970-01-01. Years are counted from March, so that the leap day is a year's
  /// last, and in eras of 400 years, which are all 146,097 days long.
  private static func date(days: Int) -> (year: Int, month: Int, day: Int) {
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    let shifted = days + 719_468
    let era = shifted / 146_097
    let dayOfEra = shifted % 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    return (
      era * 400 + yearOfEra + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    )
  }
}
