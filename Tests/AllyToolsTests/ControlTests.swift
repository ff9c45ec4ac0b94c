import Foundation
import Testing

/// A process that inspects, and its operator: rules are read again, questions are answered, and no frame is lost over it.
@Suite struct ControlTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Runs a script while `ally inspect` reads a pipe: `feed N` gives it a part of the capture, `control WORD` asks it something.
  private func run(_ script: String) throws -> CommandRun {
    _ = try folder.write("test.rules", "alert udp any any -> any 53 (msg:\"one\"; content:\"hello\"; sid:1;)\n")
    var capture = CaptureBytes()
    capture.addFrame(CaptureBytes.udpFrame(payload: "hello", flow: 1))
    let head = capture.bytes
    var longer = capture
    longer.addFrame(CaptureBytes.udpFrame(payload: "hello", flow: 2))
    _ = try folder.write("part1", head)
    _ = try folder.write("part2", Array(longer.bytes[head.count...]))
    // A socket's path must be short.
    return try CommandRun.runScript(
      """
      cd \(folder.path) && mkfifo pipe || exit 99
      "$0" inspect -r pipe -S test.rules -l logs --unix-socket s > out 2> err &
      ally=$!
      exec 9> pipe
      feed() { cat "part$1" >&9; }
      control() { "$exe" control --socket s "$1"; }
      exe=$0
      # Until the process listens, and has seen what it was given.
      wait_for() { n=0; until eval "$1"; do n=$((n + 1)); [ $n -lt 300 ] || exit 98; sleep 0.1; done; }
      feed 1
      wait_for 'test -S s'
      \(script)
      exec 9>&-
      wait $ally
      """, "ally", in: folder)
  }

  @Test func rulesAreReadAgainWhenAskedFor() throws {
    let result = try run(
      """
      echo 'alert udp any any -> any 53 (msg:"two"; content:"hello"; sid:2;)' > test.rules
      control reload-rules || exit 97
      control ruleset-stats
      feed 2
      """)
    #expect(result.status == 0, "\(result.errors)\((try? folder.text("err")) ?? "")")
    #expect(result.output.contains("\"return\":\"OK\""))
    #expect(result.output.contains("\"rules_loaded\":1"))
    #expect(try alerts(folder.text("logs/eve.json")) == ["1 in frame 1", "2 in frame 2"])
  }

  @Test func rulesAreReadAgainOnASignal() throws {
    let result = try run(
      """
      echo 'alert udp any any -> any 53 (msg:"two"; content:"hello"; sid:2;)' > test.rules
      kill -USR2 $ally
      wait_for 'grep -q "read again" err'
      feed 2
      """)
    #expect(result.status == 0, "\(result.errors)\((try? folder.text("err")) ?? "")")
    #expect(try alerts(folder.text("logs/eve.json")) == ["1 in frame 1", "2 in frame 2"])
  }

  @Test func rulesThatCannotBeReadLeaveTheFormerInEffect() throws {
    let result = try run(
      """
      mv test.rules away
      control reload-rules && exit 97
      control nonsense && exit 96
      mv away test.rules
      feed 2
      """)
    #expect(result.status == 0, "\(result.errors)\((try? folder.text("err")) ?? "")")
    #expect(result.output.contains("\"return\":\"NOK\""))
    #expect(result.output.contains("test.rules"))
    #expect(try alerts(folder.text("logs/eve.json")) == ["1 in frame 1", "1 in frame 2"])
  }

  @Test func nobodyListeningIsAnError() throws {
    let result = try CommandRun.run("ally", ["control", "--socket", folder.path + "/none", "version"], in: folder)
    #expect(result.status == 66)
    #expect(result.errorLines.count == 1)
  }

  /// The name belongs to something else: it stays, and the command does not start.
  @Test func aFileInTheWayOfTheSocketStays() throws {
    let path = try folder.write("file", "mine")
    let rules = try folder.write("test.rules", "alert udp any any -> any 53 (msg:\"one\"; content:\"hello\"; sid:1;)\n")
    var capture = CaptureBytes()
    capture.addFrame(CaptureBytes.udpFrame(payload: "hello", flow: 1))
    let input = try folder.write("in.pcap", capture.bytes)
    let result = try CommandRun.run(
      "ally", ["inspect", "-r", input, "-S", rules, "-l", folder.path, "--unix-socket", path], in: folder)
    #expect(result.status == 73)
    #expect(try folder.text("file") == "mine")
  }

  @Test func theDearestRulesAreShown() throws {
    let rules = try folder.write("test.rules", "alert udp any any -> any 53 (msg:\"one\"; content:\"hello\"; sid:1;)\n")
    var capture = CaptureBytes()
    for flow in 0..<200 { capture.addFrame(CaptureBytes.udpFrame(payload: "hello", flow: UInt8(flow))) }
    let input = try folder.write("in.pcap", capture.bytes)
    let result = try CommandRun.run("ally", ["rules", "top", "-r", input, "-S", rules], in: folder)
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("[1:1:0] one"))
  }

  /// Databases are kept in a folder, and a damaged one does no harm.
  @Test func databasesAreKeptInAFolder() throws {
    let rules = try folder.write("test.rules", "alert udp any any -> any 53 (msg:\"one\"; content:\"hello\"; sid:1;)\n")
    var capture = CaptureBytes()
    capture.addFrame(CaptureBytes.udpFrame(payload: "hello", flow: 1))
    let input = try folder.write("in.pcap", capture.bytes)
    func inspect() throws -> [String] {
      let result = try CommandRun.run(
        "ally",
        [
          "inspect", "-r", input, "-S", rules, "-l", folder.path, "--set", "detect.sgh-mpm-caching=yes", "--set",
          "detect.sgh-mpm-caching-path=\(folder.path)/cache",
        ], in: folder)
      #expect(result.status == 0, "\(result.errors)")
      return try alerts(folder.text("eve.json"))
    }
    #expect(try inspect() == ["1 in frame 1"])
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path + "/cache")
    #expect(files.count == 1 && files[0].hasSuffix(".hs"), "\(files)")
    _ = try folder.write("cache/" + files[0], "damaged")
    #expect(try inspect() == ["1 in frame 1"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path + "/cache") == files)
  }
}
