import AllyAppliance
import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import AllySimulator
import Testing

/// Interrupts on a whole machine, as the OS sees them: masks, causes that clear when they are read, masks that set themselves,
/// moderation, and the three ways by which a PCI function interrupts.
@Suite struct InterruptTests {
  private typealias E1000EMachine = SimulatedMachine<RingVirtualizer<E1000EDriver>, E1000EModel, E1000EOSDriver>
  private typealias IGBMachine = SimulatedMachine<RingVirtualizer<IGBDriver>, IGBModel, IGBOSDriver>

  private static func pending<
    Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OS: OSDriverModel & ~Copyable
  >(_ machine: borrowing SimulatedMachine<Virtualizer, Model, OS>) -> UInt8? {
    machine.hardware.northbridge.interrupts.pending(at: MachineLayout.osCore)
  }

  /// A frame goes from the wire to the OS queue.
  private static func publish<
    Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OS: OSDriverModel & ~Copyable
  >(_ number: Int, _ machine: inout SimulatedMachine<Virtualizer, Model, OS>) throws {
    var inspector = ScriptedInspector()
    try machine.put(Frames.numbered(number), ordinal: number)
    machine.runNIC(frames: 1)
    machine.passDPI(inspecting: &inspector)
  }

  /// The OS core takes what is pending without touching the NIC.
  private static func acknowledge<
    Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OS: OSDriverModel & ~Copyable
  >(_ machine: inout SimulatedMachine<Virtualizer, Model, OS>) {
    while machine.hardware.northbridge.interrupts.acknowledge(at: MachineLayout.osCore) != nil {
      machine.hardware.northbridge.interrupts.endInterrupt(at: MachineLayout.osCore)
    }
  }

  // MARK: - The pin of an 82540EM

  @Test func masksAndCausesOfThePin() throws {
    var machine = try E1000Machine.e1000()
    machine.bootOS()
    var inspector = ScriptedInspector()
    machine.run(inspecting: &inspector) { _ in }
    // Masked: the cause is there, the pin is not.
    machine.hardware.writeRegister(0xD8, .max)
    try Self.publish(1, &machine)
    #expect(Self.pending(machine) == nil)
    #expect(machine.hardware.readRegister(0xD0) == 0)
    // Unmasked: at once. Reading the mask register tells what is let in.
    machine.hardware.writeRegister(0xD0, 0x80)
    #expect(machine.hardware.readRegister(0xD0) == 0x80)
    #expect(Self.pending(machine) == MachineLayout.osVector)
    // Level-triggered: unread causes interrupt again after the end of the interrupt.
    let taken = machine.hardware.northbridge.interrupts.acknowledge(at: MachineLayout.osCore)
    #expect(taken == MachineLayout.osVector)
    machine.hardware.northbridge.interrupts.endInterrupt(at: MachineLayout.osCore)
    #expect(Self.pending(machine) == MachineLayout.osVector)
    // The read takes the causes, the second finds none, and the pin is low.
    #expect(machine.hardware.readRegister(0xC0) & 0x80 != 0)
    #expect(machine.hardware.readRegister(0xC0) == 0)
    Self.acknowledge(&machine)
    #expect(Self.pending(machine) == nil)
    // Software may raise a cause, and clear it by writing ones.
    machine.hardware.writeRegister(0xC8, 0x80)
    #expect(Self.pending(machine) == MachineLayout.osVector)
    machine.hardware.writeRegister(0xC0, 0x80)
    Self.acknowledge(&machine)
    #expect(Self.pending(machine) == nil)
  }

  /// A link change is nobody's frame, and passes the DPI core.
  @Test func linkChangesReachTheOS() throws {
    var machine = try E1000Machine.e1000()
    machine.bootOS()
    var inspector = ScriptedInspector()
    machine.run(inspecting: &inspector) { _ in }
    machine.hardware.nic.device.isLinkUp = false
    machine.runNIC(frames: 0)
    machine.passDPI(inspecting: &inspector)
    #expect(Self.pending(machine) == MachineLayout.osVector)
    #expect(machine.hardware.readRegister(0xC0) == 0x04)
  }

  // MARK: - Messages

  /// With a message that the OS has let in once (MSI), each rise of causes is one message, whatever the NIC's pin does.
  @Test func aSingleMessage() throws {
    var machine = try E1000Machine.e1000()
    machine.hardware.delivery = .messages
    machine.bootOS()
    var inspector = ScriptedInspector()
    machine.run(inspecting: &inspector) { _ in }
    for number in 1...3 {
      try Self.publish(number, &machine)
      #expect(Self.pending(machine) == MachineLayout.osMessageVector)
      Self.acknowledge(&machine)
      // No other before the causes have been read.
      try Self.publish(number + 10, &machine)
      #expect(Self.pending(machine) == nil)
      #expect(machine.hardware.readRegister(0xC0) & 0x80 != 0)
    }
  }

  /// The 82574's messages: a cause of its own for each queue, cleared (EIAC) and masked when its message is sent.
  @Test func messagesOfAn82574() throws {
    var machine = try E1000EMachine.e1000e()
    machine.bootOS()
    var inspector = ScriptedInspector()
    machine.run(inspecting: &inspector) { _ in }
    let receive = MachineLayout.osMessageVector
    let receiveCause: UInt32 = 1 << 20
    for vector in UInt32(0)..<5 { machine.hardware.writeRegister(0xE8 + 4 * vector, 0) }
    try Self.publish(1, &machine)
    #expect(Self.pending(machine) == receive)
    Self.acknowledge(&machine)
    #expect(machine.hardware.readRegister(0xD0) & receiveCause == 0, "it has masked itself")
    try Self.publish(2, &machine)
    #expect(Self.pending(machine) == nil)
    // The poll ends, and the frame that came meanwhile interrupts.
    machine.hardware.writeRegister(0xD0, receiveCause)
    #expect(Self.pending(machine) == receive)
    var delivered = 0
    machine.run(inspecting: &inspector) { _ in delivered += 1 }
    #expect(delivered == 2)
  }

  /// The 82576's messages: a vector for each queue, cleared (EIAC) and masked (EIAM) when its message is sent.
  @Test func messagesOfAn82576() throws {
    var machine = try IGBMachine.igb(queues: 1)
    machine.bootOS()
    var inspector = ScriptedInspector()
    machine.run(inspecting: &inspector) { _ in }
    let message = machine.osDriver.message(queue: 0, isTransmit: false)
    let receive = MachineLayout.osMessageVector + UInt8(message)
    let bit: UInt32 = 1 << UInt32(message)
    machine.hardware.writeRegister(0x1680 + 4 * UInt32(message), 0)
    try Self.publish(1, &machine)
    #expect(Self.pending(machine) == receive)
    Self.acknowledge(&machine)
    #expect(machine.hardware.readRegister(0x1524) & bit == 0, "it has masked itself")
    #expect(machine.hardware.readRegister(0x1580) & bit == 0, "and cleared its cause")
    try Self.publish(2, &machine)
    #expect(Self.pending(machine) == nil)
    machine.hardware.writeRegister(0x1524, bit)
    #expect(Self.pending(machine) == receive)
    // A vector that software raises itself.
    Self.acknowledge(&machine)
    machine.hardware.writeRegister(0x1524, bit)
    machine.hardware.writeRegister(0x1520, bit)
    #expect(Self.pending(machine) == receive)
    var delivered = 0
    machine.run(inspecting: &inspector) { _ in delivered += 1 }
    #expect(delivered == 2)
  }

  // MARK: - Moderation

  /// EITR: the OS hears of a queue not more often than it asked for, and of all in the end.
  @Test func messagesAreModerated() throws {
    var machine = try IGBMachine.igb(queues: 1)
    machine.bootOS()
    var inspector = ScriptedInspector()
    machine.run(inspecting: &inspector) { _ in }
    let message = machine.osDriver.message(queue: 0, isTransmit: false)
    // 256 microseconds (8.8.12).
    machine.hardware.writeRegister(0x1680 + 4 * UInt32(message), 256 << 2)
    machine.hardware.advance(to: machine.hardware.now + 1_000_000)
    var times: [UInt64] = []
    var delivered = 0
    for number in 1...40 {
      try Self.publish(number, &machine)
      if machine.runOS(deliver: { _ in delivered += 1 }) { times.append(machine.hardware.now) }
      machine.hardware.advance(to: machine.hardware.now + 50_000)
      if machine.runOS(deliver: { _ in delivered += 1 }) { times.append(machine.hardware.now) }
    }
    #expect(times.count > 4 && times.count < 20)
    #expect(zip(times, times.dropFirst()).allSatisfy { $1 - $0 >= 256_000 })
    machine.run(inspecting: &inspector) { _ in delivered += 1 }
    #expect(delivered == 40)
    #expect(machine.hardware.nextTimer == nil)
  }

  @Test func messagesOfAn82574AreModerated() throws {
    var machine = try E1000EMachine.e1000e()
    machine.bootOS()
    var inspector = ScriptedInspector()
    machine.run(inspecting: &inspector) { _ in }
    // Vector 0, 1,000 times 256 ns (10.2.4.10).
    machine.hardware.writeRegister(0xE8, 1000)
    machine.hardware.advance(to: machine.hardware.now + 1_000_000)
    var times: [UInt64] = []
    var delivered = 0
    for number in 1...40 {
      try Self.publish(number, &machine)
      machine.hardware.advance(to: machine.hardware.now + 50_000)
      if machine.runOS(deliver: { _ in delivered += 1 }) { times.append(machine.hardware.now) }
    }
    #expect(times.count > 4 && times.count < 20)
    #expect(zip(times, times.dropFirst()).allSatisfy { $1 - $0 >= 256_000 - 50_000 })
    machine.run(inspecting: &inspector) { _ in delivered += 1 }
    #expect(delivered == 40)
  }
}

/// A DPI core that dies.
@Suite struct SuccessionTests {
  /// Looks into the log of accesses while it is accessed itself.
  private struct WatchingNIC: NICDevice {
    let log: AccessLog
    var waiting: [Int] = []

    mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 {
      waiting.append(log.count)
      return 0
    }

    mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) { waiting.append(log.count) }
  }

  /// An access stays in the log until it was handled.
  @Test func anAccessIsHandledBeforeItIsGone() throws {
    var machine = try E1000Machine.e1000()
    machine.bootOS()
    var nic = WatchingNIC(log: machine.hardware.dpi.accesses)
    for value in [0, 2] as [UInt64] {
      let isAppended = machine.hardware.dpi.accesses.append(
        RedirectedAccess(offset: 0x100, width: .doubleWord, isWrite: true, value: value))
      #expect(isAppended)
    }
    machine.hardware.dpi.handleAccesses(memory: machine.hardware.northbridge.memory, nic: &nic)
    #expect(nic.waiting.contains(2) && nic.waiting.contains(1) && !nic.waiting.contains(0))
    #expect(machine.hardware.dpi.accesses.isEmpty)
  }
}
