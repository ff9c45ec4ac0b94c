public import AllyRings

/// A NIC with one receive and one transmit ring, described: enough for a model of it (``RingNIC``) and of an OS's driver for it
/// (``RingOSDriver``).
///
/// For whoever adds a NIC of that kind and has no model of it. The formats are usually the driver module's own, so that model
/// and module share their mistakes: the datasheet's vectors are what tells.
public protocol RingNICDescription {
  /// The receive descriptors, as the OS's driver writes and the NIC completes them.
  associatedtype Receive: ReceiveDescriptor
  /// The transmit descriptors.
  associatedtype Transmit: TransmitDescriptor

  static var registers: RingNICRegisters { get }
  /// Bytes of each receive buffer; at least 64. A longer frame fills several.
  static var bufferLength: UInt32 { get }
}

extension RingNICDescription {
  public static var bufferLength: UInt32 { 2048 }
}

/// The registers of a ``RingNIC`` by offset. All have 32 bits and are written as such.
public struct RingNICRegisters: Sendable {
  public var receive: RingRegisters.Layout
  public var transmit: RingRegisters.Layout
  /// The cause that received frames add, and the one that completed descriptors of sent frames add.
  public var received: UInt32
  public var sent: UInt32
  /// The register with the bit that resets the NIC, and that bit, which clears itself.
  public var reset: UInt32
  public var resetBit: UInt32
  /// The interrupt causes: cleared by a read, and of the ones that are written.
  public var cause: UInt32
  /// The causes that may interrupt: read and written.
  public var mask: UInt32
  /// Bytes of the register BAR, a power of two from 4,096 on.
  public var space: UInt64

  /// - Parameters:
  ///   - receive: the receive ring.
  ///   - transmit: the transmit ring.
  ///   - received: see ``received``.
  ///   - sent: see ``sent``.
  ///   - reset: the offset of the register that resets.
  ///   - resetBit: the bit there.
  ///   - cause: the offset of the cause register.
  ///   - mask: the offset of the mask register.
  ///   - space: bytes of the register BAR.
  public init(
    receive: RingRegisters.Layout, transmit: RingRegisters.Layout, received: UInt32, sent: UInt32, reset: UInt32,
    resetBit: UInt32, cause: UInt32, mask: UInt32, space: UInt64 = 4096
  ) {
    self.receive = receive
    self.transmit = transmit
    self.received = received
    self.sent = sent
    self.reset = reset
    self.resetBit = resetBit
    self.cause = cause
    self.mask = mask
    self.space = space
  }
}
