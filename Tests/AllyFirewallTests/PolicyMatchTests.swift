import AllyFirewall
import AllyPacket
import Testing

/// Each match once with a packet that it holds for and once with a packet that differs in that feature alone.
@Suite struct PolicyMatchTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var rule: String
    var matching: TestPacket
    var other: TestPacket
    var testDescription: String { rule }

    init(_ rule: String, _ matching: TestPacket = TestPacket(), not change: (inout TestPacket) -> Void) {
      self.rule = rule
      self.matching = matching
      other = matching.with(change)
    }
  }

  static let v6 = TestPacket(source: "2001:db8::1", destination: "2001:db8:1::2")
  static let udp = TestPacket(transport: .udp, destinationPort: 53)
  static let ping = TestPacket(transport: .icmp(type: 8))
  static let ping6 = v6.with { $0.transport = .icmp(type: 128) }
  static let sctp = TestPacket(
    transport: .other(132), payload: [0x9C, 0x40, 0x01, 0xBB] + [UInt8](repeating: 0, count: 8))

  static let cases: [Case] = [
    // Addresses.
    Case("ip saddr 192.0.2.1 drop") { $0.source = "192.0.2.2" },
    Case("ip saddr == 192.0.2.1 drop") { $0.source = "192.0.2.2" },
    Case("ip saddr 192.0.2.0/24 drop") { $0.source = "192.0.3.1" },
    Case("ip saddr 192.0.2.99/24 drop") { $0.source = "192.0.1.255" },
    Case("ip saddr 0.0.0.0/0 drop") { $0 = v6 },
    Case("ip saddr 192.0.2.1-192.0.2.9 drop") { $0.source = "192.0.2.10" },
    Case("ip saddr 192.0.2.0 - 192.0.2.1 drop") { $0.source = "192.0.2.2" },
    Case("ip saddr { 10.0.0.0/8, 192.0.2.1, 203.0.113.1-203.0.113.9 } drop") { $0.source = "203.0.113.10" },
    Case("ip saddr != 192.0.2.2 drop") { $0.source = "192.0.2.2" },
    Case("ip saddr != { 10.0.0.0/8, 192.0.2.2 } drop") { $0.source = "10.1.2.3" },
    Case("ip saddr > 192.0.2.0 drop") { $0.source = "192.0.2.0" },
    Case("ip daddr 198.51.100.7 drop") { $0.destination = "198.51.100.8" },
    Case("ip saddr @hosts drop") { $0.source = "192.0.2.2" },
    Case("ip saddr != @nobody drop") { $0 = v6 },
    Case("ip6 saddr 2001:db8::1 drop", v6) { $0.source = "2001:db8::2" },
    Case("ip6 daddr 2001:db8:1::/48 drop", v6) { $0.destination = "2001:db8:2::2" },
    Case("ip6 saddr { 2001:db8::1-2001:db8::5, fe80::/10 } drop", v6) { $0.source = "2001:db8::6" },
    Case("ip6 saddr != ::1 drop", v6) { $0.source = "::1" },
    Case("ip6 saddr ::/0 drop", v6) { $0 = TestPacket() },
    // The header names the family, not the address.
    Case("ip saddr 192.0.2.1 drop") { ($0.source, $0.destination) = ("::ffff:192.0.2.1", "::ffff:198.51.100.7") },
    Case("ip6 saddr ::ffff:192.0.2.1 drop", v6.with { $0.source = "::ffff:192.0.2.1" }) { $0 = TestPacket() },
    // Ports.
    Case("tcp dport 443 drop") { $0.destinationPort = 80 },
    Case("tcp dport https drop") { $0.destinationPort = 80 },
    Case("tcp dport 440-450 drop") { $0.destinationPort = 451 },
    Case("tcp dport http - https drop") { $0.destinationPort = 444 },
    Case("tcp dport 137-https drop") { $0.destinationPort = 136 },
    Case("tcp dport { 22, 80-90, https } drop") { $0.destinationPort = 91 },
    Case("tcp dport != 80 drop") { $0.destinationPort = 80 },
    Case("tcp dport != { 80, 1-79 } drop") { $0.destinationPort = 7 },
    Case("tcp dport < 444 drop") { $0.destinationPort = 444 },
    Case("tcp dport <= 443 drop") { $0.destinationPort = 444 },
    Case("tcp dport > 442 drop") { $0.destinationPort = 442 },
    Case("tcp dport ge 443 drop") { $0.destinationPort = 442 },
    Case("tcp dport @web drop") { $0.destinationPort = 8080 },
    Case("tcp dport 443 drop") { $0.transport = .udp },
    Case("tcp sport 40000 drop") { $0.sourcePort = 40_001 },
    Case("udp dport 53 drop", udp) { $0.destinationPort = 54 },
    Case("udp dport domain drop", udp) { $0.transport = .tcp(.syn) },
    Case("udp sport != 53 drop", udp) { $0.sourcePort = 53 },
    Case("th dport 443 drop") { $0.transport = .icmp(type: 8) },
    Case("th dport 53 drop", udp) { $0.destinationPort = 54 },
    Case("sctp dport 443 drop", sctp) { $0.payload[3] = 0 },
    Case("meta l4proto { tcp, udp } th dport 53 drop", udp) { $0.destinationPort = 54 },
    // Protocols.
    Case("meta l4proto tcp drop") { $0.transport = .udp },
    Case("meta l4proto != { udp, icmp } drop") { $0.transport = .udp },
    Case("meta l4proto 47 drop", TestPacket(transport: .other(47))) { $0.transport = .other(50) },
    Case("ip protocol tcp drop") { $0.transport = .udp },
    Case("ip protocol { 6, esp } drop") { $0 = v6 },
    Case("ip6 nexthdr tcp drop", v6) { $0.destinationOptions = 1 },
    Case("meta l4proto tcp drop", v6.with { $0.destinationOptions = 2 }) { $0.transport = .udp },
    Case("ip6 nexthdr ipv6-opts drop", v6.with { $0.destinationOptions = 1 }) { $0.destinationOptions = 0 },
    Case("meta nfproto ipv4 drop") { $0 = v6 },
    Case("meta nfproto != ipv4 drop", v6) { $0 = TestPacket() },
    // ICMP.
    Case("icmp type echo-request drop", ping) { $0.transport = .icmp(type: 0) },
    Case("icmp type { 0, 8 } drop", ping) { $0.transport = .icmp(type: 3) },
    Case("icmp type != echo-reply drop", ping) { $0.transport = .icmp(type: 0) },
    Case(
      "icmp type destination-unreachable icmp code port-unreachable drop",
      ping.with {
        $0.transport = .icmp(type: 3, code: 3)
      }
    ) { $0.transport = .icmp(type: 3, code: 1) },
    Case("icmp type 0-20 drop", ping) { $0 = ping6 },
    Case("icmpv6 type echo-request drop", ping6) { $0.transport = .icmp(type: 129) },
    Case("icmpv6 type 128 icmpv6 code 0 drop", ping6) { $0.transport = .icmp(type: 128, code: 1) },
    // TCP flags.
    Case("tcp flags syn drop") { $0.transport = .tcp(.ack) },
    Case("tcp flags syn,fin drop", TestPacket(transport: .tcp([.fin, .ack]))) { $0.transport = .tcp(.ack) },
    Case("tcp flags == syn drop") { $0.transport = .tcp([.syn, .ack]) },
    Case("tcp flags != syn drop", TestPacket(transport: .tcp([.syn, .ack]))) { $0.transport = .tcp(.syn) },
    Case("tcp flags & (syn | ack) == syn drop") { $0.transport = .tcp([.syn, .ack]) },
    Case("tcp flags & (syn|rst) != rst drop") { $0.transport = .tcp(.rst) },
    Case("tcp flags syn / syn,ack drop") { $0.transport = .tcp([.syn, .ack]) },
    Case("tcp flags == 0x0 drop", TestPacket(transport: .tcp([]))) { $0.transport = .tcp(.syn) },
    // Several matches hold together.
    Case("ip saddr 192.0.2.1 tcp dport 443 drop") { $0.source = "192.0.2.2" },
    Case("ip saddr 192.0.2.1 tcp dport 443 drop") { $0.destinationPort = 80 },
    // Variables.
    Case("ip saddr $lan drop") { $0.source = "192.0.3.1" },
    Case("ip saddr { $lan, 203.0.113.1 } tcp dport $ports drop") { $0.destinationPort = 80 },
    // What rejecting needs is a match too.
    Case("reject with tcp reset") { $0.transport = .udp },
    Case("reject with icmp type host-unreachable") { $0 = v6 },
    Case("reject with icmpv6 no-route", v6) { $0 = TestPacket() },
    Case("tcp dport 443 reject with icmpx admin-prohibited") { $0.destinationPort = 80 },
  ]

  static func policy(_ rule: String, family: String = "inet") -> String {
    """
    define lan = 192.0.2.0/24
    define some = { 22, 443 }
    define ports = { $some, 8443 }
    table \(family) filter {
      set hosts { type ipv4_addr; elements = { 192.0.2.1, 192.0.2.7 }; }
      set nobody { type ipv4_addr; }
      set web {
        type inet_service
        flags interval
        elements = { 80, 440-442,
                     https }
      }
      chain forward {
        type filter hook forward priority filter; policy accept;
        \(rule)
      }
    }
    """
  }

  @Test(arguments: cases)
  func `A match holds for its packet and not for one that differs in it alone`(_ test: Case) throws {
    var firewall = FirewallInspector(policy: try FirewallPolicy(Self.policy(test.rule)))
    #expect(firewall.judge(test.matching) != .accept)
    #expect(firewall.judge(test.other) == .accept)
    #expect(firewall.counters.rules.map(\.packets) == [1])
  }

  /// Sets of many elements, against a look at each.
  @Test(arguments: [61, 62, 63] as [UInt64])
  func `Large sets hold what they list and nothing else`(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    // Disjoint ranges of the numbers below 65,536: between pairs of different bounds, some of one number only.
    var bounds = Set<UInt16>()
    while bounds.count < 2 * Int.random(in: 1...60, using: &random) || bounds.count % 2 == 1 {
      bounds.insert(UInt16.random(in: 1...65_534, using: &random))
    }
    let sorted = bounds.sorted()
    let ranges = stride(from: 0, to: sorted.count, by: 2).map { index in
      index % 3 == 0 ? sorted[index]...sorted[index] : sorted[index]...sorted[index + 1]
    }.shuffled(using: &random)
    let four = { (number: UInt16) in "10.0.\(number >> 8).\(number & 255)" }
    let six = { (number: UInt16) in "2001:db8::\(String(number, radix: 16))" }
    func list(_ text: (UInt16) -> String) -> String {
      ranges.map { $0.count == 1 ? text($0.lowerBound) : "\(text($0.lowerBound))-\(text($0.upperBound))" }
        .joined(separator: ", ")
    }
    let policy = try FirewallPolicy(
      """
      table inet t {
        set named { type inet_service; flags interval; elements = { \(list { String($0) }) }; }
        chain c {
          type filter hook forward priority 0; policy accept;
          tcp dport @named drop
          udp dport != { \(list { String($0) }) } drop
          ip saddr { \(list(four)) } drop
          ip6 daddr { \(list(six)) } drop
        }
      }
      """)
    var firewall = FirewallInspector(policy: policy)
    let numbers =
      sorted.flatMap { [$0 - 1, $0, $0 + 1] } + [0, 65_535]
      + (0..<500).map { _ in UInt16.random(in: 0...65_535, using: &random) }
    for number in numbers {
      let isListed = ranges.contains { $0.contains(number) }
      let packets: [(TestPacket, Bool)] = [
        (TestPacket(destinationPort: number), isListed),
        (TestPacket(transport: .udp, destinationPort: number), !isListed),
        (TestPacket(source: four(number), transport: .other(47)), isListed),
        (TestPacket(source: "2001:db8::", destination: six(number), transport: .other(47)), isListed),
      ]
      for (packet, isDropped) in packets {
        #expect((firewall.judge(packet) == .drop) == isDropped, "seed \(seed), \(number)")
      }
    }
  }

  @Test func `A table of one family sees the packets of that family only`() throws {
    for (family, four, six) in [("ip", Verdict.drop, Verdict.accept), ("ip6", .accept, .drop), ("inet", .drop, .drop)] {
      var firewall = FirewallInspector(policy: try FirewallPolicy(Self.policyThatDrops(family)))
      #expect(firewall.judge(TestPacket()) == four, "\(family)")
      #expect(firewall.judge(Self.v6) == six, "\(family)")
    }
    // Without a family, a table is ip.
    var firewall = FirewallInspector(policy: try FirewallPolicy(Self.policyThatDrops("")))
    #expect(firewall.judge(TestPacket()) == .drop)
    #expect(firewall.judge(Self.v6) == .accept)
  }

  private static func policyThatDrops(_ family: String) -> String {
    "table \(family) t {\n chain c {\n type filter hook forward priority 0; policy drop;\n }\n}"
  }

  @Test func `A hook names the way of its packets`() throws {
    for (hook, receive, transmit) in [
      ("input", Verdict.drop, Verdict.accept), ("output", .accept, .drop), ("forward", .drop, .drop),
    ] {
      let policy = try FirewallPolicy(
        "table ip t { chain c { type filter hook \(hook) priority 0; policy drop; } }")
      var firewall = FirewallInspector(policy: policy)
      #expect(firewall.judge(TestPacket()) == receive, "\(hook)")
      #expect(firewall.judge(TestPacket().with { $0.direction = .transmit }) == transmit, "\(hook)")
    }
  }

  @Test func `Frames that carry no IP packet take the configured verdict`() throws {
    let policy = try FirewallPolicy(Self.policyThatDrops("inet"))
    let arp: [UInt8] = [UInt8](repeating: 2, count: 12) + [0x08, 0x06] + [UInt8](repeating: 0, count: 46)
    var open = FirewallInspector(policy: policy)
    #expect(open.judge(arp) == .accept)
    var closed = FirewallInspector(policy: policy, configuration: FirewallConfiguration(frameWithoutIP: .drop))
    #expect(closed.judge(arp) == .drop)
    #expect(open.statistics.framesWithoutIP == 1)
  }

  @Test func `What cannot be read is dropped under a policy that accepts`() throws {
    var firewall = FirewallInspector(policy: try FirewallPolicy(Self.policy("accept")))
    var frame = TestPacket().bytes
    #expect(firewall.judge(frame) == .accept)
    frame[14] = 0x41
    #expect(firewall.judge(frame) == .drop)
    #expect(firewall.judge(TestPacket().bytes, linkType: LinkType(rawValue: 9_999)) == .drop)
    let tags: [UInt8] = [0x81, 0, 0, 1]
    #expect(firewall.judge([UInt8](repeating: 2, count: 12) + tags + tags + tags + tags + tags + [8, 0]) == .drop)
    #expect(firewall.judge([]) == .drop)
    #expect(firewall.statistics.malformed == 4)
  }
}
