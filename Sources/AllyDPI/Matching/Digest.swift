internal import AllyPacket
internal import Crypto

/// MD5, SHA-1 and SHA-256 over bytes that come in pieces: for `to_md5` and its siblings, for the digests of files, and for JA3.
struct Digest {
  enum Function { case md5, sha1, sha256 }

  // One of them is there.
  private var md5: Insecure.MD5?
  private var sha1: Insecure.SHA1?
  private var sha256: SHA256?

  init(_ function: Function) {
    switch function {
    case .md5: md5 = Insecure.MD5()
    case .sha1: sha1 = Insecure.SHA1()
    case .sha256: sha256 = SHA256()
    }
  }

  /// The digest of bytes that are all there.
  static func of(_ bytes: Span<UInt8>, _ function: Function) -> [UInt8] {
    var digest = Digest(function)
    digest.update(bytes)
    return digest.finish()
  }

  /// Takes the bytes that come next.
  mutating func update(_ bytes: Span<UInt8>) {
    // Any byte may be read as raw memory.
    unsafe update(bytes.bytes)
  }

  /// Takes the bytes that come next.
  mutating func update(_ data: RawSpan) {
    // The functions keep no address beyond the call.
    unsafe data.withUnsafeBytes { bytes in
      unsafe md5?.update(bufferPointer: bytes)
      unsafe sha1?.update(bufferPointer: bytes)
      unsafe sha256?.update(bufferPointer: bytes)
    }
  }

  /// The digest's 16, 20 or 32 bytes.
  func finish() -> [UInt8] {
    if let md5 { return Array(md5.finalize()) }
    if let sha1 { return Array(sha1.finalize()) }
    return sha256.map { Array($0.finalize()) } ?? []
  }
}
