internal import Crypto
internal import CryptoExtras

/// What protects Initial packets: keys that follow from the connection's first identifier (RFC 9001 §5.2), so that everybody can open
/// them.
struct QUICKeys {
  private let key: SymmetricKey
  /// 12 bytes.
  private let vector: [UInt8]
  private let headerKey: SymmetricKey

  /// - Parameters:
  ///   - version: the packet's.
  ///   - connection: the destination's identifier in the client's first packet.
  ///   - side: who sealed the packets.
  /// - Returns: nil for a version without known keys.
  init?(version: UInt32, connection: ArraySlice<UInt8>, from side: FlowSide) {
    guard let salt = QUICKeys.salt(version) else { return nil }
    let initial = HKDF<SHA256>.extract(inputKeyMaterial: SymmetricKey(data: connection), salt: salt)
    let secret = QUICKeys.expand(SymmetricKey(data: initial), side == .toServer ? "client in" : "server in", count: 32)
    let isSecond = version == QUICVersion.two
    key = QUICKeys.expand(secret, isSecond ? "quicv2 key" : "quic key", count: 16)
    vector = unsafe QUICKeys.expand(secret, isSecond ? "quicv2 iv" : "quic iv", count: 12).withUnsafeBytes {
      unsafe Array($0)
    }
    headerKey = QUICKeys.expand(secret, isSecond ? "quicv2 hp" : "quic hp", count: 16)
  }

  /// HKDF's second half with TLS 1.3's labels (RFC 8446 §7.1), and no context.
  private static func expand(_ secret: SymmetricKey, _ label: StaticString, count: Int) -> SymmetricKey {
    var name = [UInt8]("tls13 ".utf8)
    name.append(text: label)
    let info: [UInt8] = [0, UInt8(count), UInt8(name.count)] + name + [0]
    return HKDF<SHA256>.expand(pseudoRandomKey: secret, info: info, outputByteCount: count)
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
    var mask = Array(rest.dropFirst(4).prefix(16))
    guard (try? AES.permute(&mask, key: headerKey)) != nil else { return nil }
    header[0] = first ^ mask[0] & (first & 0x80 != 0 ? 0x0F : 0x1F)
    let numberLength = Int(header[0] & 3) + 1
    var nonce = vector
    for (place, byte) in rest.prefix(numberLength).enumerated() {
      let clear = byte ^ mask[1 + place]
      header.append(clear)
      nonce[12 - numberLength + place] ^= clear
    }
    let sealed = rest.dropFirst(numberLength)
    guard let nonce = try? AES.GCM.Nonce(data: nonce),
      let box = try? AES.GCM.SealedBox(nonce: nonce, ciphertext: sealed.dropLast(16), tag: sealed.suffix(16)),
      let frames = try? AES.GCM.open(box, using: key, authenticating: header)
    else { return nil }
    return Array(frames)
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
