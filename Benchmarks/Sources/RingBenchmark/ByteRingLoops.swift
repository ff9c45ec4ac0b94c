import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings

/// The RTL8139C, as far as its driver and the virtualizer ask for it.
struct ByteRingNIC: NICDevice {
  var ringAddress: UInt64 = 0
  var command: UInt64 = 0
  var writePlace: UInt32 = 0
  var status: InlineArray<4, UInt64> = .init(repeating: 0x2000)

  mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 {
    switch offset {
    case 0x10..<0x20: status[Int(offset & 0xF) / 4]
    case 0x37: command
    case 0x3A: UInt64(writePlace)
    default: 0
    }
  }

  mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    switch offset {
    case 0x10..<0x20: status[Int(offset & 0xF) / 4] = value
    case 0x30: ringAddress = value
    case 0x37: command = value & ~0x10
    default: break
    }
  }
}

/// Bytes of a frame in the ring: header, frame, frame check sequence.
private let frameBytes = UInt32(frameLength) + 8
/// ROK and PAM, and the length.
private let frameHeader: UInt32 = 0x4001 | (UInt32(frameLength) + 4) << 16

/// A driver's and a NIC's part of receiving one batch through a ring of 64 KiB. Not inlined, so that both kinds of run execute
/// the same code.
struct ByteRingHarness {
  var readPlace: UInt32 = 0

  /// The NIC writes a batch; the bytes of the frames are there already.
  @inline(never)
  mutating func complete(on ring: UnsafeMutableRawPointer, _ nic: inout ByteRingNIC) {
    for _ in 0..<batch {
      unsafe ring.storeBytes(of: frameHeader, toByteOffset: Int(nic.writePlace), as: UInt32.self)
      nic.writePlace = (nic.writePlace &+ frameBytes) & 0xFFFF
    }
  }

  /// The driver takes the batch.
  @inline(never)
  mutating func take(from ring: UnsafeMutableRawPointer, upTo end: UInt32) -> UInt64 {
    var taken: UInt64 = 0
    while readPlace != end {
      guard unsafe ring.load(fromByteOffset: Int(readPlace), as: UInt32.self) == frameHeader else { return taken }
      readPlace = (readPlace &+ frameBytes) & 0xFFFF
      taken &+= 1
    }
    return taken
  }

  /// The NIC sends what is in its slots.
  @inline(never)
  mutating func send(_ nic: inout ByteRingNIC) {
    for slot in 0..<4 { nic.status[slot] |= 0xA000 }
  }
}

/// The virtualizer, and the registers by which an OS reaches it.
@safe
private struct VirtualByteRing: ~Copyable {
  var rings: ByteRingVirtualizer<RTL8139Driver>
  let registers: RegisterFile
  var inspector = AcceptAll()
  var clock = CountingClock()
  var transmitClock = CountingClock()

  init(_ machine: borrowing Machine, _ nic: inout ByteRingNIC) throws(RingSetupError) {
    let storage = UnsafeMutableRawPointer.allocate(byteCount: 0x100, alignment: 8)
    unsafe storage.initializeMemory(as: UInt8.self, repeating: 0, count: 0x100)
    registers = unsafe RegisterFile(storage: storage, length: 0x100)
    rings = try ByteRingVirtualizer(
      region: machine.region, memory: machine.memory, partition: machine.partition, protection: .inPlace)
    rings.attach(registers: registers, nic: &nic)
    write(0x37, 0x0C, .byte, machine, &nic)
    // 64 KiB, all frames.
    write(0x44, 0x180F, .doubleWord, machine, &nic)
    write(0x30, machine.buffers, .doubleWord, machine, &nic)
  }

  mutating func write(
    _ offset: UInt32, _ value: UInt64, _ width: RegisterWidth, _ machine: borrowing Machine, _ nic: inout ByteRingNIC
  ) {
    registers.store(value, at: offset, width: width)
    rings.handle(
      RedirectedAccess(offset: offset, width: width, isWrite: true, value: value), memory: machine.memory,
      registers: registers, nic: &nic)
  }

  mutating func service(_ machine: borrowing Machine, _ nic: inout ByteRingNIC) {
    _ = rings.service(
      queue: 0, inspecting: &inspector, receiveClock: &clock, transmitClock: &transmitClock, memory: machine.memory,
      registers: registers, nic: &nic)
  }
}

func receiveBytes(frames: UInt64, isVirtual: Bool) -> UInt64 {
  let machine = Machine()
  var harness = ByteRingHarness()
  var nic = ByteRingNIC()
  var received: UInt64 = 0
  guard let osRing = unsafe machine.memory.pointer(at: PhysicalAddress(machine.buffers), length: 0x1_0000, for: .write)
  else { return 0 }
  guard isVirtual else {
    for _ in 0..<(frames / UInt64(batch)) {
      unsafe harness.complete(on: osRing, &nic)
      received &+= unsafe harness.take(from: osRing, upTo: nic.writePlace)
    }
    return received
  }
  do {
    var virtual = try VirtualByteRing(machine, &nic)
    guard
      let dpiRing = unsafe machine.memory.pointer(at: PhysicalAddress(nic.ringAddress), length: 0x1_0000, for: .write)
    else { return 0 }
    for _ in 0..<(frames / UInt64(batch)) {
      unsafe harness.complete(on: dpiRing, &nic)
      virtual.service(machine, &nic)
      let end = UInt32(truncatingIfNeeded: virtual.registers.load(0x3A, width: .word))
      received &+= unsafe harness.take(from: osRing, upTo: end)
      virtual.write(0x38, UInt64((harness.readPlace &- 16) & 0xFFFF), .word, machine, &nic)
    }
    return virtual.clock.count == frames ? received : 0
  } catch {
    print("cannot set up: \(error)")
    return 0
  }
}

func transmitSlots(frames: UInt64, isVirtual: Bool) -> UInt64 {
  let machine = Machine()
  var harness = ByteRingHarness()
  var nic = ByteRingNIC()
  var sent: UInt64 = 0
  guard isVirtual else {
    for _ in 0..<(frames / 4) {
      for slot in 0..<4 as Range<UInt32> {
        nic.writeRegister(0x20 + 4 * slot, value: machine.buffers, width: .doubleWord)
        nic.writeRegister(0x10 + 4 * slot, value: frameLength, width: .doubleWord)
      }
      harness.send(&nic)
      for slot in 0..<4 as Range<UInt32> {
        if nic.readRegister(0x10 + 4 * slot, width: .doubleWord) & 0x8000 != 0 { sent &+= 1 }
      }
    }
    return sent
  }
  do {
    var virtual = try VirtualByteRing(machine, &nic)
    for _ in 0..<(frames / 4) {
      for slot in 0..<4 as Range<UInt32> {
        virtual.write(0x20 + 4 * slot, machine.buffers, .doubleWord, machine, &nic)
        virtual.write(0x10 + 4 * slot, frameLength, .doubleWord, machine, &nic)
      }
      virtual.service(machine, &nic)
      harness.send(&nic)
      virtual.service(machine, &nic)
      for slot in 0..<4 as Range<UInt32> where virtual.registers.load(0x10 + 4 * slot) & 0x8000 != 0 { sent &+= 1 }
    }
    return virtual.transmitClock.count == frames ? sent : 0
  } catch {
    print("cannot set up: \(error)")
    return 0
  }
}
