import AllyFirewall
import AllyPacket
import Glibc
import Testing

/// The policies that Docs/FirewallPolicy.md shows are ours and nft's.
@Suite struct PolicyDocumentationTests {
  /// What stands between "```nft" and "```".
  static let examples: [String] = {
    let path = #filePath.split(separator: "/").dropLast(3).reduce(into: "") { $0 += "/" + $1 }
    guard let text = contents(of: path + "/Docs/FirewallPolicy.md") else { return [] }
    return text.split(separator: "```nft\n").dropFirst().compactMap {
      $0.split(separator: "```").first.map(String.init)
    }
  }()

  @Test func `The documented examples are policies`() throws {
    #expect(Self.examples.count == 2)
    for example in Self.examples {
      let policy = try FirewallPolicy(example, file: "Docs/FirewallPolicy.md")
      #expect(!policy.rules.isEmpty)
    }
  }

  @Test(.enabled("nft is missing, or may not be run") { NFT.isUsable })
  func `nft accepts the documented examples and their listings`() throws {
    for example in Self.examples {
      #expect(NFT.complaint(about: example) == nil)
      #expect(NFT.complaint(about: try FirewallPolicy(example).listing()) == nil)
    }
  }

  @Test(.enabled("nft is missing, or may not be run") { NFT.isUsable }, arguments: PolicyMatchTests.cases.map(\.rule))
  func `nft accepts every rule that the tests use`(rule: String) throws {
    // The one difference in layout: nft wants a separator before a closing brace.
    let listing = try FirewallPolicy(PolicyMatchTests.policy(rule)).listing()
    #expect(NFT.complaint(about: listing) == nil)
  }

  @Test func `A log line names the packet as Linux does`() throws {
    let policy = try FirewallPolicy(
      "table inet t { chain c { type filter hook forward priority 0; log prefix \"in: \" level warn; } }")
    var firewall = FirewallInspector(policy: policy)
    _ = firewall.judge(TestPacket(vlan: 9, time: 951_782_400.5))
    _ = firewall.judge(PolicyMatchTests.ping6.with { $0.time = 0 })
    _ = firewall.judge(
      TestPacket(
        source: "::ffff:192.0.2.1", destination: "::1", transport: .udp, direction: .transmit, time: 4_102_444_799))
    _ = firewall.judge(TestPacket(transport: .other(47), payload: [], fragment: nil, time: 1_709_164_800))
    _ = firewall.judge(FragmentTests.fragment(0, 48).with { $0.time = 1 })
    var lines: [String] = []
    while let event = firewall.nextLogEvent() { lines.append(policy.logLine(for: event)) }
    #expect(
      lines == [
        "2000-02-29T00:00:00.500000Z <warn> in: FRAME=1 DIR=receive VLAN=9 SRC=192.0.2.1 DST=198.51.100.7 LEN=40 TTL=64 PROTO=TCP SPT=40000 DPT=443 SYN",
        "1970-01-01T00:00:00.000000Z <warn> in: FRAME=1 DIR=receive SRC=2001:db8::1 DST=2001:db8:1::2 LEN=48 TTL=64 PROTO=ICMPv6 TYPE=128 CODE=0",
        "2099-12-31T23:59:59.000000Z <warn> in: FRAME=1 DIR=transmit SRC=::ffff:192.0.2.1 DST=::1 LEN=48 TTL=64 PROTO=UDP SPT=40000 DPT=443",
        "2024-02-29T00:00:00.000000Z <warn> in: FRAME=1 DIR=receive SRC=192.0.2.1 DST=198.51.100.7 LEN=20 TTL=64 PROTO=47",
        "1970-01-01T00:00:01.000000Z <warn> in: FRAME=1 DIR=receive SRC=192.0.2.1 DST=198.51.100.7 LEN=68 TTL=64 ID=1 FRAG=0 MF PROTO=UDP SPT=40000 DPT=53",
      ])
  }
}

private func contents(of path: String) -> String? {
  guard let file = unsafe fopen(path, "r") else { return nil }
  defer { unsafe fclose(file) }
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 4_096)
  while case let count = unsafe fread(&chunk, 1, chunk.count, file), count > 0 { bytes += chunk[..<count] }
  return String(decoding: bytes, as: UTF8.self)
}

/// The real nft, asked whether it would load a policy; nothing is loaded.
private enum NFT {
  static let isUsable = complaint(about: "table ip t {\n}\n") == nil

  /// - Returns: nil when nft would load the text.
  static func complaint(about text: String) -> String? {
    var template = Array("/tmp/ally-policy-XXXXXX".utf8CString)
    let descriptor = unsafe mkstemp(&template)
    guard descriptor >= 0 else { return "no temporary file" }
    let path = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer {
      close(descriptor)
      unsafe unlink(path)
    }
    guard unsafe write(descriptor, text, text.utf8.count) == text.utf8.count else {
      return "no room for a temporary file"
    }
    let command = "PATH=$PATH:/usr/sbin:/sbin nft -c -f \(path) 2>&1"
    guard let pipe = unsafe popen(command, "r") else { return "no shell" }
    var answer: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4_096)
    while case let count = unsafe fread(&chunk, 1, chunk.count, pipe), count > 0 { answer += chunk[..<count] }
    return unsafe pclose(pipe) == 0 ? nil : String(decoding: answer, as: UTF8.self)
  }
}
