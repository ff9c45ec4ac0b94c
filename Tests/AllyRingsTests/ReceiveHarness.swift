import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings

typealias E1000Receive = ReceiveVirtualizer<E1000ReceiveDescriptor, E1000ReceiveDescriptor>

/// A driver, a virtualizer and a NIC around one receive queue.
final class ReceiveHarness {
  var machine: TestMachine
  var rings: E1000Receive
  var nic = PlainNIC()
  var clock = CountingClock()
  let count: UInt32
  /// The driver's own view of its queue.
  var driverHead: UInt32 = 0
  var driverTail: UInt32 = 0

  init(
    count: UInt32 = 8, protection: PacketProtection = .inPlace, limits: RingLimits = RingLimits(),
    programmed: ProgrammedQueue? = nil
  ) throws {
    machine = TestMachine()
    self.count = count
    rings = try E1000Receive(
      region: machine.region, memory: machine.memory, partition: machine.partition, limits: limits)
    _ = rings.start(
      programmed ?? machine.programmed(count: count), rules: E1000Driver.queueRules, protection: protection,
      memory: machine.memory)
  }

  /// The driver posts the next `slots` slots and writes the tail.
  func post(_ slots: UInt32, buffer: ((UInt32) -> UInt64)? = nil) {
    for _ in 0..<slots {
      machine.store((buffer?(driverTail) ?? TestMachine.buffer(driverTail), 0), TestMachine.queue, driverTail)
      driverTail = (driverTail + 1) % count
    }
    _ = rings.moveTail(to: driverTail)
  }

  func copyPosted() -> UInt32 { rings.copyPosted(memory: machine.memory) }

  func arrive(_ frame: [UInt8]) -> Bool {
    nic.receive(
      frame, on: rings.state.dpiQueue, bufferLength: rings.state.receive.bufferLength, machine: machine)
  }

  func publish<Inspector: PacketInspector>(_ inspector: inout Inspector) -> PublishResult {
    rings.publishCompleted(inspecting: &inspector, clock: &clock, memory: machine.memory)
  }

  /// The driver takes what is completed, as a stock driver does: frames with errors are discarded.
  func take() -> [[UInt8]] {
    var frames: [[UInt8]] = []
    var frame: [UInt8] = []
    while driverHead != driverTail {
      let (address, fields) = machine.words(TestMachine.queue, driverHead)
      guard fields & 1 << 32 != 0 else { break }
      frame += machine.read(Int(fields & 0xFFFF), at: address)
      if fields & 1 << 33 != 0 {
        if fields & 0x97 << 40 == 0 { frames.append(Array(frame.dropLast(4))) }
        frame = []
      }
      driverHead = (driverHead + 1) % count
    }
    return frames
  }

  /// `. empty   P posted   C completed   X dropped`, slot by slot, then the pointers.
  var picture: String {
    let state = rings.state
    return "OS \(row(state.osQueue)) | DPI \(row(state.dpiQueue))"
  }

  private func row(_ queue: DescriptorQueue) -> String {
    var marks: [String] = []
    for slot in 0..<queue.count {
      let fields = machine.words(queue.base, slot).1
      let isPosted = queue.distance(from: queue.head, to: slot) < queue.outstanding
      if queue.base != TestMachine.queue, fields == 0xD1D1_D1D1_D1D1_D1D1 {
        marks.append(".")
      } else if fields & 1 << 32 != 0 {
        marks.append(fields & 0x97 << 40 == 0 ? "C" : "X")
      } else {
        marks.append(isPosted ? "P" : ".")
      }
    }
    return "\(marks.joined(separator: " "))  h\(queue.head) t\(queue.tail)"
  }
}
