/// The 8 bytes that messages of ICMP (RFC 792) and ICMPv6 (RFC 4443 §2.1) begin with, checked to be there.
@frozen
public struct ICMPHeader: ~Escapable {
  @usableFromInline let window: Window<8>

  /// Bytes of the header.
  @inlinable public static var length: Int { 8 }

  /// - Returns: nil when the packet ends before the header does.
  @_lifetime(copy bytes)
  @inlinable
  @inline(__always)
  public init?(_ bytes: RawSpan, at offset: Int) {
    guard let window = Window<8>(bytes, at: offset) else { return nil }
    self.window = window
  }

  @inlinable public var type: UInt8 { window.u8(0) }
  @inlinable public var code: UInt8 { window.u8(1) }
  @inlinable public var checksum: UInt16 { window.u16(2) }
  /// An echo's identifier; other messages use the field otherwise.
  @inlinable public var identifier: UInt16 { window.u16(4) }
  /// An echo's sequence number; other messages use the field otherwise.
  @inlinable public var sequenceNumber: UInt16 { window.u16(6) }
}
