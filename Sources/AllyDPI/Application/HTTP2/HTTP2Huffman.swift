/// The code of header texts (RFC 7541 §5.2 and Appendix B). It is canonical: codes of one length follow each other in the
/// order of their symbols, so that the lengths say everything.
enum HTTP2Huffman {
  /// - Parameter limit: bytes that may come out.
  /// - Returns: nil for what the code cannot be, and beyond the limit.
  static func decode(_ bytes: ArraySlice<UInt8>, limit: Int) -> [UInt8]? {
    var text: [UInt8] = []
    var code: UInt32 = 0
    var length = 0
    for byte in bytes {
      for bit in (0..<8 as Range<UInt8>).reversed() {
        code = code << 1 | UInt32(byte >> bit & 1)
        length += 1
        guard length <= 30 else { return nil }
        let row = rows[length]
        guard row.count > 0, code >= row.first, code - row.first < row.count else { continue }
        guard text.count < limit else { return nil }
        text.append(symbols[Int(row.start + code - row.first)])
        code = 0
        length = 0
      }
    }
    // What is left fills the last byte with ones.
    guard length < 8, code == 1 << UInt32(length) - 1 else { return nil }
    return text
  }

  /// For each length the first code, how many there are, and where their symbols stand.
  private static let rows: [(first: UInt32, count: UInt32, start: UInt32)] = {
    var rows: [(first: UInt32, count: UInt32, start: UInt32)] = []
    var code: UInt32 = 0
    var start: UInt32 = 0
    for length in 0...30 as ClosedRange<UInt8> {
      let count = length == 0 ? 0 : UInt32(lengths.count { $0 == length })
      rows.append((code, count, start))
      code = (code + count) << 1
      start += count
    }
    return rows
  }()

  /// In the order of their codes.
  private static let symbols: [UInt8] = (0..<256).sorted { (lengths[$0], $0) < (lengths[$1], $1) }.map(UInt8.init)

  /// Bits of the code of each byte.
  private static let lengths: [UInt8] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22,
    23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23,
    22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27,
    27, 27, 26,
  ]
}
