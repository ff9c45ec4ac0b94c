public import AllyDeviceModels

/// What passed a wire.
public struct WireTraffic: Sendable, BitwiseCopyable, Equatable {
  /// Frames that the NIC took from it, and those that waited too long for the NIC.
  public var received: UInt64 = 0
  public var expired: UInt64 = 0
  /// Frames that the NIC sent, and those that were not taken.
  public var sent: UInt64 = 0
  public var refused: UInt64 = 0
  /// Frames that were lost with a worker that died while it took them.
  public var lost: UInt64 = 0

  public init() {}
}

/// The end of a wire that leads out of the machine, and stamps what comes from there.
public protocol UplinkLine: WireEnd, ~Copyable {
  var clock: WireClock { get }
  /// What is readable when a frame comes; nil while one waits already.
  var inputDescriptor: Int32? { get }
  func hasCarrier() -> Bool
  var traffic: WireTraffic { get }
  /// Whether the NIC has something to send and waits for room, which will be soon.
  var isHeldUp: Bool { get }
}

extension UplinkLine where Self: ~Copyable {
  public var isHeldUp: Bool { false }
}

/// An ``Uplink`` as a NIC's wire.
///
/// A frame that the NIC cannot take yet stays here for up to two seconds, and those behind it stay in the uplink's queue,
/// which is what flow control would make of it. The other way another guest's queue holds the NIC up, for a fifth of a second: what
/// does not take any frames for longer loses them.
public struct UplinkWire: UplinkLine, ~Copyable {
  public var uplink: Uplink
  public private(set) var traffic = WireTraffic()
  private let storage = WireClockStorage()
  /// Where the frame lies that the NIC has not taken, and whose memory that is.
  private let staging: FrameStaging
  private let owner: KeptMemory
  /// How many frames are gone from there: the NIC took them, or they waited too long.
  private var taken: UInt64 = 0
  private var arrival: UInt64 = 0
  /// Since when there has been no room; nil when there is.
  private var full: UInt64?

  private static var patience: UInt64 { 2_000_000_000 }
  /// Longer than another guest's processor is away on a busy machine; well below the second after which Linux's drivers of Intel's
  /// NICs take theirs for hung, and reset it.
  static var longestHold: UInt64 { 200_000_000 }

  public init(_ uplink: consuming Uplink) throws(HostError) { self.init(uplink, keeping: try KeptMemory(private: ())) }

  /// A wire whose frame on the way outlives the process.
  public init(_ uplink: consuming Uplink, keeping memory: KeptMemory) {
    self.uplink = uplink
    owner = memory
    staging = memory.staging
  }

  public var clock: WireClock { storage.clock }
  public var isPaced: Bool { true }
  public var inputDescriptor: Int32? { isWaiting ? nil : uplink.descriptor }
  public func hasCarrier() -> Bool { uplink.hasCarrier() }
  private var isWaiting: Bool { staging.staged != taken }

  public mutating func receive(_ body: (Span<UInt8>) -> FrameReception) -> FrameReception? {
    guard clock.hasRoom else { return .mustWait }
    if isWaiting, clock.time &- arrival > Self.patience {
      traffic.expired &+= 1
      taken = staging.staged
    }
    guard isWaiting || fetch() else { return nil }
    DeathPoint.reach(.beforeNIC)
    let answer = staging.withFrame(body)
    if answer == .mustWait { return answer }
    taken = staging.staged
    if answer == .completed {
      traffic.received &+= 1
      clock.noteCompleted()
    }
    return answer
  }

  /// Takes a frame from the uplink; false when none waits.
  private mutating func fetch() -> Bool {
    guard staging.fetch(from: &uplink) else { return false }
    arrival = clock.time
    return true
  }

  public mutating func hasRoom(forFrameOf length: Int) -> Bool {
    if uplink.hasRoom() {
      full = nil
      return true
    }
    if full == nil { full = clock.time }
    return !isHeldUp
  }

  public var isHeldUp: Bool {
    guard let full else { return false }
    return clock.time &- full < Self.longestHold
  }

  public mutating func transmit(_ frame: Span<UInt8>) -> Bool {
    let isTaken = uplink.send(frame)
    if isTaken { traffic.sent &+= 1 } else { traffic.refused &+= 1 }
    return isTaken
  }
}

// MARK: - Surviving

extension UplinkWire {
  /// What changes besides the frame on the way.
  mutating func exchange(with record: inout StateRecord) {
    record.exchange(&taken)
    record.exchange(&arrival)
    record.exchange(&traffic)
    var stamped = clock.stamped
    record.exchange(&stamped)
    clock.goOn(after: stamped)
  }

  /// Takes up what a worker left that died.
  mutating func takeUp() {
    if !staging.takeUp(after: taken) { traffic.lost &+= 1 }
    clock.forgetCompleted()
    // A frame that waits has as long again.
    arrival = clock.readTime()
  }
}
