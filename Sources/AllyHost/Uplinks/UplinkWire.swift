public import AllyDeviceModels

/// What passed a wire.
public struct WireTraffic: Sendable, Equatable {
  /// Frames that the NIC took from it, and those that waited too long for the NIC.
  public var received: UInt64 = 0
  public var expired: UInt64 = 0
  /// Frames that the NIC sent, and those that were not taken.
  public var sent: UInt64 = 0
  public var refused: UInt64 = 0

  public init() {}
}

/// The end of a wire that leads out of the machine, and stamps what comes from there.
public protocol UplinkLine: WireEnd, ~Copyable {
  var clock: WireClock { get }
  /// What is readable when a frame comes; nil while one waits already.
  var inputDescriptor: Int32? { get }
  func hasCarrier() -> Bool
  var traffic: WireTraffic { get }
}

/// An ``Uplink`` as a NIC's wire.
///
/// A frame that the NIC cannot take yet stays here for up to two seconds, and those behind it stay in the uplink's queue,
/// which is what flow control would make of it.
public struct UplinkWire: UplinkLine, ~Copyable {
  public var uplink: Uplink
  public private(set) var traffic = WireTraffic()
  private let storage = WireClockStorage()
  private var buffer = [UInt8](repeating: 0, count: Uplink.longestFrame)
  /// Bytes of the frame that waits in the buffer; 0 when none does.
  private var waiting = 0
  private var arrival: UInt64 = 0

  private static var patience: UInt64 { 2_000_000_000 }

  public init(_ uplink: consuming Uplink) { self.uplink = uplink }

  public var clock: WireClock { storage.clock }
  public var isPaced: Bool { true }
  public var inputDescriptor: Int32? { waiting == 0 ? uplink.descriptor : nil }
  public func hasCarrier() -> Bool { uplink.hasCarrier() }

  public mutating func receive(_ body: (Span<UInt8>) -> FrameReception) -> FrameReception? {
    guard clock.hasRoom else { return .mustWait }
    if waiting > 0, clock.time &- arrival > Self.patience {
      traffic.expired &+= 1
      waiting = 0
    }
    guard waiting > 0 || fetch() else { return nil }
    let answer = body(buffer.span.extracting(0..<waiting))
    if answer == .mustWait { return answer }
    waiting = 0
    if answer == .completed {
      traffic.received &+= 1
      clock.noteCompleted()
    }
    return answer
  }

  /// Takes a frame from the uplink; false when none waits.
  private mutating func fetch() -> Bool {
    // Taken out while the uplink writes into it: a view into one part of `self` and a change of another would exclude each
    // other.
    var bytes: [UInt8] = []
    swap(&bytes, &buffer)
    defer { swap(&bytes, &buffer) }
    var span = bytes.mutableSpan
    guard let count = uplink.receive(into: &span) else { return false }
    waiting = count
    arrival = clock.time
    return true
  }

  public mutating func hasRoom(forFrameOf length: Int) -> Bool { true }

  public mutating func transmit(_ frame: Span<UInt8>) -> Bool {
    let isTaken = uplink.send(frame)
    if isTaken { traffic.sent &+= 1 } else { traffic.refused &+= 1 }
    return isTaken
  }
}
