import Foundation
import Testing

/// Both commands over real captures: those of a corpus folder that `ALLY_CORPUS` names. Without it these tests are skipped.
@Suite struct CommandLineCorpusTests {
  static let corpus = ProcessInfo.processInfo.environment["ALLY_CORPUS"] ?? ""

  /// The captures in `pcap`, and those of the cases that `Tests/Fixtures/verify-cases.txt` lists.
  static let captures: [String] = {
    if corpus.isEmpty { return [] }
    let folder = corpus + "/pcap"
    let plain = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).map { folder + "/" + $0 }
    let list = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path
    let cases = Set(lines(list + "/Fixtures/verify-cases.txt").map { firstColumn($0) })
    let judged = lines(corpus + "/verify/index.tsv").filter { cases.contains(firstColumn($0)) }
      .compactMap { $0.split(separator: "\t").dropFirst().first }
      .map { corpus + "/verify/pcap/" + $0 }
    return Set(plain + judged).sorted()
  }()

  @Test(.enabled(if: !corpus.isEmpty, "ALLY_CORPUS is not set"), arguments: captures)
  func bothCommandsRaiseTheSameAlerts(_ capture: String) throws {
    let folder = try TemporaryFolder()
    let rules = try folder.write(
      "test.rules",
      """
      alert pkthdr any any -> any any (msg:"anything"; sid:1;)
      alert tcp any any -> any any (msg:"request"; flow:to_server; content:"GET "; depth:4; sid:2;)
      alert tcp any any -> any any (msg:"answer"; flow:to_client,established; content:"HTTP/1."; sid:3;)
      alert udp any any -> any any (msg:"zeros"; content:"|00 00|"; sid:4;)
      alert pkthdr any any -> any any (msg:"cut"; decode-event:ipv4.trunc_pkt; sid:5;)

      """)
    let ids = try CommandRun.run("ids", ["-r", capture, "-S", rules, "-l", folder.path + "/ids"], in: folder)
    let ally = try CommandRun.run(
      "ally", ["inspect", "-r", capture, "-S", rules, "-l", folder.path + "/ally"], in: folder)
    #expect(ids.status == 0, "\(ids.errors)")
    #expect(ally.status == 0, "\(ally.errors)")
    let alertsOfIDS = try alerts(folder.text("ids/eve.json"))
    #expect(!alertsOfIDS.isEmpty)
    #expect(try alerts(folder.text("ally/eve.json")) == alertsOfIDS)
  }

  @Test(.enabled(if: !corpus.isEmpty, "ALLY_CORPUS is not set"))
  func theCorpusHasCaptures() { #expect(Self.captures.count >= 20) }

  private static func lines(_ path: String) -> [Substring] {
    let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    return text.split(separator: "\n").filter { !$0.hasPrefix("#") }
  }

  private static func firstColumn(_ line: Substring) -> String {
    String(line.prefix { $0 != "\t" && $0 != " " })
  }
}
