import AllyDPI
import AllyFirewall
import AllyPacket
import AllyRings
import Foundation
import Synchronization
import Testing

@testable import AllyHost

/// A guest that rewrites a frame while it is inspected. Copied frames are those that were inspected, to the last byte; in place
/// they may change under the inspector, which must stand it.
@Suite(.serialized) struct RewritingGuestTests {
  /// What inspectors found, for the test's thread.
  private final class Findings: Sendable {
    struct Found {
      var digests: [UInt64] = []
      var changes = 0
      var alerts: [String: Int] = [:]
      var described = 0
    }
    let found = Mutex(Found())
  }

  private struct Engines: PacketInspector, ~Copyable {
    var engine: DPIEngine
    var firewall: FirewallInspector
    let findings: Findings

    init(_ findings: Findings) throws {
      var configuration = DPIConfiguration()
      configuration.midstream = true
      configuration.validatesChecksums = false
      // Data are looked at as they come: nobody acknowledges them.
      configuration.isInline = true
      configuration.records = [.alerts, .http, .flows, .decodeAnomalies, .streamAnomalies, .applicationAnomalies]
      // Records hold the frame and its payload besides what parsers found.
      configuration.recordOptions.ethernet = true
      configuration.recordOptions.anomalyPacket = true
      let report = RuleReader(configuration: configuration).read(Array(RewritingGuestTests.rules.utf8), file: "test")
      #expect(report.problems.isEmpty)
      // All of it, or nothing: what fails comes first.
      let policy = try FirewallPolicy(RewritingGuestTests.policy)
      let program = try DetectionProgram(rules: report.rules, configuration: configuration)
      let engine = try DPIEngine(program: program, configuration: configuration, sink: Records(findings))
      self.engine = engine
      firewall = FirewallInspector(policy: policy)
      self.findings = findings
    }

    mutating func inspect(_ packet: borrowing Packet) -> Verdict {
      let before = RewritingGuestTests.digest(packet.bytes)
      _ = engine.inspect(packet)
      _ = firewall.inspect(packet)
      let after = RewritingGuestTests.digest(packet.bytes)
      findings.found.withLock {
        $0.digests.append(after)
        if before != after { $0.changes += 1 }
      }
      return .accept
    }
  }

  /// Reads what it is given, and tells which levels of the engine were reached.
  private final class Records: RecordSink {
    private let findings: Findings
    init(_ findings: Findings) { self.findings = findings }

    func write(record: RawSpan) {
      let line = unsafe record.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
      findings.found.withLock {
        if line.contains("\"packet\":"), line.contains("\"hostname\":\"example.org\"") { $0.described += 1 }
        for level in RewritingGuestTests.levels where line.contains("\"signature\":\"\(level)\"") {
          $0.alerts[level, default: 0] += 1
        }
      }
    }
  }

  /// What looks at a frame, each with a rule that has its name.
  private static let levels = ["decode", "stream", "application", "pcre"]
  private static let rules = """
    alert ip any any -> any any (msg:"decode"; ttl:64; sid:1;)
    alert tcp any any -> any any (msg:"stream"; flow:to_server,only_stream; content:"GET"; sid:2;)
    alert http any any -> any any (msg:"application"; http.uri; content:"/a"; sid:3;)
    alert ip any any -> any any (msg:"pcre"; pcre:"/[a-f]{3}x/"; sid:4;)
    """
  private static let policy = """
    table inet t {
      chain c {
        type filter hook forward priority 0; policy accept;
        ct state established accept
        tcp dport 80 counter accept
      }
    }
    """

  /// FNV-1a.
  private static func digest(_ bytes: RawSpan) -> UInt64 {
    var value: UInt64 = 0xCBF2_9CE4_8422_2325
    for index in 0..<bytes.byteCount {
      let byte = unsafe bytes.unsafeLoad(fromUncheckedByteOffset: index, as: UInt8.self)
      value = (value ^ UInt64(byte)) &* 0x100_0000_01B3
    }
    return value
  }

  /// A request of a connection, with headers that a change makes nonsense of.
  private static func frame() -> [UInt8] {
    let cookies = String(repeating: "k=v; ", count: 200)
    let text = Array("GET /abcx HTTP/1.1\r\nHost: example.org\r\nCookie: \(cookies)\r\n\r\n".utf8)
    let length = 40 + text.count
    return [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]
      + [0x45, 0, UInt8(length >> 8), UInt8(length & 255), 0, 1, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1]
      + [0x9C, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xFF, 0xFF, 0, 0, 0, 0] + text
  }

  @Test(arguments: [PacketProtection.copyToDPIMemory, .inPlace])
  func `A frame is rewritten while it is inspected`(protection: PacketProtection) throws {
    let seconds = ProcessInfo.processInfo.environment["ALLY_HOSTILE_SECONDS"].flatMap(Double.init) ?? 2
    let findings = Findings()
    let bench = try GuestBench([.e1000], protection: protection) {
      do { return try Engines(findings) } catch { fatalError("\(error)") }
    }
    let guest = try BenchGuest(bench, 0)
    try guest.bringUp()
    let frame = Self.frame()
    guest.fill(BenchGuest.transmitBuffer, frame)

    // Another core of the guest: it changes headers and payload, and puts them right again.
    let flag = Flag()
    let writerEnded = DispatchSemaphore(value: 0)
    // The guest outlives the thread, which only stores into its memory.
    nonisolated(unsafe) let writer = guest
    Thread.detachNewThread {
      var random = SeededGenerator(seed: 7)
      while !flag.isSet {
        let place = random.next() & 1 == 0 ? Int(random.next() % 60) : Int(random.next() % UInt64(frame.count))
        // The connection's port is the sender's.
        if place == 34 || place == 35 { continue }
        unsafe writer.memory.storeBytes(
          of: UInt8(truncatingIfNeeded: random.next()), toByteOffset: Int(BenchGuest.transmitBuffer) + place,
          as: UInt8.self)
        unsafe writer.memory.storeBytes(
          of: frame[place], toByteOffset: Int(BenchGuest.transmitBuffer) + place, as: UInt8.self)
      }
      writerEnded.signal()
    }
    var sent: [UInt64] = []
    let end = Date().addingTimeInterval(seconds)
    repeat {
      // A connection of its own each time, or its data would be known and looked at no more.
      let port = UInt16(1024 + sent.count % 60_000)
      guest.fill(BenchGuest.transmitBuffer + 34, [UInt8(port >> 8), UInt8(truncatingIfNeeded: port)])
      let arrived = try #require(try guest.sendBuffer(count: frame.count))
      // Bytes of initialized integers.
      sent.append(unsafe Self.digest(arrived.span.bytes))
    } while Date() < end
    flag.set()
    writerEnded.wait()
    #expect(bench.end() == nil)
    let found = findings.found.withLock { $0 }
    #expect(found.digests.count == sent.count)
    for level in Self.levels { #expect(found.alerts[level, default: 0] > 0, "\(level) has seen no frame") }
    #expect(found.described > 0, "no record has the frame and its request")
    switch protection {
    case .copyToDPIMemory:
      #expect(found.changes == 0)
      #expect(found.digests == sent)
    default:
      // Otherwise nothing was tried.
      #expect(found.changes > 0)
    }
  }

  private final class Flag: Sendable {
    private let value = Atomic(false)
    var isSet: Bool { value.load(ordering: .relaxed) }
    func set() { value.store(true, ordering: .relaxed) }
  }
}
