import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import Testing

/// A NIC that remembers what was written to its registers.
struct RecordingNIC: NICDevice {
  var values: [UInt32: UInt64] = [0: 0x0000_0A41]
  var writes: [(UInt32, UInt64)] = []

  mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 { values[offset] ?? 0 }

  mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    // Reset clears itself.
    values[offset] = offset == 0 ? value & ~(1 << 26) : value
    writes.append((offset, value))
  }

  func contains(_ offset: UInt32, _ value: UInt64) -> Bool { writes.contains { $0 == (offset, value) } }
}

/// An OS that writes registers, a driver module, and its NIC.
@safe
final class DriverHarness<Driver: NICDriver> {
  let machine = TestMachine(dpiLength: 0x100_0000)
  static var limits: RingLimits { RingLimits(maximumDescriptors: 1024) }
  var rings: RingVirtualizer<Driver>
  var nic = RecordingNIC()
  let registers: RegisterFile
  @unsafe private let storage: UnsafeMutableRawPointer
  var inspector = ScriptedInspector()
  var clock = CountingClock()
  var transmitClock = CountingClock()

  init() throws {
    unsafe storage = .allocate(byteCount: 0x2_0000, alignment: 8)
    unsafe storage.initializeMemory(as: UInt8.self, repeating: 0, count: 0x2_0000)
    registers = unsafe RegisterFile(storage: storage, length: 0x2_0000)
    rings = try RingVirtualizer(
      region: machine.region, memory: machine.memory, partition: machine.partition, limits: Self.limits,
      protection: .inPlace)
    rings.attach(registers: registers, nic: &nic)
  }

  deinit { unsafe storage.deallocate() }

  /// An OS core's store, as the Remapping Table carries it out.
  func write(_ offset: UInt32, _ value: UInt32, width: RegisterWidth = .doubleWord) {
    if offset == 0xC0 {
      registers.clear(value, at: offset)
    } else {
      registers.store(UInt64(value), at: offset, width: width)
    }
    handle(RedirectedAccess(offset: offset, width: width, isWrite: true, value: UInt64(value)))
  }

  /// An OS core's load; reading the cause register clears it.
  func read(_ offset: UInt32) -> UInt32 {
    let value = UInt32(registers.load(offset))
    if offset == 0xC0 { registers.clear(value, at: offset) }
    handle(RedirectedAccess(offset: offset, width: .doubleWord, isWrite: false, value: UInt64(value)))
    return value
  }

  func handle(_ access: RedirectedAccess) {
    rings.handle(access, memory: machine.memory, registers: registers, nic: &nic)
  }

  func service() {
    rings.serviceReceive(
      inspecting: &inspector, clock: &clock, memory: machine.memory, registers: registers, nic: &nic)
    rings.serviceTransmit(
      inspecting: &inspector, clock: &clock, memory: machine.memory, registers: registers, nic: &nic)
  }

  func interrupts(at now: UInt64) -> Bool { rings.takeOSInterrupts(at: now, registers: registers).count > 0 }

  /// The messages that are sent when the OS uses MSI-X.
  func messages(at now: UInt64) -> UInt32 {
    rings.takeOSInterrupts(at: now, by: .messageTable, registers: registers).messages
  }

  func takeNICInterrupt() -> Bool { rings.takeInterrupt(registers: registers, nic: &nic) }

  /// Makes random accesses: none may trap, and whenever the NIC has a queue enabled, it lies in DPI memory.
  ///
  /// `rings` has for each the offsets of the first register and of the one that enables it, and the enable.
  func expectSurvival(seed: Int, offsets: [UInt32], rings: [(first: UInt32, control: UInt32, enable: UInt64)]) {
    var random = SeededGenerator(seed: UInt64(seed))
    let values: [UInt32] = [
      0, 2, 5, 128, 256, 0x2000, 0x3000, 0x0100_0000, 0x8002, 0x0200_0000, 0x0200_0002, 0x0400_0000, 0xFFFF_FFFF,
    ]
    let widths: [RegisterWidth] = [.byte, .word, .doubleWord, .doubleWord, .doubleWord, .doubleWord, .quadWord]
    for _ in 0..<500 {
      let offset = offsets.randomElement(using: &random)!
      let value =
        UInt64(values.randomElement(using: &random)!) << UInt64(Int.random(in: 0..<4, using: &random) == 0 ? 32 : 0)
      handle(
        RedirectedAccess(
          offset: offset, width: widths.randomElement(using: &random)!,
          isWrite: Int.random(in: 0..<4, using: &random) > 0,
          value: value))
      for queue in 0..<self.rings.queuePairs {
        _ = self.rings.service(
          queue: queue, inspecting: &inspector, receiveClock: &clock, transmitClock: &transmitClock,
          memory: machine.memory, registers: registers, nic: &nic)
      }
      _ = messages(at: UInt64(seed))
      for ring in rings where (nic.values[ring.control] ?? 0) & ring.enable != 0 {
        let base = (nic.values[ring.first + 4] ?? 0) << 32 | (nic.values[ring.first] ?? 0)
        let length = nic.values[ring.first + 8] ?? 0
        // A ring without a length has no descriptors.
        guard length > 0 else { continue }
        #expect(machine.partition.isDPI(PhysicalAddress(base)), "seed \(seed)")
        #expect(length <= 1024 * 16, "seed \(seed)")
      }
    }
  }
}
