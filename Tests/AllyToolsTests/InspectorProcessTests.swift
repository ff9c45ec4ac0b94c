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
  private func run(_ line: String, _ options: [String] = [], in folder: TemporaryFolder) throws -> CommandRun {
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
      script, "ids", try arguments(folder, rules: try folder.write("a.rules", Self.rule)) + options, in: folder)
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

  /// What is killed, in which order, of a keeper's worker and the inspector.
  @Test(arguments: ["worker inspector", "inspector worker", "worker worker inspector inspector worker"])
  func `With a keeper, workers and inspectors are replaced`(killed: String) throws {
    let folder = try TemporaryFolder()
    let names = killed.split(separator: " ")
    let lines = names.enumerated().map { place, name in
      let (count, text) = (names[...place].count { $0 == name }, name == "worker" ? "takes over" : "inspector again")
      return """
        look; kill -KILL $\(name); again '\(text)' \(count)
        """
    }
    let run = try run(
      """
      look() {
        for _ in $(seq 300); do
          set -- $(children $pid); starter=$1; keeps=$2
          inspector=$(echo $(children $1)); worker=$(echo $(children $2))
          if [ -n "$worker" ] && [ -n "$inspector" ]; then return; fi
          sleep 0.1
        done
      }
      again() { for _ in $(seq 300); do if [ $(grep -c "$1" \(folder.path)/.stderr) = $2 ]; then return; fi; sleep 0.1; done; }
      \(lines.joined(separator: "\n"))
      kill -TERM $pid
      """, ["--keep", "fail-closed"], in: folder)
    #expect(run.status == 0, "\(run.errors)")
    for (name, label) in [("worker", "workers that died and were replaced"), ("inspector", "inspectors started again")]
    {
      let count = names.count { $0 == name }
      #expect(run.output.contains("\(count)  \(label)"), "\(run.output)")
    }
    #expect(remaining(folder) == [])
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
