import AllyPacket

/// A frame that says its own number: Ethernet header, the number, and bytes that follow from it.
struct SelfTestFrame {
  let number: UInt64

  static let headerLength = 14
  static let maximumLength = 1514

  /// From 64 bytes to the longest that Ethernet has.
  var length: Int { 64 + Int(number &* 97 % UInt64(Self.maximumLength - 63)) }

  /// Whether the inspector drops it: one of eight.
  var isDropped: Bool { number % 8 == 5 }

  /// The byte at an offset. EtherType 0x88B5 is for local experiments (IEEE 802).
  func byte(at offset: Int) -> UInt8 {
    switch offset {
    case 0..<12: 0x02
    case 12: 0x88
    case 13: 0xB5
    case 14..<22: UInt8(truncatingIfNeeded: number >> UInt64(8 * (offset - 14)))
    default: UInt8(truncatingIfNeeded: number &* 31 &+ UInt64(offset))
    }
  }

  /// The number that a frame says.
  static func number(in bytes: RawSpan) -> UInt64 {
    guard bytes.byteCount >= headerLength + 8 else { return .max }
    // Unaligned, and inside the span by the guard.
    return unsafe bytes.unsafeLoadUnaligned(fromByteOffset: headerLength, as: UInt64.self)
  }
}

/// Drops the frames that are to be dropped on their way out; whatever comes back passes.
struct SelfTestInspector: PacketInspector, ~Copyable {
  private(set) var dropped: UInt64 = 0

  init() {}

  mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    guard packet.direction == .transmit, SelfTestFrame(number: SelfTestFrame.number(in: packet.bytes)).isDropped
    else { return .accept }
    dropped &+= 1
    return .drop
  }
}
