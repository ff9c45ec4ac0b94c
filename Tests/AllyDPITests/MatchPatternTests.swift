import Testing

@testable import AllyDPI

@Suite struct MatchPatternTests {
  @Test func searchesFromAPlaceOnAndSaysWhere() throws {
    let pattern = try compile("b+")
    defer { unsafe pattern.deallocate() }
    #expect(try search(pattern, "abbabb") == 1..<3)
    #expect(try search(pattern, "abbabb", from: 3) == 4..<6)
    #expect(try search(pattern, "aaa") == nil)
    #expect(try search(pattern, "", from: 0) == nil)
    #expect(try search(pattern, "b", from: 5) == nil)
  }

  @Test func flagsMeanWhatTheRuleLanguageSays() throws {
    #expect(try matches("ABC", "abc") { $0.caseless = true })
    #expect(try !matches("a.c", "a\nc") { _ in })
    #expect(try matches("a.c", "a\nc") { $0.dotAll = true })
    #expect(try matches("^b", "a\nb") { $0.multiline = true })
    #expect(try !matches("^b", "a\nb") { _ in })
    #expect(try matches("a b # comment", "ab") { $0.extended = true })
    #expect(try !matches("b", "ab") { $0.anchored = true })
    #expect(try matches("b$", "ab\n") { _ in })
    #expect(try !matches("b$", "ab\n") { $0.dollarEndOnly = true })
  }

  @Test func aBadPatternSaysWhereItStops() throws {
    let pattern = PatternMatch(pattern: Array("abc(d".utf8), location: RuleLocation(file: "f", line: 1, column: 1))
    let problem = try #require(CompiledPattern.problem(of: pattern))
    #expect(problem.offset == 5)
    #expect(problem.message.contains("parenthesis"))
    #expect(CompiledPattern.problem(of: PatternMatch(pattern: Array("a".utf8), location: pattern.location)) == nil)
  }

  /// The classic of exponential backtracking.
  @Test func aHostilePayloadMeetsTheLimit() throws {
    let pattern = try compile("^(a+)+$")
    defer { unsafe pattern.deallocate() }
    var scratch = try PatternScratch()
    let bytes = [UInt8](repeating: 0x61, count: 64) + [0x62]
    let outcome = unsafe bytes.span.bytes.withByteView { scratch.search(pattern, in: $0, from: 0) }
    guard case .limit = outcome else {
      Issue.record("the search was not given up: \(outcome)")
      return
    }
    #expect(scratch.limitsReached == 1)
  }

  private func compile(_ text: String, _ set: (inout PatternMatch) -> Void = { _ in }) throws -> CompiledPattern {
    var pattern = PatternMatch(pattern: Array(text.utf8), location: RuleLocation(file: "f", line: 1, column: 1))
    set(&pattern)
    return try CompiledPattern(pattern)
  }

  private func matches(_ text: String, _ subject: String, _ set: (inout PatternMatch) -> Void) throws -> Bool {
    let pattern = try compile(text, set)
    defer { unsafe pattern.deallocate() }
    return try search(pattern, subject) != nil
  }

  private func search(_ pattern: CompiledPattern, _ subject: String, from start: Int = 0) throws -> Range<Int>? {
    var scratch = try PatternScratch()
    let bytes = Array(subject.utf8)
    let outcome = unsafe bytes.span.bytes.withByteView { scratch.search(pattern, in: $0, from: start) }
    if case .found(let range) = outcome { return range }
    return nil
  }
}
