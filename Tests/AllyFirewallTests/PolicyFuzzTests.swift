import AllyFirewall
import AllyPacket
import Testing

/// Whatever stands in a policy file: a policy or an error, never the end of the process.
@Suite struct PolicyFuzzTests {
  private static let seedPolicies = PolicyMatchTests.cases.map { PolicyMatchTests.policy($0.rule) }

  /// What an error must be, wherever it comes from.
  private func check(_ text: [UInt8], _ context: String) {
    do throws(PolicyError) {
      let policy = try FirewallPolicy(text, file: "fuzz")
      var firewall = FirewallInspector(
        policy: policy, configuration: FirewallConfiguration(tracking: TrackingConfiguration(maximumConnections: 4)))
      _ = firewall.judge(TestPacket())
      #expect(firewall.statistics.frames == 1)
    } catch {
      let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      #expect(error.line >= 1 && error.line <= lines.count, "\(context): \(error)")
      if error.line >= 1, error.line <= lines.count {
        #expect(error.column >= 1 && error.column <= lines[error.line - 1].count + 1, "\(context): \(error)")
      }
      #expect(!error.expected.isEmpty && !error.found.isEmpty, "\(context)")
    }
  }

  @Test(arguments: [21, 22, 23] as [UInt64])
  func `Damaged policies are policies or errors`(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let pieces: [[UInt8]] = [
      "{", "}", ";", "\n", ",", "-", "$lan", "@web", "!=", "\"", "\\\n", "define x = ", "jump side", "/33", "0x",
    ]
    .map { Array($0.utf8) }
    for round in 0..<1_500 {
      var text = Array(Self.seedPolicies[Int.random(in: 0..<Self.seedPolicies.count, using: &random)].utf8)
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let place = Int.random(in: 0..<text.count, using: &random)
        switch Int.random(in: 0..<5, using: &random) {
        case 0: text[place] = UInt8.random(in: 0...255, using: &random)
        case 1: text.remove(at: place)
        case 2: text.insert(contentsOf: pieces[Int.random(in: 0..<pieces.count, using: &random)], at: place)
        case 3: text.removeSubrange(place..<min(text.count, place + Int.random(in: 1...12, using: &random)))
        default:
          let end = min(text.count, place + Int.random(in: 1...40, using: &random))
          text.insert(contentsOf: text[place..<end], at: Int.random(in: 0...text.count, using: &random))
        }
        if text.isEmpty { text = [0] }
      }
      check(text, "seed \(seed), round \(round)")
    }
  }

  @Test(arguments: [31, 32] as [UInt64])
  func `Random bytes are errors or empty policies`(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    for round in 0..<1_000 {
      let text = (0..<Int.random(in: 0...60, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      check(text, "seed \(seed), round \(round)")
    }
  }

  @Test func `A policy cut anywhere is an error or a shorter policy`() {
    let text = Array(
      PolicyMatchTests.policy("tcp dport { 80, https } log prefix \"x\" counter reject with tcp reset").utf8)
    for length in 0...text.count { check(Array(text.prefix(length)), "cut to \(length)") }
  }

  @Test func `Deep nesting takes no stack`() {
    check(Array(("define x = " + String(repeating: "{", count: 100_000)).utf8), "definition")
    check(Array(PolicyMatchTests.policy("tcp dport " + String(repeating: "{", count: 100_000)).utf8), "set")
  }

  @Test(arguments: [41, 42] as [UInt64])
  func `Random frames get a verdict`(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let policy = try FirewallPolicy(
      PolicyMatchTests.policy(
        "ct state established,related accept\nct state invalid drop\nip saddr @hosts tcp dport @web accept\nudp dport 53 log accept"
      ))
    var firewall = FirewallInspector(
      policy: policy, configuration: FirewallConfiguration(tracking: TrackingConfiguration(maximumConnections: 64)))
    let packets = PolicyMatchTests.cases.flatMap { [$0.matching, $0.other] }
    var time = 1_700_000_000.0
    for round in 0..<20_000 {
      var bytes = packets[Int.random(in: 0..<packets.count, using: &random)].bytes
      for _ in 0..<Int.random(in: 0...3, using: &random) {
        bytes[Int.random(in: 12..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      time += Double.random(in: -5...20, using: &random)
      _ = firewall.judge(bytes, direction: round % 2 == 0 ? .receive : .transmit, time: time)
    }
    let statistics = firewall.statistics
    #expect(statistics.frames == 20_000)
    #expect(statistics.accepted + statistics.dropped + statistics.rejected == 20_000)
    #expect(statistics.connections <= 64)
    #expect(statistics.accepted > 0 && statistics.dropped > 0 && statistics.invalid > 0 && statistics.malformed > 0)
  }
}
