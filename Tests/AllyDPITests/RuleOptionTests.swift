import AllyDPI
import Testing

@Suite struct RuleOptionTests {
  /// The one option of a rule.
  private func option(_ text: String, header: String = "alert tcp any any -> any any") throws -> RuleOption {
    let options = try rule(text, header: header).options
    #expect(options.count == 1)
    return try #require(options.first)
  }

  private let anyIP = "alert ip any any -> any any"

  // MARK: - Numbers

  @Test(
    arguments: [
      ("10", .equal(10)), ("=10", .equal(10)), ("!10", .notEqual(10)), ("!=10", .notEqual(10)), ("<10", .less(10)),
      ("<=10", .lessOrEqual(10)), ("> 10", .greater(10)), (">=10", .greaterOrEqual(10)),
      // Suricata's ranges leave out both ends.
      ("10<>20", .range(11...19)), ("10 <> 20", .range(11...19)), ("10-20", .range(11...19)),
      ("10<>12", .range(11...11)),
      // Snort 3's inclusive one.
      ("10<=>20", .range(10...20)),
    ] as [(String, NumberMatch)])
  func comparisons(_ text: String, expected: NumberMatch) throws {
    guard case .dsize(let match) = try option("dsize:\(text);") else {
      Issue.record("not dsize")
      return
    }
    #expect(match == expected)
    guard case .ttl(let match) = try option("ttl:\(text);") else {
      Issue.record("not ttl")
      return
    }
    #expect(match == expected)
  }

  @Test func comparisonsDecideAtTheirEdges() {
    #expect([9, 10, 11].map { NumberMatch.less(10).matches($0) } == [true, false, false])
    #expect([9, 10, 11].map { NumberMatch.lessOrEqual(10).matches($0) } == [true, true, false])
    #expect([9, 10, 11].map { NumberMatch.greater(10).matches($0) } == [false, false, true])
    #expect([9, 10, 11].map { NumberMatch.greaterOrEqual(10).matches($0) } == [false, true, true])
    #expect([9, 10, 11].map { NumberMatch.range(10...10).matches($0) } == [false, true, false])
    #expect([9, 10, 11].map { NumberMatch.notRange(10...10).matches($0) } == [true, false, true])
  }

  @Test(arguments: [
    "dsize:10<>11;", "dsize:20<>10;", "dsize:!10-20;", "dsize:70000;", "dsize:-1;", "dsize:abc;", #"dsize:"10";"#,
    "dsize:;",
    "dsize:10; dsize:20;", "ttl:300;", "itype:8:12;", "icode:300;", "id:!5;", #"id:"5";"#, "id:70000;", "id:<5;",
    "tos:0x10;",
    "tos:256;", "tos:<5;", "seq:!5;", "seq:4294967296;", "seq:>5;", "ack:>5;", #"window:"5";"#, "window:70000;",
    "window:<5;",
    "sameip:1;", "tcp.mss:70000;", "icmp_id:!5;", "icmp_seq:70000;", "fragoffset:!5;", "fragoffset:=5;",
    "fragoffset:5-10;",
    "fragbits:m;", "fragbits:0;", "fragbits:!;", "fragbits:+M!;", "ipopts:foo;", #"ipopts:"rr";"#, "flags:s;",
    "flags:S,;",
    "flags:X;", "flags:!;", "flags:!S+;", "ip_proto:6;",
  ])
  func optionsThatDoNotLoad(_ text: String) throws {
    #expect(try problem(text).location.column > 30)
  }

  @Test func headerFields() throws {
    let all = try rule(
      "ttl:5; id:6; tos:!x1f; fragoffset:>7; sameip; seq:8; ack:9; window:!10; tcp.mss:11<>20; itype:>12; icode:!13; "
        + "icmp_id:14; icmp_seq:15; ip_proto:!udp; ip_proto:>3; ipopts:LSRR; fragbits:MD+; flags:!SA,12;", header: anyIP
    )
    let described = all.options.map { option in
      switch option {
      case .ttl(let n): "ttl \(n)"
      case .ipID(let n): "id \(n)"
      case .tos(let n): "tos \(n)"
      case .fragmentOffset(let n): "offset \(n)"
      case .sameIP: "same"
      case .tcpSequence(let n): "seq \(n)"
      case .tcpAcknowledgement(let n): "ack \(n)"
      case .tcpWindow(let n): "window \(n)"
      case .tcpMSS(let n): "mss \(n)"
      case .icmpType(let n): "type \(n)"
      case .icmpCode(let n): "code \(n)"
      case .icmpID(let n): "icmp id \(n)"
      case .icmpSequence(let n): "icmp seq \(n)"
      case .ipProtocol(let n): "proto \(n)"
      case .ipOption(let option): "option \(option)"
      case .fragmentBits(let match): "bits \(match.bits) \(match.modifier)"
      case .tcpFlags(let match): "flags \(match.flags) \(match.ignored) \(match.modifier)"
      default: "?"
      }
    }
    #expect(
      described == [
        "ttl equal(5)", "id equal(6)", "tos notEqual(31)", "offset greater(7)", "same", "seq equal(8)", "ack equal(9)",
        "window notEqual(10)", "mss range(ClosedRange(12...19))", "type greater(12)", "code notEqual(13)",
        "icmp id equal(14)", "icmp seq equal(15)", "proto notEqual(17)", "proto greater(3)", "option looseSourceRoute",
        "bits 3 all", "flags 18 192 not",
      ])
  }

  @Test(arguments: [
    ("ip_proto:6;", true), ("ip_proto:TCP;", true), ("ip_proto: ! 6;", true), ("ip_proto:!6; ip_proto:!17;", true),
    ("ip_proto:0;", true), ("ip_proto:6; ip_proto:17;", false), ("ip_proto:!6; ip_proto:17;", false),
    ("ip_proto:256;", false), ("ip_proto:foo;", false), ("ip_proto:=6;", false),
  ])
  func ipProtocols(_ text: String, loads: Bool) {
    #expect(readRules("\(anyIP) (\(text) sid:1;)").rules.count == (loads ? 1 : 0))
  }

  // MARK: - Flags

  @Test(
    arguments: [
      ("S", 0x02, true), ("S", 0x12, false), ("S,CE", 0xC2, true), ("S", 0xC2, false), ("+S", 0x12, true),
      ("S+", 0x10, false),
      ("*SA", 0x10, true), ("*SA", 0x01, false), ("!S", 0x10, true), ("!SA", 0x12, false), ("!SA", 0x02, true),
      ("0", 0x00, true),
      ("0", 0x10, false), ("!0", 0x10, true), ("FSRPAUEC", 0xFF, true), ("12", 0xC0, true),
    ] as [(String, UInt8, Bool)])
  func tcpFlags(_ text: String, segment: UInt8, expected: Bool) throws {
    guard case .tcpFlags(let match) = try option("flags:\(text);") else {
      Issue.record("not flags")
      return
    }
    #expect(match.matches(segment) == expected)
  }

  @Test(
    arguments: [
      ("M", 1, true), ("M", 3, false), ("M+", 3, true), ("*MD", 2, true), ("!M", 2, true), ("!MD", 3, false),
      ("!MD", 1, true),
      ("R", 4, true),
    ] as [(String, UInt8, Bool)])
  func fragmentBits(_ text: String, header bits: UInt8, expected: Bool) throws {
    guard case .fragmentBits(let match) = try option("fragbits:\(text);") else {
      Issue.record("not fragbits")
      return
    }
    #expect(match.matches(bits) == expected)
  }

  // MARK: - flow

  @Test func flow() throws {
    var expected = FlowMatch()
    expected.side = .toServer
    expected.state = .established
    #expect(try rule("flow:to_server,established;").flow == expected)
    #expect(try rule("flow: ESTABLISHED , from_client ;").flow == expected)
    expected = FlowMatch()
    expected.side = .toClient
    expected.state = .stateless
    expected.noStream = true
    expected.onlyFragments = true
    #expect(try rule("flow:from_server,stateless,no_stream,only_frag;").flow == expected)
    #expect(try rule("flow:not_established;").flow?.state == .notEstablished)
    #expect(try rule(#"content:"a"; flow:only_stream,no_frag;"#).flow?.onlyStream == true)
  }

  @Test(arguments: [
    ("flow:to_server,to_client;", 46), ("flow:established,stateless;", 48), ("flow:established,established;", 48),
    ("flow:only_stream,no_stream;", 48), ("flow:foo;", 36), ("flow:to_server,;", 46),
    ("flow:established; flow:to_server;", 49), ("flow:only_stream; dsize:5;", 49), ("flags:S; flow:only_stream;", 31),
    ("tcp.hdr; content:\"a\"; flow:only_stream;", 40),
  ])
  func flowsThatDoNotLoad(_ text: String, column: Int) throws {
    #expect(try problem(text).location.column == column)
  }

  @Test func aRuleForTheStreamNeverAsksAboutAPacket() {
    #expect(readRules(#"alert tcp-stream any any -> any any (content:"a"; sid:1;)"#).rules.count == 1)
    #expect(readRules("alert tcp-stream any any -> any any (dsize:5; sid:1;)").problems.count == 1)
    #expect(readRules("alert tcp-pkt any any -> any any (flow:only_stream; sid:1;)").problems.count == 1)
  }

  // MARK: - State

  @Test func stateBits() throws {
    let all = try rule(
      "flowbits:set,a; flowbits:isset, b|c ; flowbits:isnotset,d; flowbits:unset,e; flowbits:toggle,f; "
        + "hostbits:set,g; hostbits:isset,h,dst; xbits:set,i,track ip_pair,expire 60; xbits:isset,j,track ip_dst;")
    let described = all.options.map { option in
      switch option {
      case .flowbits(let bits): "flow \(bits.action) \(bits.names) \(bits.expiry ?? 0)"
      case .hostbits(let bits): "host \(bits.action) \(bits.names) \(bits.track) \(bits.expiry ?? 0)"
      case .xbits(let bits): "x \(bits.action) \(bits.names) \(bits.track) \(bits.expiry ?? 0)"
      default: "?"
      }
    }
    #expect(
      described == [
        #"flow set ["a"] 0"#, #"flow isSet ["b", "c"] 0"#, #"flow isNotSet ["d"] 0"#, #"flow unset ["e"] 0"#,
        #"flow toggle ["f"] 0"#, #"host set ["g"] sourceHost 300"#, #"host isSet ["h"] destinationHost 0"#,
        #"x set ["i"] hostPair 60"#, #"x isSet ["j"] destinationHost 0"#,
      ])
    #expect(!all.noAlert)
    #expect(try rule("flowbits:set,a; flowbits:noalert;").noAlert)
    #expect(try rule("noalert;").noAlert)
  }

  @Test(arguments: [
    "flowbits:set;", "flowbits:foo,bar;", "flowbits:isset,foo bar;", "flowbits:SET,foo;", "flowbits:set,a|b;",
    "flowbits:set,a,b;", "flowbits:noalert,foo;", "flowbits:isset,|;", "hostbits:isset,foo,both;",
    "hostbits:set,foo,src,60;",
    "xbits:set,foo;", "xbits:set,foo,expire 60;", "xbits:set,foo,track ip_src,expire 0;", "xbits:set,foo,track foo;",
    "xbits:noalert;", "xbits:set,foo,expire 60,track ip_src;", "noalert:1;",
  ])
  func stateThatDoesNotLoad(_ text: String) throws {
    #expect(try problem(text).location.column > 30)
  }

  // MARK: - Thresholds

  @Test func thresholds() throws {
    #expect(
      try rule("threshold:type limit, track by_src, count 1, seconds 60;").threshold
        == Threshold(kind: .limit, track: .bySource, count: 1, seconds: 60))
    #expect(
      try rule("threshold: seconds 2,count 3 , track by_both,type both,;").threshold
        == Threshold(kind: .both, track: .byBoth, count: 3, seconds: 2))
    #expect(
      try rule("threshold:type threshold, track by_rule, count 5, seconds 60;").threshold
        == Threshold(kind: .threshold, track: .byRule, count: 5, seconds: 60))
    #expect(
      try rule("detection_filter:track by_dst, count 5, seconds 60;").threshold
        == Threshold(kind: .detectionFilter, track: .byDestination, count: 5, seconds: 60))
  }

  @Test(arguments: [
    "threshold:type limit, track by_src, count 1;", "threshold:type foo, track by_src, count 1, seconds 60;",
    "threshold:type limit, type both, track by_src, count 1, seconds 60;",
    "threshold:type limit, track by_src, count -1, seconds 60;",
    "threshold:type limit, track by_x, count 1, seconds 60;",
    "threshold:type limit, track by_src, count 5000000000, seconds 60;",
    "threshold:type limit, track by_src, count 1, seconds 60, foo bar;",
    "threshold:type limit, track by_src, count 1, seconds 6; detection_filter:track by_src, count 1, seconds 6;",
    "detection_filter:track by_src, count 0, seconds 60;", "detection_filter:track by_src, count 1;",
    "detection_filter:type limit, track by_src, count 1, seconds 60;",
  ])
  func thresholdsThatDoNotLoad(_ text: String) throws {
    #expect(try problem(text).location.column > 30)
  }

  // MARK: - Byte operations

  @Test func byteTest() throws {
    guard case .byteTest(let test) = try option("byte_test:4, !<=, 0x10, -8, relative, little, bitmask 0x0f;") else {
      Issue.record("not byte_test")
      return
    }
    var expected = ByteTest(byteCount: 4, comparison: .lessOrEqual, value: 16, offset: -8)
    expected.isNegated = true
    expected.isRelative = true
    expected.format = .binary(isLittleEndian: true)
    expected.bitmask = 15
    #expect(test == expected)
    guard case .byteTest(let text) = try option("byte_test:5,!,5,0,string,hex;") else { return }
    #expect(text.comparison == .equal && text.isNegated && text.format == .digits(base: 16))
  }

  @Test func byteJump() throws {
    guard
      case .byteJump(let jump) = try option(
        "byte_jump:2,4,relative,multiplier 3,align,from_end,post_offset -2,string,dec;")
    else {
      Issue.record("not byte_jump")
      return
    }
    var expected = ByteJump(byteCount: 2, offset: 4)
    expected.isRelative = true
    expected.multiplier = 3
    expected.aligns = true
    expected.origin = .end
    expected.postOffset = -2
    expected.format = .digits(base: 10)
    #expect(jump == expected)
  }

  @Test func variablesOfByteOperations() throws {
    let all = try rule(
      "byte_extract:2,1,size,relative,multiplier 2,align 4,little; "
        + "byte_math:bytes 4, offset 2, oper <<, rvalue size, result sum, relative, endian little, bitmask 0xff; "
        + "byte_test:size,=,sum,size; byte_jump:4,sum; isdataat:!sum,relative; byte_extract:1,0,size;")
    #expect(all.byteVariables == ["size", "sum"])
    guard case .byteExtract(let extract) = all.options[0], case .byteMath(let math) = all.options[1],
      case .byteTest(let test) = all.options[2], case .byteJump(let jump) = all.options[3],
      case .isDataAt(let isDataAt) = all.options[4], case .byteExtract(let again) = all.options[5]
    else {
      Issue.record("\(all.options)")
      return
    }
    #expect(extract.variable == 0 && extract.alignment == 4 && extract.multiplier == 2)
    #expect(extract.format == .binary(isLittleEndian: true))
    #expect(math.operand == .variable(0) && math.variable == 1 && math.operation == .shiftLeft && math.bitmask == 255)
    #expect(test.byteCount == .variable(0) && test.value == .variable(1) && test.offset == .variable(0))
    #expect(jump.offset == .variable(1))
    #expect(isDataAt.position == .variable(1) && isDataAt.isNegated && isDataAt.isRelative)
    #expect(again.variable == 0)
  }

  @Test(arguments: [
    "byte_test:1,==,5,0;", "byte_test:9,=,5,0;", "byte_test:24,=,5,0,string;", "byte_test:4,=,5,0,hex;",
    "byte_test:4,=,foo,0;", "byte_test:4,=,5;", "byte_test:4,=,5,0,foo;", "byte_jump:9,0;",
    "byte_jump:24,0,string,dec;",
    "byte_jump:4;", "byte_jump:4,0,multiplier 0;", "byte_jump:4,0,from_beginning,from_end;",
    "byte_jump:4,0,post_offset 70000;",
    "byte_extract:9,0,foo;", "byte_extract:23,0,foo,string,dec;", "byte_extract:2,0,foo,align 3;",
    "byte_extract:2,0,foo,multiplier 0;", "byte_extract:2,70000,foo;", "byte_extract:2,0;",
    "byte_math:bytes 4, oper -, rvalue 3, result foo;", "byte_math:bytes 4, offset 0, oper %, rvalue 3, result foo;",
    "byte_math:bytes 11, offset 0, oper +, rvalue 3, result foo, string dec;",
    "byte_math:bytes 4, offset 0, oper +, rvalue 3, result foo, endian big, endian little;", "isdataat:foo;",
    "isdataat:70000;", "isdataat:-1;", "isdataat:5,foo;", #"isdataat:"5";"#,
  ])
  func byteOperationsThatDoNotLoad(_ text: String) throws {
    let problem = try problem(text)
    #expect(problem.location.column > 30)
    #expect(!problem.isUnsupported)
  }

  // MARK: - Events

  @Test func events() throws {
    guard case .decodeEvent(let event) = try option("decode-event:IPv4.pkt_too_small;") else {
      Issue.record("not decode-event")
      return
    }
    #expect(event == "ipv4.pkt_too_small")
    guard case .streamEvent(let event) = try option("stream-event:3whs_ack_in_wrong_dir;") else {
      Issue.record("not stream-event")
      return
    }
    #expect(event == "3whs_ack_in_wrong_dir")
    #expect(try problem("decode-event:stream.3whs_ack_in_wrong_dir;").location.column == 44)
    #expect(try problem("stream-event:foo;").location.column == 44)
  }

  // MARK: - Bookkeeping

  @Test func bookkeeping() throws {
    let all = try rule(
      #"msg:" a\"b\;c\\d\:e \x"; rev:5; gid:3; classtype:trojan-activity; reference:cve,2000-1; "#
        + #"reference: url , www.x.com/a,b ; metadata:word, key value with space, key  other ; metadata:k v; target:dest_ip;"#
    )
    #expect(all.message == #" a"b;c\d:e x"#)
    #expect(all.sid == 1 && all.rev == 5 && all.gid == 3)
    #expect(all.classtype == "trojan-activity" && all.priority == 1)
    #expect(all.category == "A Network Trojan was detected")
    #expect(
      all.references == [.init(scheme: "cve", value: "2000-1"), .init(scheme: "url", value: "www.x.com/a,b")])
    #expect(all.metadata.map(\.key) == ["key", "key", "k"])
    #expect(all.metadata.map(\.value) == ["value with space", "other", "v"])
    #expect(all.target == .destination)
  }

  @Test func priorityStandsAboveTheClassType() throws {
    #expect(try rule("priority:9; classtype:trojan-activity;").priority == 9)
    #expect(try rule("classtype:trojan-activity; priority:9;").priority == 9)
    #expect(try rule(#"msg:"x";"#).priority == 3)
  }

  @Test func anUnknownClassTypeLoadsWithAWarning() throws {
    let report = readRules("alert tcp any any -> any any (classtype:made-up; sid:1;)")
    let rule = try #require(report.rules.first)
    #expect(rule.priority == 3 && rule.classtype == "made-up" && rule.category.isEmpty)
    #expect(report.warnings.map(\.location.column) == [41])
  }

  @Test(arguments: [
    (#"msg:abc;"#, 35), (#"msg:"";"#, 36), (#"msg:"a"; msg:"b";"#, 40), (#"msg:!"a";"#, 37), (#"msg:"abc" x;"#, 41),
    ("rev:0;", 35), ("rev:1; rev:2;", 38), (#"gid:"3";"#, 36), ("gid:4294967296;", 35), ("priority:-1;", 40),
    ("classtype:foo bar;", 41), ("classtype:foo!;", 41), ("reference:cve;", 41), ("reference:cve,;", 41),
    ("metadata;", 31),
    ("target:dst_ip;", 38),
    ("sid:5;", 38), ("sid:0;", 35), ("nosuchkeyword:1;", 31),
  ])
  func bookkeepingThatDoesNotLoad(_ text: String, column: Int) throws {
    #expect(try problem(text).location.column == column)
  }

  @Test func keywordsDoNotLookAtCase() throws {
    #expect(try rule(#"MSG:"x"; Content:"a"; NOCASE;"#).message == "x")
  }

  // MARK: - requires

  @Test(arguments: [
    ("version >= 7", true), ("version >= 7.0.10", true), ("version > 7.0.10", false), ("version < 8", true),
    ("version >= 6 < 7", false), ("version >= 9 | >= 7 < 8", true), ("version >= 9 | < 7", false),
    ("keyword content", true),
    ("keyword nosuchkeyword", false), ("feature nosuchfeature", false), ("version >= 7, feature nosuchfeature", false),
    ("nonsense", false),
  ])
  func requirements(_ text: String, isMet: Bool) {
    let report = readRules("alert ip any any -> any any (requires: \(text); sid:1;)")
    #expect(report.rules.count == (isMet ? 1 : 0))
    #expect(report.problems.map(\.isUnsupported) == (isMet ? [] : [true]))
  }

  @Test(arguments: ["version", "version 7", "version >= x", "version >= 7 |", "version >= 7.0.0.1"])
  func requirementsThatAreWrong(_ text: String) throws {
    #expect(try problem("requires: \(text);").isUnsupported == false)
  }
}
