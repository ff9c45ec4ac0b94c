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
    var random = Seeded(seed: 0x5EED_0002)
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

  @Test(arguments: [
    ("abc", true), ("abcd", false), ("aaaaaaaa", true), ("|00 00 00 00 00|", true), ("|00 00 00 01|", false),
  ])
  func shortLiteralsAndRunsAreKeptOutOfTheDatabases(content: String, isWeak: Bool) throws {
    #expect(try FastPattern.best(of: rule("content:\"\(content)\";"))?.isWeak == isWeak)
  }

  private func best(_ options: String) throws -> String? {
    try FastPattern.best(of: rule(options)).map { String(decoding: $0.literal.bytes, as: UTF8.self) }
  }

  private func rule(_ options: String) throws -> Rule {
    try #require(TestRules.read("alert tcp any any -> any any (\(options) sid:1;)").first)
  }
}
