import Testing

@testable import AllyDPI

@Suite struct MatchTransformTests {
  private func apply(_ transforms: [BufferTransform], _ text: String) throws -> String? {
    let chain = try TransformChain(transforms)
    defer { unsafe chain.deallocate() }
    var scratch = try PatternScratch()
    var bytes = Array(text.utf8)
    var spare: [UInt8] = []
    guard chain.run(&bytes, spare: &spare, scratch: &scratch) else { return nil }
    return String(decoding: bytes, as: UTF8.self)
  }

  private func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  @Test(arguments: [
    (BufferTransform.dotPrefix, "a.b", ".a.b"), (.toLowercase, "aB-Z[", "ab-z["), (.toUppercase, "aB-z{", "AB-Z{"),
    (.stripWhitespace, " a \t\r\nb\u{0B} ", "ab"), (.compressWhitespace, " \ta  \nb ", " a b "),
    (.urlDecode, "a%41+%zz%4", "aA %zz%4"), (.urlDecode, "%2541%", "%41%"),
    (.xor(key: [0x20, 0x00]), "ABCD", "aBcD"), (.headerLowercase, "Ab: Cd: E\r\nFG: H", "ab: Cd: E\r\nfg: H"),
    (.stripPseudoHeaders, ":path: /\r\na: b\r\n:c: d", "a: b\r\n"), (.dotPrefix, "", "."),
    (.capture(pattern: Array("a(.*)b".utf8)), "xa12by", "12"), (.capture(pattern: Array("a(.)b".utf8)), "none", "none"),
    (.capture(pattern: Array("a(b)?c".utf8)), "xacx", "xacx"),
  ])
  func transform(_ transform: BufferTransform, _ input: String, _ output: String) throws {
    #expect(try apply([transform], input) == output)
  }

  @Test func transformsFollowEachOther() throws {
    #expect(try apply([.urlDecode, .stripWhitespace, .toUppercase, .dotPrefix], "a%20+b") == ".AB")
  }

  @Test func headerFieldsAreJoined() throws {
    let headers = "Host: a\r\nUser-Agent:  x y \r\nhost:b\r\nHosts: c\r\n"
    #expect(try apply([.headerField(name: "host")], headers) == "a,b")
    #expect(try apply([.headerField(name: "user-agent")], headers) == "x y")
    #expect(try apply([.headerField(name: "agent")], headers) == nil)
  }

  // RFC 1321 §A.5 and the examples of FIPS 180-4.
  @Test(arguments: [
    (Digest.Function.md5, "", "d41d8cd98f00b204e9800998ecf8427e"),
    (.md5, "message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
    (
      .md5, "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
      "57edf4a22be3c955ac49da2e2107b67a"
    ),
    (.sha1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
    (
      .sha1, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
    ),
    (.sha256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      .sha256, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
  ])
  func digest(_ function: Digest.Function, _ text: String, _ expected: String) {
    #expect(hex(Digest.of(Array(text.utf8).span, function)) == expected)
  }

  /// However the bytes are cut, the digest is the same.
  @Test func digestsOfPieces() {
    let seed: UInt64 = 0x5EED
    var random = SeededGenerator(seed: seed)
    for length in 0..<200 {
      let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
      let cut = Int.random(in: 0...length, using: &random)
      for function in [Digest.Function.md5, .sha1, .sha256] {
        var digest = Digest(function)
        digest.update(Array(bytes[..<cut]).span)
        digest.update(Array(bytes[cut...]).span)
        #expect(digest.finish() == Digest.of(bytes.span, function), "seed \(seed), length \(length), cut \(cut)")
      }
    }
  }
}
