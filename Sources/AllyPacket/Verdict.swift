/// What shall become of a frame. Final when it is given: rings complete in order, so nothing is held back
/// (Docs/ADR/0004).
@frozen
public enum Verdict: UInt8, Sendable, BitwiseCopyable {
  /// The frame goes on unchanged.
  case accept
  /// The frame ends here. On transmit the NIC never sees it; on receive the OS never sees it.
  case drop
  /// As ``drop``; besides, an endpoint is told (TCP reset, ICMP unreachable) by an inspector that can inject
  /// (``FrameAnswers/reject(_:with:telling:)``).
  case reject
  /// The frame ends here, and the one that the inspector gave to ``FrameAnswers/replace(_:offloads:_:)`` goes on in its
  /// place. From an inspector that gave none, ``drop``.
  case replace

  /// Whether the frame goes on as it is.
  @inlinable
  public var passes: Bool { self == .accept }
}
