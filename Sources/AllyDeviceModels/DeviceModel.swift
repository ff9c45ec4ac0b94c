public import AllyHW

/// A software model of a whole NIC.
///
/// Register accesses only change the model's state. What a NIC does by itself, it does in
/// ``run(on:wire:frames:)``, when its owner lets it: after a register write, when frames have come, or on a clock. So a
/// simulated machine is deterministic, and no access needs more than the model.
///
/// After every register access and every run the owner takes ``assertsInterrupt`` to the interrupt controller, for
/// example with `InterruptUnit.setLevel(of:asserted:)`.
public protocol DeviceModel: NICDevice, ~Copyable {
  /// The requester id of the model's DMA.
  var requester: RequesterID { get }
  /// The level of the model's interrupt pin.
  var assertsInterrupt: Bool { get }
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

  /// A hardware reset.
  mutating func reset()
}
