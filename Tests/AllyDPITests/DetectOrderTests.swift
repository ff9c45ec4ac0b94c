import AllyPacket
import Testing

@testable import AllyDPI

/// Which of several matching rules speak, and what becomes of the frame.
@Suite struct DetectOrderTests {
  private let datagram = TestFrame(ipProtocol: 17, payload: Array("attack".utf8))

  @Test func alertsComeByPriorityThenAsWritten() throws {
    var engine = try TestEngine(
      """
      alert udp any any -> any any (content:"attack"; sid:1;)
      alert udp any any -> any any (content:"attack"; priority:1; sid:2;)
      alert udp any any -> any any (sid:3;)
      drop udp any any -> any any (content:"attack"; sid:4;)
      """)
    engine.send(datagram)
    #expect(engine.alerts == [4, 2, 1, 3])
  }

  @Test func aPassRuleSilencesTheRest() throws {
    var engine = try TestEngine(
      """
      alert udp any any -> any any (content:"attack"; sid:1;)
      pass udp any any -> any any (content:"attack"; sid:2;)
      drop udp any any -> any any (content:"attack"; sid:3;)
      """
    ) { $0.isInline = true }
    #expect(engine.send(datagram) == .accept)
    #expect(engine.alerts == [])
  }

  @Test func inlineADropEndsTheFrameAndSaysSo() throws {
    let rules = "drop udp any any -> any any (content:\"attack\"; sid:1;)"
    var inline = try TestEngine(rules) { $0.isInline = true }
    #expect(inline.send(datagram) == .drop)
    #expect(inline.records.first?.contains("\"action\":\"blocked\"") == true)
    #expect(inline.records.filter { $0.contains("\"event_type\":\"drop\"") }.count == 1)
    #expect(inline.statistics.dropped == 1)

    var passive = try TestEngine(rules)
    #expect(passive.send(datagram) == .accept)
    #expect(passive.records.first?.contains("\"action\":\"allowed\"") == true)
    #expect(passive.records.count == 1)
  }

  @Test func inlineADroppedFlowStaysAsItWas() throws {
    func flow(isInline: Bool) throws -> String? {
      var engine = try TestEngine("drop tcp any any -> any any (content:\"attack\"; sid:1;)") {
        $0.isInline = isInline
        $0.records = [.alerts, .flows]
      }
      var connection = Connection()
      connection.open(&engine)
      connection.client("attack", &engine)
      var reset = connection.clientFrame("")
      reset.flags = 0x14
      #expect(engine.send(reset) == (isInline ? .drop : .accept))
      engine.finish()
      return engine.records.first { $0.contains("\"event_type\":\"flow\"") }
    }
    // The reset does not arrive, either.
    #expect(try flow(isInline: true)?.contains("\"state\":\"established\"") == true)
    #expect(try flow(isInline: false)?.contains("\"state\":\"closed\"") == true)
  }

  @Test func inlineARejectIsMoreThanADrop() throws {
    var engine = try TestEngine("reject udp any any -> any any (content:\"attack\"; sid:1;)") { $0.isInline = true }
    #expect(engine.send(datagram) == .reject)
    #expect(engine.statistics.rejected == 1)
  }

  @Test func theOrderOfActionsIsTheOperators() throws {
    var engine = try TestEngine(
      """
      pass udp any any -> any any (content:"attack"; sid:1;)
      drop udp any any -> any any (content:"attack"; sid:2;)
      """
    ) {
      $0.isInline = true
      $0.actionOrder = [.drop, .pass, .alert, .reject]
    }
    #expect(engine.send(datagram) == .drop)
    #expect(engine.alerts == [2])
  }

  @Test func aPacketHasAtMostSoManyAlerts() throws {
    let rules = (1...20).map { "alert udp any any -> any any (content:\"attack\"; sid:\($0);)" }
    var engine = try TestEngine(rules.joined(separator: "\n"))
    engine.send(datagram)
    #expect(engine.alerts == Array(1...15))
    #expect(engine.statistics.discardedAlerts == 5)
  }

  @Test func headersDecideBeforeAllElse() throws {
    var engine = try TestEngine(
      """
      alert udp 10.0.0.0/8 any -> 192.0.2.0/24 80 (dsize:6; sid:1;)
      alert udp !10.0.0.0/8 any -> any any (dsize:6; sid:2;)
      alert udp any any -> any !80 (dsize:6; sid:3;)
      alert udp any 1024: -> any [1:79,80] (dsize:6; sid:4;)
      alert tcp any any -> any any (dsize:6; sid:5;)
      alert udp any 80 -> any any (dsize:6; sid:6;)
      alert udp any 80 <> any any (dsize:6; sid:7;)
      alert ip any any -> any any (ttl:64; sid:8;)
      alert ip any any -> any any (ttl:>64; sid:9;)
      alert ip any any -> any any (ip_proto:!17; ttl:64; sid:10;)
      """)
    engine.send(datagram)
    #expect(engine.alerts == [1, 4, 7, 8])
  }

  @Test func flagsAndICMPTypes() throws {
    var engine = try TestEngine(
      """
      alert tcp any any -> any any (flags:S; sid:1;)
      alert tcp any any -> any any (flags:+S; sid:2;)
      alert tcp any any -> any any (flags:SA; sid:3;)
      alert icmp any any -> any any (itype:8; icode:0; sid:4;)
      alert icmp any any -> any any (itype:<8; sid:5;)
      """)
    engine.send(TestFrame(flags: 0x02))
    #expect(engine.alerts == [1, 2])
    engine.send(TestFrame(flags: 0x12))
    #expect(engine.alerts == [1, 2, 2, 3])
    engine.send(TestFrame(ipProtocol: 1))
    #expect(engine.alerts == [1, 2, 2, 3, 4])
  }
}
