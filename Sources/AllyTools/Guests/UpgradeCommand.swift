internal import AllyHost
internal import Glibc

/// `ally upgrade`: asks a keeper for another executable.
public struct UpgradeCommand {
  private let control: String
  private let executable: String?
  private let options: [String]

  public init(control: String, executable: String?, options: [String]) {
    self.control = control
    self.executable = executable
    self.options = options
  }

  /// Waits until the executable serves, or does not.
  ///
  /// - Throws: ``ExitStatus/upgradeRefused`` with the reason, when what was there goes on serving.
  public func perform() throws(CommandFailure) -> ExitStatus {
    let path = try executable.map { path throws(CommandFailure) in try Self.absolute(path) }
    let refusal: String?
    do {
      refusal = try UpgradeRequest.send(to: control, executable: path, arguments: options)
    } catch {
      throw CommandFailure(.missingInput, error.message)
    }
    if let refusal { throw CommandFailure(.upgradeRefused, "no upgrade, what was there goes on: \(refusal)") }
    try Console.print("\(path ?? "the executable, as it is now,") has taken over")
    return .success
  }

  /// The keeper may be in another folder.
  private static func absolute(_ path: String) throws(CommandFailure) -> String {
    guard let found = unsafe realpath(path, nil) else {
      throw CommandFailure(.missingInput, "\(path): \(systemMessage(errno))")
    }
    defer { unsafe free(found) }
    return unsafe String(cString: found)
  }
}
