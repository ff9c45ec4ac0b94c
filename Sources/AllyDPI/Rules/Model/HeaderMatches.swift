/// `rpc`: a call of Sun RPC that begins in the packet. What is nil may be anything.
public struct RPCMatch: Sendable, BitwiseCopyable, Hashable {
  public var program: UInt32
  public var version: UInt32?
  public var procedure: UInt32?
}

/// `flags:[!|*|+]FSRPAUCE0[,MASK]`.
///
/// Suricata's way: with no flag named (`0`) a packet that has any flag matches only under `not`; else the packet's
/// flags without `ignored` are compared: equal to `flags`, some of them, all of them, or not all of them.
public struct TCPFlagsMatch: Sendable, Equatable {
  public enum Modifier: Sendable, BitwiseCopyable { case exactly, any, all, not }
  /// As in the header: FIN 0x01, SYN 0x02, RST 0x04, PSH 0x08, ACK 0x10, URG 0x20, ECE 0x40, CWR 0x80.
  public var flags: UInt8
  /// Bits to look away from.
  public var ignored: UInt8
  public var modifier: Modifier

  public init(flags: UInt8, ignored: UInt8, modifier: Modifier) {
    self.flags = flags
    self.ignored = ignored
    self.modifier = modifier
  }

  /// Whether a segment with these flags matches.
  @inlinable
  public func matches(_ segment: UInt8) -> Bool {
    if flags == 0 && segment != 0 { return modifier == .not }
    let seen = segment & ~ignored
    return switch modifier {
    case .exactly: seen == flags
    case .any: seen & flags != 0
    case .all: seen & flags == flags
    case .not: seen & flags != flags
    }
  }
}

/// `ipopts`: an option in the IPv4 header.
public enum IPOptionMatch: UInt8, Sendable, CaseIterable {
  // Option types of RFC 791 §3.1 and their registry.
  case endOfList = 0
  case noOperation = 1
  case recordRoute = 7
  case timestamp = 0x44
  case security = 0x82
  case looseSourceRoute = 0x83
  case extendedSecurity = 0x85
  case commercialSecurity = 0x86
  case streamID = 0x88
  case strictSourceRoute = 0x89
  /// `any`: whichever.
  case any = 0xFF
}

/// `fragbits:[+|*|!]MDR`.
public struct FragmentBitsMatch: Sendable, Equatable {
  public enum Modifier: Sendable, BitwiseCopyable { case exactly, any, all, not }
  /// Bit 0 more fragments (M), bit 1 don't fragment (D), bit 2 reserved (R): the header's top three bits.
  public var bits: UInt8
  public var modifier: Modifier

  public init(bits: UInt8, modifier: Modifier) {
    self.bits = bits
    self.modifier = modifier
  }

  /// Whether an IPv4 header with these three bits matches.
  @inlinable
  public func matches(_ header: UInt8) -> Bool {
    switch modifier {
    case .exactly: header == bits
    case .any: header & bits != 0
    case .all: header & bits == bits
    case .not: header & bits != bits
    }
  }
}
