import AllyDPI
import AllyPacket
import Testing

@Suite struct RuleReportTests {
  @Test func commentsBlankLinesAndDisabledRulesArePassedOver() {
    let report = readRules(
      """
      # a comment

      #alert tcp any any -> any any (msg:"disabled"; sid:1;)
        # alert tcp any any -> any any (msg:"disabled"; sid:2;)
      alert tcp any any -> any any (msg:"on"; sid:3;)
      \t
        alert tcp any any -> any any (msg:"indented"; sid:4;)
      """)
    #expect(report.rules.map(\.sid) == [3, 4])
    #expect(report.rules.map(\.location.line) == [5, 7])
    #expect(report.rules.map(\.location.column) == [1, 3])
    #expect(report.problems.isEmpty)
  }

  @Test func continuationLinesAreOneRuleAndKeepTheirPlaces() {
    let report = readRules(
      "# first\n"
        + "alert tcp any any -> any any (msg:\"a\"; \\  \r\n"
        + "  content:\"abc\"; \\\n"
        + "  offset:x; sid:5;)\r\n"
        + "alert tcp any any -> any any (msg:\"b\"; sid:6;)")
    #expect(report.problems.map(\.location) == [RuleLocation(file: "test.rules", line: 4, column: 10)])
    #expect(report.problems.map(\.sid) == [5])
    #expect(report.rules.map(\.location.line) == [5])
    #expect(report.rules.map(\.message) == ["b"])
  }

  @Test func aContinuedLineAtTheEndOfTheFileIsTheEnd() {
    #expect(readRules("alert tcp any any -> any any (sid:5;) \\").rules.count == 1)
    #expect(readRules("alert tcp any any -> any any \\").problems.count == 1)
    #expect(readRules("\\").problems.count == 1)
  }

  @Test func columnsCountCharacters() throws {
    let report = readRules("alert tcp any any -> any any (msg:\"héllo €\"; nocase; sid:1;)")
    #expect(report.problems.map(\.location.column) == [46])
    // A byte that is no UTF-8 counts as one.
    let text = Array("alert tcp any any -> any any (msg:\"".utf8) + [0xE9, 0xFF] + Array("\"; nocase; sid:1;)".utf8)
    #expect(readRules(text).problems.map(\.location.column) == [41])
    let good = Array("alert tcp any any -> any any (msg:\"".utf8) + [0xE9] + Array("\"; sid:1;)".utf8)
    #expect(try #require(readRules(good).rules.first).message == "\u{FFFD}")
  }

  @Test func aByteOrderMarkIsNoError() {
    #expect(readRules([0xEF, 0xBB, 0xBF] + Array("alert tcp any any -> any any (sid:1;)".utf8)).rules.count == 1)
  }

  @Test func oneBadRuleDoesNotStopTheRest() {
    let report = readRules(
      """
      alert tcp any any -> any any (msg:"good"; sid:1;)
      alert tcp any any -> any any (msg:"bad"; content:"|4"; sid:2;)
      alert tcp any any -> any any (msg:"unsupported"; lua:a.lua; sid:3;)
      rubbish
      alert tcp any any -> any any (msg:"good"; sid:4;)
      """)
    #expect(report.rules.map(\.sid) == [1, 4])
    #expect(report.problems.map(\.sid) == [2, 3, 0])
    #expect(report.problems.map(\.location.column) == [51, 50, 8])
    #expect(report.problems.map(\.isUnsupported) == [false, true, false])
    #expect(report.total == 5)
    #expect(report.unsupportedCount == 1)
    #expect(report.problems[1].description == "test.rules:3:50: the keyword 'lua' is not supported (sid 3)")
  }

  @Test(arguments: [
    ("alert tcp any any -> any any", 29, "'('"), ("alert tcp any any -> any any (msg:\"x\"; sid:1", 45, "';'"),
    ("alert tcp any any -> any any (msg:\"x\"; sid:1;", 46, "')'"),
    ("alert tcp any any -> any any (msg:\"x\";)", 1, "a sid"),
    ("alert tcp any any -> any any (msg:\"x\"; sid:1;) x", 48, "nothing"),
    ("alert tcp any any -> any any ()", 1, "a sid"),
    ("alert tcp any any -> any any (msg:\"x\"; sid:1;;)", 46, "a keyword"),
    ("alert tcp any any -> any any (msg \"x\"; sid:1;)", 35, "':' or ';'"),
    ("alert tcp any any -> any any (sid:1; msg:\"x; rev:1;)", 42, "closing"),
  ])
  func brokenRules(_ text: String, column: Int, reason: String) throws {
    let report = readRules(text)
    #expect(report.rules.isEmpty)
    let problem = try #require(report.problems.first)
    #expect(problem.location.column == column)
    #expect(problem.reason.contains(reason), "\(problem.reason)")
  }

  @Test func ofTwoRulesWithTheSameSignatureTheNewerStays() {
    let report = readRules(
      """
      alert tcp any any -> any any (msg:"one"; sid:1; rev:2;)
      alert tcp any any -> any any (msg:"one older"; sid:1; rev:1;)
      alert tcp any any -> any any (msg:"two"; sid:2; rev:1;)
      alert tcp any any -> any any (msg:"two newer"; sid:2; rev:2;)
      alert tcp any any -> any any (msg:"three"; sid:3; rev:1;)
      alert tcp any any -> any any (msg:"three again"; sid:3; rev:1;)
      alert tcp any any -> any any (msg:"three of another generator"; sid:3; rev:1; gid:7;)
      """)
    #expect(report.rules.map(\.message) == ["one", "two newer", "three", "three of another generator"])
    #expect(report.problems.map(\.location.line) == [2, 3, 6])
    #expect(report.problems[1].reason.contains("rev 2 at test.rules:4"), "\(report.problems[1].reason)")
  }

  @Test func filesAreMergedLikeOne() {
    var report = readRules(#"alert tcp any any -> any any (msg:"old"; sid:1; rev:1;)"#)
    report.merge(readRules(#"alert tcp any any -> any any (msg:"new"; sid:1; rev:2;)"#))
    report.merge(readRules(#"alert tcp any any -> any any (msg:"other"; sid:2; rev:2;)"#))
    #expect(report.rules.map(\.message) == ["new", "other"])
    #expect(report.problems.count == 1)
  }

  @Test func theTextIsKeptForRecords() throws {
    let rule = try #require(readRules("  alert tcp any any -> \\\nany any (sid:1;)  ").rules.first)
    #expect(rule.text == "alert tcp any any -> any any (sid:1;)")
  }
}
