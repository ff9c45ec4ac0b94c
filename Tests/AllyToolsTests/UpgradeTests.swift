import Foundation
import Glibc
import Testing

/// `ally upgrade`: another executable, or other settings, in the place of those that serve; or the reason why not, and nothing has
/// changed.
@Suite(.serialized) struct UpgradeTests {
  private static let policy = "table ip t {\n chain c {\n type filter hook input priority 0; policy drop;\n }\n}\n"

  /// Runs `firewall` and then, once it serves, a script in which `$pid`, `$starter` and `$worker` are its processes (`look` sets
  /// them anew), and `upgrade` asks for another.
  private func run(_ script: String, options: [String] = [], in folder: TemporaryFolder) throws -> CommandRun {
    let policy = try folder.write("p.nft", Self.policy)
    // The other end of the cable.
    let cable = try RecordSocket(folder.path + "/theirs", SOCK_DGRAM)
    defer { withExtendedLifetime(cable) {} }
    let lines = """
      cd \(folder.path); bin=$(dirname "$0"); executable=$0
      "$0" "$@" & pid=$!
      wait_for() { n=0; until eval "$1"; do n=$((n + 1)); [ $n -lt 300 ] || exit 98; sleep 0.1; done; }
      children() { cat /proc/$1/task/$1/children; }
      look() { wait_for 'starter=$(echo $(children $pid)) && worker=$(echo $(children $starter)) && [ -n "$worker" ]'; }
      upgrade() { "$bin/ally" upgrade --control control "$@"; echo "upgrade $?"; }
      trap 'kill -KILL $pid 2>/dev/null' EXIT
      wait_for 'test -S control && test -S nic && [ -n "$(children $pid)" ]'
      look
      \(script)
      kill -TERM $pid
      wait $pid
      echo "status $?"
      """
    return try CommandRun.runScript(
      lines, "firewall",
      [
        "--attach", "vfio-user:\(folder.path)/nic", "--uplink", "unix:\(folder.path)/ours,\(folder.path)/theirs", "-f",
        policy, "--keep", "fail-closed", "--control", "\(folder.path)/control",
      ] + options, in: folder)
  }

  @Test func `A copy of the executable takes over, and workers after it are the copy's`() throws {
    let folder = try TemporaryFolder()
    let run = try run(
      """
      cp "$executable" copy; before=$worker; first=$starter
      upgrade --executable copy
      wait_for '[ "$(children $pid)" != "$first " ] && ! kill -0 $first 2>/dev/null'
      look
      [ $worker != $before ] && ! kill -0 $before 2>/dev/null && echo "another worker"
      readlink /proc/$worker/exe
      kill -KILL $worker; before=$worker
      wait_for 'look && [ $worker != $before ]'
      readlink /proc/$worker/exe
      """, in: folder)
    let copy = URL(fileURLWithPath: folder.path).resolvingSymlinksInPath().path + "/copy"
    #expect(run.output.contains("upgrade 0\nanother worker\n"), "\(run.output)\(run.errors)")
    #expect(run.output.components(separatedBy: "\(copy)\n").count == 3, "\(run.output)")
    #expect(run.output.contains("1  upgrades") && run.output.contains("1  workers that died and were replaced"))
    #expect(run.output.hasSuffix("status 0\n"))
    #expect(run.errors.contains("\(copy) has taken over"))
  }

  @Test func `Settings are those that are on the disk, or on the command line, at the time`() throws {
    let folder = try TemporaryFolder()
    let run = try run(
      """
      sed -i 's/policy drop/policy accept/' p.nft
      upgrade
      upgrade -- --attach vfio-user:$PWD/nic --uplink unix:$PWD/ours,$PWD/theirs -f $PWD/p.nft --keep fail-open \
        --control $PWD/control --log $PWD/log
      test -f log && echo "there is a log"
      """, in: folder)
    #expect(run.output.components(separatedBy: "upgrade 0\n").count == 3, "\(run.output)\(run.errors)")
    #expect(run.output.contains("policy accept") && run.output.contains("2  upgrades"))
    #expect(run.output.contains("there is a log"))
  }

  /// What is asked for, and what is said about it.
  static let refused: [(String, String)] = [
    ("--executable nothing", "nothing: no such file"), ("--executable p.nft", "cannot run"),
    ("--executable broken", "has ended with status 3: I am broken"),
    ("--executable dying", "has died of signal 11"),
    ("-- -f none.nft $same", "has ended with status 66: firewall:"),
    ("-- -f p.nft $same --nic igb", "layout 2 of E1000Model"),
    ("-- -f p.nft $same --max-connections 10", "layout 2 of connections"),
    (
      "-- -f p.nft --keep fail-open --attach vfio-user:$PWD/other --uplink unix:$PWD/ours,$PWD/theirs",
      "has no guest 0's socket"
    ),
    (
      "-- -f p.nft --keep fail-open --attach vfio-user:$PWD/nic --uplink unix:$PWD/theirs,$PWD/theirs",
      "has no guest 0's uplink"
    ),
    ("-- -f p.nft $same --attach vfio-user:$PWD/second --uplink unix:$PWD/more,$PWD/theirs", "has no guest 1's uplink"),
    ("-- -f p.nft --attach vfio-user:$PWD/nic --uplink unix:$PWD/ours,$PWD/theirs", "an upgrade without --keep"),
    ("-- --nonsense", "has ended with status 64"),
    ("-- -f p.nft $same --inspector-process --inspector-failure open", "--inspector-process"),
  ]

  @Test(arguments: refused)
  func `What cannot take over leaves what serves as it is`(options: String, reason: String) throws {
    let folder = try TemporaryFolder()
    let run = try run(
      """
      printf '#!/bin/sh\\necho "I am broken" >&2\\nexit 3\\n' > broken
      printf '#!/bin/sh\\nkill -SEGV $$\\n' > dying
      chmod +x broken dying
      same="--keep fail-open --attach vfio-user:$PWD/nic --uplink unix:$PWD/ours,$PWD/theirs"
      before="$starter $worker"
      upgrade \(options)
      look
      [ "$starter $worker" = "$before" ] && echo "the same"
      kill -KILL $worker; before=$worker
      wait_for 'look && [ $worker != $before ]'
      """, in: folder)
    let isUsage = options.contains("nothing")
    #expect(run.output.contains("upgrade \(isUsage ? 66 : 69)\nthe same\n"), "\(run.output)\(run.errors)")
    #expect(run.errors.contains(reason), "\(run.errors)")
    // Once more by the keeper.
    #expect(run.errors.components(separatedBy: "ally: ").count == 2, "\(run.errors)")
    #expect(run.output.contains("1  workers that died and were replaced"))
    #expect(run.output.hasSuffix("status 0\n"))
  }

  /// It says that it is ready, and is gone when its first worker is asked for.
  @Test func `What is ready and then does not serve gives way to the one before`() throws {
    let folder = try TemporaryFolder()
    let run = try run(
      """
      cat > pretender <<'END'
      #!/bin/bash
      line=$(printf %s "$ALLY_INHERITANCE" | tr '\\036\\037' '\\n:' | sed -n 's/^line to the keeper:*//p')
      printf '\\001' >&$line
      sleep 0.5
      END
      chmod +x pretender; cp "$executable" copy; first=$starter; before=$worker
      upgrade --executable pretender
      look
      [ $starter = $first ] && [ $worker != $before ] && echo "the one before"
      upgrade --executable copy
      wait_for '! kill -0 $first 2>/dev/null'
      look
      """, in: folder)
    #expect(run.output.contains("upgrade 69\nthe one before\n"), "\(run.output)\(run.errors)")
    #expect(run.output.contains("upgrade 0\n") && run.output.contains("1  upgrades"), "\(run.output)\(run.errors)")
    #expect(run.errors.contains("no upgrade: the new executable's worker has died of signal 9"), "\(run.errors)")
    #expect(run.output.hasSuffix("status 0\n"))
  }

  @Test func `The keeper and its workers are limited to the system calls that they need`() throws {
    let folder = try TemporaryFolder()
    let run = try run(
      "for p in $pid $starter $worker; do sed -n 's/^Seccomp:[^0-9]*/filter /p' /proc/$p/status; done", in: folder)
    #expect(run.output.hasPrefix("filter 2\nfilter 0\nfilter 2\n"), "\(run.output)\(run.errors)")
  }

  @Test func `A fault of a worker is told as the signal that it is`() throws {
    let folder = try TemporaryFolder()
    let run = try run("kill -SEGV $worker; wait_for 'grep -q \"another takes over\" .stderr'; look", in: folder)
    #expect(run.errors.contains("a worker died of signal 11: another takes over"), "\(run.errors)")
  }

  @Test(arguments: ["kill -KILL $pid", "kill -KILL $starter"])
  func `Nothing is left of a command whose keeper, or starter, is killed`(line: String) throws {
    let folder = try TemporaryFolder()
    let run = try run(
      """
      \(line)
      wait_for '! kill -0 $starter 2>/dev/null && ! kill -0 $worker 2>/dev/null'
      wait_for '! kill -0 $pid 2>/dev/null'
      echo "nobody"
      """, in: folder)
    // A worker that finds its keeper gone still says what it has counted.
    #expect(run.output.contains("nobody\n"), "\(run.output)\(run.errors)")
  }

  @Test func `There is nobody to ask`() throws {
    let folder = try TemporaryFolder()
    let upgrade = try CommandRun.run("ally", ["upgrade", "--control", folder.path + "/none"], in: folder)
    #expect(upgrade.status == 66 && upgrade.errorLines.count == 1)
    let without = try CommandRun.run(
      "firewall", ["--attach", "vfio-user:a", "--uplink", "tap:b", "-f", "c", "--control", "d"], in: folder)
    #expect(without.status == 64 && without.errors.contains("--control goes with --keep"))
  }
}
