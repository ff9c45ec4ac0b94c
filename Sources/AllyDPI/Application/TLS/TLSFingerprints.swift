/// Fingerprints of hellos: JA3 and JA3S (MD5 of what the side offers, in its order) and JA4 (sorted, so that a shuffle
/// of extensions changes nothing).
enum TLSFingerprints {
  /// Values that are sent to keep servers from choking on unknown ones (RFC 8701).
  static func isGrease(_ value: UInt16) -> Bool { value & 0x0F0F == 0x0A0A && value >> 8 == value & 0xFF }

  /// `version,ciphers,extensions,groups,point formats`.
  ///
  /// - Parameters:
  ///   - hello: a client's.
  ///   - keepsGrease: whether values of RFC 8701 count, as they do for QUIC in Suricata.
  static func ja3(_ hello: TLSHello, keepsGrease: Bool = false) -> [UInt8] {
    var text: [UInt8] = []
    text.appendDecimal(UInt64(hello.version))
    append(hello.ciphers, keepsGrease, to: &text)
    append(hello.extensions, keepsGrease, to: &text)
    append(hello.groups, keepsGrease, to: &text)
    append(hello.pointFormats.map(UInt16.init), keepsGrease, to: &text)
    return text
  }

  /// `version,cipher,extensions`.
  ///
  /// - Parameters:
  ///   - hello: a server's.
  ///   - keepsGrease: as for ``ja3(_:keepsGrease:)``.
  static func ja3s(_ hello: TLSHello, keepsGrease: Bool = false) -> [UInt8] {
    var text: [UInt8] = []
    text.appendDecimal(UInt64(hello.version))
    append(hello.ciphers, keepsGrease, to: &text)
    append(hello.extensions, keepsGrease, to: &text)
    return text
  }

  private static func append(_ numbers: [UInt16], _ keepsGrease: Bool, to text: inout [UInt8]) {
    text.append(UInt8(ascii: ","))
    var isFirst = true
    for number in numbers where keepsGrease || !isGrease(number) {
      if !isFirst { text.append(UInt8(ascii: "-")) }
      isFirst = false
      text.appendDecimal(UInt64(number))
    }
  }

  /// 32 hexadecimal digits.
  static func md5(_ text: [UInt8]) -> [UInt8] { hexadecimal(Digest.of(text.span, .md5)[...]) }

  /// `t13d1516h2_8daaf6152771_e5627efa2ab1`.
  ///
  /// - Parameters:
  ///   - hello: a client's.
  ///   - isQUIC: what carries it.
  static func ja4(_ hello: TLSHello, isQUIC: Bool) -> [UInt8] {
    let ciphers = hello.ciphers.filter { !isGrease($0) }
    let extensions = hello.extensions.filter { !isGrease($0) }
    var text: [UInt8] = [UInt8(ascii: isQUIC ? "q" : "t")]
    let version = hello.supportedVersions.filter { !isGrease($0) }.max() ?? hello.version
    text.append(text: ja4Version(version))
    text.append(UInt8(ascii: extensions.contains(TLSExtension.serverName) ? "d" : "i"))
    text.appendDecimal(UInt64(min(ciphers.count, 99)), width: 2)
    text.appendDecimal(UInt64(min(extensions.count, 99)), width: 2)
    text += ja4Protocol(hello.applicationProtocols.first ?? [])
    text.append(UInt8(ascii: "_"))
    text += digest(list(ciphers.sorted()))
    text.append(UInt8(ascii: "_"))
    let sorted = extensions.filter { $0 != TLSExtension.serverName && $0 != TLSExtension.applicationProtocols }.sorted()
    var last = list(sorted)
    last.append(UInt8(ascii: "_"))
    last += list(hello.signatureAlgorithms.filter { !isGrease($0) })
    text += digest(last)
    return text
  }

  private static func ja4Version(_ version: UInt16) -> StaticString {
    switch version {
    case 0x0304: "13"
    case 0x0303: "12"
    case 0x0302: "11"
    case 0x0301: "10"
    case 0x0300: "s3"
    case 0x0002, 0x0200: "s2"
    default: "00"
    }
  }

  /// The first and last character of the first protocol, or of its digits when either is no letter or digit.
  private static func ja4Protocol(_ name: [UInt8]) -> [UInt8] {
    guard let first = name.first, let last = name.last else { return Array("00".utf8) }
    if name.count == 2, isGrease(UInt16(first) << 8 | UInt16(last)) { return Array("00".utf8) }
    let isText = [first, last].allSatisfy { $0.isDecimalDigit || ($0 | 0x20) &- 0x61 < 26 }
    return isText ? [first, last] : [hexadecimalDigit(first >> 4), hexadecimalDigit(last & 15)]
  }

  private static func list(_ numbers: [UInt16]) -> [UInt8] {
    var text: [UInt8] = []
    for number in numbers {
      if !text.isEmpty { text.append(UInt8(ascii: ",")) }
      text += hexadecimal([UInt8(number >> 8), UInt8(number & 0xFF)])
    }
    return text
  }

  private static func digest(_ text: [UInt8]) -> [UInt8] { hexadecimal(Digest.of(text.span, .sha256)[..<6]) }

  private static func hexadecimal(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    bytes.flatMap { [hexadecimalDigit($0 >> 4), hexadecimalDigit($0 & 15)] }
  }
}
