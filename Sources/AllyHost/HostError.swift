internal import Glibc

/// Why the system, or a program beside us, does not give what is needed: one line for whoever runs the command.
public struct HostError: Error, Sendable, Equatable, CustomStringConvertible {
  public var message: String

  public init(_ message: String) { self.message = message }

  /// What failed, and the system's word for an error number.
  init(_ what: String, code: Int32) {
    let text = unsafe String(cString: strerror(code))
    message = "\(what): \(text.prefix(1).lowercased() + text.dropFirst())"
  }

  public var description: String { message }
}
