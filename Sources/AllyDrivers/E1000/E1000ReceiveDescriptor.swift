public import AllyHW
public import AllyRings

/// The legacy receive descriptor of the 8254x family, 16 bytes (SDM 3.2.3).
@frozen
public struct E1000ReceiveDescriptor: ReceiveDescriptor, Equatable {
  /// The buffer's address; the NIC leaves it as it is.
  public var address: UInt64
  /// Length in bits 15–0, packet checksum in 31–16, status in 39–32, errors in 47–40, special in 63–48.
  public var fields: UInt64

  @inlinable
  public init() {
    self.address = 0
    self.fields = 0
  }

  @inlinable
  public init(address: UInt64, fields: UInt64) {
    self.address = address
    self.fields = fields
  }

  @inlinable
  public static var ownershipWordOffset: Int { 8 }

  /// Status: descriptor done (SDM 3.2.3.1).
  @inlinable static var done: UInt64 { 1 << 32 }
  /// Status: end of packet.
  @inlinable static var endOfPacket: UInt64 { 1 << 33 }
  /// Status: checksum indications are to be ignored.
  @inlinable static var ignoreChecksum: UInt64 { 1 << 34 }
  /// Status: the packet is 802.1Q, its tag is in `special`.
  @inlinable static var vlanPacket: UInt64 { 1 << 35 }
  /// Status: TCP checksum calculated.
  @inlinable static var transportChecksum: UInt64 { 1 << 37 }
  /// Status: IP checksum calculated.
  @inlinable static var ipChecksum: UInt64 { 1 << 38 }
  /// Errors: TCP or UDP checksum error (SDM 3.2.3.2).
  @inlinable static var transportChecksumError: UInt64 { 1 << 45 }
  /// Errors: IP checksum error.
  @inlinable static var ipChecksumError: UInt64 { 1 << 46 }
  /// Errors: receive data error.
  @inlinable static var dataError: UInt64 { 1 << 47 }
  /// Errors that make drivers discard a frame: CRC, symbol, sequence, carrier extension, data.
  @inlinable static var frameErrors: UInt64 { 0x97 << 40 }

  @inlinable
  @inline(__always)
  public init(offering buffer: BusAddress) {
    self.address = buffer.rawValue
    self.fields = 0
  }

  @inlinable
  public init(_ completion: ReceiveCompletion, buffer: BusAddress) {
    self.address = buffer.rawValue
    var fields = UInt64(completion.length & 0xFFFF) | Self.done
    if completion.endsFrame { fields |= Self.endOfPacket }
    if completion.isDamaged { fields |= Self.dataError }
    if completion.ipChecksumIsGood { fields |= Self.ipChecksum }
    if completion.transportChecksumIsGood { fields |= Self.transportChecksum }
    if !completion.ipChecksumIsGood, !completion.transportChecksumIsGood { fields |= Self.ignoreChecksum }
    if let vlan = completion.strippedVLAN { fields |= Self.vlanPacket | UInt64(vlan) << 48 }
    self.fields = fields
  }

  @inlinable
  @inline(__always)
  public var offeredBuffer: BusAddress { BusAddress(address) }

  @inlinable
  @inline(__always)
  public var isCompleted: Bool { fields & Self.done != 0 }

  @inlinable
  @inline(__always)
  public var endsFrame: Bool { fields & Self.endOfPacket != 0 }

  @inlinable
  @inline(__always)
  public var endingLength: UInt32? {
    let both = Self.done | Self.endOfPacket
    return fields & both == both ? completedLength : nil
  }

  @inlinable
  @inline(__always)
  public var completedLength: UInt32 { UInt32(truncatingIfNeeded: fields & 0xFFFF) }

  @inlinable
  public var completion: ReceiveCompletion {
    let checked = fields & Self.ignoreChecksum == 0
    return ReceiveCompletion(
      length: completedLength, endsFrame: endsFrame, isDamaged: fields & Self.frameErrors != 0,
      ipChecksumIsGood: checked && fields & Self.ipChecksum != 0 && fields & Self.ipChecksumError == 0,
      transportChecksumIsGood: checked && fields & Self.transportChecksum != 0
        && fields & Self.transportChecksumError == 0,
      strippedVLAN: fields & Self.vlanPacket != 0 ? UInt16(truncatingIfNeeded: fields >> 48) : nil)
  }

  /// Length and end-of-packet stay, so that a driver that counts descriptors until the end of a packet goes on in step;
  /// what the NIC found out about the contents goes.
  @inlinable
  public mutating func markDropped() {
    fields = fields & (0xFFFF | Self.done | Self.endOfPacket) | Self.ignoreChecksum | Self.dataError
  }
}
