import AllyPacket
import Testing

@testable import AllyDPI

@Suite struct DetectThresholdTests {
  /// The option, seconds between the ten frames, which of them are reported.
  static let cases: [(String, Double, [Int])] = [
    ("threshold:type limit,track by_src,count 2,seconds 60", 1, [1, 2]),
    ("threshold:type limit,track by_src,count 1,seconds 3", 1, [1, 5, 9]),
    ("threshold:type threshold,track by_src,count 3,seconds 60", 1, [3, 6, 9]),
    ("threshold:type both,track by_src,count 3,seconds 60", 1, [3]),
    ("threshold:type both,track by_src,count 3,seconds 4", 1, [3, 8]),
    ("detection_filter:track by_src,count 7,seconds 60", 1, [8, 9, 10]),
    ("detection_filter:track by_src,count 2,seconds 1", 1, []),
  ]

  @Test(arguments: cases)
  func tenFrames(option: String, seconds: Double, reported: [Int]) throws {
    var engine = try TestEngine("alert udp any any -> any any (content:\"attack\"; \(option); sid:1;)")
    for _ in 1...10 { engine.send(TestFrame(ipProtocol: 17, payload: Array("attack".utf8)), after: seconds) }
    #expect(engine.records.map(ordinal) == reported, "\(option)")
    #expect(engine.statistics.suppressedAlerts == UInt64(10 - reported.count))
  }

  @Test func eachSourceIsCountedByItself() throws {
    var engine = try TestEngine(
      "alert udp any any -> any any (content:\"attack\"; threshold:type limit,track by_src,count 1,seconds 60; sid:1;)")
    for source in ["10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.3"] {
      engine.send(TestFrame(source: source, ipProtocol: 17, payload: Array("attack".utf8)))
    }
    #expect(engine.records.map(ordinal) == [1, 2, 4])
  }

  @Test func bothSidesAreOnePair() throws {
    var engine = try TestEngine(
      "alert udp any any -> any any (content:\"attack\"; threshold:type limit,track by_both,count 1,seconds 60; sid:1;)"
    )
    let frame = TestFrame(ipProtocol: 17, payload: Array("attack".utf8))
    var reply = frame.reply
    reply.payload = frame.payload
    engine.send(frame)
    engine.send(reply)
    #expect(engine.records.map(ordinal) == [1])
  }

  /// A flood of sources must not grow the table.
  @Test func theTableIsBounded() throws {
    var counter = ThresholdCounter(capacity: 64, seed: 7)
    let rule = ThresholdRule(Threshold(kind: .limit, track: .bySource, count: 1, seconds: 3600))
    for index in 0..<10_000 as Range<UInt32> {
      let subject = ThresholdCounter.Subject(
        rule: 0, source: IPAddress(v4: index), destination: IPAddress(v4: 1), flow: 0)
      #expect(counter.count(subject, by: rule, place: 0, at: UInt64(index + 1)) == .alert)
    }
    #expect(counter.evictions == 10_000 - 64)
  }

  @Test func aRateFilterReplacesTheActionForAWhile() {
    var counter = ThresholdCounter(capacity: 64, seed: 7)
    let rule = RateFilterRule(RateFilter(track: .byRule, count: 2, seconds: 10, newAction: .drop, timeout: 30))
    let subject = ThresholdCounter.Subject(
      rule: 0, source: IPAddress(v4: 1), destination: IPAddress(v4: 2), flow: 0)
    let outcomes = [0, 1, 2, 3, 32, 40].map { counter.count(subject, by: rule, at: 1 + $0 * 1_000_000_000) }
    #expect(outcomes == [.alert, .alert, .replaced, .replaced, .replaced, .alert])
  }

  private func ordinal(_ record: String) -> Int {
    guard let range = record.range(of: "\"pcap_cnt\":") else { return 0 }
    return Int(record[range.upperBound...].prefix { $0.isNumber }) ?? 0
  }
}
