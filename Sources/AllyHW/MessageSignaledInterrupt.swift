/// A message signalled interrupt: the write by which a device raises it (Intel 64 SDM volume 3, §10.11).
@frozen
public struct MessageSignaledInterrupt: Sendable, BitwiseCopyable, Equatable {
  /// The address written to, 0xFEE0_0000 to 0xFEEF_FFFF.
  public var address: UInt64
  /// The data written.
  public var data: UInt32

  @inlinable
  public init(address: UInt64, data: UInt32) {
    self.address = address
    self.data = data
  }

  /// The message that raises `vector` at a core: fixed delivery, edge-triggered, physical destination. Destinations up
  /// to 254 can be named; 255 means every core.
  @inlinable
  public init(core: LocalAPICID, vector: UInt8) {
    address = 0xFEE0_0000 | UInt64(core.rawValue & 0xFF) << 12
    data = UInt32(vector)
  }

  /// Whether a write to this address is an interrupt message at all.
  @inlinable
  public static func isMessage(_ address: BusAddress) -> Bool { address.rawValue >> 20 == 0xFEE }

  /// The destination, bits 19–12 of the address.
  @inlinable public var destination: UInt8 { UInt8(truncatingIfNeeded: address >> 12) }
  /// The vector, bits 7–0 of the data.
  @inlinable public var vector: UInt8 { UInt8(truncatingIfNeeded: data) }

  /// The interrupt that the message means; nil when its address is no message's or its delivery mode is reserved.
  ///
  /// With the redirection hint (bit 3 of the address), one core of those named gets it, whatever the delivery mode says;
  /// the destination is logical when bit 2 is set besides, and is not when bit 3 is clear.
  public var interrupt: InterruptMessage? {
    guard address >> 20 == 0xFEE, var mode = DeliveryMode(rawValue: UInt8(truncatingIfNeeded: data >> 8) & 7) else {
      return nil
    }
    let isHinted = address >> 3 & 1 == 1
    if isHinted, mode == .fixed { mode = .lowestPriority }
    let isLogical = isHinted && address >> 2 & 1 == 1
    return InterruptMessage(
      vector: vector, mode: mode, destination: isLogical ? .logical(destination) : .physical(UInt32(destination)),
      isLevel: data >> 15 & 1 == 1 && mode.usesVector)
  }
}

/// An entry of a PCI function's MSI-X table, as its 16 bytes say (PCI Local Bus Specification 3.0, §6.8.2).
@frozen
public struct MSIXTableEntry: Sendable, BitwiseCopyable, Equatable {
  /// What the function writes to interrupt.
  public var message: MessageSignaledInterrupt
  /// Vector Control bit 0: the function keeps the interrupt pending instead.
  public var isMasked: Bool

  @inlinable
  public init(message: MessageSignaledInterrupt, isMasked: Bool = false) {
    self.message = message
    self.isMasked = isMasked
  }

  /// The entry in memory as two little-endian words of 64 bits: the address, and data with Vector Control above it.
  @inlinable
  public init(address: UInt64, dataAndControl: UInt64) {
    // The lowest two bits of the address are zero by definition.
    message = MessageSignaledInterrupt(address: address & ~3, data: UInt32(truncatingIfNeeded: dataAndControl))
    isMasked = dataAndControl >> 32 & 1 == 1
  }
}
