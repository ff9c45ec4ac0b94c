import AllyAppliance
import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import AllySimulator
import Testing

/// Paper §3: the OS is the attacker. Whatever it writes into registers and rings, the DPI core's work is bounded, the
/// fault is counted, and no byte of DPI memory and no uninspected frame gets out.
@Suite struct HostileOSTests {
  private static func hardware(_ protection: PacketProtection = .inPlace) throws -> E1000Hardware {
    let limits = RingLimits(copyMemory: protection == .inPlace ? 0 : 1 << 20)
    return try E1000Hardware(
      layout: MachineLayout(limits: limits, protection: protection),
      model: E1000Model(requester: MachineLayout.nic, macAddress: [0x52, 0x54, 0, 0x12, 0x34, 0x56]))
  }

  /// All turns that anything could take: more than any ring has slots.
  private static func settle(_ hardware: inout E1000Hardware, _ inspector: inout ScriptedInspector) {
    for _ in 0..<16 {
      hardware.runNIC(frames: 64)
      hardware.passDPI(inspecting: &inspector)
    }
  }

  /// After an attack the OS may set its rings up properly, and everything works.
  private static func expectRecovery(_ hardware: inout E1000Hardware) throws {
    var inspector = ScriptedInspector()
    hardware.writeRegister(QueueRegister.receiveControl, 0)
    settle(&hardware, &inspector)
    HandDrivenOS.start(&hardware, count: 8)
    HandDrivenOS.post(&hardware, slots: 0..<3)
    settle(&hardware, &inspector)
    inspector.seen.removeAll()
    hardware.wire.completed.removeAll()
    try hardware.put(Frames.numbered(77), ordinal: 77)
    settle(&hardware, &inspector)
    #expect(inspector.seen.map(\.bytes) == [Frames.numbered(77)])
    #expect(hardware.bytes(at: HandDrivenOS.buffer(0), count: 64) == Frames.numbered(77))
  }

  @Test(arguments: [UInt32(8), 9, 4095, 65_535, .max])
  func aTailOutsideTheRingIsAFault(tail: UInt32) throws {
    var hardware = try Self.hardware()
    var inspector = ScriptedInspector()
    HandDrivenOS.start(&hardware, count: 8)
    HandDrivenOS.post(&hardware, slots: 0..<3)
    hardware.writeRegister(QueueRegister.receiveTail, tail)
    Self.settle(&hardware, &inspector)
    #expect(hardware.dpi.virtualizer[0].receive.state.counters.faults[.tailOutOfRange] > 0)
    try Self.expectRecovery(&hardware)
  }

  @Test(arguments: [UInt32(0), 16, 64, 127, 0xFFFF_FF80, .max])
  func aRingOfImpossibleLengthIsNotServed(length: UInt32) throws {
    var hardware = try Self.hardware()
    var inspector = ScriptedInspector()
    hardware.writeRegister(QueueRegister.receiveBaseLow, UInt32(HandDrivenOS.ring.rawValue))
    hardware.writeRegister(QueueRegister.receiveLength, length)
    hardware.writeRegister(QueueRegister.receiveTail, 4)
    hardware.writeRegister(QueueRegister.receiveControl, 1 << 1 | 1 << 3)
    try hardware.put(Frames.numbered(1), ordinal: 1)
    Self.settle(&hardware, &inspector)
    #expect(!hardware.dpi.virtualizer[0].receive.state.isRunning)
    #expect(inspector.seen.isEmpty)
    while hardware.wire.toNIC.count > 0 { hardware.wire.toNIC.removeFirst() }
    try Self.expectRecovery(&hardware)
  }

  @Test func aRingInDPIMemoryIsNotServed() throws {
    var hardware = try Self.hardware()
    var inspector = ScriptedInspector()
    let secret = hardware.os.core.mmu.partition.boundary
    let before = hardware.northbridge.memory.load(UInt64.self, at: secret)
    hardware.writeRegister(QueueRegister.receiveBaseLow, UInt32(truncatingIfNeeded: secret.rawValue))
    hardware.writeRegister(QueueRegister.receiveLength, 128)
    hardware.writeRegister(QueueRegister.receiveTail, 4)
    hardware.writeRegister(QueueRegister.receiveControl, 1 << 1 | 1 << 3)
    Self.settle(&hardware, &inspector)
    #expect(hardware.dpi.virtualizer[0].receive.state.counters.faults[.queueInDPIMemory] > 0)
    #expect(!hardware.dpi.virtualizer[0].receive.state.isRunning)
    let after = hardware.northbridge.memory.load(UInt64.self, at: secret)
    #expect(after == before)
  }

  @Test func aRingWhereNoMemoryIsIsNotServed() throws {
    var hardware = try Self.hardware()
    var inspector = ScriptedInspector()
    hardware.writeRegister(QueueRegister.receiveBaseHigh, 0x7FFF_FFFF)
    hardware.writeRegister(QueueRegister.receiveLength, 128)
    hardware.writeRegister(QueueRegister.receiveTail, 4)
    hardware.writeRegister(QueueRegister.receiveControl, 1 << 1 | 1 << 3)
    Self.settle(&hardware, &inspector)
    #expect(hardware.dpi.virtualizer[0].receive.state.counters.faults[.queueAbsent] > 0)
    try Self.expectRecovery(&hardware)
  }

  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory])
  func aReceiveBufferInDPIMemoryIsNeverWritten(protection: PacketProtection) throws {
    var hardware = try Self.hardware(protection)
    var inspector = ScriptedInspector()
    HandDrivenOS.start(&hardware, count: 8)
    let secret = hardware.os.core.mmu.partition.boundary
    let before = Self.snapshot(hardware.northbridge.memory, at: secret, words: 512)
    hardware.store(secret.rawValue, at: HandDrivenOS.descriptor(0))
    hardware.store(0, at: HandDrivenOS.descriptor(0).advanced(by: 8))
    // A buffer that begins in OS memory and reaches over the boundary.
    hardware.store(secret.rawValue - 64, at: HandDrivenOS.descriptor(1))
    hardware.store(0, at: HandDrivenOS.descriptor(1).advanced(by: 8))
    hardware.writeRegister(QueueRegister.receiveTail, 2)
    for number in 1...2 { try hardware.put(Frames.numbered(number, length: 1000), ordinal: number) }
    Self.settle(&hardware, &inspector)
    let after = Self.snapshot(hardware.northbridge.memory, at: secret, words: 512)
    // The Remapping Table, first in DPI memory, is as it was.
    let isUntouched = after == before
    #expect(isUntouched)
    #expect(hardware.dpi.virtualizer[0].receive.state.counters.faults[.bufferInDPIMemory] > 0)
  }

  @Test func aReceiveBufferOutsideMemoryIsAFault() throws {
    var hardware = try Self.hardware()
    var inspector = ScriptedInspector()
    HandDrivenOS.start(&hardware, count: 8)
    for (slot, address) in [UInt64(0x7FFF_FFFF_0000), .max - 100, .max].enumerated() {
      hardware.store(address, at: HandDrivenOS.descriptor(slot))
      hardware.store(0, at: HandDrivenOS.descriptor(slot).advanced(by: 8))
    }
    hardware.writeRegister(QueueRegister.receiveTail, 3)
    for number in 1...3 { try hardware.put(Frames.numbered(number), ordinal: number) }
    Self.settle(&hardware, &inspector)
    #expect(hardware.dpi.virtualizer[0].receive.state.counters.faults.total == 3)
    #expect(hardware.dpi.virtualizer[0].receive.state.counters.faults[.bufferAbsent] > 0)
  }

  @Test func aTransmitBufferInDPIMemoryNeverReachesTheWire() throws {
    var hardware = try Self.hardware()
    var inspector = ScriptedInspector()
    let secret = hardware.os.core.mmu.partition.boundary
    hardware.writeRegister(QueueRegister.transmitBaseLow, UInt32(HandDrivenOS.ring.rawValue))
    hardware.writeRegister(QueueRegister.transmitLength, 128)
    hardware.writeRegister(QueueRegister.transmitControl, 1 << 1 | 1 << 3)
    for (slot, address) in [secret.rawValue, secret.rawValue - 32, 0x7FFF_FFFF_0000].enumerated() {
      hardware.store(address, at: HandDrivenOS.descriptor(slot))
      // 64 bytes; EOP, IFCS, RS.
      hardware.store(64 | 0x0B << 24, at: HandDrivenOS.descriptor(slot).advanced(by: 8))
    }
    hardware.writeRegister(QueueRegister.transmitTail, 3)
    Self.settle(&hardware, &inspector)
    #expect(hardware.wire.fromNIC.count == 0)
    #expect(inspector.seen.isEmpty)
    let faults = hardware.dpi.virtualizer[0].transmit.state.counters.faults
    #expect(faults[.bufferInDPIMemory] == 2)
    #expect(faults[.bufferAbsent] == 1)
  }

  @Test func anEndlessChainWithoutEndOfPacketIsBounded() throws {
    var hardware = try Self.hardware()
    var inspector = ScriptedInspector()
    hardware.writeRegister(QueueRegister.transmitBaseLow, UInt32(HandDrivenOS.ring.rawValue))
    hardware.writeRegister(QueueRegister.transmitLength, 128)
    hardware.writeRegister(QueueRegister.transmitControl, 1 << 1 | 1 << 3)
    for slot in 0..<8 {
      hardware.store(HandDrivenOS.buffer(slot).rawValue, at: HandDrivenOS.descriptor(slot))
      // No EOP; IFCS, RS.
      hardware.store(1000 | 0x0A << 24, at: HandDrivenOS.descriptor(slot).advanced(by: 8))
    }
    for round in UInt32(1)...400 {
      hardware.writeRegister(QueueRegister.transmitTail, round % 8)
      Self.settle(&hardware, &inspector)
      for slot in 0..<8 {
        hardware.store(1000 | 0x0A << 24, at: HandDrivenOS.descriptor(slot).advanced(by: 8))
      }
    }
    #expect(hardware.wire.fromNIC.count == 0)
    #expect(inspector.seen.isEmpty)
    #expect(hardware.dpi.virtualizer[0].transmit.state.counters.faults.total > 0)
  }

  @Test func aDescriptorChangedAfterPostingChangesNothing() throws {
    var hardware = try Self.hardware()
    var inspector = ScriptedInspector()
    HandDrivenOS.start(&hardware, count: 8)
    HandDrivenOS.post(&hardware, slots: 0..<1)
    hardware.passDPI(inspecting: &inspector)
    let partition = hardware.os.core.mmu.partition
    // The DPI core has loaded the descriptor; the OS now points it into DPI memory.
    hardware.store(partition.boundary.rawValue, at: HandDrivenOS.descriptor(0))
    let before = Self.snapshot(hardware.northbridge.memory, at: partition.boundary, words: 512)
    try hardware.put(Frames.numbered(1), ordinal: 1)
    Self.settle(&hardware, &inspector)
    let after = Self.snapshot(hardware.northbridge.memory, at: partition.boundary, words: 512)
    let isUntouched = after == before
    #expect(isUntouched)
    #expect(inspector.seen.map(\.bytes) == [Frames.numbered(1)], "the frame is where the first load said")
    #expect(hardware.bytes(at: HandDrivenOS.buffer(0), count: 64) == Frames.numbered(1))
  }

  @Test func floodingTheAccessLogLosesNothing() throws {
    var hardware = try Self.hardware()
    var inspector = ScriptedInspector()
    HandDrivenOS.start(&hardware, count: 8)
    let bus = hardware.northbridge.remapping.counters.stores
    // Without the DPI core's turn between: the log fills, and the core has to wait.
    var waits = 0
    for number in 0..<1000 {
      let outcome = hardware.os.core.store(
        UInt64(number % 8), at: VirtualAddress(OSMemory.deviceMap + UInt64(QueueRegister.receiveTail)),
        width: .doubleWord, on: &hardware.northbridge, devices: &hardware.nic)
      if outcome == .waits {
        waits += 1
        hardware.takeDPIInterrupts()
      }
    }
    #expect(waits > 0)
    #expect(hardware.northbridge.remapping.counters.stores == bus + 1000 - UInt64(waits))
    Self.settle(&hardware, &inspector)
    #expect(hardware.dpi.accesses.isEmpty)
    try Self.expectRecovery(&hardware)
  }

  @Test func guessedInterruptsDoNotReachTheDPICore() throws {
    var hardware = try Self.hardware()
    for vector in UInt8(16)...255 {
      hardware.northbridge.interrupts.sendIPI(vector, from: MachineLayout.osCore, to: MachineLayout.dpiCore)
    }
    #expect(hardware.northbridge.interrupts.pending(at: MachineLayout.dpiCore) == nil)
    #expect(hardware.northbridge.interrupts.droppedInterrupts(at: MachineLayout.dpiCore) == 240)
    try Self.expectRecovery(&hardware)
  }

  /// Random registers and random descriptors: nothing traps, nothing loops, DPI memory's first pages stay as they are.
  @Test(arguments: 1...20)
  func randomRegistersAndDescriptors(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var hardware = try Self.hardware(seed % 2 == 0 ? .inPlace : .copyToDPIMemory)
    var inspector = ScriptedInspector { $0 % 5 == 0 }
    HandDrivenOS.start(&hardware, count: 8)
    let boundary = hardware.os.core.mmu.partition.boundary
    let table = Self.snapshot(hardware.northbridge.memory, at: boundary, words: 512)
    let interesting: [UInt64] = [
      0, 1, 7, 8, 15, 16, 128, 4096, boundary.rawValue, boundary.rawValue - 1, HandDrivenOS.ring.rawValue,
      HandDrivenOS.buffers.rawValue, .max, 1 << 32, 0x8000_0000,
    ]
    for step in 0..<2000 {
      switch random.next() % 4 {
      case 0:
        let registers: [UInt32] = [
          0x0000, 0x00C0, 0x00C8, 0x00D0, 0x00D8, 0x0100, 0x0400, 0x2800, 0x2804, 0x2808, 0x2810, 0x2818, 0x3800,
          0x3804,
          0x3808, 0x3810, 0x3818,
        ]
        let register = registers[Int(random.next() % UInt64(registers.count))]
        let value = random.next() % 2 == 0 ? random.next() : interesting[Int(random.next() % UInt64(interesting.count))]
        hardware.writeRegister(register, UInt32(truncatingIfNeeded: value))
      case 1:
        let place = HandDrivenOS.ring.advanced(by: random.next() % 64 * 8)
        let value = random.next() % 2 == 0 ? random.next() : interesting[Int(random.next() % UInt64(interesting.count))]
        hardware.store(value, at: place)
      case 2:
        let taken = hardware.wire.toNIC.append(
          Frames.numbered(step, length: 18 + Int(random.next() % 3000)).span,
          stamp: FrameStamp(ordinal: UInt64(step)))
        if !taken { while hardware.wire.toNIC.count > 0 { hardware.wire.toNIC.removeFirst() } }
      default:
        hardware.runNIC(frames: 16)
        hardware.passDPI(inspecting: &inspector)
        while hardware.wire.fromNIC.count > 0 { hardware.wire.fromNIC.removeFirst() }
      }
    }
    let after = Self.snapshot(hardware.northbridge.memory, at: boundary, words: 512)
    let isUntouched = after == table
    #expect(isUntouched, "seed \(seed)")
  }

  private static func snapshot(
    _ memory: borrowing PhysicalMemory, at address: PhysicalAddress, words: Int
  ) -> [UInt64?] {
    var values: [UInt64?] = []
    for index in 0..<words { values.append(memory.load(UInt64.self, at: address.advanced(by: UInt64(index) * 8))) }
    return values
  }
}

/// Deterministic random numbers (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
