/// Reads values in BER or DER (X.690), one after the other. TLS certificates, Kerberos and SNMP share it.
struct DERReader {
  struct Value {
    /// Class, form and number as they are in the first byte; numbers above 30 are not read.
    var tag: UInt8
    var content: ArraySlice<UInt8>
    /// With tag and length.
    var whole: ArraySlice<UInt8>

    var isConstructed: Bool { tag & 0x20 != 0 }
  }

  private var reader: ByteReader

  init(_ bytes: ArraySlice<UInt8>) { reader = ByteReader(bytes) }

  var isEmpty: Bool { reader.isEmpty }
  var rest: ArraySlice<UInt8> { reader.rest }

  /// The next value; nil when there is none, or its length is indefinite, malformed or beyond the end.
  mutating func next() -> Value? {
    var copy = reader
    guard let tag = copy.u8(), tag & 0x1F != 0x1F, let first = copy.u8() else { return nil }
    var length = Int(first)
    if first & 0x80 != 0 {
      let count = Int(first & 0x7F)
      guard count > 0, count <= 4, let bytes = copy.take(count) else { return nil }
      length = bytes.reduce(0) { $0 << 8 | Int($1) }
    }
    guard let content = copy.take(length) else { return nil }
    let whole = reader.rest[..<content.endIndex]
    reader = copy
    return Value(tag: tag, content: content, whole: whole)
  }

  /// Whether the first value goes on beyond the end, or its length does; lengths beyond any sense are none.
  static func isCut(_ bytes: ArraySlice<UInt8>) -> Bool {
    var reader = ByteReader(bytes)
    guard reader.skip(1), let first = reader.u8() else { return true }
    if first & 0x80 == 0 { return Int(first) > reader.count }
    guard first & 0x7F <= 4 else { return false }
    guard let length = reader.take(Int(first & 0x7F)) else { return true }
    let value = length.reduce(0) { $0 << 8 | Int($1) }
    return value > reader.count && value < 1 << 30
  }

  /// The next value when it has this tag; nothing is consumed otherwise.
  mutating func next(_ tag: UInt8) -> Value? {
    var copy = self
    guard let value = copy.next(), value.tag == tag else { return nil }
    self = copy
    return value
  }

  /// The content of the next value when it has this tag, to be read in turn.
  mutating func enter(_ tag: UInt8) -> DERReader? { next(tag).map { DERReader($0.content) } }

  /// A number that fits 64 bits with its sign.
  mutating func integer(_ tag: UInt8 = DERTag.integer) -> Int64? {
    guard let value = next(tag), let first = value.content.first, value.content.count <= 8 else { return nil }
    return value.content.reduce(first & 0x80 != 0 ? -1 : 0) { $0 << 8 | Int64($1) }
  }

  /// Any text or bytes.
  mutating func octets() -> ArraySlice<UInt8>? { next(DERTag.octetString)?.content }
}

/// Tags of values (X.690 §8).
enum DERTag {
  static var integer: UInt8 { 0x02 }
  static var bitString: UInt8 { 0x03 }
  static var octetString: UInt8 { 0x04 }
  static var objectIdentifier: UInt8 { 0x06 }
  static var generalString: UInt8 { 0x1B }
  static var utcTime: UInt8 { 0x17 }
  static var generalizedTime: UInt8 { 0x18 }
  static var sequence: UInt8 { 0x30 }
  static var set: UInt8 { 0x31 }
  /// `[n]`, constructed.
  static func context(_ number: UInt8) -> UInt8 { 0xA0 | number }
  /// `[APPLICATION n]`, constructed.
  static func application(_ number: UInt8) -> UInt8 { 0x60 | number }
}
