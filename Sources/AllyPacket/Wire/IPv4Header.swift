/// An IPv4 header (RFC 791 §3.1), checked once: it is there whole with its options, says version 4, and its total
/// length is not below its own length.
///
/// Neither the checksum nor the payload's presence is checked: a capture may hold less than was on the wire, and a NIC
/// that computes checksums hands out frames without.
@frozen
public struct IPv4Header: ~Escapable {
  @usableFromInline let window: Window<20>

  /// Bytes of a header without options.
  @inlinable public static var minimumLength: Int { 20 }

  /// - Returns: nil when the header is not whole or contradicts itself.
  @_lifetime(copy bytes)
  @inlinable
  @inline(__always)
  public init?(_ bytes: RawSpan, at offset: Int) {
    guard let window = Window<20>(bytes, at: offset) else { return nil }
    let versionAndLength = window.u8(0)
    let headerLength = Int(versionAndLength & 0x0F) &* 4
    let totalLength = Int(window.u16(2))
    guard versionAndLength &>> 4 == 4, headerLength >= 20, bytes.byteCount &- offset >= headerLength,
      totalLength >= headerLength || totalLength == 0
    else { return nil }
    self.window = window
  }

  /// Bytes of the header with its options, 20 to 60.
  @inlinable public var headerLength: Int { Int(window.u8(0) & 0x0F) &* 4 }
  /// Bytes of header and payload; 0 in a frame that the NIC is to cut into segments and where it sets the length
  /// (Intel 8254x SDM 3.5.5).
  @inlinable public var totalLength: Int { Int(window.u16(2)) }
  /// Names the datagram that a fragment belongs to.
  @inlinable public var identification: UInt16 { window.u16(4) }
  @inlinable public var dontFragment: Bool { window.u8(6) & 0x40 != 0 }
  @inlinable public var moreFragments: Bool { window.u8(6) & 0x20 != 0 }
  /// Where a fragment's payload stands in the datagram's, in bytes.
  @inlinable public var fragmentOffset: Int { Int(window.u16(6) & 0x1FFF) &* 8 }
  @inlinable public var timeToLive: UInt8 { window.u8(8) }
  @inlinable public var ipProtocol: IPProtocol { IPProtocol(rawValue: window.u8(9)) }
  @inlinable public var checksum: UInt16 { window.u16(10) }
  @inlinable public var source: IPAddress { IPAddress(v4: window.u32(12)) }
  @inlinable public var destination: IPAddress { IPAddress(v4: window.u32(16)) }
}
