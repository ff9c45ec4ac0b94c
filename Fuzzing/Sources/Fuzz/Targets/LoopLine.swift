internal import AllyDeviceModels
internal import AllyHost

/// A cable whose two ends are one: what is sent comes back.
struct LoopLine: UplinkLine, ~Copyable {
  private var frames = FrameQueue<UInt8>(capacity: 1 << 16)
  private let storage = WireClockStorage()

  var clock: WireClock { storage.clock }
  var inputDescriptor: Int32? { nil }
  func hasCarrier() -> Bool { true }
  var traffic: WireTraffic { WireTraffic() }
  var isPaced: Bool { true }

  mutating func receive(_ body: (Span<UInt8>) -> FrameReception) -> FrameReception? {
    guard let answer = frames.withFirst({ frame, _ in body(frame) }) else { return nil }
    if answer != .mustWait { frames.removeFirst() }
    if answer == .completed { clock.noteCompleted() }
    return answer
  }

  mutating func hasRoom(forFrameOf length: Int) -> Bool { frames.hasRoom(forFrameOf: length) }
  mutating func transmit(_ frame: Span<UInt8>) -> Bool { frames.append(frame, stamp: 0) }
}
