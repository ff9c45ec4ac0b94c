public import ArgumentParser
internal import Glibc

/// What the entry points of `ally`, `ids` and `firewall` have in common.
public enum Command {
  /// Runs the body of a command, prints its failure as one line on standard error, and leaves with its status.
  ///
  /// - Parameters:
  ///   - name: the command, before the colon of the line.
  ///   - body: the command; the status that it returns is the process's.
  /// - Throws: the exit code for the argument parser to leave with, when the status is not 0.
  public static func run(_ name: String, _ body: () throws(CommandFailure) -> ExitStatus) throws(ExitCode) {
    // A closed pipe and a file size limit are errors of write(2) here, not the end of the process.
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
    let status: ExitStatus
    do {
      status = try body()
    } catch {
      Console.complain("\(name): \(error.message)")
      status = error.status
    }
    if status != .success { throw ExitCode(status.rawValue) }
  }
}
