public import AllyHW
public import AllyRings

/// The extended receive descriptor of the 82574L, 16 bytes (82574 datasheet 7.1.5). The NIC overwrites all of it: what was
/// the buffer's address becomes RSS type and hash.
@frozen
public struct E1000EReceiveDescriptor: ReceiveDescriptor, Equatable {
  /// Offered: the buffer's address (7.1.5.1). Completed: RSS type in bits 3–0, queue in 12–8, RSS hash in 63–32, or IP
  /// identification in 47–32 and packet checksum in 63–48 (7.1.5.2).
  public var first: UInt64
  /// Offered: 0. Completed: status in bits 19–0, errors in 31–20, length in 47–32, VLAN tag in 63–48.
  public var second: UInt64

  @inlinable
  public init() {
    self.first = 0
    self.second = 0
  }

  @inlinable
  public init(first: UInt64, second: UInt64) {
    self.first = first
    self.second = second
  }

  @inlinable
  public static var ownershipWordOffset: Int { 8 }

  /// Status: descriptor done (7.1.5.3).
  @inlinable static var done: UInt64 { 1 << 0 }
  /// Status: end of packet.
  @inlinable static var endOfPacket: UInt64 { 1 << 1 }
  /// Status: checksum indications are to be ignored.
  @inlinable static var ignoreChecksum: UInt64 { 1 << 2 }
  /// Status: the packet is 802.1Q, its tag is in the upper 16 bits.
  @inlinable static var vlanPacket: UInt64 { 1 << 3 }
  /// Status: TCP or UDP checksum calculated.
  @inlinable static var transportChecksum: UInt64 { 1 << 5 }
  /// Status: IP checksum calculated.
  @inlinable static var ipChecksum: UInt64 { 1 << 6 }
  /// Errors: TCP or UDP checksum error (7.1.5.4).
  @inlinable static var transportChecksumError: UInt64 { 1 << 29 }
  /// Errors: IP checksum error.
  @inlinable static var ipChecksumError: UInt64 { 1 << 30 }
  /// Errors: receive data error.
  @inlinable static var dataError: UInt64 { 1 << 31 }
  /// Errors that make drivers discard a frame: CRC, symbol, sequence, carrier extension, data.
  @inlinable static var frameErrors: UInt64 { 0x97 << 24 }

  @inlinable
  @inline(__always)
  public init(offering buffer: BusAddress) {
    self.first = buffer.rawValue
    self.second = 0
  }

  @inlinable
  public init(_ completion: ReceiveCompletion, buffer: BusAddress) {
    // No hash: RSS type 0.
    self.first = 0
    var word = UInt64(completion.length & 0xFFFF) << 32 | Self.done
    if completion.endsFrame { word |= Self.endOfPacket }
    if completion.isDamaged { word |= Self.dataError }
    if completion.ipChecksumIsGood { word |= Self.ipChecksum }
    if completion.transportChecksumIsGood { word |= Self.transportChecksum }
    if !completion.ipChecksumIsGood, !completion.transportChecksumIsGood { word |= Self.ignoreChecksum }
    if let vlan = completion.strippedVLAN { word |= Self.vlanPacket | UInt64(vlan) << 48 }
    self.second = word
  }

  @inlinable
  @inline(__always)
  public var offeredBuffer: BusAddress { BusAddress(first) }

  @inlinable
  @inline(__always)
  public var isCompleted: Bool { second & Self.done != 0 }

  @inlinable
  @inline(__always)
  public var endsFrame: Bool { second & Self.endOfPacket != 0 }

  @inlinable
  @inline(__always)
  public var endingLength: UInt32? {
    let both = Self.done | Self.endOfPacket
    return second & both == both ? completedLength : nil
  }

  @inlinable
  @inline(__always)
  public var completedLength: UInt32 { UInt32(truncatingIfNeeded: second >> 32 & 0xFFFF) }

  @inlinable
  public var completion: ReceiveCompletion {
    let checked = second & Self.ignoreChecksum == 0
    return ReceiveCompletion(
      length: completedLength, endsFrame: endsFrame, isDamaged: second & Self.frameErrors != 0,
      ipChecksumIsGood: checked && second & Self.ipChecksum != 0 && second & Self.ipChecksumError == 0,
      transportChecksumIsGood: checked && second & Self.transportChecksum != 0
        && second & Self.transportChecksumError == 0,
      strippedVLAN: second & Self.vlanPacket != 0 ? UInt16(truncatingIfNeeded: second >> 48) : nil)
  }

  /// Length and end-of-packet stay, so that a driver that counts descriptors until the end of a packet goes on in step;
  /// what the NIC found out about the contents goes, the hash included.
  @inlinable
  public mutating func markDropped() {
    first = 0
    second = second & (0xFFFF << 32 | Self.done | Self.endOfPacket) | Self.ignoreChecksum | Self.dataError
  }
}
