import AllyDPI
import AllyPacket
import Testing

@Suite struct RuleConfigurationTests {
  // MARK: - classification.config

  @Test func classTypes() {
    let (classifications, problems) = Classifications.read(
      Array(
        """
        # name, description, priority
        config classification: one,The First, 2
          config classification:  Two , The Second ,1
        config classification: one,Again,9
        config classification: three,No priority
        config reference: cve http://x
        config classification: four,Bad priority,high
        """.utf8), file: "classification.config")
    #expect(classifications["one"] == .init(description: "The First", priority: 2))
    #expect(classifications["TWO"] == .init(description: "The Second", priority: 1))
    #expect(classifications.entries.count == 2)
    #expect(problems.map(\.location.line) == [5, 6, 7])
    #expect(problems[2].location.column == 42)
    let report = readRules("alert ip any any -> any any (classtype:Two; sid:1;)", classifications: classifications)
    #expect(report.rules.map(\.priority) == [1])
    #expect(report.rules.map(\.category) == ["The Second"])
  }

  @Test func theClassTypesThatShip() {
    let standard = Classifications.standard
    #expect(standard.entries.count == 43)
    #expect(standard["not-suspicious"] == .init(description: "Not Suspicious Traffic", priority: 3))
    #expect(standard["command-and-control"]?.priority == 1)
    #expect(standard["tcp-connection"]?.priority == 4)
    #expect(standard["nonsense"] == nil)
  }

  // MARK: - reference.config

  @Test func references() {
    let (references, problems) = References.read(
      Array("config reference: cve http://cve/\nconfig reference: CVE http://other/\nconfig reference: x\n".utf8),
      file: "reference.config")
    #expect(references.url(of: .init(scheme: "CVE", value: "2021-1")) == "http://cve/2021-1")
    #expect(references.url(of: .init(scheme: "nobody", value: "1")) == nil)
    #expect(problems.map(\.location.line) == [3])
    #expect(References.standard.url(of: .init(scheme: "url", value: "example.com/a")) == "http://example.com/a")
  }

  // MARK: - threshold.config

  private func thresholds(_ text: String) -> ThresholdFile {
    ThresholdFile(Array(text.utf8), file: "threshold.config", configuration: DPIConfiguration())
  }

  private func apply(_ text: String, to rules: String) -> [Rule] {
    var report = readRules(rules)
    thresholds(text).apply(to: &report)
    return report.rules
  }

  private let two = """
    alert ip any any -> any any (sid:1; threshold:type limit, track by_src, count 7, seconds 7;)
    alert ip any any -> any any (sid:2;)
    alert ip any any -> any any (sid:2; gid:5;)
    """

  @Test func entriesReachTheirRules() {
    let rules = apply(
      """
      threshold gen_id 1, sig_id 1, type limit, track by_src, count 1, seconds 60
      threshold gen_id 1, sig_id 0, type both, track by_dst, count 2, seconds 61
      event_filter gen_id 1, sig_id 2, type threshold, track by_rule, count 3, seconds 62
      suppress gen_id 1, sig_id 2, track by_src, ip [$HOME_NET,!10.1.1.1]
      suppress gen_id 0, sig_id 0, track by_either, ip 9.9.9.9
      suppress gen_id 1, sig_id 1
      rate_filter gen_id 1, sig_id 2, track by_both, count 5, seconds 10, new_action drop, timeout 60
      """, to: two)
    // The rule's own threshold stands above the file's.
    #expect(rules[0].threshold == Threshold(kind: .limit, track: .bySource, count: 7, seconds: 7))
    // The line that names the rule stands above the one for all.
    #expect(rules[1].threshold == Threshold(kind: .threshold, track: .byRule, count: 3, seconds: 62))
    #expect(rules[2].threshold == nil)
    #expect(rules[0].suppressions.map(\.side) == [.everything, .either])
    #expect(rules[1].suppressions.map(\.side) == [.source, .either])
    #expect(rules[1].suppressions[0].addresses.contains(address("10.1.1.2")))
    #expect(!rules[1].suppressions[0].addresses.contains(address("10.1.1.1")))
    #expect(rules[2].suppressions.map(\.side) == [.either])
    #expect(
      rules[1].rateFilter == RateFilter(track: .byBoth, count: 5, seconds: 10, newAction: .drop, timeout: 60))
  }

  @Test(arguments: [
    ("suppress gen_id 1", 1), ("suppress gen_id 1, sig_id x", 27), ("suppress gen_id 1, sig_id 1, track by_src", 1),
    ("suppress gen_id 1, sig_id 1, ip 1.2.3.4", 33), ("suppress gen_id 1, sig_id 1, track by_src, ip 1.2.3", 47),
    ("suppress gen_id 1, sig_id 1, track by_rule, ip 1.2.3.4", 36), ("suppres gen_id 1, sig_id 1", 1),
    ("threshold gen_id 1, sig_id 1, type limits, track by_src, count 1, seconds 60", 36),
    ("threshold gen_id 1, sig_id 1, type limit, track by_src, count 1", 1),
    ("rate_filter gen_id 1, sig_id 1, track by_src, count 1, seconds 1, new_action explode, timeout 1", 78),
  ])
  func linesThatAreWrong(_ line: String, column: Int) {
    let file = thresholds("# comment\n\(line)\nsuppress gen_id 1, sig_id 1\n")
    #expect(file.entries.count == 1)
    #expect(file.problems.map(\.location) == [RuleLocation(file: "threshold.config", line: 2, column: column)])
  }
}
