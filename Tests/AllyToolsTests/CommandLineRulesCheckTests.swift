import Foundation
import Testing

/// `ally rules check`.
@Suite struct CommandLineRulesCheckTests {
  let folder: TemporaryFolder
  let rules: String

  init() throws {
    folder = try TemporaryFolder()
    rules = try folder.write(
      "test.rules",
      """
      # a comment
      alert tcp any any -> any 80 (msg:"fine"; content:"a\\"b"; sid:1;)
      alert udp $NOWHERE any -> any any (msg:"no such variable"; sid:2;)
      alert tcp any any -> any any (msg:"no such keyword"; no-such-keyword:1; sid:3;)

      """)
  }

  @Test func everyRuleHasItsLine() throws {
    let result = try CommandRun.run("ally", ["rules", "check", rules], in: folder)
    #expect(result.status == 0)
    #expect(result.errors.isEmpty)
    let lines = result.output.split(separator: "\n")
    try #require(lines.count == 4)
    #expect(lines[0].hasPrefix("loaded   \(rules):2:") && lines[0].hasSuffix(": fine (sid 1)"))
    #expect(lines[1].hasPrefix("skipped  \(rules):3:12: "))
    #expect(lines[2].hasPrefix("skipped  \(rules):4:54: "))
    #expect(lines[1].hasSuffix(" (sid 2)") && lines[2].hasSuffix(" (sid 3)"))
    #expect(lines[3] == "1 loaded, 2 skipped: 1 not supported, 1 wrong")
  }

  @Test func jsonHoldsTheSkippedRules() throws {
    let result = try CommandRun.run("ally", ["rules", "check", "--json", rules, rules], in: folder)
    #expect(result.status == 0)
    let object = try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
    #expect(Set(object.keys) == ["loaded", "skipped", "rules"])
    let skipped = try #require(object["rules"] as? [[String: Any]])
    #expect(object["skipped"] as? Int == skipped.count)
    let first = try #require(skipped.first)
    #expect(Set(first.keys) == ["file", "line", "column", "sid", "reason"])
    #expect(first["file"] as? String == rules)
    #expect(first["line"] as? Int == 3)
    #expect(first["column"] as? Int == 12)
    #expect(first["sid"] as? Int == 2)
    #expect((first["reason"] as? String)?.isEmpty == false)
  }

  @Test func variablesMakeRulesLoad() throws {
    let result = try CommandRun.run(
      "ally", ["rules", "check", rules, "--json", "--var", "NOWHERE=192.0.2.0/24"], in: folder)
    #expect(result.output.contains("\"loaded\": 2, \"skipped\": 1"))
  }

  @Test func strictlyASkippedRuleIsAnError() throws {
    let strict = try CommandRun.run("ally", ["rules", "check", "--strict", rules], in: folder)
    #expect(strict.status == 78)
    #expect(strict.errorLines.last?.hasSuffix("and --strict is set") == true)
    let fine = try folder.write("fine.rules", "alert ip any any -> any any (msg:\"fine\"; sid:1;)\n")
    #expect(try CommandRun.run("ally", ["rules", "check", "--strict", fine], in: folder).status == 0)
  }

  @Test func anyBytesAreReadWithoutACrash() throws {
    let sound = Array(try folder.text("test.rules").utf8)
    for seed in UInt64(1)...20 {
      var generator = SeededGenerator(seed: seed)
      let file = try folder.write("random.rules", mutated(sound, using: &generator))
      let result = try CommandRun.run("ally", ["rules", "check", "--json", file], in: folder)
      #expect(result.status == 0, "seed \(seed)")
      #expect((try? JSONSerialization.jsonObject(with: Data(result.output.utf8))) != nil, "seed \(seed)")
    }
  }
}
