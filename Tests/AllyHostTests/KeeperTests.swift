import AllyPacket
import CAllyLinux
import Foundation
import Testing

@testable import AllyHost

/// What a keeper keeps, and what is left of a frame and of an inspection when a worker dies.
@Suite struct KeeperTests {
  private func pair() -> (Int32, Int32) {
    var ends: [Int32] = [-1, -1]
    #expect(unsafe ally_packet_pair(&ends) == 0)
    return (ends[0], ends[1])
  }

  @Test func `Descriptors outlive the worker that had them`() throws {
    let (keeper, worker) = pair()
    var kept = KeptDescriptors()
    var pipe: [Int32] = [-1, -1]
    #expect(unsafe Glibc.pipe(&pipe) == 0)
    do {
      let channel = KeeperChannel(OwnedDescriptor(worker), inherited: [:], predecessors: 0)
      #expect(channel.keep(pipe[1], as: 64))
      #expect(channel.keep(pipe[1], as: 65))
      channel.forget(but: [64]) { $0 < 1000 }
    }
    close(pipe[1])
    // The worker's end is gone; what it said is not.
    let isThere = kept.receive(from: keeper)
    #expect(!isThere)
    #expect(Array(kept.numbers.keys) == [64])
    let (_, next) = pair()
    let successor = KeeperChannel(
      OwnedDescriptor(next), inherited: kept.numbers.mapValues { dup($0) }, predecessors: 1)
    let end = try #require(successor.take(64))
    #expect(successor.take(64) == nil && successor.take(65) == nil)
    #expect(unsafe write(end, [7] as [UInt8], 1) == 1)
    var byte: UInt8 = 0
    #expect(unsafe read(pipe[0], &byte, 1) == 1 && byte == 7)
  }

  @Test(arguments: [71, 72, 73] as [UInt64])
  func `Whatever a worker says, its keeper goes on`(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let (keeper, worker) = pair()
    var kept = KeptDescriptors()
    for round in 0..<2000 {
      var bytes = (0..<Int.random(in: 1...24, using: &random)).map { _ in UInt8.random(in: 0...3, using: &random) }
      if Bool.random(using: &random) {
        bytes = KeeperNote(kind: Bool.random(using: &random) ? .keep : .forget, key: UInt64(round % 50)).bytes
      }
      let descriptors = (0..<Int.random(in: 0...3, using: &random)).map { _ in worker }
      _ = unsafe ally_send(worker, bytes, bytes.count, 0, descriptors, descriptors.count)
      let isThere = kept.receive(from: keeper)
      #expect(isThere, "seed \(seed), round \(round)")
      #expect(kept.numbers.count <= 50, "seed \(seed), round \(round)")
    }
    for number in kept.numbers.values { close(number) }
    close(worker)
    close(keeper)
  }

  static let headers: [([UInt8], Int?)] = [
    ([8, 0, 0x45, 0, 0x01, 0x02], 14 + 0x102), ([0x86, 0xDD, 0x60, 0, 0, 0, 0, 9], 14 + 40 + 9),
    ([8, 6, 0, 1, 8, 0, 6, 4], 42), ([0x81, 0, 0, 5, 8, 0, 0x45, 0, 0, 100], 18 + 100), ([0, 38, 0x42, 0x42, 3], 52),
    ([0x88, 0xCC, 1, 2], nil), ([0xFF, 0xFF], nil),
  ]

  @Test(arguments: headers)
  func `A frame's headers say how long it is`(type: [UInt8], expected: Int?) {
    let bytes = [UInt8](repeating: 1, count: 12) + type + [UInt8](repeating: 0, count: 52 - type.count)
    #expect(FrameLength.said(by: bytes.span) == expected)
  }

  @Test func `A frame that two workers in a row die of is set aside, once`() throws {
    let page = try KeeperPage()
    let good = [UInt8](repeating: 1, count: 80)
    let bad = [UInt8](repeating: 2, count: 80)
    // Workers, and the frames that each inspected; it dies of the last.
    let inspected = [[good, bad], [good, bad], [good, bad, bad, good], [good, bad]].map { frames in
      var frame = page.frame
      frame.begin()
      return frames.enumerated().map { place, bytes in
        let packet = unsafe Packet(bytes: bytes.span.bytes, stamp: FrameStamp(), direction: .receive)
        let isInspected = frame.mayBegin(packet)
        if place < frames.count - 1 { frame.end() }
        return isInspected
      }
    }
    // The third does not look at it the first time; the fourth has a predecessor that died of something else.
    #expect(inspected == [[true, true], [true, true], [true, false, true, true], [true, true]])
    #expect(page.setAside == 1)
  }
}
