/// `asn1`: faults in the BER encoding (X.690) of a payload that decoders have fallen for.
public struct ASN1Match: Sendable, Equatable {
  /// A bit string that leaves more bits unused than it has.
  public var bitStringOverflow = false
  /// A real number of more than 256 bytes, written as decimal digits.
  public var doubleOverflow = false
  /// An object of more bytes than that.
  public var longest: UInt32?
  /// From where the offset counts: the start of the payload, or the end of the match in front.
  public var isRelative = false
  public var offset: Int32 = 0
}
