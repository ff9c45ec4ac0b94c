// A third party's program: its own descriptor formats and its own inspector on Ally's rings. It plays driver and NIC
// itself, and prints what arrived.

import AllyHW
import AllyPacket
import AllyRings

/// Lets frames pass whose first byte is even, and adds up their lengths.
struct EvenOnly: PacketInspector {
  var bytes = 0

  mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    bytes += packet.bytes.byteCount
    return packet.bytes.byte(at: 0) % 2 == 0 ? .accept : .drop
  }
}

/// 16 MiB for the OS, 4 MiB for the DPI cores above.
struct Machine: ~Copyable {
  var memory = PhysicalMemory()
  let partition = Partition(boundary: PhysicalAddress(0x100_0000), end: PhysicalAddress(0x140_0000))
  let queue = PhysicalAddress(0x1000)
  let rules = QueueRules(baseAlignment: 64, lengthMultiple: 64)

  init() throws {
    for (base, length) in [(0, 0x100_0000), (0x100_0000, 0x40_0000)] {
      let storage = UnsafeMutableRawPointer.allocate(byteCount: length, alignment: 4096)
      storage.initializeMemory(as: UInt8.self, repeating: 0, count: length)
      try memory.map(
        base: PhysicalAddress(UInt64(base)), length: UInt64(length), storage: storage, rights: .readWrite)
    }
  }

  var region: DPIRegion { DPIRegion(base: partition.boundary, length: 0x40_0000) }

  var programmed: ProgrammedQueue {
    ProgrammedQueue(
      base: BusAddress(queue.rawValue), byteLength: 16 * 32, head: 0, tail: 0, isEnabled: true, bufferLength: 2048)
  }

  func put(_ value: UInt64, _ queue: PhysicalAddress, slot: UInt32, word: UInt64) {
    guard memory.store(value, at: queue.advanced(by: UInt64(slot) * 32 + word * 8)) else { fatalError("no memory") }
  }

  func get(_ queue: PhysicalAddress, slot: UInt32, word: UInt64) -> UInt64 {
    memory.load(UInt64.self, at: queue.advanced(by: UInt64(slot) * 32 + word * 8)) ?? 0
  }

  func buffer(_ slot: UInt32) -> UInt64 { 0x10_0000 + UInt64(slot) * 2048 }
}

func receive() throws {
  let machine = try Machine()
  var inspector = EvenOnly()
  var clock = CountingClock()
  var rings = try ReceiveVirtualizer<MeterReceiveDescriptor, MeterReceiveDescriptor>(
    region: machine.region, memory: machine.memory, partition: machine.partition)
  guard rings.start(machine.programmed, rules: machine.rules, protection: .inPlace, memory: machine.memory) == nil
  else { fatalError("the queue was refused") }
  for slot in 0..<UInt32(10) { machine.put(machine.buffer(slot), machine.queue, slot: slot, word: 0) }
  _ = rings.moveTail(to: 10)
  _ = rings.copyPosted(memory: machine.memory)
  let dpi = rings.state.dpiQueue.base
  for slot in 0..<UInt32(10) {
    let address = machine.get(dpi, slot: slot, word: 0)
    guard machine.memory.store(UInt8(slot), at: PhysicalAddress(address)) else { fatalError("no buffer") }
    machine.put(100, dpi, slot: slot, word: 2)
    machine.put(3, dpi, slot: slot, word: 3)
  }
  _ = rings.publishCompleted(inspecting: &inspector, clock: &clock, memory: machine.memory)
  let flags = (0..<UInt32(10)).map { machine.get(machine.queue, slot: $0, word: 3) }
  print("receive: \(inspector.bytes) bytes inspected, flags \(flags)")
}

func transmit() throws {
  let machine = try Machine()
  var inspector = EvenOnly()
  var clock = CountingClock()
  var rings = try TransmitVirtualizer<MeterTransmitDescriptor, MeterTransmitDescriptor>(
    region: machine.region, memory: machine.memory, partition: machine.partition)
  guard rings.start(machine.programmed, rules: machine.rules, protection: .inPlace, memory: machine.memory) == nil
  else { fatalError("the queue was refused") }
  for slot in 0..<UInt32(10) {
    guard machine.memory.store(UInt8(slot), at: PhysicalAddress(machine.buffer(slot))) else { fatalError("no buffer") }
    machine.put(machine.buffer(slot), machine.queue, slot: slot, word: 0)
    machine.put(60, machine.queue, slot: slot, word: 2)
    machine.put(6, machine.queue, slot: slot, word: 3)
  }
  _ = rings.moveTail(to: 10)
  _ = rings.copyPosted(inspecting: &inspector, clock: &clock, memory: machine.memory)
  let dpi = rings.state.dpiQueue
  for slot in 0..<dpi.tail {
    machine.put(machine.get(dpi.base, slot: slot, word: 3) | 1, dpi.base, slot: slot, word: 3)
  }
  let done = rings.completeTransmitted(memory: machine.memory)
  print("transmit: \(inspector.bytes) bytes inspected, \(dpi.tail) frames to the NIC, \(done.descriptors) completed")
}

try receive()
try transmit()
