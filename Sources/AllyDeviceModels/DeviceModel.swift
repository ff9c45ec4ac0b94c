public import AllyHW

/// A software model of a whole NIC.
///
/// Register accesses only change the model's state. What a NIC does by itself, it does in
/// ``run(on:wire:frames:)``, when its owner lets it: after a register write, when frames have come, or on a clock. So a
/// simulated machine is deterministic, and no access needs more than the model.
///
/// After every register access, every run and every ``advance(to:)`` the owner takes ``takeInterrupts(by:)`` to the interrupt
/// controller: the level with `InterruptUnit.setLevel(of:asserted:)`, messages with `InterruptUnit.signal(_:from:)`. The owner
/// holds the function's configuration space, and with it the choice between pin and messages and the table of messages.
public protocol DeviceModel: NICDevice, ~Copyable {
  /// The length of the register BAR, in bytes.
  static var registerSpace: UInt64 { get }
  /// The requester id of the model's DMA.
  var requester: RequesterID { get }
  /// The level of the model's interrupt pin.
  var assertsInterrupt: Bool { get }
  /// The level of the interrupt pin, and the messages that the model sends now, each once.
  ///
  /// `delivery` is what the OS has set in configuration space; causes that clear, and masks that set themselves, when a
  /// message is sent depend on it.
  mutating func takeInterrupts(by delivery: InterruptDelivery) -> NICInterrupts
  /// Moves the model's clock, by which moderation timers run, to `now` nanoseconds; never backwards.
  mutating func advance(to now: UInt64)
  /// When the next timer runs out whose end the model would report, in nanoseconds; nil when none runs.
  var nextTimer: UInt64? { get }
  /// Whether the cable is plugged in. Without a link nothing is sent or received.
  var isLinkUp: Bool { get set }
  /// What the function looks like on the PCI bus.
  var function: PCIFunction { get }

  /// Sends the frames that software has posted, and receives those that wait on the wire.
  ///
  /// - Parameters:
  ///   - bus: where the model's DMA goes.
  ///   - wire: what the model sends into and receives from.
  ///   - frames: the most frames to move in each direction.
  /// - Returns: how many frames were sent, and taken from the wire (lost and filtered ones included). Bounded work,
  ///   whatever software has written into the rings.
  @discardableResult
  mutating func run<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    on bus: inout Bus, wire: inout End, frames: Int
  ) -> Int

  /// Spreads received frames over so many queue pairs, if the model's driver says this elsewhere than in its registers.
  mutating func spreadReceived(over pairs: Int)

  /// A hardware reset.
  mutating func reset()
}

/// A model without messages and without timers.
extension DeviceModel where Self: ~Copyable {
  public mutating func takeInterrupts(by delivery: InterruptDelivery) -> NICInterrupts {
    NICInterrupts(isPinAsserted: assertsInterrupt)
  }

  public mutating func advance(to now: UInt64) {}

  public mutating func spreadReceived(over pairs: Int) {}

  public var nextTimer: UInt64? { nil }
}
