import AllyPacket
import Testing

@testable import AllyDPI

/// For each keyword that the rules of Emerging Threats Open and Snort's community rules use, a conversation that fires a rule, and
/// one that differs in what that keyword asks for alone, and does not.
@Suite struct KeywordTableTests {
  /// What goes over the wire.
  enum Traffic {
    case exchange(Exchange)
    case frames([TestFrame])
  }

  struct Entry {
    var keyword: String
    /// Rule 1 is the one that is to fire.
    var rules: String
    var fires: Traffic
    var silent: Traffic
  }

  @Test func eachKeywordDecides() throws {
    for entry in Self.entries {
      #expect(try Self.alerts(entry.rules, entry.fires).contains(1), "\(entry.keyword): \(entry.rules)")
      #expect(try !Self.alerts(entry.rules, entry.silent).contains(1), "not \(entry.keyword): \(entry.rules)")
    }
  }

  /// A keyword of the rule sets that is not in the table is named here.
  @Test func noKeywordIsLeftOut() {
    let tested = Set(Self.entries.map(\.keyword))
    for (set, keywords) in [("Emerging Threats Open", Self.emergingThreats), ("Snort", Self.snort)] {
      let missing = keywords.split(separator: " ").map(String.init)
        .filter { !tested.contains($0) && !Self.withoutEffect.contains($0) && Self.unsupported[$0] == nil }
      #expect(missing.isEmpty, "\(set): \(missing)")
    }
    for (keyword, rule) in Self.unsupported {
      let report = RuleReader(configuration: DPIConfiguration()).read(Array(rule.utf8), file: "test.rules")
      #expect(report.rules.isEmpty && report.problems.count == 1, "\(keyword) is not told as unsupported")
    }
  }

  /// What says nothing about traffic.
  private static let withoutEffect: Set = [
    "msg", "sid", "rev", "gid", "classtype", "reference", "metadata", "rawbytes",
  ]
  /// What rules are refused for.
  private static let unsupported = [
    "ber_data": "alert tcp any any -> any any (ber_data:0x02; content:\"a\"; sid:1;)",
    "ber_skip": "alert tcp any any -> any any (content:\"a\"; ber_skip:0x02; sid:1;)",
  ]

  private static let emergingThreats = """
    threshold flowbits content flow nocase http.uri distance pcre fast_pattern http.method endswith dns.query http.host bsize \
    tls.sni depth http.request_body within dotprefix offset file_data startswith http.user_agent file.data http.stat_code \
    http.header tls.certs dsize isdataat http.header_names dns_query http_uri http_header http_method http.content_type urilen \
    http_client_body byte_jump byte_test http_user_agent tls.cert_subject http.response_body http_header_names \
    http.request_line http.cookie ja3_hash http.uri.raw tls_sni http.referer tls.cert_issuer http_stat_code http.start \
    stream_size http.location http.content_len tls_cert_subject tls_cert_issuer http_host xbits http_cookie itype http.server \
    byte_extract flags icode http.accept http_content_type http_accept http_connection http_content_len http_accept_enc \
    http.connection ja3.hash http.header.raw http_protocol http.accept_enc http.accept_lang tag flowint file.magic \
    tls_cert_serial http.response_line ja3s.hash http.protocol tls.version base64_data base64_decode noalert http.stat_msg \
    app-layer-event rawbytes http_request_line asn1 detection_filter http_raw_uri http_stat_msg http_response_line \
    http_raw_header tls.cert_serial http_server_body ip_proto http_referer uricontent icmp_id http_accept_lang ssh_proto \
    http_start ja3.string http.host.raw app-layer-protocol filesize ftpbounce
    """

  private static let snort = """
    content flow nocase service fast_pattern http_uri pcre distance depth within http_header offset flowbits byte_jump \
    byte_test file_data isdataat http_client_body http_raw_uri pkt_data bufferlen itype http_method icode gid \
    detection_filter http_cookie dsize icmp_id dce_iface dce_opnum flags dce_stub_data byte_extract ber_data raw_data \
    ssl_state http_stat_code fast_pattern_offset fast_pattern_length ip_proto sip_stat_code icmp_seq fragbits id ack \
    sip_method base64_decode base64_data http_raw_header http_stat_msg ttl ssl_version sip_header ber_skip seq tag
    """

  private static func alerts(_ rules: String, _ traffic: Traffic) throws -> [Int] {
    switch traffic {
    case .exchange(let exchange):
      return try exchange.run(rules) { $0.application.options.tls.ja3 = .on }.alerts
    case .frames(let frames):
      var engine = try TestEngine(rules)
      for frame in frames { engine.send(frame) }
      engine.finish()
      return engine.alerts
    }
  }

  // MARK: the ways to write an entry

  /// Something in a request to a web server.
  private static func request(_ keyword: String, _ options: String, _ fires: String, _ silent: String) -> Entry {
    func traffic(_ request: String) -> Traffic {
      .exchange(
        .stream(
          (.toServer, Array(request.utf8)), (.toClient, Array("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".utf8)),
          port: 80))
    }
    return Entry(
      keyword: keyword, rules: "alert http any any -> any any (flow:to_server; \(options) sid:1;)",
      fires: traffic(fires),
      silent: traffic(silent))
  }

  /// A request with a line of its own.
  private static func field(_ keyword: String, _ options: String, _ name: String, _ fires: String, _ silent: String)
    -> Entry
  {
    func text(_ value: String) -> String { "GET /a HTTP/1.1\r\nHost: h.example\r\n\(name): \(value)\r\n\r\n" }
    return request(keyword, options, text(fires), text(silent))
  }

  /// Something in the answer of a web server.
  private static func response(_ keyword: String, _ options: String, _ fires: String, _ silent: String) -> Entry {
    func traffic(_ response: String) -> Traffic {
      .exchange(
        .stream(
          (.toServer, Array("GET /a HTTP/1.1\r\nHost: h.example\r\n\r\n".utf8)), (.toClient, Array(response.utf8)),
          port: 80))
    }
    return Entry(
      keyword: keyword, rules: "alert http any any -> any any (flow:to_client; \(options) sid:1;)",
      fires: traffic(fires),
      silent: traffic(silent))
  }

  private static func answer(status: String = "200 OK", fields: String = "", body: String = "ok") -> String {
    "HTTP/1.1 \(status)\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
  }

  /// The payload of a datagram.
  private static func payload(_ keyword: String, _ options: String, _ fires: String, _ silent: String) -> Entry {
    packet(keyword, "alert udp any any -> any any (\(options) sid:1;)", [datagram(fires)], [datagram(silent)])
  }

  private static func datagram(_ text: String, change: (inout TestFrame) -> Void = { _ in }) -> TestFrame {
    var frame = TestFrame(destinationPort: 9, ipProtocol: 17, payload: Array(text.utf8))
    change(&frame)
    return frame
  }

  private static func echo(change: (inout TestFrame) -> Void = { _ in }) -> TestFrame {
    var frame = TestFrame(ipProtocol: 1, payload: Array("ping".utf8))
    change(&frame)
    return frame
  }

  private static func packet(_ keyword: String, _ rules: String, _ fires: [TestFrame], _ silent: [TestFrame]) -> Entry {
    Entry(keyword: keyword, rules: rules, fires: .frames(fires), silent: .frames(silent))
  }

  private static func stream(_ keyword: String, _ rules: String, _ fires: Exchange, _ silent: Exchange) -> Entry {
    Entry(keyword: keyword, rules: rules, fires: .exchange(fires), silent: .exchange(silent))
  }

  private static func said(_ text: String, answer: String = "ok", port: UInt16 = 4000) -> Exchange {
    .stream((.toServer, Array(text.utf8)), (.toClient, Array(answer.utf8)), port: port)
  }

  private static func question(_ name: String) -> Exchange {
    var message: [UInt8] = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    for label in name.split(separator: ".") { message += [UInt8(label.utf8.count)] + Array(label.utf8) }
    return .datagrams((.toServer, message + [0, 0, 1, 0, 1]), port: 53)
  }

  private static func tls(_ keyword: String, _ options: String, _ fires: Exchange, _ silent: Exchange) -> Entry {
    stream(keyword, "alert tls any any -> any any (\(options) sid:1;)", fires, silent)
  }

  private static func hello(_ name: String) -> Exchange {
    TLSSample.exchange(client: TLSSample.clientHello(name: name))
  }

  private static func certificate(
    subject: String = "server", issuer: String = "authority", serial: [UInt8] = [0, 0xAB, 1]
  ) -> Exchange {
    TLSSample.exchange(
      certificates: TLSSample.certificates(
        TLSSample.certificate(subject: subject, issuer: issuer, serial: serial)))
  }

  // MARK: the table

  private static var entries: [Entry] {
    payloads + packets + states + requests + responses + others + snortOnly
  }

  private static let payloads = [
    payload("content", "content:\"abc\";", "xabc", "xabd"),
    payload("nocase", "content:\"abc\"; nocase;", "xABC", "xABD"),
    payload("nocase", "content:\"abc\";", "xabc", "xABC"),
    payload("distance", "content:\"ab\"; content:\"cd\"; distance:2;", "ab--cd", "ab-cd"),
    payload("within", "content:\"ab\"; content:\"cd\"; within:3;", "ab-cd", "ab--cd"),
    payload("depth", "content:\"abc\"; depth:4;", "-abc", "--abc"),
    payload("offset", "content:\"abc\"; offset:2;", "--abc", "-abc"),
    payload("startswith", "content:\"abc\"; startswith;", "abc-", "-abc"),
    payload("endswith", "content:\"abc\"; endswith;", "-abc", "abc-"),
    payload(
      "fast_pattern", "content:\"abcd\"; content:\"longer one\"; content:\"efgh\"; fast_pattern;",
      "abcd longer one efgh", "abcd longer one efgi"),
    payload("pcre", "pcre:\"/a[0-9]+b/\";", "a12b", "a1xb"),
    payload("isdataat", "content:\"ab\"; isdataat:3,relative;", "ab123", "ab12"),
    payload("dsize", "dsize:3;", "abc", "abcd"),
    payload("byte_test", "content:\"n\"; byte_test:1,>,52,0,relative;", "n5", "n4"),
    payload(
      "byte_jump", "content:\"n\"; byte_jump:1,0,relative,string,dec; content:\"end\"; within:3;", "n2--end", "n3--end"),
    payload("byte_extract", "byte_extract:1,0,size,string,dec; content:\"end\"; offset:size;", "3--end", "4--end"),
    payload("base64_decode", "base64_decode:bytes 4; base64_data; content:\"abc\";", "YWJj", "-YWJj"),
    payload("base64_data", "base64_decode:bytes 8; base64_data; content:\"abc\";", "YWJjZGVm", "YWJkZGVm"),
  ]

  private static let packets = [
    packet(
      "asn1", "alert udp any any -> any any (asn1:bitstring_overflow; sid:1;)",
      [TestFrame(ipProtocol: 17, payload: [3, 3, 0x20, 1, 2])], [TestFrame(ipProtocol: 17, payload: [3, 3, 0, 1, 2])]),
    packet("ip_proto", "alert ip any any -> any any (ip_proto:17; sid:1;)", [datagram("a")], [echo()]),
    packet("itype", "alert icmp any any -> any any (itype:8; sid:1;)", [echo()], [echo { $0.icmp.type = 13 }]),
    packet("icode", "alert icmp any any -> any any (icode:0; sid:1;)", [echo()], [echo { $0.icmp.code = 1 }]),
    packet("icmp_id", "alert icmp any any -> any any (icmp_id:1; sid:1;)", [echo()], [echo { $0.icmp.type = 3 }]),
    packet("icmp_seq", "alert icmp any any -> any any (icmp_seq:1; sid:1;)", [echo()], [echo { $0.icmp.type = 3 }]),
    packet(
      "ttl", "alert udp any any -> any any (ttl:64; sid:1;)", [datagram("a")], [datagram("a") { $0.timeToLive = 63 }]),
    packet(
      "flags", "alert tcp any any -> any any (flags:S; sid:1;)", [TestFrame(flags: 0x02, acknowledgement: 0)],
      [TestFrame(flags: 0x12)]),
    packet(
      "seq", "alert tcp any any -> any any (seq:77; sid:1;)", [TestFrame(sequence: 77)], [TestFrame(sequence: 78)]),
    packet(
      "ack", "alert tcp any any -> any any (ack:77; sid:1;)", [TestFrame(acknowledgement: 77)],
      [TestFrame(acknowledgement: 78)]),
    packet(
      "fragbits", "alert udp any any -> any any (fragbits:D; sid:1;)", [datagram("a")],
      [datagram("a") { $0.mayFragment = true }]),
    packet(
      "id", "alert udp any any -> any any (id:1; sid:1;)", [datagram("a")], [datagram("a") { $0.identification = 2 }]),
  ]

  private static let states = [
    packet(
      "flow", "alert udp any any -> any any (flow:to_client; content:\"a\"; sid:1;)",
      [datagram("q"), answered("a")], [datagram("a")]),
    packet(
      "threshold",
      "alert udp any any -> any any (content:\"a\"; threshold:type threshold,track by_src,count 2,seconds 60; sid:1;)",
      [datagram("a"), datagram("a")], [datagram("a"), datagram("a") { $0.source = "10.0.0.9" }]),
    packet(
      "detection_filter",
      "alert udp any any -> any any (content:\"a\"; detection_filter:track by_src,count 1,seconds 60; sid:1;)",
      [datagram("a"), datagram("a")], [datagram("a"), datagram("a") { $0.source = "10.0.0.9" }]),
    packet(
      "flowbits",
      """
      alert udp any any -> any any (content:"set"; flowbits:set,seen; noalert; sid:2;)
      alert udp any any -> any any (content:"ask"; flowbits:isset,seen; sid:1;)
      """, [datagram("set"), datagram("ask")], [datagram("sit"), datagram("ask")]),
    packet(
      "flowint",
      """
      alert udp any any -> any any (content:"add"; flowint:count,+,1; noalert; sid:2;)
      alert udp any any -> any any (content:"ask"; flowint:count,>,1; sid:1;)
      """, [datagram("add"), datagram("add"), datagram("ask")], [datagram("add"), datagram("ask")]),
    packet(
      "xbits",
      """
      alert udp any any -> any any (content:"set"; xbits:set,seen,track ip_src; noalert; sid:2;)
      alert udp any any -> any any (content:"ask"; xbits:isset,seen,track ip_src; sid:1;)
      """, [datagram("set"), datagram("ask") { $0.sourcePort = 7 }],
      [datagram("set"), datagram("ask") { $0.source = "10.0.0.9" }]),
    packet(
      "noalert",
      """
      alert udp any any -> any any (content:"loud"; sid:1;)
      alert udp any any -> any any (content:"still"; noalert; sid:2;)
      """, [datagram("loud")], [datagram("still")]),
    stream(
      "stream_size", "alert tcp any any -> any any (content:\"abc\"; stream_size:client,>,5; sid:1;)", said("--abc--"),
      said("abc")),
    stream(
      "app-layer-protocol", "alert tcp any any -> any any (flow:to_server; app-layer-protocol:http; sid:1;)",
      said("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), said("nothing that is known\r\n")),
    stream(
      "app-layer-event",
      "alert http any any -> any any (app-layer-event:http.missing_Host_header; sid:1;)",
      said("GET / HTTP/1.1\r\n\r\n", port: 80), said("GET / HTTP/1.1\r\nHost: a\r\n\r\n", port: 80)),
    stream(
      "ftpbounce", "alert ftp any any -> any any (ftpbounce; sid:1;)",
      .stream((.toClient, Array("220 ready\r\n".utf8)), (.toServer, Array("PORT 203,0,113,9,10,1\r\n".utf8)), port: 21),
      .stream((.toClient, Array("220 ready\r\n".utf8)), (.toServer, Array("PORT 10,0,0,1,10,1\r\n".utf8)), port: 21)),
  ]

  private static func answered(_ text: String) -> TestFrame {
    var frame = datagram("").reply
    frame.payload = Array(text.utf8)
    return frame
  }

  private static let post = "POST /a HTTP/1.1\r\nHost: h.example\r\nContent-Length: 4\r\n\r\n"
  private static func get(_ target: String) -> String { "GET \(target) HTTP/1.1\r\nHost: h.example\r\n\r\n" }

  private static let requests = [
    request("http.uri", "http.uri; content:\"/abc\";", get("/%61bc"), get("/%61bd")),
    request("http_uri", "content:\"/abc\"; http_uri;", get("/%61bc"), get("/%61bd")),
    request("uricontent", "uricontent:\"/abc\";", get("/%61bc"), get("/%61bd")),
    request("http.uri.raw", "http.uri.raw; content:\"%61\";", get("/%61bc"), get("/abc")),
    request("http_raw_uri", "content:\"%61\"; http_raw_uri;", get("/%61bc"), get("/abc")),
    request("urilen", "urilen:4;", get("/abc"), get("/abcd")),
    request("bsize", "http.uri; bsize:4;", get("/abc"), get("/abcd")),
    request("http.method", "http.method; content:\"POST\";", post + "body", get("/a")),
    request("http_method", "content:\"POST\"; http_method;", post + "body", get("/a")),
    request("http.request_line", "http.request_line; content:\"/abc HTTP/1.1\"; endswith;", get("/abc"), get("/abd")),
    request("http_request_line", "http_request_line; content:\"/abc HTTP/1.1\"; endswith;", get("/abc"), get("/abd")),
    request("http.request_body", "http.request_body; content:\"body\";", post + "body", post + "boby"),
    request("http_client_body", "content:\"body\"; http_client_body;", post + "body", post + "boby"),
    request("http.protocol", "http.protocol; content:\"HTTP/1.0\";", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", get("/")),
    request("http_protocol", "http_protocol; content:\"HTTP/1.0\";", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", get("/")),
    request(
      "http.start", "http.start; content:\"/abc HTTP/1.1|0d 0a|Host\";", get("/abc"),
      "GET /abc HTTP/1.1\r\nAccept: a\r\nHost: b\r\n\r\n"),
    request(
      "http_start", "http_start; content:\"/abc HTTP/1.1|0d 0a|Host\";", get("/abc"),
      "GET /abc HTTP/1.1\r\nAccept: a\r\nHost: b\r\n\r\n"),
    request(
      "dotprefix", "http.host; dotprefix; content:\".h.example\"; endswith;", get("/"),
      "GET / HTTP/1.1\r\nHost: anh.example\r\n\r\n"),
    field("http.host", "http.host; content:\"h.example\";", "X", "1", "1"),
    field("http.user_agent", "http.user_agent; content:\"probe\";", "User-Agent", "a probe", "a prove"),
    field("http_user_agent", "content:\"probe\"; http_user_agent;", "User-Agent", "a probe", "a prove"),
    field("http.referer", "http.referer; content:\"from\";", "Referer", "http://from/", "http://form/"),
    field("http_referer", "http_referer; content:\"from\";", "Referer", "http://from/", "http://form/"),
    field("http.header", "http.header; content:\"X-One|3a 20|abc\";", "X-One", "abc", "abd"),
    field("http_header", "content:\"X-One|3a 20|abc\"; http_header;", "X-One", "abc", "abd"),
    field("http.header.raw", "http.header.raw; content:\"X-One|3a 20 20|abc\";", "X-One", " abc", "abc"),
    field("http_raw_header", "content:\"X-One|3a 20 20|abc\"; http_raw_header;", "X-One", " abc", "abc"),
    field("http.cookie", "http.cookie; content:\"a=b\";", "Cookie", "a=b", "a=c"),
    field("http_cookie", "content:\"a=b\"; http_cookie;", "Cookie", "a=b", "a=c"),
    field("http.accept", "http.accept; content:\"text/a\";", "Accept", "text/a", "text/b"),
    field("http_accept", "http_accept; content:\"text/a\";", "Accept", "text/a", "text/b"),
    field("http.accept_enc", "http.accept_enc; content:\"gzip\";", "Accept-Encoding", "gzip", "brot"),
    field("http_accept_enc", "http_accept_enc; content:\"gzip\";", "Accept-Encoding", "gzip", "brot"),
    field("http.accept_lang", "http.accept_lang; content:\"frfr\";", "Accept-Language", "frfr", "fren"),
    field("http_accept_lang", "http_accept_lang; content:\"frfr\";", "Accept-Language", "frfr", "fren"),
    field("http.connection", "http.connection; content:\"close\";", "Connection", "close", "keep"),
    field("http_connection", "http_connection; content:\"close\";", "Connection", "close", "keep"),
    field("http.content_type", "http.content_type; content:\"text/a\";", "Content-Type", "text/a", "text/b"),
    field("http_content_type", "http_content_type; content:\"text/a\";", "Content-Type", "text/a", "text/b"),
    field("http.content_len", "http.content_len; content:\"0000\";", "Content-Length", "0000", "000"),
    field("http_content_len", "http_content_len; content:\"0000\";", "Content-Length", "0000", "000"),
    request(
      "http.header_names", "http.header_names; content:\"|0d 0a|Host|0d 0a|X-One|0d 0a|\";",
      "GET / HTTP/1.1\r\nHost: a\r\nX-One: b\r\n\r\n", "GET / HTTP/1.1\r\nX-One: b\r\nHost: a\r\n\r\n"),
    request(
      "http_header_names", "http_header_names; content:\"|0d 0a|Host|0d 0a|X-One|0d 0a|\";",
      "GET / HTTP/1.1\r\nHost: a\r\nX-One: b\r\n\r\n", "GET / HTTP/1.1\r\nX-One: b\r\nHost: a\r\n\r\n"),
    request(
      "http_host", "content:\"h.example\"; http_host;", get("/"), "GET / HTTP/1.1\r\nHost: i.example\r\n\r\n"),
    request(
      "http.host.raw", "http.host.raw; content:\"H.Example\";", "GET / HTTP/1.1\r\nHost: H.Example\r\n\r\n", get("/")),
  ].map { entry in
    // The host is in every request of `field`: another one stands in for it here.
    guard entry.keyword == "http.host" else { return entry }
    return request(
      "http.host", "http.host; content:\"h.example\";", get("/"), "GET / HTTP/1.1\r\nHost: i.example\r\n\r\n")
  }

  private static let responses = [
    response("http.stat_code", "http.stat_code; content:\"404\";", answer(status: "404 No"), answer(status: "405 No")),
    response("http_stat_code", "content:\"404\"; http_stat_code;", answer(status: "404 No"), answer(status: "405 No")),
    response(
      "http.stat_msg", "http.stat_msg; content:\"Gone\";", answer(status: "410 Gone"), answer(status: "410 Done")),
    response(
      "http_stat_msg", "content:\"Gone\"; http_stat_msg;", answer(status: "410 Gone"), answer(status: "410 Done")),
    response(
      "http.response_line", "http.response_line; content:\"HTTP/1.1 404\";", answer(status: "404 No"),
      answer(status: "405 No")),
    response(
      "http_response_line", "http_response_line; content:\"HTTP/1.1 404\";", answer(status: "404 No"),
      answer(status: "405 No")),
    response(
      "http.response_body", "http.response_body; content:\"body\";", answer(body: "a body"), answer(body: "a boby")),
    response("http_server_body", "content:\"body\"; http_server_body;", answer(body: "a body"), answer(body: "a boby")),
    response("file_data", "file_data; content:\"body\";", answer(body: "a body"), answer(body: "a boby")),
    response("file.data", "file.data; content:\"body\";", answer(body: "a body"), answer(body: "a boby")),
    response("filesize", "filesize:4;", answer(body: "body"), answer(body: "a body")),
    response(
      "file.magic", "file.magic; content:\"PDF document\";", answer(body: "%PDF-1.5\n1 0 obj\n"),
      answer(body: "-PDF-1.5\n1 0 obj\n")),
    response(
      "http.server", "http.server; content:\"serves\";", answer(fields: "Server: serves\r\n"),
      answer(fields: "Server: server\r\n")),
    response(
      "http.location", "http.location; content:\"/there\";",
      answer(status: "302 Found", fields: "Location: /there\r\n"),
      answer(status: "302 Found", fields: "Location: /where\r\n")),
  ]

  private static let client = TLSSample.clientHello()
  private static let fingerprint = "771,49199-49200,0-10-11,29-23,0"
  private static let others =
    [
      stream(
        "dns.query", "alert dns any any -> any any (dns.query; content:\"evil\"; sid:1;)", question("an.evil.example"),
        question("an.ewil.example")),
      stream(
        "dns_query", "alert dns any any -> any any (dns_query; content:\"evil\"; sid:1;)", question("an.evil.example"),
        question("an.ewil.example")),
      tls("tls.sni", "tls.sni; content:\"evil\";", hello("evil.example"), hello("ewil.example")),
      tls("tls_sni", "tls_sni; content:\"evil\";", hello("evil.example"), hello("ewil.example")),
      tls(
        "tls.cert_subject", "tls.cert_subject; content:\"CN=evil\";", certificate(subject: "evil"),
        certificate(subject: "ewil")),
      tls(
        "tls_cert_subject", "tls_cert_subject; content:\"CN=evil\";", certificate(subject: "evil"),
        certificate(subject: "ewil")),
      tls(
        "tls.cert_issuer", "tls.cert_issuer; content:\"CN=evil\";", certificate(issuer: "evil"),
        certificate(issuer: "ewil")),
      tls(
        "tls_cert_issuer", "tls_cert_issuer; content:\"CN=evil\";", certificate(issuer: "evil"),
        certificate(issuer: "ewil")),
      tls("tls.cert_serial", "tls.cert_serial; content:\"AB:01\";", certificate(), certificate(serial: [0, 0xAB, 2])),
      tls("tls_cert_serial", "tls_cert_serial; content:\"AB:01\";", certificate(), certificate(serial: [0, 0xAB, 2])),
      tls(
        "tls.certs", "tls.certs; content:\"|55 04 03 0c 04|evil\";", certificate(subject: "evil"),
        certificate(subject: "ewil")),
      tls(
        "tls.version", "tls.version:1.2;", TLSSample.exchange(),
        TLSSample.exchange(
          client: TLSSample.clientHello(version: 0x0301), server: TLSSample.serverHello(version: 0x0301))),
      tls(
        "ja3.string", "ja3.string; content:\"771,49199-49200\";", TLSSample.exchange(),
        TLSSample.exchange(client: TLSSample.clientHello(version: 0x0301))),
      stream(
        "ssh_proto", "alert ssh any any -> any any (ssh_proto; content:\"2.0\"; sid:1;)", MessageSample.ssh(),
        MessageSample.ssh(client: "SSH-1.99-OpenSSH_9.2p1", server: "SSH-1.99-Server_1")),
      stream(
        "tag", "alert tcp any any -> any any (content:\"bad!\"; tag:session,3,packets; sid:1;)", said("bad!"),
        said("badd")),
    ] + hashes

  /// The digest of a fingerprint, and that of the hello that fires alone.
  private static var hashes: [Entry] {
    func digest(_ text: String) -> String {
      Digest.of(Array(text.utf8).span, .md5).map { byte in
        let digits = String(byte, radix: 16)
        return digits.count == 1 ? "0" + digits : digits
      }.joined()
    }
    let old = TLSSample.exchange(client: TLSSample.clientHello(version: 0x0301))
    let server = TLSSample.exchange(server: TLSSample.serverHello(version: 0x0301))
    return [
      tls("ja3.hash", "ja3.hash; content:\"\(digest(fingerprint))\";", TLSSample.exchange(), old),
      tls("ja3_hash", "ja3_hash; content:\"\(digest(fingerprint))\";", TLSSample.exchange(), old),
      tls("ja3s.hash", "ja3s.hash; content:\"\(digest("771,49199,65281"))\";", TLSSample.exchange(), server),
    ]
  }

  private static let snortOnly = [
    stream(
      "service", "alert tcp any any -> any 8080 (content:\"abc\"; service:http; sid:1;)",
      said("GET /abc HTTP/1.1\r\nHost: a\r\n\r\n"), said("no /abc at all, Host: a\r\n\r\n")),
    request(
      "pkt_data", "http.uri; content:\"/a\"; pkt_data; content:\"Host|3a|\";", get("/a"),
      "GET /a HTTP/1.1\r\nHoste: a\r\n\r\n"),
    payload("raw_data", "raw_data; content:\"abc\";", "-abc", "-abd"),
    request("bufferlen", "http_uri; content:\"/a\"; bufferlen:4;", get("/abc"), get("/abcd")),
    payload(
      "fast_pattern_offset", "content:\"abcdefgh\",fast_pattern,fast_pattern_offset 2,fast_pattern_length 4;",
      "abcdefgh", "-bcdefg-"),
    payload(
      "fast_pattern_length", "content:\"abcdefgh\",fast_pattern,fast_pattern_offset 2,fast_pattern_length 4;",
      "abcdefgh", "abcdefg-"),
    stream(
      "sip_method", "alert udp any any -> any any (sip_method:invite; sid:1;)", MessageSample.sip(),
      MessageSample.sip(method: "BYE")),
    stream(
      "sip_stat_code", "alert udp any any -> any any (sip_stat_code:4; sid:1;)", MessageSample.sip(code: "404"),
      MessageSample.sip(code: "200")),
    stream(
      "sip_header", "alert udp any any -> any any (sip_header; content:\"X-One|3a| abc\"; sid:1;)",
      MessageSample.sip(header: "X-One: abc"), MessageSample.sip(header: "X-One: abd")),
    tls(
      "ssl_version", "ssl_version:tls1.2;", TLSSample.exchange(),
      TLSSample.exchange(client: TLSSample.clientHello(version: 0x0301), server: TLSSample.serverHello(version: 0x0301))
    ),
    tls(
      "ssl_state", "flow:to_server; ssl_state:client_hello;", TLSSample.exchange(),
      .stream((.toClient, TLSSample.serverHello()))),
    call("dce_iface", "dce_iface:4b324fc8-1670-01d3-1278-5a47bf6ee188;", call(), call(interface: 0x4C)),
    call("dce_opnum", "dce_opnum:15;", call(), call(operation: 16)),
    call("dce_stub_data", "dce_stub_data; content:\"|01 02 03|\";", call(), call(stub: [1, 2, 4])),
  ]

  private static func call(_ keyword: String, _ options: String, _ fires: Exchange, _ silent: Exchange) -> Entry {
    stream(keyword, "alert dcerpc any any -> any any (flow:to_server; \(options) sid:1;)", fires, silent)
  }

  private static func call(interface: UInt8 = 0x4B, operation: UInt16 = 15, stub: [UInt8] = [1, 2, 3]) -> Exchange {
    // The interface's first byte on the wire is the number's last.
    let bind = ApplicationSMBTests.bind.map { $0 == 0x4B ? interface : $0 }
    return .stream(
      (.toServer, bind), (.toClient, ApplicationSMBTests.bindAcknowledgement),
      (.toServer, ApplicationSMBTests.request(operation: operation, stub)))
  }
}
