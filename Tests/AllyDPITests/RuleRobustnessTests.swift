import AllyDPI
import Foundation
import Testing

/// Whatever stands in a rule file, reading ends, and every rule loads or has a reason.
@Suite struct RuleRobustnessTests {
  private static let seeds: [UInt64] = Array(1...8)

  private func check(_ text: [UInt8], seed: UInt64) {
    let report = readRules(text)
    for problem in report.problems {
      #expect(
        problem.location.line >= 1 && problem.location.column >= 1 && !problem.reason.isEmpty
          && !problem.reason.contains("\n"), "seed \(seed): \(problem)")
    }
    for rule in report.rules {
      for content in contents(rule) {
        #expect(!content.bytes.isEmpty, "seed \(seed): \(rule.text)")
        if let chop = content.fastPattern?.chop {
          #expect(!chop.isEmpty && chop.upperBound <= content.bytes.count, "seed \(seed): \(rule.text)")
        }
      }
    }
  }

  /// Rules with every kind of option.
  private static let samples = [
    #"alert tcp $HOME_NET [80,!81,90:] -> ![10.0.0.0/8,!10.1.1.1] any (msg:"a\"b"; content:"a|41 42|"; depth:9; sid:1;)"#,
    #"alert ip any any <> 2001:db8::/32 !$HTTP_PORTS (ip_proto:!6; ttl:5<>9; fragbits:+MD; ipopts:rr; tos:!x1f; sid:2;)"#,
    #"drop udp any any -> any any (content:"x",depth 5,nocase; pcre:"/a(b|c)[d-f]{2,3}/ismR"; isdataat:!5,relative; sid:3;)"#,
    #"alert tcp any any -> any any (byte_extract:2,0,v,relative; byte_test:4,!&,v,-2,string,hex; byte_jump:2,0,align; sid:4;)"#,
    #"alert tcp any any -> any any (flow:established,to_server; flowbits:isset,a|b; xbits:set,c,track ip_src; sid:5;)"#,
    #"alert tcp any any -> any any (threshold:type both, track by_src, count 5, seconds 9; metadata:a b, c d; sid:6; rev:1;)"#,
    #"alert tcp any any -> any any (tcp.hdr; content:"|02|"; offset:3; bsize:>19; flags:S,12; reference:cve,1-2; sid:7;)"#,
    #"alert pkthdr any any -> any any (decode-event:ipv4.pkt_too_small; byte_math:bytes 1, offset 0, oper +, rvalue 1, result r; sid:8;)"#,
  ]

  @Test func theSamplesLoad() {
    let report = readRules(Self.samples.joined(separator: "\n"))
    #expect(report.problems.map(\.description) == [])
    #expect(report.rules.count == Self.samples.count)
  }

  @Test func cutRules() {
    for sample in Self.samples {
      let bytes = Array(sample.utf8)
      for length in 0..<bytes.count {
        let report = readRules(Array(bytes[..<length]))
        #expect(report.rules.isEmpty, "a rule cut at \(length) loads: \(sample)")
        #expect(report.problems.count == (length == 0 ? 0 : 1))
      }
    }
  }

  @Test(arguments: seeds) func randomBytes(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<60 {
      check(
        (0..<Int.random(in: 0...600, using: &generator)).map { _ in .random(in: 0...255, using: &generator) },
        seed: seed)
    }
  }

  @Test(arguments: seeds) func randomBytesOfTheLanguage(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let alphabet = Array("()[]!\"\\|/;:,.<>-=$#% \n\r\tabx019".utf8) + [0x00, 0x80, 0xC3, 0xFF]
    for _ in 0..<200 {
      let count = Int.random(in: 0...200, using: &generator)
      let noise = (0..<count).map { _ in alphabet.randomElement(using: &generator)! }
      check(noise, seed: seed)
      check(Array("alert tcp any any -> any any (".utf8) + noise, seed: seed)
      check(Array("alert tcp ".utf8) + noise, seed: seed)
    }
  }

  @Test(arguments: seeds) func changedRules(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<400 {
      var bytes = Array(Self.samples.randomElement(using: &generator)!.utf8)
      for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
        let index = Int.random(in: bytes.indices, using: &generator)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: bytes[index] = .random(in: 0...255, using: &generator)
        case 1: bytes.remove(at: index)
        case 2: bytes.insert(.random(in: 32...126, using: &generator), at: index)
        default:
          // A piece of another rule.
          let other = Array(Self.samples.randomElement(using: &generator)!.utf8)
          let start = Int.random(in: other.indices, using: &generator)
          bytes.insert(contentsOf: other[start..<min(other.count, start + 12)], at: index)
        }
      }
      check(bytes, seed: seed)
    }
  }

  @Test func textThatGoesOnAndOnEnds() {
    for piece in ["(", "[", "\"", "\\", ";", ":", "|", ",", "a:\"x;", "\",", "!", "$A,", "flowbits:set,a;", "/"] {
      let long = String(repeating: piece, count: 60_000 / piece.utf8.count)
      check(Array(long.utf8), seed: 0)
      check(Array("alert tcp any any -> any any (\(long)".utf8), seed: 0)
      check(Array("alert tcp any any -> any any (content:\"\(long)\"; pcre:\"/\(long)/\"; sid:1;)".utf8), seed: 0)
      check(Array("alert tcp \(long)".utf8), seed: 0)
    }
    check(
      Array("alert tcp any any -> any any (msg:\"\(String(repeating: "a", count: 1 << 20))\"; sid:1;)".utf8), seed: 0)
  }
}

/// The rule sets of the corpus that `ALLY_CORPUS` names.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["ALLY_CORPUS"] != nil, "ALLY_CORPUS is not set"))
struct RuleCorpusTests {
  private func rules(_ name: String) throws -> [UInt8] {
    let corpus = try #require(ProcessInfo.processInfo.environment["ALLY_CORPUS"])
    let path = "\(corpus)/rules/\(name)"
    guard name.hasSuffix(".gz") else { return [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }
    let gzip = Process()
    gzip.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    gzip.arguments = ["gzip", "-dc", path]
    let output = Pipe()
    gzip.standardOutput = output
    try gzip.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    gzip.waitUntilExit()
    return [UInt8](data)
  }

  /// Suricata 7.0.10 loads each of these rules: none is wrong, but many are beyond this version.
  @Test func emergingThreatsOpen() throws {
    let report = readRules(try rules("etopen.rules.gz"))
    #expect(report.total == 31_873)
    #expect(report.rules.count >= 5_659)
    #expect(report.problems.filter { !$0.isUnsupported }.map(\.description) == [])
    #expect(report.problems.allSatisfy { $0.sid != 0 && $0.location.column >= 1 && !$0.reason.isEmpty })
    #expect(report.warnings.isEmpty)
  }

  @Test func snortCommunity() throws {
    let report = readRules(
      try rules("snort3-community.rules.gz"), variables: ["SIP_SERVERS": "$HOME_NET"], ports: ["SIP_PORTS": "5060"])
    #expect(report.total == 4_022)
    #expect(report.rules.count >= 1_064)
    #expect(report.problems.filter { !$0.isUnsupported }.map(\.description) == [])
  }

  @Test func classTypesThatShipAreThoseOfTheCorpus() throws {
    let (classifications, problems) = Classifications.read(
      try rules("classification.config"), file: "classification.config")
    #expect(problems.isEmpty)
    for (name, entry) in classifications.entries { #expect(Classifications.standard[name] == entry) }
  }
}
