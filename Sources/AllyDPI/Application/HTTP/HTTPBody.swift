/// A message's body as far as it is kept for inspection.
struct HTTPBody {
  /// Decoded: without chunk lengths and content encodings. The first bytes of the body.
  private(set) var bytes: [UInt8] = []
  /// Decoded bytes in all, kept or not.
  private(set) var length: UInt64 = 0
  /// Bytes on the wire, with chunk lengths, before decompression.
  var wireLength: UInt64 = 0
  /// Something of it was missing.
  var hasGap = false

  mutating func removeAll() {
    bytes.removeAll(keepingCapacity: bytes.capacity <= 128 << 10)
    length = 0
    wireLength = 0
    hasGap = false
  }

  /// How many more bytes are looked at.
  ///
  /// - Parameter limit: in all; 0 for no limit.
  func room(limit: Int) -> Int { limit == 0 ? .max : limit - Int(min(length, UInt64(limit))) }

  /// - Parameter limit: bytes that are kept; 0 for all.
  mutating func append(_ data: RawSpan, limit: Int) {
    length &+= UInt64(data.byteCount)
    let room = limit == 0 ? data.byteCount : min(data.byteCount, max(0, limit - bytes.count))
    if room > 0 { bytes.append(data.extracting(0..<room)) }
  }
}
