internal import CAllyLinux
internal import Glibc

extension Uplink {
  /// An end of a cable between two guests of this process.
  ///
  /// - Parameter waiting: the end that nobody has yet; with nil, a new cable's other end goes there.
  public static func guest(_ waiting: inout Uplink?) throws(HostError) -> Uplink {
    if let end = waiting.take() { return end }
    var ends: [Int32] = [-1, -1]
    // Of a packet socket of this kind the bytes that are under way are limited, not the frames. It can be written as long as three
    // quarters of them are free, which is more than the segments take that a NIC makes of 64 KiB.
    guard unsafe ally_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &ends) == 0 else {
      throw HostError("cannot make a cable between two guests", code: errno)
    }
    for end in ends { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
    waiting = Uplink(OwnedDescriptor(ends[1]), name: "guest", holdsUp: true)
    return Uplink(OwnedDescriptor(ends[0]), name: "guest", holdsUp: true)
  }
}
