/// A NIC driver as an operating system has it: a stand-in for a stock driver, which cannot tell whether Ally is there.
public protocol OSDriverModel: ~Copyable {
  /// Bytes of OS memory that the driver's rings and buffers take.
  var memoryByteCount: UInt64 { get }
  /// What the driver has read of completed receive descriptors so far, all of it folded into one number; 0 for a driver that
  /// does not keep it. With Ally and without it must be the same.
  var completions: UInt64 { get }
  /// Resets the NIC and brings it up.
  ///
  /// The station address has six bytes in the order of the wire, the first in bits 7–0.
  mutating func start<Environment: OSEnvironment & ~Copyable>(
    stationAddress: UInt64, on environment: inout Environment)
  /// The interrupt handler.
  ///
  /// `deliver` is the network stack; called for each good frame, in order.
  ///
  /// - Returns: whether the interrupt was this NIC's.
  @discardableResult
  mutating func interrupt<Environment: OSEnvironment & ~Copyable>(
    on environment: inout Environment, deliver: (RawSpan) -> Void
  ) -> Bool
  /// The handler of an interrupt message; without one of its own, a driver does what its interrupt handler does.
  ///
  /// - Returns: whether the interrupt was this NIC's.
  @discardableResult
  mutating func interrupt<Environment: OSEnvironment & ~Copyable>(
    message: Int, on environment: inout Environment, deliver: (RawSpan) -> Void
  ) -> Bool
  /// Queues a frame for transmission.
  ///
  /// Without `doorbell` the tail register is left alone, so that several frames share one write.
  ///
  /// - Returns: false when the ring has no room: the stack keeps the frame.
  mutating func send<Environment: OSEnvironment & ~Copyable>(
    _ bytes: RawSpan, doorbell: Bool, on environment: inout Environment
  ) -> Bool
  /// Writes the transmit tail.
  mutating func ringDoorbell<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment)
}

extension OSDriverModel where Self: ~Copyable {
  public var completions: UInt64 { 0 }

  @discardableResult
  public mutating func interrupt<Environment: OSEnvironment & ~Copyable>(
    message: Int, on environment: inout Environment, deliver: (RawSpan) -> Void
  ) -> Bool {
    interrupt(on: &environment, deliver: deliver)
  }
}
