internal import CAllyLinux
internal import Glibc

/// A file descriptor that is closed when its owner is gone.
struct OwnedDescriptor: ~Copyable {
  let number: Int32

  init(_ number: Int32) { self.number = number }

  deinit { close(number) }
}

/// Waits until a descriptor can be read, has failed or has been closed by the other side.
///
/// - Returns: whether it has, before `milliseconds` were over.
func awaitInput(_ descriptor: Int32, milliseconds: Int32) -> Bool {
  var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
  return unsafe poll(&entry, 1, milliseconds) > 0
}
