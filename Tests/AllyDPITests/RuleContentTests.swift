import AllyDPI
import Testing

@Suite struct RuleContentTests {
  @Test(
    arguments: [
      (#"content:"abc";"#, Array("abc".utf8)),
      (#"content:"a|41 42|b|43|";"#, Array("aABbC".utf8)),
      (#"content:"|4142|";"#, [0x41, 0x42]),
      (#"content:"|00 fF|";"#, [0x00, 0xFF]),
      (#"content:"a\;b\:c\"d\\e";"#, Array(#"a;b:c"d\e"#.utf8)),
      (#"content:"a:b";"#, Array("a:b".utf8)),
      // Snort lets a semicolon stand between quotes.
      (#"content:"a;b";"#, Array("a;b".utf8)),
      (#"content : "abc" ;"#, Array("abc".utf8)),
    ] as [(String, [UInt8])])
  func literals(_ option: String, expected: [UInt8]) throws {
    #expect(contents(try rule(option)).map(\.bytes) == [expected])
  }

  @Test func bytesThatAreNotUTF8AreKept() throws {
    let text =
      Array(#"alert tcp any any -> any any (content:""#.utf8) + [0xFF, 0xE9, 0x80] + Array(#""; sid:1;)"#.utf8)
    #expect(contents(try #require(readRules(text).rules.first)).map(\.bytes) == [[0xFF, 0xE9, 0x80]])
  }

  @Test func modifiersConcernTheContentInFront() throws {
    let all = contents(
      try rule(
        #"content:"one"; offset:3; depth:10; nocase; content:!"two"; distance:-2; within:9; flow:established; rawbytes; "#
          + #"content:"three"; fast_pattern:1,3;"#))
    #expect(all.count == 3)
    #expect(all[0].offset == 3 && all[0].depth == 10 && all[0].isCaseless && !all[0].isNegated && !all[0].isRelative)
    #expect(all[1].distance == -2 && all[1].within == 9 && all[1].isRaw && all[1].isNegated && all[1].isRelative)
    #expect(all[2].fastPattern == .init(chop: 1..<4))
    #expect(all[2].offset == nil && !all[2].isCaseless)
  }

  @Test func startsWithIsOffsetAndDepth() throws {
    let content = contents(try rule(#"content:"abcd"; startswith; endswith;"#))[0]
    #expect(content.startsWith && content.endsWith)
    #expect(content.offset == 0 && content.depth == 4)
  }

  @Test func theModifiersOfSnort3() throws {
    let content = contents(
      try rule(#"content:"abcdef",depth 16,offset 2,nocase,fast_pattern,fast_pattern_offset 1,fast_pattern_length 3;"#))[
        0]
    #expect(content.depth == 16 && content.offset == 2 && content.isCaseless)
    #expect(content.fastPattern?.chop == 1..<4)
    #expect(try problem(#"content:"abc",flow to_server;"#).location.column == 45)
  }

  @Test func variablesAreTakenWhereNumbersAre() throws {
    let rule = try rule(#"byte_extract:1,0,size; content:"a"; offset:size; content:"b"; distance:size; within:size;"#)
    #expect(rule.byteVariables == ["size"])
    #expect(contents(rule)[0].offset == .variable(0))
    #expect(contents(rule)[1].within == .variable(0))
    #expect(try problem(#"content:"a"; offset:size; byte_extract:1,0,size;"#).reason.contains("'size'"))
  }

  /// What Suricata 7.0.10 takes; the places of its errors are ours.
  @Test(arguments: [
    #"content:"abc"; distance:1;"#, #"content:"abc"; within:3;"#, #"content:!"abc"; fast_pattern;"#,
    #"content:!"abc"; fast_pattern:0,2;"#, #"content:"abcdef"; endswith; offset:1;"#,
    #"content:!"abc"; endswith; depth:5;"#, #"content:"abc"; offset:65535;"#, #"content:"abc"; distance:-1048576;"#,
    #"content:"abc"; within:1048576;"#, #"content:"a"; pcre:"/a/"; nocase;"#,
    #"content:"a"; flow:to_server; offset:3;"#,
    #"content: ! "ab";"#, #"content:"abcdef"; dsize:<6;"#, #"content:"abc"; prefilter;"#,
    #"content:"a"; content:"b"; distance:5; content:"c"; depth:3;"#,
    #"content:"abcdef"; content:"b"; distance:-6; dsize:6;"#,
  ])
  func contentsThatLoad(_ options: String) throws {
    _ = try rule(options)
  }

  @Test(arguments: [
    (#"content:"";"#, 40, "a value"), (#"content:abc;"#, 39, "in quotes"), (#"content;"#, 31, "a value"),
    (#"content:"||";"#, 40, "at least one byte"), (#"content:"|4|";"#, 42, "two hexadecimal digits"),
    (#"content:"|41 zz|";"#, 44, "hexadecimal digit"), (#"content:"ab|41";"#, 42, "'|'"),
    (#"content:"a"b";"#, 41, "quote"), (#"content:"a\nb";"#, 41, "backslash"), (#"content:"a" x;"#, 43, "';'"),
    (#"nocase; content:"abc";"#, 31, "a content"), (#"content:"abc"; nocase:1;"#, 53, "no value"),
    (#"content:"abc"; nocase; nocase;"#, 54, "only once"), (#"content:"abc"; depth:2;"#, 52, "3 bytes"),
    (#"content:"abc"; within:2;"#, 53, "3 bytes"), (#"content:"abc"; offset:1; distance:1;"#, 56, "either offset"),
    (#"content:"abc"; within:5; depth:9;"#, 56, "either offset"),
    (#"content:"abc"; offset:1; offset:2;"#, 56, "only once"),
    (#"content:"abc"; offset:70000;"#, 53, "65535"), (#"content:"abc"; offset:"5";"#, 54, "without quotes"),
    (#"content:"abc"; offset:5x;"#, 53, "number"), (#"content:"abc"; distance:2000000;"#, 55, "number"),
    (#"content:"abc"; startswith; offset:1;"#, 58, "startswith"),
    (#"content:"abc"; offset:1; startswith;"#, 56, "startswith"),
    (#"content:"abc"; startswith; depth:9;"#, 58, "only once"),
    (#"content:"abc"; depth:9; startswith;"#, 55, "only one"),
    (#"content:"abc"; distance:0; startswith;"#, 58, "either offset"),
    (#"content:!"abc"; offset:5; fast_pattern;"#, 57, "negated"),
    (#"content:!"abc"; fast_pattern; offset:5;"#, 61, "negated"),
    (#"content:"a"; fast_pattern; content:"b"; fast_pattern;"#, 71, "only one content"),
    (#"content:"abc"; fast_pattern:only; offset:3;"#, 65, "only"),
    (#"content:"abc"; offset:3; fast_pattern:only;"#, 69, "anywhere"),
    (#"content:"a"; fast_pattern:only; content:"b"; distance:0;"#, 76, "fast_pattern:only"),
    (#"content:"abcdef"; fast_pattern:2,5;"#, 62, "6 bytes"), (#"content:"abc"; fast_pattern:x;"#, 59, "'only'"),
    (#"content:"abcdef"; dsize:5;"#, 49, "6 bytes"),
    (#"content:"abcdef"; content:"abc"; distance:0; dsize:8;"#, 76, "9 bytes"),
    (#"content:"a"; tcp.hdr; nocase;"#, 53, "a content"), (#"tcp.hdr; content:"a"; rawbytes;"#, 53, "rawbytes"),
    (#"prefilter; content:"a";"#, 31, "prefilter"), (#"content:"a"; pcre:"/a/"; prefilter;"#, 56, "prefilter"),
  ])
  func contentsThatDoNotLoad(_ options: String, column: Int, reason: String) throws {
    let problem = try problem(options)
    #expect(problem.location.column == column)
    #expect(problem.reason.contains(reason), "\(problem.reason)")
    #expect(!problem.isUnsupported)
  }

  // MARK: - pcre

  @Test func patternsAndTheirFlags() throws {
    let rule = try rule(#"content:"a"; pcre:!"/a\/b"c\;[d]/ismxAEGR";"#)
    guard case .pcre(let pattern) = rule.options[1] else {
      Issue.record("no pattern: \(rule.options)")
      return
    }
    #expect(pattern.pattern == Array(#"a\/b"c\;[d]"#.utf8))
    #expect(pattern.isNegated && pattern.caseless && pattern.dotAll && pattern.multiline && pattern.extended)
    #expect(pattern.anchored && pattern.dollarEndOnly && pattern.ungreedy && pattern.relative)
    #expect(pattern.location.column == 52)
  }

  @Test(arguments: [
    #"pcre:"/a/b/";"#, #"pcre:"//";"#, #"pcre:/abc/;"#, #"pcre:"m/abc/";"#, #"pcre:"/abc/B";"#, #"pcre:"/abc/O";"#,
    #"pcre:"/a/"; pcre:"/b/R";"#, #"pcre:"/a;b/";"#, #"content:"a"; tcp.hdr; pcre:"/a/R";"#,
  ])
  func patternsThatLoad(_ options: String) throws {
    _ = try rule(options)
  }

  @Test(arguments: [
    (#"pcre:"/abc/z";"#, 42, "flag", false),
    (#"pcre:"/abc";"#, 37, "a pattern", false), (#"pcre:"abc";"#, 37, "a pattern", false),
    (#"pcre:"/(abc/";"#, 42, "PCRE2", false), (#"pcre:"/x[a-/";"#, 42, "PCRE2", false),
    (#"pcre:"/abc/R";"#, 31, "relative", false), (#"byte_jump:1,0; pcre:"/abc/R";"#, 46, "relative", false),
  ])
  func patternsThatDoNotLoad(_ options: String, column: Int, reason: String, isUnsupported: Bool) throws {
    let problem = try problem(options)
    #expect(problem.location.column == column)
    #expect(problem.reason.contains(reason), "\(problem.reason)")
    #expect(problem.isUnsupported == isUnsupported)
  }

  // MARK: - Sticky buffers

  @Test func aStickyBufferHoldsUntilTheNext() throws {
    let rule = try rule(
      #"content:"a"; tcp.hdr; content:"b"; pcre:"/c/"; byte_test:1,=,5,0; isdataat:5; bsize:>19; ipv4.hdr; "#
        + #"byte_jump:1,0; pkt_data; content:"d";"#)
    #expect(
      rule.options.map(\.buffer) == [
        .payload, .tcpHeader, .tcpHeader, .tcpHeader, .tcpHeader, .tcpHeader, .ipv4Header, .payload,
      ])
  }

  @Test(arguments: [
    ("tcp", "tcp.hdr", true), ("udp", "udp.hdr", true), ("ip", "tcp.hdr", true), ("tcp", "ipv4.hdr", true),
    ("udp", "ipv6.hdr", true), ("icmp", "icmpv4.hdr", true), ("icmp", "icmpv6.hdr", true), ("udp", "tcp.hdr", false),
    ("tcp", "udp.hdr", false), ("tcp", "icmpv6.hdr", false),
  ])
  func headersMustBeInTheProtocol(_ name: String, _ buffer: String, loads: Bool) {
    let report = readRules(#"alert \#(name) any any -> any any (\#(buffer); content:"a"; sid:1;)"#)
    #expect(report.rules.count == (loads ? 1 : 0))
    #expect(report.problems.count == (loads ? 0 : 1))
  }

  @Test(arguments: [
    ("tcp.hdr;", 31, "behind the buffer"), ("tcp.hdr:x;", 39, "no value"), ("bsize:5;", 31, "dsize"),
    ("pkt_data; bsize:5;", 41, "dsize"), (#"tcp.hdr; content:"abcdef"; bsize:5;"#, 58, "6 bytes"),
    (#"tcp.hdr; content:"abc"; offset:3; bsize:5;"#, 65, "6 bytes"),
  ])
  func buffersThatDoNotLoad(_ options: String, column: Int, reason: String) throws {
    let problem = try problem(options)
    #expect(problem.location.column == column)
    #expect(problem.reason.contains(reason), "\(problem.reason)")
  }
}
