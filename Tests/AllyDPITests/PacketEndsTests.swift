import AllyPacket
import Testing

@testable import AllyDPI

/// Who is at a packet's two ends: what is found once for each packet says the same as each rule's own lists.
@Suite struct PacketEndsTests {
  @Test func membershipsAreThoseOfTheLists() {
    var random = SeededGenerator(seed: 1)
    for _ in 0..<50 {
      let lists = (1...Int.random(in: 1...63, using: &random)).map { _ in
        (0..<Int.random(in: 1...4, using: &random)).map { _ in
          let first = UInt16.random(in: .min ... .max, using: &random)
          return (first: first, last: UInt16.random(in: first ... .max, using: &random))
        }.disjoint()
      }
      let index = MembershipIndex(
        zip(lists, 1...).map { ($0, UInt8($1)) }, successor: { (port: UInt16) in port < .max ? port + 1 : nil })
      defer { unsafe index.deallocate() }
      let edges = lists.flatMap { $0.flatMap { [$0.first, $0.last, $0.first &- 1, $0.last &+ 1] } } + [0, .max]
      for value in edges {
        let expected = zip(lists, 1...).reduce(1 as UInt64) { bits, entry in
          entry.0.contains { ($0.first...$0.last).contains(value) } ? bits | 1 << UInt64(entry.1) : bits
        }
        #expect(index.bits(of: value) == expected)
      }
    }
  }

  /// More lists than there are bits, so that some have none; all kinds of rules that are found in different ways.
  @Test func rulesOfManyListsMatchWhereTheirOwnSayIs() throws {
    var rules: [String] = []
    for number in 0..<100 {
      // Lists of even numbers hold the client, and every other two the server's port.
      let address = number % 2 == 0 ? "[10.0.0.0/8,172.16.\(number).0/24]" : "[172.16.\(number).0/24,!10.0.0.0/8]"
      let port = number % 4 < 2 ? "[7000,\(20000 + number)]" : "[\(20000 + number),!7000]"
      rules += [
        "alert tcp \(address) any -> any \(port) (content:\"a word of many\"; sid:\(1000 + number);)",
        "alert tcp any \(port) -> \(address) any (content:\"an answer\"; sid:\(2000 + number);)",
        "alert tcp \(address) any -> any \(port) (flags:S; sid:\(3000 + number);)",
        "alert http \(address) any -> any \(port) (http.uri; content:\"/of/it\"; sid:\(4000 + number);)",
        "alert http \(address) any -> any \(port) (http.method; content:\"GET\"; sid:\(5000 + number);)",
      ]
    }
    var engine = try TestEngine(rules.joined(separator: "\n")) { $0.maximumAlertsPerPacket = 1000 }
    var connection = Connection(serverPort: 7000)
    connection.open(&engine)
    connection.client("GET /of/it HTTP/1.1\r\nHost: a\r\nX: a word of many\r\n\r\n", &engine)
    connection.server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nan answer", &engine)
    engine.finish()
    let fitting = (0..<100).filter { $0 % 2 == 0 && $0 % 4 < 2 }
    #expect(engine.alerts.sorted() == [1000, 2000, 3000, 4000, 5000].flatMap { kind in fitting.map { kind + $0 } })
  }
}

extension [(first: UInt16, last: UInt16)] {
  /// As lists of rules are: sorted, and not touching.
  fileprivate func disjoint() -> Self {
    var kept: Self = []
    for interval in sorted(by: { $0.first < $1.first }) {
      if let last = kept.last, Int(interval.first) <= Int(last.last) + 1 { continue }
      kept.append(interval)
    }
    return kept
  }
}
