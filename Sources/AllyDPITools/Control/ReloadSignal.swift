internal import AllyTools
internal import Glibc

/// SIGUSR2 as a descriptor to wait for. The handler does nothing but write a byte into a pipe.
enum ReloadSignal {
  /// The pipe's ends. Written once, before the handler is installed.
  nonisolated(unsafe) private static var ends: (read: Int32, write: Int32) = (-1, -1)

  /// Takes the signal from now on; once for the process.
  static func install() throws(CommandFailure) {
    if unsafe ends.read >= 0 { return }
    var descriptors: [Int32] = [-1, -1]
    guard unsafe pipe(&descriptors) == 0 else {
      throw CommandFailure(.systemFault, "cannot make a pipe for SIGUSR2")
    }
    for descriptor in descriptors {
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
      _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    }
    unsafe ends = (descriptors[0], descriptors[1])
    signal(SIGUSR2) { _ in
      let saved = errno
      var byte: UInt8 = 1
      // The pipe is not written to by anybody else, and a full one says the same.
      _ = unsafe write(ReloadSignal.ends.write, &byte, 1)
      errno = saved
    }
  }

  /// Readable when the signal came.
  static var descriptor: Int32 { unsafe ends.read }

  /// Forgets the signals that came.
  ///
  /// - Returns: whether there were any.
  static func take() -> Bool {
    var bytes = [UInt8](repeating: 0, count: 64)
    var hasCome = false
    while unsafe read(ends.read, &bytes, bytes.count) > 0 { hasCome = true }
    return hasCome
  }
}
