import AllyDrivers
import AllyHW

/// The OS's side of the self-test: a NIC driver with queues of its own, which posts numbered frames and checks what comes
/// back. It knows nothing of the virtualizer but the registers.
struct SelfTestDriver {
  static let descriptorCount: UInt32 = 64
  static let bufferLength: UInt64 = 2048

  /// A write to a register, for the DPI core to handle.
  struct RegisterWrite {
    var offset: UInt32
    var value: UInt32
  }

  private let receiveRing: UInt64
  private let transmitRing: UInt64
  private let receiveBuffers: UInt64
  private let transmitBuffers: UInt64

  private var receiveNext: UInt32 = 0
  private var transmitNext: UInt32 = 0
  private var transmitClean: UInt32 = 0
  private(set) var nextToSend: UInt64 = 0
  private(set) var nextToArrive: UInt64 = 0
  private(set) var received: UInt64 = 0
  private(set) var wrong: UInt64 = 0

  /// Bytes of memory that the driver needs.
  static var byteCount: UInt64 { 8192 + 2 * UInt64(descriptorCount) * bufferLength }

  init(base: UInt64) {
    receiveRing = base
    transmitRing = base + 4096
    receiveBuffers = base + 8192
    transmitBuffers = receiveBuffers + UInt64(Self.descriptorCount) * Self.bufferLength
  }

  /// Empty queues, as after loading the driver; the registers to write, in order.
  mutating func start(memory: borrowing PhysicalMemory) -> InlineArray<12, RegisterWrite> {
    receiveNext = 0
    transmitNext = 0
    transmitClean = 0
    // What was under way in the old queues is gone.
    nextToArrive = nextToSend
    for slot in 0..<Self.descriptorCount { offer(slot, memory: memory) }
    let bytes = Self.descriptorCount * 16
    return [
      RegisterWrite(offset: E1000Registers.receiveBaseLow, value: UInt32(truncatingIfNeeded: receiveRing)),
      RegisterWrite(offset: E1000Registers.receiveBaseHigh, value: 0),
      RegisterWrite(offset: E1000Registers.receiveLength, value: bytes),
      RegisterWrite(offset: E1000Registers.receiveHead, value: 0),
      RegisterWrite(offset: E1000Registers.transmitBaseLow, value: UInt32(truncatingIfNeeded: transmitRing)),
      RegisterWrite(offset: E1000Registers.transmitBaseHigh, value: 0),
      RegisterWrite(offset: E1000Registers.transmitLength, value: bytes),
      RegisterWrite(offset: E1000Registers.transmitHead, value: 0),
      RegisterWrite(offset: E1000Registers.transmitTail, value: 0),
      // RCTL: enable, 2 KiB buffers, no frame check sequence. TCTL: enable.
      RegisterWrite(offset: E1000Registers.receiveControl, value: 1 << 26 | 2),
      RegisterWrite(offset: E1000Registers.transmitControl, value: 2),
      RegisterWrite(offset: E1000Registers.receiveTail, value: Self.descriptorCount - 1),
    ]
  }

  /// The registers to write to stop the NIC.
  var stop: InlineArray<2, RegisterWrite> {
    [
      RegisterWrite(offset: E1000Registers.receiveControl, value: 1 << 26),
      RegisterWrite(offset: E1000Registers.transmitControl, value: 0),
    ]
  }

  /// Posts up to `count` frames; the tail to write, or nil when the queue is full.
  mutating func post(_ count: UInt32, memory: borrowing PhysicalMemory) -> RegisterWrite? {
    cleanTransmitted(memory: memory)
    var posted: UInt32 = 0
    while posted < count, next(after: transmitNext) != transmitClean {
      let frame = SelfTestFrame(number: nextToSend)
      let buffer = PhysicalAddress(transmitBuffers + UInt64(transmitNext) * Self.bufferLength)
      for offset in 0..<frame.length {
        _ = memory.store(frame.byte(at: offset), at: buffer.advanced(by: UInt64(offset)))
      }
      let slot = PhysicalAddress(transmitRing + UInt64(transmitNext) * 16)
      _ = memory.store(buffer.rawValue, at: slot)
      // Length; end of packet, insert frame check sequence, report status (SDM 3.3.3).
      _ = memory.store(UInt64(frame.length) | 0x0B << 24, at: slot.advanced(by: 8))
      transmitNext = next(after: transmitNext)
      nextToSend &+= 1
      posted += 1
    }
    return posted > 0 ? RegisterWrite(offset: E1000Registers.transmitTail, value: transmitNext) : nil
  }

  /// Checks the frames that arrived and offers their buffers again; the tail to write, or nil when none arrived.
  mutating func collect(memory: borrowing PhysicalMemory) -> RegisterWrite? {
    var collected = false
    while true {
      let slot = PhysicalAddress(receiveRing + UInt64(receiveNext) * 16)
      let fields = memory.load(UInt64.self, at: slot.advanced(by: 8)) ?? 0
      guard fields >> 32 & 1 == 1 else { break }
      check(slot: receiveNext, length: Int(fields & 0xFFFF), errors: fields >> 40 & 0xFF, memory: memory)
      offer(receiveNext, memory: memory)
      receiveNext = next(after: receiveNext)
      collected = true
    }
    guard collected else { return nil }
    let last = receiveNext == 0 ? Self.descriptorCount - 1 : receiveNext - 1
    return RegisterWrite(offset: E1000Registers.receiveTail, value: last)
  }

  /// Whether all frames that were not to be dropped have come back.
  var isIdle: Bool {
    var frame = SelfTestFrame(number: nextToArrive)
    while frame.number < nextToSend, frame.isDropped { frame = SelfTestFrame(number: frame.number + 1) }
    return frame.number >= nextToSend
  }

  private mutating func check(slot: UInt32, length: Int, errors: UInt64, memory: borrowing PhysicalMemory) {
    while SelfTestFrame(number: nextToArrive).isDropped { nextToArrive &+= 1 }
    let frame = SelfTestFrame(number: nextToArrive)
    let buffer = PhysicalAddress(receiveBuffers + UInt64(slot) * Self.bufferLength)
    var isRight = errors == 0 && length == frame.length && frame.number < nextToSend
    var offset = 0
    while isRight, offset < length {
      isRight = memory.load(UInt8.self, at: buffer.advanced(by: UInt64(offset))) == frame.byte(at: offset)
      offset += 1
    }
    if isRight { received &+= 1 } else { wrong &+= 1 }
    nextToArrive &+= 1
  }

  private mutating func cleanTransmitted(memory: borrowing PhysicalMemory) {
    while transmitClean != transmitNext {
      let slot = PhysicalAddress(transmitRing + UInt64(transmitClean) * 16)
      guard (memory.load(UInt64.self, at: slot.advanced(by: 8)) ?? 0) >> 32 & 1 == 1 else { return }
      transmitClean = next(after: transmitClean)
    }
  }

  private func offer(_ slot: UInt32, memory: borrowing PhysicalMemory) {
    let place = PhysicalAddress(receiveRing + UInt64(slot) * 16)
    _ = memory.store(receiveBuffers + UInt64(slot) * Self.bufferLength, at: place)
    _ = memory.store(UInt64(0), at: place.advanced(by: 8))
  }

  private func next(after slot: UInt32) -> UInt32 { slot + 1 == Self.descriptorCount ? 0 : slot + 1 }
}
