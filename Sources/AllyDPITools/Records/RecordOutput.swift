internal import AllyDPI
internal import AllyTools
internal import Glibc

/// Where lines of records go: a file, a socket, a pipe.
protocol RecordOutput: RecordSink {
  /// Records that are written, or will be.
  var records: UInt64 { get }
  /// Why writing failed for good; nil as long as it did not.
  var failure: CommandFailure? { get }
  /// Writes what is gathered, as far as that is possible without waiting.
  func flush()
  /// Writes the rest.
  ///
  /// - Throws: ``ExitStatus/cannotWrite`` when that or an earlier writing failed.
  func close() throws(CommandFailure)
}

/// What becomes of records when their reader is slower than the traffic.
enum RecordPatience {
  /// The traffic waits: a capture has time, and nothing is lost.
  case waits
  /// Records are dropped and counted: live traffic never waits.
  case drops
}

extension RecordTargetSettings {
  /// Whether lines go to standard output, where nothing else may then be.
  var isStandardOutput: Bool { kind == .regular && (fileName == "-" || fileName == "/dev/stdout") }

  /// What to call it.
  func name(in folder: String) -> String {
    isStandardOutput ? "standard output" : FileSystem.resolve(fileName, in: folder)
  }

  /// Opens it.
  ///
  /// - Parameter continues: whether what is there stays in any case: another process may write it still.
  /// - Throws: ``ExitStatus/cannotCreate``.
  func open(
    in folder: String, _ patience: RecordPatience, continues: Bool = false
  ) throws(CommandFailure) -> any RecordOutput {
    let path = isStandardOutput ? "/dev/stdout" : FileSystem.resolve(fileName, in: folder)
    switch kind {
    case .unixStream: return try RecordChannel(to: .stream(path), patience)
    case .unixDatagram: return try RecordChannel(to: .datagram(path), patience)
    case .regular where Self.isPipe(path): return try RecordChannel(to: .pipe(path), patience)
    // What was written to standard output before, by whoever, stays.
    case .regular:
      return try RecordFile(path: path, appending: appends || isStandardOutput || continues, rotation: rotation)
    }
  }

  private static func isPipe(_ path: String) -> Bool {
    var information = stat()
    return unsafe stat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFIFO
  }
}
