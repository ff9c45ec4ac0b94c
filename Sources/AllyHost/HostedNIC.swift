public import AllyDeviceModels
public import AllyHW

/// The NIC behind an intercepted guest: registers, and a way to let it work.
///
/// A device model with an uplink as its wire is one (``ModelNIC``), a NIC of another emulator is another (``QEMUDevice``).
public protocol HostedNIC: NICDevice, ~Copyable {
  /// What the function looks like on the PCI bus.
  var function: PCIFunction { get }
  /// Where the stamps of the frames come from that pass it.
  var clock: WireClock { get }

  /// Lets it do what NICs do by themselves: send what was posted, receive what has come, end what takes time.
  ///
  /// Bounded: no more than `frames` frames in each direction.
  ///
  /// - Parameters:
  ///   - bus: where its DMA goes.
  ///   - frames: the most frames to move in each direction.
  ///   - now: nanoseconds of a clock that does not run backwards.
  /// - Returns: whether anything moved.
  mutating func work(on bus: inout HostBus, frames: Int, at now: UInt64) -> Bool

  /// Whether it interrupts now: by its pin, or by messages when it has none.
  mutating func assertsInterrupt() -> Bool

  /// When it wants to work again without anything happening, in the nanoseconds of ``work(on:frames:at:)``; nil when it does
  /// not.
  var nextTimer: UInt64? { get }

  /// What is readable when a frame comes over its wire; nil when it would take none now, or finds out by itself.
  var inputDescriptor: Int32? { get }

  /// Makes its link follow the carrier of its wire.
  mutating func followCarrier()

  /// Says over how many of its queue pairs it spreads received frames, for a NIC whose guest does not say so itself.
  mutating func spreadReceived(over pairs: Int)

  /// What passed its wire.
  var traffic: WireTraffic { get }

  /// A hardware reset.
  mutating func reset()

  /// Why it does not work any more, of a NIC that is another process's; nil as long as it does.
  var failure: HostError? { get }
}

/// A device model whose wire leads out of this process, or to wherever the wire's owner likes.
public struct ModelNIC<Model: DeviceModel & ~Copyable, Line: UplinkLine & ~Copyable>: HostedNIC, ~Copyable {
  public var model: Model
  public var line: Line
  private var worked: UInt64 = 0
  /// Nanoseconds between two looks for room: nobody tells of it.
  private static var period: UInt64 { 100_000 }

  public init(model: consuming Model, line: consuming Line) {
    self.model = model
    self.line = line
  }

  public var function: PCIFunction { model.function }
  public var nextTimer: UInt64? { line.isHeldUp ? worked &+ Self.period : model.nextTimer }
  public var clock: WireClock { line.clock }

  public mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 {
    model.readRegister(offset, width: width)
  }

  public mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    model.writeRegister(offset, value: value, width: width)
  }

  public mutating func work(on bus: inout HostBus, frames: Int, at now: UInt64) -> Bool {
    worked = now
    model.advance(to: now)
    return model.run(on: &bus, wire: &line, frames: frames) > 0
  }

  public mutating func assertsInterrupt() -> Bool {
    guard model.function.interruptPin == 0 else { return model.takeInterrupts(by: .pin).isPinAsserted }
    return model.takeInterrupts(by: .messageTable).messages != 0
  }

  public var inputDescriptor: Int32? { line.inputDescriptor }
  public var traffic: WireTraffic { line.traffic }

  public mutating func followCarrier() {
    let isUp = line.hasCarrier()
    if model.isLinkUp != isUp { model.isLinkUp = isUp }
  }

  public mutating func spreadReceived(over pairs: Int) { model.spreadReceived(over: pairs) }

  public mutating func reset() { model.reset() }
}

extension HostedNIC where Self: ~Copyable {
  public mutating func spreadReceived(over pairs: Int) {}
  public var failure: HostError? { nil }
}
