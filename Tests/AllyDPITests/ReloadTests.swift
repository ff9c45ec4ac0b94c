import AllyPacket
import Testing

@testable import AllyDPI

/// Other rules between two frames: what flows and hosts remember stays, and nothing of the rules before does.
@Suite struct ReloadTests {
  @Test func flowBitsStayAndNewRulesAct() throws {
    var engine = try TestEngine(
      """
      alert tcp any any -> any any (content:"other"; flowbits:set,other; noalert; sid:7;)
      alert tcp any any -> any any (content:"login"; flowbits:set,known; sid:1;)
      """)
    var connection = Connection()
    connection.open(&engine)
    connection.client("login", &engine)
    // The bits have other numbers where rules name them in another order: it is the name that counts.
    try engine.reload(
      """
      alert tcp any any -> any any (content:"data"; flowbits:isset,new; sid:3;)
      alert tcp any any -> any any (content:"data"; flowbits:isset,known; sid:2;)
      """)
    connection.client("data", &engine)
    #expect(engine.alerts == [1, 2])
    engine.finish()
    #expect(engine.alerts == [1, 2], "what was reported is not reported again")
    #expect(engine.statistics.alertsBySignature.map(\.sid).sorted() == [1, 2])
    #expect(engine.statistics.alerts == 2)
  }

  @Test func aThresholdGoesOnCounting() throws {
    let rule =
      "alert udp any any -> any any (content:\"x\"; threshold:type limit,track by_src,count 2,seconds 60; sid:5;)"
    var engine = try TestEngine(rule)
    let frame = TestFrame(destinationPort: 9, ipProtocol: 17, payload: Array("x".utf8))
    engine.send(frame)
    try engine.reload("alert udp any any -> any any (content:\"y\"; sid:4;)\n" + rule)
    engine.send(frame)
    engine.send(frame)
    #expect(engine.alerts == [5, 5])
  }

  @Test func aRequestInTheMakingIsSeenByTheNewRules() throws {
    var engine = try TestEngine("alert http any any -> any any (http.uri; content:\"/first\"; sid:1;)")
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET /first HTTP/1.1\r\nHost: a.example\r\n", &engine)
    try engine.reload(
      """
      alert http any any -> any any (http.uri; content:"/first"; sid:1;)
      alert http any any -> any any (http.user_agent; content:"probe"; sid:2;)
      """)
    connection.client("User-Agent: probe\r\n\r\n", &engine)
    engine.finish()
    #expect(engine.alerts == [1, 2])
  }

  /// What the former rules searched in vain may hold a literal of the new ones.
  @Test func aLiteralAcrossTheReloadIsFound() throws {
    var engine = try TestEngine("alert tcp any any -> any any (content:\"nothing like it\"; sid:1;)")
    var connection = Connection()
    connection.open(&engine)
    connection.client("begin-of-", &engine)
    try engine.reload("alert tcp any any -> any any (content:\"begin-of-the-end\"; sid:2;)")
    connection.client("the-end", &engine)
    #expect(engine.alerts == [2])
  }

  @Test func nothingHoldsTheFormerRules() throws {
    var engine = try TestEngine("alert tcp any any -> any any (content:\"abcdef\"; sid:1;)")
    weak let former = engine.program
    #expect(former != nil)
    try engine.reload("alert tcp any any -> any any (content:\"ghijkl\"; sid:2;)")
    #expect(former == nil, "memory is that of one set of rules")
  }

  @Test func whatRulesCostIsMeasured() throws {
    var engine = try TestEngine("alert udp any any -> any any (content:\"needle\"; dsize:>100; sid:9;)")
    let frame = TestFrame(destinationPort: 9, ipProtocol: 17, payload: Array("a needle".utf8))
    for _ in 0..<(2 * RuleCosts.interval) { engine.send(frame) }
    #expect(engine.costs.map(\.sid) == [9])
    #expect(engine.costs.first?.evaluations == 2)
    #expect(engine.costs.first?.matches == 0)
  }
}
