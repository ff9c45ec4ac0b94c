import AllyPacket
import Testing

@testable import AllyDPI

/// Passively, stream data counts when its receiver has acknowledged it.
@Suite struct PassiveStreamTests {
  private func engine(_ rules: String) throws -> TestEngine {
    try TestEngine(rules) {
      $0.streamInline = nil
      $0.records = [.alerts, .http, .flows]
    }
  }

  private func ordinals(_ engine: borrowing TestEngine, type: String) -> [Int] {
    engine.records.filter { $0.contains("\"event_type\":\"\(type)\"") }.compactMap { record in
      guard let start = record.range(of: "\"pcap_cnt\":") else { return nil }
      return Int(record[start.upperBound...].prefix { $0.isNumber })
    }
  }

  @Test func aMatchIsFoundWithTheSendersNextPacketBehindTheAcknowledgement() throws {
    var engine = try engine("alert tcp any any -> any any (content:\"secret\"; sid:1;)")
    var connection = Connection()
    connection.open(&engine)  // 1, 2, 3
    connection.client("sec", &engine)  // 4
    connection.client("ret", &engine)  // 5
    #expect(engine.alerts == [])
    connection.server("", &engine)  // 6 acknowledges
    #expect(engine.alerts == [])
    connection.client("", &engine)  // 7
    #expect(engine.alerts == [1])
    #expect(ordinals(engine, type: "alert") == [7])
  }

  @Test func whatNobodyAcknowledgedIsInspectedWhenTheFlowEnds() throws {
    var engine = try engine("alert tcp any any -> any any (content:\"secret\"; sid:1;)")
    var connection = Connection()
    connection.open(&engine)
    connection.client("a secret", &engine)
    #expect(engine.alerts == [])
    engine.finish()
    #expect(engine.alerts == [1])
  }

  @Test func aTransactionIsRecordedWithTheAcknowledgementAndInspectedOnBothSides() throws {
    var engine = try engine(
      """
      alert http any any -> any any (http.uri; content:"/index"; sid:1;)
      alert http any any -> any any (http.stat_code; content:"200"; sid:2;)
      """)
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET /index HTTP/1.1\r\nHost: a\r\n\r\n", &engine)  // 4
    connection.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &engine)  // 5
    #expect(engine.alerts == [])
    connection.client("", &engine)  // 6 acknowledges the answer
    #expect(engine.alerts == [1])
    #expect(ordinals(engine, type: "http") == [6])
    connection.server("", &engine)  // 7
    #expect(engine.alerts == [1, 2])
    engine.finish()
    #expect(engine.alerts == [1, 2], "nothing is reported twice")
    #expect(ordinals(engine, type: "http") == [6])
  }

  @Test func manyUnacknowledgedBytesAreLookedAtAnyway() throws {
    var engine = try engine("alert tcp any any -> any any (content:\"needle\"; sid:1;)")
    var connection = Connection()
    connection.open(&engine)
    connection.client("needle", &engine)
    for _ in 0..<65 { connection.client(String(repeating: "x", count: 1000), &engine) }
    #expect(engine.alerts == [1])
  }
}
