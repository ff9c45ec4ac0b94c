internal import CHyperscan
internal import Glibc

/// Keeps compiled pattern databases from one start to the next. Its calls come while rules are compiled, never on the packet path.
public protocol DatabaseCache: Sendable {
  /// What was stored under a key; nil when there is nothing, or it cannot be read.
  ///
  /// - Parameter key: 64 hexadecimal digits.
  func contents(of key: String) -> [UInt8]?
  /// Keeps bytes under a key; what was there gives way. A cache that cannot does nothing.
  func store(_ contents: [UInt8], as key: String)
}

extension HyperscanDatabase {
  /// What a database is stored under: everything that its bytes depend on.
  static func cacheKey(_ literals: [Literal], _ platform: hs_platform_info) -> String {
    var digest = Digest(.sha256)
    var text = Array("literals, block mode, 1\n".utf8)
    text += Array(unsafe String(cString: hs_version()).utf8)
    for number in [UInt64(platform.tune), platform.cpu_features, UInt64(literals.count)] { text.appendNumber(number) }
    for literal in literals {
      text.append(literal.isCaseless ? 1 : 0)
      text.appendNumber(UInt64(literal.bytes.count))
      text += literal.bytes
    }
    digest.update(text.span)
    return String(
      decoding: digest.finish().flatMap { [hexadecimalDigit($0 >> 4), hexadecimalDigit($0 & 15)] }, as: UTF8.self)
  }

  /// A database from its stored form; nil when that is damaged, or of another version or processor.
  static func restore(_ bytes: [UInt8]) -> OpaquePointer? {
    var database: OpaquePointer? = nil
    // Hyperscan checks version, processor, length and a checksum.
    let status = unsafe bytes.withUnsafeBytes { bytes in
      unsafe hs_deserialize_database(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, &database)
    }
    return unsafe status == HS_SUCCESS ? database : nil
  }

  /// A database's stored form; nil when there is no memory for it.
  static func stored(_ database: OpaquePointer) -> [UInt8]? {
    var bytes: UnsafeMutablePointer<CChar>? = nil
    var count = 0
    guard unsafe hs_serialize_database(database, &bytes, &count) == HS_SUCCESS, let start = unsafe bytes else {
      return nil
    }
    // Allocated by Hyperscan with the default allocator, `count` bytes long.
    defer { unsafe free(start) }
    return unsafe Array(UnsafeRawBufferPointer(start: start, count: count))
  }
}

extension [UInt8] {
  fileprivate mutating func appendNumber(_ number: UInt64) {
    for place in 0..<8 { append(UInt8(truncatingIfNeeded: number >> UInt64(8 * place))) }
  }
}
