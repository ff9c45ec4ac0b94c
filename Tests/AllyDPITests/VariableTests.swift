import Testing

@testable import AllyDPI

/// What groups of patterns capture, for other rules and for records.
@Suite struct VariableTests {
  private func records(_ rules: String, _ says: String...) throws -> TestEngine {
    var exchange = Exchange.datagrams()
    for text in says { exchange.messages.append((.toServer, Array(text.utf8))) }
    return try exchange.run(rules)
  }

  @Test func aFlowKeepsWhatWasCaptured() throws {
    let rules = """
      alert udp any any -> any any (content:"user="; pcre:"/user=(?P<flow_user>[a-z]+)/"; sid:1;)
      alert udp any any -> any any (content:"quit"; flowvar:user,"oot"; sid:2;)
      alert udp any any -> any any (content:"quit"; flowvar:user,"alice"; sid:3;)
      alert udp any any -> any any (content:"quit"; flowvar:other,"root"; sid:4;)
      """
    let engine = try records(rules, "user=root", "quit")
    #expect(engine.alerts == [1, 2])
    #expect(engine.records.contains { $0.contains("\"flowvars\":[{\"user\":\"root\"}]") })
  }

  @Test func aRuleThatCapturesComesFirst() throws {
    let rules = """
      alert udp any any -> any any (content:"a"; pktvar:x,"b"; sid:1;)
      alert udp any any -> any any (content:"a"; pcre:"/a(?P<pkt_x>.)/"; sid:2;)
      """
    #expect(try Set(records(rules, "ab").alerts) == [1, 2])
    #expect(try records(rules, "ac").alerts == [2])
  }

  @Test func aPacketForgets() throws {
    let rules = """
      alert udp any any -> any any (content:"a"; pcre:"/a(.)/, pkt:x"; sid:1;)
      alert udp any any -> any any (pktvar:x,"b"; sid:2;)
      """
    let engine = try records(rules, "ab", "b")
    #expect(engine.alerts == [1, 2])
    let alerts = engine.records.filter { $0.contains("\"event_type\":\"alert\"") }
    #expect(alerts.allSatisfy { $0.contains("\"pktvars\":[{\"x\":\"b\"}]") })
    #expect(engine.records.count { $0.contains("pktvars") } == 2)
  }

  @Test func whatCannotBeSaidIsTold() throws {
    #expect(try problem("flowvar:x;").reason.contains("a name and a text"))
    #expect(try problem("flowvar:x,!\"a\";").isUnsupported)
  }
}
