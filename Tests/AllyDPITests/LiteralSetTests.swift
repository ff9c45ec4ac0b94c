import Testing

@testable import AllyDPI

/// What is searched for in which flows: sets of literals by application and port change nothing about what is found.
@Suite struct LiteralSetTests {
  /// Heads of rules, and options before their content; enough rules of each that applications and ports get sets of their own.
  private static let kinds = [
    "tcp any any -> any any (", "tcp any any -> any 7001 (", "tcp any any -> any [7001,7002] (",
    "tcp any any -> any !7001 (", "tcp any 7001 -> any any (flow:to_client; ", "tcp any 1024: -> any 7000:7100 (",
    "http any any -> any any (", "http any any -> any 7002 (", "tls any any -> any any (",
    "tcp-pkt any any -> any 7001 (", "tcp-stream any any -> any any (",
  ]
  private static let rulesOfAKind = 30

  private static func literal(_ kind: Int, _ number: Int) -> String { "<literal \(kind)/\(number)>" }

  private static func rules(_ kind: Int, _ numbers: Range<Int>) -> String {
    numbers.map { number in
      "alert \(kinds[kind])content:\"\(literal(kind, number))\"; sid:\(kind * 100 + number + 1);)"
    }.joined(separator: "\n")
  }

  /// A request and its answer, both with every literal in their bodies.
  private static func talk(_ port: UInt16, isHTTP: Bool, _ engine: inout TestEngine) {
    // A packet has fewer than a packet's alerts may be.
    let everything = kinds.indices.flatMap { kind in
      stride(from: 0, to: rulesOfAKind, by: 10).map { first in
        (first..<(first + 10)).map { literal(kind, $0) }.joined()
      }
    }
    let length = everything.reduce(0) { $0 + $1.utf8.count }
    var connection = Connection(serverPort: port)
    connection.open(&engine)
    connection.client(
      isHTTP ? "POST / HTTP/1.1\r\nContent-Length: \(length)\r\n\r\n" : "no word of any protocol", &engine)
    for part in everything { connection.client(part, &engine) }
    connection.server(isHTTP ? "HTTP/1.1 200 OK\r\nContent-Length: \(length)\r\n\r\n" : "nor is this", &engine)
    for part in everything { connection.server(part, &engine) }
  }

  @Test(arguments: [7001, 7002, 7003, 9000] as [UInt16], [false, true])
  func rulesFindTogetherWhatAFewOfThemFind(port: UInt16, isHTTP: Bool) throws {
    var expected: [Int] = []
    for kind in Self.kinds.indices {
      // Too few for a set of their own.
      for first in stride(from: 0, to: Self.rulesOfAKind, by: 10) {
        var engine = try TestEngine(Self.rules(kind, first..<(first + 10)))
        Self.talk(port, isHTTP: isHTTP, &engine)
        engine.finish()
        expected += engine.alerts
      }
    }
    var engine = try TestEngine(
      Self.kinds.indices.map { Self.rules($0, 0..<Self.rulesOfAKind) }.joined(separator: "\n"))
    Self.talk(port, isHTTP: isHTTP, &engine)
    engine.finish()
    #expect(engine.alerts.sorted() == expected.sorted())
    #expect(Set(expected).count >= Self.rulesOfAKind * (isHTTP ? 4 : 3), "each kind that fits was found")
  }

  /// The server tells the protocol; until then the client's words were searched for what is not about HTTP.
  @Test func whatCameBeforeTheApplicationWasKnownIsSearchedForItsRules() throws {
    let others = (2..<40).map { "alert http any any -> any any (content:\"not there \($0)\"; sid:\($0);)" }
    let rule = "alert http any any -> any any (content:\"needle\"; fast_pattern; content:\"example\"; sid:1;)"
    var engine = try TestEngine(([rule] + others).joined(separator: "\n"))
    var connection = Connection()
    connection.open(&engine)
    connection.client("unheard-of /a/needle/in/a/stack of words that follow HTTP/1.1\r\nHost: a\r\n\r\n", &engine)
    connection.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &engine)
    connection.client("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", &engine)
    connection.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &engine)
    engine.finish()
    #expect(engine.alerts == [1])
  }

  /// Frequent bytes that have one place are compared there, and stand in no set.
  @Test(
    arguments: [
      ("|01 00 00 00|\"; depth:4;", "\u{1}\0\0\0", true, false),
      ("|01 00 00 00|\"; offset:1; depth:4;", "x\u{1}\0\0\0", true, false),
      ("|01 00 00 00|\";", "\u{1}\0\0\0", false, true), ("quartz\"; depth:6;", "quartz", true, true),
    ] as [(String, String, Bool, Bool)])
  func frequentBytesOfOnePlaceAreComparedThere(options: String, text: String, hasOnePlace: Bool, isSearched: Bool)
    throws
  {
    let rule = "alert tcp any any -> any any (flow:to_server; content:\"\(options) sid:1;)"
    func alerts(_ pieces: String...) throws -> [Int] {
      var engine = try TestEngine(rule)
      let sets = engine.program.tables.prefilter.literalSets
      #expect((0..<sets.count).contains { !sets[$0].databases.isEmpty } == isSearched)
      var connection = Connection()
      connection.open(&engine)
      for piece in pieces { connection.client(piece, &engine) }
      engine.finish()
      return engine.alerts
    }
    #expect(try alerts(text + ".") == [1])
    #expect(try alerts(String(text.prefix(2)), String(text.dropFirst(2)) + ".") == [1])
    #expect(try alerts("." + text) == (hasOnePlace ? [] : [1]))
    #expect(try alerts(".......", text) == (hasOnePlace ? [] : [1]))
    #expect(try alerts(text.dropLast() + ".") == [])
  }
}
