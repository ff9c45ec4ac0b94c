import Testing

@testable import AllyDPI

@Suite struct MatchHyperscanTests {
  @Test(arguments: [HyperscanDatabase.Target.host, .avx2])
  func reportsEachLiteralOnceWhateverItsCase(target: HyperscanDatabase.Target) throws {
    let database = try database(["GET /", "|evil|", "ABCD"], caseless: ["abcd"], target: target)
    defer { unsafe database.deallocate() }
    var scratch = try HyperscanScratch(for: [database])
    #expect(scan("GET / GET / aBcD ABCD", database, &scratch) == [0, 2, 3])
    #expect(scan("get / aBcD", database, &scratch) == [3])
    #expect(scan("", database, &scratch) == [])
  }

  @Test func literalsAreBytesAndNotPatterns() throws {
    let database = try HyperscanDatabase(literals: [
      .init(bytes: Array(".*(x|y)[".utf8), isCaseless: false), .init(bytes: [0, 0xFF, 0, 0x5C], isCaseless: false),
    ])
    defer { unsafe database.deallocate() }
    var scratch = try HyperscanScratch(for: [database])
    #expect(scan(Array("aa.*(x|y)[bb".utf8), database, &scratch) == [0])
    #expect(scan([1, 0, 0xFF, 0, 0x5C, 1], database, &scratch) == [1])
    #expect(scan(Array("abc".utf8), database, &scratch) == [])
  }

  /// A payload that holds more literals than the buffer has room for must not pass for one that holds few.
  @Test func tooManyMatchesAreNotTakenForTheirBeginning() throws {
    let count = HyperscanScratch.capacity + 10
    let words = (0..<count).map { "w\(String($0, radix: 36))." }
    let database = try database(words)
    defer { unsafe database.deallocate() }
    var scratch = try HyperscanScratch(for: [database])
    #expect(scan(words.joined(), database, &scratch) == nil)
    #expect(scan(words[7], database, &scratch) == [7], "the scratch must work after a scan that was given up")
  }

  @Test func oneScratchServesSeveralDatabases() throws {
    let first = try database(["alpha"])
    let second = try database(["beta", "gamma"])
    defer {
      unsafe first.deallocate()
      unsafe second.deallocate()
    }
    var scratch = try HyperscanScratch(for: [first, second])
    #expect(scan("alpha beta gamma", first, &scratch) == [0])
    #expect(scan("alpha beta gamma", second, &scratch) == [0, 1])
  }

  private func database(
    _ exact: [String], caseless: [String] = [], target: HyperscanDatabase.Target = .host
  ) throws -> HyperscanDatabase {
    try HyperscanDatabase(
      literals: exact.map { .init(bytes: Array($0.utf8), isCaseless: false) }
        + caseless.map { .init(bytes: Array($0.utf8), isCaseless: true) },
      target: target)
  }

  private func scan(_ text: String, _ database: HyperscanDatabase, _ scratch: inout HyperscanScratch) -> [UInt32]? {
    scan(Array(text.utf8), database, &scratch)
  }

  private func scan(_ bytes: [UInt8], _ database: HyperscanDatabase, _ scratch: inout HyperscanScratch) -> [UInt32]? {
    let found = unsafe bytes.span.bytes.withByteView { scratch.scan($0, for: database) }
    return found.map { count in (0..<count).map { scratch.literal(at: $0) }.sorted() }
  }
}
