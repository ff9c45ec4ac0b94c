import AllyDrivers
import AllyHW
import AllyRings

/// A NIC of the 8254x family whose wire leads back to itself: what it fetches from the transmit queue it writes to the
/// receive queue. As much of it as the driver module touches.
struct LoopbackNIC: NICDevice, ~Copyable {
  private struct Queue {
    var base: UInt64 = 0
    var length: UInt32 = 0
    var head: UInt32 = 0
    var tail: UInt32 = 0
    var isEnabled = false

    var count: UInt32 { length / 16 }
    var isEmpty: Bool { !isEnabled || count == 0 || head == tail }
    var slot: PhysicalAddress { PhysicalAddress(base &+ UInt64(head) &* 16) }

    mutating func advance() { head = head &+ 1 >= count ? 0 : head &+ 1 }

    mutating func write(_ value: UInt32, at offset: UInt32) {
      switch offset {
      case 0x00: base = base & ~0xFFFF_FFFF | UInt64(value)
      case 0x04: base = base & 0xFFFF_FFFF | UInt64(value) << 32
      case 0x08: length = value
      case 0x10: head = value
      case 0x18: tail = value
      default: break
      }
    }
  }

  private var receive = Queue()
  private var transmit = Queue()

  init() {}

  mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 { 0 }

  mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    let value = UInt32(truncatingIfNeeded: value)
    switch offset {
    case E1000Registers.receiveControl: receive.isEnabled = value & 2 != 0
    case E1000Registers.transmitControl: transmit.isEnabled = value & 2 != 0
    case E1000Registers.receiveBaseLow...E1000Registers.receiveTail:
      receive.write(value, at: offset &- E1000Registers.receiveBaseLow)
    case E1000Registers.transmitBaseLow...E1000Registers.transmitTail:
      transmit.write(value, at: offset &- E1000Registers.transmitBaseLow)
    default: break
    }
  }

  /// Carries frames of one descriptor each until one of the queues is empty.
  mutating func run(memory: borrowing PhysicalMemory) {
    while !transmit.isEmpty, !receive.isEmpty {
      let source = E1000TransmitDescriptor(
        address: memory.load(UInt64.self, at: transmit.slot) ?? 0,
        fields: memory.load(UInt64.self, at: transmit.slot.advanced(by: 8)) ?? 0)
      let length = UInt64(source.length)
      let buffer = memory.load(UInt64.self, at: receive.slot) ?? 0
      guard let from = unsafe memory.pointer(at: PhysicalAddress(source.address), length: length, for: .read),
        let to = unsafe memory.pointer(at: PhysicalAddress(buffer), length: length, for: .write)
      else { return }
      unsafe to.copyMemory(from: from, byteCount: Int(length))

      let completion = E1000ReceiveDescriptor(
        ReceiveCompletion(length: UInt32(length), endsFrame: true), buffer: BusAddress(buffer))
      _ = memory.store(completion.fields, at: receive.slot.advanced(by: 8))
      receive.advance()
      if source.reportsCompletion {
        var completed = source
        completed.isCompleted = true
        _ = memory.store(completed.fields, at: transmit.slot.advanced(by: 8))
      }
      transmit.advance()
    }
  }
}
