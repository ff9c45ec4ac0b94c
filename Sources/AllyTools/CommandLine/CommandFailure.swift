/// Why a command ends early: one line for standard error, and the exit status.
public struct CommandFailure: Error, Sendable, Equatable, CustomStringConvertible {
  public var status: ExitStatus
  /// One line without line feed: what failed, where (file, line, column or frame), and what was expected.
  public var message: String

  public init(_ status: ExitStatus, _ message: String) {
    self.status = status
    self.message = message
  }

  public var description: String { message }
}
