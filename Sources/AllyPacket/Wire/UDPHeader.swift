/// A UDP header (RFC 768), checked to be there. UDP-Lite's (RFC 3828) differs in the meaning of ``length`` only.
@frozen
public struct UDPHeader: ~Escapable {
  @usableFromInline let window: Window<8>

  /// Bytes of the header.
  @inlinable public static var headerLength: Int { 8 }

  /// - Returns: nil when the packet ends before the header does.
  @_lifetime(copy bytes)
  @inlinable
  @inline(__always)
  public init?(_ bytes: RawSpan, at offset: Int) {
    guard let window = Window<8>(bytes, at: offset) else { return nil }
    self.window = window
  }

  @inlinable public var sourcePort: UInt16 { window.u16(0) }
  @inlinable public var destinationPort: UInt16 { window.u16(2) }
  /// Bytes of header and payload as the header says them.
  @inlinable public var length: Int { Int(window.u16(4)) }
  /// 0 when the sender computed none (IPv4 only).
  @inlinable public var checksum: UInt16 { window.u16(6) }
}
