/// What looks at every frame: a firewall, an intrusion detection engine, a counter.
///
/// The rings call an inspector without knowing which; an inspector knows nothing of rings. It runs on the one DPI
/// core that owns it, so it needs no lock; it must not block, and its work per frame must be bounded whatever the frame
/// holds. A conformance needs no experimental language feature.
public protocol PacketInspector: ~Copyable {
  /// Looks at one frame and says what becomes of it.
  ///
  /// Called once per frame, in the order of the wire, on the DPI core that owns the inspector. Frames of one direction
  /// keep their order; between the two directions the order is that of the DPI core's work.
  ///
  /// - Parameter packet: the frame; valid during the call only.
  /// - Returns: the final verdict. For data that completes earlier frames (a segment that closes a gap, the last
  ///   fragment of a datagram) it stands for all the data that the frame releases.
  mutating func inspect(_ packet: borrowing Packet) -> Verdict
}

/// An inspector that lets everything pass: what is left is the cost of interception alone (paper §5.1).
@frozen
public struct AcceptAll: PacketInspector {
  @inlinable
  public init() {}

  @inlinable
  @inline(__always)
  public mutating func inspect(_ packet: borrowing Packet) -> Verdict { .accept }
}
