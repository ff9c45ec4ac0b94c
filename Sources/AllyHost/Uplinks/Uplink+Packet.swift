internal import CAllyLinux
internal import Glibc

extension Uplink {
  /// An interface of this machine (packet(7)): what it brings goes to the guest, and what the guest sends leaves by it. The
  /// machine's own traffic over it is neither heard nor held up. It needs `CAP_NET_RAW`.
  ///
  /// The interface hears everything, because the guest's address is not its own. Frames that its NIC has put together, or
  /// whose checksums were left to it, are taken apart and completed here.
  public static func packet(_ interface: String) throws(HostError) -> Uplink {
    var index: Int32 = 0
    var kind: Int32 = 0
    let number = unsafe ally_packet_socket(interface, &index, &kind)
    guard number >= 0 else { throw HostError("cannot use the interface \(interface)", code: errno) }
    let file = OwnedDescriptor(number)
    // ARPHRD_ETHER.
    guard kind == 1 else { throw HostError("packet:\(interface): expected an Ethernet interface") }
    guard ally_packet_offloads(number) == 0, ally_packet_promiscuous(number, index) == 0,
      ally_packet_bind(number, index) == 0
    else { throw HostError("cannot use the interface \(interface)", code: errno) }
    return Uplink(file, name: "packet:\(interface)", interface: interface, packets: PacketLine())
  }
}

/// The receiving side of a packet socket: a frame that came, and how far it was given on.
struct PacketLine {
  private var frame = [UInt8](repeating: 0, count: Uplink.longestFrame)
  private var length = 0
  private var tag: UInt32 = 0
  /// What is left of the frame; nil when it was given on whole.
  private var pieces: FramePieces?

  /// The next frame as it would be on a cable; nil when none waits.
  mutating func receive(from socket: Int32, into bytes: inout MutableSpan<UInt8>) -> Int? {
    while true {
      if pieces == nil, !fetch(from: socket) { return nil }
      // Taken out while it looks at the frame: two parts of `self`, of which one changes.
      guard var left = pieces.take() else { return nil }
      if let count = left.next(of: frame.span.extracting(0..<length), into: &bytes) {
        pieces = left
        return insertTag(&bytes, count)
      }
    }
  }

  private mutating func fetch(from socket: Int32) -> Bool {
    var header = [UInt8](repeating: 0, count: PendingOffloads.byteCount)
    while true {
      // Both have as many bytes as are named.
      let count = unsafe ally_packet_receive(socket, &header, &frame, frame.count, &tag)
      if count > 0 {
        length = count
        pieces = FramePieces(frame.span.extracting(0..<count), PendingOffloads(header[...]))
        return true
      }
      // An interface that is down says so once, and comes again.
      if count < 0, errno != EINTR, errno != ENETDOWN { return false }
    }
  }

  /// Puts the VLAN tag back that the kernel has taken out.
  private func insertTag(_ bytes: inout MutableSpan<UInt8>, _ count: Int) -> Int {
    guard tag != 0, count >= 12, count + 4 <= bytes.count else { return count }
    for index in (12..<count).reversed() { bytes[index + 4] = bytes[index] }
    for index in 0..<4 { bytes[12 + index] = UInt8(truncatingIfNeeded: tag >> UInt32(24 - 8 * index)) }
    return count + 4
  }
}
