public import AllyPacket
public import AllyRings
internal import CAllyLinux
internal import Glibc

/// The stamps of one NIC's frames: those that came over its wire in the order in which it completes them, and new ones
/// for those that the OS sends. Numbers are counted over both directions, as a capture at the place would.
///
/// A view, not an owner: every copy means the same stamps. ``WireClockStorage`` owns them. Not more than one thread at a
/// time may use any copy.
@safe
public struct WireClock: FrameClock {
  struct State {
    /// Nanoseconds since 1970, as of the last ``WireClock/readTime()``.
    var time: UInt64 = 0
    /// Frames stamped so far.
    var ordinal: UInt64 = 0
    /// Arrival times of frames that the NIC completed and the DPI core has not looked at: a ring of `capacity`.
    var first = 0
    var count = 0
  }

  static let capacity = 1 << 16
  /// Invariant: the owner outlives every use of a copy; `times` has `capacity` initialized entries.
  fileprivate let state: UnsafeMutablePointer<State>
  fileprivate let times: UnsafeMutablePointer<UInt64>

  fileprivate init(state: UnsafeMutablePointer<State>, times: UnsafeMutablePointer<UInt64>) {
    unsafe self.state = state
    unsafe self.times = times
  }

  /// Reads the system's clock; the frames that follow get its time.
  ///
  /// - Returns: nanoseconds since 1970.
  @discardableResult
  public func readTime() -> UInt64 {
    var now = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &now)
    let time = UInt64(clamping: now.tv_sec) &* 1_000_000_000 &+ UInt64(clamping: now.tv_nsec)
    unsafe state.pointee.time = time
    return time
  }

  /// The time read last.
  var time: UInt64 { unsafe state.pointee.time }

  /// Whether the arrival of another frame could be noted.
  var hasRoom: Bool { unsafe state.pointee.count < Self.capacity }

  /// The NIC completed a frame that had arrived at the time read last.
  public func noteCompleted() {
    guard hasRoom else { return }
    let place = unsafe (state.pointee.first &+ state.pointee.count) & (Self.capacity &- 1)
    unsafe times[place] = state.pointee.time
    unsafe state.pointee.count &+= 1
  }

  /// The NIC was reset: what it had completed is gone.
  func forgetCompleted() {
    unsafe state.pointee.first = 0
    unsafe state.pointee.count = 0
  }

  /// Forgets arrivals before a time, in nanoseconds since 1970: of frames that a guest threw away when it reset its queues.
  /// One that waits all the same gets the time at which it is looked at.
  func forgetCompleted(before time: UInt64) {
    while unsafe state.pointee.count > 0, unsafe times[state.pointee.first] < time { removeFirst() }
  }

  private func removeFirst() {
    unsafe state.pointee.first = (state.pointee.first &+ 1) & (Self.capacity &- 1)
    unsafe state.pointee.count &-= 1
  }

  /// How many frames were stamped, that is, inspected.
  public var stamped: UInt64 { unsafe state.pointee.ordinal }

  /// Goes on after another clock, of which `stamped` frames had their stamps.
  func goOn(after stamped: UInt64) { unsafe state.pointee.ordinal = stamped }

  public mutating func stamp(forFrameOf length: UInt32) -> FrameStamp {
    let isNoted = unsafe state.pointee.count > 0
    // Frames of a NIC that notes nothing get the time of now.
    let time = unsafe isNoted ? times[state.pointee.first] : state.pointee.time
    if isNoted { removeFirst() }
    return unsafe sendingStamp(time: time, length: length, state)
  }

  public func stamp(forFrameOf length: UInt32, after frames: UInt32) -> FrameStamp? {
    let place = unsafe (state.pointee.first &+ Int(frames)) & (Self.capacity &- 1)
    let time = unsafe Int(frames) < state.pointee.count ? times[place] : state.pointee.time
    return unsafe FrameStamp(
      time: time, ordinal: state.pointee.ordinal &+ UInt64(frames) &+ 1, lengthOnWire: length)
  }

  /// The clock for the frames that the OS sends.
  public var forSending: SendingClock { unsafe SendingClock(state: state) }
}

@inline(__always)
@unsafe
private func sendingStamp(time: UInt64, length: UInt32, _ state: UnsafeMutablePointer<WireClock.State>) -> FrameStamp {
  unsafe state.pointee.ordinal &+= 1
  return FrameStamp(time: time, ordinal: unsafe state.pointee.ordinal, lengthOnWire: length)
}

/// Stamps the frames that the OS sends; see ``WireClock``.
@safe
public struct SendingClock: FrameClock {
  fileprivate let state: UnsafeMutablePointer<WireClock.State>

  fileprivate init(state: UnsafeMutablePointer<WireClock.State>) { unsafe self.state = state }

  public mutating func stamp(forFrameOf length: UInt32) -> FrameStamp {
    unsafe sendingStamp(time: state.pointee.time, length: length, state)
  }

  public func stamp(forFrameOf length: UInt32, after frames: UInt32) -> FrameStamp? {
    unsafe FrameStamp(
      time: state.pointee.time, ordinal: state.pointee.ordinal &+ UInt64(frames) &+ 1, lengthOnWire: length)
  }
}

/// Owns the stamps that copies of its clock read.
@safe
public struct WireClockStorage: ~Copyable {
  private let state: UnsafeMutablePointer<WireClock.State>
  private let times: UnsafeMutablePointer<UInt64>

  public init() {
    unsafe state = .allocate(capacity: 1)
    unsafe state.initialize(to: WireClock.State())
    unsafe times = .allocate(capacity: WireClock.capacity)
    unsafe times.initialize(repeating: 0, count: WireClock.capacity)
  }

  deinit {
    unsafe state.deallocate()
    unsafe times.deallocate()
  }

  public var clock: WireClock { unsafe WireClock(state: state, times: times) }
}
