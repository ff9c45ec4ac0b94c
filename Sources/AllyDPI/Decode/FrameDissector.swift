import AllyPacket

/// Takes a frame apart into its packets: the one it is, those inside it, and the datagram that it completes.
///
/// One call of ``dissect(_:)`` per frame; the packets stay until the next call. At most ``maximumPackets`` packets and
/// ``maximumDatagrams`` reassembled datagrams come from one frame, so that a frame of nested tunnels costs a bounded amount.
struct FrameDissector: ~Copyable {
  /// Packets that one frame may yield.
  static var maximumPackets: Int { 16 }
  /// Datagrams that one frame may complete (a fragment inside a tunnel whose carrier is a fragment, too).
  static var maximumDatagrams: Int { 2 }

  init(configuration: DPIConfiguration) {}

  /// Decodes a frame.
  ///
  /// - Returns: how many packets were found, at least 1. Packet 0 is the outermost. They are to be inspected from the last
  ///   to the first: what a tunnel carries before the tunnel itself, a completed datagram before its last fragment.
  mutating func dissect(_ packet: borrowing Packet) -> Int { 1 }

  /// A packet of the last frame.
  func packet(at index: Int) -> DecodedPacket { DecodedPacket() }

  /// The bytes that a packet's offsets count in.
  @_lifetime(borrow self, copy frame)
  func bytes(of packet: DecodedPacket, in frame: RawSpan) -> RawSpan { frame }

  /// Counters so far.
  var statistics: DecodeStatistics { DecodeStatistics() }
}
