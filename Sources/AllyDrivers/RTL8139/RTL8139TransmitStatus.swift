/// A transmit status register, TSD (datasheet 5.3): the driver writes the length and clears OWN, which posts the frame.
@frozen
public struct RTL8139TransmitStatus: Sendable, BitwiseCopyable, Equatable {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// After a reset: nothing posted.
  @inlinable public static var idle: RTL8139TransmitStatus { RTL8139TransmitStatus(rawValue: 1 << 13) }

  /// SIZE: bytes, in bits 12–0.
  @inlinable public var length: UInt32 { rawValue & 0x1FFF }
  /// OWN: the NIC has fetched the frame. The driver clears it.
  @inlinable public var isOwn: Bool { rawValue & 1 << 13 != 0 }
  /// TOK, TUN or TABT: the NIC is done with the frame.
  @inlinable public var isDone: Bool { rawValue & (1 << 15 | 1 << 14 | 1 << 30) != 0 }
  /// TUN or TABT: it was not sent.
  @inlinable public var isFailed: Bool { rawValue & (1 << 14 | 1 << 30) != 0 }

  /// What the driver writes: SIZE, OWN and ERTXTH, the early threshold.
  @inlinable static var written: UInt32 { 0x003F_3FFF }
  /// What the NIC says when it is done: TUN, TOK, NCC, CDH, OWC, TABT and CRS.
  @inlinable static var reported: UInt32 { 0xFF00_C000 }
  /// TOK.
  @inlinable static var ok: UInt32 { 1 << 15 }
  /// TABT.
  @inlinable static var aborted: UInt32 { 1 << 30 }

  /// A frame for the NIC. The mark is the lowest bit of ERTXTH, of which 8 and 9 stand for 256 and 288 bytes.
  @inlinable
  init(length: UInt32, mark: Bool) { rawValue = length & 0x1FFF | (mark ? 9 : 8) << 16 }

  @inlinable var mark: Bool { rawValue & 1 << 16 != 0 }
}
