import AllyPacket
import Testing

@testable import AllyDPI

/// The engine as a whole: frames in, records and verdicts out.
@Suite struct EngineTests {
  /// Caps beyond the machine's memory, which an operator may set, are an error and not the end of the process.
  @Test(arguments: [\DPIConfiguration.flowMemoryCap, \.streamMemoryCap, \.reassemblyMemoryCap])
  func capsThatNoMachineHasAreAnError(cap: any WritableKeyPath<DPIConfiguration, Int> & Sendable) throws {
    for bytes in [1 << 50, Int.max] {
      var configuration = DPIConfiguration()
      configuration[keyPath: cap] = bytes
      let program = try DetectionProgram(rules: [], configuration: configuration)
      let error = #expect(throws: DPIEngineError.self) {
        _ = try DPIEngine(program: program, configuration: configuration, sink: RecordList())
      }
      guard case .outOfMemory(let what)? = error else { continue }
      #expect(what.contains("memory caps"))
    }
  }

  @Test func rulesOnAddressesSpeakOncePerSideOfAFlow() throws {
    var engine = try TestEngine(
      """
      alert ip any any -> any any (sid:1;)
      alert ip !1.2.3.4 any -> any any (sid:2;)
      """)
    let question = TestFrame(destinationPort: 53, ipProtocol: 17, payload: [1, 2, 3])
    for _ in 0..<3 { engine.send(question) }
    #expect(engine.alerts == [1, 2, 2, 2])
    for _ in 0..<2 { engine.send(question.reply) }
    #expect(engine.alerts == [1, 2, 2, 2, 1, 2, 2])
  }

  @Test func establishedNeedsTheHandshakeAndSidesFollowIt() throws {
    var engine = try TestEngine(
      """
      alert tcp any any -> any any (flow:established,to_server; dsize:>0; sid:1;)
      alert tcp any any -> any any (flow:established,to_client; dsize:>0; sid:2;)
      alert tcp any any -> any any (flow:not_established; flags:S; sid:3;)
      """)
    var connection = Connection()
    connection.open(&engine)
    #expect(engine.alerts == [3])
    connection.client("hello", &engine)
    connection.server("world", &engine)
    #expect(engine.alerts == [3, 1, 2])
  }

  @Test func aMatchAcrossSegmentsIsFoundOnceByTheSegmentThatCompletesIt() throws {
    var engine = try TestEngine("alert tcp any any -> any any (content:\"uid=0|28|root|29|\"; sid:1;)")
    var connection = Connection()
    connection.open(&engine)
    connection.server("HTTP/1.0 200 OK\r\n\r\nuid=0(r", &engine)
    #expect(engine.alerts == [])
    connection.server("oot) gid=0(root)", &engine)
    #expect(engine.alerts == [1])
    #expect(engine.records.last?.contains("\"stream\":1") == true)
    connection.server("and more", &engine)
    connection.server("and more", &engine)
    #expect(engine.alerts == [1], "data that was reported must not be reported again")
  }

  @Test func segmentsOutOfOrderAreInspectedInOrder() throws {
    var engine = try TestEngine("alert tcp any any -> any any (content:\"abcdef\"; sid:1;)")
    var connection = Connection()
    connection.open(&engine)
    var first = connection.clientFrame("abc")
    first.flags = 0x10
    var second = first
    second.sequence += 3
    second.payload = Array("def".utf8)
    engine.send(second)
    #expect(engine.alerts == [])
    engine.send(first)
    #expect(engine.alerts == [1])
  }

  @Test func flowBitsTieRulesTogether() throws {
    var engine = try TestEngine(
      """
      alert tcp any any -> any any (content:"USER "; flowbits:set,user; flowbits:noalert; sid:1;)
      alert tcp any any -> any any (content:"PASS "; flowbits:isset,user; sid:2;)
      alert tcp any any -> any any (content:"PASS "; flowbits:isnotset,user; sid:3;)
      """)
    var connection = Connection()
    connection.open(&engine)
    connection.client("PASS x", &engine)
    #expect(engine.alerts == [3])
    connection.client("USER x", &engine)
    connection.client("PASS x", &engine)
    #expect(engine.alerts == [3, 2])
  }

  @Test func moreFlowBitsThanAFlowHasRoomFor() throws {
    let rules = (0..<300).map { index in
      """
      alert tcp any any -> any any (content:"set\(index)."; flowbits:set,bit\(index); flowbits:noalert; sid:\(index + 1);)
      alert tcp any any -> any any (content:"get\(index)."; flowbits:isset,bit\(index); sid:\(index + 1001);)
      """
    }
    var engine = try TestEngine(rules.joined(separator: "\n"))
    var connection = Connection()
    connection.open(&engine)
    connection.client("set299. set7.", &engine)
    connection.client("get298. get299. get7. get8.", &engine)
    #expect(engine.alerts.sorted() == [1008, 1300])
    var other = Connection(clientPort: 41_000)
    other.open(&engine)
    other.client("get299.", &engine)
    #expect(engine.alerts.sorted() == [1008, 1300])
  }

  @Test func inlineADropInAStreamEndsTheFlow() throws {
    var engine = try TestEngine("drop tcp any any -> any any (content:\"attack\"; sid:1;)") { $0.isInline = true }
    var connection = Connection()
    connection.open(&engine)
    #expect(connection.client("fine", &engine) == .accept)
    #expect(connection.client("attack", &engine) == .drop)
    #expect(connection.client("fine again", &engine) == .drop)
    #expect(connection.server("an answer", &engine) == .drop)
    #expect(engine.alerts == [1])
    let reasons = engine.records.filter { $0.contains("\"event_type\":\"drop\"") }.map { $0.contains("flow drop") }
    #expect(reasons == [false, true], "the rule's own, then the first of the other side")
    var other = Connection(clientPort: 41_000)
    #expect(other.open(&engine) == .accept)
  }

  /// As in Suricata: the connection does not get to see it.
  @Test func theRecordOfADroppedConnectionTellsWhatWasSentInItStill() throws {
    var engine = try TestEngine("drop tcp any any -> any any (content:\"attack\"; sid:1;)") {
      $0.isInline = true
      $0.records = .flows
    }
    var connection = Connection()
    connection.open(&engine)
    connection.client("attack", &engine)
    var end = connection.clientFrame("").reply
    end.flags = 0x11
    #expect(engine.send(end) == .drop)
    engine.finish()
    let flow = try #require(engine.records.last)
    #expect(flow.contains("\"tcp_flags\":\"1b\",\"tcp_flags_ts\":\"1a\",\"tcp_flags_tc\":\"13\""), "\(flow)")
    #expect(flow.contains("\"state\":\"established\""))
  }

  @Test func aPassRuleOnAddressesLetsTheFlowThroughWithoutInspection() throws {
    var engine = try TestEngine(
      """
      pass tcp any any -> any 80 (sid:1;)
      drop tcp any any -> any any (content:"attack"; sid:2;)
      """
    ) { $0.isInline = true }
    var connection = Connection()
    connection.open(&engine)
    #expect(connection.client("attack", &engine) == .accept)
    #expect(connection.server("attack", &engine) == .accept)
    #expect(engine.alerts == [])
  }

  @Test func finishRecordsTheFlowsThatAreLeft() throws {
    var engine = try TestEngine("alert tcp any any -> any any (flags:S; sid:1;)") { $0.records = [.alerts, .flows] }
    var connection = Connection()
    connection.open(&engine)
    connection.client("x", &engine)
    #expect(engine.records.count == 1)
    engine.finish()
    let flow = try #require(engine.records.last)
    #expect(flow.contains("\"event_type\":\"flow\",\"src_ip\":\"10.0.0.1\",\"src_port\":40000"))
    #expect(flow.contains("\"pkts_toserver\":3,\"pkts_toclient\":1"))
    #expect(flow.contains("\"state\":\"established\",\"reason\":\"shutdown\",\"alerted\":true"))
  }

  /// Whatever arrives: no crash, and every record is one line.
  @Test func anyBytesAreSurvived() throws {
    var random = SeededGenerator(seed: 0x5EED_0004)
    var engine = try TestEngine(
      """
      alert ip any any -> any any (ttl:>0; sid:1;)
      alert tcp any any -> any any (content:"abcd"; distance:-3; within:9; pcre:"/a.*b/R"; sid:2;)
      alert pkthdr any any -> any any (decode-event:ipv4.trunc_pkt; sid:3;)
      alert udp any any -> any any (byte_jump:4,0; byte_test:2,>,3,0,relative; sid:4;)
      """
    ) { $0.records = [.alerts, .drops, .flows, .decodeAnomalies, .streamAnomalies] }
    for round in 0..<3000 {
      var bytes: [UInt8]
      if round % 3 == 0 {
        bytes = random.bytes(count: 0...200)
      } else {
        let payload = random.bytes(count: 0...80, among: Array("abcd".utf8))
        bytes = TestFrame(ipProtocol: [6, 17, 1].randomElement(using: &random)!, payload: payload).bytes
        for _ in 0..<Int.random(in: 0...3, using: &random) {
          bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: .min ... .max, using: &random)
        }
        bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
      }
      #expect(engine.send(bytes) == .accept, "seed 0x5EED0004, round \(round)")
    }
    engine.finish()
    #expect(engine.statistics.packets == 3000)
    #expect(engine.records.allSatisfy { $0.hasPrefix("{\"timestamp\":") && $0.hasSuffix("}") && !$0.contains("\n") })
  }

  @Test func twoEnginesShareAProgramAndNothingElse() throws {
    let configuration = DPIConfiguration()
    let program = try DetectionProgram(
      rules: TestRules.read("alert udp any any -> any any (content:\"attack\"; sid:1;)"), configuration: configuration)
    let lists = [RecordList(), RecordList()]
    var first = try DPIEngine(program: program, configuration: configuration, sink: lists[0])
    var second = try DPIEngine(program: program, configuration: configuration, sink: lists[1])
    let bytes = TestFrame(ipProtocol: 17, payload: Array("attack".utf8)).bytes
    _ = unsafe first.inspect(
      Packet(bytes: bytes.span.bytes, stamp: FrameStamp(time: 1, ordinal: 1), direction: .receive))
    #expect(lists[0].alerts == [1])
    #expect(lists[1].alerts == [])
    _ = unsafe second.inspect(
      Packet(bytes: bytes.span.bytes, stamp: FrameStamp(time: 1, ordinal: 1), direction: .receive))
    #expect(lists[1].alerts == [1])
    #expect(first.statistics.alertsBySignature.map(\.count) == [1])
  }

  @Test func whatCannotBeCompiledIsReportedAndLeftOut() throws {
    var rules = TestRules.read("alert tcp any any -> any any (content:\"a\"; sid:1;)")
    var bad = rules[0]
    bad.sid = 2
    bad.options.append(.streamEvent("no_such_event"))
    rules.append(bad)
    let program = try DetectionProgram(rules: rules, configuration: DPIConfiguration())
    #expect(program.ruleCount == 1)
    #expect(program.problems.map(\.sid) == [2])
    #expect(program.problems[0].reason.contains("no_such_event"))
  }
}

/// Both ends of a TCP connection.
struct Connection {
  var clientPort: UInt16
  var serverPort: UInt16
  private var clientSequence: UInt32 = 1000
  private var serverSequence: UInt32 = 5000

  init(clientPort: UInt16 = 40_000, serverPort: UInt16 = 80) {
    self.clientPort = clientPort
    self.serverPort = serverPort
  }

  @discardableResult
  mutating func open(_ engine: inout TestEngine) -> Verdict {
    engine.send(
      TestFrame(
        sourcePort: clientPort, destinationPort: serverPort, flags: 0x02, sequence: clientSequence, acknowledgement: 0))
    clientSequence += 1
    signal(0x12, fromClient: false, &engine)
    serverSequence += 1
    return signal(0x10, fromClient: true, &engine)
  }

  /// Flags without a payload.
  @discardableResult
  private func signal(_ flags: UInt8, fromClient: Bool, _ engine: inout TestEngine) -> Verdict {
    var frame = fromClient ? clientFrame("") : clientFrame("").reply
    frame.flags = flags
    return engine.send(frame)
  }

  func clientFrame(_ text: String) -> TestFrame {
    TestFrame(
      sourcePort: clientPort, destinationPort: serverPort, sequence: clientSequence, acknowledgement: serverSequence,
      payload: Array(text.utf8))
  }

  @discardableResult
  mutating func client(_ text: String, _ engine: inout TestEngine) -> Verdict {
    let verdict = engine.send(clientFrame(text))
    clientSequence += UInt32(text.utf8.count)
    return verdict
  }

  @discardableResult
  mutating func server(_ text: String, _ engine: inout TestEngine) -> Verdict {
    var frame = clientFrame("").reply
    frame.payload = Array(text.utf8)
    let verdict = engine.send(frame)
    serverSequence += UInt32(text.utf8.count)
    return verdict
  }

  /// Both sides say no more.
  mutating func close(_ engine: inout TestEngine) {
    signal(0x11, fromClient: true, &engine)
    clientSequence += 1
    signal(0x11, fromClient: false, &engine)
    serverSequence += 1
    signal(0x10, fromClient: true, &engine)
  }

  /// Bytes that are no text.
  @discardableResult
  mutating func say(_ bytes: [UInt8], fromClient: Bool, _ engine: inout TestEngine) -> Verdict {
    var frame = fromClient ? clientFrame("") : clientFrame("").reply
    frame.payload = bytes
    let verdict = engine.send(frame)
    if fromClient { clientSequence += UInt32(bytes.count) } else { serverSequence += UInt32(bytes.count) }
    return verdict
  }
}
