import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import Foundation
import Testing

@testable import AllyHost

/// A virtio network device, as a vhost-user front end's messages meet it; no socket between. Its cable is a pair of datagram
/// sockets.
@Suite struct VhostUserDeviceTests {
  @Test func itTellsWhatItOffers() throws {
    let front = try FrontEnd()
    let features = try front.ask(1)
    // Checksums, segmentation, mergeable buffers, several queues, indirect descriptors, event index, version 1, packed rings,
    // protocol features; no address, no link state, no control queue, and no log of what is written.
    let device: [UInt64] = [0, 1, 11, 12, 13, 15, 22, 28, 29, 30, 32, 34]
    #expect(features == device.reduce(0 as UInt64) { $0 | 1 << $1 })
    let ofProtocol: [UInt64] = [0, 3, 4, 5, 9, 12, 13, 15, 16]
    let protocolFeatures = try front.ask(15)
    #expect(protocolFeatures == ofProtocol.reduce(0 as UInt64) { $0 | 1 << $1 })
    #expect(try front.ask(17) == 2)
    #expect(try front.ask(36) == 512)
  }

  @Test(arguments: [FrontEnd.Layout.split, .splitWithEvents])
  func framesGoBothWays(layout: FrontEnd.Layout) throws {
    let front = try FrontEnd()
    try front.setUp(layout)
    for number in 0..<600 {
      let frame = FrontEnd.frame(number, length: 60 + number * 13 % 1400)
      front.transmit(frame)
      front.wire(frame)
      front.work()
      #expect(front.takeFromWire() == [frame], "frame \(number) to the wire")
      #expect(front.takeReceived() == [frame], "frame \(number) to the guest")
    }
    #expect(front.inspected == 1200)
    #expect(front.isInterrupted(ring: 0) && front.isInterrupted(ring: 1))
    #expect(front.device.report.interception.receive.faults.total == 0)
  }

  /// Every change of a ring restarts all of them, and buffers that the NIC has in place would be lost.
  @Test func framesInPlaceAreRefused() throws {
    let bench = try GuestBench([], hasVirtio: true, protection: .inPlace) { AcceptAll() }
    #expect(bench.end()?.hasSuffix("expected frames to be copied") == true)
  }

  /// The front end stops rings and starts them again from what they answered: the guest's driver does not notice.
  @Test func ringsGoOnWhereTheyWere() throws {
    let front = try FrontEnd()
    try front.setUp(.splitWithEvents)
    var number = 0
    for _ in 0..<5 {
      for _ in 0..<37 {
        let frame = FrontEnd.frame(number, length: 100)
        front.transmit(frame)
        front.wire(frame)
        number += 1
        front.work()
        #expect(front.takeFromWire() == [frame] && front.takeReceived() == [frame])
      }
      // A frame that was posted and not looked at is not lost.
      let late = FrontEnd.frame(number, length: 90)
      number += 1
      front.transmit(late)
      let bases = try front.stop()
      #expect(bases[0] == UInt32(truncatingIfNeeded: front.receivedCount))
      #expect(bases[1] == UInt32(truncatingIfNeeded: number - (front.wireHas(late) ? 0 : 1)))
      try front.start(bases)
      front.work()
      #expect(front.takeFromWire() == [late])
    }
  }

  /// A client that comes back after a break tells where the guest's rings are; what it had posted is still good.
  @Test func aFrontEndThatComesBackGoesOn() throws {
    let front = try FrontEnd()
    try front.setUp(.split)
    for number in 0..<20 {
      front.wire(FrontEnd.frame(number, length: 80))
      front.work()
      #expect(front.takeReceived().count == 1)
    }
    front.device.disconnect()
    #expect(front.load(FrontEnd.base) == nil, "memory of a client that is gone")
    try front.connect(.split, bases: [UInt32(front.receivedCount), UInt32(front.transmittedCount)])
    for number in 20..<40 {
      let frame = FrontEnd.frame(number, length: 80)
      front.wire(frame)
      front.transmit(frame)
      front.work()
      #expect(front.takeReceived() == [frame] && front.takeFromWire() == [frame])
    }
  }

  /// A frame that waits for buffers gets them with the guest's next kick, which it was asked for.
  @Test func framesWaitForBuffers() throws {
    let front = try FrontEnd()
    try front.setUp(.splitWithEvents, receiveBuffers: 0)
    let frame = FrontEnd.frame(1, length: 1000)
    front.wire(frame)
    front.work()
    #expect(front.takeReceived() == [])
    #expect(front.postReceive(), "the driver has to kick")
    front.work()
    #expect(front.takeReceived() == [frame])
  }

  @Test func liveMigrationIsRefused() throws {
    let front = try FrontEnd()
    #expect(try front.ask(16, 1 << 3) == nil)
    #expect(try front.acknowledged(2, 0x1_0400_0000) == 1)
    #expect(try front.acknowledged(6, 0) == 1)
    #expect(front.device.complaints == ["live migration: the NIC's state is in this process and cannot leave it"])
  }

  @Test func whatWasNotOfferedIsRefused() throws {
    let front = try FrontEnd()
    _ = try front.ask(16, 1 << 3)
    #expect(try front.acknowledged(2, 0x1_0002_0000) == 1)
    #expect(try front.acknowledged(16, 1 << 1) == 1)
    #expect(try front.acknowledged(20, 9000) == 0)
    #expect(try front.acknowledged(20, 10) == 1)
    #expect(try front.acknowledged(77, 0) == 1)
    #expect(front.device.mtu == 9000)
    // Where an answer is due and there is none, the connection ends.
    #expect(throws: ConnectionEnd.damaged("ring 9 of 4")) { try front.send(11, bytes(9, 0)) }
  }

  @Test func memoryComesAndGoesInSlots() throws {
    let front = try FrontEnd()
    _ = try front.ask(16, 0x8008)
    let region = front.region
    #expect(try front.acknowledged(37, [0] + region, descriptors: [front.file()]) == 0)
    #expect(front.load(FrontEnd.base) == 0)
    #expect(try front.acknowledged(37, [0] + region, descriptors: [front.file()]) == 1, "twice")
    #expect(try front.acknowledged(38, [0] + region) == 0)
    #expect(front.load(FrontEnd.base) == nil)
    #expect(try front.acknowledged(38, [0] + region) == 1, "twice")
    // Beyond its file, and without one.
    #expect(try front.acknowledged(37, [0, FrontEnd.base, 64 << 20, 1 << 40, 0], descriptors: [front.file()]) == 1)
    #expect(try front.acknowledged(37, [0] + region) == 1)
  }

  /// Rings that are nowhere, and rings in memory that goes away in mid-traffic.
  @Test func ringsOutsideMemoryMoveNothing() throws {
    let front = try FrontEnd()
    try front.setUp(.split)
    front.transmit(FrontEnd.frame(1, length: 80))
    _ = try front.send(5, bytes(0, 0))
    front.work()
    #expect(front.takeFromWire() == [])
    front.wire(FrontEnd.frame(2, length: 80))
    front.work()
    #expect(try front.ask(1) != nil, "it still answers")
  }

  /// A guest that breaks the rules of virtqueues loses its queue until it is reset, and nobody else notices.
  @Test func aBrokenRingStopsAlone() throws {
    let front = try FrontEnd()
    try front.setUp(.split)
    front.breakTransmitRing()
    front.work()
    #expect(front.takeFromWire() == [])
    #expect(front.device.report.interception.transmit.faults.total > 0)
    #expect(front.isInterrupted(error: 1))
    _ = try front.stop()
    try front.setUp(.split)
    let frame = FrontEnd.frame(3, length: 80)
    front.transmit(frame)
    front.work()
    #expect(front.takeFromWire() == [frame])
  }
}
