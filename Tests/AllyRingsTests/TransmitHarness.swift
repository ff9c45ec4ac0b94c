import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings

typealias E1000Transmit = TransmitVirtualizer<E1000TransmitDescriptor, E1000TransmitDescriptor>

/// Command bits of the 8254x's transmit descriptors, as a driver writes them.
enum Command {
  static let endOfPacket: UInt64 = 1 << 24
  static let report: UInt64 = 1 << 27
  static let `extension`: UInt64 = 1 << 29
  static let plain = endOfPacket | report | 1 << 25
}

/// A driver, a virtualizer and a NIC around one transmit queue.
final class TransmitHarness {
  var machine: TestMachine
  var rings: E1000Transmit
  var nic = PlainNIC()
  var clock = CountingClock()
  let count: UInt32
  var driverTail: UInt32 = 0

  init(count: UInt32 = 8, protection: PacketProtection = .inPlace, limits: RingLimits = RingLimits()) throws {
    machine = TestMachine()
    self.count = count
    rings = try E1000Transmit(
      region: machine.region, memory: machine.memory, partition: machine.partition, limits: limits)
    _ = rings.start(
      machine.programmed(count: count), rules: E1000Driver.queueRules, protection: protection,
      memory: machine.memory)
  }

  /// The driver writes a descriptor to the next slot.
  func put(_ address: UInt64, _ fields: UInt64) {
    machine.store((address, fields), TestMachine.queue, driverTail)
    driverTail = (driverTail + 1) % count
  }

  /// The driver writes a frame of one descriptor.
  func put(_ frame: [UInt8], command: UInt64 = Command.plain) {
    let buffer = TestMachine.buffer(driverTail)
    machine.write(frame, at: buffer)
    put(buffer, UInt64(frame.count) | command)
  }

  /// The driver writes a frame in pieces.
  func put(pieces: [[UInt8]]) {
    for (index, piece) in pieces.enumerated() {
      put(piece, command: index == pieces.count - 1 ? Command.plain : 1 << 25)
    }
  }

  func ring() -> RingFault? { rings.moveTail(to: driverTail) }

  func copy<Inspector: PacketInspector>(_ inspector: inout Inspector) -> UInt32 {
    _ = ring()
    return rings.copyPosted(inspecting: &inspector, clock: &clock, memory: machine.memory)
  }

  func send() -> [[UInt8]] { nic.send(on: rings.state.dpiQueue, machine: machine) }

  func complete() -> TransmitCompletions { rings.completeTransmitted(memory: machine.memory) }

  /// Which slots of the OS queue are marked done.
  var done: String {
    (0..<count).map { machine.words(TestMachine.queue, $0).1 & 1 << 32 != 0 ? "C" : "." }.joined(separator: " ")
  }
}
