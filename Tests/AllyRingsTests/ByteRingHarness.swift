import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import Testing

/// The part of an RTL8139 that its driver module uses, over the tests' memory (datasheet, chapter 5).
struct PlainRTL8139: NICDevice {
  var status: [UInt32] = [0x2000, 0x2000, 0x2000, 0x2000]
  var address: [UInt32] = [0, 0, 0, 0]
  var ring: UInt32 = 0
  var command: UInt8 = 0
  var read = 0
  var write = 0
  var cause: UInt16 = 0
  var receiveConfiguration: UInt32 = 0
  private var next = 0

  mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 {
    switch offset {
    case 0x10..<0x20: UInt64(status[Int(offset - 0x10) / 4])
    case 0x37: UInt64(command)
    case 0x3A: UInt64(write)
    case 0x3E: UInt64(cause)
    case 0x40: 0x7400_0000
    default: 0
    }
  }

  mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    switch offset {
    case 0x10..<0x20: status[Int(offset - 0x10) / 4] = UInt32(value) & 0x003F_3FFF
    case 0x20..<0x30: address[Int(offset - 0x20) / 4] = UInt32(value)
    case 0x30: ring = UInt32(value)
    case 0x37:
      if value & 0x10 != 0 {
        self = PlainRTL8139()
      } else {
        if value & 8 != 0, command & 8 == 0 { (read, write) = (0, 0) }
        command = UInt8(value)
      }
    case 0x38: read = (Int(value) + 16) & 0xFFFF
    case 0x3E: cause &= ~UInt16(value)
    case 0x44: receiveConfiguration = UInt32(value)
    default: break
    }
  }

  /// Receives a frame; false when there is no room, or no receiver.
  mutating func receive(_ frame: [UInt8], machine: borrowing TestMachine) -> Bool {
    let taken = (frame.count + 11) & ~3
    guard command & 8 != 0, taken < 65_536 - (write - read + 65_536) % 65_536 else { return false }
    let length = frame.count + 4
    let bytes = [0x01, 0x40, UInt8(length & 0xFF), UInt8(length >> 8)] + frame + [0xFC, 0xFC, 0xFC, 0xFC]
    let first = min(bytes.count, 65_536 - write)
    machine.write(Array(bytes[..<first]), at: UInt64(ring) + UInt64(write))
    machine.write(Array(bytes[first...]), at: UInt64(ring))
    write = (write + taken) % 65_536
    cause |= 1
    return true
  }

  /// Sends what was posted, at most `count` frames.
  mutating func send(_ count: Int, machine: borrowing TestMachine) -> [[UInt8]] {
    var frames: [[UInt8]] = []
    while command & 4 != 0, frames.count < count, status[next] & 0x2000 == 0 {
      frames.append(machine.read(Int(status[next] & 0x1FFF), at: UInt64(address[next])))
      status[next] |= 0xA000
      next = (next + 1) % 4
      cause |= 4
    }
    return frames
  }
}

/// A NIC, its virtualizer and an OS that writes registers.
@safe
final class ByteRingHarness {
  typealias Virtualizer = ByteRingVirtualizer<RTL8139Driver>

  static let ring: UInt64 = 0x2_0000
  static let buffer: UInt64 = 0x4_0000
  static let limits = RingLimits(maximumFrameLength: 4096, copyMemory: 0x1000)

  let machine = TestMachine(dpiLength: 0x20_0000)
  let protection: PacketProtection
  let registers: RegisterFile
  @unsafe private let storage: UnsafeMutableRawPointer
  var rings: Virtualizer
  var nic = PlainRTL8139()
  var clock = CountingClock()
  var transmitClock = CountingClock()
  /// Where the OS reads next, and how many of its descriptors are used.
  var osRead = 0
  var posted = 0
  var reclaimed = 0
  private(set) var ringLength = 8192
  private(set) var runsOver = false

  init(_ protection: PacketProtection) throws {
    self.protection = protection
    unsafe storage = .allocate(byteCount: 0x100, alignment: 8)
    unsafe storage.initializeMemory(as: UInt8.self, repeating: 0, count: 0x100)
    registers = unsafe RegisterFile(storage: storage, length: 0x100)
    rings = try Virtualizer(
      region: machine.region, memory: machine.memory, partition: machine.partition, limits: Self.limits,
      protection: protection)
    rings.attach(registers: registers, nic: &nic)
  }

  deinit { unsafe storage.deallocate() }

  /// Another worker takes over.
  func replaceWorker() throws {
    rings = try Virtualizer(
      region: machine.region, memory: machine.memory, partition: machine.partition, limits: Self.limits,
      protection: protection, start: .resuming)
    rings.resume(on: &nic)
  }

  /// An OS core's store, and the DPI core's work on it.
  func write(_ offset: UInt32, _ value: UInt64, _ width: RegisterWidth) { handle(store(offset, value, width)) }

  /// An OS core's store, as the Remapping Table carries it out.
  func store(_ offset: UInt32, _ value: UInt64, _ width: RegisterWidth) -> RedirectedAccess {
    if offset == 0x3E {
      registers.clear(UInt32(truncatingIfNeeded: value & width.mask) << 16, at: 0x3C)
    } else {
      registers.store(value & width.mask, at: offset, width: width)
    }
    return RedirectedAccess(offset: offset, width: width, isWrite: true, value: value)
  }

  func handle(_ access: RedirectedAccess) {
    rings.handle(access, memory: machine.memory, registers: registers, nic: &nic)
  }

  func read(_ offset: UInt32, _ width: RegisterWidth) -> UInt64 { registers.load(offset, width: width) }

  /// Brings the NIC up: 8 KiB times two to the power of `length`.
  func start(length: Int = 0, runsOver: Bool = false) {
    ringLength = 8192 << length
    // Not with 64 KiB (datasheet 5.9).
    self.runsOver = runsOver && length < 3
    (osRead, posted, reclaimed) = (0, 0, 0)
    write(0x37, 0x10, .byte)
    write(0x37, 0x0C, .byte)
    write(0x44, 0x0F | UInt64(length) << 11 | (runsOver ? 0x80 : 0), .doubleWord)
    write(0x30, Self.ring, .doubleWord)
    write(0x3C, 0xC07F, .word)
  }

  @discardableResult
  func service<Inspector: PacketInspector & ~Copyable>(_ inspector: inout Inspector) -> ServiceResult {
    rings.takeInterrupt(registers: registers, nic: &nic)
    return rings.service(
      queue: 0, inspecting: &inspector, receiveClock: &clock, transmitClock: &transmitClock, memory: machine.memory,
      registers: registers, nic: &nic)
  }

  /// The OS takes up to `count` frames out of its ring; it tells of each, or of none.
  func take(_ count: Int = .max, tells: Bool = true) -> [[UInt8]] {
    var frames: [[UInt8]] = []
    while frames.count < count, read(0x37, .byte) & 1 == 0 {
      let header = machine.read(4, at: Self.ring + UInt64(osRead))
      let length = Int(header[2]) | Int(header[3]) << 8
      guard length != 0xFFF0 else { break }
      let start = osRead + 4
      let first = runsOver ? length : min(length, ringLength - start)
      let bytes =
        (first > 0 ? machine.read(first, at: Self.ring + UInt64(start)) : [])
        + (first < length ? machine.read(length - first, at: Self.ring) : [])
      frames.append(Array(bytes.dropLast(4)))
      osRead = (osRead + length + 7) & ~3 % ringLength
      if tells { tell() }
    }
    return frames
  }

  func tell() { write(0x38, UInt64((osRead - 16) & 0xFFFF), .word) }

  /// The OS posts a frame; false when its descriptors are all used.
  func post(_ frame: [UInt8]) -> Bool {
    reclaim()
    guard posted - reclaimed < 4 else { return false }
    let slot = UInt32(posted % 4)
    let place = Self.buffer + UInt64(slot) * 2048
    machine.write(frame, at: place)
    write(0x20 + 4 * slot, place, .doubleWord)
    write(0x10 + 4 * slot, UInt64(frame.count), .doubleWord)
    posted += 1
    return true
  }

  func reclaim() {
    while reclaimed < posted, read(0x10 + 4 * UInt32(reclaimed % 4), .doubleWord) & 0x4000_8000 != 0 { reclaimed += 1 }
  }
}
