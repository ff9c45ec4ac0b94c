/// How a ``Verdict/reject`` tells an endpoint: the inspector names the reply, ``FrameAnswers`` sends it.
@frozen
public enum Rejection: Sendable, BitwiseCopyable, Equatable {
  /// ICMP destination unreachable with this code (RFC 792).
  case icmp(code: UInt8)
  /// ICMPv6 destination unreachable with this code (RFC 4443 §3.1).
  case icmpv6(code: UInt8)
  /// One of the two above, after the packet's own family.
  case icmpx(icmpCode: UInt8, icmpv6Code: UInt8)
  /// A TCP segment with RST (RFC 9293 §3.5.2).
  case tcpReset
}
