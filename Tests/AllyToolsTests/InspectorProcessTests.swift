import Foundation
import Glibc
import Testing

/// `ids --attach … --inspector-process`: whatever ends of its three processes, and how, the others go on or end, and nothing is left.
@Suite(.serialized) struct InspectorProcessTests {
  private static let rule = "alert ip any any -> any any (msg:\"m\"; content:\"abcd\"; sid:1;)\n"

  private func arguments(_ folder: TemporaryFolder, rules: String, failure: String = "closed") throws -> [String] {
    [
      "--attach", "vfio-user:\(folder.path)/nic", "--uplink", "unix:\(folder.path)/ours,\(folder.path)/theirs", "-S",
      rules,
      "-l", folder.path + "/logs", "--inspector-process", "--inspector-failure", failure,
    ]
  }

  /// Runs `ids` and then, once it serves, a line of shell in which `$pid`, `$starter` and `$inspector` are its processes.
  private func run(_ line: String, in folder: TemporaryFolder) throws -> CommandRun {
    let errors = folder.path + "/.stderr"
    // The other end of the cable.
    let cable = try RecordSocket(folder.path + "/theirs", SOCK_DGRAM)
    defer { withExtendedLifetime(cable) {} }
    let script = """
      "$0" "$@" & pid=$!
      say() { for _ in $(seq 600); do if grep -q "$1" \(errors) || ! kill -0 $pid; then return; fi; sleep 0.1; done; }
      children() { cat /proc/$1/task/$1/children; }
      say 'waiting for a guest'
      starter=$(children $pid); inspector=$(children $starter)
      \(line)
      wait $pid
      """
    return try CommandRun.runScript(
      script, "ids", try arguments(folder, rules: try folder.write("a.rules", Self.rule)), in: folder)
  }

  /// Commands that still have the folder's name among their arguments, after some time to end.
  private func remaining(_ folder: TemporaryFolder) -> [String] {
    var found: [String] = []
    for _ in 0..<150 {
      found = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).filter { name in
        guard Int32(name) != nil, let data = FileManager.default.contents(atPath: "/proc/\(name)/cmdline") else {
          return false
        }
        let words = data.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        return words.first?.hasSuffix("/ids") == true && words.contains { $0.contains(folder.path) }
      }
      if found.isEmpty { return [] }
      // Processes that are no children of this one tell nobody of their end.
      usleep(100_000)
    }
    return found
  }

  @Test func `A keeper and an inspector's process do not go together`() throws {
    let folder = try TemporaryFolder()
    let rules = try folder.write("a.rules", Self.rule)
    let run = try CommandRun.run("ids", try arguments(folder, rules: rules) + ["--keep", "fail-open"], in: folder)
    #expect(run.status == 64)
    #expect(run.errors.contains("--keep with --inspector-process: expected one of them"), "\(run.errors)")
  }

  @Test(arguments: [
    "kill -TERM $pid", "kill -TERM $inspector; kill -INT $starter; kill -HUP $pid $inspector; kill -INT $pid",
  ])
  func `Who ends the command gets both parts of the summary`(line: String) throws {
    let folder = try TemporaryFolder()
    let run = try run(line, in: folder)
    #expect(run.status == 0)
    let place = try ["Traffic", "Inspector's process", "Alerts by signature"].map {
      try #require(run.output.range(of: $0)).lowerBound
    }
    #expect(place == place.sorted())
    #expect(remaining(folder) == [])
  }

  @Test func `An inspector that is killed is replaced`() throws {
    let folder = try TemporaryFolder()
    let run = try run("kill -KILL $inspector; say 'inspector again'; kill -TERM $pid", in: folder)
    #expect(run.status == 0)
    #expect(run.errors.contains("the inspector was ended by signal 9; frames are dropped until there is another"))
    #expect(run.output.contains("1  inspectors started again"))
    #expect(remaining(folder) == [])
  }

  @Test func `With the interceptor everything ends`() throws {
    let folder = try TemporaryFolder()
    #expect(try run("kill -KILL $pid", in: folder).status == 128 + 9)
    #expect(remaining(folder) == [])
  }

  @Test func `Without the starter there is no inspector any more`() throws {
    let folder = try TemporaryFolder()
    let run = try run("kill -KILL $starter; say 'the inspector has ended'; kill -TERM $pid", in: folder)
    #expect(run.status == 71)
    #expect(remaining(folder) == [])
  }

  @Test func `Rules that cannot be read are told once`() throws {
    let folder = try TemporaryFolder()
    let run = try CommandRun.run("ids", try arguments(folder, rules: folder.path + "/none.rules"), in: folder)
    #expect(run.status == 66)
    #expect(run.errorLines.count == 1)
    #expect(remaining(folder) == [])
  }

  @Test(arguments: [
    ["--inspector-process"], ["--inspector-failure", "open"], ["--inspector-process", "--inspector-failure", "maybe"],
  ])
  func `Both options, or neither`(options: [String]) throws {
    let folder = try TemporaryFolder()
    let run = try CommandRun.run(
      "ids", ["--attach", "vfio-user:\(folder.path)/nic", "--uplink", "unix:a,b"] + options, in: folder)
    #expect(run.status == 64)
  }

  @Test func `Frames in place are not what an inspector can see`() throws {
    let folder = try TemporaryFolder()
    let run = try CommandRun.run(
      "ids",
      try arguments(folder, rules: try folder.write("a.rules", Self.rule)) + ["--protection", "in-place"], in: folder)
    #expect(run.status == 64)
    #expect(run.errorLines.count == 1)
  }
}
