import Foundation
import Testing

/// The cases of the corpus's `verify` folder that `Tests/Fixtures/verify-cases.txt` lists hold.
@Suite struct VerifyCaseTests {
  static let corpus = CommandLineCorpusTests.corpus
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path

  /// Name and capture of each case.
  static let cases: [[String]] = {
    if corpus.isEmpty { return [] }
    let captures = Dictionary(
      rows(corpus + "/verify/index.tsv").map { ($0[0], $0[1]) }, uniquingKeysWith: { first, _ in first })
    return rows(root + "/Tests/Fixtures/verify-cases.txt").compactMap { row in captures[row[0]].map { [row[0], $0] } }
  }()

  @Test(.enabled(if: !corpus.isEmpty, "ALLY_CORPUS is not set"), arguments: cases)
  func holds(_ row: [String]) throws {
    let test = try VerifyCase(name: row[0], capture: row[1], corpus: Self.corpus)
    let folder = try TemporaryFolder()
    let rules = try test.file("test.rules") ?? folder.write("empty.rules", "")
    let settings = test.file("suricata.yaml") ?? Self.root + "/Configuration/ally.yaml"
    let run = try CommandRun.run(
      "ally", ["inspect", "-r", test.capture, "-S", rules, "-l", folder.path, "-c", settings] + test.arguments,
      in: folder)
    #expect(run.status == 0, "\(run.errors)")
    let events = try eveRecords(folder.text("eve.json"))
    #expect(!test.filters.isEmpty)
    for filter in test.filters {
      #expect(events.count { filter.matches($0) } == filter.count, "\(row[0]): \(filter.match)")
    }
  }

  @Test(.enabled(if: !corpus.isEmpty, "ALLY_CORPUS is not set"))
  func manyCasesAreListed() { #expect(Self.cases.count >= 70) }

  private static func rows(_ path: String) -> [[String]] {
    let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    return text.split(separator: "\n").filter { !$0.hasPrefix("#") }
      .map { $0.split(separator: "\t").map(String.init) }
  }
}
