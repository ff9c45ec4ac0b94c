import AllyFirewall
import AllyPacket
import Testing

/// What `ct state` says along whole conversations.
@Suite struct ConnectionTrackingTests {
  /// Logs every packet with its state; accepts all but what goes to port 666 and what is invalid.
  private static let policy = """
    table inet t {
      chain c {
        type filter hook forward priority 0; policy accept;
        log
        ct state invalid drop
        tcp dport 666 drop
      }
    }
    """

  /// A firewall that tells the state that it gave each packet.
  private struct Observer: ~Copyable {
    var firewall: FirewallInspector

    init(_ tracking: TrackingConfiguration = TrackingConfiguration(), policy: String = policy) throws {
      firewall = FirewallInspector(
        policy: try FirewallPolicy(policy), configuration: FirewallConfiguration(tracking: tracking))
    }

    mutating func state(_ packet: TestPacket, after seconds: Double = 0) -> String {
      _ = firewall.judge(packet.with { $0.time += seconds })
      guard let event = firewall.nextLogEvent() else { return "not judged" }
      switch event.connectionState {
      case .new: return "new"
      case .established: return "established"
      case .related: return "related"
      case .invalid: return "invalid"
      case .untracked: return "untracked"
      default: return "several"
      }
    }
  }

  /// Both sides of a TCP connection, which know what they sent.
  private struct Conversation {
    var client = TestPacket()
    var clientNext: UInt32 = 1_000
    var serverNext: UInt32 = 0xFFFF_FF00  // wraps around soon

    mutating func fromClient(
      _ flags: TCPFlags, _ count: Int = 0, window: UInt16 = 65_535, scale: UInt8? = nil
    ) -> TestPacket {
      let packet = client.with {
        $0.transport = .tcp(
          flags, sequence: clientNext, acknowledgment: flags.contains(.ack) ? serverNext : 0, window: window,
          scale: scale)
        $0.payload = [UInt8](repeating: 0x61, count: count)
      }
      clientNext &+= UInt32(count) + (flags.contains(.syn) || flags.contains(.fin) ? 1 : 0)
      return packet
    }

    mutating func fromServer(
      _ flags: TCPFlags, _ count: Int = 0, window: UInt16 = 65_535, scale: UInt8? = nil
    ) -> TestPacket {
      let packet = client.reply.with {
        $0.transport = .tcp(
          flags, sequence: serverNext, acknowledgment: flags.contains(.ack) ? clientNext : 0, window: window,
          scale: scale)
        $0.payload = [UInt8](repeating: 0x62, count: count)
      }
      serverNext &+= UInt32(count) + (flags.contains(.syn) || flags.contains(.fin) ? 1 : 0)
      return packet
    }
  }

  private static func open(
    _ observer: inout Observer, _ tcp: inout Conversation, scale: UInt8? = nil, window: UInt16 = 65_535
  ) {
    #expect(observer.state(tcp.fromClient(.syn, window: window, scale: scale)) == "new")
    #expect(observer.state(tcp.fromServer([.syn, .ack], window: window, scale: scale)) == "established")
    #expect(observer.state(tcp.fromClient(.ack, window: window)) == "established")
  }

  // MARK: TCP

  @Test(arguments: [TestPacket(), PolicyMatchTests.v6, TestPacket(vlan: 7)])
  func `A TCP connection is new until it is answered, then established`(client: TestPacket) throws {
    var observer = try Observer()
    var tcp = Conversation(client: client)
    let syn = tcp.fromClient(.syn)
    #expect(observer.state(syn) == "new")
    #expect(observer.state(syn, after: 1) == "new")
    #expect(observer.state(tcp.fromServer([.syn, .ack])) == "established")
    #expect(observer.state(tcp.fromClient(.ack)) == "established")
    for _ in 0..<20 {
      #expect(observer.state(tcp.fromClient([.psh, .ack], 1_000)) == "established")
      #expect(observer.state(tcp.fromServer([.psh, .ack], 1_400)) == "established")
    }
    #expect(observer.state(tcp.fromClient([.fin, .ack])) == "established")
    #expect(observer.state(tcp.fromServer([.fin, .ack])) == "established")
    #expect(observer.state(tcp.fromClient(.ack)) == "established")
    #expect(observer.firewall.statistics.connections == 1)
    #expect(observer.firewall.statistics.connectionsCreated == 1)
  }

  @Test func `TCP without a SYN belongs to nothing`() throws {
    for flags in [.ack, [.syn, .ack], [.fin, .ack], .rst, [.psh, .ack]] as [TCPFlags] {
      var observer = try Observer()
      #expect(observer.state(TestPacket(transport: .tcp(flags))) == "invalid", "\(flags)")
      #expect(observer.firewall.statistics.connections == 0)
    }
  }

  @Test func `A connection is picked up in its middle when that is asked for`() throws {
    var observer = try Observer(TrackingConfiguration(picksUpConnections: true))
    let data = TestPacket(transport: .tcp([.psh, .ack]))
    #expect(observer.state(data) == "new")
    #expect(observer.state(data.reply) == "established")
    #expect(observer.state(TestPacket(transport: .tcp(.rst), sourcePort: 1)) == "invalid")
  }

  @Test func `Flags that make no sense together are invalid`() throws {
    for flags in [[], [.syn, .fin], [.syn, .rst], .fin, [.fin, .rst, .ack], [.syn, .fin, .rst, .psh, .ack, .urg]]
      as [TCPFlags]
    {
      var observer = try Observer()
      var tcp = Conversation()
      Self.open(&observer, &tcp)
      #expect(observer.state(tcp.fromClient(flags)) == "invalid", "\(flags)")
    }
  }

  @Test func `An answer that acknowledges something else is invalid`() throws {
    var observer = try Observer()
    var tcp = Conversation()
    #expect(observer.state(tcp.fromClient(.syn)) == "new")
    tcp.clientNext += 5_000
    #expect(observer.state(tcp.fromServer([.syn, .ack])) == "invalid")
    tcp.clientNext -= 5_000
    #expect(observer.state(tcp.fromServer([.rst, .ack])) == "established")
  }

  @Test func `Data and acknowledgments outside the windows are invalid`() throws {
    var observer = try Observer()
    var tcp = Conversation()
    Self.open(&observer, &tcp, window: 1_000)
    #expect(observer.state(tcp.fromClient(.ack, 900)) == "established")
    var far = tcp
    far.clientNext &+= 2_000
    #expect(observer.state(far.fromClient(.ack, 10)) == "invalid")
    var old = tcp
    old.clientNext &-= 5_000
    #expect(observer.state(old.fromClient(.ack, 10)) == "invalid")
    var unsent = tcp
    unsent.serverNext &+= 500
    #expect(observer.state(unsent.fromClient(.ack, 10)) == "invalid")
    #expect(observer.state(tcp.fromClient(.ack, 100)) == "established")
    #expect(observer.firewall.statistics.invalid == 3)
    // The same segments, when windows are not checked.
    var lenient = try Observer(TrackingConfiguration(checksWindows: false))
    var again = Conversation()
    Self.open(&lenient, &again, window: 1_000)
    again.clientNext &+= 100_000
    #expect(lenient.state(again.fromClient(.ack, 10)) == "established")
  }

  @Test func `Windows are scaled when both sides offer it, and only then`() throws {
    for (server, state) in [(UInt8?.some(7), "established"), (nil, "invalid")] {
      var observer = try Observer()
      var tcp = Conversation()
      #expect(observer.state(tcp.fromClient(.syn, window: 1_000, scale: 7)) == "new")
      #expect(observer.state(tcp.fromServer([.syn, .ack], window: 1_000, scale: server)) == "established")
      #expect(observer.state(tcp.fromClient(.ack, window: 1_000)) == "established")
      // 1,000 << 7 is 128,000: room for sixty segments that are not acknowledged.
      #expect(observer.state(tcp.fromServer(.ack, 1_000, window: 1_000)) == "established")
      tcp.serverNext &+= 60_000
      #expect(observer.state(tcp.fromServer(.ack, 1_000)) == state, "server's scale \(server as Any)")
    }
  }

  @Test func `A reset closes only when its receiver believes it`() throws {
    var observer = try Observer()
    var tcp = Conversation()
    Self.open(&observer, &tcp)
    var guess = tcp
    guess.clientNext &+= 1_000_000
    #expect(observer.state(guess.fromClient(.rst)) == "invalid")
    // In the window but not the next byte: the receiver asks back (RFC 5961 §3.2), the connection stays.
    var near = tcp
    near.clientNext &+= 100
    #expect(observer.state(near.fromClient(.rst)) == "established")
    #expect(observer.state(tcp.fromServer(.ack, 10), after: 60) == "established")
    #expect(observer.state(tcp.fromClient(.rst), after: 61) == "established")
    // Ten seconds later it is forgotten.
    #expect(observer.state(tcp.fromServer(.ack, 10), after: 80) == "invalid")
  }

  @Test func `A SYN after the end begins a new connection`() throws {
    var observer = try Observer()
    var tcp = Conversation()
    Self.open(&observer, &tcp)
    #expect(observer.state(tcp.fromClient(.rst)) == "established")
    var again = Conversation(clientNext: 77_000, serverNext: 5)
    Self.open(&observer, &again)
    #expect(observer.firewall.statistics.connections == 1)
    #expect(observer.firewall.statistics.connectionsCreated == 2)
  }

  @Test func `A host that lost its state may ask again, and its peer may tell it so`() throws {
    var observer = try Observer()
    var tcp = Conversation()
    Self.open(&observer, &tcp)
    let challenge = tcp.fromServer(.ack)
    var reborn = tcp
    reborn.clientNext = 900_000_000
    #expect(observer.state(reborn.fromClient(.syn)) == "established")
    #expect(observer.state(challenge) == "established")
    // The reset that the challenge provokes carries the number that it acknowledged.
    #expect(observer.state(tcp.fromClient(.rst)) == "established")
    #expect(observer.state(reborn.fromClient(.syn)) == "new")
  }

  @Test func `A peer may say that it holds an older connection, and be told that it is gone`() throws {
    var observer = try Observer()
    var tcp = Conversation()
    let syn = tcp.fromClient(.syn)
    #expect(observer.state(syn) == "new")
    let older = tcp.client.reply.with { $0.transport = .tcp(.ack, sequence: 7_777, acknowledgment: 55_555) }
    #expect(observer.state(older.with { $0.payload = [1] }) == "invalid")
    #expect(observer.state(older) == "established")
    #expect(observer.state(tcp.client.with { $0.transport = .tcp(.rst, sequence: 55_555) }) == "established")
    #expect(observer.state(syn) == "new")
    #expect(observer.state(tcp.fromServer([.syn, .ack])) == "established")
  }

  @Test func `Both sides may open at once`() throws {
    var observer = try Observer()
    var tcp = Conversation()
    #expect(observer.state(tcp.fromClient(.syn)) == "new")
    let crossing = tcp.fromServer(.syn)
    #expect(observer.state(crossing) == "established")
    #expect(observer.state(tcp.fromClient(.ack)) == "established")
    #expect(observer.state(tcp.fromServer(.ack, 10)) == "established")
  }

  @Test func `What was dropped never happened`() throws {
    var observer = try Observer()
    let dropped = TestPacket(destinationPort: 666)
    #expect(observer.state(dropped) == "new")
    #expect(observer.firewall.statistics.connections == 0)
    #expect(
      observer.state(dropped.reply.with { $0.transport = .tcp([.syn, .ack], acknowledgment: 1_001) }) == "invalid")
  }

  // MARK: Time

  @Test(arguments: [
    (transport: TestPacket.Transport.udp, answered: false, seconds: 30.0), (.udp, true, 120),
    (.icmp(type: 8), false, 30), (.other(47), false, 600), (.tcp(.syn), false, 120),
  ])
  func `Connections are forgotten after their time`(
    transport: TestPacket.Transport, answered: Bool, seconds: Double
  ) throws {
    for (wait, forgotten) in [(seconds - 1, false), (seconds + 1, true)] {
      var observer = try Observer()
      let packet = TestPacket(transport: transport, destinationPort: 53)
      _ = observer.state(packet)
      if answered { #expect(observer.state(packet.reply) == "established") }
      _ = observer.state(packet, after: wait)
      #expect(observer.firewall.statistics.connectionsExpired == (forgotten ? 1 : 0), "after \(wait) s")
      #expect(observer.firewall.statistics.connectionsCreated == (forgotten ? 2 : 1), "after \(wait) s")
    }
  }

  @Test func `Time that runs backwards forgets nothing`() throws {
    var observer = try Observer()
    let packet = TestPacket(transport: .udp)
    #expect(observer.state(packet) == "new")
    #expect(observer.state(packet.reply, after: -86_400) == "established")
    #expect(observer.state(packet, after: -86_399) == "established")
  }

  // MARK: UDP, ICMP, others

  @Test func `UDP is new until it is answered`() throws {
    var observer = try Observer()
    let query = TestPacket(transport: .udp, destinationPort: 53)
    #expect(observer.state(query) == "new")
    #expect(observer.state(query) == "new")
    #expect(observer.state(query.reply) == "established")
    #expect(observer.state(query) == "established")
    #expect(observer.state(query.with { $0.sourcePort += 1 }) == "new")
    #expect(observer.state(query.with { $0.vlan = 9 }) == "new")
  }

  @Test func `IPv4 and IPv6 between the same 128 bits are two connections`() throws {
    var observer = try Observer()
    let four = TestPacket(transport: .udp)
    let six = four.with { ($0.source, $0.destination) = ("::ffff:192.0.2.1", "::ffff:198.51.100.7") }
    #expect(observer.state(four) == "new")
    #expect(observer.state(six.reply) == "new")
    #expect(observer.firewall.statistics.connections == 2)
  }

  @Test func `An echo reply needs its request`() throws {
    for client in [TestPacket(), PolicyMatchTests.v6] {
      let (request, reply): (UInt8, UInt8) = client.isIPv6 ? (128, 129) : (8, 0)
      var observer = try Observer()
      let answer = client.reply.with { $0.transport = .icmp(type: reply) }
      #expect(observer.state(answer) == "invalid")
      #expect(observer.state(client.with { $0.transport = .icmp(type: request) }) == "new")
      #expect(observer.state(answer) == "established")
      #expect(observer.state(answer.with { $0.transport = .icmp(type: reply, identifier: 8) }) == "invalid")
      // The other host's own ping with the same identifier.
      #expect(observer.state(client.reply.with { $0.transport = .icmp(type: request) }) == "new")
    }
  }

  @Test func `Neighbour discovery is not tracked`() throws {
    for type in [133, 134, 135, 136, 143] as [UInt8] {
      var observer = try Observer()
      #expect(observer.state(PolicyMatchTests.v6.with { $0.transport = .icmp(type: type) }) == "untracked")
    }
  }

  @Test func `An ICMP error is related to the connection that it quotes`() throws {
    for client in [TestPacket(transport: .udp), PolicyMatchTests.v6.with { $0.transport = .udp }] {
      var observer = try Observer()
      let router = client.isIPv6 ? "2001:db8:9::1" : "203.0.113.1"
      let error = TestPacket(source: router, destination: client.source).with {
        $0.transport = .icmp(type: client.isIPv6 ? 1 : 3, code: 4)
        $0.payload = Array(client.networkBytes.prefix(client.isIPv6 ? 48 : 28))
      }
      #expect(observer.state(error) == "invalid")
      #expect(observer.state(client) == "new")
      #expect(observer.state(error) == "related")
      // To somebody else than the quoted packet's sender.
      #expect(observer.state(error.with { $0.destination = router }) == "invalid")
      // About another packet.
      let other = client.with { $0.sourcePort += 1 }.networkBytes
      #expect(observer.state(error.with { $0.payload = Array(other.prefix(client.isIPv6 ? 48 : 28)) }) == "invalid")
      // Cut before the ports.
      #expect(observer.state(error.with { $0.payload.removeLast(6) }) == "invalid")
      #expect(observer.state(error.with { $0.payload = [] }) == "invalid")
    }
  }

  @Test func `An ICMP error about a TCP segment or an echo is related too`() throws {
    var observer = try Observer()
    for transport in [TestPacket.Transport.tcp(.syn), .icmp(type: 8)] {
      let client = TestPacket(transport: transport)
      #expect(observer.state(client) == "new")
      let error = TestPacket(source: "203.0.113.1", destination: client.source, transport: .icmp(type: 11))
        .with { $0.payload = Array(client.networkBytes.prefix(28)) }
      #expect(observer.state(error) == "related")
    }
  }

  // MARK: Room

  @Test func `A full table gives up what only one side speaks for`() throws {
    var observer = try Observer(TrackingConfiguration(maximumConnections: 4))
    for port in 1...20 as ClosedRange<UInt16> {
      #expect(observer.state(TestPacket(transport: .udp, sourcePort: port)) == "new")
    }
    let statistics = observer.firewall.statistics
    #expect(statistics.connections == 4)
    #expect(statistics.connectionsEvicted == 16)
    #expect(statistics.accepted == 20)
  }

  @Test func `A table full of answered connections refuses new ones, which are dropped`() throws {
    var observer = try Observer(TrackingConfiguration(maximumConnections: 4))
    for port in 1...4 as ClosedRange<UInt16> {
      let packet = TestPacket(transport: .udp, sourcePort: port)
      _ = observer.state(packet)
      #expect(observer.state(packet.reply) == "established")
    }
    #expect(observer.firewall.judge(TestPacket(transport: .udp, sourcePort: 5)) == .drop)
    #expect(observer.firewall.statistics.connectionsRefused == 1)
    #expect(observer.firewall.judge(TestPacket(transport: .udp, sourcePort: 3)) == .accept)
  }

  @Test func `Without ct state in the policy nothing is tracked`() throws {
    var observer = try Observer(
      policy: "table ip t { chain c { type filter hook forward priority 0; policy accept; log; } }")
    #expect(observer.state(TestPacket(transport: .tcp(.ack))) == "untracked")
    #expect(observer.firewall.statistics.connectionsCreated == 0)
  }
}
