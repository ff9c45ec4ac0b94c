internal import Glibc

extension Uplink {
  /// An end of a cable between two guests of this process.
  ///
  /// - Parameter waiting: the end that nobody has yet; with nil, a new cable's other end goes there.
  public static func guest(_ waiting: inout Uplink?) throws(HostError) -> Uplink {
    if let end = waiting.take() { return end }
    // Of a packet socket of this kind the bytes that are under way are limited, not the frames. It can be written as long as three
    // quarters of them are free, which is more than the segments take that a NIC makes of 64 KiB.
    let ends = try connectedSockets(SOCK_SEQPACKET)
    for end in [ends.0, ends.1] { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
    waiting = Uplink(OwnedDescriptor(ends.1), name: "guest", holdsUp: true)
    return Uplink(OwnedDescriptor(ends.0), name: "guest", holdsUp: true)
  }
}
