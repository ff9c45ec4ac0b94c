internal import CAllyLinux
internal import Glibc

/// A QEMU that runs as a child of this process, and ends with it.
struct QEMUProcess: ~Copyable {
  private let child: pid_t

  /// - Parameters:
  ///   - program: QEMU itself or a script that becomes it.
  ///   - log: the file that its words go to.
  init(_ program: String, _ arguments: [String], log: String) throws(HostError) {
    let file = unsafe open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw HostError("cannot create \(log)", code: errno) }
    defer { close(file) }
    var words: [UnsafeMutablePointer<CChar>?] = unsafe ([program] + arguments).map { unsafe strdup($0) }
    unsafe words.append(nil)
    defer { for index in unsafe words.indices { unsafe free(words[index]) } }
    let child = unsafe ally_spawn(&words, file)
    guard child > 0 else { throw HostError("cannot start \(program)", code: errno) }
    self.child = child
  }

  deinit { ally_reap(child) }

  var hasEnded: Bool { ally_has_ended(child) == 1 }
}
