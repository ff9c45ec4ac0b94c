import Testing

@testable import AllyDPI

@Suite struct MatchLiteralTests {
  @Test func findsTheFirstPlaceWithinTheBounds() {
    #expect(find("ab", in: "xxabxab", from: 0, to: 7) == 2)
    #expect(find("ab", in: "xxabxab", from: 3, to: 7) == 5)
    #expect(find("ab", in: "xxabxab", from: 3, to: 6) == -1)
    #expect(find("ab", in: "ab", from: 0, to: 2) == 0)
    #expect(find("abc", in: "ab", from: 0, to: 2) == -1)
    #expect(find("a", in: "", from: 0, to: 0) == -1)
  }

  @Test func ignoresTheCaseOfASCIILettersOnly() {
    #expect(find("get /", in: "xGeT /", from: 0, to: 6, isCaseless: true) == 1)
    #expect(find("get /", in: "xGeT /", from: 0, to: 6) == -1)
    // 0x40 and 0x60 differ by the bit that tells the cases apart, and are no letters.
    #expect(find("`", in: "@", from: 0, to: 1, isCaseless: true) == -1)
    #expect(find("{", in: "[", from: 0, to: 1, isCaseless: true) == -1)
  }

  /// Against the plainest search there is.
  @Test func agreesWithANaiveSearch() {
    var random = SeededGenerator(seed: 0x5EED_0001)
    for _ in 0..<3000 {
      let bytes = random.bytes(count: 0...40, among: [0x61, 0x41, 0x62, 0x00])
      let needle = random.bytes(count: 1...4, among: [0x61, 0x41, 0x62, 0x00])
      let isCaseless = Bool.random(using: &random)
      let expected = naive(needle, in: bytes, isCaseless: isCaseless)
      let found = find(needle, in: bytes, from: 0, to: bytes.count, isCaseless: isCaseless)
      #expect(found == expected, "seed 0x5EED0001: \(needle) in \(bytes), caseless \(isCaseless)")
    }
  }

  private func naive(_ needle: [UInt8], in bytes: [UInt8], isCaseless: Bool) -> Int {
    let fold = { (byte: UInt8) in isCaseless && byte >= 0x41 && byte <= 0x5A ? byte + 32 : byte }
    guard bytes.count >= needle.count else { return -1 }
    for start in 0...(bytes.count - needle.count)
    where bytes[start..<(start + needle.count)].map(fold) == needle.map(fold) {
      return start
    }
    return -1
  }

  private func find(_ needle: String, in text: String, from: Int, to: Int, isCaseless: Bool = false) -> Int {
    find(Array(needle.utf8), in: Array(text.utf8), from: from, to: to, isCaseless: isCaseless)
  }

  private func find(_ needle: [UInt8], in bytes: [UInt8], from: Int, to: Int, isCaseless: Bool) -> Int {
    let literal = isCaseless ? needle.map(LiteralSearch.lowercase) : needle
    return unsafe literal.span.bytes.withByteView { literal in
      unsafe bytes.span.bytes.withByteView {
        LiteralSearch.find(literal, in: $0, from: from, to: to, isCaseless: isCaseless)
      }
    }
  }
}
