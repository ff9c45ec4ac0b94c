import Foundation
import Testing

/// What a user meets at the two commands that inspect: records, lines on standard error, exit statuses.
@Suite struct CommandLineTests {
  let folder: TemporaryFolder
  let rules: String

  init() throws {
    folder = try TemporaryFolder()
    rules = try folder.write(
      "test.rules",
      """
      alert udp any any -> any 53 (msg:"says hello"; content:"hello"; sid:1; rev:2;)
      alert udp any any -> any 53 (msg:"says goodbye"; content:"goodbye"; sid:2;)

      """)
  }

  func run(_ command: String, _ arguments: String..., input: [UInt8] = [], fileBytes: Int? = nil) throws -> CommandRun {
    let verb = command == "ally" ? ["inspect"] : []
    return try CommandRun.run(command, verb + arguments, input: input, fileBytes: fileBytes, in: folder)
  }

  func capture(_ bytes: [UInt8], name: String = "in.pcap") throws -> String { try folder.write(name, bytes) }

  var mixedCapture: CaptureBytes {
    var capture = CaptureBytes()
    capture.addFrame(CaptureBytes.udpFrame(payload: "hello", flow: 1))
    capture.addFrame(CaptureBytes.udpFrame(payload: "nothing", flow: 2))
    capture.addFrame(CaptureBytes.udpFrame(payload: "goodbye", flow: 3))
    return capture
  }

  @Test(arguments: ["ids", "ally"])
  func alertsAreWrittenAndSummedUp(_ command: String) throws {
    let input = try capture(mixedCapture.bytes)
    let result = try run(command, "-r", input, "-S", rules, "-l", folder.path + "/new/logs")
    #expect(result.status == 0)
    #expect(result.errors.isEmpty)
    #expect(try alerts(folder.text("new/logs/eve.json")) == ["1 in frame 1", "2 in frame 3"])
    for line in ["3  frames", "3  accepted", "0  dropped", "1  [1:1] says hello", "2  alerts in all", "2  loaded"] {
      #expect(result.output.contains(" " + line + "\n"), "\(line) in\n\(result.output)")
    }
    #expect(!result.output.contains("\u{1B}"), "no terminal, no progress bar")
  }

  /// Read as they come, they would have the whole memory.
  @Test(arguments: ["-S", "-c"])
  func aDeviceWithoutEndIsNoFile(_ option: String) throws {
    let result = try run("ally", "-r", capture(mixedCapture.bytes), "-S", rules, option, "/dev/zero", "-l", folder.path)
    #expect(result.status == 66)
    #expect(result.errorLines.last?.hasPrefix("ally: cannot read /dev/zero: expected a file of at most") == true)
  }

  @Test(arguments: ["ids", "ally"])
  func standardInputIsACapture(_ command: String) throws {
    let result = try run(command, "-r", "-", "-S", rules, "-l", folder.path, input: mixedCapture.bytes)
    #expect(result.status == 0)
    #expect(try alerts(folder.text("eve.json")).count == 2)
  }

  @Test(arguments: ["ids", "ally"])
  func eveIsWrittenWhenThereIsNothingToTell(_ command: String) throws {
    let input = try capture(CaptureBytes().bytes)
    let result = try run(command, "-r", input, "-S", "/dev/null", "-l", folder.path)
    #expect(result.status == 0)
    #expect(try folder.text("eve.json").isEmpty)
  }

  @Test(arguments: ["ids", "ally"])
  func recordsGoToStandardOutputAlone(_ command: String) throws {
    let input = try capture(mixedCapture.bytes)
    let settings = try folder.write(
      "out.yaml", "outputs:\n  - eve-log:\n      filename: /dev/stdout\n      types: [alert]\n")
    let result = try run(command, "-r", input, "-S", rules, "-c", settings)
    #expect(result.status == 0)
    #expect(try alerts(result.output) == ["1 in frame 1", "2 in frame 3"])
    #expect(result.errorLines.last == "Records: standard output")
  }

  @Test(arguments: ["ids", "ally"])
  func recordsGoThroughAPipe(_ command: String) throws {
    let input = try capture(mixedCapture.bytes)
    let settings = try folder.write(
      "out.yaml", "outputs:\n  - eve-log:\n      filename: /dev/stdout\n      types: [alert]\n")
    let verb = command == "ally" ? "inspect" : ""
    let result = try CommandRun.runScript(
      "\"$0\" \(verb) \"$@\" | cat", command, ["-r", input, "-S", rules, "-c", settings], in: folder)
    #expect(result.status == 0)
    #expect(try alerts(result.output) == ["1 in frame 1", "2 in frame 3"])
  }

  @Test(arguments: ["ids", "ally"])
  func aSocketThatNobodyListensAtIs73(_ command: String) throws {
    let input = try capture(mixedCapture.bytes)
    let settings = try folder.write(
      "out.yaml", "outputs:\n  - eve-log:\n      filetype: unix_stream\n      filename: eve.sock\n")
    let result = try run(command, "-r", input, "-S", rules, "-c", settings, "-l", folder.path)
    #expect(result.status == 73)
    #expect(result.errorLines == ["\(command): cannot connect to \(folder.path)/eve.sock: no such file or directory"])
  }

  @Test(arguments: ["ids", "ally"])
  func inlineDropsAreCounted(_ command: String) throws {
    let input = try capture(mixedCapture.bytes)
    let drop = try folder.write("drop.rules", "drop udp any any -> any 53 (msg:\"no\"; content:\"goodbye\"; sid:3;)\n")
    let inline = try run(command, "-r", input, "-S", drop, "-l", folder.path, "--inline")
    #expect(inline.status == 0)
    #expect(inline.output.contains(" 2  accepted\n") && inline.output.contains(" 1  dropped\n"))
    let passive = try run(command, "-r", input, "-S", drop, "-l", folder.path)
    #expect(passive.output.contains(" 3  accepted\n") && passive.output.contains(" 0  dropped\n"))
  }

  // MARK: trouble

  @Test(arguments: ["ids", "ally"])
  func aMissingCaptureIs66(_ command: String) throws {
    let result = try run(command, "-r", folder.path + "/none", "-S", rules, "-l", folder.path)
    #expect(result.status == 66)
    #expect(result.errorLines == ["\(command): cannot read \(folder.path)/none: no such file or directory"])
  }

  @Test(arguments: ["ids", "ally"])
  func aMissingRuleFileIs66(_ command: String) throws {
    let input = try capture(mixedCapture.bytes)
    let result = try run(command, "-r", input, "-S", folder.path + "/none", "-l", folder.path)
    #expect(result.status == 66)
    #expect(result.errorLines == ["\(command): cannot read \(folder.path)/none: no such file or directory"])
  }

  @Test(arguments: ["ids", "ally"])
  func aCutCaptureIs65AndKeepsItsAlerts(_ command: String) throws {
    let input = try capture(Array(mixedCapture.bytes.dropLast(10)))
    let result = try run(command, "-r", input, "-S", rules, "-l", folder.path)
    #expect(result.status == 65)
    #expect(result.errorLines.count == 1)
    #expect(result.errors.hasPrefix("\(command): \(input): the capture ends inside frame 3: "))
    #expect(try alerts(folder.text("eve.json")) == ["1 in frame 1"])
    #expect(result.output.contains(" 2  frames\n"))
  }

  @Test(arguments: ["ids", "ally"])
  func aDamagedRecordIsToldAndStrictlyAnError(_ command: String) throws {
    let damaged = mixedCapture.bytes + [UInt8](repeating: 0xFF, count: 200)
    let input = try capture(damaged)
    for (options, status) in [([], Int32(0)), (["--strict"], 65)] {
      let arguments = (command == "ally" ? ["inspect"] : []) + ["-r", input, "-S", rules, "-l", folder.path] + options
      let result = try CommandRun.run(command, arguments, in: folder)
      #expect(result.status == status)
      #expect(result.errorLines.count == 1)
      #expect(result.errors.hasPrefix("\(command): \(input): the record of frame 4 is damaged: "))
      #expect(try alerts(folder.text("eve.json")).count == 2)
    }
  }

  @Test(arguments: ["ids", "ally"])
  func randomBytesAreNoCapture(_ command: String) throws {
    for seed in UInt64(1)...3 {
      var generator = SeededGenerator(seed: seed)
      let input = try capture((0..<500).map { _ in UInt8.random(in: 0...255, using: &generator) })
      let result = try run(command, "-r", input, "-S", rules, "-l", folder.path)
      #expect(result.status == 65, "seed \(seed)")
      #expect(result.errorLines.count == 1 && result.errors.contains("\(input): not a capture: "), "seed \(seed)")
    }
  }

  @Test(arguments: ["ids", "ally"])
  func aBadRuleIsSkippedAndStrictlyAnError(_ command: String) throws {
    let input = try capture(mixedCapture.bytes)
    let bad = try folder.write(
      "bad.rules",
      "alert udp any any -> any any (msg:\"nonsense\"; no-such-keyword:1; sid:9;)\n"
        + (try String(contentsOfFile: rules, encoding: .utf8)))
    let lenient = try run(command, "-r", input, "-S", bad, "-l", folder.path)
    #expect(lenient.status == 0)
    #expect(lenient.errorLines.count == 1)
    #expect(
      lenient.errors.hasPrefix("\(command): \(bad):1:47: ") && lenient.errors.contains("(sid 9)"), "\(lenient.errors)")
    #expect(try alerts(folder.text("eve.json")).count == 2)
    #expect(lenient.output.contains(" 2  loaded\n") && lenient.output.contains(" 1  skipped\n"))

    let strict = try run(command, "-r", input, "-S", bad, "-l", folder.path, "--strict")
    #expect(strict.status == 78)
    #expect(strict.errorLines.last == "\(command): 1 rule does not load, and --strict is set")
  }

  @Test(arguments: ["ids", "ally"])
  func aBadConfigurationIs78(_ command: String) throws {
    let input = try capture(mixedCapture.bytes)
    let configuration = try folder.write("suricata.yaml", "stream:\n  midstream: perhaps\n")
    let result = try run(command, "-r", input, "-S", rules, "-l", folder.path, "-c", configuration)
    #expect(result.status == 78)
    #expect(
      result.errorLines == [
        "\(command): \(configuration):2:14: stream.midstream: expected yes or no; found perhaps"
      ])
  }

  @Test(arguments: ["ids", "ally"])
  func anUnwritableFolderIs73(_ command: String) throws {
    let input = try capture(mixedCapture.bytes)
    let result = try run(command, "-r", input, "-S", rules, "-l", rules + "/logs")
    #expect(result.status == 73)
    #expect(result.errorLines.count == 1)
    #expect(result.errors.hasPrefix("\(command): cannot create the folder \(rules)"))
  }

  @Test(arguments: ["ids", "ally"])
  func aFullDiskIs74(_ command: String) throws {
    let input = try capture(mixedCapture.bytes)
    try FileManager.default.createSymbolicLink(
      atPath: folder.path + "/eve.json", withDestinationPath: "/dev/full")
    let result = try run(command, "-r", input, "-S", rules, "-l", folder.path)
    #expect(result.status == 74)
    #expect(result.errorLines == ["\(command): cannot write \(folder.path)/eve.json: no space left on device"])
  }

  @Test(arguments: ["ids", "ally"])
  func aFileThatMayNotGrowKeepsWholeLines(_ command: String) throws {
    let input = try capture(CaptureBytes.udp(count: 3000).bytes)
    let whole = try run(command, "-r", input, "-S", rules, "-l", folder.path)
    #expect(whole.status == 0)
    #expect(try alerts(folder.text("eve.json")).count == 3000)

    let limit = 300 << 10
    let result = try run(command, "-r", input, "-S", rules, "-l", folder.path, fileBytes: limit)
    #expect(result.status == 74)
    #expect(result.errorLines == ["\(command): cannot write \(folder.path)/eve.json: file too large"])
    let text = try folder.text("eve.json")
    let kept = try alerts(text)
    #expect(text.utf8.count <= limit && text.utf8.count > limit - 4096)
    #expect(kept == kept.indices.map { "1 in frame \($0 + 1)" })
  }

  @Test(arguments: ["ids", "ally"])
  func aFullStandardOutputIs74(_ command: String) throws {
    let input = try capture(mixedCapture.bytes)
    let inspect = command == "ally" ? "inspect" : ""
    let script = "\"$0\" \(inspect) -r \(input) -S \(rules) -l \(folder.path) > /dev/full"
    let result = try CommandRun.runScript(script, command, in: folder)
    #expect(result.status == 74)
    #expect(result.errorLines == ["\(command): cannot write to standard output: no space left on device"])
    #expect(try alerts(folder.text("eve.json")).count == 2)
  }

  @Test(arguments: ["ids", "ally"])
  func aWrongCommandLineIs64(_ command: String) throws {
    #expect(try run(command, "-r", rules).status == 64)
    #expect(try run(command, "-S", rules).status == 64)
    #expect(try run(command, "--no-such-option").status == 64)
  }

  @Test(arguments: ["ids", "ally"])
  func aThresholdFileHoldsAlertsBack(_ command: String) throws {
    let input = try capture(mixedCapture.bytes)
    let thresholds = try folder.write("threshold.config", "suppress gen_id 1, sig_id 2\n")
    let result = try run(
      command, "-r", input, "-S", rules, "-l", folder.path, "--set", "threshold-file=\(thresholds)")
    #expect(result.status == 0)
    #expect(result.errors.isEmpty)
    #expect(try alerts(folder.text("eve.json")) == ["1 in frame 1"])
  }

  // MARK: agreement

  @Test func bothCommandsRaiseTheSameAlerts() throws {
    var capture = CaptureBytes()
    for i in 0..<500 {
      let payload = ["hello", "goodbye", "hello goodbye", "nothing"][i % 4]
      capture.addFrame(CaptureBytes.udpFrame(payload: payload, flow: UInt8(i % 250)), fraction: UInt32(i))
    }
    let input = try self.capture(capture.bytes)
    #expect(try run("ids", "-r", input, "-S", rules, "-l", folder.path + "/ids").status == 0)
    #expect(try run("ally", "-r", input, "-S", rules, "-l", folder.path + "/ally").status == 0)
    let ids = try alerts(folder.text("ids/eve.json"))
    #expect(ids.count == 500)
    #expect(try alerts(folder.text("ally/eve.json")) == ids)
  }
}
