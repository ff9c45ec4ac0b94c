import AllyDeviceModels
import AllyDrivers
import AllyPacket
import AllyRings
import AllySimulator
import Testing

typealias E1000Machine = SimulatedMachine<RingVirtualizer<E1000Driver>, E1000Model, E1000OSDriver>

/// The whole path of paper §4.3, from the wire to the OS's network stack and back.
@Suite struct WireToStackTests {
  private static func layout(_ protection: PacketProtection) -> MachineLayout {
    MachineLayout(
      limits: RingLimits(copyMemory: protection == .copyToDPIMemory ? 4 << 20 : 0), protection: protection)
  }

  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory])
  func everyAcceptedFrameReachesTheStackInOrder(protection: PacketProtection) throws {
    var machine = try E1000Machine.e1000(layout: Self.layout(protection), receiveDescriptors: 32)
    machine.bootOS()
    var inspector = ScriptedInspector()
    var delivered: [[UInt8]] = []
    let sent = (1...500).map { Frames.numbered($0, length: 60 + $0 * 37 % 1400) }
    for (index, frame) in sent.enumerated() {
      try machine.put(frame, ordinal: index + 1)
      if index % 50 == 49 {
        machine.run(inspecting: &inspector) { frame in
          delivered.append(frame.array)
        }
      }
    }
    #expect(delivered == sent)
    #expect(inspector.seen.map(\.bytes) == sent)
    #expect(inspector.seen.map(\.ordinal) == Array(1...500))
    #expect(machine.osDriver.counters.receiveErrors == 0)
  }

  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory])
  func aDroppedFrameNeverReachesTheStack(protection: PacketProtection) throws {
    var machine = try E1000Machine.e1000(layout: Self.layout(protection))
    machine.bootOS()
    var inspector = ScriptedInspector { $0 % 3 == 0 }
    let sent = (1...100).map { Frames.numbered($0, length: 200) }
    let delivered = try machine.receive(sent, inspecting: &inspector)
    #expect(delivered == sent.enumerated().filter { ($0.offset + 1) % 3 != 0 }.map(\.element))
    #expect(inspector.seen.count == 100)
  }

  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory])
  func framesTheOSSendsAreInspectedAndReachTheWire(protection: PacketProtection) throws {
    var machine = try E1000Machine.e1000(layout: Self.layout(protection), transmitDescriptors: 16)
    machine.bootOS()
    machine.hardware.transmitClock.time = 7
    var inspector = ScriptedInspector { $0 % 4 == 0 }
    let sent = (1...200).map { Frames.numbered($0, length: 60 + $0 * 53 % 1400) }
    let arrived = machine.transmit(sent, inspecting: &inspector)
    #expect(inspector.seen.map(\.bytes) == sent)
    #expect(inspector.seen.allSatisfy { $0.direction == .transmit })
    #expect(arrived == sent.enumerated().filter { ($0.offset + 1) % 4 != 0 }.map(\.element))
  }

  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory])
  func aFrameLongerThanABufferIsInspectedWhole(protection: PacketProtection) throws {
    var machine = try E1000Machine.e1000(layout: Self.layout(protection), maximumFrameLength: 65_600)
    machine.bootOS()
    var inspector = ScriptedInspector { $0 == 2 }
    let sent = [2048, 16_000, 43_365, 65_535].enumerated().map { Frames.numbered($0.offset, length: $0.element) }
    let delivered = try machine.receive(sent, inspecting: &inspector)
    #expect(inspector.seen.map(\.bytes) == sent)
    #expect(delivered == [sent[0], sent[2], sent[3]])
    // In place a drop shows as one damaged frame; copying leaves no trace of it.
    #expect(machine.osDriver.counters.receiveErrors == (protection == .inPlace ? 1 : 0))
  }
}

extension SimulatedMachine where Virtualizer: ~Copyable, Model: ~Copyable, OSDriver: ~Copyable {
  /// Puts a frame on the wire.
  mutating func put(_ frame: [UInt8], ordinal: Int) throws {
    let stamp = FrameStamp(time: UInt64(ordinal), ordinal: UInt64(ordinal), lengthOnWire: UInt32(frame.count))
    let taken = offer(frame.span, stamp: stamp)
    try #require(taken, "the wire is full")
  }

  /// Puts frames on the wire, numbered from 1 on, and runs the machine after each `every` of them and at the end.
  ///
  /// - Returns: what the OS's driver delivered.
  mutating func receive<Inspector: PacketInspector & ~Copyable>(
    _ frames: [[UInt8]], every: Int = .max, inspecting inspector: inout Inspector
  ) throws -> [[UInt8]] {
    var delivered: [[UInt8]] = []
    for (index, frame) in frames.enumerated() {
      try put(frame, ordinal: index + 1)
      if index % every == every - 1 || index == frames.count - 1 {
        run(inspecting: &inspector) { delivered.append($0.array) }
      }
    }
    return delivered
  }

  /// Has the OS send frames, and runs the machine whenever the OS's queue is full and at the end.
  ///
  /// - Returns: what reached the other end of the wire.
  mutating func transmit<Inspector: PacketInspector & ~Copyable>(
    _ frames: [[UInt8]], inspecting inspector: inout Inspector
  ) -> [[UInt8]] {
    var arrived: [[UInt8]] = []
    for frame in frames {
      while unsafe !send(frame.span.bytes) {
        run(inspecting: &inspector) { _ in }
        arrived += takeSent()
      }
    }
    run(inspecting: &inspector) { _ in }
    return arrived + takeSent()
  }

  /// Takes the frames that reached the other end of the wire.
  mutating func takeSent() -> [[UInt8]] {
    var frames: [[UInt8]] = []
    while let frame = hardware.wire.fromNIC.withFirst({ bytes, _ in
      (0..<bytes.count).map { bytes[$0] }
    }) {
      frames.append(frame)
      hardware.wire.fromNIC.removeFirst()
    }
    return frames
  }
}
