import AllyFirewall
import Testing

/// Every error names its place, what would have been right and what stands there.
@Suite struct PolicyErrorTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var text: String
    var error: String
    var testDescription: String { error }
  }

  /// A rule in line 3 of a policy.
  static func rule(_ rule: String, _ error: String) -> Case {
    Case(
      text:
        "table inet t {\n chain c {\n\(rule)\n }\n chain other {\n }\n chain base { type filter hook input priority 0; }\n"
        + " set s { type ipv4_addr; }\n}",
      error: error)
  }

  static let statements =
    "a match (ip, ip6, tcp, udp, udplite, sctp, dccp, th, icmp, icmpv6, meta or ct), a statement (counter, log or "
    + "comment) or a verdict (accept, drop, reject, jump, goto, return or continue)"

  static let cases: [Case] = [
    // Layout.
    Case(text: "tabel inet t {", error: "1:1: expected 'table', 'define' or 'flush ruleset', found 'tabel'"),
    Case(text: "table inet {", error: "1:12: expected a table's name, found '{'"),
    Case(text: "table bridge t {}", error: "1:7: expected the family ip, ip6 or inet, found 'bridge'"),
    Case(
      text: "table inet t {\n  map m { }\n}",
      error: "2:3: expected 'chain', 'set', 'define', 'comment' or '}', found 'map'"),
    Case(
      text: "table inet t {\n",
      error: "2:1: expected 'chain', 'set', 'define', 'comment' or '}', found the end of the file"),
    Case(
      text: "table t { chain c { type nat hook input priority 0; } }",
      error: "1:26: expected the chain type 'filter', found 'nat'"),
    Case(
      text: "table t { chain c { type filter hook prerouting priority 0; } }",
      error: "1:38: expected the hook input, forward or output, found 'prerouting'"),
    Case(
      text: "table t { chain c { type filter hook input priority high; } }",
      error:
        "1:53: expected a priority: a number, or one of raw, mangle, filter, security, found 'high'"),
    Case(
      text: "table t { chain c { type filter hook input priority 0; policy reject; } }",
      error: "1:63: expected 'accept' or 'drop', found 'reject'"),
    Case(
      text: "table t { chain c { policy drop; } }",
      error: "1:21: expected 'type filter hook …' before the policy, found 'policy'"),
    Case(
      text: "table t { chain c { accept\n type filter hook input priority 0; } }",
      error: "2:2: expected one 'type' at most, before the chain's rules, found 'type'"),
    // Characters.
    Case(
      text: "table t { chain c { \u{1} } }",
      error:
        "1:21: expected a word, a quoted text or one of { } ( ) ; , = ! < > & | + $ @, found the byte 0x01"),
    Case(
      text: "# ä€😀\ntable t { chain c { log prefix \"ä€😀\" bad } }",
      error: "2:38: expected \(statements), found 'bad'"),
    Case(text: "define x = \"abc\n", error: "1:16: expected the closing quote of a text, found the end of the line"),
    // Definitions.
    Case(text: "define 1x = 1", error: "1:8: expected a variable's name, found '1x'"),
    Case(text: "define x 1", error: "1:10: expected '=', found '1'"),
    Case(text: "define x =\n", error: "1:11: expected a value, found the end of the line"),
    Case(text: "define x = 1\ndefine x = 2", error: "2:8: expected a name that is not defined yet, found 'x'"),
    rule("tcp dport $nope drop", "3:11: expected a variable that is defined above, found '$nope'"),
    Case(
      text: "define lan = 10.0.0.0/8\ntable t { chain c {\n tcp dport $lan drop } }",
      error:
        "3:12: expected a port (0 to 65535), a range of ports or a service name, found '10.0.0.0/8' from $lan"),
    // Values.
    rule(
      "tcp dport htp accept",
      "3:11: expected a port (0 to 65535), a range of ports or a service name, found 'htp'"),
    rule(
      "tcp dport 65536 accept",
      "3:11: expected a port (0 to 65535), a range of ports or a service name, found '65536'"),
    rule("tcp dport 90-80 accept", "3:11: expected an end of the range that is not below its start, found '90-80'"),
    rule("tcp dport 90 - 80 accept", "3:16: expected an end of the range that is not below its start, found '80'"),
    rule("tcp dport { 80, } , 1", "3:19: expected \(statements), found ','"),
    rule(
      "tcp dport { } accept", "3:13: expected a port (0 to 65535), a range of ports or a service name, found '}'"),
    rule("tcp dport { 80 443 } accept", "3:16: expected ',' or '}', found '443'"),
    rule("tcp dport 80,443 accept", "3:13: expected \(statements), found ','"),
    rule("tcp dport < 0 accept", "3:13: expected a value that something can be below, found '0'"),
    rule("ip saddr 10.0.0.0/33 drop", "3:10: expected an IPv4 address, prefix or range, found '10.0.0.0/33'"),
    rule("ip saddr 2001:db8::1 drop", "3:10: expected an IPv4 address, prefix or range, found '2001:db8::1'"),
    rule("ip saddr example.org drop", "3:10: expected an IPv4 address, prefix or range, found 'example.org'"),
    rule("ip6 saddr 10.0.0.1 drop", "3:11: expected an IPv6 address, prefix or range, found '10.0.0.1'"),
    rule("ip saddr", "3:9: expected an IPv4 address, prefix or range, found the end of the line"),
    rule("meta l4proto foo drop", "3:14: expected a protocol's name or number (0 to 255), found 'foo'"),
    rule("icmp type 256 drop", "3:11: expected an ICMP type's name or number (0 to 255), found '256'"),
    rule("icmpv6 type ping drop", "3:13: expected an ICMPv6 type's name or number (0 to 255), found 'ping'"),
    rule(
      "ct state established,old accept",
      "3:22: expected a state: new, established, related, invalid or untracked, found 'old'"),
    rule(
      "tcp dport http-https drop",
      "3:11: expected a port (0 to 65535), a range of ports or a service name, found 'http-https'"),
    rule("tcp flags & (syn,ack) == syn drop", "3:17: expected ')', found ','"),
    rule("tcp flags push drop", "3:11: expected a TCP flag: fin, syn, rst, psh, ack, urg, ecn or cwr, found 'push'"),
    // Fields.
    rule("ip ttl 1 drop", "3:4: expected saddr, daddr or protocol, found 'ttl'"),
    rule("ip6 flowlabel 1 drop", "3:5: expected saddr, daddr or nexthdr, found 'flowlabel'"),
    rule("tcp port 80 drop", "3:5: expected sport, dport or flags, found 'port'"),
    rule("udp length 80 drop", "3:5: expected sport or dport, found 'length'"),
    rule("meta mark 1 drop", "3:6: expected l4proto or nfproto, found 'mark'"),
    rule("ct mark 1 drop", "3:4: expected 'state', found 'mark'"),
    rule("limit rate 10/second accept", "3:1: expected \(statements), found 'limit'"),
    rule(
      "iifname lo accept",
      "3:1: expected \(statements); a NIC has no interfaces to choose from, the hook names the way, found 'iifname'"),
    // Matches that exclude each other.
    rule(
      "ip saddr 10.0.0.1 ip6 daddr ::1 drop",
      "3:19: expected a match for IPv4, which the rule's table or an earlier match asks for, found 'ip6'"),
    rule(
      "tcp dport 1 udp dport 2 drop",
      "3:13: expected a match for the protocol that an earlier match of the rule asks for, found 'udp'"),
    rule(
      "tcp dport 1 meta l4proto udp drop",
      "3:26: expected a protocol that an earlier match of the rule leaves possible, found 'udp'"),
    rule(
      "udp dport 1 reject with tcp reset",
      "3:25: expected a match for the protocol that an earlier match of the rule asks for, found 'tcp'"),
    // Statements.
    rule("accept drop", "3:8: expected the end of the rule: nothing runs behind a verdict, found 'drop'"),
    rule("accept counter", "3:8: expected the end of the rule: nothing runs behind a verdict, found 'counter'"),
    rule("counter comment \"x\" drop", "3:21: expected the end of the rule behind its comment, found 'drop'"),
    rule("log prefix x", "3:12: expected a prefix in quotes, found 'x'"),
    rule(
      "log level loud",
      "3:11: expected a level: emerg, alert, crit, err, warn, notice, info or debug, found 'loud'"),
    rule("counter packets many", "3:17: expected a number, found 'many'"),
    rule(
      "reject with icmp type echo-reply",
      "3:23: expected an ICMP code: admin-prohibited, frag-needed, host-prohibited, host-unreachable, net-prohibited, "
        + "net-unreachable, port-unreachable, prot-unreachable, found 'echo-reply'"),
    rule("reject with http", "3:13: expected tcp, icmp, icmpv6 or icmpx, found 'http'"),
    // Chains and sets.
    rule("jump nowhere", "3:6: expected a chain of table 't', found 'nowhere'"),
    rule("jump base", "3:6: expected a chain without a hook, found 'base'"),
    rule("jump c", "3:6: expected a chain that does not lead back here, found 'c'"),
    rule("ip saddr @nobody drop", "3:10: expected a set of table 't', found '@nobody'"),
    rule("tcp dport @s drop", "3:11: expected a set of type inet_service, found '@s'"),
    Case(
      text: "table t {\n set s { type ether_addr; }\n}",
      error:
        "2:15: expected a type: one of ipv4_addr, ipv6_addr, inet_service, inet_proto, icmp_type, icmpv6_type, "
        + "found 'ether_addr'"),
    Case(
      text: "table t {\n set s { elements = { 1 }; }\n}",
      error: "2:10: expected 'type' before the elements, found 'elements'"),
    Case(
      text: "table t {\n set s { type inet_service; elements = { 1-2 }; }\n}",
      error: "2:42: expected a single value, or 'flags interval' before the elements, found '1-2'"),
    Case(
      text: "table t {\n set s { type inet_service; }\n set s { type inet_service; }\n}",
      error: "3:6: expected a set's name that the table does not have yet, found 's'"),
    Case(
      text: "table t {\n set s { type inet_service; flags timeout; }\n}",
      error: "2:35: expected the flag interval or constant, found 'timeout'"),
    Case(
      text: "table t {\n set s { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 10.1.0.1 }; }\n}",
      error: "2:67: expected an element that overlaps no other, or 'auto-merge' in the set, found '10.1.0.1'"),
    Case(text: "table t {\n set s { flags interval; }\n}", error: "2:26: expected 'type' in a set, found '}'"),
  ]

  @Test(arguments: cases)
  func `An error names its place and what was expected`(_ test: Case) {
    let error = #expect(throws: PolicyError.self) { try FirewallPolicy(test.text, file: "p.nft") }
    #expect(error?.description == "p.nft:" + test.error)
  }

  @Test func `A loop over several chains is refused at its first jump`() {
    let text = "table t {\n chain a { jump b; }\n chain b { accept; jump c; }\n chain c { goto a; }\n}"
      .replacing("accept; jump c", with: "jump c")
    let error = #expect(throws: PolicyError.self) { try FirewallPolicy(text) }
    #expect(error?.description == "policy:2:17: expected a chain that does not lead back here, found 'b'")
  }

  @Test func `Seventeen nested jumps are refused`() {
    var text = "table t { chain base { type filter hook input priority 0; jump c1; }\n"
    for index in 1..<17 { text += "chain c\(index) { jump c\(index + 1); }\n" }
    text += "chain c17 { accept; }\n}"
    let error = #expect(throws: PolicyError.self) { try FirewallPolicy(text) }
    #expect(error?.expected == "at most 16 chains that jump to each other")
  }

  @Test func `Chains that multiply each other's work are refused`() {
    var text = "table t {\n"
    for index in 0..<12 {
      text += "chain c\(index) {\n" + String(repeating: "jump c\(index + 1)\n", count: 10) + "}\n"
    }
    text += "chain c12 { accept; }\n}"
    let error = #expect(throws: PolicyError.self) { try FirewallPolicy(text) }
    #expect(error?.expected == "chains that take a packet at most 1000000 steps")
  }

  @Test func `Definitions that double each other are refused before they fill the memory`() {
    var text = "define v0 = 1, 2\n"
    for index in 1..<64 { text += "define v\(index) = $v\(index - 1), $v\(index - 1)\n" }
    let error = #expect(throws: PolicyError.self) { try FirewallPolicy(text) }
    #expect(error?.expected == "at most 1000000 words in all definitions")
  }
}
