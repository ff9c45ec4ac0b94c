internal import CAllyLinux
internal import Glibc

extension Uplink {
  /// A unix datagram socket, one frame a datagram: what QEMU calls `-netdev dgram`.
  ///
  /// - Parameters:
  ///   - local: the path of our end, which must not exist; it is removed with the uplink.
  ///   - remote: the path of the other end, which must exist.
  public static func datagram(local: String, remote: String) throws(HostError) -> Uplink {
    let uplink = try datagram(local: local)
    try uplink.connect(remote)
    return uplink
  }

  /// Our end alone, for an other end that will be there later; see ``connect(_:)``.
  public static func datagram(local: String) throws(HostError) -> Uplink {
    let number = socket(
      AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard number >= 0 else { throw HostError("cannot make a datagram socket", code: errno) }
    let file = OwnedDescriptor(number)
    guard unsafe ally_bind_unix(number, local) == 0 else {
      throw HostError("cannot make the socket \(local)", code: errno)
    }
    return Uplink(file, name: "unix:\(local)", path: local)
  }

  /// Connects to the other end.
  public func connect(_ remote: String) throws(HostError) {
    guard unsafe ally_connect_unix(descriptor, remote) == 0 else {
      throw HostError("cannot reach the socket \(remote)", code: errno)
    }
  }
}
