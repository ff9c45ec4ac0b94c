/// What protects Initial packets: keys that follow from the connection's first identifier (RFC 9001 §5.2).
struct QUICKeys {
  private let cipher: AES128
  private let vector: [UInt8]
  private let headerCipher: AES128

  /// - Parameters:
  ///   - version: the packet's.
  ///   - connection: the destination's identifier in the client's first packet.
  ///   - side: who sealed the packets.
  /// - Returns: nil for a version without known keys.
  init?(version: UInt32, connection: ArraySlice<UInt8>, from side: FlowSide) {
    guard let salt = QUICKeys.salt(version) else { return nil }
    let initial = KeyDerivation.extract(salt: salt, Array(connection))
    let secret = KeyDerivation.expand(initial, side == .toServer ? "client in" : "server in", count: 32)
    let isSecond = version == QUICVersion.two
    cipher = AES128(key: KeyDerivation.expand(secret, isSecond ? "quicv2 key" : "quic key", count: 16))
    vector = KeyDerivation.expand(secret, isSecond ? "quicv2 iv" : "quic iv", count: 12)
    headerCipher = AES128(key: KeyDerivation.expand(secret, isSecond ? "quicv2 hp" : "quic hp", count: 16))
  }

  /// Opens a packet (RFC 9001 §5.3 and §5.4).
  ///
  /// - Parameters:
  ///   - packet: the whole packet.
  ///   - headerLength: bytes before the packet number.
  /// - Returns: its frames; nil when it was not sealed with these keys.
  func open(_ packet: ArraySlice<UInt8>, headerLength: Int) -> [UInt8]? {
    var header = Array(packet.prefix(headerLength))
    let rest = packet.dropFirst(headerLength)
    guard let first = header.first, rest.count >= 4 + 16 else { return nil }
    let mask = headerCipher.encrypt(Array(rest.dropFirst(4).prefix(16)))
    header[0] = first ^ mask[0] & (first & 0x80 != 0 ? 0x0F : 0x1F)
    let numberLength = Int(header[0] & 3) + 1
    var nonce = vector
    for (place, byte) in rest.prefix(numberLength).enumerated() {
      let clear = byte ^ mask[1 + place]
      header.append(clear)
      nonce[12 - numberLength + place] ^= clear
    }
    return cipher.open(rest.dropFirst(numberLength), nonce: nonce, authenticating: header)
  }

  private static func salt(_ version: UInt32) -> [UInt8]? {
    switch version {
    case QUICVersion.one, 0xFF00_0021, 0xFF00_0022:
      [
        0x38, 0x76, 0x2C, 0xF7, 0xF5, 0x59, 0x34, 0xB3, 0x4D, 0x17, 0x9A, 0xE6, 0xA4, 0xC8, 0x0C, 0xAD, 0xCC, 0xBB,
        0x7F, 0x0A,
      ]
    case QUICVersion.two:
      [
        0x0D, 0xED, 0xE3, 0xDE, 0xF7, 0x00, 0xA6, 0xDB, 0x81, 0x93, 0x81, 0xBE, 0x6E, 0x26, 0x9D, 0xCB, 0xF9, 0xBD,
        0x2E, 0xD9,
      ]
    case 0xFF00_001D...0xFF00_0020:
      [
        0xAF, 0xBF, 0xEC, 0x28, 0x99, 0x93, 0xD2, 0x4C, 0x9E, 0x97, 0x86, 0xF1, 0x9C, 0x61, 0x11, 0xE0, 0x43, 0x90,
        0xA8, 0x99,
      ]
    case 0xFF00_0017...0xFF00_001C, QUICVersion.facebook:
      [
        0xC3, 0xEE, 0xF7, 0x12, 0xC7, 0x2E, 0xBB, 0x5A, 0x11, 0xA7, 0xD2, 0x43, 0x2B, 0xB4, 0x63, 0x65, 0xBE, 0xF9,
        0xF5, 0x02,
      ]
    default: nil
    }
  }
}

/// HKDF with SHA-256 (RFC 5869), with TLS 1.3's labels (RFC 8446 §7.1).
enum KeyDerivation {
  static func extract(salt: [UInt8], _ material: [UInt8]) -> [UInt8] { authenticate(material, key: salt) }

  /// - Parameter count: at most 32.
  static func expand(_ secret: [UInt8], _ label: StaticString, count: Int) -> [UInt8] {
    var info: [UInt8] = [0, UInt8(count)]
    var name = [UInt8]("tls13 ".utf8)
    name.append(text: label)
    info.append(UInt8(name.count))
    info += name
    info += [0, 1]
    return Array(authenticate(info, key: secret).prefix(count))
  }

  /// HMAC (RFC 2104).
  private static func authenticate(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
    let padded = key + [UInt8](repeating: 0, count: max(0, 64 - key.count))
    let inner = padded.map { $0 ^ 0x36 } + message
    let outer = padded.map { $0 ^ 0x5C } + Digest.of(inner.span, .sha256)
    return Digest.of(outer.span, .sha256)
  }
}
