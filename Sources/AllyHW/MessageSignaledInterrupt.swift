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

  /// Whether the unit can deliver it: a fixed or lowest-priority interrupt (delivery mode 0 or 1) to a physical
  /// destination (bit 2 of the address, the destination mode, clear).
  @inlinable public var isDeliverable: Bool {
    address >> 20 == 0xFEE && address & 4 == 0 && data >> 8 & 7 <= 1
  }
}
