import Testing

@testable import AllyDPI

/// Content encodings, undone piece by piece.
@Suite struct ContentDecoderTests {
  private static func bytes(_ digits: String) -> [UInt8] {
    let values = digits.utf8.map { $0.hexadecimalValue ?? 0 }
    return stride(from: 0, to: values.count, by: 2).map { values[$0] << 4 | values[$0 + 1] }
  }

  @Test(arguments: [1, 3, 100])
  func otherEncodingsThanZlibs(piece: Int) {
    for (encoding, digits, text) in [
      (ContentDecoder.Encoding.brotli, "8b058068656c6c6f2062726f746c6903", "hello brotli"),
      (.lzma, "5d00000100ffffffffffffffff00341949ee8de9148a6aa5dfa3917ffffb7f4000", "hello lzma"),
    ] {
      let decoder = ContentDecoder(limit: 1 << 20)
      decoder.append(encoding)
      var decoded: [UInt8] = []
      let encoded = Self.bytes(digits)
      var start = 0
      while start < encoded.count {
        let part = encoded[start..<min(encoded.count, start + piece)]
        decoder.decode(part.rawBytes) { decoded.append($0) }
        start += piece
      }
      #expect(String(decoding: decoded, as: UTF8.self) == text)
      #expect(!decoder.hasFailed)
    }
  }

  @Test func whatIsNotEncodedAsItSaysPassesAsItIs() {
    for encoding in [ContentDecoder.Encoding.brotli, .lzma] {
      let decoder = ContentDecoder(limit: 1 << 20)
      decoder.append(encoding)
      var decoded: [UInt8] = []
      let plain = Array(repeating: UInt8(0xFF), count: 64)
      decoder.decode(plain.rawBytes) { decoded.append($0) }
      #expect(decoder.hasFailed)
      #expect(decoded == plain)
    }
  }
}
