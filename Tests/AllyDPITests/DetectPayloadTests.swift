import Testing

@testable import AllyDPI

/// Payload options on UDP datagrams: the bytes a rule sees are the bytes written here.
@Suite struct DetectPayloadTests {
  /// Options, payload, whether the rule matches.
  static let cases: [(String, String, Bool)] = [
    ("content:\"abc\";", "xxabcxx", true),
    ("content:\"abc\";", "xxABCxx", false),
    ("content:\"abc\"; nocase;", "xxABCxx", true),
    ("content:!\"abc\";", "xxabcxx", false),
    ("content:!\"abc\";", "xyz", true),
    ("content:\"|61 62|c\";", "abc", true),
    // Absolute places.
    ("content:\"abc\"; offset:2;", "xabc", false),
    ("content:\"abc\"; offset:1;", "xabc", true),
    ("content:\"abc\"; depth:3;", "xabc", false),
    ("content:\"abc\"; depth:4;", "xabc", true),
    ("content:\"abc\"; offset:1; depth:3;", "xabc", true),
    ("content:\"abc\"; offset:1; depth:3;", "xxabc", false),
    ("content:\"abc\"; startswith;", "abcx", true),
    ("content:\"abc\"; startswith;", "xabc", false),
    ("content:\"abc\"; endswith;", "xabc", true),
    ("content:\"abc\"; endswith;", "abcxabc", true),
    ("content:\"abc\"; endswith;", "abcx", false),
    // Relative places: from the end of the match before.
    ("content:\"abc\"; content:\"def\"; distance:0;", "abcdef", true),
    ("content:\"abc\"; content:\"def\"; distance:0;", "defabc", false),
    ("content:\"abc\"; content:\"def\"; distance:1;", "abcdef", false),
    ("content:\"abc\"; content:\"def\"; distance:1;", "abcxdef", true),
    ("content:\"abc\"; content:\"def\"; within:3;", "abcdef", true),
    ("content:\"abc\"; content:\"def\"; within:3;", "abcxdef", false),
    ("content:\"abc\"; content:\"def\"; distance:1; within:3;", "abcxdef", true),
    ("content:\"abc\"; content:\"bcd\"; distance:-2; within:3;", "abcd", true),
    // The nearest match that a later option counts from is retried.
    ("content:\"ab\"; content:\"cd\"; within:2;", "abxabcd", true),
    ("content:\"ab\"; content:\"cd\"; distance:1; within:2;", "abcd abxcd", true),
    ("content:\"a\"; content:\"b\"; within:1; content:\"c\"; within:1;", "ab ab abc", true),
    ("content:\"a\"; content:\"b\"; within:1; content:\"c\"; within:1;", "ab ac bc", false),
    ("content:\"ab\"; content:!\"cd\"; within:2;", "abcd", false),
    ("content:\"ab\"; content:!\"cd\"; within:2;", "abcdabxx", true),
    ("content:\"ab\"; content:\"cd\"; endswith; within:4;", "abcdxxabxxcd", true),
    // pcre.
    ("pcre:\"/a.c/\";", "xxabcxx", true),
    ("pcre:!\"/a.c/\";", "xxabcxx", false),
    ("pcre:!\"/a.c/\";", "xyz", true),
    ("content:\"id=\"; pcre:\"/^[0-9]+x/R\";", "id=12 id=34x", true),
    ("content:\"id=\"; pcre:\"/^[0-9]+x/R\";", "34x id=12", false),
    ("pcre:\"/ab/\"; content:\"cd\"; within:2;", "abxabcd", true),
    ("pcre:\"/AB/i\"; content:\"cd\"; distance:0;", "xabcd", true),
    // Sizes.
    ("dsize:3;", "abc", true),
    ("dsize:>3;", "abc", false),
    ("dsize:!3;", "abcd", true),
    ("dsize:2<>5;", "abc", true),
    ("isdataat:2;", "abc", true),
    ("isdataat:3;", "abc", false),
    ("isdataat:!3;", "abc", true),
    ("content:\"ab\"; isdataat:2,relative;", "xabcd", true),
    ("content:\"ab\"; isdataat:!1,relative;", "xab", true),
    ("content:\"ab\"; isdataat:!1,relative;", "xabc", false),
    ("content:\"ab\"; isdataat:!1,relative;", "abxab", true),
    // Numbers.
    ("byte_test:1,=,0x61,0;", "abc", true),
    ("byte_test:1,!=,0x61,0;", "abc", false),
    ("byte_test:2,>,0x6161,0;", "abc", true),
    ("byte_test:2,=,0x6261,0,little;", "abc", true),
    ("byte_test:1,&,0x40,0;", "abc", true),
    ("byte_test:4,=,1,0;", "abc", false),
    ("content:\"len=\"; byte_test:2,=,42,0,relative,string,dec;", "len=42", true),
    ("content:\"len=\"; byte_test:2,>,42,0,relative,string,dec;", "len=42", false),
    ("byte_jump:1,0,string,dec; content:\"d\"; within:1;", "2bcd", true),
    ("byte_jump:1,0,string,dec; content:\"d\"; within:1;", "3bcd", false),
    ("byte_extract:1,0,n,string,dec; content:\"x\"; offset:n;", "3bcx", true),
    ("byte_extract:1,0,n,string,dec; content:\"x\"; offset:n;", "4bcx", false),
  ]

  @Test(arguments: cases)
  func payloadOptions(options: String, payload: String, isMatch: Bool) throws {
    // Twice: found through a literal, and found through the ports.
    var engine = try TestEngine("alert udp any any -> any any (\(options) sid:1;)")
    engine.send(TestFrame(ipProtocol: 17, payload: Array(payload.utf8)))
    #expect(engine.alerts == (isMatch ? [1] : []), "\(options) on \(payload)")
  }

  /// Two contents that both occur n times and never fit: n² attempts without a bound.
  @Test func attemptsAreBounded() throws {
    let options = (0..<6).map { _ in "content:\"a\"; distance:0;" }.joined(separator: " ")
    var engine = try TestEngine(
      "alert udp any any -> any any (content:\"zzzz\"; \(options) content:\"q\"; distance:0; within:5; sid:1;)")
    engine.send(TestFrame(ipProtocol: 17, payload: Array("zzzz".utf8) + [UInt8](repeating: 0x61, count: 1400)))
    #expect(engine.alerts == [])
    #expect(engine.statistics.evaluationLimits == 1)
    try engine.reload("alert udp any any -> any any (content:\"other\"; sid:2;)")
    #expect(engine.statistics.evaluationLimits == 1, "counts go on with other rules")
  }

  /// Every rule must give the same answer whether Hyperscan or the ports propose it.
  @Test func theSearchForCandidatesLosesNoMatch() throws {
    var random = SeededGenerator(seed: 0x5EED_0003)
    for round in 0..<40 {
      let alphabet = Array("abAB".utf8)
      let contents = (0..<30).map { _ in random.bytes(count: 1...7, among: alphabet) }
      let rules = contents.enumerated().map { index, content in
        let text = String(decoding: content, as: UTF8.self)
        return
          "alert udp any any -> any any (content:\"\(text)\";\(index % 3 == 0 ? " nocase;" : "") sid:\(index + 1);)"
      }
      var engine = try TestEngine(rules.joined(separator: "\n")) { $0.maximumAlertsPerPacket = 100 }
      let payload = random.bytes(count: 1...60, among: alphabet)
      engine.send(TestFrame(ipProtocol: 17, payload: payload))
      let expected = contents.enumerated().filter { index, content in
        let fold = { (bytes: [UInt8]) in index % 3 == 0 ? bytes.map { $0 | 0x20 } : bytes }
        return fold(payload).indices.contains { fold(payload)[$0...].starts(with: fold(content)) }
      }.map { $0.offset + 1 }
      #expect(engine.alerts == expected, "seed 0x5EED0003, round \(round)")
    }
  }
}
