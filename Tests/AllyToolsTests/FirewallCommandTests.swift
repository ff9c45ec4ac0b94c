import AllyFirewall
import AllyPacket
import AllyTools
import Foundation
import Testing

/// What a user meets at `firewall`: counters, accepted frames, log, lines on standard error, exit statuses.
@Suite struct FirewallCommandTests {
  let folder: TemporaryFolder
  let policy: String
  let capture: String

  /// Frames 1 to 4: UDP to port 53 from the source ports 1024 to 1027.
  init() throws {
    folder = try TemporaryFolder()
    policy = try folder.write(
      "test.nft",
      """
      table ip filter {
        chain forward {
          type filter hook forward priority 0; policy drop;
          udp sport 1025 counter log prefix "second: " drop
          udp sport 1026 counter reject
          udp dport domain ct state new counter accept
        }
      }

      """)
    capture = try folder.write("in.pcap", CaptureBytes.udp(count: 4).bytes)
  }

  func run(_ arguments: String..., input: [UInt8] = [], fileBytes: Int? = nil) throws -> CommandRun {
    try CommandRun.run("firewall", arguments, input: input, fileBytes: fileBytes, in: folder)
  }

  var out: String { folder.path + "/out.pcap" }

  /// The source ports of a capture's frames, and their numbers of bytes.
  func frames(_ path: String) throws -> [String] {
    var reader = try CaptureReader(path: path)
    var frames: [String] = []
    while reader.advance() {
      let packet = Packet(bytes: reader.bytes, stamp: reader.stamp, direction: .receive)
      frames.append("\(PacketLayers(of: packet).sourcePort), \(packet.bytes.byteCount) bytes, \(reader.stamp.time)")
    }
    return frames
  }

  @Test(arguments: ["copy", "in-place"])
  func `Accepted frames are written, rules counted, packets logged`(protection: String) throws {
    let log = folder.path + "/log.txt"
    let result = try run("-r", capture, "-f", policy, "-w", out, "--log", log, "--protection", protection)
    #expect(result.status == 0)
    #expect(result.errors.isEmpty)
    let all = try frames(capture)
    #expect(all.count == 4)
    #expect(try frames(out) == [all[0], all[3]])
    #expect(
      result.output.hasPrefix(
        """
        table ip filter {
        \tchain forward {
        \t\ttype filter hook forward priority 0; policy drop;
        \t\tudp sport 1025 counter packets 1 bytes 33 log prefix "second: " drop
        \t\tudp sport 1026 counter packets 1 bytes 33 reject
        \t\tudp dport domain ct state new counter packets 2 bytes 66 accept
        \t}
        }

        Traffic

        """), "\(result.output)")
    for line in [
      "4  frames", "2  accepted", "1  dropped", "1  rejected", "2  frames delivered to the OS driver",
      "2  connections begun", "1  packets logged",
    ] {
      #expect(result.output.contains(" " + line + "\n") || result.output.hasSuffix(" " + line + "\n"), "\(line)")
    }
    #expect(
      try folder.text("log.txt")
        == "2023-11-14T22:13:20.000001Z second: FRAME=2 DIR=receive SRC=192.0.2.1 DST=10.0.0.1 LEN=33 TTL=64 PROTO=UDP SPT=1025 DPT=53\n"
    )
  }

  @Test func `A host's own frames are judged by output chains`() throws {
    let policy = try folder.write(
      "host.nft",
      "table ip t { chain c { type filter hook output priority 0; policy drop; udp sport 1024 accept; } }\n")
    let without = try run("-r", capture, "-f", policy, "-w", out)
    #expect(without.status == 0)
    #expect(without.errorLines.count == 1 && without.errors.contains("--host"))
    #expect(try frames(out).count == 4)
    let with = try run("-r", capture, "-f", policy, "-w", out, "--host", "192.0.2.1", "--host", "::1")
    #expect(with.errors.isEmpty)
    #expect(try frames(out).map { $0.prefix(4) } == ["1024"])
  }

  @Test func `A capture of which nothing passes gives a capture of nothing`() throws {
    let policy = try folder.write(
      "none.nft", "table inet t { chain c { type filter hook input priority 0; policy drop; } }")
    let result = try run("-r", "-", "-f", policy, "-w", out, input: CaptureBytes.udp(count: 3).bytes)
    #expect(result.status == 0)
    #expect(try frames(out).isEmpty)
  }

  @Test func `Checking a policy reads nothing else`() throws {
    let good = try run("-f", policy, "--check")
    #expect(good.status == 0)
    #expect(good.output == "\(policy): the policy is good: 3 rules\n")
    let text = try folder.text("test.nft").replacing("domain", with: "domian")
    let bad = try run("-f", try folder.write("bad.nft", text), "-c")
    #expect(bad.status == 78)
    #expect(bad.output.isEmpty)
    #expect(
      bad.errors
        == "firewall: \(folder.path)/bad.nft:6:15: expected a port (0 to 65535), a range of ports or a service name, found 'domian'\n"
    )
  }

  @Test func `Nothing half written is left behind`() throws {
    let before = folder.names
    try folder.write("bad.nft", "table {")
    try folder.write("none.pcap", "this is no capture")
    let cases: [(status: Int32, arguments: [String], bytes: Int?)] = [
      (78, ["-r", capture, "-f", folder.path + "/bad.nft", "-w", out], nil),
      (66, ["-r", capture, "-f", folder.path + "/missing.nft", "-w", out], nil),
      (66, ["-r", folder.path + "/missing.pcap", "-f", policy, "-w", out], nil),
      (65, ["-r", folder.path + "/none.pcap", "-f", policy, "-w", out], nil),
      (73, ["-r", capture, "-f", policy, "-w", folder.path + "/missing/out.pcap"], nil),
      (73, ["-r", capture, "-f", policy, "-w", out, "--log", folder.path + "/missing/log"], nil),
      (64, ["-f", policy, "-w", out], nil), (64, ["-r", capture], nil),
      (64, ["-r", capture, "-f", policy, "--host", "example.org"], nil),
    ]
    for (status, arguments, bytes) in cases {
      let result = try CommandRun.run("firewall", arguments, fileBytes: bytes, in: folder)
      #expect(result.status == status, "\(arguments): \(result.errors)")
      #expect(!result.errors.isEmpty)
      if status != 64 { #expect(result.errorLines.count == 1, "\(result.errors)") }
    }
    let left = Set(folder.names).subtracting(before).subtracting([".stdin", ".stdout", ".stderr"])
    #expect(left == ["bad.nft", "none.pcap"])
  }

  @Test func `When the disk is full, what the name stood for before stays`() throws {
    let large = try folder.write(
      "large.pcap", CaptureBytes.udp(count: 400, payload: String(repeating: "x", count: 900)).bytes)
    let open = try folder.write("open.nft", "table ip t { chain c { type filter hook input priority 0; log; } }")
    try folder.write("out.pcap", "what was here before")
    let names = Set(folder.names).union([".stdin", ".stdout", ".stderr"])
    let result = try run("-r", large, "-f", open, "-w", out, fileBytes: 65_536)
    #expect(result.status == 74, "\(result.errors)")
    #expect(result.errorLines.count == 1 && result.errors.contains("out.pcap"))
    #expect(try folder.text("out.pcap") == "what was here before")
    #expect(Set(folder.names).union([".stdin", ".stdout", ".stderr"]) == names)
    // The log keeps whole lines.
    let logged = try run("-r", large, "-f", open, "--log", folder.path + "/log.txt", fileBytes: 16_384)
    #expect(logged.status == 74)
    let lines = try folder.text("log.txt")
    #expect(lines.hasSuffix("DPT=53\n") && lines.utf8.count <= 16_384)
  }

  @Test func `A capture that breaks off is filtered as far as it goes`() throws {
    let cut = try folder.write("cut.pcap", Array(CaptureBytes.udp(count: 4).bytes.dropLast(3)))
    let result = try run("-r", cut, "-f", policy, "-w", out)
    #expect(result.status == 65)
    #expect(result.errorLines.count == 1 && result.errors.contains("frame 4"))
    #expect(try frames(out).count == 1)
  }

  /// The rings change nothing about what the firewall sees, nor about what it lets through.
  @Test(.enabled("ALLY_CORPUS does not name a corpus folder") { corpus != nil })
  func `The rings deliver what the firewall alone accepts, on every capture of the corpus`() throws {
    let corpus = try #require(Self.corpus)
    let text = """
      table inet filter {
        chain forward {
          type filter hook forward priority filter; policy drop;
          ct state invalid counter drop
          ct state established,related counter accept
          tcp dport { 21, 22, 25, 80, 443 } ct state new counter accept
          meta l4proto { udp, icmp, icmpv6 } counter accept
        }
      }
      """
    let file = try folder.write("corpus.nft", text)
    let names = try FileManager.default.contentsOfDirectory(atPath: corpus + "/pcap").filter {
      $0.hasSuffix(".pcap") || $0.hasSuffix(".pcapng")
    }
    #expect(!names.isEmpty)
    for name in names.sorted() {
      let path = corpus + "/pcap/" + name
      let result = try run("-r", path, "-f", file, "-w", out, "--max-connections", "4096")
      #expect(result.status == 0, "\(name): \(result.errors)")
      var firewall = FirewallInspector(
        policy: try FirewallPolicy(text),
        configuration: FirewallConfiguration(tracking: TrackingConfiguration(maximumConnections: 4_096)))
      var reader = try CaptureReader(path: path)
      var accepted: [String] = []
      let summary = try DirectRun().inspectAll(&reader, &firewall) { packet in
        accepted.append("\(PacketLayers(of: packet).sourcePort), \(packet.bytes.byteCount) bytes, \(packet.stamp.time)")
      }
      #expect(summary.counts.frames > 0, "\(name)")
      let written = try frames(out)
      #expect(written.count == accepted.count, "\(name)")
      #expect(written.map { $0.prefix { $0 != "b" } } == accepted.map { $0.prefix { $0 != "b" } }, "\(name)")
      #expect(
        result.output.hasPrefix(try FirewallPolicy(text).listing(counters: firewall.counters)), "\(name)")
    }
  }

  static let corpus = ProcessInfo.processInfo.environment["ALLY_CORPUS"]
}

extension DirectRun {
  fileprivate func inspectAll(
    _ reader: inout CaptureReader, _ firewall: inout FirewallInspector, deliver: (borrowing Packet) -> Void
  ) throws(CommandFailure) -> RunSummary {
    var run = self
    return try run.inspect(&reader, inspecting: &firewall) { packet throws(CommandFailure) in deliver(packet) }
  }
}
