import AllyPacket

/// One packet found in a frame: where its parts lie and what its headers say.
///
/// A frame holds one packet, or several when it carries a tunnel or completes a datagram. Offsets count from the first
/// of the bytes that ``FrameDissector/bytes(of:in:)`` gives for this packet: the frame, or a reassembled datagram. Every
/// offset and length stays within these bytes, whatever the headers claim.
struct DecodedPacket: BitwiseCopyable, Sendable {
  /// 0 for the frame's own bytes, else the number of a reassembled datagram.
  var buffer: UInt8 = 0
  /// How the packet is wrapped.
  var origin: Origin = .wire
  /// How many packets of the same frame are around this one.
  var depth: UInt8 = 0
  /// Where the packet of this frame that this one was found in stands in the frame's list; itself for the outermost.
  var parent: UInt8 = 0

  /// 4 or 6; 0 when no IP header was found, and then nothing below holds but ``events``.
  var ipVersion: UInt8 = 0
  /// The protocol after the IP header and the extension headers, also when its header is broken. Where the extension headers
  /// lead to no protocol (a fragment, a broken chain) the first of them.
  var ipProtocol: UInt8 = 0
  /// Which transport header was found whole.
  var transport: Transport = .none
  /// TTL or hop limit.
  var hopLimit: UInt8 = 0
  /// Type of service or traffic class.
  var trafficClass: UInt8 = 0
  var vlanCount: UInt8 = 0
  /// The VLAN ids from the outside in.
  var vlans: (UInt16, UInt16, UInt16) = (0, 0, 0)
  var flaws: Flaws = []

  var source = IPAddress(high: 0, low: 0)
  var destination = IPAddress(high: 0, low: 0)
  /// Ports of TCP, UDP and SCTP; 0 for others.
  var sourcePort: UInt16 = 0
  var destinationPort: UInt16 = 0

  /// The first byte of the link header; the same as ``networkOffset`` for a packet inside another one.
  var linkOffset: UInt32 = 0
  /// The first byte of the IP header.
  var networkOffset: UInt32 = 0
  /// Behind the last byte of the datagram: what the length fields say, cut to what is there. Trailing bytes are beyond.
  var networkEnd: UInt32 = 0
  /// The first byte of the transport header, or of what stands in its place.
  var transportOffset: UInt32 = 0
  /// The first byte after the transport header; without a known transport, or for a fragment, after the network headers.
  var payloadOffset: UInt32 = 0
  /// Bytes to inspect: 0 for a fragment, for what has no known transport header, and for what carries a packet of its own.
  var payloadLength: UInt32 = 0
  /// The payload is a packet of its own, or completes one, and is inspected as such.
  var carriesPacket = false
  /// Bytes that this packet counts for in a flow's byte counters.
  var accountedLength: UInt32 = 0

  var fragment = Fragment()
  var tcp = TCPFields()
  var icmp = ICMPFields()
  var events = DecoderEventSet()
  /// One of the events happened twice: records say so twice.
  var repeatedEvent: DecoderEvent? = nil

  init() {}

  /// The payload's place in the packet's bytes.
  var payloadRange: Range<Int> { Int(payloadOffset)..<Int(payloadOffset &+ payloadLength) }

  /// Outer VLAN id in the low 16 bits and the inner one in the high 16, as ``FlowKey/vlan`` wants it.
  var vlanKey: UInt32 { UInt32(vlans.0) | UInt32(vlans.1) << 16 }
}

extension DecodedPacket {
  /// The transport header that a packet carries.
  enum Transport: UInt8, BitwiseCopyable, Sendable {
    case none, tcp, udp, icmpv4, icmpv6, sctp
  }

  /// How a packet came to be: as it was on the wire, inside another packet, or put together from fragments.
  enum Origin: UInt8, BitwiseCopyable, Sendable {
    case wire, gre, ipv4, ipv6, teredo, vxlan, geneve, defragmented
    /// No packet at all: it stands for the end of a flow.
    case flowEnd

    /// The name for a record's `pkt_src`.
    var name: StaticString {
      switch self {
      case .wire: "wire/pcap"
      case .gre: "gre tunnel"
      case .ipv4: "ipv4 tunnel"
      case .ipv6: "ipv6 tunnel"
      case .teredo: "teredo tunnel"
      case .vxlan: "vxlan encapsulation"
      case .geneve: "geneve encapsulation"
      case .defragmented: "defrag"
      case .flowEnd: "stream (flow timeout)"
      }
    }
  }

  /// What keeps a packet from taking part as it is.
  struct Flaws: OptionSet, BitwiseCopyable, Sendable {
    let rawValue: UInt8
    /// The IPv4 header's checksum is wrong (RFC 791 §3.1).
    static var networkChecksum: Flaws { Flaws(rawValue: 1) }
    /// The TCP checksum is wrong: the packet updates its flow but never its stream. The checksums of UDP and ICMP bar
    /// nothing and are computed when a rule asks (``Checksum``).
    static var transportChecksum: Flaws { Flaws(rawValue: 2) }
    /// A header is broken or cut. When it is the transport header, the packet has no flow, no ports and no payload; when it is the
    /// network header, not even addresses, and only rules on the decoder's events can see it.
    static var invalid: Flaws { Flaws(rawValue: 4) }
  }

  /// A fragment's place in its datagram (RFC 791 §3.2, RFC 8200 §4.5).
  struct Fragment: BitwiseCopyable, Sendable {
    /// The datagram's identification: 16 bits of IPv4, 32 of IPv6. For IPv4 also set when nothing is fragmented.
    var identification: UInt32 = 0
    /// Bytes of the datagram's payload before this fragment.
    var offset: UInt16 = 0
    /// More fragments follow.
    var more = false
    /// "Don't fragment" of IPv4.
    var dontFragment = false
    /// The IPv6 Fragment header's place; 0 for IPv4.
    var headerOffset: UInt32 = 0
    /// The byte that announces the IPv6 Fragment header: the next-header field before it.
    var nextHeaderOffset: UInt32 = 0
    /// What the datagram carries; IPv6 only, where ``DecodedPacket/ipProtocol`` is the first header of a fragment.
    var nextHeader: UInt8 = 0
    /// Whether this is a piece of a datagram; a reassembled datagram is none.
    var isFragment: Bool { more || offset != 0 }
  }

  /// A TCP header (RFC 9293 §3.1).
  struct TCPFields: BitwiseCopyable, Sendable {
    var sequence: UInt32 = 0
    var acknowledgement: UInt32 = 0
    var window: UInt16 = 0
    var urgentPointer: UInt16 = 0
    /// CWR, ECE, URG, ACK, PSH, RST, SYN, FIN from bit 7 to bit 0.
    var flags: UInt8 = 0
    /// Which of the options below are there.
    var options: TCPOptions = []
    /// Bytes of options.
    var optionsLength: UInt8 = 0
    var windowScale: UInt8 = 0
    var maximumSegmentSize: UInt16 = 0
    /// Blocks of a SACK option, where they stand in the packet's bytes.
    var selectiveBlocks: UInt8 = 0
    var selectiveOffset: UInt32 = 0
    var timestampValue: UInt32 = 0
    var timestampEcho: UInt32 = 0

    var isSYN: Bool { flags & TCPFlag.syn != 0 }
    var isACK: Bool { flags & TCPFlag.ack != 0 }
    var isRST: Bool { flags & TCPFlag.rst != 0 }
    var isFIN: Bool { flags & TCPFlag.fin != 0 }
  }

  struct TCPOptions: OptionSet, BitwiseCopyable, Sendable {
    let rawValue: UInt8
    static var maximumSegmentSize: TCPOptions { TCPOptions(rawValue: 1) }
    static var windowScale: TCPOptions { TCPOptions(rawValue: 2) }
    static var selectivePermitted: TCPOptions { TCPOptions(rawValue: 4) }
    static var selective: TCPOptions { TCPOptions(rawValue: 8) }
    static var timestamp: TCPOptions { TCPOptions(rawValue: 16) }
    /// TCP Fast Open cookie or request (RFC 7413).
    static var fastOpen: TCPOptions { TCPOptions(rawValue: 32) }
  }

  /// An ICMP header (RFC 792, RFC 4443).
  struct ICMPFields: BitwiseCopyable, Sendable {
    var type: UInt8 = 0
    var code: UInt8 = 0
    /// Identifier and sequence number of those types that carry them.
    var identifier: UInt16 = 0
    var sequence: UInt16 = 0
    var hasIdentifier = false
    /// An error message that quotes a packet: what the quotation says of it.
    var hasQuotation = false
    var quotedProtocol: UInt8 = 0
    var quotedSourcePort: UInt16 = 0
    var quotedDestinationPort: UInt16 = 0
    var quotedSource = IPAddress(high: 0, low: 0)
    var quotedDestination = IPAddress(high: 0, low: 0)
  }
}

/// The bits of a TCP header's flags (RFC 9293 §3.1).
enum TCPFlag {
  static var fin: UInt8 { 0x01 }
  static var syn: UInt8 { 0x02 }
  static var rst: UInt8 { 0x04 }
  static var push: UInt8 { 0x08 }
  static var ack: UInt8 { 0x10 }
  static var urgent: UInt8 { 0x20 }
  static var ece: UInt8 { 0x40 }
  static var cwr: UInt8 { 0x80 }
}

/// The protocol numbers that the decoder knows (IANA, Protocol Numbers).
enum IPProtocolNumber {
  static var hopByHop: UInt8 { 0 }
  static var icmp: UInt8 { 1 }
  static var ipInIP: UInt8 { 4 }
  static var tcp: UInt8 { 6 }
  static var udp: UInt8 { 17 }
  static var ipv6: UInt8 { 41 }
  static var routing: UInt8 { 43 }
  static var fragment: UInt8 { 44 }
  static var gre: UInt8 { 47 }
  static var esp: UInt8 { 50 }
  static var authentication: UInt8 { 51 }
  static var icmpv6: UInt8 { 58 }
  static var noNextHeader: UInt8 { 59 }
  static var destinationOptions: UInt8 { 60 }
  static var sctp: UInt8 { 132 }
  static var mobility: UInt8 { 135 }
  static var hostIdentity: UInt8 { 139 }
  static var shim6: UInt8 { 140 }
}
