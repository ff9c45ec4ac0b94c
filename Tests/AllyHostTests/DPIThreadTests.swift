import AllyPacket
import Foundation
import Testing

@testable import AllyHost

/// Where a DPI core runs, and how it waits.
@Suite(.serialized) struct DPIThreadTests {
  /// The processors that the calling thread may run on, as the kernel writes them.
  private static func processors() -> String {
    let status = (try? String(contentsOfFile: "/proc/thread-self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list:") }
    return line.map { String($0.dropFirst("Cpus_allowed_list:".count)).trimmingCharacters(in: .whitespaces) } ?? ""
  }

  @Test func `The thread has the processor, and its starter is where it was`() throws {
    let before = Self.processors()
    let processor = try #require(before.split(whereSeparator: { $0 == "-" || $0 == "," }).first.flatMap { Int($0) })
    var settings = CoreSettings()
    settings.processor = processor
    var steps: [String] = []
    try DPIThread.run(settings) {
      steps.append("rights: \(Self.processors())")
    } _: {
      steps.append("work: \(Self.processors())")
    }
    #expect(steps == ["rights: \(processor)", "work: \(processor)"])
    #expect(Self.processors() == before)
  }

  @Test func `What goes wrong is told, and nothing runs`() {
    var settings = CoreSettings()
    settings.processor = 1023
    var hasRun = false
    let before = Self.processors()
    #expect(throws: HostError.self) { try DPIThread.run(settings, giveUp: {}) { hasRun = true } }
    #expect(throws: HostError("no")) {
      try DPIThread.run(CoreSettings(), giveUp: { () throws(HostError) in throw HostError("no") }) { hasRun = true }
    }
    #expect(!hasRun)
    #expect(throws: HostError("later")) {
      try DPIThread.run(CoreSettings(), giveUp: {}) { () throws(HostError) in throw HostError("later") }
    }
    #expect(Self.processors() == before)
  }

  @Test(arguments: CoreWaiting.allCases)
  func `A core serves however it waits`(waiting: CoreWaiting) throws {
    let bench = try GuestBench([.e1000], waiting: waiting) { AcceptAll() }
    let guest = try BenchGuest(bench, 0)
    try guest.bringUp()
    for number in 0..<20 as Range<UInt8> {
      let frame: [UInt8] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xB5] + Array(repeating: number, count: 80)
      #expect(try guest.send(frame) == frame)
      guest.offer(frame)
      #expect(try guest.receive() == frame)
    }
    #expect(bench.end() == nil)
  }
}
