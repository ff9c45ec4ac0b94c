import Testing

@testable import AllyDPI

/// What the search of a stream notes, so that bytes are searched once and nothing that was found is lost.
@Suite struct StreamSearchTests {
  /// Rules with a literal each, and an option that what comes later fulfils: a rare literal, a short one, more than are noted.
  @Test(arguments: [["needle in a stack"], ["q^z"], (0..<12).map { "literal number \($0)." }])
  func aLiteralFoundBeforeCountsWhenTheOtherOptionsAreFulfilled(literals: [String]) throws {
    let rules = literals.enumerated().map { number, literal in
      "alert tcp any any -> any any (flow:to_server; content:\"\(literal)\"; content:\"~\"; "
        + "distance:0; sid:\(number + 1);)"
    }
    for (gap, isShown) in [(10, true), (2000, true), (StreamReassembler.history + 1, false)] {
      var engine = try TestEngine(rules.joined(separator: "\n"))
      var connection = Connection()
      connection.open(&engine)
      connection.client(literals.joined(), &engine)
      for _ in 0..<10 { connection.client(String(repeating: ".", count: gap / 10), &engine) }
      connection.client(String(repeating: ".", count: gap % 10 + 1), &engine)
      #expect(engine.alerts == [])
      connection.client("~", &engine)
      engine.finish()
      #expect(engine.alerts.sorted() == (isShown ? Array(1...literals.count) : []), "\(gap) bytes between")
    }
  }

  /// Against a list that forgets nothing, over ends beyond 32 bits.
  @Test func literalsStayUntilTheWindowHasLeftThemBehind() {
    var random = SeededGenerator(seed: 11)
    var search = StreamSearch()
    var found: [UInt32: Int] = [:]
    var end = 1 << 32 - 20_000
    for _ in 0..<2000 {
      end += Int.random(in: 1...1500, using: &random)
      let start = end - 2560
      search.forget(before: start)
      found = found.filter { $0.value > start }
      for _ in 0..<Int.random(in: 0...2, using: &random) {
        let literal = UInt32.random(in: 0..<12, using: &random)
        let hasRoom = search.note(literal, before: end)
        #expect(hasRoom == (found[literal] != nil || found.count < 8))
        if hasRoom { found[literal] = end }
      }
      #expect(Set((0..<Int(search.count)).map { search.literal(at: $0) }) == Set(found.keys))
    }
  }
}
