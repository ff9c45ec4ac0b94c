import AllyFirewall
import AllyPacket
import Testing

@Suite struct FragmentTests {
  static let policy = """
    table inet t {
      chain c {
        type filter hook forward priority 0; policy POLICY;
        ip saddr 203.0.113.9 accept
        udp dport 53 accept
        udp dport 54 drop
      }
    }
    """

  /// Fragment by offset and length of a datagram whose UDP payload is 100 bytes.
  static func fragment(
    _ offset: Int, _ length: Int, port: UInt16 = 53, identification: UInt16 = 1, of packet: TestPacket = TestPacket()
  ) -> TestPacket {
    packet.with {
      $0.transport = .udp
      $0.destinationPort = port
      $0.payload = [UInt8](repeating: 0x61, count: 100)
      $0.fragment = (identification, offset, length)
    }
  }

  private func firewall(_ policy: String, datagrams: Int = 1_024) throws -> FirewallInspector {
    FirewallInspector(
      policy: try FirewallPolicy(Self.policy.replacing("POLICY", with: policy)),
      configuration: FirewallConfiguration(tracking: TrackingConfiguration(maximumDatagrams: datagrams, seed: 1)))
  }

  @Test(arguments: [TestPacket(), PolicyMatchTests.v6, PolicyMatchTests.v6.with { $0.destinationOptions = 1 }])
  func `Later fragments share the fate of the first`(packet: TestPacket) throws {
    for (port, verdict) in [(UInt16(53), Verdict.accept), (54, .drop)] {
      for policy in ["accept", "drop"] {
        var firewall = try firewall(policy)
        #expect(firewall.judge(Self.fragment(0, 48, port: port, of: packet)) == verdict)
        #expect(firewall.judge(Self.fragment(48, 32, port: port, of: packet)) == verdict)
        #expect(firewall.judge(Self.fragment(80, 28, port: port, of: packet)) == verdict)
        #expect(firewall.statistics.fragmentsFollowed == 2)
      }
    }
  }

  @Test func `Fragments of another datagram do not`() throws {
    var firewall = try firewall("drop")
    #expect(firewall.judge(Self.fragment(0, 48)) == .accept)
    #expect(firewall.judge(Self.fragment(48, 60, identification: 2)) == .drop)
    #expect(firewall.judge(Self.fragment(48, 60, of: TestPacket(source: "192.0.2.2"))) == .drop)
    #expect(firewall.judge(Self.fragment(48, 60, of: TestPacket(vlan: 3))) == .drop)
    #expect(firewall.judge(Self.fragment(48, 60).with { $0.time += 31 }) == .drop)
    #expect(firewall.statistics.fragmentsWithoutFirst == 4)
    #expect(firewall.judge(Self.fragment(48, 60)) == .accept)
  }

  @Test func `A later fragment that comes first is judged by what it shows`() throws {
    var closed = try firewall("drop")
    #expect(closed.judge(Self.fragment(48, 60)) == .drop)
    #expect(closed.judge(Self.fragment(48, 60, of: TestPacket(source: "203.0.113.9"))) == .accept)
    var open = try firewall("accept")
    #expect(open.judge(Self.fragment(48, 60, port: 54)) == .accept)
    #expect(open.judge(Self.fragment(0, 48, port: 54)) == .drop)
    #expect(open.judge(Self.fragment(80, 28, port: 54)) == .drop)
  }

  @Test func `A fragment that overlaps the first gives the datagram up`() throws {
    var firewall = try firewall("accept")
    #expect(firewall.judge(Self.fragment(0, 48)) == .accept)
    #expect(firewall.judge(Self.fragment(8, 40)) == .drop)
    #expect(firewall.judge(Self.fragment(48, 60)) == .drop)
    #expect(firewall.statistics.fragmentsRefused == 1)
    // The same when the overlapping one comes first.
    #expect(firewall.judge(Self.fragment(8, 100, identification: 2)) == .accept)
    #expect(firewall.judge(Self.fragment(0, 48, identification: 2)) == .drop)
    #expect(firewall.statistics.fragmentsRefused == 2)
  }

  @Test func `A first fragment without its transport header is refused`() throws {
    var firewall = try firewall("accept")
    let tcp = TestPacket(payload: [UInt8](repeating: 1, count: 40), fragment: (1, 0, 8))
    #expect(firewall.judge(tcp) == .drop)
    #expect(firewall.judge(tcp.with { $0.fragment = (1, 8, 52) }) == .drop)
    #expect(firewall.judge(tcp.with { $0.fragment = (2, 0, 24) }) == .accept)
  }

  @Test func `A fragment beyond the longest datagram is refused`() throws {
    var firewall = try firewall("accept")
    var frame = Self.fragment(48, 60).bytes
    frame.replaceSubrange(20..<22, with: [0x1F, 0xFF])
    #expect(firewall.judge(frame) == .drop)
    #expect(firewall.statistics.fragmentsRefused == 1)
  }

  @Test func `A second first fragment cannot whitewash a dropped datagram`() throws {
    var firewall = try firewall("drop")
    #expect(firewall.judge(Self.fragment(0, 48, port: 54)) == .drop)
    #expect(firewall.judge(Self.fragment(0, 48, port: 53)) == .accept)
    #expect(firewall.judge(Self.fragment(48, 60)) == .drop)
  }

  @Test func `A flood of fragments forgets datagrams but takes no memory`() throws {
    var firewall = try firewall("drop", datagrams: 16)
    for identification in 0..<1_000 as Range<UInt16> {
      #expect(firewall.judge(Self.fragment(0, 48, identification: identification)) == .accept)
      #expect(firewall.judge(Self.fragment(48, 60, identification: identification)) == .accept)
    }
    #expect(firewall.judge(Self.fragment(48, 60, identification: 0)) == .drop)
  }

  @Test func `A connection goes on after a segment that came in fragments`() throws {
    let policy = try FirewallPolicy(
      "table ip t { chain c { type filter hook forward priority 0; policy drop; ct state established accept; tcp dport 443 ct state new accept; } }"
    )
    var firewall = FirewallInspector(policy: policy)
    let client = TestPacket()
    #expect(firewall.judge(client) == .accept)
    let answer = TestPacket.Transport.tcp([.syn, .ack], sequence: 50, acknowledgment: 1_001)
    #expect(firewall.judge(client.reply.with { $0.transport = answer }) == .accept)
    let segment = client.with {
      $0.transport = .tcp(.ack, sequence: 1_001, acknowledgment: 51)
      $0.payload = [UInt8](repeating: 0, count: 2_000)
    }
    #expect(firewall.judge(segment.with { $0.fragment = (9, 0, 1_480) }) == .accept)
    #expect(firewall.judge(segment.with { $0.fragment = (9, 1_480, 1_480) }) == .accept)
    #expect(
      firewall.judge(client.reply.with { $0.transport = .tcp(.ack, sequence: 51, acknowledgment: 3_001) }) == .accept)
  }
}
