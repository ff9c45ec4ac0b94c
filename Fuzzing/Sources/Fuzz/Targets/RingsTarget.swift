internal import AllyAppliance
internal import AllyDeviceModels
internal import AllyDrivers
internal import AllyHW
internal import AllyPacket
internal import AllyRings
internal import AllySimulator

/// The OS as the attacker (paper §3): an input is what its driver does to an intercepted 82540EM, step by step, while
/// frames come and the DPI core has its turns; or to an RTL8139C (``ByteRingSteps``).
///
/// Whatever it does: nothing traps, the Remapping Table stays as it is, an inspector that drops everything lets no frame
/// out (nor, when frames are copied, one byte of a frame in), and after a reset the rings work. The inspector may answer:
/// replace, inject and reject, as the input says; then what is out or in are its own frames alone.
struct RingsTarget: FuzzTarget {
  static let name = "rings"

  private typealias Hardware = SimulatedHardware<RingVirtualizer<E1000Driver>, E1000Model>

  /// Where steps that name a slot store descriptors and buffers, so that they meet.
  private static let ring = MachineLayout.driverMemory
  private static let buffers = MachineLayout.driverMemory.advanced(by: 0x1_0000)
  private static let osMemory: UInt64 = 6 << 20
  /// What frames from the wire consist of, and the OS never writes.
  private static let marker: UInt8 = 0xA5

  init() {}

  mutating func run(_ input: [UInt8]) {
    var input = InputReader(input)
    let choice = input.byte()
    guard choice & 8 == 0 else { return ByteRingSteps.run(choice, &input) }
    let protection: PacketProtection = choice & 1 == 0 ? .inPlace : .copyToDPIMemory
    let dropsEverything = choice & 2 != 0
    if choice & 4 == 0 {
      run(
        &input, protection, Inspector(dropsEverything: dropsEverything), dropsEverything: dropsEverything,
        rejects: false)
    } else {
      let script = (0...Int(input.byte() & 15)).map { _ in input.byte() }
      run(
        &input, protection, AnsweringInspector(dropsEverything: dropsEverything, script: script),
        dropsEverything: dropsEverything, rejects: script.contains { $0 & 7 == 4 })
    }
  }

  private func run<Judge: PacketInspector>(
    _ input: inout InputReader, _ protection: PacketProtection, _ judge: Judge, dropsEverything: Bool, rejects: Bool
  ) {
    var inspector = judge
    var hardware = Self.hardware(protection, answers: !Judge.actions.isEmpty)
    let boundary = hardware.os.core.mmu.partition.boundary
    let table = Self.words(hardware.northbridge.memory, at: boundary, count: 512)
    for _ in 0..<512 where !input.isEmpty { Self.step(&input, &hardware, &inspector) }
    Self.settle(&hardware, &inspector)
    let tableAfterwards = Self.words(hardware.northbridge.memory, at: boundary, count: 512)
    require(tableAfterwards == table, "the OS changed the Remapping Table")
    if dropsEverything {
      Self.requireOwnFrames(&hardware, rejects: rejects)
      if protection == .copyToDPIMemory { Self.requireNoMarker(hardware.northbridge.memory) }
    }
    Self.requireRecovery(&hardware)
  }

  private static func hardware(_ protection: PacketProtection, answers: Bool) -> Hardware {
    let limits = RingLimits(
      maximumDescriptors: 64, maximumFrameLength: 20_000, maximumBufferLength: 16_384,
      copyMemory: protection == .inPlace && !answers ? 0 : 1 << 20)
    do {
      return try Hardware(
        layout: MachineLayout(osMemory: osMemory, limits: limits, protection: protection),
        model: E1000Model(requester: MachineLayout.nic, macAddress: [0x52, 0x54, 0, 0x12, 0x34, 0x56]))
    } catch {
      fatalError("no machine: \(error)")
    }
  }

  // MARK: - Steps

  private static func step<Judge: PacketInspector>(
    _ input: inout InputReader, _ hardware: inout Hardware, _ inspector: inout Judge
  ) {
    switch input.byte() % 9 {
    case 0:
      let register = E1000Choices.register(&input)
      hardware.writeRegister(register, UInt32(truncatingIfNeeded: value(&input)))
    case 1: _ = hardware.readRegister(E1000Choices.register(&input))
    case 2:
      let descriptor = ring.advanced(by: UInt64(input.byte() & 63) * 16)
      hardware.store(value(&input), at: descriptor)
      hardware.store(unmarked(input.number(UInt64.self)), at: descriptor.advanced(by: 8))
    case 3:
      hardware.store(
        unmarked(input.number(UInt64.self)), at: ring.advanced(by: UInt64(input.number(UInt16.self)) << 1))
    case 4:
      let frame = [UInt8](repeating: marker, count: 14 + Int(input.byte()) * 16)
      _ = hardware.wire.toNIC.append(frame.span, stamp: FrameStamp(lengthOnWire: UInt32(frame.count)))
    case 5: hardware.runNIC(frames: Int(input.byte() & 15))
    case 6: hardware.passDPI(inspecting: &inspector)
    case 7: interruptOS(&hardware)
    default:
      // Straight from the store to the log, without the DPI core's turn: the log may fill.
      let register = UInt64(E1000Choices.register(&input))
      _ = hardware.os.core.store(
        value(&input), at: VirtualAddress(OSMemory.deviceMap + register), width: .doubleWord,
        on: &hardware.northbridge, devices: &hardware.nic)
    }
    hardware.advance(to: hardware.now &+ 1000)
  }

  private static func interruptOS(_ hardware: inout Hardware) {
    guard hardware.northbridge.interrupts.acknowledge(at: MachineLayout.osCore) != nil else { return }
    _ = hardware.readRegister(0x00C0)
    hardware.northbridge.interrupts.endInterrupt(at: MachineLayout.osCore)
  }

  /// A number, or a place where something is or begins.
  private static func value(_ input: inout InputReader) -> UInt64 {
    let places: [UInt64] = [
      ring.rawValue, buffers.rawValue, buffers.rawValue + 2048, osMemory - 16, osMemory, osMemory + 0x1000, 128, 512,
      1 << 1 | 3 << 3 | 1 << 15 | 1 << 26, 0x1F, UInt64(UInt32.max), MachineLayout.nicRegisters.rawValue,
      0xFEE0_0000, 1 << 32, .max - 64, 0,
    ]
    let choice = input.byte()
    if choice < 128 { return places[Int(choice & 15)] &+ UInt64(choice >> 4) * 16 }
    return unmarked(choice < 192 ? UInt64(input.byte()) : input.number(UInt64.self))
  }

  private static func unmarked(_ value: UInt64) -> UInt64 {
    var result: UInt64 = 0
    for shift in stride(from: 0 as UInt64, to: 64, by: 8) {
      let byte = value >> shift & 0xFF
      result |= (byte == UInt64(marker) ? 0 : byte) << shift
    }
    return result
  }

  // MARK: - What must hold

  /// Nothing is on the wire but what the inspector made: its own byte and padding, and, when it rejects, resets, which have no
  /// byte of a frame from the wire but addresses and numbers.
  private static func requireOwnFrames(_ hardware: inout Hardware, rejects: Bool) {
    while hardware.wire.fromNIC.count > 0 {
      let isOwn = hardware.wire.fromNIC.withFirst { frame, _ in
        frame.indices.allSatisfy { index in
          rejects ? frame[index] != marker : frame[index] == AnsweringInspector.own || frame[index] == 0
        }
      }
      require(isOwn == true, "a frame was sent that the inspector had dropped")
      hardware.wire.fromNIC.removeFirst()
    }
  }

  private static func settle<Judge: PacketInspector>(_ hardware: inout Hardware, _ inspector: inout Judge) {
    for _ in 0..<16 {
      hardware.runNIC(frames: 64)
      hardware.passDPI(inspecting: &inspector)
    }
  }

  private static func words(_ memory: borrowing PhysicalMemory, at address: PhysicalAddress, count: Int) -> [UInt64?] {
    var words: [UInt64?] = []
    for index in 0..<UInt64(count) { words.append(memory.load(UInt64.self, at: address.advanced(by: index * 8))) }
    return words
  }

  /// No part of a dropped frame is where the OS can read it.
  private static func requireNoMarker(_ memory: borrowing PhysicalMemory) {
    let pattern = UInt64(marker) &* 0x0101_0101_0101_0101
    for address in stride(from: ring.rawValue, to: osMemory, by: 8) {
      require(
        memory.load(UInt64.self, at: PhysicalAddress(address)) != pattern,
        "a dropped frame's bytes are in OS memory at \(String(address, radix: 16))")
    }
  }

  /// After a reset the OS may set a ring up properly, and a frame comes through.
  private static func requireRecovery(_ hardware: inout Hardware) {
    var inspector = Inspector(dropsEverything: false)
    while hardware.wire.toNIC.count > 0 { hardware.wire.toNIC.removeFirst() }
    hardware.writeRegister(0x0000, 1 << 26)
    settle(&hardware, &inspector)
    for slot in 0..<8 as Range<UInt64> {
      hardware.store(buffers.rawValue + slot * 2048, at: ring.advanced(by: slot * 16))
      hardware.store(0, at: ring.advanced(by: slot * 16 + 8))
    }
    hardware.writeRegister(0x2800, UInt32(ring.rawValue))
    hardware.writeRegister(0x2804, 0)
    hardware.writeRegister(0x2808, 128)
    hardware.writeRegister(0x2810, 0)
    hardware.writeRegister(0x2818, 0)
    hardware.writeRegister(0x0100, 1 << 1 | 1 << 3 | 1 << 4 | 1 << 15 | 1 << 26)
    hardware.writeRegister(0x2818, 3)
    settle(&hardware, &inspector)
    hardware.wire.completed.removeAll()
    let frame = (0..<64).map { UInt8($0) }
    _ = hardware.wire.toNIC.append(frame.span, stamp: FrameStamp(lengthOnWire: 64))
    inspector.frames = 0
    settle(&hardware, &inspector)
    var bytes: [UInt8] = []
    require(hardware.read(buffers, count: 64, into: &bytes), "the OS cannot read its buffer")
    require(
      inspector.frames == 1 && bytes == frame, "after a reset a frame does not come through: \(inspector.frames) seen")
  }

  /// Answers as a script says: replaces, injects, rejects; everything that it makes consists of one byte.
  private struct AnsweringInspector: PacketInspector {
    static let own: UInt8 = 0x5B
    static var actions: InspectorActions { .all }

    let dropsEverything: Bool
    let script: [UInt8]
    private var frames = 0

    init(dropsEverything: Bool, script: [UInt8]) {
      self.dropsEverything = dropsEverything
      self.script = script
    }

    mutating func inspect(_ packet: borrowing Packet) -> Verdict { .drop }

    mutating func inspect(_ packet: borrowing Packet, answering answers: inout FrameAnswers) -> Verdict {
      let choice = script[frames % script.count]
      frames += 1
      let length = 20 + Int(choice >> 3) * 97
      let own = [UInt8](repeating: Self.own, count: length)
      switch choice & 7 {
      case 0, 1:
        _ = answers.replace(packet) { frame in
          // Longer or shorter, and nothing of the original stays.
          _ = unsafe frame.replaceSubrange(0..<frame.count, with: own.span.bytes)
        }
        return .replace
      case 2: _ = unsafe answers.inject(own.span.bytes, towards: .transmit)
      case 3: _ = unsafe answers.inject(own.span.bytes, towards: .receive)
      case 4:
        answers.reject(packet, with: .tcpReset, telling: choice & 8 == 0 ? .sender : .receiver)
        return .reject
      case 5: return .replace
      default: break
      }
      return dropsEverything ? .drop : .accept
    }
  }

  /// Reads every byte that it is shown.
  private struct Inspector: PacketInspector {
    let dropsEverything: Bool
    var frames = 0
    private var sum: UInt8 = 0

    init(dropsEverything: Bool) { self.dropsEverything = dropsEverything }

    mutating func inspect(_ packet: borrowing Packet) -> Verdict {
      frames += 1
      sum = unsafe packet.bytes.withUnsafeBytes { unsafe $0.reduce(sum, &+) }
      return dropsEverything || frames % 5 == 0 ? .drop : .accept
    }
  }
}
