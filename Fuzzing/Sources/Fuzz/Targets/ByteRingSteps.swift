internal import AllyAppliance
internal import AllyDeviceModels
internal import AllyDrivers
internal import AllyHW
internal import AllyPacket
internal import AllyRings
internal import AllySimulator

/// What ``RingsTarget`` does with an intercepted RTL8139C, whose ring has no descriptors.
enum ByteRingSteps {
  private typealias Hardware = SimulatedHardware<ByteRingVirtualizer<RTL8139Driver>, RTL8139Model>

  private static let ring = MachineLayout.driverMemory
  private static let buffers = MachineLayout.driverMemory.advanced(by: 0x2_0000)
  private static let osMemory: UInt64 = 6 << 20
  /// What frames from the wire consist of, and the OS never writes.
  private static let marker: UInt8 = 0xA5

  /// Runs an input whose first byte was `choice`.
  static func run(_ choice: UInt8, _ input: inout InputReader) {
    let protection: PacketProtection = choice & 1 == 0 ? .inPlace : .copyToDPIMemory
    var hardware = hardware(protection)
    var inspector = Inspector(dropsEverything: choice & 2 != 0)
    for _ in 0..<512 where !input.isEmpty { step(&input, &hardware, &inspector) }
    settle(&hardware, &inspector)
    if inspector.dropsEverything {
      require(hardware.wire.fromNIC.count == 0, "a frame was sent that the inspector had dropped")
      // Received frames are copied at every protection level.
      let pattern = UInt64(marker) &* 0x0101_0101_0101_0101
      for address in stride(from: ring.rawValue, to: osMemory, by: 8) {
        require(
          hardware.northbridge.memory.load(UInt64.self, at: PhysicalAddress(address)) != pattern,
          "a dropped frame's bytes are in OS memory at \(String(address, radix: 16))")
      }
    }
    require(hardware.northbridge.iommu.faults.total == 0, "the OS made the NIC go astray")
    requireRecovery(&hardware)
  }

  private static func hardware(_ protection: PacketProtection) -> Hardware {
    do {
      return try Hardware(
        layout: MachineLayout(
          osMemory: osMemory, limits: RingLimits(maximumFrameLength: 4096, copyMemory: 1 << 16), protection: protection),
        model: RTL8139Model(requester: MachineLayout.nic, macAddress: [0x52, 0x54, 0, 0x12, 0x34, 0x56]))
    } catch {
      fatalError("no machine: \(error)")
    }
  }

  private static func step(_ input: inout InputReader, _ hardware: inout Hardware, _ inspector: inout Inspector) {
    switch input.byte() % 8 {
    case 0, 1: write(&input, &hardware)
    case 2: _ = hardware.readRegister(UInt32(input.byte()), width: width(&input))
    case 3: start(&hardware, length: UInt32(input.byte()))
    case 4:
      let frame = [UInt8](repeating: marker, count: 14 + Int(input.byte()) * 7)
      _ = hardware.wire.toNIC.append(frame.span, stamp: FrameStamp(lengthOnWire: UInt32(frame.count)))
    case 5: hardware.runNIC(frames: Int(input.byte() & 15))
    case 6: hardware.passDPI(inspecting: &inspector)
    default:
      // Straight from the store to the log, without the DPI core's turn: the log may fill.
      let register = UInt64(input.byte())
      _ = hardware.os.core.store(
        value(&input), at: VirtualAddress(OSMemory.deviceMap + register), width: width(&input),
        on: &hardware.northbridge, devices: &hardware.nic)
    }
    hardware.advance(to: hardware.now &+ 1000)
  }

  private static func write(_ input: inout InputReader, _ hardware: inout Hardware) {
    let choice = input.byte()
    // The registers that matter, in the width that they have, or anything.
    let known: [(UInt32, RegisterWidth)] = [
      (0x10, .doubleWord), (0x14, .doubleWord), (0x18, .doubleWord), (0x1C, .doubleWord), (0x20, .doubleWord),
      (0x24, .doubleWord), (0x28, .doubleWord), (0x2C, .doubleWord), (0x30, .doubleWord), (0x37, .byte), (0x38, .word),
      (0x3C, .word), (0x3E, .word), (0x40, .doubleWord), (0x44, .doubleWord), (0x44, .doubleWord),
    ]
    let (offset, width) = choice < 192 ? known[Int(choice & 15)] : (UInt32(input.byte()), width(&input))
    hardware.writeRegister(offset, UInt32(truncatingIfNeeded: value(&input)), width: width)
  }

  private static func width(_ input: inout InputReader) -> RegisterWidth {
    switch input.byte() & 3 {
    case 0: .byte
    case 1: .word
    case 2: .doubleWord
    default: .quadWord
    }
  }

  /// A number, or a place where something is or begins.
  private static func value(_ input: inout InputReader) -> UInt64 {
    let places: [UInt64] = [
      ring.rawValue, buffers.rawValue, osMemory - 8192, osMemory - 16, osMemory, osMemory + 0x3000, 60, 1792, 0x0C,
      0x10,
      0x0F, 0x188F, 0xFFF0, UInt64(UInt32.max), MachineLayout.nicRegisters.rawValue, 0,
    ]
    let choice = input.byte()
    if choice < 128 { return places[Int(choice & 15)] &+ UInt64(choice >> 4) * 16 }
    return choice < 192 ? UInt64(input.byte()) : input.number(UInt64.self)
  }

  /// A driver that knows what it does; the ring has 8 KiB times two to the power of the lower bits of `length`.
  private static func start(_ hardware: inout Hardware, length: UInt32) {
    hardware.writeRegister(0x37, 0x10, width: .byte)
    hardware.writeRegister(0x37, 0x0C, width: .byte)
    hardware.writeRegister(0x44, 0x0F | (length & 3) << 11 | length & 0x80)
    hardware.writeRegister(0x30, UInt32(ring.rawValue))
    hardware.writeRegister(0x3C, 0xC07F, width: .word)
  }

  private static func settle(_ hardware: inout Hardware, _ inspector: inout Inspector) {
    for _ in 0..<16 {
      hardware.runNIC(frames: 64)
      hardware.passDPI(inspecting: &inspector)
    }
  }

  /// After a reset the OS may set its ring up properly, and a frame comes through.
  private static func requireRecovery(_ hardware: inout Hardware) {
    var inspector = Inspector(dropsEverything: false)
    while hardware.wire.toNIC.count > 0 { hardware.wire.toNIC.removeFirst() }
    hardware.nic.device.isLinkUp = true
    start(&hardware, length: 0)
    settle(&hardware, &inspector)
    hardware.wire.completed.removeAll()
    let frame = (0..<64).map { UInt8($0) }
    _ = hardware.wire.toNIC.append(frame.span, stamp: FrameStamp(lengthOnWire: 64))
    inspector.frames = 0
    settle(&hardware, &inspector)
    var bytes: [UInt8] = []
    require(hardware.read(ring.advanced(by: 4), count: 64, into: &bytes), "the OS cannot read its ring")
    require(
      inspector.frames == 1 && bytes == frame, "after a reset a frame does not come through: \(inspector.frames) seen")
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
