import AllyPacket
import Testing

@testable import AllyDPI

/// For each keyword a packet that fires, and one that differs in what the option asks for alone and does not.
@Suite struct DetectKeywordTests {
  private static let request = "GET /a HTTP/1.1\r\nHost: www.example.com\r\nX: a  b\r\n\r\n"

  /// What a client says in a connection, whether the rule fires.
  struct Case: CustomTestStringConvertible, Sendable {
    var options: String
    var fires: String
    var silent: String
    var testDescription: String { options }
  }

  private static let cases = [
    Case(
      options: "http.host; dotprefix; content:\".example.com\"; endswith;",
      fires: "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", silent: "GET / HTTP/1.1\r\nHost: anexample.com\r\n\r\n"),
    Case(
      options: "http.uri; to_lowercase; content:\"/abc\";", fires: "GET /aBC HTTP/1.1\r\nHost: a\r\n\r\n",
      silent: "GET /aBD HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case(
      options: "http.uri; to_uppercase; content:\"/ABC\";", fires: "GET /aBC HTTP/1.1\r\nHost: a\r\n\r\n",
      silent: "GET /aBD HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case(
      options: "http.user_agent; strip_whitespace; content:\"abcd\";",
      fires: "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: a b\tcd\r\n\r\n",
      silent: "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: a b-cd\r\n\r\n"),
    Case(
      options: "http.user_agent; compress_whitespace; content:\"a bc d\";",
      fires: "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: a   bc  d\r\n\r\n",
      silent: "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: a   b c d\r\n\r\n"),
    Case(
      options: "http.request_body; url_decode; content:\"<b>\";",
      fires: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n%3Cb%3E",
      silent: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n%3Cc%3E"),
    Case(
      options: "http.uri; xor:\"20\"; content:\"|0f|ABC\";", fires: "GET /abc HTTP/1.1\r\nHost: a\r\n\r\n",
      silent: "GET /abd HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case(
      options: "http.uri; pcrexform:\"id=([0-9]+)\"; content:\"42\"; bsize:2;",
      fires: "GET /?id=42&x=1 HTTP/1.1\r\nHost: a\r\n\r\n", silent: "GET /?id=423&x=1 HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case(
      options: "http.uri; to_md5; content:\"|66 66 cd 76 f9 69 56 46 9e 7b e3 9d 75 0c c7 d9|\";",
      fires: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", silent: "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case(
      options: "base64_decode:bytes 8, offset 2; base64_data; content:\"abc\";", fires: "x:YWJjZGVm",
      silent: "x:YWJkZGVm"),
    Case(
      options: "content:\"b=\"; base64_decode:relative; base64_data; content:\"def\"; endswith;",
      fires: "a=1 b=YWJjZGVm", silent: "a=1 b=YWJjZGVn"),
    Case(
      options: "content:\"abc\"; http_user_agent; isdataat:!1,relative;",
      fires: "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: abc\r\n\r\n",
      silent: "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: abcd\r\n\r\n"),
    Case(
      options: "http.uri; content:\"a b\"; content:\"c+d\";", fires: "GET /?x=a%20b&y=c+d HTTP/1.1\r\nHost: a\r\n\r\n",
      silent: "GET /?x=a+b&y=c+d HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case(
      options: "http.content_len; byte_test:0,<,5,0,string,dec;",
      fires: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd",
      silent: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde"),
    Case(options: "dsize:>0; stream_size:client,>,5;", fires: "12345", silent: "1234"),
    Case(options: "dsize:>0; stream_size:both,<,6;", fires: "1234", silent: "12345"),
  ]

  @Test(arguments: cases) func anOptionDecides(_ example: Case) throws {
    for (text, expected) in [(example.fires, [1]), (example.silent, [])] {
      var engine = try TestEngine("alert tcp any any -> any any (\(example.options) sid:1;)")
      var connection = Connection()
      connection.open(&engine)
      connection.client(text, &engine)
      engine.finish()
      #expect(engine.alerts == expected, "\(text)")
    }
  }

  @Test func numbersOfAFlow() throws {
    var engine = try TestEngine(
      """
      alert tcp any any -> any any (content:"login"; flowint:tries,+,1; noalert; sid:1;)
      alert tcp any any -> any any (content:"login"; flowint:tries,==,3; sid:2;)
      alert tcp any any -> any any (content:"login"; flowint:tries,isset; flowint:tries,<,2; sid:3;)
      alert tcp any any -> any any (content:"login"; flowint:other,isnotset; sid:4;)
      alert tcp any any -> any any (content:"login"; flowint:other,<,100; sid:5;)
      """)
    var connection = Connection()
    connection.open(&engine)
    for _ in 0..<4 { connection.client("login", &engine) }
    #expect(engine.alerts == [3, 4, 4, 2, 4, 4])
  }

  @Test func theAgeOfAFlow() throws {
    var engine = try TestEngine("alert udp any any -> any any (flow.age:>9; sid:1;)")
    let packet = TestFrame(ipProtocol: 17, payload: [1])
    engine.send(packet)
    engine.send(packet, after: 8)
    #expect(engine.alerts == [])
    engine.send(packet, after: 3)
    #expect(engine.alerts == [1])
  }

  @Test func checksums() throws {
    let rules = """
      alert udp any any -> any any (udpv4-csum:valid; sid:1;)
      alert udp any any -> any any (udpv4-csum:invalid; sid:2;)
      alert ip any any -> any any (ipv4-csum:invalid; sid:3;)
      """
    var engine = try TestEngine(rules)
    var frame = TestFrame(ipProtocol: 17, payload: [1]).bytes
    engine.send(frame)
    frame[frame.count - 1] ^= 0x55
    engine.send(frame)
    #expect(engine.alerts == [1, 2])
    var lenient = try TestEngine(rules) { $0.validatesChecksums = false }
    lenient.send(frame)
    #expect(lenient.alerts == [2], "whether streams take wrong checksums is another thing")
    var trusting = try TestEngine(rules) { $0.trustsChecksums = true }
    trusting.send(frame)
    #expect(trusting.alerts == [1])
  }

  @Test func addressesAsBuffers() throws {
    var engine = try TestEngine(
      """
      alert udp any any -> any any (ip.src; content:"|0a 00 00 01|"; sid:1;)
      alert udp any any -> any any (ip.dst; content:"|0a 00 00 01|"; sid:2;)
      """)
    engine.send(TestFrame(ipProtocol: 17, payload: [1]))
    #expect(engine.alerts == [1])
    engine.send(TestFrame(ipProtocol: 17, payload: [1]).reply)
    #expect(engine.alerts == [1, 2])
  }

  @Test func dataSets() throws {
    var engine = try TestEngine(
      """
      alert http any any -> any any (http.uri; dataset:isset,known,type string,load known.lst; sid:1;)
      alert http any any -> any any (http.uri; dataset:set,seen,type string; sid:2;)
      alert http any any -> any any (http.uri; datarep:bad,>,10,type string,load bad.lst; sid:3;)
      """
    ) {
      // "/a", and "/b" with a reputation.
      $0.readResource = { name, _ in
        name == "known.lst" ? Array("L2E=\n".utf8) : Array("L2E=,5\nL2I=,50\n".utf8)
      }
    }
    var connection = Connection()
    connection.open(&engine)
    for path in ["/a", "/b", "/a"] { connection.client("GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n", &engine) }
    #expect(engine.alerts == [1, 2, 2, 3, 1])
  }

  @Test func taggedPacketsFollowAnAlert() throws {
    var engine = try TestEngine("alert tcp any any -> any any (content:\"bad\"; tag:session,3,packets; sid:1;)")
    var connection = Connection()
    connection.open(&engine)
    connection.client("bad", &engine)
    for _ in 0..<4 { connection.client("more", &engine) }
    #expect(engine.records.filter { $0.contains("\"event_type\":\"packet\"") }.count == 2)
    #expect(engine.alerts == [1])
  }

  @Test func aBypassedFlowIsLeftAlone() throws {
    var engine = try TestEngine(
      """
      alert udp any any -> any any (content:"first"; bypass; sid:1;)
      alert udp any any -> any any (content:"second"; sid:2;)
      """
    ) { $0.records = [.alerts, .flows] }
    engine.send(TestFrame(ipProtocol: 17, payload: Array("first".utf8)))
    engine.send(TestFrame(ipProtocol: 17, payload: Array("second".utf8)))
    engine.finish()
    #expect(engine.alerts == [1])
    #expect(engine.records.last?.contains("\"state\":\"bypassed\"") == true)
  }

  @Test func twoThresholdsBothHoldBack() throws {
    var engine = try TestEngine(
      """
      alert udp any any -> any any (dsize:>0; threshold:type threshold,track by_src,count 2,seconds 60; \
      threshold:type limit,track by_src,count 1,seconds 60; sid:1;)
      """)
    for _ in 0..<6 { engine.send(TestFrame(ipProtocol: 17, payload: [1])) }
    #expect(engine.alerts == [1])
  }

  @Test func aLineForEachAlert() throws {
    let list = RecordList()
    let fast = RecordList()
    let rules = "drop udp any any -> any any (msg:\"a message\"; classtype:bad-unknown; content:\"x\"; sid:7; rev:2;)"
    var configuration = DPIConfiguration()
    configuration.records = [.alerts, .statistics]
    let program = try DetectionProgram(
      rules: TestRules.read(rules, configuration: configuration), configuration: configuration)
    var engine = try DPIEngine(program: program, configuration: configuration, sink: list, fastLog: fast)
    let frame = TestFrame(ipProtocol: 17, payload: Array("x".utf8)).bytes
    let stamp = FrameStamp(time: 1_285_250_638_123_456_000, ordinal: 1, lengthOnWire: UInt32(frame.count))
    _ = engine.inspect(unsafe Packet(bytes: frame.span.bytes, stamp: stamp, direction: .receive))
    engine.finish()
    #expect(
      fast.records == [
        "09/23/2010-14:03:58.123456  [wDrop] [**] [1:7:2] a message [**] [Classification: Potentially Bad Traffic] "
          + "[Priority: 2] {UDP} 10.0.0.1:40000 -> 192.0.2.80:80"
      ])
    #expect(list.records.last?.contains("\"decoder\":{\"pkts\":1,") == true)
  }

  @Test func servicesStandAbovePorts() throws {
    let rule = "alert tcp any any -> any 8080 (content:\"GET\"; content:\"/secret\"; service:http; sid:1;)"
    var engine = try TestEngine(rule)
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET /secret HTTP/1.1\r\nHost: a\r\n\r\n", &engine)
    #expect(engine.alerts == [1], "port 80, but known to be HTTP")
    var other = try TestEngine(rule)
    connection = Connection()
    connection.open(&other)
    connection.client("xGET /secret", &other)
    #expect(other.alerts == [], "neither the port nor the service")
  }

  @Test func theVersionOfIP() throws {
    let rules = """
      alert ip any any -> any any (l3_proto:ipv4; sid:1;)
      alert ip any any -> any any (l3_proto:ip6; sid:2;)
      alert udp any any -> any any (l3_proto:ip4; sid:3;)
      alert udp any any -> any any (l3_proto:ipv6; sid:4;)
      """
    var engine = try TestEngine(rules)
    engine.send(TestFrame(ipProtocol: 17, payload: [1]))
    engine.finish()
    #expect(engine.alerts == [1, 3])
    #expect(try problem("l3_proto:tcp;").reason.contains("ipv4 or ipv6"))
  }

  /// A mark is for a queue of the kernel's that is not there.
  @Test func aMarkIsReadAndNotSet() throws {
    _ = try rule("nfq_set_mark:0x10/0xff;")
    #expect(try problem("nfq_set_mark:16;").reason.contains("a mark and a mask"))
  }
}
