public import AllyDeviceModels

/// The end of a wire that leads out of the machine, and stamps what comes from there.
public protocol UplinkLine: WireEnd, ~Copyable {
  var clock: WireClock { get }
}

/// An ``Uplink`` as a NIC's wire.
///
/// A frame that the NIC cannot take yet stays here, and those behind it stay in the uplink's queue, which is what flow
/// control would make of it.
public struct UplinkWire: UplinkLine, ~Copyable {
  public var uplink: Uplink
  private let storage = WireClockStorage()
  private var buffer = [UInt8](repeating: 0, count: Uplink.longestFrame)
  /// Bytes of the frame that waits in the buffer; 0 when none does.
  private var waiting = 0

  public init(_ uplink: consuming Uplink) { self.uplink = uplink }

  public var clock: WireClock { storage.clock }
  public var isPaced: Bool { true }

  public mutating func receive(_ body: (Span<UInt8>) -> FrameReception) -> FrameReception? {
    guard clock.hasRoom else { return .mustWait }
    guard waiting > 0 || fetch() else { return nil }
    let answer = body(buffer.span.extracting(0..<waiting))
    if answer != .mustWait { waiting = 0 }
    if answer == .completed { clock.noteCompleted() }
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
    return true
  }

  public mutating func hasRoom(forFrameOf length: Int) -> Bool { true }

  public mutating func transmit(_ frame: Span<UInt8>) -> Bool { uplink.send(frame) }
}
