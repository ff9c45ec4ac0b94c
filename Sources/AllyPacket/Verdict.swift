/// What shall become of a frame. Final when it is given: rings complete in order, so nothing is held back
/// (Docs/ADR/0004).
@frozen
public enum Verdict: UInt8, Sendable, BitwiseCopyable {
  /// The frame goes on unchanged.
  case accept
  /// The frame ends here. On transmit the NIC never sees it; on receive the OS never sees it.
  case drop
  /// As ``drop``; besides, the sender is to be told (TCP reset, ICMP unreachable) by an appliance that can inject.
  case reject

  /// Whether the frame goes on.
  @inlinable
  public var passes: Bool { self == .accept }
}
