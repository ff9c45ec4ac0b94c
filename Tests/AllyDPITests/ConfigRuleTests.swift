import Testing

@testable import AllyDPI

/// Rules with `config`: transactions without a record.
@Suite struct ConfigRuleTests {
  private static let twoRequests = Exchange.stream(
    (.toServer, Array("GET /a HTTP/1.1\r\nHost: x\r\n\r\n".utf8)),
    (.toClient, Array("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".utf8)),
    (.toServer, Array("GET /b HTTP/1.1\r\nHost: x\r\n\r\n".utf8)),
    (.toClient, Array("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".utf8)), port: 80)

  /// The requests of which there are records.
  private func recorded(_ rules: String) throws -> (urls: [String], alerts: [Int]) {
    let engine = try Self.twoRequests.run(rules) { $0.records = [.alerts, .http] }
    let records = engine.records.filter { $0.contains("\"event_type\":\"http\"") }
    return (["/a", "/b"].filter { url in records.contains { $0.contains("\"url\":\"\(url)\"") } }, engine.alerts)
  }

  private let silence = "config:logging disable, type tx, scope tx;"

  @Test func theTransactionThatMatchesHasNone() throws {
    let (urls, alerts) = try recorded(
      "config http any any -> any any (http.uri; content:\"/b\"; \(silence) sid:1;)")
    #expect(urls == ["/a"])
    #expect(alerts == [])
  }

  @Test func theResponseDecidesToo() throws {
    #expect(
      try recorded("config http any any -> any any (http.stat_code; content:\"200\"; \(silence) sid:1;)").urls == ["/b"]
    )
  }

  /// As in Suricata.
  @Test func aPacketMeansTheFirst() throws {
    #expect(try recorded("config tcp any any -> any any (content:\"GET /\"; \(silence) sid:1;)").urls == ["/b"])
  }

  @Test func anAlertIsOneStill() throws {
    let (urls, alerts) = try recorded("alert http any any -> any any (http.uri; content:\"/a\"; \(silence) sid:1;)")
    #expect(urls == ["/b"])
    #expect(alerts == [1])
  }

  @Test(arguments: [
    "logging enable, type tx, scope tx", "tracking disable, type tx, scope tx", "logging disable, type tx",
    "logging disable, type packet, scope tx", "logging disable, type tx, scope packet",
  ])
  func whatItCannotSayIsTold(_ value: String) throws {
    #expect(try problem("config:\(value);", header: "config tcp any any -> any any").location.column > 30)
  }
}
