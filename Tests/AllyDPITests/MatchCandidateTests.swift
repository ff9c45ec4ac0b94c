import Testing

@testable import AllyDPI

@Suite struct MatchCandidateTests {
  @Test func candidatesComeOutOnceAndInOrder() {
    var set = CandidateSet(capacity: 10_000)
    for candidate: UInt32 in [9999, 0, 64, 63, 4096, 64, 1, 8191] { set.insert(candidate) }
    var seen: [UInt32] = []
    while let candidate = set.popFirst() { seen.append(candidate) }
    #expect(seen == [0, 1, 63, 64, 4096, 8191, 9999])
    #expect(set.popFirst() == nil)
  }

  @Test func agreesWithASortedSet() {
    var random = SeededGenerator(seed: 0x5EED_0002)
    for _ in 0..<200 {
      let capacity = Int.random(in: 1...20_000, using: &random)
      var set = CandidateSet(capacity: capacity)
      var expected: Set<UInt32> = []
      for _ in 0..<Int.random(in: 0...50, using: &random) {
        let candidate = UInt32.random(in: 0..<UInt32(capacity), using: &random)
        set.insert(candidate)
        expected.insert(candidate)
      }
      var seen: [UInt32] = []
      while let candidate = set.popFirst() { seen.append(candidate) }
      #expect(seen == expected.sorted(), "seed 0x5EED0002")
    }
  }

  @Test func theFastPatternIsTheRarestLiteralThatMustBeThere() throws {
    #expect(try best("content:\"ab\"; content:\"abcdef\";") == "abcdef")
    #expect(try best("content:\"aaaaaaaa\"; content:\"xyzw\";") == "xyzw")
    #expect(try best("content:!\"abcdefgh\"; content:\"ijkl\";") == "ijkl")
    #expect(try best("content:\"abcdefgh\"; content:\"ijkl\"; fast_pattern;") == "ijkl")
    #expect(try best("content:\"abcdefgh\"; fast_pattern:2,4;") == "cdef")
    #expect(try best("content:\"ABCDEFGH\"; nocase;") == "abcdefgh")
    #expect(try best("content:!\"abcdefgh\";") == nil)
    #expect(try best("pcre:\"/abcdefgh/\";") == nil)
  }

  @Test(
    arguments: [
      ("abc", .short), ("abcd", .rare), ("aaaaaaaa", .common), ("|00 00 00 00 00|", .common), ("|00 00 00 01|", .rare),
      ("|00 01|", .common), ("|7b 9e|", .short), ("a", .common),
    ] as [(String, FastPattern.Rarity)])
  func shortLiteralsAndRunsAreKeptOutOfTheDatabases(content: String, rarity: FastPattern.Rarity) throws {
    #expect(try FastPattern.best(of: rule("content:\"\(content)\";"))?.rarity == rarity)
  }

  private func best(_ options: String) throws -> String? {
    try FastPattern.best(of: rule(options)).map { String(decoding: $0.literal.bytes, as: UTF8.self) }
  }

  private func rule(_ options: String) throws -> Rule {
    try #require(TestRules.read("alert tcp any any -> any any (\(options) sid:1;)").first)
  }
}

@Suite struct MatchIntervalTests {
  /// Against looking through all intervals.
  @Test func anIndexAgreesWithLookingThroughAll() {
    var random = SeededGenerator(seed: 0x5EED_0005)
    for round in 0..<100 {
      let entries = (0..<UInt32.random(in: 0...20, using: &random)).map { signature in
        let ends = (0..<2).map { _ in [0, 1, 79, 80, 81, 443, 65_534, 65_535].randomElement(using: &random)! as UInt16 }
        return (first: ends.min()!, last: ends.max()!, signature: signature)
      }
      var bounds: [UInt16] = [7]  // another index's
      var lists: [TableRange] = [.empty]
      var candidates: [UInt32] = [99]
      let index = IntervalIndex(
        entries, successor: { $0 < .max ? $0 + 1 : nil }, bounds: &bounds, lists: &lists, candidates: &candidates)
      let tables = (ConstantTable(bounds), ConstantTable(lists))
      for port in [0, 1, 2, 79, 80, 81, 82, 442, 443, 444, 65_533, 65_534, 65_535] as [UInt16] {
        let found = index.list(for: port, in: tables.0, tables.1).indices.map { candidates[$0] }
        let expected = entries.filter { $0.first <= port && port <= $0.last }.map(\.signature)
        #expect(found == expected, "seed 0x5EED0005, round \(round), port \(port)")
      }
      unsafe tables.0.deallocate()
      unsafe tables.1.deallocate()
    }
  }
}

@Suite struct PossibleSignaturesTests {
  private static func isPossible(_ candidate: UInt32, _ question: PossibleSignatures.Question) -> Bool {
    (UInt64(candidate) ^ question.ends.source ^ question.ends.destinationPort ^ UInt64(question.protocolNumber)) % 3
      == 0
  }

  /// More questions than there are places: none is given another's answer.
  @Test func theChoiceIsThatOfLookingAtAll() {
    var random = SeededGenerator(seed: 0x5EED_0006)
    let candidates = ConstantTable((0..<200).map { UInt32($0) })
    var possible = PossibleSignatures()
    var known = 0
    for _ in 0..<5000 {
      var ends = PacketEnds()
      ends.source = UInt64.random(in: 0..<5, using: &random)
      ends.destinationPort = UInt64.random(in: 0..<5, using: &random)
      let question = PossibleSignatures.Question(
        start: UInt32.random(in: 0..<4, using: &random) * 50, protocolNumber: UInt8.random(in: 0..<5, using: &random),
        ends: ends)
      let range = TableRange(start: question.start, count: 50)
      let place = possible.place(of: question)
      var count = possible.count(of: question, at: place)
      if count != nil {
        known += 1
      } else {
        count = possible.choose(question, at: place, from: candidates, range) { Self.isPossible($0, question) }
      }
      let chosen = (0..<(count ?? 0)).map { possible.signature($0, at: place) }
      #expect(chosen == range.indices.map { candidates[$0] }.filter { Self.isPossible($0, question) })
    }
    #expect(known > 100 && known < 4900)
    unsafe candidates.deallocate()
  }

  @Test func tooManyAreNotKept() {
    let candidates = ConstantTable((0..<200).map { UInt32($0) })
    var possible = PossibleSignatures()
    let question = PossibleSignatures.Question(start: 0, protocolNumber: 1, ends: PacketEnds())
    let place = possible.place(of: question)
    for (limit, count) in [(PossibleSignatures.mostSignatures, 64), (PossibleSignatures.mostSignatures + 1, nil)] {
      let range = TableRange(start: 0, count: 200)
      #expect(possible.choose(question, at: place, from: candidates, range) { $0 < limit } == count)
      #expect(possible.count(of: question, at: place) == count)
    }
    unsafe candidates.deallocate()
  }
}
