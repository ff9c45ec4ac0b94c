/// Where a frame's headers are and what an appliance that filters by address, port and protocol wants of them: read once,
/// kept as plain values.
///
/// Every field is checked when the value is made, so that nothing read from it can fail; what a frame lacks is zero.
/// Offsets are in bytes from the frame's first byte. Making one allocates nothing and takes bounded work whatever the
/// frame holds. Any core may make one.
@frozen
public struct PacketLayers: Sendable, BitwiseCopyable {
  /// Which IP header the frame carries. Decided by the header, not by the addresses: an IPv6 packet between IPv4-mapped
  /// addresses is ``ipv6``.
  @frozen
  public enum Network: UInt8, Sendable, BitwiseCopyable {
    /// None: address resolution, spanning tree, …, or a defect before the header.
    case other
    case ipv4
    case ipv6
  }

  /// A fragment's place in its datagram.
  @frozen
  public struct Fragment: Sendable, BitwiseCopyable {
    /// Names the datagram; 16 bits in IPv4, 32 in IPv6.
    public var identification: UInt32
    /// Where the fragment stands in the datagram's payload, in bytes, a multiple of 8.
    public var offset: UInt16
    /// Whether others follow.
    public var moreFollow: Bool
    /// Where the fragment's own piece of the datagram begins in the frame: behind the IPv4 header or the IPv6 fragment
    /// header.
    public var pieceOffset: UInt32

    @inlinable
    init(identification: UInt32 = 0, offset: UInt16 = 0, moreFollow: Bool = false, pieceOffset: UInt32 = 0) {
      self.identification = identification
      self.offset = offset
      self.moreFollow = moreFollow
      self.pieceOffset = pieceOffset
    }

    /// Whether the packet is a fragment of a larger datagram at all.
    @inlinable
    @inline(__always)
    public var isFragment: Bool { moreFollow || offset != 0 }
    /// Whether it is a fragment that lacks the transport header.
    @inlinable
    @inline(__always)
    public var isLater: Bool { offset != 0 }
  }

  /// The most VLAN tags that are stepped over; a frame with more has a defect.
  @inlinable public static var maximumVLANTags: Int { 4 }
  /// The most IPv6 extension headers that are stepped over; a packet with more has a defect.
  @inlinable public static var maximumExtensionHeaders: Int { 8 }

  /// What the network header is: the type behind the last VLAN tag.
  public var etherType: EtherType = .none
  public var network: Network = .other
  /// What ended the reading early, if anything.
  public var defect: PacketDefect?
  /// VLAN of the first tag in the low 16 bits, of the second in the high 16; 0 without. As ``FlowKey/vlan``.
  public var vlan: UInt32 = 0
  /// Where the network header begins.
  public var networkOffset: UInt32 = 0
  /// Bytes of the network packet as its header says, link-layer padding left out.
  public var networkLength: UInt32 = 0
  /// Where the packet ends in the frame's bytes; before `networkOffset + networkLength` when the capture cut it.
  public var endOffset: UInt32 = 0
  /// Where the transport header begins, behind options and extension headers.
  public var transportOffset: UInt32 = 0
  /// Where the transport payload begins; ``transportOffset`` when no transport header was read.
  public var payloadOffset: UInt32 = 0
  public var source = IPAddress(high: 0, low: 0)
  public var destination = IPAddress(high: 0, low: 0)
  /// The IP header's own protocol or next header field; in IPv6 it may name an extension header.
  public var headerProtocol = IPProtocol(rawValue: 0)
  /// What the packet carries behind all extension headers.
  public var ipProtocol = IPProtocol(rawValue: 0)
  /// Time to live or hop limit.
  public var timeToLive: UInt8 = 0
  public var fragment = Fragment()
  /// Whether a transport header was read: TCP, UDP, UDP-Lite, SCTP, DCCP, ICMP or ICMPv6, in a packet that is no later
  /// fragment.
  public var hasTransport = false
  public var tcpFlags = TCPFlags(rawValue: 0)
  public var icmpType: UInt8 = 0
  public var icmpCode: UInt8 = 0
  /// Source port; 0 for protocols without ports.
  public var sourcePort: UInt16 = 0
  /// Destination port; 0 for protocols without ports.
  public var destinationPort: UInt16 = 0

  /// Reads the headers of `packet`.
  @inlinable
  public init(of packet: borrowing Packet) {
    self.init(
      of: packet.bytes, linkType: packet.stamp.linkType, lengthOnWire: Int(packet.stamp.lengthOnWire),
      isToBeSegmented: packet.direction == .transmit && packet.offloads.segmentSize != 0)
  }

  /// Reads the headers of a frame.
  ///
  /// - Parameters:
  ///   - bytes: the frame from its link-layer header.
  ///   - linkType: what it begins with.
  ///   - lengthOnWire: the bytes it had on the wire, when a capture kept fewer.
  ///   - isToBeSegmented: whether the NIC cuts it and writes the length of each segment itself (8254x SDM 3.5.5): what the
  ///     IP header says of its length is then never sent, and the packet reaches to the frame's end.
  @inlinable
  public init(of bytes: RawSpan, linkType: LinkType, lengthOnWire: Int = 0, isToBeSegmented: Bool = false) {
    let link: LinkHeader
    do throws(PacketDefect) {
      link = try LinkHeader(of: bytes, linkType: linkType)
    } catch {
      defect = error
      return
    }
    etherType = link.etherType
    var offset = link.length
    if etherType.isVLAN, !stepOverTags(bytes, &offset) { return }
    networkOffset = UInt32(truncatingIfNeeded: offset)
    let lengthOnWire = max(lengthOnWire, bytes.byteCount)
    if etherType == .ipv4 {
      readIPv4(bytes, at: offset, lengthOnWire, isToBeSegmented)
    } else if etherType == .ipv6 {
      readIPv6(bytes, at: offset, lengthOnWire, isToBeSegmented)
    }
  }

  /// Reads an IPv4 or IPv6 packet without link layer, such as the one that an ICMP error quotes.
  ///
  /// - Parameters:
  ///   - bytes: the packet from its IP header on.
  ///   - cut: whether the packet may be longer than `bytes`, as a quoted one is. Ports are then read as soon as their
  ///     four bytes are there (an error need not quote more than eight behind the IP header, RFC 792), and a transport
  ///     header that is not whole is no defect.
  @inlinable
  public init(ofNetworkPacket bytes: RawSpan, cut: Bool = false) {
    guard let first = Window<1>(bytes, at: 0) else {
      defect = .badNetworkHeader
      return
    }
    let lengthOnWire = cut ? Int(UInt16.max) &+ 40 : bytes.byteCount
    if first.u8(0) &>> 4 == 6 {
      etherType = .ipv6
      readIPv6(bytes, at: 0, lengthOnWire, false)
    } else {
      etherType = .ipv4
      readIPv4(bytes, at: 0, lengthOnWire, false)
    }
    if cut, defect == .badTransportHeader { readQuotedPorts(bytes) }
  }

  @usableFromInline
  @inline(never)
  mutating func readQuotedPorts(_ bytes: RawSpan) {
    switch ipProtocol {
    case .tcp, .udp, .udpLite, .sctp, .dccp:
      guard let ports = Window<4>(bytes.extracting(0..<Int(endOffset)), at: Int(transportOffset)) else { return }
      sourcePort = ports.u16(0)
      destinationPort = ports.u16(2)
      defect = nil
    default:
      return
    }
  }

  /// - Returns: whether ``etherType`` is now what follows the last tag.
  @usableFromInline
  @inline(never)
  mutating func stepOverTags(_ bytes: RawSpan, _ offset: inout Int) -> Bool {
    var tags = 0
    while etherType.isVLAN {
      guard tags < PacketLayers.maximumVLANTags else {
        defect = .tooManyVLANTags
        return false
      }
      guard let tag = VLANTag(bytes, at: offset) else {
        defect = .linkHeaderCut
        return false
      }
      if tags < 2 { vlan |= UInt32(tag.identifier) &<< UInt32(16 &* tags) }
      etherType = tag.etherType
      offset &+= VLANTag.length
      tags &+= 1
    }
    return true
  }

  @inlinable
  @inline(__always)
  mutating func readIPv4(_ bytes: RawSpan, at offset: Int, _ lengthOnWire: Int, _ isToBeSegmented: Bool) {
    guard let header = IPv4Header(bytes, at: offset) else {
      defect = .badNetworkHeader
      return
    }
    network = .ipv4
    source = header.source
    destination = header.destination
    headerProtocol = header.ipProtocol
    ipProtocol = header.ipProtocol
    timeToLive = header.timeToLive
    // A total length of 0 is a frame that some NIC was to segment: it reaches to its end.
    let totalLength = isToBeSegmented || header.totalLength == 0 ? lengthOnWire &- offset : header.totalLength
    networkLength = UInt32(truncatingIfNeeded: totalLength)
    guard offset &+ totalLength <= lengthOnWire else {
      defect = .lengthBeyondFrame
      return
    }
    if header.moreFragments || header.fragmentOffset != 0 {
      fragment = Fragment(
        identification: UInt32(header.identification), offset: UInt16(truncatingIfNeeded: header.fragmentOffset),
        moreFollow: header.moreFragments, pieceOffset: UInt32(truncatingIfNeeded: offset &+ header.headerLength))
    }
    let end = min(offset &+ totalLength, bytes.byteCount)
    endOffset = UInt32(truncatingIfNeeded: end)
    readTransport(bytes.extracting(0..<end), at: offset &+ header.headerLength)
  }

  @inlinable
  mutating func readIPv6(_ bytes: RawSpan, at offset: Int, _ lengthOnWire: Int, _ isToBeSegmented: Bool) {
    guard let header = IPv6Header(bytes, at: offset) else {
      defect = .badNetworkHeader
      return
    }
    network = .ipv6
    source = header.source
    destination = header.destination
    headerProtocol = header.nextHeader
    ipProtocol = header.nextHeader
    timeToLive = header.hopLimit
    let totalLength =
      isToBeSegmented || header.payloadLength == 0
      ? lengthOnWire &- offset : IPv6Header.length &+ header.payloadLength
    networkLength = UInt32(truncatingIfNeeded: totalLength)
    guard offset &+ totalLength <= lengthOnWire else {
      defect = .lengthBeyondFrame
      return
    }
    let end = min(offset &+ totalLength, bytes.byteCount)
    endOffset = UInt32(truncatingIfNeeded: end)
    let packet = bytes.extracting(0..<end)
    var cursor = offset &+ IPv6Header.length
    if ipProtocol == .fragment || IPv6ExtensionHeader.steps(over: ipProtocol) {
      guard stepOverExtensionHeaders(packet, &cursor) else { return }
    }
    readTransport(packet, at: cursor)
  }

  /// - Returns: whether ``ipProtocol`` is now what the packet carries.
  @usableFromInline
  @inline(never)
  mutating func stepOverExtensionHeaders(_ packet: RawSpan, _ cursor: inout Int) -> Bool {
    var steps = 0
    while true {
      let kind = ipProtocol
      if kind == .fragment {
        guard steps < PacketLayers.maximumExtensionHeaders, !fragment.isFragment,
          let header = IPv6FragmentHeader(packet, at: cursor)
        else { break }
        fragment = Fragment(
          identification: header.identification, offset: UInt16(truncatingIfNeeded: header.fragmentOffset),
          moreFollow: header.moreFragments,
          pieceOffset: UInt32(truncatingIfNeeded: cursor &+ IPv6FragmentHeader.length))
        ipProtocol = header.nextHeader
        cursor &+= IPv6FragmentHeader.length
        // What a later fragment begins with is payload, whatever the header calls it.
        if fragment.isLater { return true }
      } else if IPv6ExtensionHeader.steps(over: kind) {
        guard steps < PacketLayers.maximumExtensionHeaders,
          let header = IPv6ExtensionHeader(packet, at: cursor, kind: kind)
        else { break }
        ipProtocol = header.nextHeader
        cursor &+= header.length
      } else {
        return true
      }
      steps &+= 1
    }
    transportOffset = UInt32(truncatingIfNeeded: cursor)
    payloadOffset = transportOffset
    defect = .badExtensionHeader
    return false
  }

  @inlinable
  @inline(__always)
  mutating func readTransport(_ packet: RawSpan, at offset: Int) {
    transportOffset = UInt32(truncatingIfNeeded: offset)
    payloadOffset = transportOffset
    if fragment.isLater { return }
    var headerLength = 0
    switch ipProtocol {
    case .tcp:
      guard let header = TCPHeader(packet, at: offset) else { break }
      sourcePort = header.sourcePort
      destinationPort = header.destinationPort
      tcpFlags = header.flags
      headerLength = header.headerLength
    case .udp:
      guard let header = UDPHeader(packet, at: offset), header.length >= UDPHeader.headerLength || header.length == 0
      else { break }
      sourcePort = header.sourcePort
      destinationPort = header.destinationPort
      headerLength = UDPHeader.headerLength
    case .icmp where network == .ipv4, .icmpv6 where network == .ipv6:
      guard let header = ICMPHeader(packet, at: offset) else { break }
      icmpType = header.type
      icmpCode = header.code
      headerLength = ICMPHeader.length
    case .udpLite, .sctp, .dccp:
      headerLength = readUnusualTransport(packet, at: offset)
    default:
      return
    }
    guard headerLength != 0 else {
      defect = .badTransportHeader
      return
    }
    payloadOffset = UInt32(truncatingIfNeeded: offset &+ headerLength)
    hasTransport = true
  }

  /// The protocols whose header begins with two ports but is not read further here.
  ///
  /// - Returns: the header's bytes, 0 when it is not whole.
  @usableFromInline
  @inline(never)
  mutating func readUnusualTransport(_ packet: RawSpan, at offset: Int) -> Int {
    let length = ipProtocol == .udpLite ? 8 : 12
    guard let ports = Window<4>(packet, at: offset), packet.byteCount &- offset >= length else { return 0 }
    sourcePort = ports.u16(0)
    destinationPort = ports.u16(2)
    return length
  }
}
