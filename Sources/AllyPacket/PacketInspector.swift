/// What looks at every frame: a firewall, an intrusion detection engine, a counter.
///
/// The rings call an inspector without knowing which; an inspector knows nothing of rings. It runs on the one DPI
/// core that owns it, so it needs no lock; it must not block, and its work per frame must be bounded whatever the frame
/// holds. A conformance needs no experimental language feature.
///
/// An inspector that does more than accept and drop says so with ``actions`` and has ``inspect(_:answering:)``; one that
/// does not needs neither.
public protocol PacketInspector: ~Copyable {
  /// What the inspector does besides accepting and dropping; nothing by default.
  static var actions: InspectorActions { get }

  /// Whether it wants to hear of frames before it is asked about them (``announce(_:)``); no by default.
  static var takesAnnouncements: Bool { get }

  /// A frame that it will be asked about soon, after those announced before it and before any other: what an inspector needs that
  /// hands frames to somebody else, so that it hands over several at once.
  ///
  /// The frame lies where it will be then, and is the same. Few frames that were announced never come: another may come in their
  /// place when their queue ends, or when there is no room for them.
  mutating func announce(_ packet: borrowing Packet)

  /// Looks at one frame and says what becomes of it.
  ///
  /// Called once per frame, in the order of the wire, on the DPI core that owns the inspector. Frames of one direction
  /// keep their order; between the two directions the order is that of the DPI core's work.
  ///
  /// - Parameter packet: the frame; valid during the call only.
  /// - Returns: the final verdict. For data that completes earlier frames (a segment that closes a gap, the last
  ///   fragment of a datagram) it stands for all the data that the frame releases.
  mutating func inspect(_ packet: borrowing Packet) -> Verdict

  /// As ``inspect(_:)``, of an inspector with ``actions``: it may replace the frame, inject others and tell an endpoint that
  /// a packet was rejected. By default it calls ``inspect(_:)``.
  ///
  /// - Parameters:
  ///   - packet: the frame; valid during the call only.
  ///   - answers: what the inspector hands back besides the verdict.
  /// - Returns: the final verdict.
  mutating func inspect(_ packet: borrowing Packet, answering answers: inout FrameAnswers) -> Verdict
}

extension PacketInspector where Self: ~Copyable {
  @inlinable
  public static var actions: InspectorActions { [] }

  @inlinable
  public static var takesAnnouncements: Bool { false }

  @inlinable
  public mutating func announce(_ packet: borrowing Packet) {}

  @inlinable
  @inline(__always)
  public mutating func inspect(_ packet: borrowing Packet, answering answers: inout FrameAnswers) -> Verdict {
    inspect(packet)
  }
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
