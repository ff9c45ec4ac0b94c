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

  @Test func aResetEndsWhatItsSenderSaysAndTheOtherIsHeardToTheEnd() throws {
    var engine = try engine("alert http any any -> any any (http.stat_code; content:\"200\"; sid:1;)")
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET / HTTP/1.0\r\n\r\n", &engine)  // 4
    connection.server("HTTP/1.0 200 OK\r\n\r\nbegun", &engine)  // 5
    var reset = connection.clientFrame("")
    reset.flags = 0x14
    engine.send(reset)  // 6
    #expect(ordinals(engine, type: "http") == [], "the answer may go on")
    engine.finish()
    #expect(engine.alerts == [1])
    #expect(engine.records.count { $0.contains("\"event_type\":\"http\"") } == 1)
  }

  @Test func whereOneSideIsSeenItIsHeardWhenItIsOver() throws {
    for (window, isTaken) in [(16_000, true), (10, false)] {
      var engine = try TestEngine("alert http any any -> any any (http.uri; content:\"/index\"; sid:1;)") {
        $0.streamInline = nil
        $0.asyncOneSide = true
      }
      let request = Array("GET /index HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
      let end = 1001 + UInt32(request.count)
      func frame(_ flags: UInt8, _ sequence: UInt32, _ payload: [UInt8] = []) -> [UInt8] {
        var bytes = TestFrame(flags: flags, sequence: sequence, acknowledgement: 5001, payload: payload).bytes
        let old = UInt32(bytes[48]) << 8 | UInt32(bytes[49])
        bytes[48] = UInt8(window >> 8)
        bytes[49] = UInt8(window & 255)
        // RFC 1624: the checksum changes with what it covers.
        var sum = ~(UInt32(bytes[50]) << 8 | UInt32(bytes[51])) & 0xFFFF
        sum += (~old & 0xFFFF) + UInt32(window)
        while sum >> 16 != 0 { sum = (sum & 0xFFFF) + (sum >> 16) }
        bytes[50] = UInt8(~sum >> 8 & 255)
        bytes[51] = UInt8(~sum & 255)
        return bytes
      }
      engine.send(TestFrame(flags: 0x02, sequence: 1000, acknowledgement: 0))
      engine.send(frame(0x10, 1001))
      engine.send(frame(0x18, 1001, request))
      engine.send(frame(0x10, end))
      engine.send(frame(0x10, end))
      #expect(engine.alerts == [])
      engine.send(frame(0x11, end))  // 6: taken only when it is within the window that the client named
      #expect(engine.alerts == (isTaken ? [1] : []))
      engine.finish()
      #expect(engine.alerts == [1])
    }
  }
}
