import AllyPacket
import Testing

@testable import AllyDPI

/// Which protocol a flow speaks, when its sides disagree, and when it changes.
@Suite struct ApplicationDetectionTests {
  private static func kinds(_ configuration: inout DPIConfiguration) {
    configuration.records = [.alerts, .flows, .http, .ssh, .applicationAnomalies]
  }

  private static let events = """
    alert ip any any -> any any (app-layer-event:applayer_mismatch_protocol_both_directions; sid:1;)
    alert ip any any -> any any (app-layer-event:applayer_detect_protocol_only_one_direction; sid:2;)
    """

  /// Signatures have 32 bits for the parsers that they are about.
  @Test func thereIsABitForEachParser() { #expect(ApplicationParsers.all.count <= 32) }

  @Test func aMailServerIsToldByItsClientAlone() throws {
    var engine = try TestEngine(Self.events, Self.kinds)
    var connection = Connection()
    connection.open(&engine)
    connection.server("220 mail.example ESMTP\r\n", &engine)
    #expect(engine.alerts == [])
    connection.client("EHLO client.example\r\n", &engine)
    #expect(engine.alerts == [2])
    engine.finish()
    let anomaly = engine.records.filter { $0.contains("\"layer\":\"proto_detect\"") }
    #expect(anomaly.count == 1)
    #expect(anomaly[0].contains("\"app_proto\":\"smtp\""))
    #expect(anomaly[0].contains("\"event\":\"APPLAYER_DETECT_PROTOCOL_ONLY_ONE_DIRECTION\""))
    #expect(engine.records.last?.contains("\"app_proto\":\"smtp\",\"app_proto_tc\":\"failed\"") == true)
  }

  @Test func sidesThatSpeakDifferentProtocolsAreAnEvent() throws {
    var engine = try TestEngine(Self.events, Self.kinds)
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &engine)
    connection.server("SSH-2.0-OpenSSH_9.2\r\n", &engine)
    connection.server("more", &engine)
    engine.finish()
    #expect(engine.alerts == [1])
    #expect(engine.records.last?.contains("\"app_proto\":\"http\",\"app_proto_tc\":\"ssh\"") == true)
  }

  @Test func sidesThatAgreeAreNone() throws {
    var engine = try TestEngine(Self.events, Self.kinds)
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &engine)
    connection.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &engine)
    engine.finish()
    #expect(engine.alerts == [])
    #expect(engine.records.last?.contains("app_proto_tc") == false)
  }

  @Test func aTunnelGoesOnInItsOwnProtocol() throws {
    var engine = try TestEngine("", Self.kinds)
    var connection = Connection()
    connection.open(&engine)
    connection.client("CONNECT a:22 HTTP/1.1\r\nHost: a\r\n\r\n", &engine)
    connection.server("HTTP/1.1 200 OK\r\n\r\n", &engine)
    connection.client("SSH-2.0-OpenSSH_9.2\r\n", &engine)
    engine.finish()
    #expect(engine.records.last?.contains("\"app_proto\":\"ssh\",\"app_proto_orig\":\"http\"") == true)
  }

  @Test func encryptionThatDoesNotComeIsAnEvent() throws {
    var engine = try TestEngine("", Self.kinds)
    var connection = Connection()
    connection.open(&engine)
    connection.server("220 a ESMTP\r\n", &engine)
    connection.client("EHLO b\r\n", &engine)
    connection.server("250 a\r\n", &engine)
    connection.client("STARTTLS\r\n", &engine)
    connection.server("220 go ahead\r\n", &engine)
    connection.client("MAIL FROM:<a@b>\r\n", &engine)
    engine.finish()
    #expect(engine.records.contains { $0.contains("\"event\":\"APPLAYER_NO_TLS_AFTER_STARTTLS\"") })
    let flow = try #require(engine.records.last)
    #expect(flow.contains("\"app_proto\":\"failed\",\"app_proto_orig\":\"smtp\",\"app_proto_expected\":\"tls\""))
  }

  @Test func aProtocolThatIsSwitchedOffIsNotLookedFor() throws {
    var engine = try TestEngine("") {
      Self.kinds(&$0)
      $0.application.options.disabled = [.http1]
    }
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &engine)
    connection.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &engine)
    engine.finish()
    #expect(!engine.records.contains { $0.contains("\"event_type\":\"http\"") })
  }

  @Test func whatAPatternCapturesIsNotedForTheFlow() throws {
    var engine = try TestEngine(
      """
      alert http any any -> any any (http.user_agent; pcre:"/^(.*)\\/(\\d+)/, flow:name,flow:version"; sid:1;)
      alert http any any -> any any (http.uri; pcre:"/^\\/(?P<flow_path>[a-z]+)/"; sid:2;)
      """, Self.kinds)
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET /abc?d HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0\r\n\r\n", &engine)
    connection.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &engine)
    engine.finish()
    #expect(Set(engine.alerts) == [1, 2])
    let flow = try #require(engine.records.last)
    #expect(flow.contains("{\"name\":\"Mozilla\"}") && flow.contains("{\"version\":\"5\"}"))
    #expect(flow.contains("{\"path\":\"abc\"}"))
  }
}
