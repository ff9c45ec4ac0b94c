/// By which of a PCI function's three ways its interrupts leave it, as the OS has set it in configuration space.
@frozen
public enum InterruptDelivery: UInt8, Sendable, BitwiseCopyable {
  /// The interrupt pin (INTx); what a function begins with.
  case pin
  /// Message signalled interrupts (PCI Local Bus Specification 3.0, §6.8.1).
  case messages
  /// Message signalled interrupts from a table (MSI-X, §6.8.2).
  case messageTable
}

/// What a NIC, or who stands in its place, says to the interrupt controller: the level of the pin, and the messages that
/// are to be sent now.
///
/// Which of the two counts is for the owner of the configuration space to know. A NIC whose interrupts leave by the pin
/// sets bit 0 of ``messages`` besides, once for each rise of the pin, so that counting bits counts interrupts.
@frozen
public struct NICInterrupts: Sendable, BitwiseCopyable, Equatable {
  /// The level of the interrupt pin.
  public var isPinAsserted: Bool
  /// A bit for each message, from vector 0 on, that is to be sent now.
  public var messages: UInt32

  @inlinable
  public init(isPinAsserted: Bool = false, messages: UInt32 = 0) {
    self.isPinAsserted = isPinAsserted
    self.messages = messages
  }

  /// How many interrupts this is.
  @inlinable public var count: Int { messages.nonzeroBitCount }
}
