internal import AllyHost
public import ArgumentParser

/// What a command gives up before it meets a guest or a wire.
public struct PrivilegeOptions: ParsableArguments {
  @Option(
    name: .customLong("user"),
    help: ArgumentHelp("Become this user when all is open; root's rights are then gone.", valueName: "name"))
  var user: String?

  @Flag(
    name: .customLong("no-sandbox"),
    help: "Do not limit system calls to those that are needed; for debuggers and sanitizers.")
  var hasNoSandbox = false

  public init() {}

  /// Whether anything was said at all.
  public var areSaid: Bool { user != nil || hasNoSandbox }

  /// Becomes the user, and gives capabilities up.
  ///
  /// - Parameter isUser: whether this process is the user's already.
  func drop(locksMemory: Bool = false, isUser: Bool = false) throws(HostError) {
    try Privileges.drop(to: isUser ? nil : user, locksMemory: locksMemory)
  }

  /// Limits system calls.
  func enterSandbox() throws(HostError) {
    if !hasNoSandbox { try Privileges.enterSandbox() }
  }

  /// Limits system calls to those of a keeper.
  func enterKeeperSandbox() throws(HostError) {
    if !hasNoSandbox { try Privileges.enterKeeperSandbox() }
  }
}
