import AllyPacket
import Testing

@testable import AllyDPI

@Suite struct ApplicationQUICTests {
  private static func bytes(_ text: String) -> [UInt8] {
    let digits = text.utf8.compactMap(\.hexadecimalValue)
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }

  /// FIPS 197 Appendix C.1.
  @Test func theCipherIsAES() {
    let cipher = AES128(key: Self.bytes("000102030405060708090a0b0c0d0e0f"))
    #expect(
      cipher.encrypt(Self.bytes("00112233445566778899aabbccddeeff")) == Self.bytes("69c4e0d86a7b0430d8cdb78070b4c55a"))
  }

  /// SP 800-38D's test case 4 in McGrew and Viega's specification, whose tag covers 20 bytes of header.
  @Test func whatWasSealedOpensAndNothingElseDoes() {
    let cipher = AES128(key: Self.bytes("feffe9928665731c6d6a8f9467308308"))
    let nonce = Self.bytes("cafebabefacedbaddecaf888")
    let header = Self.bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    let plain = Self.bytes(
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657"
        + "ba637b39")
    var sealed = Self.bytes(
      "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac97"
        + "3d58e0915bc94fbc3221a5db94fae95ae7121a47")
    #expect(cipher.open(sealed[...], nonce: nonce, authenticating: header) == plain)
    sealed[3] ^= 1
    #expect(cipher.open(sealed[...], nonce: nonce, authenticating: header) == nil)
  }

  @Test func otherDatagramsAreNotTakenForQUIC() {
    for text in ["\u{1}\u{2}\u{3}\u{4}abcdefghijklmnopqrst", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
      #expect(
        QUICParser.recognize(
          Array(text.utf8).rawBytes, from: .toServer, serverPort: 4000, transport: IPProtocolNumber.udp) == .no)
    }
  }

  @Test func noBytesHarmTheParser() {
    let seed = UInt64.random(in: .min ... .max)
    var random = SeededGenerator(seed: seed)
    for _ in 0..<300 {
      var bytes: [UInt8] = [0xC3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x40, 0x50]
      for _ in 0..<90 { bytes.append(UInt8(truncatingIfNeeded: random.next())) }
      bytes[Int(random.next() % 18)] = UInt8(truncatingIfNeeded: random.next())
      let parser = QUICParser(limits: ApplicationLimits(), transport: IPProtocolNumber.udp)
      parser.receive(bytes.rawBytes, from: .toServer)
      #expect(parser.transactionCount <= 512, "seed \(seed)")
    }
  }
}
