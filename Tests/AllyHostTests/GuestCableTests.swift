import AllyDeviceModels
import Glibc
import Testing

@testable import AllyHost

/// A cable between two guests: what one NIC sends the other gets, in order, and a full cable holds the sender up for a while.
@Suite struct GuestCableTests {
  private static func frame(_ number: Int, length: Int) -> [UInt8] {
    (0..<length).map { UInt8(truncatingIfNeeded: number &* 31 &+ $0) }
  }

  private func takeAll(_ end: inout UplinkWire) -> [[UInt8]] {
    var found: [[UInt8]] = []
    end.clock.readTime()
    while let answer = end.receive({ span in
      found.append(span.indices.map { span[$0] })
      return .completed
    }), answer != .mustWait {}
    return found
  }

  @Test func framesCrossInOrderAndNoneIsLost() throws {
    var waiting: Uplink?
    var one = try UplinkWire(try .guest(&waiting))
    var other = try UplinkWire(try .guest(&waiting))
    let isTakenUp = waiting == nil
    #expect(isTakenUp)
    var sent = 0
    var arrived = 0
    while sent < 2000 {
      one.clock.readTime()
      // As a NIC does that cuts 64 KiB: room is asked for once.
      while sent < 2000, one.hasRoom(forFrameOf: Uplink.longestFrame) {
        for _ in 0..<46 {
          let isTaken = one.transmit(Self.frame(sent, length: 60 + sent % 1455).span)
          #expect(isTaken, "frame \(sent)")
          sent += 1
        }
      }
      let isHeldUp = one.isHeldUp
      #expect(sent >= 2000 || isHeldUp)
      for frame in takeAll(&other) {
        #expect(frame == Self.frame(arrived, length: 60 + arrived % 1455), "frame \(arrived)")
        arrived += 1
      }
    }
    arrived += takeAll(&other).count
    #expect(arrived == sent)
    let traffic = one.traffic
    #expect(traffic.refused == 0 && traffic.sent == UInt64(sent))
    // And the other way.
    let isTaken = other.transmit(Self.frame(7, length: 1514).span)
    #expect(isTaken)
    let back = takeAll(&one)
    #expect(back == [Self.frame(7, length: 1514)])
  }

  @Test func whatTakesNothingLosesFramesAndHoldsNobodyUpForLong() throws {
    var waiting: Uplink?
    var one = try UplinkWire(try .guest(&waiting))
    while one.hasRoom(forFrameOf: 1514) { _ = one.transmit(Self.frame(1, length: 1514).span) }
    let isHeldUp = one.isHeldUp
    #expect(isHeldUp)
    // Longer than a full cable holds anybody up; the wire reads the real clock.
    usleep(UInt32(2 * UplinkWire.longestHold / 1000))
    one.clock.readTime()
    let isHeldUpStill = one.isHeldUp
    let goesOn = one.hasRoom(forFrameOf: 1514)
    #expect(!isHeldUpStill && goesOn, "sending goes on, and frames are lost")
    while one.transmit(Self.frame(1, length: 1514).span) {}
    let traffic = one.traffic
    #expect(traffic.refused == 1)
    // There is room again.
    var other = try UplinkWire(try .guest(&waiting))
    let found = takeAll(&other)
    #expect(found.count == Int(traffic.sent))
    let hasRoom = one.hasRoom(forFrameOf: 1514)
    #expect(hasRoom)
  }
}
