import AllyAppliance
import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import AllySimulator
import Testing

/// Paper §4.3: that interrupt registers are redirected "allows the OS cores to transparently use techniques like Linux NAPI".
@Suite struct PollingTests {
  private typealias Machine = SimulatedMachine<RingVirtualizer<E1000Driver>, E1000Model, PollingOSDriver>

  private static func machine() throws -> Machine {
    var machine = try Machine(
      model: E1000Model(requester: MachineLayout.nic, macAddress: [0x52, 0x54, 0, 0x12, 0x34, 0x56]),
      osDriver: PollingOSDriver(
        E1000OSDriver(
          layout: E1000OSDriver.Layout(
            base: MachineLayout.driverMemory, receiveDescriptors: 64, transmitDescriptors: 64))))
    machine.bootOS()
    return machine
  }

  private static func isInterruptPending(_ machine: borrowing Machine) -> Bool {
    machine.hardware.northbridge.interrupts.pending(at: MachineLayout.osCore) != nil
  }

  /// Interrupt off, poll by budget, interrupt on: one interrupt however long frames keep coming.
  @Test func noInterruptWhileTheOSPolls() throws {
    var machine = try Self.machine()
    var inspector = ScriptedInspector()
    machine.passDPI(inspecting: &inspector)
    let sent = (1...400).map { Frames.numbered($0, length: 60 + $0 % 900) }
    var delivered: [[UInt8]] = []
    for start in stride(from: 0, to: 400, by: 20) {
      for number in start..<(start + 20) { try machine.put(sent[number], ordinal: number + 1) }
      machine.runNIC(frames: 64)
      machine.passDPI(inspecting: &inspector)
      #expect(machine.runOS { _ in } == (start == 0), "only the first batch interrupts")
      #expect(machine.osDriver.isPolling == true)
      let taken = machine.osDriver.poll(budget: 16, on: &machine.hardware) { delivered.append($0.array) }
      #expect(taken <= 16)
    }
    // The traffic ends, and so does the polling.
    while machine.osDriver.poll(budget: 16, on: &machine.hardware, deliver: { delivered.append($0.array) }) == 16 {
      machine.passDPI(inspecting: &inspector)
      machine.runNIC(frames: 64)
    }
    machine.osDriver.complete(on: &machine.hardware)
    machine.run(inspecting: &inspector) { _ in }
    while machine.osDriver.isPolling {
      if machine.osDriver.poll(budget: 16, on: &machine.hardware, deliver: { delivered.append($0.array) }) < 16 {
        machine.osDriver.complete(on: &machine.hardware)
      }
      machine.run(inspecting: &inspector) { _ in }
    }
    #expect(delivered == sent)
    #expect(machine.osDriver.interrupts < 10)
  }

  /// A frame that arrives between the last look into the ring and the interrupt's being let in again is not forgotten: letting
  /// it in raises the interrupt that was held back.
  @Test(arguments: [false, true])
  func aFrameArrivesAsThePollEnds(isPublishedBefore: Bool) throws {
    var machine = try Self.machine()
    var inspector = ScriptedInspector()
    machine.passDPI(inspecting: &inspector)
    var delivered: [[UInt8]] = []
    try machine.put(Frames.numbered(1), ordinal: 1)
    machine.runNIC(frames: 1)
    machine.passDPI(inspecting: &inspector)
    let isInterrupted = machine.runOS { _ in }
    #expect(isInterrupted)
    #expect(machine.osDriver.poll(budget: 16, on: &machine.hardware) { delivered.append($0.array) } == 1)
    // The poll found the ring empty after this one. Now another comes.
    try machine.put(Frames.numbered(2), ordinal: 2)
    machine.runNIC(frames: 1)
    if isPublishedBefore {
      machine.passDPI(inspecting: &inspector)
      #expect(Self.isInterruptPending(machine) == false, "masked")
      machine.osDriver.complete(on: &machine.hardware)
    } else {
      machine.osDriver.complete(on: &machine.hardware)
      machine.passDPI(inspecting: &inspector)
    }
    #expect(Self.isInterruptPending(machine) == true)
    let isAgain = machine.runOS { _ in }
    #expect(isAgain)
    #expect(machine.osDriver.poll(budget: 16, on: &machine.hardware) { delivered.append($0.array) } == 1)
    machine.osDriver.complete(on: &machine.hardware)
    #expect(Self.isInterruptPending(machine) == false)
    #expect(delivered == [Frames.numbered(1), Frames.numbered(2)])
    #expect(machine.osDriver.interrupts == 2 && machine.osDriver.spuriousInterrupts == 0)
  }

  /// Whatever the order in which NIC, DPI core and OS have their turns, no frame waits for an interrupt that never comes.
  @Test(arguments: 1...20)
  func noWakeUpIsLost(seed: Int) throws {
    var machine = try Self.machine()
    var inspector = ScriptedInspector()
    var random = SeededGenerator(seed: UInt64(seed))
    var sent: [[UInt8]] = []
    var delivered: [[UInt8]] = []
    machine.passDPI(inspecting: &inspector)
    for _ in 0..<2000 {
      switch random.next() % 6 {
      case 0:
        let frame = Frames.numbered(sent.count + 1)
        try machine.put(frame, ordinal: sent.count + 1)
        sent.append(frame)
      case 1: machine.runNIC(frames: Int(random.next() % 4))
      case 2: machine.passDPI(inspecting: &inspector)
      case 3: machine.runOS { _ in }
      default:
        guard machine.osDriver.isPolling else { continue }
        let taken = machine.osDriver.poll(budget: 4, on: &machine.hardware) { delivered.append($0.array) }
        // Anything may happen between the look and the end.
        if random.next() % 2 == 0 { machine.runNIC(frames: 2) }
        if random.next() % 2 == 0 { machine.passDPI(inspecting: &inspector) }
        if taken < 4 { machine.osDriver.complete(on: &machine.hardware) }
      }
    }
    // Nothing but interrupts starts a poll from here on.
    for _ in 0..<(4 * sent.count + 16) {
      machine.runNIC(frames: 64)
      machine.passDPI(inspecting: &inspector)
      machine.runOS { _ in }
      guard machine.osDriver.isPolling else { continue }
      if machine.osDriver.poll(budget: 4, on: &machine.hardware, deliver: { delivered.append($0.array) }) < 4 {
        machine.osDriver.complete(on: &machine.hardware)
      }
    }
    #expect(delivered == sent, "seed \(seed)")
    #expect(machine.osDriver.isPolling == false, "seed \(seed)")
  }
}

/// A driver that polls while frames come, as stock drivers do (Linux NAPI): its interrupt handler masks all causes and does
/// nothing else.
struct PollingOSDriver: OSDriverModel, ~Copyable {
  private var base: E1000OSDriver
  /// Whether the OS has been told to poll.
  private(set) var isPolling = false
  private(set) var interrupts = 0
  private(set) var spuriousInterrupts = 0

  private enum Register {
    static let cause: UInt32 = 0x00C0
    static let maskSet: UInt32 = 0x00D0
    static let maskClear: UInt32 = 0x00D8
  }

  init(_ base: consuming E1000OSDriver) { self.base = base }

  var memoryByteCount: UInt64 { base.memoryByteCount }

  mutating func start<Environment: OSEnvironment & ~Copyable>(
    stationAddress: UInt64, on environment: inout Environment
  ) {
    base.start(stationAddress: stationAddress, on: &environment)
  }

  mutating func interrupt<Environment: OSEnvironment & ~Copyable>(
    on environment: inout Environment, deliver: (RawSpan) -> Void
  ) -> Bool {
    interrupts += 1
    guard environment.readRegister(Register.cause) != 0 else {
      spuriousInterrupts += 1
      return false
    }
    environment.writeRegister(Register.maskClear, .max)
    isPolling = true
    return true
  }

  /// The poll: `budget` frames at the most.
  mutating func poll<Environment: OSEnvironment & ~Copyable>(
    budget: Int, on environment: inout Environment, deliver: (RawSpan) -> Void
  ) -> Int {
    base.reclaim(on: &environment)
    return base.poll(budget: budget, on: &environment, deliver: deliver)
  }

  /// The end of polling: interrupts are let in again, TXDW, LSC, RXSEQ, RXDMT0, RXO and RXT0.
  mutating func complete<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    isPolling = false
    environment.writeRegister(Register.maskSet, 0x01 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80)
  }

  mutating func send<Environment: OSEnvironment & ~Copyable>(
    _ bytes: RawSpan, doorbell: Bool, on environment: inout Environment
  ) -> Bool {
    base.send(bytes, doorbell: doorbell, on: &environment)
  }

  mutating func ringDoorbell<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    base.ringDoorbell(on: &environment)
  }
}
