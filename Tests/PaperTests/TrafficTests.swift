import AllyDeviceModels
import AllyHW
import AllyPacket
import AllyRings
import AllySimulator
import Testing

/// Much traffic, both ways at once: in order, none lost, none doubled.
@Suite struct TrafficTests {
  private static func machine(_ protection: PacketProtection) throws -> E1000Machine {
    let copies: UInt64 = protection == .copyToDPIMemory ? 2 << 20 : 0
    var machine = try E1000Machine.e1000(
      layout: MachineLayout(limits: RingLimits(copyMemory: copies), protection: protection), receiveDescriptors: 128,
      transmitDescriptors: 64)
    machine.bootOS()
    return machine
  }

  /// Sends and receives the frames of `numbers`, and returns what came out on either side.
  private static func traffic(
    _ numbers: Range<Int>, on machine: inout E1000Machine, inspecting inspector: inout ScriptedNumbers
  ) throws -> (delivered: [[UInt8]], arrived: [[UInt8]]) {
    var delivered: [[UInt8]] = []
    var arrived: [[UInt8]] = []
    for number in numbers {
      let frame = frame(number)
      try machine.put(frame, ordinal: number + 1)
      while unsafe !machine.send(frame.span.bytes, doorbell: number % 3 == 0) {
        machine.osDriver.ringDoorbell(on: &machine.hardware)
        machine.run(inspecting: &inspector) { delivered.append($0.array) }
        arrived += machine.takeSent()
      }
      if number % 97 == 0 {
        machine.run(inspecting: &inspector, batch: 1 + number % 64) { delivered.append($0.array) }
        arrived += machine.takeSent()
      }
    }
    machine.osDriver.ringDoorbell(on: &machine.hardware)
    machine.run(inspecting: &inspector) { delivered.append($0.array) }
    arrived += machine.takeSent()
    return (delivered, arrived)
  }

  private static func frame(_ number: Int) -> [UInt8] { Frames.numbered(number, length: 60 + number * 7919 % 1455) }

  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory], [false, true])
  func tenThousandFramesEachWay(protection: PacketProtection, drops: Bool) throws {
    var machine = try Self.machine(protection)
    var inspector = ScriptedNumbers(dropsTenth: drops)
    let (delivered, arrived) = try Self.traffic(0..<10_000, on: &machine, inspecting: &inspector)
    let expected = (0..<10_000).filter { !drops || $0 % 10 != 3 }.map(Self.frame)
    #expect(delivered == expected)
    #expect(arrived == expected)
    #expect(inspector.count == 20_000)
    #expect(machine.osDriver.unfinishedTransmissions == 0)
    #expect(machine.hardware.northbridge.iommu.faults.total == 0)
  }

  /// The OS resets the NIC with frames under way. What was complete stays so, what was under way may be lost, and afterwards
  /// all is exact again.
  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory])
  func aResetInTheMiddleLosesOnlyWhatWasUnderWay(protection: PacketProtection) throws {
    var machine = try Self.machine(protection)
    var inspector = ScriptedNumbers(dropsTenth: false)
    let before = try Self.traffic(0..<1000, on: &machine, inspecting: &inspector)
    #expect(before.delivered == (0..<1000).map(Self.frame))
    #expect(before.arrived == (0..<1000).map(Self.frame))
    for number in 1000..<1040 {
      try machine.put(Self.frame(number), ordinal: number + 1)
      let isTaken = unsafe machine.send(Self.frame(number).span.bytes)
      #expect(isTaken)
    }
    // Some of them get as far as the NIC, some to the OS queue; then the driver starts anew.
    machine.runNIC(frames: 20)
    machine.passDPI(inspecting: &inspector)
    machine.runNIC(frames: 7)
    machine.bootOS()
    machine.hardware.wire.completed.removeAll()
    var late: [[UInt8]] = []
    machine.run(inspecting: &inspector) { late.append($0.array) }
    let lateSent = machine.takeSent()
    let underWay = (1000..<1040).map(Self.frame)
    for frames in [late, lateSent] {
      #expect(Set(frames).isSubset(of: Set(underWay)) && Set(frames).count == frames.count, "none twice, none strange")
      #expect(frames == underWay.filter { frames.contains($0) }, "in order")
    }
    let after = try Self.traffic(2000..<3000, on: &machine, inspecting: &inspector)
    #expect(after.delivered == (2000..<3000).map(Self.frame))
    #expect(after.arrived == (2000..<3000).map(Self.frame))
  }
}

/// Drops a tenth of the frames, by their number, or none.
private struct ScriptedNumbers: PacketInspector {
  let dropsTenth: Bool
  var count = 0

  init(dropsTenth: Bool) { self.dropsTenth = dropsTenth }

  mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    count += 1
    let number = (14..<18).reduce(0) { $0 << 8 | Int(packet.bytes.byte(at: $1)) }
    return dropsTenth && number % 10 == 3 ? .drop : .accept
  }
}
