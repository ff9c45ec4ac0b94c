public import AllyPacket

/// Where stamps come from: asked once for each frame, in the order of the wire, before the frame is inspected.
///
/// On receive it yields what the wire stamped (one stamp per completed frame, dropped or not); on transmit it says when
/// the frame leaves. A conformance needs no experimental language feature.
public protocol FrameClock: ~Copyable {
  /// The stamp of the next frame.
  ///
  /// - Parameter length: the frame's bytes as the NIC gave them, without frame check sequence.
  mutating func stamp(forFrameOf length: UInt32) -> FrameStamp

  /// The stamp that a frame will get after so many others, as far as that can be told now; nil when it cannot, and then no
  /// frames are announced to inspectors. Nothing changes.
  func stamp(forFrameOf length: UInt32, after frames: UInt32) -> FrameStamp?
}

extension FrameClock where Self: ~Copyable {
  @inlinable
  public func stamp(forFrameOf length: UInt32, after frames: UInt32) -> FrameStamp? { nil }
}

/// A clock for when nothing stamps the frames: numbers them from 1, with a time that the owner sets.
@frozen
public struct CountingClock: FrameClock, Sendable, BitwiseCopyable {
  /// The time given to frames, in nanoseconds since 1970; set it as often as it matters.
  public var time: UInt64
  /// The number of frames stamped so far.
  public var count: UInt64

  @inlinable
  public init(time: UInt64 = 0) {
    self.time = time
    self.count = 0
  }

  @inlinable
  @inline(__always)
  public mutating func stamp(forFrameOf length: UInt32) -> FrameStamp {
    count &+= 1
    return FrameStamp(time: time, ordinal: count, lengthOnWire: length)
  }

  @inlinable
  public func stamp(forFrameOf length: UInt32, after frames: UInt32) -> FrameStamp? {
    FrameStamp(time: time, ordinal: count &+ UInt64(frames) &+ 1, lengthOnWire: length)
  }
}
