/// A frame on its way through a DPI core: a borrowed view, valid for one call of ``PacketInspector/inspect(_:)``.
///
/// The bytes are the frame from its link-layer header (``FrameStamp/linkType``) to its last byte, without frame check
/// sequence. The view cannot outlive the call (`~Escapable`); an inspector that wants to keep bytes copies them.
@frozen
public struct Packet: ~Escapable, BitwiseCopyable {
  /// The frame's bytes. Never longer than 65,535 + 14 + 8 bytes.
  public let bytes: RawSpan
  /// When and as the how-manieth frame it passed the wire.
  public let stamp: FrameStamp
  /// Which way it travels.
  public let direction: Direction
  /// The queue pair it was found on, from 0.
  public let queue: UInt16
  /// What the NIC found out about it, or is asked to do to it, that is not in its bytes.
  public let offloads: FrameOffloads

  @_lifetime(copy bytes)
  @inlinable
  public init(
    bytes: RawSpan, stamp: FrameStamp, direction: Direction, queue: UInt16 = 0, offloads: FrameOffloads = .none
  ) {
    self.bytes = bytes
    self.stamp = stamp
    self.direction = direction
    self.queue = queue
    self.offloads = offloads
  }
}
