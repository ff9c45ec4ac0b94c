/// Makes conversations that clients and servers could have, and such as attackers would have.
struct ConversationGenerator {
  private var random: SeededGenerator
  /// Whether messages may be wrong in ways that no peer would send.
  private let isHostile: Bool
  /// Whether bodies may come in chunks.
  private let hasChunks: Bool

  init(seed: UInt64, isHostile: Bool, hasChunks: Bool = true) {
    random = SeededGenerator(seed: seed)
    self.isHostile = isHostile
    self.hasChunks = hasChunks
  }

  /// Whole messages, in the order in which they are sent.
  mutating func conversation() -> Conversation {
    var messages: Conversation = []
    for _ in 0..<Int.random(in: 1...3, using: &random) {
      let isHead = chance(1, of: 12)
      messages.append(Utterance(speaker: .client, bytes: request(isHead: isHead)))
      messages.append(Utterance(speaker: .server, bytes: response(isHead: isHead)))
    }
    if chance(1, of: 8) { messages = pipelined(messages) }
    if isHostile, chance(1, of: 3) { damage(&messages) }
    return messages
  }

  private mutating func chance(_ count: Int, of all: Int) -> Bool { Int.random(in: 0..<all, using: &random) < count }

  private mutating func one<Element>(of choices: [Element]) -> Element {
    choices[Int.random(in: 0..<choices.count, using: &random)]
  }

  // MARK: - Messages

  private mutating func request(isHead: Bool) -> [UInt8] {
    var bytes: [UInt8] = []
    if isHostile, chance(1, of: 20) { bytes += lineEnd() }
    let method = isHead ? "HEAD" : one(of: ["GET", "GET", "POST", "PUT", "OPTIONS", "DELETE", "PATCH", "BREW"])
    bytes += Array(method.utf8) + space() + target() + space() + version() + lineEnd()
    let body = ["POST", "PUT", "PATCH"].contains(method) ? text(most: 200) : []
    bytes += fields(["Host: www.example.com", "User-Agent: tea/1.0", "Accept: */*", "Cookie: a=b; c=d"])
    bytes += framed(body, isResponse: false)
    return bytes
  }

  private mutating func response(isHead: Bool) -> [UInt8] {
    let status = one(of: [
      "200 OK", "200 OK", "404 Not Found", "301 Moved", "500 Internal Server Error", "204 None", "304 Not Modified",
    ])
    var bytes = Array(one(of: ["HTTP/1.1", "HTTP/1.1", "HTTP/1.0"]).utf8) + space() + Array(status.utf8) + lineEnd()
    bytes += fields(["Server: pot", "Content-Type: text/html", "Set-Cookie: k=v", "Date: today"])
    let hasBody = !isHead && !status.hasPrefix("204") && !status.hasPrefix("304")
    bytes += hasBody ? framed(text(most: 400), isResponse: true) : lineEnd()
    return bytes
  }

  /// The field that tells where a body ends, the empty line, and the body.
  private mutating func framed(_ body: [UInt8], isResponse: Bool) -> [UInt8] {
    if body.isEmpty, !isResponse { return lineEnd() }
    if chance(1, of: 3), hasChunks {
      var bytes = Array("Transfer-Encoding: chunked".utf8) + lineEnd() + lineEnd()
      var rest = body[...]
      while !rest.isEmpty {
        let piece = rest.prefix(Int.random(in: 1...64, using: &random))
        rest = rest.dropFirst(piece.count)
        bytes += Array(String(piece.count, radix: 16, uppercase: chance(1, of: 2)).utf8)
        if chance(1, of: 8) { bytes += Array(";name=value".utf8) }
        bytes += [0x0D, 0x0A] + piece + [0x0D, 0x0A]
      }
      return bytes + Array("0\r\n\r\n".utf8)
    }
    return Array("Content-Length: \(body.count)".utf8) + lineEnd() + lineEnd() + body
  }

  private mutating func fields(_ known: [String]) -> [UInt8] {
    var bytes: [UInt8] = []
    for field in known where chance(2, of: 3) {
      bytes += Array(field.utf8) + lineEnd()
      if chance(1, of: 12) { bytes += Array(field.utf8) + lineEnd() }
    }
    if chance(1, of: 4) {
      bytes += Array("X-\(Int.random(in: 0...9, using: &random)):".utf8) + text(most: 30) + lineEnd()
    }
    if chance(1, of: 10) {
      bytes += Array("X-Folded: one".utf8) + lineEnd() + [one(of: [0x20, 0x09])] + Array("two".utf8) + lineEnd()
    }
    if isHostile, chance(1, of: 10) {
      bytes += one(
        of: [
          "NoColon", ": no name", "Space : before", "X-Empty:", "X-Tab:\tvalue\t", "Content-Length: 3", "Host: second",
          "X-Quote: \"a", "Transfer-Encoding: identity",
        ].map { Array($0.utf8) })
      bytes += lineEnd()
    }
    return bytes
  }

  private mutating func target() -> [UInt8] {
    var bytes: [UInt8] = chance(1, of: 12) ? Array("http://www.example.com:8080".utf8) : []
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      bytes += Array(
        one(of: [
          "/", "/index.html", "/a", "/..", "/.", "//", "/%41%2fb", "/%2e%2e", "/%zz", "/%", "/%u0041", "\\", "/a%00b",
          "/%25%34%31",
          "/a;b", "/A+b", "/~user",
        ]).utf8)
    }
    if chance(1, of: 3) { bytes += Array(one(of: ["?q=1", "?a=%41&b=+", "?", "?x=%2f..", "?a?b"]).utf8) }
    if chance(1, of: 12) { bytes += Array("#part".utf8) }
    return bytes
  }

  private mutating func version() -> [UInt8] {
    if isHostile, chance(1, of: 12) {
      return Array(one(of: ["HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/ 1.1", "HTTP/9"]).utf8)
    }
    return Array(one(of: ["HTTP/1.1", "HTTP/1.1", "HTTP/1.0"]).utf8)
  }

  private mutating func space() -> [UInt8] {
    isHostile && chance(1, of: 20) ? one(of: [[0x20, 0x20], [0x09], [0x20, 0x09]]) : [0x20]
  }
  private mutating func lineEnd() -> [UInt8] { isHostile && chance(1, of: 12) ? [0x0A] : [0x0D, 0x0A] }

  private mutating func text(most: Int) -> [UInt8] {
    let letters = Array("abcdefghijklmnopqrstuvwxyz <>=/".utf8)
    return (0..<Int.random(in: 1...most, using: &random)).map { _ in one(of: letters) }
  }

  // MARK: - What happens to them

  /// All requests before all responses.
  private func pipelined(_ messages: Conversation) -> Conversation {
    messages.filter { $0.speaker == .client } + messages.filter { $0.speaker == .server }
  }

  /// Changes, inserts or removes a byte or two.
  private mutating func damage(_ messages: inout Conversation) {
    for _ in 0..<Int.random(in: 1...2, using: &random) {
      let message = Int.random(in: 0..<messages.count, using: &random)
      let place = Int.random(in: 0..<messages[message].bytes.count, using: &random)
      let byte = one(of: [0x00, 0x09, 0x0A, 0x0D, 0x20, 0x3A, 0x2F, 0x25, 0x41, 0x7F, 0xFF] as [UInt8])
      switch Int.random(in: 0..<3, using: &random) {
      case 0: messages[message].bytes[place] = byte
      case 1: messages[message].bytes.insert(byte, at: place)
      default: if messages[message].bytes.count > 1 { messages[message].bytes.remove(at: place) }
      }
    }
  }

  /// Some bytes of a message are missing; a whole exchange follows.
  mutating func lose(of messages: Conversation) -> Conversation {
    let last = [
      Utterance(speaker: .client, bytes: request(isHead: false)),
      Utterance(speaker: .server, bytes: response(isHead: false)),
    ]
    var messages = messages
    let place = Int.random(in: 0..<messages.count, using: &random)
    let (speaker, bytes) = (messages[place].speaker, messages[place].bytes)
    let start = Int.random(in: 0..<bytes.count, using: &random)
    let end = Int.random(in: start..<bytes.count, using: &random) + 1
    let parts = [
      Utterance(speaker: speaker, bytes: Array(bytes[..<start])),
      Utterance(speaker: speaker, bytes: Array(bytes[start..<end]), isMissing: true),
      Utterance(speaker: speaker, bytes: Array(bytes[end...])),
    ]
    messages.replaceSubrange(place...place, with: parts.filter { !$0.bytes.isEmpty })
    return messages + last
  }

  /// Cuts messages into pieces, as a stream may bring them.
  mutating func cut(_ messages: Conversation) -> Conversation {
    let most = one(of: [1, 7, 40, 10_000])
    var pieces: Conversation = []
    for message in messages {
      var rest = message.bytes[...]
      while !rest.isEmpty {
        let piece = rest.prefix(Int.random(in: 1...most, using: &random))
        rest = rest.dropFirst(piece.count)
        pieces.append(Utterance(speaker: message.speaker, bytes: Array(piece)))
      }
    }
    return pieces
  }
}
