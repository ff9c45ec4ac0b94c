import CAllyLinux
import Foundation
import Synchronization
import Testing

@testable import AllyHost

/// A guest whose worker dies at a step, and which notices nothing.
@Suite(.serialized) struct KeptGuestTests {
  static let steps: [(GuestBenchKind, DeathPoint, Int)] = GuestBenchKind.allCases.flatMap { kind in
    DeathPoint.allCases.flatMap { point in [0, 1, 7].map { (kind, point, $0) } }
  }

  /// An IPv4 packet of a length of its own, as a frame: headers say how long it is.
  private func frame(_ number: Int, _ tag: UInt8) -> [UInt8] {
    let length = 60 + 97 * number % 1300
    var bytes = [UInt8](repeating: UInt8(number & 0xFF), count: length)
    bytes.replaceSubrange(0..<16, with: [0x52, 0x54, 0, 0, 0, 1, 2, 0, 0, 0, 0, tag, 8, 0, 0x45, 0])
    bytes[16] = UInt8((length - 14) >> 8)
    bytes[17] = UInt8((length - 14) & 0xFF)
    bytes[20] = UInt8(number)
    return bytes
  }

  @Test(arguments: steps)
  func `A worker dies at a step, and no frame is lost`(
    kind: GuestBenchKind, point: DeathPoint, skipped: Int
  ) throws {
    try exchangeFrames(try KeptBench(kind, workers: 2), kind, point, skipped)
  }

  /// Another executable's first worker has to go on from wherever the last one of the one before has ended.
  @Test(arguments: steps)
  func `Another executable takes over at a step, and no frame is lost`(
    kind: GuestBenchKind, point: DeathPoint, skipped: Int
  ) throws {
    try exchangeFrames(try KeptBench(kind, workers: 2, areUpgrades: true), kind, point, skipped)
  }

  private func exchangeFrames(_ bench: KeptBench, _ kind: GuestBenchKind, _ point: DeathPoint, _ skipped: Int) throws {
    defer { bench.end() }
    let guest = try BenchGuest(kind, socket: bench.client, cable: bench.cable, cableServer: bench.cableServer)
    let interrupt = try guest.listen()
    try guest.bringUp()
    try guest.enableInterrupts()
    bench.arm(point, after: skipped)
    for number in 0..<12 {
      // Each way twice, so that one is at work while the other waits.
      let there = frame(2 * number, 1)
      let back = frame(2 * number + 1, 2)
      #expect(guest.offer(back), "the cable takes frame \(number)")
      // A frame whose sending had no end goes out a second time.
      var sent = try guest.send(there)
      if number > 0, sent == frame(2 * number - 2, 1) { sent = guest.farEnd(milliseconds: 20_000) }
      #expect(sent == there, "frame \(number) reaches the far end")
      #expect(try guest.awaitInterrupt(interrupt) != 0, "the guest is interrupted for frame \(number)")
      #expect(try guest.receive() == back, "frame \(number) reaches the guest")
    }
    #expect(bench.died == 1, "a worker died")
    #expect(bench.counter.frames.load(ordering: .relaxed) <= 2 * 12 + 2, "at most a frame each way is inspected twice")
  }
}

extension BenchGuest {
  /// Has the pin interrupt through a descriptor, and returns where it can be heard: a pipe, which takes what an event
  /// descriptor does.
  func listen() throws -> Int32 {
    var ends: [Int32] = [-1, -1]
    #expect(unsafe pipe(&ends) == 0)
    // Trigger by event descriptor, the pin, the first, one.
    _ = try request(8, bytes(20, 0x24, 0, 0, 1), descriptors: [ends[1]])
    close(ends[1])
    return ends[0]
  }

  /// IMS, and ICR.
  private var interruptRegisters: (mask: UInt32, cause: UInt32) { kind == .igb ? (0x1508, 0x1500) : (0xD0, 0xC0) }

  func enableInterrupts() throws { try write(interruptRegisters.mask, 0x0080_0097) }

  /// Waits for an interrupt that has a cause, as a driver does: looks at the causes, which takes them away, and lets the pin
  /// interrupt again. Some of a successor have none.
  ///
  /// - Returns: the causes; 0 when no interrupt comes in time.
  func awaitInterrupt(_ descriptor: Int32) throws -> UInt32 {
    for _ in 0..<20 {
      guard awaitInput(descriptor, milliseconds: 20_000) else { return 0 }
      var events = [UInt64](repeating: 0, count: 64)
      _ = unsafe Glibc.read(descriptor, &events, 8 * events.count)
      let causes = try self.read(interruptRegisters.cause)
      // Unmask the pin.
      _ = try request(8, bytes(20, 0x11, 0, 0, 1))
      if causes != 0 { return causes }
    }
    return 0
  }
}
