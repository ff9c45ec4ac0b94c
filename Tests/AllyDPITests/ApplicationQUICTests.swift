import AllyPacket
import Testing

@testable import AllyDPI

@Suite struct ApplicationQUICTests {
  private static func bytes(_ text: String) -> [UInt8] {
    let digits = text.utf8.compactMap(\.hexadecimalValue)
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }

  /// RFC 9001 Appendix A.3: the server's first packet.
  @Test(arguments: [nil, 0, 17, 18, 60, 134] as [Int?])
  func `What the server sealed opens, and nothing else does`(changed: Int?) throws {
    var packet = Self.bytes(
      "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf7"
        + "3c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4cdd93795d77d06edbb7a"
        + "af2f58891850abbdca3d20398c276456cbc42158407dd074ee")
    if let changed { packet[changed] ^= 1 }
    let connection = Self.bytes("8394c8f03e515708")
    let keys = try #require(QUICKeys(version: 1, connection: connection[...], from: .toClient))
    let frames = keys.open(packet[...], headerLength: 18)
    if changed == nil {
      // An acknowledgement, and the ServerHello.
      #expect(frames?.prefix(11).elementsEqual(Self.bytes("02000000000600405a0200")) == true)
      #expect(frames?.count == 99)
    } else {
      #expect(frames == nil)
    }
    #expect(
      try #require(QUICKeys(version: 1, connection: connection[...], from: .toServer)).open(
        packet[...], headerLength: 18) == nil)
    #expect(keys.open(packet.prefix(37), headerLength: 18) == nil)
    #expect(QUICKeys(version: 7, connection: connection[...], from: .toServer) == nil)
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
