/// Versions of the protocol by their numbers on the wire.
enum TLSVersion {
  static var unknown: UInt16 { 0 }
  static var ssl2: UInt16 { 0x0200 }
  static var ssl3: UInt16 { 0x0300 }
  static var tls10: UInt16 { 0x0301 }
  static var tls12: UInt16 { 0x0303 }
  static var tls13: UInt16 { 0x0304 }
  /// What all drafts of TLS 1.3 before the 16th are taken for.
  static var earlyDraft: UInt16 { 0x7F01 }

  /// Drafts of TLS 1.3 carry their number in the second byte, those of one large user behind 0xFB.
  static func isDraft(_ version: UInt16) -> Bool { version >> 8 == 0x7F || version == 0xFB17 || version == 0xFB1A }

  /// What a rule that asks for a version compares: drafts count as TLS 1.3.
  static func forRules(_ version: UInt16) -> UInt16 { isDraft(version) ? tls13 : version }

  /// As records name it.
  static func name(_ version: UInt16) -> String {
    switch version {
    case unknown: "UNDETERMINED"
    case ssl2: "SSLv2"
    case ssl3: "SSLv3"
    case tls10: "TLSv1"
    case 0x0302: "TLS 1.1"
    case tls12: "TLS 1.2"
    case tls13: "TLS 1.3"
    case earlyDraft: "TLS 1.3 draft-<16"
    case 0x7F10...0x7FFF: "TLS 1.3 draft-\(version & 0xFF)"
    case 0xFB17, 0xFB1A: "TLS 1.3 draft-\(version & 0xFF)-fb"
    default:
      "0x" + String(repeating: "0", count: version.leadingZeroBitCount / 4) + String(version, radix: 16)
    }
  }
}
