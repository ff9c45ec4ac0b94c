import AllyPacket

/// The Internet checksum (RFC 1071) of the protocols that carry one.
enum Checksum {
  /// Whether the IPv4 header's own checksum holds (RFC 791 §3.1).
  static func networkIsValid(_ packet: DecodedPacket, in bytes: RawSpan) -> Bool {
    guard packet.ipVersion == 4 else { return true }
    let start = Int(packet.networkOffset)
    let headerLength = Int(bytes.byte(at: start) & 0x0F) * 4
    return fold(sum(bytes, from: start, to: start + headerLength)) == 0xFFFF
  }

  /// The checksum for an IPv4 header of `length` bytes at the begin, whose own field is zero now.
  static func header(_ bytes: RawSpan, length: Int) -> UInt16 { ~fold(sum(bytes, from: 0, to: length)) }

  /// Whether the checksum of TCP, UDP, ICMPv4 or ICMPv6 holds; true for packets without one (a UDP checksum of zero over
  /// IPv4, RFC 768) and for other protocols.
  static func transportIsValid(_ packet: DecodedPacket, in bytes: RawSpan) -> Bool {
    let start = Int(packet.transportOffset)
    var end = Int(packet.networkEnd)
    var total: UInt64
    switch packet.transport {
    case .none, .sctp: return true
    case .icmpv4: total = 0
    case .tcp, .icmpv6: total = pseudoHeader(packet, length: end - start)
    case .udp:
      guard let header = Window<8>(bytes, at: start) else { return true }
      if header.u16(6) == 0 && packet.ipVersion == 4 { return true }
      end = min(end, start + Int(header.u16(4)))
      total = pseudoHeader(packet, length: end - start)
    }
    total &+= sum(bytes, from: start, to: end)
    return fold(total) == 0xFFFF
  }

  /// The checksum for a TCP segment that ends with `bytes`, whose own field is zero now.
  static func transport(_ packet: DecodedPacket, in bytes: RawSpan, from start: Int) -> UInt16 {
    ~fold(pseudoHeader(packet, length: bytes.byteCount - start) &+ sum(bytes, from: start, to: bytes.byteCount))
  }

  /// The pseudo header of RFC 9293 §3.1 and RFC 8200 §8.1.
  private static func pseudoHeader(_ packet: DecodedPacket, length: Int) -> UInt64 {
    UInt64(packet.ipProtocol) + UInt64(length)
      + (packet.ipVersion == 4
        ? UInt64(packet.source.v4Bits) + UInt64(packet.destination.v4Bits)
        : halves(packet.source.high) + halves(packet.source.low) + halves(packet.destination.high)
          + halves(packet.destination.low))
  }

  private static func halves(_ word: UInt64) -> UInt64 { (word >> 32) + (word & 0xFFFF_FFFF) }

  /// The one's complement sum of the big-endian 16-bit words, not yet folded. The carries of the 32-bit steps stay in the
  /// upper half: 65,535 bytes cannot overflow it.
  private static func sum(_ bytes: RawSpan, from start: Int, to end: Int) -> UInt64 {
    var total: UInt64 = 0
    var offset = start
    while let block = Window<16>(bytes, at: offset), offset &+ 16 <= end {
      total &+= UInt64(block.u32(0)) &+ UInt64(block.u32(4)) &+ UInt64(block.u32(8)) &+ UInt64(block.u32(12))
      offset &+= 16
    }
    while offset &+ 2 <= end, let word = Window<2>(bytes, at: offset) {
      total &+= UInt64(word.u16(0))
      offset &+= 2
    }
    if offset < end, let last = Window<1>(bytes, at: offset) { total &+= UInt64(last.u8(0)) << 8 }
    return total
  }

  private static func fold(_ sum: UInt64) -> UInt16 {
    var sum = sum
    while sum >> 16 != 0 { sum = (sum & 0xFFFF) + (sum >> 16) }
    return UInt16(sum)
  }
}
