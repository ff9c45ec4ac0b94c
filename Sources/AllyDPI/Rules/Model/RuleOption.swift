/// An option that takes part in matching.
///
/// Those with a position (content, pattern, byte operations) act in their order: each leaves a cursor behind its match,
/// from which relative ones count.
public enum RuleOption: Sendable {
  // The payload, or the sticky buffer that each names.
  case content(ContentMatch)
  case pcre(PatternMatch)
  case byteTest(ByteTest)
  case byteJump(ByteJump)
  case byteExtract(ByteExtract)
  case byteMath(ByteMath)
  case isDataAt(IsDataAt)
  /// `bsize`: the length of the buffer in bytes.
  case bufferSize(BufferView, NumberMatch)
  case base64Decode(Base64Decode)
  case dataset(DataSetMatch)
  case dataReputation(DataReputationMatch)
  /// `dsize`: the length of the packet's payload in bytes; never of a stream.
  case dsize(NumberMatch)

  // The IP header.
  case ttl(NumberMatch)
  /// `id`: the IPv4 identification.
  case ipID(NumberMatch)
  /// `tos`: the whole octet.
  case tos(NumberMatch)
  /// `ip_proto`: IPv4's protocol or IPv6's last next header.
  case ipProtocol(NumberMatch)
  /// `l3_proto`: 4 or 6.
  case ipVersion(UInt8)
  case ipOption(IPOptionMatch)
  case fragmentBits(FragmentBitsMatch)
  /// `fragoffset`, in units of 8 bytes as the header has it.
  case fragmentOffset(NumberMatch)
  /// `sameip`: source and destination address are the same.
  case sameIP

  // TCP and ICMP headers.
  case tcpFlags(TCPFlagsMatch)
  /// `seq`, `ack`: as in the header, not relative.
  case tcpSequence(NumberMatch)
  case tcpAcknowledgement(NumberMatch)
  /// `window`: as in the header, not scaled.
  case tcpWindow(NumberMatch)
  /// `tcp.mss`: the option's value; a packet without the option does not match.
  case tcpMSS(NumberMatch)
  case rpc(RPCMatch)
  /// `itype`, `icode`: ICMP of both families.
  case icmpType(NumberMatch)
  case icmpCode(NumberMatch)
  /// `icmp_id`, `icmp_seq`: in host order; types that have no such field do not match.
  case icmpID(NumberMatch)
  case icmpSequence(NumberMatch)
  /// `icmpv6.mtu`: of a "packet too big".
  case icmpv6MTU(NumberMatch)
  case checksum(ChecksumMatch)
  case ipReputation(IPReputationMatch)
  case asn1(ASN1Match)

  // The flow.
  case flow(FlowMatch)
  case flowbits(StateBits)
  case hostbits(StateBits)
  case xbits(StateBits)
  case flowInteger(FlowInteger)
  /// `flowvar`, `pktvar`: what a pattern captured.
  case variable(VariableMatch)
  case streamSize(StreamSize)
  /// `flow.age`: seconds since its first packet.
  case flowAge(NumberMatch)

  // The application.
  case applicationProtocol(ApplicationProtocolMatch)
  case applicationEvent(ApplicationEvent)
  case applicationNumber(ApplicationNumber, NumberMatch)
  /// All bits of `set` are there, and none of `clear`.
  case applicationFlags(ApplicationFlags, set: UInt32, clear: UInt32)
  case fileDigest(FileDigestMatch)
  case dcerpcInterface(DCERPCInterface)
  /// `dcerpc.opnum`: one of these.
  case dcerpcOperation([ClosedRange<UInt16>])
  case tlsVersion(TLSVersionMatch)
  case tlsState(TLSStateMatch)
  case certificateValidity(CertificateValidity)
  case modbus(ModbusMatch)
  /// `dnp3_obj`.
  case dnp3Object(group: UInt8, variation: UInt8)
  case cipService(CIPService)
  /// `http2.settings`: the setting by its number, RFC 9113 §6.5.2.
  case http2Setting(UInt16, NumberMatch)
  /// `ike.chosen_sa_attribute`: Suricata's name of the attribute.
  case ikeAttribute(String, UInt32)
  /// `krb5.ticket_encryption`: one of these types.
  case krb5TicketEncryption([Int32], isNegated: Bool)
  case ftpDataCommand(FTPDataCommand)
  /// `ftpbounce`: a PORT command with an address that is not the client's.
  case ftpBounce

  /// `decode-event`: Suricata's name of the event, `ipv4.pkt_too_small`.
  case decodeEvent(String)
  /// `stream-event`: likewise, `3whs_ack_in_wrong_dir`.
  case streamEvent(String)
}

/// A number in an option, or the variable of the same rule that holds it when the rule is evaluated.
public enum RuleValue: Sendable, Equatable {
  case constant(Int)
  /// Index into ``Rule/byteVariables``.
  case variable(Int)
}

extension RuleValue: ExpressibleByIntegerLiteral {
  public init(integerLiteral value: Int) { self = .constant(value) }
}
