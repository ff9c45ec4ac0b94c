/// Versions by their numbers.
enum QUICVersion {
  static var one: UInt32 { 1 }
  static var two: UInt32 { 0x6B33_43CF }
  static var facebook: UInt32 { 0xFACE_B002 }
  static var google43: UInt32 { 0x5130_3433 }
  static var google46: UInt32 { 0x5130_3436 }

  static func isGoogle(_ version: UInt32) -> Bool { (google43...google46).contains(version) }

  static func isKnown(_ version: UInt32) -> Bool {
    version == one || version == two || version == facebook || isGoogle(version)
      || (0xFF00_0017...0xFF00_0022).contains(version)
  }

  /// As records name it.
  static func name(_ version: UInt32) -> String {
    switch version {
    case one: "1"
    case two: "2"
    case google43: "Q043"
    case google43 + 1: "Q044"
    case google43 + 2: "Q045"
    case google46: "Q046"
    case 0xFF00_001B, 0xFF00_001C, 0xFF00_001D: "d\(version & 0xFF)"
    default: String(version, radix: 16)
    }
  }
}

/// The header of a packet (RFC 9000 §17), or Google's before it.
struct QUICHeader {
  enum Kind { case initial, zeroRoundTrips, handshake, retry, versionNegotiation, short }

  var kind: Kind
  var version: UInt32
  var destination: ArraySlice<UInt8>
  /// Bytes before the packet number.
  var length: Int
  /// Bytes from the packet number to the packet's end.
  var rest: Int

  /// - Returns: nil when it is none.
  init?(_ packet: ArraySlice<UInt8>) {
    var reader = ByteReader(packet)
    guard let first = reader.u8() else { return nil }
    guard first & 0x80 != 0 else {
      if let google = QUICHeader(google: first, &reader, packet.count) {
        self = google
        return
      }
      guard first & 0x40 != 0 else { return nil }
      (kind, version, destination, length, rest) = (.short, 0, [], 1, packet.count - 1)
      return
    }
    guard let version = reader.u32() else { return nil }
    self.version = version
    if version == QUICVersion.google46 {
      // Both lengths in one byte, three less than they are.
      guard let lengths = reader.u8() else { return nil }
      let counts = [lengths >> 4, lengths & 15].map { $0 == 0 ? 0 : Int($0) + 3 }
      guard let destination = reader.take(counts[0]), reader.skip(counts[1]) else { return nil }
      self.destination = destination
      // Google's numbers of types are others (client and server hellos, then the rest).
      kind = .initial
      length = packet.count - reader.count
      rest = reader.count
      return
    }
    guard let destination = reader.vector8(), destination.count <= 20, let source = reader.vector8(), source.count <= 20
    else { return nil }
    self.destination = destination
    if version == 0 {
      kind = .versionNegotiation
      length = packet.count - reader.count
      rest = reader.count
      return
    }
    guard first & 0x40 != 0 else { return nil }
    // Version 2 turns the numbers of types by one (RFC 9369 §3.2).
    let type = version == QUICVersion.two ? (first >> 4 &- 1) & 3 : first >> 4 & 3
    kind = [.initial, .zeroRoundTrips, .handshake, .retry][Int(type)]
    if kind == .retry {
      length = packet.count - reader.count
      rest = reader.count
      return
    }
    if kind == .initial {
      guard let token = QUICHeader.variableNumber(&reader), reader.skip(Int(clamping: token)) else { return nil }
    }
    guard let rest = QUICHeader.variableNumber(&reader), rest <= UInt64(reader.count) else { return nil }
    length = packet.count - reader.count
    self.rest = Int(rest)
  }

  /// Google's public header: flags, an identifier of 8 bytes, the version.
  private init?(google first: UInt8, _ reader: inout ByteReader, _ count: Int) {
    guard first & 0x01 != 0, first & 0x08 != 0, first & 0xC0 == 0 else { return nil }
    var copy = reader
    guard let destination = copy.take(8), let version = copy.u32(), QUICVersion.isGoogle(version) else { return nil }
    (kind, self.version, self.destination) = (.initial, version, destination)
    length = count - copy.count
    rest = copy.count
  }

  /// RFC 9000 §16.
  static func variableNumber(_ reader: inout ByteReader) -> UInt64? {
    guard let first = reader.peek() else { return nil }
    let count = 1 << Int(first >> 6)
    guard let bytes = reader.take(count) else { return nil }
    return bytes.dropFirst().reduce(UInt64(first & 0x3F)) { $0 << 8 | UInt64($1) }
  }
}
