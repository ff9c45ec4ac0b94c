/// The control bits of a TCP header (RFC 9293 §3.1, RFC 3168).
@frozen
public struct TCPFlags: OptionSet, Sendable, BitwiseCopyable, Hashable {
  public var rawValue: UInt8

  @inlinable
  @inline(__always)
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  @inlinable public static var fin: TCPFlags { TCPFlags(rawValue: 0x01) }
  @inlinable public static var syn: TCPFlags { TCPFlags(rawValue: 0x02) }
  @inlinable public static var rst: TCPFlags { TCPFlags(rawValue: 0x04) }
  @inlinable public static var psh: TCPFlags { TCPFlags(rawValue: 0x08) }
  @inlinable public static var ack: TCPFlags { TCPFlags(rawValue: 0x10) }
  @inlinable public static var urg: TCPFlags { TCPFlags(rawValue: 0x20) }
  /// Congestion echo.
  @inlinable public static var ece: TCPFlags { TCPFlags(rawValue: 0x40) }
  /// Congestion window reduced.
  @inlinable public static var cwr: TCPFlags { TCPFlags(rawValue: 0x80) }
}

/// A TCP header (RFC 9293 §3.1), checked once: it is there whole with its options.
@frozen
public struct TCPHeader: ~Escapable {
  @usableFromInline let window: Window<20>

  /// Bytes of a header without options.
  @inlinable public static var minimumLength: Int { 20 }

  /// - Returns: nil when the header is not whole or says less than 20 bytes.
  @_lifetime(copy bytes)
  @inlinable
  @inline(__always)
  public init?(_ bytes: RawSpan, at offset: Int) {
    guard let window = Window<20>(bytes, at: offset) else { return nil }
    let headerLength = Int(window.u8(12) &>> 4) &* 4
    guard headerLength >= 20, bytes.byteCount &- offset >= headerLength else { return nil }
    self.window = window
  }

  @inlinable public var sourcePort: UInt16 { window.u16(0) }
  @inlinable public var destinationPort: UInt16 { window.u16(2) }
  @inlinable public var sequenceNumber: UInt32 { window.u32(4) }
  @inlinable public var acknowledgmentNumber: UInt32 { window.u32(8) }
  /// Bytes of the header with its options, 20 to 60.
  @inlinable public var headerLength: Int { Int(window.u8(12) &>> 4) &* 4 }
  @inlinable public var flags: TCPFlags { TCPFlags(rawValue: window.u8(13)) }
  /// The receive window as the header says it, before any scaling.
  @inlinable public var windowSize: UInt16 { window.u16(14) }
  @inlinable public var checksum: UInt16 { window.u16(16) }
  @inlinable public var urgentPointer: UInt16 { window.u16(18) }
}
