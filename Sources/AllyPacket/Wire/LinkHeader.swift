/// Where the network header of a frame begins, and what it is, for every link layer that ``LinkType`` names.
///
/// VLAN tags are not stepped over here: their type is what ``etherType`` says.
@frozen
public struct LinkHeader: Sendable, BitwiseCopyable {
  /// Bytes before the network header.
  public var length: Int
  /// What the network header is; ``EtherType/none`` when the link layer does not say.
  public var etherType: EtherType

  @inlinable
  init(length: Int, etherType: EtherType) {
    self.length = length
    self.etherType = etherType
  }

  /// Reads the link-layer header that `bytes` begin with.
  ///
  /// - Throws: ``PacketDefect/unknownLinkType`` or ``PacketDefect/linkHeaderCut``.
  @inlinable
  public init(of bytes: RawSpan, linkType: LinkType) throws(PacketDefect) {
    if linkType == .ethernet {
      guard let ethernet = EthernetHeader(bytes) else { throw .linkHeaderCut }
      self.init(length: EthernetHeader.length, etherType: ethernet.etherType)
    } else {
      try self.init(ofUnusual: bytes, linkType: linkType)
    }
  }

  /// The link layers that a NIC's ring does not carry but a capture may; out of line, to keep the common path short.
  @usableFromInline
  @inline(never)
  init(ofUnusual bytes: RawSpan, linkType: LinkType) throws(PacketDefect) {
    switch linkType {
    case .raw, .ipv4, .ipv6, .rawOfBSD, .rawOfOpenBSD:
      guard let first = Window<1>(bytes, at: 0) else { throw .linkHeaderCut }
      self.init(length: 0, etherType: first.u8(0) &>> 4 == 6 ? .ipv6 : .ipv4)
    case .null, .loop:
      guard let header = Window<4>(bytes, at: 0) else { throw .linkHeaderCut }
      // The family is in the capturing host's byte order; every family fits in 16 bits.
      let family = header.u32(0) > 0xFFFF ? header.u32(0).byteSwapped : header.u32(0)
      self.init(length: 4, etherType: LinkHeader.etherType(ofAddressFamily: family))
    case .ciscoHDLC:
      guard let header = Window<4>(bytes, at: 0) else { throw .linkHeaderCut }
      self.init(length: 4, etherType: EtherType(rawValue: header.u16(2)))
    case .linuxSLL:
      guard let header = Window<16>(bytes, at: 0) else { throw .linkHeaderCut }
      self.init(length: 16, etherType: EtherType(rawValue: header.u16(14)))
    case .linuxSLL2:
      guard let header = Window<20>(bytes, at: 0) else { throw .linkHeaderCut }
      self.init(length: 20, etherType: EtherType(rawValue: header.u16(0)))
    default:
      throw .unknownLinkType
    }
  }

  /// AF_INET is 2 everywhere; AF_INET6 is 24 (NetBSD, OpenBSD), 28 (FreeBSD) or 30 (Darwin), and 10 on Linux.
  private static func etherType(ofAddressFamily family: UInt32) -> EtherType {
    switch family {
    case 2: .ipv4
    case 10, 24, 28, 30: .ipv6
    default: .none
    }
  }
}

extension LinkType {
  /// What BSD systems write for ``raw``.
  static var rawOfBSD: LinkType { LinkType(rawValue: 12) }
  /// What OpenBSD writes for ``raw``.
  static var rawOfOpenBSD: LinkType { LinkType(rawValue: 14) }
  /// OpenBSD loopback: as ``null``, in network byte order.
  static var loop: LinkType { LinkType(rawValue: 108) }
}
