internal import AllyPacket

/// Who logs on: the authenticate message of NTLM (MS-NLMP 2.2.1.3).
struct NTLMSSP {
  var domain: [UInt8]
  var user: [UInt8]
  var host: [UInt8]
  var version: (major: UInt8, minor: UInt8, build: UInt16, revision: UInt8)?
  /// The names do not follow each other as clients write them.
  var hasUnusualOrder: Bool

  private static let signature: [UInt8] = Array("NTLMSSP\0".utf8)

  /// Where a message of NTLM begins in a security blob.
  private static func start(in blob: RawSpan) -> Int? {
    var start = 0
    while start + 12 <= blob.byteCount {
      if signature.indices.allSatisfy({ blob.byte(at: start + $0) == signature[$0] }) { return start }
      start += 1
    }
    return nil
  }

  /// Whether a blob holds the begin of such a message, sound or not.
  static func isLogon(in blob: RawSpan) -> Bool {
    guard let start = start(in: blob) else { return false }
    var reader = FieldReader(blob.extracting(start...), at: 8)
    return reader.u32() == 3
  }

  /// Looks for the message in a security blob, which wraps it in SPNEGO or not.
  init?(in blob: RawSpan) {
    guard let start = NTLMSSP.start(in: blob) else { return nil }
    guard start + 64 <= blob.byteCount else { return nil }
    let message = blob.extracting(start...)
    var reader = FieldReader(message, at: 8)
    guard reader.u32() == 3 else { return nil }
    reader.skip(16)
    let places = (0..<3).map { _ in
      let length = Int(reader.u16())
      reader.skip(2)
      return (offset: Int(reader.u32()), length: length)
    }
    reader.skip(8)
    let flags = reader.u32()
    let isUnicode = flags & 1 != 0
    func text(_ place: (offset: Int, length: Int)) -> [UInt8] {
      var reader = FieldReader(message, at: place.offset)
      let bytes = reader.bytes(place.length)
      return isUnicode ? UTF16Text.utf8(bytes) : bytes.array
    }
    if flags & 0x0200_0000 != 0 {
      let major = reader.u8()
      let minor = reader.u8()
      let build = reader.u16()
      reader.skip(3)
      version = (major, minor, build, reader.u8())
    }
    if reader.isShort { return nil }
    domain = text(places[0])
    user = text(places[1])
    host = text(places[2])
    hasUnusualOrder = !(places[0].offset <= places[1].offset && places[1].offset <= places[2].offset)
  }
}

/// UTF-16, as Microsoft's protocols write names.
enum UTF16Text {
  /// As UTF-8; a zero ends it.
  static func utf8(_ bytes: RawSpan) -> [UInt8] {
    var units: [UInt16] = []
    var index = 0
    while index + 1 < bytes.byteCount {
      let unit = UInt16(bytes.byte(at: index)) | UInt16(bytes.byte(at: index + 1)) << 8
      if unit == 0 { break }
      units.append(unit)
      index += 2
    }
    return Array(String(decoding: units, as: UTF16.self).utf8)
  }
}
