import AllyFirewall
import AllyPacket
import Testing

/// Verdicts, chains, counters, logs: what runs in which order.
@Suite struct PolicyFlowTests {
  private func packet(_ port: UInt16) -> TestPacket { TestPacket().with { $0.destinationPort = port } }

  private func verdict(_ policy: String, _ packet: TestPacket) throws -> Verdict {
    var firewall = FirewallInspector(policy: try FirewallPolicy(policy))
    return firewall.judge(packet)
  }

  private func chain(_ rules: String, policy: String = "drop", others: String = "") -> String {
    """
    table ip t {
      chain base {
        type filter hook forward priority 0; policy \(policy);
        \(rules)
      }
      \(others)
    }
    """
  }

  @Test func `The first verdict counts`() throws {
    let policy = chain("tcp dport 1 accept\ntcp dport 1-2 drop\ntcp dport 1-3 accept", policy: "drop")
    #expect(try verdict(policy, packet(1)) == .accept)
    #expect(try verdict(policy, packet(2)) == .drop)
    #expect(try verdict(policy, packet(3)) == .accept)
    #expect(try verdict(policy, packet(4)) == .drop)
  }

  @Test func `A jump comes back, a goto does not`() throws {
    let others = "chain side { tcp dport 1 accept; tcp dport 2 return; tcp dport 3 drop; }"
    let jump = chain("jump side\naccept", others: others)
    #expect(try verdict(jump, packet(2)) == .accept)
    #expect(try verdict(jump, packet(3)) == .drop)
    #expect(try verdict(jump, packet(4)) == .accept)
    let goto = chain("goto side\naccept", others: others)
    #expect(try verdict(goto, packet(1)) == .accept)
    #expect(try verdict(goto, packet(2)) == .drop)
    #expect(try verdict(goto, packet(4)) == .drop)
  }

  @Test func `A goto from a jumped-to chain ends where the jump came from`() throws {
    let policy = chain(
      "jump first\ntcp dport 4 accept",
      others: "chain first { goto second; accept; }\nchain second { tcp dport 1 drop; }"
    )
    .replacing("goto second; accept;", with: "goto second;")
    #expect(try verdict(policy, packet(4)) == .accept)
    #expect(try verdict(policy, packet(5)) == .drop)
  }

  @Test func `A return in a base chain leads to its policy`() throws {
    #expect(try verdict(chain("return", policy: "accept"), packet(1)) == .accept)
    #expect(try verdict(chain("tcp dport 1 return\naccept"), packet(1)) == .drop)
    #expect(try verdict(chain("tcp dport 1 continue\naccept"), packet(1)) == .accept)
  }

  @Test func `Sixteen jumps nest`() throws {
    var others = ""
    for index in 1..<16 { others += "chain c\(index) { jump c\(index + 1); }\n" }
    others += "chain c16 { tcp dport 7 accept; }"
    let policy = chain("jump c1\ntcp dport 8 accept", others: others)
    #expect(try verdict(policy, packet(7)) == .accept)
    #expect(try verdict(policy, packet(8)) == .accept)
    #expect(try verdict(policy, packet(9)) == .drop)
  }

  @Test func `What one base chain accepts the next may still drop, by priority`() throws {
    let policy = """
      table ip late { chain c { type filter hook forward priority filter + 10; policy accept; tcp dport 1 drop; } }
      table inet early {
        chain c { type filter hook forward priority -10; policy accept; tcp dport 1-2 accept; tcp dport 3 drop; }
      }
      """
    #expect(try verdict(policy, packet(1)) == .drop)
    #expect(try verdict(policy, packet(2)) == .accept)
    #expect(try verdict(policy, packet(3)) == .drop)
    var firewall = FirewallInspector(policy: try FirewallPolicy(policy))
    _ = firewall.judge(packet(3))
    _ = firewall.judge(packet(5))
    // The rules in the order of the text, the policies in the order in which packets meet them: early's, then late's.
    #expect(firewall.counters.rules.map(\.packets) == [0, 0, 1])
    #expect(firewall.counters.policies.map(\.packets) == [1, 1])
  }

  @Test func `A chain and a table written twice hold the rules of both`() throws {
    let policy = """
      table ip t { chain c { type filter hook forward priority 0; policy drop; tcp dport 1 accept; } }
      table ip t { chain c { tcp dport 2 accept; } }
      """
    #expect(try verdict(policy, packet(1)) == .accept)
    #expect(try verdict(policy, packet(2)) == .accept)
    #expect(try verdict(policy, packet(3)) == .drop)
  }

  @Test func `Counters count where they stand in the rule, in bytes from the IP header on`() throws {
    let policy = try FirewallPolicy(
      chain("counter tcp dport 443 counter packets 5 bytes 100 accept\ncounter"))
    var firewall = FirewallInspector(policy: policy)
    _ = firewall.judge(packet(443).with { $0.payload = [1, 2, 3] })
    _ = firewall.judge(packet(80))
    #expect(
      firewall.counters.statements == [
        PacketCount(packets: 2, bytes: 83), PacketCount(packets: 6, bytes: 143), PacketCount(packets: 1, bytes: 40),
      ])
    #expect(firewall.counters.rules == [PacketCount(packets: 1, bytes: 43), PacketCount()])
    #expect(firewall.counters.policies == [PacketCount(packets: 1, bytes: 40)])
    #expect(
      policy.listing(counters: firewall.counters) == """
        table ip t {
        \tchain base {
        \t\ttype filter hook forward priority 0; policy drop;
        \t\tcounter packets 2 bytes 83 tcp dport 443 counter packets 6 bytes 143 accept
        \t\tcounter packets 1 bytes 40
        \t}
        }

        """)
  }

  @Test func `A listing is a policy that judges alike and lists alike`() throws {
    for rule in PolicyMatchTests.cases.map(\.rule) {
      let policy = try FirewallPolicy(PolicyMatchTests.policy(rule + " comment \"why, indeed\""))
      let listing = policy.listing()
      #expect(listing.contains("comment \"why, indeed\""))
      let again = try FirewallPolicy(listing, file: "listing")
      #expect(again.listing() == listing)
    }
  }

  @Test func `A rejection names its reply`() throws {
    for (written, rejection) in [
      ("reject", Rejection.icmpx(icmpCode: 3, icmpv6Code: 4)), ("reject with tcp reset", .tcpReset),
      ("reject with icmp type host-prohibited", .icmp(code: 10)),
      ("reject with icmpx type admin-prohibited", .icmpx(icmpCode: 13, icmpv6Code: 1)),
    ] {
      var firewall = FirewallInspector(policy: try FirewallPolicy(chain("tcp dport 1 \(written)", policy: "accept")))
      #expect(firewall.judge(packet(1)) == .reject)
      #expect(firewall.rejection == rejection)
      #expect(firewall.judge(packet(2)) == .accept)
      #expect(firewall.rejection == nil)
    }
  }

  @Test func `Log statements tell what they saw, and a full queue counts what it loses`() throws {
    let policy = try FirewallPolicy(chain("log prefix \"all: \"\ntcp dport 1 log prefix \"one: \" level warn accept"))
    var firewall = FirewallInspector(policy: policy, configuration: FirewallConfiguration(maximumLogEvents: 3))
    _ = firewall.judge(packet(1))
    _ = firewall.judge(packet(2))
    _ = firewall.judge(packet(1))
    #expect(firewall.statistics.logEventsLost == 2)
    var seen: [String] = []
    while let event = firewall.nextLogEvent() {
      let statement = policy.logStatements[event.statement]
      seen.append("\(statement.prefix)\(event.layers.destinationPort) \(policy.rules[event.rule].line)")
    }
    #expect(seen == ["all: 1 4", "one: 1 5", "all: 2 4"])
    #expect(policy.logStatements[1].level == "warn")
    _ = firewall.judge(packet(2))
    #expect(firewall.nextLogEvent()?.layers.destinationPort == 2)
  }

  @Test func `Verdicts are counted`() throws {
    var firewall = FirewallInspector(
      policy: try FirewallPolicy(chain("tcp dport 1 accept\ntcp dport 2 reject", policy: "drop")))
    for port in [1, 2, 3, 3] as [UInt16] { _ = firewall.judge(packet(port)) }
    let statistics = firewall.statistics
    #expect([statistics.frames, statistics.accepted, statistics.rejected, statistics.dropped] == [4, 1, 1, 2])
    #expect(statistics.bytes == 4 * 54)
  }
}
