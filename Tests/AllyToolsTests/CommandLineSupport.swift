import Foundation

/// One of the package's own executables, run as a process.
struct CommandRun {
  var status: Int32
  var output: String
  var errors: String

  /// Lines of standard error.
  var errorLines: [String] { errors.split(separator: "\n").map(String.init) }

  /// - Parameters:
  ///   - command: `ally`, `ids` or `firewall`; they are built beside the tests.
  ///   - fileBytes: the largest file that the process may write; nil for no limit.
  static func run(
    _ command: String, _ arguments: [String], input: [UInt8] = [], fileBytes: Int? = nil, in folder: TemporaryFolder
  ) throws -> CommandRun {
    // POSIX counts `ulimit -f` in blocks of 512 bytes.
    let limit = fileBytes.map { "ulimit -f \($0 / 512); " } ?? ""
    return try runScript("\(limit)exec \"$0\" \"$@\"", command, arguments, input: input, in: folder)
  }

  /// Runs a line of shell in which `$0` is the executable and `$@` its arguments.
  static func runScript(
    _ script: String, _ command: String, _ arguments: [String] = [], input: [UInt8] = [], in folder: TemporaryFolder
  ) throws -> CommandRun {
    let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let executable = URL(fileURLWithPath: tests).deletingLastPathComponent().path + "/" + command
    let output = try folder.write(".stdout", "")
    let errors = try folder.write(".stderr", "")

    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = ["-c", script, executable] + arguments
    process.standardInput = try FileHandle(forReadingFrom: URL(fileURLWithPath: try folder.write(".stdin", input)))
    process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
    process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: errors))
    try process.run()
    process.waitUntilExit()
    guard process.terminationReason == .exit else { throw Crash(command: command, signal: process.terminationStatus) }
    return CommandRun(
      status: process.terminationStatus, output: try folder.text(".stdout"), errors: try folder.text(".stderr"))
  }

  struct Crash: Error {
    var command: String
    var signal: Int32
  }
}

/// The objects of an EVE file; throws when a line is none.
func eveRecords(_ text: String) throws -> [[String: Any]] {
  struct NotARecord: Error { var line: String }
  if !text.isEmpty && !text.hasSuffix("\n") { throw NotARecord(line: String(text.suffix(80))) }
  return try text.split(separator: "\n").map { line in
    guard let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] else {
      throw NotARecord(line: String(line))
    }
    return object
  }
}

/// Signature and frame number of each alert, in file order.
func alerts(_ text: String) throws -> [String] {
  try eveRecords(text).compactMap { record in
    guard let alert = record["alert"] as? [String: Any], let sid = alert["signature_id"] as? Int else { return nil }
    return "\(sid) in frame \(record["pcap_cnt"] as? Int ?? 0)"
  }
}
