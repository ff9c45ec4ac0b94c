internal import CAllyLinux
internal import Glibc

/// A unix socket that listens, with the rights of this user alone. What is no socket is left where it is; a socket
/// that nobody listens at is one that an earlier run left behind.
///
/// - Parameter type: whether clients exchange bytes or messages.
func listen(at path: String, type: __socket_type = SOCK_STREAM) throws(HostError) -> OwnedDescriptor {
  let kind = Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
  var information = stat()
  if unsafe lstat(path, &information) == 0, information.st_mode & S_IFMT == S_IFSOCK {
    let probe = OwnedDescriptor(socket(AF_UNIX, kind, 0))
    if unsafe ally_connect_unix(probe.number, path) == 0 || errno != ECONNREFUSED {
      throw HostError("\(path) is in use")
    }
    unsafe unlink(path)
  }
  let listener = OwnedDescriptor(socket(AF_UNIX, kind, 0))
  guard listener.number >= 0 else { throw HostError("cannot make a socket", code: errno) }
  // The name's rights are those of the socket. The mask for new files is not touched: it is every thread's.
  fchmod(listener.number, S_IRUSR | S_IWUSR)
  guard unsafe ally_bind_unix(listener.number, path) == 0 else {
    throw HostError("cannot make the socket \(path)", code: errno)
  }
  guard Glibc.listen(listener.number, 4) == 0 else { throw HostError("cannot listen at \(path)", code: errno) }
  return listener
}

/// Two ends of a unix socket, which are the caller's.
///
/// - Parameter type: whether bytes or messages go through it.
func connectedSockets(_ type: __socket_type) throws(HostError) -> (Int32, Int32) {
  var ends: [Int32] = [-1, -1]
  guard unsafe ally_socket_pair(Int32(type.rawValue), &ends) == 0 else {
    throw HostError("cannot make a pair of sockets", code: errno)
  }
  return (ends[0], ends[1])
}
