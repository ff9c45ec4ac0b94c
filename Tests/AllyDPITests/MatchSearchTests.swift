import AllyPacket
import Synchronization
import Testing

@testable import AllyDPI

/// Which signatures are looked at, and where databases come from.
@Suite struct MatchSearchTests {
  /// A literal may begin in one segment, and a rule need several that lie far apart: what was searched in vain is not searched
  /// again, what was found is.
  @Test(arguments: [1, 3, 7, 100]) func literalsAcrossSegmentsAreFound(piece: Int) throws {
    let text = Array(
      (String(repeating: "-", count: 300) + "first" + String(repeating: "=", count: 200) + "second").utf8)
    let rules = """
      alert tcp any any -> any any (content:"first"; sid:1;)
      alert tcp any any -> any any (content:"second"; content:"first"; fast_pattern; sid:2;)
      alert tcp any any -> any any (content:"first"; content:"second"; distance:0; sid:3;)
      alert tcp any any -> any any (content:"third"; sid:4;)
      """
    for isImmediate in [true, false] {
      let engine = try Exchange.stream((.toServer, text), (.toClient, [1])).run(rules, piece: piece) {
        $0.streamInline = isImmediate
      }
      #expect(engine.alerts.sorted() == [1, 2, 3], "immediate: \(isImmediate)")
    }
  }

  /// Common bytes that stand at one place are compared there.
  @Test func bytesAtAPlaceAreComparedThere() throws {
    let rules = """
      alert udp any any -> any any (content:"|00 01|"; offset:2; depth:2; sid:1;)
      alert udp any any -> any any (content:"GE"; nocase; startswith; sid:2;)
      alert udp any any -> any any (content:"aaaaaa"; offset:1; depth:6; sid:3;)
      """
    var engine = try TestEngine(rules)
    let cases: [(payload: [UInt8], alerts: [Int])] = [
      ([9, 9, 0, 1], [1]), ([9, 0, 1, 9], []), ([9, 9, 0], []), (Array("ge".utf8), [2]), (Array("g".utf8), []),
      (Array("baaaaaa".utf8), [3]), (Array("baaaaab".utf8), []),
    ]
    for (payload, wanted) in cases {
      let before = engine.alerts.count
      engine.send(TestFrame(destinationPort: 9, ipProtocol: 17, payload: payload))
      #expect(Array(engine.alerts[before...]) == wanted, "\(payload)")
    }
  }

  /// In a stream the same counts from its start alone.
  @Test func bytesAtAPlaceOfAStreamCountFromItsStart() throws {
    let rules = "alert tcp any any -> any any (flow:only_stream; content:\"|01 02|\"; offset:3; depth:2; sid:1;)"
    #expect(try Exchange.stream((.toServer, [0, 0, 0, 1, 2])).run(rules, piece: 2).alerts == [1])
    #expect(try Exchange.stream((.toServer, [0, 0, 1, 2, 0])).run(rules, piece: 2).alerts == [])
  }

  // MARK: the cache

  private final class Cache: DatabaseCache {
    private let files = Mutex<[String: [UInt8]]>([:])
    private let writes = Atomic(0)
    var stored: Int { writes.load(ordering: .relaxed) }

    func contents(of key: String) -> [UInt8]? { files.withLock { $0[key] } }
    func store(_ contents: [UInt8], as key: String) {
      writes.wrappingAdd(1, ordering: .relaxed)
      files.withLock { $0[key] = contents }
    }
    func damage() {
      files.withLock { files in
        for (key, contents) in files {
          var damaged = contents
          damaged[contents.count / 2] ^= 1
          files[key] = damaged
        }
      }
    }
  }

  @Test func aCompiledDatabaseIsUsedAgain() throws {
    let cache = Cache()
    func alerts() throws -> [Int] {
      try Exchange.stream((.toServer, Array("a needle in hay".utf8))).run(
        "alert tcp any any -> any any (content:\"needle\"; sid:1;)"
      ) { $0.databaseCache = cache }.alerts
    }
    #expect(try alerts() == [1])
    let stored = cache.stored
    #expect(stored > 0)
    #expect(try alerts() == [1])
    #expect(cache.stored == stored, "nothing was compiled again")
    cache.damage()
    #expect(try alerts() == [1], "a damaged file is no database")
    #expect(cache.stored == 2 * stored, "it is compiled and stored again")
  }

  @Test func theKeySaysAllThatADatabaseDependsOn() throws {
    let cache = Cache()
    func compile(_ bytes: String, isCaseless: Bool, _ target: HyperscanDatabase.Target) throws {
      let literal = HyperscanDatabase.Literal(bytes: Array(bytes.utf8), isCaseless: isCaseless)
      let database = try HyperscanDatabase(literals: [literal], target: target, cache: cache)
      unsafe database.deallocate()
    }
    try compile("abcd", isCaseless: false, .avx2)
    try compile("abcd", isCaseless: true, .avx2)
    try compile("abce", isCaseless: false, .avx2)
    #expect(cache.stored == 3)
    try compile("abcd", isCaseless: false, .avx2)
    #expect(cache.stored == 3)
  }

  // MARK: conversations with many requests

  /// Many requests that wait for an answer: each is looked at when something of it comes, and answers find theirs.
  @Test func pipelinedRequestsAreMatchedOnce() throws {
    let requests = (0..<200).map { "GET /page\($0) HTTP/1.1\r\nHost: a.example\r\n\r\n" }
    let responses = (0..<200).map { "HTTP/1.1 200 OK\r\nX-Number: n\($0)\r\nContent-Length: 2\r\n\r\nok" }
    let rules = """
      alert http any any -> any any (flow:to_server; http.uri; content:"/page150"; sid:1;)
      alert http any any -> any any (flow:to_client; http.header; content:"n150|0d 0a|"; sid:2;)
      alert http any any -> any any (flow:to_server; http.uri; content:"/page"; sid:3;)
      """
    for isImmediate in [true, false] {
      let engine = try Exchange.stream(
        (.toServer, Array(requests.joined().utf8)), (.toClient, Array(responses[..<100].joined().utf8)),
        (.toServer, Array(requests[0].utf8)), (.toClient, Array(responses[100...].joined().utf8))
      ).run(rules, piece: 333) {
        $0.streamInline = isImmediate
        $0.maximumAlertsPerPacket = 255
      }
      #expect(engine.alerts.filter { $0 == 1 }.count == 1)
      #expect(engine.alerts.filter { $0 == 2 }.count == 1)
      #expect(engine.alerts.filter { $0 == 3 }.count == 201)
    }
  }

  @Test func runsOfNumbersDoNotOverlap() {
    var numbers = TransactionNumbers.none
    #expect(numbers.runs.0.isEmpty && numbers.runs.1.isEmpty)
    numbers.insertAtBack(9)
    #expect((numbers.runs.0.first, numbers.runs.0.last) == (9, 9))
    numbers.insertAtFront(2)
    #expect((numbers.runs.0.first, numbers.runs.1.first) == (2, 9))
    numbers.insertAtFront(9)
    #expect((numbers.runs.0.first, numbers.runs.0.last) == (2, 9))
    #expect(numbers.runs.1.isEmpty)
  }
}
