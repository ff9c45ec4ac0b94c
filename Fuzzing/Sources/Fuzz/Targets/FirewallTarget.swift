internal import AllyFirewall
internal import AllyPacket

/// Frames through headers, connection tracking and a policy. The first byte chooses how strictly connections are tracked,
/// the rest is a ``FrameList``.
struct FirewallTarget: FuzzTarget {
  static let name = "firewall"
  static let longestInput = 8192

  private let policy: FirewallPolicy

  init() throws { policy = try FirewallPolicy(Self.text, file: "firewall.nft") }

  mutating func run(_ input: [UInt8]) {
    var input = InputReader(input)
    let choice = input.byte()
    var configuration = SmallFirewall.configuration
    configuration.tracking.picksUpConnections = choice & 1 != 0
    configuration.tracking.checksWindows = choice & 2 == 0
    if choice & 4 != 0 { configuration.frameWithoutIP = .drop }
    let list = FrameList(&input)
    for frame in list.frames { checkLayers(frame) }
    var firewall = FirewallInspector(policy: policy, configuration: configuration)
    SmallFirewall.inspect(list.frames, with: &firewall)
  }

  /// Offsets that anything reads at lie in the frame, and in order.
  private func checkLayers(_ frame: FrameList.Frame) {
    let layers = frame.withPacket { PacketLayers(of: $0) }
    guard layers.network != .other, layers.defect == nil else { return }
    require(
      layers.networkOffset <= layers.transportOffset && layers.transportOffset <= layers.payloadOffset
        && layers.payloadOffset <= layers.endOffset && layers.endOffset <= UInt32(frame.bytes.count),
      "offsets outside the frame of \(frame.bytes.count) bytes: \(layers)")
  }

  private static let text = """
    define inside = { 192.168.0.0/16, 10.0.0.0/8 }
    table inet fuzz {
      set blocked {
        type ipv4_addr
        flags interval
        elements = { 203.0.113.0/24, 198.51.100.66 }
      }
      chain input {
        type filter hook input priority 0; policy drop;
        ct state established,related counter accept
        ct state invalid counter log prefix "invalid " drop
        ip saddr @blocked counter reject
        ip saddr $inside tcp dport { 22, 80-443 } counter accept
        ip6 daddr 2001:db8::/32 udp dport 53 accept
        tcp flags & (fin | syn) == (fin | syn) drop
        tcp dport 25 reject with tcp reset
        icmp type { echo-request, echo-reply } jump pings
        icmpv6 type 128-137 accept
        meta l4proto 47 log
        ct state new tcp dport != 23 accept
      }
      chain output {
        type filter hook output priority 0; policy accept;
        udp sport 53 counter accept
        ct state untracked drop
      }
      chain pings {
        ip daddr 192.168.10.80 accept
      }
    }
    """
}
