import AllyPacket
import Testing

@testable import AllyDPI

@Suite struct ApplicationDNSTests {
  /// A question for the addresses of `www.example.com`.
  static let question: [UInt8] =
    [0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]
    + [3] + Array("www".utf8) + [7] + Array("example".utf8) + [3] + Array("com".utf8) + [0, 0, 1, 0, 1]

  /// The answer: one address, the name as a pointer to the question's.
  static let answer: [UInt8] =
    [0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0] + question.dropFirst(12)
    + [0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]

  private static func message(_ bytes: [UInt8]) -> DNSMessage? { DNSMessage(bytes.rawBytes) }

  @Test func messagesAreReadWithTheirPointers() throws {
    let answer = try #require(Self.message(Self.answer))
    #expect(answer.isResponse && !answer.isMalformed)
    #expect(String(decoding: answer.answers[0].name.text, as: UTF8.self) == "www.example.com")
    guard case .address(let address) = answer.answers[0].data else {
      Issue.record("expected an address")
      return
    }
    #expect(address == IPAddress(v4: 0xC000_0201))
  }

  @Test func aLoopOfPointersEndsAName() throws {
    let bytes = Self.question.prefix(12) + [0xC0, 12, 0, 1, 0, 1]
    let message = try #require(Self.message(Array(bytes)))
    #expect(!message.isMalformed)
    #expect(message.nameFaults == .loop)
    #expect(message.questions.first?.type == 1)
  }

  @Test func everyCutIsMalformedOrNothing() {
    for length in 0..<Self.answer.count {
      let message = Self.message(Array(Self.answer.prefix(length)))
      #expect(message?.isMalformed ?? true, "length \(length)")
    }
  }

  @Test func noBytesHarmTheParser() {
    let seed = UInt64.random(in: .min ... .max)
    var random = SeededGenerator(seed: seed)
    for _ in 0..<20_000 {
      var bytes = Self.answer
      for _ in 0..<Int(random.next() % 8) {
        bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
      }
      let message = Self.message(bytes)
      #expect(message?.answers.count ?? 0 <= 256, "seed \(seed)")
    }
  }

  @Test(arguments: [1, 2, 5, Int.max])
  func messagesOverTCPAreFoundHoweverTheyAreCut(piece: Int) {
    let parser = DNSParser(limits: ApplicationLimits(), transport: IPProtocolNumber.tcp)
    var stream = [0, UInt8(Self.question.count)] + Self.question
    stream += stream
    var rest = stream[...]
    while !rest.isEmpty {
      let part = rest.prefix(piece)
      parser.receive(part.rawBytes, from: .toServer)
      rest = rest.dropFirst(part.count)
    }
    #expect(parser.transactionCount == 2)
  }

  @Test func otherProtocolsAreNotTakenForDNS() {
    for text in [
      "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", "SSH-2.0-OpenSSH_9.2p1\r\n", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ] {
      let bytes = Array(text.utf8)
      for transport in [IPProtocolNumber.udp, IPProtocolNumber.tcp] {
        #expect(
          DNSParser.recognize(bytes.rawBytes, from: .toServer, serverPort: 4000, transport: transport) != .yes)
      }
    }
  }
}
