/// An IPv6 header (RFC 8200 §3), checked once: it is there and says version 6.
@frozen
public struct IPv6Header: ~Escapable {
  @usableFromInline let window: Window<40>

  /// Bytes of the header.
  @inlinable public static var length: Int { 40 }

  /// - Returns: nil when the header is not whole or says another version.
  @_lifetime(copy bytes)
  @inlinable
  @inline(__always)
  public init?(_ bytes: RawSpan, at offset: Int) {
    guard let window = Window<40>(bytes, at: offset), window.u8(0) &>> 4 == 6 else { return nil }
    self.window = window
  }

  @inlinable public var trafficClass: UInt8 { UInt8(truncatingIfNeeded: window.u16(0) &>> 4) }
  @inlinable public var flowLabel: UInt32 { window.u32(0) & 0xF_FFFF }
  /// Bytes behind this header, extension headers among them; 0 in a jumbogram (RFC 2675) and in a frame that the NIC is
  /// to cut into segments.
  @inlinable public var payloadLength: Int { Int(window.u16(4)) }
  /// What follows at once: an extension header or the payload's protocol.
  @inlinable public var nextHeader: IPProtocol { IPProtocol(rawValue: window.u8(6)) }
  @inlinable public var hopLimit: UInt8 { window.u8(7) }
  @inlinable public var source: IPAddress { IPAddress(high: window.u64(8), low: window.u64(16)) }
  @inlinable public var destination: IPAddress { IPAddress(high: window.u64(24), low: window.u64(32)) }
}

/// An IPv6 extension header that a receiver steps over to find the payload: hop-by-hop options, routing, destination
/// options and authentication (RFC 8200 §4, RFC 4302). Checked once: it is there whole.
@frozen
public struct IPv6ExtensionHeader: ~Escapable {
  @usableFromInline let window: Window<2>
  /// Bytes of the header, 8 to 2,048.
  public let length: Int

  /// The header before it says which `kind` it is.
  ///
  /// - Returns: nil when `kind` is none of the four, or the header is not whole.
  @_lifetime(copy bytes)
  @inlinable
  public init?(_ bytes: RawSpan, at offset: Int, kind: IPProtocol) {
    guard let window = Window<2>(bytes, at: offset) else { return nil }
    let units = Int(window.u8(1))
    switch kind {
    case .hopByHop, .routing, .destinationOptions: length = (units &+ 1) &* 8
    case .authentication: length = (units &+ 2) &* 4
    default: return nil
    }
    guard bytes.byteCount &- offset >= length else { return nil }
    self.window = window
  }

  /// What follows the header.
  @inlinable public var nextHeader: IPProtocol { IPProtocol(rawValue: window.u8(0)) }

  /// Whether `kind` names an extension header that is stepped over.
  @inlinable
  @inline(__always)
  public static func steps(over kind: IPProtocol) -> Bool {
    switch kind {
    case .hopByHop, .routing, .destinationOptions, .authentication: true
    default: false
    }
  }
}

/// An IPv6 fragment header (RFC 8200 §4.5), checked to be there.
@frozen
public struct IPv6FragmentHeader: ~Escapable {
  @usableFromInline let window: Window<8>

  /// Bytes of the header.
  @inlinable public static var length: Int { 8 }

  /// - Returns: nil when the packet ends before the header does.
  @_lifetime(copy bytes)
  @inlinable
  public init?(_ bytes: RawSpan, at offset: Int) {
    guard let window = Window<8>(bytes, at: offset) else { return nil }
    self.window = window
  }

  /// What the fragmented part of the datagram begins with.
  @inlinable public var nextHeader: IPProtocol { IPProtocol(rawValue: window.u8(0)) }
  /// Where this fragment stands in the fragmented part, in bytes.
  @inlinable public var fragmentOffset: Int { Int(window.u16(2) & 0xFFF8) }
  @inlinable public var moreFragments: Bool { window.u8(3) & 1 != 0 }
  /// Names the datagram that the fragment belongs to.
  @inlinable public var identification: UInt32 { window.u32(4) }
}
