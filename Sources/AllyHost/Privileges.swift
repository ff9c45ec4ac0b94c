internal import CAllyLinux
internal import Glibc

/// What a process gives up when everything that takes a right is open, and before the first byte of a guest or a wire is read.
public enum Privileges {
  /// Becomes a user, for good, and loses every capability.
  ///
  /// - Parameters:
  ///   - user: a name; nil keeps the user and gives the capabilities alone up.
  ///   - locksMemory: whether memory is locked (``CoreSettings/locksMemory``). What is mapped later would not fit into the
  ///     limit for those without the right; where that could not be lifted, this one capability stays.
  public static func drop(to user: String?, locksMemory: Bool = false) throws(HostError) {
    if let user, unsafe ally_become(user) != 0 {
      if errno == ENOENT { throw HostError("there is no user '\(user)': expected a name of this system") }
      throw HostError("cannot become the user \(user)", code: errno)
    }
    guard ally_keep_capabilities(locksMemory ? 1 : 0) == 0 else {
      throw HostError("cannot give capabilities up", code: errno)
    }
    if user != nil, geteuid() == 0 { throw HostError("the user is root still: expected another") }
  }

  /// From here on the kernel ends the process at any system call that serving and listening do not need (seccomp(2)): it
  /// starts no program, reaches no network but by what is open, and gets no memory that could be executed. What it writes
  /// down still opens files.
  public static func enterSandbox() throws(HostError) {
    guard ally_sandbox_enter() == 0 else { throw HostError("cannot limit system calls", code: errno) }
  }

  /// The same for a keeper, which needs much less: it opens no file, and starts nothing.
  public static func enterKeeperSandbox() throws(HostError) {
    guard ally_sandbox_enter_keeper() == 0 else {
      throw HostError("cannot limit the keeper's system calls", code: errno)
    }
  }
}
