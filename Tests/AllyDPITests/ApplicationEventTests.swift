import AllyPacket
import Testing

@testable import AllyDPI

/// What is odd about a conversation, by the names that rules ask for: for each event one exchange that has it, and one that
/// differs in that alone.
@Suite struct ApplicationEventTests {
  private static func lines(_ lines: String...) -> [UInt8] {
    Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
  }

  private func fires(_ event: String, _ protocolName: String, _ exchange: Exchange) throws -> Bool {
    let rules = "alert \(protocolName) any any -> any any (app-layer-event:\(protocolName).\(event); sid:1;)"
    return try exchange.run(rules).alerts.contains(1)
  }

  // MARK: HTTP

  private func request(_ fields: String..., target: String = "/") -> Exchange {
    .stream(
      (.toServer, Self.lines((["GET \(target) HTTP/1.1"] + fields).joined(separator: "\r\n"))),
      (.toClient, Self.lines("HTTP/1.1 200 OK", "Content-Length: 0")))
  }

  private func response(_ fields: String..., body: String = "") -> Exchange {
    .stream(
      (.toServer, Self.lines("GET / HTTP/1.1", "Host: a")),
      (
        .toClient,
        Self.lines((["HTTP/1.1 200 OK", "Content-Length: \(body.utf8.count)"] + fields).joined(separator: "\r\n"))
          + Array(body.utf8)
      ))
  }

  @Test func hostsAreLabels() throws {
    #expect(try fires("request_header_host_invalid", "http", request("Host: a b")))
    #expect(try !fires("request_header_host_invalid", "http", request("Host: a.b")))
    #expect(try fires("request_uri_host_invalid", "http", request("Host: a", target: "http://a!b/")))
    #expect(try !fires("request_uri_host_invalid", "http", request("Host: a", target: "http://a/")))
  }

  @Test(arguments: [
    ("a", true), ("a_b-c.example", true), ("a.", true), ("10.0.0.1", true), ("[2001:db8::1]", true), ("", false),
    ("a:80", true), ("a : 80 ", true), ("[::1]:80", true), ("a:", false), ("a:0", false), ("a:8x", false),
    ("a:+80", false),
    ("a:70000", false), ("a:b:80", false), ("[::1]x", false), ("a..b", false), ("[::1", false), ("a b", false),
    (String(repeating: "a", count: 64), false),
  ])
  func hostNames(_ name: String, isValid: Bool) {
    #expect(HTTPHost.isValid(Array(name.utf8)[...]) == isValid)
  }

  @Test func portsAreNumbers() {
    for (host, port) in [("a:80", 80), ("a :80", 80), ("[::1]: 8080", 8080), ("a", nil), ("a:8x", nil), ("a:0", nil)]
      as [(String, UInt16?)]
    {
      #expect(HTTPHost.port(Array(host.utf8)[...]) == port)
    }
  }

  /// As often as Suricata 7.0.10 records them.
  @Test(arguments: [
    ("REQUEST_HEADER_HOST_INVALID", "GET / HTTP/1.1\r\nHost: a:x\r\n\r\n", 2),
    ("MISSING_HOST_HEADER", "GET / HTTP/1.1\r\nA: b\r\n\r\n", 2),
    ("HOST_HEADER_AMBIGUOUS", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 2),
    ("REQUEST_URI_HOST_INVALID", "GET http://a:x/ HTTP/1.1\r\nHost: a\r\n\r\n", 3),
    ("REQUEST_HEADER_INVALID", "GET / HTTP/1.1\r\nHost: a\r\nX(Y): 1\r\n\r\n", 1),
  ])
  func anomaliesOfHosts(event: String, request: String, count: Int) throws {
    let engine = try Exchange.stream(
      (.toServer, Array(request.utf8)), (.toClient, Array("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".utf8))
    ).run("") { $0.records = [.applicationAnomalies] }
    #expect(engine.records.filter { $0.contains("\"event\":\"\(event)\"") }.count == count)
  }

  @Test func namesOfFieldsAreTokens() throws {
    #expect(try fires("request_header_invalid", "http", request("Host: a", "X(Y): 1")))
    #expect(try fires("response_header_invalid", "http", response("X(Y): 1")))
    let both = Exchange.stream(
      (.toServer, Self.lines("GET / HTTP/1.1", "Host: a", "X(Y): 1", "no colon")),
      (.toClient, Self.lines("HTTP/1.1 200 OK", "Content-Length: 0", "X(Y): 1", "no colon")))
    #expect(try fires("request_header_invalid", "http", both) && fires("request_field_missing_colon", "http", both))
    #expect(try !fires("response_header_invalid", "http", both) && !fires("response_field_missing_colon", "http", both))
    #expect(try !fires("response_header_invalid", "http", response("X-Y: 1")))
  }

  @Test func aFieldMayComeAgainButNotAsOftenAsOneLikes() throws {
    func repeated(_ count: Int) -> Exchange {
      response(Array(repeating: "X: 1", count: count).joined(separator: "\r\n"))
    }
    #expect(try !fires("response_header_repetition", "http", repeated(10)))
    #expect(try fires("response_header_repetition", "http", repeated(80)))
  }

  @Test func moreFieldsThanAreRead() throws {
    func fields(_ count: Int) -> String { (0..<count).map { "X\($0): 1" }.joined(separator: "\r\n") }
    #expect(try !fires("response_too_many_headers", "http", response(fields(1000))))
    #expect(try fires("response_too_many_headers", "http", response(fields(1100))))
    #expect(try fires("request_too_many_headers", "http", request("Host: a", fields(1100))))
  }

  @Test func encodingsThatAreNone() throws {
    #expect(try fires("abnormal_ce_header", "http", response("Content-Encoding: identity", body: "text")))
    #expect(try !fires("abnormal_ce_header", "http", response("Content-Encoding: inflate", body: "text")))
    #expect(try fires("gzip_decompression_failed", "http", response("Content-Encoding: gzip", body: "no gzip at all")))
  }

  @Test func aFileWithALongName() throws {
    func named(_ length: Int) -> Exchange {
      response(
        "Content-Disposition: attachment; filename=\"\(String(repeating: "n", count: length))\"", body: "content")
    }
    #expect(try !fires("file_name_too_long", "http", named(100)))
    #expect(try fires("file_name_too_long", "http", named(5000)))
  }

  @Test func moreOddThingsThanOneCounts() throws {
    func chunks(_ count: Int) -> Exchange {
      let body = String(repeating: "1;x\r\na\r\n", count: count) + "0\r\n\r\n"
      return .stream(
        (.toServer, Self.lines("GET / HTTP/1.1", "Host: a")),
        (.toClient, Self.lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + Array(body.utf8)))
    }
    #expect(try fires("request_chunk_extension", "http", chunks(1)))
    #expect(try !fires("too_many_warnings", "http", chunks(100)))
    #expect(try fires("too_many_warnings", "http", chunks(600)))
  }

  // MARK: DNS

  private static func query(_ name: [UInt8]) -> [UInt8] {
    Wire.u16(7) + [1, 0, 0, 1, 0, 0, 0, 0, 0, 0] + name + [0, 1, 0, 1]
  }

  @Test func namesInMessages() throws {
    let plain = Exchange.datagrams((.toServer, Self.query([1, 0x61, 0])), port: 53)
    // A pointer to itself: the name begins at 12.
    let loop = Exchange.datagrams((.toServer, Self.query([0xC0, 12])), port: 53)
    let label = [60] + [UInt8](repeating: 0x61, count: 60)
    let long = Exchange.datagrams(
      (.toServer, Self.query(Array(repeating: label, count: 18).flatMap { $0 } + [0])), port: 53)
    // Two pointers that lead to each other.
    let labels = Exchange.datagrams((.toServer, Self.query([0xC0, 14, 0xC0, 12])), port: 53)
    for (event, exchange) in [("infinite_loop", loop), ("name_too_long", long), ("too_many_labels", labels)] {
      #expect(try fires(event, "dns", exchange), "\(event)")
      #expect(try !fires(event, "dns", plain), "\(event)")
    }
  }

  // MARK: SIP

  @Test func whatIsNoMessageHasEventsAndNoRecord() throws {
    func run(_ second: String) throws -> TestEngine {
      let exchange = Exchange.datagrams(
        (.toServer, Array("INVITE sip:bob@example.com SIP/2.0\r\n\r\n".utf8)), (.toServer, Array(second.utf8)),
        port: 5060)
      return try exchange.run("alert sip any any -> any any (app-layer-event:sip.invalid_data; sid:1;)")
    }
    #expect(try run("no message\r\n\r\n").alerts == [1])
    #expect(try run("OPTIONS sip:bob@example.com SIP/2.0\r\n\r\n").alerts == [])
  }

  // MARK: HTTP/2

  private static func frame(_ type: UInt8, flags: UInt8 = 0, stream: Int = 0, _ payload: [UInt8]) -> [UInt8] {
    Wire.u24(payload.count) + [type, flags] + Wire.u32(stream) + payload
  }

  /// `:status: 200`, literally.
  private static let status: [UInt8] = [0x88]

  private func http2(_ frames: [UInt8]..., fromServer: [UInt8] = []) -> Exchange {
    .stream(
      (.toServer, Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + Self.frame(4, []) + frames.flatMap { $0 }),
      (.toClient, Self.frame(4, []) + fromServer))
  }

  @Test func framesThatCannotBeRead() throws {
    let get: [UInt8] = [0x82]
    // More padding than there is.
    let padded = http2(Self.frame(1, flags: 0x0C, stream: 1, [9] + get))
    let plain = http2(Self.frame(1, flags: 0x04, stream: 1, get))
    #expect(try fires("invalid_frame_data", "http2", padded))
    #expect(try !fires("invalid_frame_data", "http2", plain))
  }

  @Test func aStreamThatIsOverIsNotUsedAgain() throws {
    let get: [UInt8] = [0x82]
    let request = Self.frame(1, flags: 0x05, stream: 1, get)
    let reset = Self.frame(3, stream: 1, [0, 0, 0, 0])
    #expect(try fires("stream_id_reuse", "http2", http2(request, reset, request)))
    #expect(try !fires("stream_id_reuse", "http2", http2(request, reset, reset)))
  }

  @Test func rangesThatAreNone() throws {
    func answer(_ range: String) -> Exchange {
      // A literal field without indexing: "content-range" is number 30 of the static table.
      let field: [UInt8] = [0x0F, 0x0F, UInt8(range.utf8.count)] + Array(range.utf8)
      return http2(
        Self.frame(1, flags: 0x05, stream: 1, [0x82]),
        fromServer: Self.frame(1, flags: 0x04, stream: 1, Self.status + field))
    }
    #expect(try fires("invalid_range", "http2", answer("bytes x")))
    #expect(try !fires("invalid_range", "http2", answer("bytes 0-9/100")))
  }

  // MARK: SMB

  private static func little(_ value: some FixedWidthInteger) -> [UInt8] {
    (0..<(value.bitWidth / 8)).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
  }

  private static func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

  private static func session(_ message: [UInt8]) -> [UInt8] { [0] + Wire.u24(message.count) + message }

  private static func smb2(_ command: UInt16, _ number: UInt64, isResponse: Bool = false, _ body: [UInt8]) -> [UInt8] {
    var message: [UInt8] = [0xFE, 0x53, 0x4D, 0x42, 64, 0] + zeros(6)
    message += little(command) + [1, 0] + little(UInt32(isResponse ? 1 : 0)) + zeros(4) + little(number)
    message += zeros(4) + little(UInt32(5)) + little(UInt64(77)) + zeros(16) + body
    return session(message)
  }

  private static func negotiation(read: UInt32, write: UInt32) -> [UInt8] {
    var body = little(UInt16(65)) + zeros(2) + little(UInt16(0x0311)) + zeros(2) + zeros(16)
    body += zeros(4) + zeros(4) + little(read) + little(write) + zeros(32)
    return smb2(0, 0, isResponse: true, body)
  }

  private static let negotiate = smb2(0, 0, little(UInt16(36)) + little(UInt16(1)) + zeros(32) + little(UInt16(0x0311)))

  private static let echo = smb2(13, 99, little(UInt16(4)) + zeros(2))

  private static func write(_ length: Int, at offset: UInt64 = 0, _ number: UInt64) -> [UInt8] {
    var body = little(UInt16(49)) + little(UInt16(112)) + little(UInt32(length)) + little(offset)
    body += [UInt8](1...16) + zeros(16)
    return smb2(9, number, body + [UInt8](repeating: 0x61, count: length))
  }

  private static func read(_ length: UInt32, _ number: UInt64) -> [UInt8] {
    smb2(8, number, little(UInt16(49)) + zeros(2) + little(length) + zeros(8) + [UInt8](1...16) + zeros(16))
  }

  @Test func sizesThatNobodyAgreedTo() throws {
    func exchange(read: UInt32 = 65_536, write: UInt32 = 65_536, _ messages: [UInt8]...) -> Exchange {
      .stream(
        (.toServer, Self.negotiate), (.toClient, Self.negotiation(read: read, write: write)),
        // What is odd about reads and writes is said of what has not been answered.
        (.toServer, Self.echo + messages.flatMap { $0 }), port: 445)
    }
    #expect(try fires("negotiate_max_read_size_too_large", "smb", exchange(read: 17 << 20)))
    #expect(try !fires("negotiate_max_read_size_too_large", "smb", exchange(read: 16 << 20)))
    #expect(try fires("negotiate_max_write_size_too_large", "smb", exchange(write: 17 << 20)))
    #expect(try !fires("negotiate_max_write_size_too_large", "smb", exchange(write: 16 << 20)))
    #expect(try fires("read_request_too_large", "smb", exchange(Self.read(65_537, 1))))
    #expect(try !fires("read_request_too_large", "smb", exchange(Self.read(65_536, 1))))
    #expect(try fires("write_request_too_large", "smb", exchange(write: 99, Self.write(100, 1))))
    #expect(try !fires("write_request_too_large", "smb", exchange(write: 100, Self.write(100, 1))))
  }

  @Test func contentThatWaitsForWhatIsInFrontOfIt() throws {
    func pieces(_ count: Int) -> Exchange {
      let messages = (1...count).map { Self.write(8, at: UInt64($0 * 16), UInt64($0)) }
      return .stream(
        (.toServer, Self.negotiate), (.toClient, Self.negotiation(read: 65_536, write: 65_536)),
        (.toServer, Self.echo + messages.flatMap { $0 }), port: 445)
    }
    #expect(try !fires("write_queue_cnt_exceeded", "smb", pieces(60)))
    #expect(try fires("write_queue_cnt_exceeded", "smb", pieces(70)))
  }

  @Test func messagesThatGoTheWrongWay() throws {
    let answer = Self.smb2(13, 9, isResponse: true, Self.little(UInt16(4)) + Self.zeros(2))
    let echo = Self.smb2(13, 9, Self.little(UInt16(4)) + Self.zeros(2))
    let right = Exchange.stream((.toServer, Self.negotiate), (.toServer, echo), (.toClient, answer), port: 445)
    let toServer = Exchange.stream((.toServer, Self.negotiate), (.toServer, answer), port: 445)
    let toClient = Exchange.stream((.toServer, Self.negotiate), (.toClient, echo), port: 445)
    #expect(try fires("response_to_server", "smb", toServer))
    #expect(try fires("request_to_client", "smb", toClient))
    #expect(try !fires("response_to_server", "smb", right))
    #expect(try !fires("request_to_client", "smb", right))
  }

  @Test func dialectsOfTheFirstVersion() throws {
    func negotiation(_ dialects: String) -> Exchange {
      let bytes = Array(dialects.utf8)
      var message: [UInt8] = [0xFF, 0x53, 0x4D, 0x42, 0x72] + Self.zeros(27) + [0]
      message += Self.little(UInt16(bytes.count)) + bytes
      return .stream((.toServer, Self.session(message)), port: 445)
    }
    #expect(try fires("negotiate_malformed_dialects", "smb", negotiation("\u{2}NT LM 0.12\0\u{2}\0")))
    #expect(try !fires("negotiate_malformed_dialects", "smb", negotiation("\u{2}NT LM 0.12\0")))
  }
}
