import AllyAppliance
import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import AllySimulator
import Testing

/// Rings over their life: of every size, with jumbo frames, disabled, moved and reset in the middle of traffic, on each family.
@Suite struct RingLifeTests {
  private static let protections: [PacketProtection] = [.inPlace, .copyToDPIMemory]

  private static func layout(_ protection: PacketProtection) -> MachineLayout {
    MachineLayout(
      osMemory: 64 << 20,
      limits: RingLimits(copyMemory: protection == .copyToDPIMemory ? 4 << 20 : 0), protection: protection)
  }

  // MARK: - Sizes

  /// Descriptors that a ring may have: multiples of eight, of which the length register counts 128 bytes each.
  static let sizes: [UInt32] = [8, 16, 24, 40, 120, 256, 1000, 2048, 4096]

  @Test(arguments: sizes, protections)
  func anE1000WithRingsOfEverySize(size: UInt32, protection: PacketProtection) throws {
    var machine = try E1000Machine.e1000(
      layout: Self.layout(protection), receiveDescriptors: size, transmitDescriptors: size)
    try turnAround(&machine, frames: Int(size) * 2 + 10)
  }

  @Test(arguments: sizes, protections)
  func anE1000EWithRingsOfEverySize(size: UInt32, protection: PacketProtection) throws {
    var machine = try E1000EMachine.e1000e(
      layout: Self.layout(protection), receiveDescriptors: size, transmitDescriptors: size)
    try turnAround(&machine, frames: Int(size) * 2 + 10)
  }

  @Test(arguments: sizes, protections)
  func anIGBWithRingsOfEverySize(size: UInt32, protection: PacketProtection) throws {
    var machine = try IGBMachine.igb(
      layout: Self.layout(protection), queues: 1, receiveDescriptors: size, transmitDescriptors: size)
    try turnAround(&machine, frames: Int(size) * 2 + 10)
  }

  /// A ring that is longer than the appliance's limit is not served, and says so; a shorter one afterwards is.
  @Test func aRingAboveTheLimit() throws {
    var machine = try E1000Machine.e1000(
      layout: MachineLayout(limits: RingLimits(maximumDescriptors: 64)), receiveDescriptors: 128,
      transmitDescriptors: 64)
    machine.bootOS()
    let counters = machine.hardware.dpi.virtualizer.counters(queue: 0).receive
    #expect(counters.faults[.queueLength] > 0)
    #expect(!machine.hardware.dpi.virtualizer[0].receive.state.isRunning)
    machine.hardware.writeRegister(0x0100, 0)
    machine.hardware.writeRegister(0x2808, 64 * 16)
    machine.hardware.writeRegister(0x0100, 2)
    #expect(machine.hardware.dpi.virtualizer[0].receive.state.isRunning)
  }

  // MARK: - Jumbo frames

  @Test(arguments: protections)
  func anE1000WithJumboFrames(protection: PacketProtection) throws {
    var machine = try E1000Machine.e1000(
      layout: Self.layout(protection), receiveDescriptors: 64, transmitDescriptors: 64)
    try turnAround(&machine, frames: 200, longest: 9014)
    var large = try E1000Machine.e1000(
      layout: Self.layout(protection), receiveDescriptors: 64, transmitDescriptors: 64, bufferLength: 16_384)
    try turnAround(&large, frames: 200, longest: 9014)
  }

  @Test(arguments: protections)
  func anE1000EWithJumboFrames(protection: PacketProtection) throws {
    var machine = try E1000EMachine.e1000e(
      layout: Self.layout(protection), receiveDescriptors: 64, transmitDescriptors: 64)
    try turnAround(&machine, frames: 200, longest: 9014)
  }

  @Test(arguments: protections)
  func anIGBWithJumboFrames(protection: PacketProtection) throws {
    var machine = try IGBMachine.igb(
      layout: Self.layout(protection), queues: 1, receiveDescriptors: 64, transmitDescriptors: 64)
    try turnAround(&machine, frames: 200, longest: 9014)
  }

  // MARK: - Reset and disable

  @Test(arguments: protections)
  func anE1000EIsResetInMidTraffic(protection: PacketProtection) throws {
    var machine = try E1000EMachine.e1000e(
      layout: Self.layout(protection), receiveDescriptors: 64, transmitDescriptors: 64)
    try interrupt(&machine) { $0.bootOS() }
  }

  @Test(arguments: protections)
  func anIGBIsResetInMidTraffic(protection: PacketProtection) throws {
    var machine = try IGBMachine.igb(
      layout: Self.layout(protection), queues: 1, receiveDescriptors: 64, transmitDescriptors: 64)
    try interrupt(&machine) { $0.bootOS() }
  }

  @Test(arguments: protections)
  func aVirtualFunctionIsResetInMidTraffic(protection: PacketProtection) throws {
    var machine = try VirtualFunctionMachine.igbVirtualFunction(
      layout: Self.layout(protection), receiveDescriptors: 64, transmitDescriptors: 64)
    try interrupt(&machine) { $0.bootOS() }
  }

  /// Disabled by RCTL and TCTL, then reset and started again.
  @Test(arguments: protections)
  func anE1000IsDisabledInMidTraffic(protection: PacketProtection) throws {
    var machine = try E1000Machine.e1000(
      layout: Self.layout(protection), receiveDescriptors: 64, transmitDescriptors: 64)
    try interrupt(&machine) { machine in
      machine.osDriver.stop(on: &machine.hardware)
      #expect(!machine.hardware.dpi.virtualizer[0].receive.state.isRunning)
      #expect(!machine.hardware.dpi.virtualizer[0].transmit.state.isRunning)
      // What comes meanwhile waits on the wire, and nothing moves: the OS finds what had been published before, no more.
      var inspector = ScriptedInspector()
      let waiting = machine.hardware.wire.toNIC.count
      _ = machine.takeSent()
      machine.run(inspecting: &inspector) { _ in }
      #expect(inspector.seen.isEmpty)
      #expect(machine.hardware.wire.toNIC.count == waiting)
      #expect(machine.takeSent() == [])
      machine.bootOS()
    }
  }

  /// The OS moves its receive ring while frames arrive: base and length change between two tails, without a reset.
  @Test(arguments: protections, [UInt32(8), 16, 64])
  func aQueueIsMovedInMidTraffic(protection: PacketProtection, count: UInt32) throws {
    var hardware = try SimulatedHardware<RingVirtualizer<E1000Driver>, E1000Model>(
      layout: Self.layout(protection),
      model: E1000Model(requester: MachineLayout.nic, macAddress: [0x52, 0x54, 0, 0x12, 0x34, 0x56]))
    var inspector = ScriptedInspector()
    HandDrivenOS.start(&hardware, count: 8)
    HandDrivenOS.post(&hardware, slots: 0..<6)
    hardware.passDPI(inspecting: &inspector)
    for number in 1...4 { try hardware.put(Frames.numbered(number), ordinal: number) }
    hardware.runNIC(frames: 2)
    hardware.passDPI(inspecting: &inspector)
    #expect(inspector.seen.count == 2)
    // The new ring, with buffers behind it; the frames on the wire go there.
    let ring = MachineLayout.driverMemory.advanced(by: 0x40_0000)
    let buffers = ring.advanced(by: 0x1_0000)
    for slot in 0..<UInt64(count) {
      hardware.store(buffers.advanced(by: slot * 2048).rawValue, at: ring.advanced(by: slot * 16))
      hardware.store(0, at: ring.advanced(by: slot * 16 + 8))
    }
    hardware.writeRegister(0x2800, UInt32(truncatingIfNeeded: ring.rawValue))
    hardware.writeRegister(0x2808, count * 16)
    hardware.writeRegister(0x2810, 0)
    hardware.writeRegister(0x2818, count - 1)
    for _ in 0..<4 {
      hardware.runNIC(frames: 8)
      hardware.passDPI(inspecting: &inspector)
    }
    #expect(inspector.seen.map(\.bytes) == (1...4).map { Frames.numbered($0) }, "none lost, none twice")
    for (slot, number) in [(UInt64(0), 3), (1, 4)] {
      #expect(hardware.bytes(at: buffers.advanced(by: slot * 2048), count: 64) == Frames.numbered(number))
      #expect(hardware.load(ring.advanced(by: slot * 16 + 8)) >> 32 & 3 == 3)
    }
    #expect(hardware.load(ring.advanced(by: 2 * 16 + 8)) == 0)
  }

  // MARK: - Bodies

  /// Frames both ways, several turns of the rings, a tenth dropped: order, contents, and every descriptor given back.
  private func turnAround<
    Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OS: OSDriverModel & ~Copyable
  >(_ machine: inout SimulatedMachine<Virtualizer, Model, OS>, frames count: Int, longest: Int = 400) throws {
    machine.bootOS()
    var inspector = ScriptedInspector { $0 % 10 == 3 }
    let frames = (1...count).map { Frames.numbered($0, length: 60 + $0 * 7919 % (longest - 59)) }
    let (delivered, arrived) = try carry(frames, &machine, &inspector)
    let expected = frames.enumerated().filter { ($0.offset + 1) % 10 != 3 }.map(\.element)
    #expect(delivered == expected)
    #expect(arrived == expected)
    #expect(inspector.seen.count == 2 * count)
    #expect(machine.hardware.northbridge.iommu.faults.total == 0)
  }

  /// Sends and receives frames.
  private func carry<
    Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OS: OSDriverModel & ~Copyable
  >(
    _ frames: [[UInt8]], _ machine: inout SimulatedMachine<Virtualizer, Model, OS>,
    _ inspector: inout ScriptedInspector
  ) throws -> (delivered: [[UInt8]], arrived: [[UInt8]]) {
    var delivered: [[UInt8]] = []
    var arrived: [[UInt8]] = []
    for (index, frame) in frames.enumerated() {
      try machine.put(frame, ordinal: index + 1)
      while unsafe !machine.send(frame.span.bytes) {
        machine.run(inspecting: &inspector) { delivered.append($0.array) }
        arrived += machine.takeSent()
      }
      guard index % 31 == 30 else { continue }
      machine.run(inspecting: &inspector, batch: 1 + index % 7) { delivered.append($0.array) }
      arrived += machine.takeSent()
    }
    machine.run(inspecting: &inspector) { delivered.append($0.array) }
    return (delivered, arrived + machine.takeSent())
  }

  /// Something happens to the NIC with frames under way: what was complete stays so, none comes twice or out of order, and
  /// afterwards all is exact.
  private func interrupt<
    Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OS: OSDriverModel & ~Copyable
  >(
    _ machine: inout SimulatedMachine<Virtualizer, Model, OS>,
    by event: (inout SimulatedMachine<Virtualizer, Model, OS>) throws -> Void
  ) throws {
    machine.bootOS()
    var inspector = ScriptedInspector()
    for round in 0..<4 {
      let before = (1...200).map { Frames.numbered(round * 1000 + $0, length: 60 + $0 * 13 % 900) }
      let (delivered, arrived) = try carry(before, &machine, &inspector)
      #expect(delivered == before && arrived == before, "round \(round)")
      let underWay = (300..<330).map { Frames.numbered(round * 1000 + $0) }
      for (index, frame) in underWay.enumerated() {
        try machine.put(frame, ordinal: index + 1)
        let isTaken = unsafe machine.send(frame.span.bytes)
        #expect(isTaken)
      }
      // Some of them get as far as the NIC, some to the OS queue.
      machine.runNIC(frames: 5 * round)
      machine.passDPI(inspecting: &inspector)
      machine.runNIC(frames: 3)
      var late: [[UInt8]] = []
      try event(&machine)
      machine.hardware.wire.completed.removeAll()
      machine.run(inspecting: &inspector) { late.append($0.array) }
      for frames in [late, machine.takeSent()] {
        #expect(frames == underWay.filter { frames.contains($0) }, "in order, none twice, none strange")
      }
    }
  }
}
