/// What became of a frame that the wire offered to a NIC.
@frozen
public enum FrameReception: Sendable, BitwiseCopyable, Equatable {
  /// The NIC wrote it to memory and completed its descriptors.
  case completed
  /// The NIC's filters did not want it.
  case filtered
  /// The NIC wanted it and could not take it.
  case lost
  /// The NIC cannot take it yet; the link partner keeps it.
  case mustWait
}

/// The end of a wire that a NIC is plugged into. Frames are without preamble and frame check sequence.
///
/// ``Wire`` is one; an uplink to a real network is another.
public protocol WireEnd: ~Copyable {
  /// Whether the link partner keeps a frame for which the NIC has no descriptors, as IEEE 802.3x flow control makes it.
  /// When false such a frame is lost.
  var isPaced: Bool { get }

  /// Offers the NIC the oldest frame. Unless `body` answers ``FrameReception/mustWait``, the frame is then gone.
  ///
  /// - Returns: what `body` answered; nil when no frame waits, and `body` was not called.
  mutating func receive(_ body: (Span<UInt8>) -> FrameReception) -> FrameReception?

  /// Whether ``transmit(_:)`` would take a frame of `length` bytes now.
  mutating func hasRoom(forFrameOf length: Int) -> Bool

  /// Takes a frame from the NIC; false when there is no room, and the frame is lost.
  mutating func transmit(_ frame: Span<UInt8>) -> Bool
}

extension WireEnd where Self: ~Copyable {
  /// Offers a NIC frames, `frames` at the most, until none waits or it cannot take one yet.
  ///
  /// - Returns: how many are gone, lost and filtered ones included.
  mutating func offer(atMost frames: Int, to receive: (Span<UInt8>) -> FrameReception) -> Int {
    var taken = 0
    while taken < frames {
      guard let answer = self.receive(receive), answer != .mustWait else { break }
      taken += 1
    }
    return taken
  }
}

/// A simulated wire: the frames that travel to a NIC and from it, each with a stamp of the owner's type.
///
/// The stamp of a frame that the NIC completes goes to ``completed``, in order, for the DPI core to read.
@frozen
public struct Wire<Stamp: BitwiseCopyable>: WireEnd, ~Copyable {
  /// Frames that have not reached the NIC.
  public var toNIC: FrameQueue<Stamp>
  /// Frames that the NIC has sent.
  public var fromNIC: FrameQueue<Stamp>
  /// The stamps of frames that the NIC completed and the DPI core has not looked at.
  public var completed: StampQueue<Stamp>
  /// The stamp that frames sent by the NIC get.
  public var transmitStamp: Stamp
  public var isPaced: Bool

  /// - Parameters:
  ///   - transmitStamp: the stamp that frames sent by the NIC get.
  ///   - capacity: bytes in each direction. It must hold two of the largest frames.
  ///   - isPaced: see ``WireEnd/isPaced``.
  public init(transmitStamp: Stamp, capacity: Int = 4 << 20, isPaced: Bool = false) {
    toNIC = FrameQueue(capacity: capacity)
    fromNIC = FrameQueue(capacity: capacity)
    completed = StampQueue()
    self.transmitStamp = transmitStamp
    self.isPaced = isPaced
  }

  public mutating func receive(_ body: (Span<UInt8>) -> FrameReception) -> FrameReception? {
    guard !toNIC.isEmpty else { return nil }
    // A frame without a place for its stamp would shift every later one.
    guard !completed.isFull else { return .mustWait }
    var stamp: Stamp?
    let answer = toNIC.withFirst { frame, itsStamp in
      stamp = itsStamp
      return body(frame)
    }
    guard let answer, answer != .mustWait else { return answer }
    toNIC.removeFirst()
    if answer == .completed, let stamp { _ = completed.append(stamp) }
    return answer
  }

  public mutating func hasRoom(forFrameOf length: Int) -> Bool { fromNIC.hasRoom(forFrameOf: length) }

  public mutating func transmit(_ frame: Span<UInt8>) -> Bool { fromNIC.append(frame, stamp: transmitStamp) }
}
