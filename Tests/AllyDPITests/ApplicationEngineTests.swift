import AllyPacket
import Testing

@testable import AllyDPI

/// Applications through the whole engine: frames in, records and verdicts out.
@Suite struct ApplicationEngineTests {
  private static func allKinds(_ configuration: inout DPIConfiguration) {
    configuration.records = [.alerts, .drops, .http, .dns, .files, .flows, .applicationAnomalies]
  }

  @Test func aRuleOnTheURISpeaksOncePerTransactionOnAnyPort() throws {
    var engine = try TestEngine(
      """
      alert http any any -> any any (http.uri; content:"/cmd.exe"; sid:1;)
      alert http any any -> any any (http.method; content:"POST"; sid:2;)
      alert tcp any any -> any any (http.host; content:"example.com"; http.uri; content:!"admin"; sid:3;)
      """)
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET /scripts/%63md.exe HTTP/1.1\r\n", &engine)
    #expect(engine.alerts == [1], "the request line is enough for the URI")
    connection.client("Host: example.com\r\n\r\n", &engine)
    #expect(engine.alerts == [1, 3])
    connection.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &engine)
    connection.client("GET /scripts/cmd.exe?admin HTTP/1.1\r\nHost: example.com\r\n\r\n", &engine)
    #expect(engine.alerts == [1, 3, 1])
  }

  @Test func aBufferIsNotThePayload() throws {
    var engine = try TestEngine(
      """
      alert http any any -> any any (http.uri; content:"secret"; sid:1;)
      alert http any any -> any any (http.cookie; content:"secret"; sid:2;)
      alert http any any -> any any (flow:to_client; http.header; content:"secret"; sid:3;)
      """)
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET /?q=public HTTP/1.1\r\nHost: a\r\nX: secret\r\n\r\n", &engine)
    #expect(engine.alerts == [])
    connection.server("HTTP/1.1 200 OK\r\nSet-Cookie: secret\r\nContent-Length: 6\r\n\r\nsecret", &engine)
    #expect(engine.alerts == [2])
  }

  @Test func inlineTheFrameThatCompletesTheMatchIsDropped() throws {
    var engine = try TestEngine("drop http any any -> any any (file.data; content:\"EICAR-STANDARD\"; sid:1;)") {
      $0.isInline = true
    }
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET /f HTTP/1.1\r\nHost: a\r\n\r\n", &engine)
    #expect(connection.server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nEICAR-", &engine) == .accept)
    #expect(connection.server("STANDARD-ANTI", &engine) == .drop)
    #expect(connection.server("VIRUS", &engine) == .drop, "the flow is dropped as a whole")
    #expect(engine.alerts == [1])
  }

  @Test func aBodyThatTheStreamEndsIsInspectedWhenTheFlowEnds() throws {
    var engine = try TestEngine(
      "alert http any any -> any any (file.data; content:\"needle\"; endswith; sid:1;)", Self.allKinds)
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET /hay HTTP/1.0\r\n\r\n", &engine)
    connection.server("HTTP/1.0 200 OK\r\n\r\nhay and needle", &engine)
    #expect(engine.alerts == [])
    engine.finish()
    #expect(engine.alerts == [1])
    let file = try #require(engine.records.first { $0.contains("\"event_type\":\"fileinfo\"") })
    #expect(file.contains("\"filename\":\"/hay\",\"gaps\":false,\"state\":\"CLOSED\",\"stored\":false,\"size\":14"))
    let flow = try #require(engine.records.last)
    #expect(flow.contains("\"app_proto\":\"http\""))
  }

  @Test func transactionsAreRecorded() throws {
    var engine = try TestEngine("", Self.allKinds)
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET /a?b HTTP/1.1\r\nHost: h:81\r\nUser-Agent: ua\r\nReferer: r\r\n\r\n", &engine)
    connection.server("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Type: text/html; charset=x\r\n", &engine)
    connection.server("Content-Length: 2\r\n\r\nok", &engine)
    let record = try #require(engine.records.first { $0.contains("\"event_type\":\"http\"") })
    #expect(
      record.contains(
        "\"tx_id\":0,\"http\":{\"hostname\":\"h\",\"http_port\":81,\"url\":\"/a?b\",\"http_user_agent\":\"ua\","
          + "\"http_content_type\":\"text/html\",\"http_refer\":\"r\",\"http_method\":\"GET\",\"protocol\":\"HTTP/1.1\","
          + "\"status\":302,\"redirect\":\"/x\",\"length\":2}"))
  }

  @Test func aPlaceToGoToIsRecordedWhateverTheStatus() throws {
    for status in [201, 304, 308] {
      var engine = try TestEngine("", Self.allKinds)
      var connection = Connection()
      connection.open(&engine)
      connection.client("GET / HTTP/1.1\r\nHost: h\r\n\r\n", &engine)
      connection.server("HTTP/1.1 \(status) X\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", &engine)
      let record = try #require(engine.records.first { $0.contains("\"event_type\":\"http\"") })
      #expect(record.contains("\"status\":\(status),\"redirect\":\"/x\""))
    }
  }

  /// Fields of a header end at a NUL in records, and are left out when they are no UTF-8.
  @Test func headerFieldsAreRecordedAsSuricataReadsThem() throws {
    var engine = try TestEngine("") {
      Self.allKinds(&$0)
      $0.recordOptions.http.headers = .both
    }
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET / HTTP/1.1\r\nHost: h\r\nX-A: b\0c\r\nno colon \t \r\n\r\n", &engine)
    let head = Array("HTTP/1.1 200 OK\r\nContent-Type: t\0u\r\nX-R: ".utf8)
    let tail = Array("\r\nX\0Y: z\r\nContent-Length: 0\r\n\r\n".utf8)
    connection.say(head + [0xFF] + tail, fromClient: false, &engine)
    let record = try #require(engine.records.first { $0.contains("\"event_type\":\"http\"") })
    #expect(record.contains(#""http_content_type":"t\\0u""#))
    #expect(record.contains(#"{"name":"X-A","value":"b"},{"name":"","value":"no colon"}]"#))
    #expect(record.contains(#"{"name":"Content-Type","value":"t"},{"name":"X-R"},{"name":"X","value":"z"}"#))
  }

  /// The record of a web page, with these settings of `http`.
  private func page(_ set: (inout RecordOptions.HTTP) -> Void) throws -> String {
    var engine = try TestEngine("") {
      Self.allKinds(&$0)
      set(&$0.recordOptions.http)
    }
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: br\r\n\r\n", &engine)
    connection.server("HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 2\r\n\r\nok", &engine)
    return try #require(engine.records.first { $0.contains("\"event_type\":\"http\"") })
  }

  @Test func headerFieldsAreRecordedAsTheOperatorAsks() throws {
    let basic = try page { $0.extended = false }
    #expect(basic.contains("\"http\":{\"hostname\":\"h\",\"url\":\"/\"}"))
    let custom = try page { $0.custom = ["accept_encoding", "Server", "via"] }
    #expect(custom.contains("\"request_headers\":[{\"name\":\"Accept-Encoding\",\"value\":\"br\"}]"))
    #expect(custom.contains("\"response_headers\":[{\"name\":\"Server\",\"value\":\"s\"}]"))
    let dump = try page { $0.headers = .request }
    #expect(
      dump.contains(
        "\"request_headers\":[{\"name\":\"Host\",\"value\":\"h\"},"
          + "{\"name\":\"Accept-Encoding\",\"value\":\"br\"}]"))
    #expect(!dump.contains("response_headers"))
  }

  @Test func eventsOfTheApplicationCanBeAskedFor() throws {
    var engine = try TestEngine(
      "alert http any any -> any any (app-layer-event:http.missing_host_header; sid:1;)", Self.allKinds)
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET / HTTP/1.1\r\n\r\n", &engine)
    #expect(engine.alerts == [1])
    #expect(engine.records.contains { $0.contains("\"event\":\"MISSING_HOST_HEADER\"") })
  }

  @Test func whatSpeaksNothingKnownCostsNoSession() throws {
    var engine = try TestEngine(
      """
      alert http any any -> any any (sid:1;)
      alert tcp any any -> any any (app-layer-protocol:failed; dsize:>0; sid:2;)
      """, Self.allKinds)
    var connection = Connection()
    connection.open(&engine)
    connection.client("hello", &engine)
    connection.server("world", &engine)
    connection.client("more", &engine)
    #expect(!engine.alerts.contains(1))
    #expect(engine.alerts.contains(2))
  }

  @Test func whatASideSpeaksIsToldOnce() throws {
    let request = Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
    let response = Array("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".utf8)
    let exchange = Exchange.stream(
      (.toServer, request), (.toClient, response), (.toServer, request), (.toClient, response), (.toServer, request))
    let alerts = try exchange.run(
      """
      alert tcp any any -> any any (app-layer-protocol:http; sid:1;)
      alert tcp any any -> any any (flow:to_client; app-layer-protocol:!tls; sid:2;)
      alert tcp any any -> any any (flow:established,to_server; app-layer-protocol:!tls; sid:3;)
      alert tcp any any -> any any (app-layer-protocol:!http; sid:4;)
      """
    ).alerts
    #expect(alerts.count { $0 == 1 } == 2)
    #expect(alerts.count { $0 == 2 } == 1)
    #expect(alerts.count { $0 == 3 } == 3)
    #expect(!alerts.contains(4))
  }

  @Test(arguments: [true, false])
  func theEndOfAConnectionThatIsOpenIsAboutItsApplication(isClosed: Bool) throws {
    var engine = try TestEngine(
      "alert http any any -> any any (sid:1;)\nalert tcp any any -> any any (flow:established; sid:2;)")
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &engine)
    connection.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &engine)
    if isClosed { connection.close(&engine) }
    let before = engine.alerts
    engine.finish()
    #expect(engine.alerts.dropFirst(before.count) == (isClosed ? [] : [1, 1]))
  }

  /// ``ApplicationOptions/TLS/encrypted``.
  @Test(arguments: ApplicationOptions.TLS.Encrypted.allCases)
  func encryptedDataIsNoPayload(handling: ApplicationOptions.TLS.Encrypted) throws {
    let hidden = TLSSample.record(23, Array("hidden".utf8))
    var exchange = TLSSample.exchange()
    exchange.messages += [(.toServer, hidden), (.toClient, hidden), (.toServer, hidden), (.toClient, hidden)]
    let alerts = try exchange.run(
      """
      alert tcp any any -> any any (content:"hidden"; sid:1;)
      alert tcp any any -> any any (flow:to_server; dsize:10<>12; sid:2;)
      alert tcp any any -> any any (flow:to_server; dsize:11; sid:3;)
      """
    ) { $0.application.options.tls.encrypted = handling }.alerts
    #expect(alerts.contains(1) == (handling == .inspected))
    #expect(alerts.contains(2) == (handling == .inspected), "a range asks for a payload that is inspected")
    #expect(alerts.contains(3) == (handling != .bypassed))
  }

  @Test func questionsAndAnswersOfDNS() throws {
    var engine = try TestEngine(
      """
      alert dns any any -> any any (dns.query; content:"example"; sid:1;)
      alert dns any any -> any any (dns.opcode:!0; sid:2;)
      alert dns any any -> any any (dns.query; content:"3www"; sid:3;)
      """, Self.allKinds)
    let question = TestFrame(destinationPort: 5300, ipProtocol: 17, payload: ApplicationDNSTests.question)
    engine.send(question)
    #expect(engine.alerts == [1])
    var answer = question.reply
    answer.payload = ApplicationDNSTests.answer
    engine.send(answer)
    #expect(engine.alerts == [1])
    let records = engine.records.filter { $0.contains("\"event_type\":\"dns\"") }
    #expect(records.count == 2)
    #expect(
      records[0].contains(
        "\"dns\":{\"version\":2,\"type\":\"query\",\"id\":4660,\"rrname\":\"www.example.com\",\"rrtype\":\"A\",\"tx_id\":0"
      ))
    #expect(records[1].contains("\"grouped\":{\"A\":[\"192.0.2.1\"]}"))
  }
}
