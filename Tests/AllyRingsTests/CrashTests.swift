import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import Testing

/// A worker may die at any point while it handles a register access; its successor finds the access in the log, and what
/// comes of it is what would have come of it (decision 14 of Docs/Architecture.md).
@Suite struct CrashTests {
  /// What happens, in order.
  private enum Step {
    case write(UInt32, UInt32)
    case read(UInt32)
    /// A pass over the queues.
    case service
  }

  /// Brings a queue pair up at `receive` and `transmit`, moves it, resizes it, disables it, resets the NIC, and starts over.
  private static func script(
    receive: UInt32, transmit: UInt32, before: [Step] = [], enable: [Step], disable: [Step]
  ) -> [Step] {
    func queue(_ first: UInt32, base: UInt32, length: UInt32, head: UInt32 = 0) -> [Step] {
      [
        .write(first, base), .write(first + 4, 0), .write(first + 8, length), .write(first + 0x10, head),
        .write(first + 0x18, head),
      ]
    }
    let up =
      before + queue(receive, base: 0x2000, length: 128) + queue(transmit, base: 0x3000, length: 256) + enable
      + [.write(receive + 0x18, 5), .service]
    let moved = queue(receive, base: 0x4000, length: 256, head: 3) + [.write(receive + 0x18, 9), .service]
    let throttled: [Step] = [
      .write(0xC4, 100), .write(0xD0, 0x95), .write(0xC8, 0x04), .read(0xC0), .write(0xD8, 0x10),
    ]
    return up + throttled + moved + disable + enable + [.write(0, 1 << 26)] + up + [
      .write(transmit + 0x18, 0), .service,
    ]
  }

  private static let e1000 = script(
    receive: 0x2800, transmit: 0x3800, enable: [.write(0x100, 0x8002), .write(0x400, 2)],
    disable: [.write(0x100, 0), .write(0x400, 0)])
  private static let e1000e = script(
    receive: 0x2800, transmit: 0x3800, before: [.write(0x5008, 1 << 15), .write(0x3840, 1 << 10)],
    enable: [.write(0x100, 0x8002), .write(0x400, 2)], disable: [.write(0x400, 0), .write(0x100, 0)])
  private static let igb = script(
    receive: 0xC000, transmit: 0xE000, before: [.write(0xC00C, 1 << 25 | 2), .write(0x100, 0x8002), .write(0x400, 2)],
    enable: [.write(0xC028, 1 << 25), .write(0xE028, 1 << 25)], disable: [.write(0xC028, 0), .write(0xE028, 0)])

  @Test func e1000() throws { try check(E1000Driver.self, Self.e1000) }
  @Test func e1000e() throws { try check(E1000EDriver.self, Self.e1000e) }
  @Test func igb() throws { try check(IGBDriver.self, Self.igb) }

  /// Dies at each access to the NIC of each step, and after each step before its access is out of the log.
  private func check<Driver: NICDriver>(_ driver: Driver.Type, _ script: [Step]) throws {
    let undisturbed = try World<Driver>.run(script, dyingAt: nil)
    #expect(undisturbed.outcome.isRunning == [true, true], "the script brings the queues up")
    var deaths = 0
    for step in script.indices {
      for access in 0...undisturbed.accesses[step] {
        let disturbed = try World<Driver>.run(script, dyingAt: (step, access))
        #expect(
          disturbed.outcome == undisturbed.outcome, "\(driver), step \(step) \(script[step]), access \(access)")
        deaths += 1
      }
    }
    #expect(deaths > 100)
  }

  /// All that anyone could tell from outside.
  private struct Outcome: Equatable {
    var isRunning: [Bool] = []
    var queues: [DescriptorQueue] = []
    var nic: [UInt32: UInt64] = [:]
    var registers: [UInt64] = []
  }

  /// A NIC before whose n-th access the world is remembered.
  private struct WitnessedNIC: NICDevice {
    var plain = RecordingNIC()
    var accesses = 0
    var dying: Int?
    var remember: (RecordingNIC) -> Void = { _ in }

    private mutating func count() {
      if accesses == dying { remember(plain) }
      accesses += 1
    }

    mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 {
      count()
      return plain.readRegister(offset, width: width)
    }

    mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
      count()
      plain.writeRegister(offset, value: value, width: width)
    }
  }

  @safe
  private final class World<Driver: NICDriver> {
    static var limits: RingLimits {
      RingLimits(maximumDescriptors: 64, maximumFrameLength: 4096, maximumBufferLength: 2048)
    }
    static var registerLength: Int { 0x1_0000 }

    let machine: TestMachine
    var rings: RingVirtualizer<Driver>
    var nic = WitnessedNIC()
    let registers: RegisterFile
    @unsafe private let storage: UnsafeMutableRawPointer
    /// DPI memory and the shadow registers as they were when the worker died, and the NIC.
    private var remembered: (dpi: [UInt8], registers: [UInt8], nic: RecordingNIC)?
    private var inspector = ScriptedInspector()
    private var clock = CountingClock()
    private var transmitClock = CountingClock()

    init() throws {
      let length = (RingVirtualizer<Driver>.requiredMemory(limits: Self.limits) + 0xFFF) & ~0xFFF
      machine = TestMachine(dpiLength: length)
      unsafe storage = .allocate(byteCount: Self.registerLength, alignment: 8)
      unsafe storage.initializeMemory(as: UInt8.self, repeating: 0, count: Self.registerLength)
      registers = unsafe RegisterFile(storage: storage, length: UInt32(Self.registerLength))
      rings = try RingVirtualizer(
        region: machine.region, memory: machine.memory, partition: machine.partition, limits: Self.limits,
        protection: .inPlace)
      rings.attach(registers: registers, nic: &nic)
    }

    deinit { unsafe storage.deallocate() }

    static func run(_ script: [Step], dyingAt death: (step: Int, access: Int)?) throws -> (
      outcome: Outcome, accesses: [Int]
    ) {
      let world = try World()
      var accesses: [Int] = []
      for (index, step) in script.enumerated() {
        let before = world.nic.accesses
        if let death, death.step == index {
          try world.takeAndDie(step, at: before + death.access)
        } else {
          world.take(step)
        }
        accesses.append(world.nic.accesses - before)
      }
      return (world.outcome, accesses)
    }

    private func take(_ step: Step) { if let access = effect(of: step) { handle(access) } else { service() } }

    /// What an OS core's access does to the shadow registers, as the Remapping Table carries it out.
    private func effect(of step: Step) -> RedirectedAccess? {
      switch step {
      case .service: return nil
      case .write(let offset, let value):
        if offset == 0xC0 { registers.clear(value, at: offset) } else { registers.store(UInt64(value), at: offset) }
        return RedirectedAccess(offset: offset, width: .doubleWord, isWrite: true, value: UInt64(value))
      case .read(let offset):
        let value = registers.load(offset)
        if offset == 0xC0 { registers.clear(UInt32(value), at: offset) }
        return RedirectedAccess(offset: offset, width: .doubleWord, isWrite: false, value: value)
      }
    }

    private func handle(_ access: RedirectedAccess) {
      rings.handle(access, memory: machine.memory, registers: registers, nic: &nic)
    }

    private func service() {
      for queue in 0..<rings.queuePairs {
        _ = rings.service(
          queue: queue, inspecting: &inspector, receiveClock: &clock, transmitClock: &transmitClock,
          memory: machine.memory, registers: registers, nic: &nic)
      }
    }

    /// The worker dies before the `access`-th access to the NIC, or after the step when there is none; another goes on.
    private func takeAndDie(_ step: Step, at access: Int) throws {
      nic.dying = access
      nic.remember = { [unowned self] nic in remember(nic) }
      let redirected = effect(of: step)
      if let redirected { handle(redirected) } else { service() }
      if remembered == nil { remember(nic.plain) }
      try restore()
      rings.resume(on: &nic)
      if let redirected { handle(redirected) } else { service() }
    }

    private func remember(_ nic: RecordingNIC) {
      remembered = (
        machine.read(Int(machine.dpiLength), at: TestMachine.dpiBase),
        unsafe [UInt8](UnsafeRawBufferPointer(start: storage, count: Self.registerLength)), nic
      )
    }

    private func restore() throws {
      let remembered = try #require(remembered)
      nic.dying = nil
      machine.write(remembered.dpi, at: TestMachine.dpiBase)
      unsafe remembered.registers.withUnsafeBytes {
        unsafe storage.copyMemory(from: $0.baseAddress!, byteCount: $0.count)
      }
      nic.plain = remembered.nic
      rings = try RingVirtualizer(
        region: machine.region, memory: machine.memory, partition: machine.partition, limits: Self.limits,
        protection: .inPlace, start: .resuming)
    }

    private var outcome: Outcome {
      var outcome = Outcome()
      let (receive, transmit) = (rings[0].receive.state, rings[0].transmit.state)
      outcome.isRunning = [receive.isRunning, transmit.isRunning]
      outcome.queues = [receive.osQueue, receive.dpiQueue, transmit.osQueue, transmit.dpiQueue]
      outcome.nic = nic.plain.values
      // Causes apart: an interrupt more is allowed to whoever takes over.
      outcome.registers = stride(from: UInt32(0), to: UInt32(Self.registerLength), by: 4)
        .filter { ![0xC0, 0xC8, 0x1500, 0x1504, 0x1520, 0x1580].contains($0) }.map { registers.load($0) }
      return outcome
    }
  }
}
