/// The 14 bytes that an Ethernet frame begins with (IEEE 802.3 §3.2), checked to be there.
@frozen
public struct EthernetHeader: ~Escapable {
  @usableFromInline let window: Window<14>

  /// Bytes of the header.
  @inlinable public static var length: Int { 14 }

  /// - Returns: nil when the frame is shorter.
  @_lifetime(copy bytes)
  @inlinable
  @inline(__always)
  public init?(_ bytes: RawSpan, at offset: Int = 0) {
    guard let window = Window<14>(bytes, at: offset) else { return nil }
    self.window = window
  }

  /// The station that the frame is for, in the low 48 bits.
  @inlinable public var destination: UInt64 { UInt64(window.u32(0)) &<< 16 | UInt64(window.u16(4)) }
  /// The station that sent it, in the low 48 bits.
  @inlinable public var source: UInt64 { UInt64(window.u16(6)) &<< 32 | UInt64(window.u32(8)) }
  /// What follows; a length when ``EtherType/isType`` is false.
  @inlinable public var etherType: EtherType { EtherType(rawValue: window.u16(12)) }
}

/// The 4 bytes of a VLAN tag behind its type field (IEEE 802.1Q §9.6), checked to be there.
@frozen
public struct VLANTag: ~Escapable {
  @usableFromInline let window: Window<4>

  /// Bytes of the tag.
  @inlinable public static var length: Int { 4 }

  /// - Returns: nil when the frame ends before the tag does.
  @_lifetime(copy bytes)
  @inlinable
  @inline(__always)
  public init?(_ bytes: RawSpan, at offset: Int) {
    guard let window = Window<4>(bytes, at: offset) else { return nil }
    self.window = window
  }

  /// The VLAN, 0 to 4095; 0 marks a tag that carries a priority only.
  @inlinable public var identifier: UInt16 { window.u16(0) & 0x0FFF }
  /// The priority code point, 0 to 7.
  @inlinable public var priority: UInt8 { window.u8(0) &>> 5 }
  /// What follows the tag.
  @inlinable public var etherType: EtherType { EtherType(rawValue: window.u16(2)) }
}
