import AllyHW
import AllyRings

/// Where a function's queues have their registers.
struct IGBQueueLayout {
  /// How many queues there are.
  var count: Int
  var receive: UInt32
  var transmit: UInt32
  /// From one queue to the next.
  var stride: UInt32
  /// Queues of which a register is reached at the older families' place as well, 0x100 apart.
  var aliases: Int

  static var physicalFunction: IGBQueueLayout {
    IGBQueueLayout(
      count: 16, receive: IGBRegisters.receiveQueue, transmit: IGBRegisters.transmitQueue, stride: 0x40, aliases: 4)
  }

  static var virtualFunction: IGBQueueLayout {
    IGBQueueLayout(
      count: 2, receive: IGBRegisters.oldReceiveQueue, transmit: IGBRegisters.oldTransmitQueue, stride: 0x100,
      aliases: 0)
  }

  /// The queue and the place in it that an offset names; nil when it names none.
  func place(_ offset: UInt32) -> (isTransmit: Bool, queue: Int, place: UInt32)? {
    for isTransmit in [false, true] {
      let first = isTransmit ? transmit : receive
      let old = isTransmit ? IGBRegisters.oldTransmitQueue : IGBRegisters.oldReceiveQueue
      if offset >= first, offset < first + UInt32(count) * stride, (offset - first) % stride < 0x40 {
        return (isTransmit, Int((offset - first) / stride), (offset - first) % stride)
      }
      if offset >= old, offset < old + UInt32(aliases) * 0x100, offset & 0xFF < 0x40 {
        return (isTransmit, Int((offset - old) / 0x100), offset & 0xFF)
      }
    }
    return nil
  }

  func first(_ queue: Int, isTransmit: Bool) -> UInt32 {
    (isTransmit ? transmit : receive) + UInt32(queue) * stride
  }
}

/// The queues of an 82576's function as the OS has programmed them (82576 datasheet 8.10.5 to 8.10.10, 8.12.8 to 8.12.14), and
/// how the NIC is pointed at their twins.
struct IGBQueues: BitwiseCopyable, Sendable {
  // The control of a queue is its RXDCTL or TXDCTL.
  private(set) var receive = InlineArray<16, IntelQueueRegisters>(repeating: IntelQueueRegisters())
  private(set) var transmit = InlineArray<16, IntelQueueRegisters>(repeating: IntelQueueRegisters())
  /// SRRCTL.
  private(set) var splitControl = InlineArray<16, UInt32>(repeating: 0)

  private enum Place {
    static let splitControl: UInt32 = 0x0C
    static let head: UInt32 = 0x10
    static let tail: UInt32 = 0x18
    static let control: UInt32 = 0x28
  }

  /// After a reset the first queue of a physical function is enabled (8.10.10, 8.12.14).
  init(enablesFirst: Bool) {
    guard enablesFirst else { return }
    receive[0].control = IGBBits.queueEnable
    transmit[0].control = IGBBits.queueEnable
  }

  // MARK: What the OS has programmed

  /// A queue exists once it has a length.
  private static func isEnabled(_ queue: IntelQueueRegisters) -> Bool {
    queue.control & IGBBits.queueEnable != 0 && queue.length != 0
  }

  func receiveQueue(_ queue: Int, isEnabled: Bool, bufferLength: UInt32, trailerLength: UInt32) -> ProgrammedQueue {
    // SRRCTL.BSIZEPACKET is in KiB; 0 leaves it to RCTL.
    let size = (splitControl[queue] & 0x7F) * 1024
    return receive[queue].programmed(
      isEnabled: isEnabled && Self.isEnabled(receive[queue]), bufferLength: size == 0 ? bufferLength : size,
      trailerLength: trailerLength,
      hasKnownFormat: splitControl[queue] & IGBBits.descriptorType == IGBBits.advancedOneBuffer)
  }

  func transmitQueue(_ queue: Int, isEnabled: Bool) -> ProgrammedQueue {
    transmit[queue].programmed(isEnabled: isEnabled && Self.isEnabled(transmit[queue]))
  }

  /// The queues that the OS uses, or did until the NIC is told.
  var receiveQueues: QueueSet {
    var set = QueueSet()
    for queue in 0..<16 where receive[queue].length != 0 || receive[queue].isStarted {
      set.formUnion(QueueSet(queue))
    }
    return set
  }

  var transmitQueues: QueueSet {
    var set = QueueSet()
    for queue in 0..<16 where transmit[queue].length != 0 || transmit[queue].isStarted {
      set.formUnion(QueueSet(queue))
    }
    return set
  }

  /// RCTL or TCTL was written: nobody is in the middle of a change any more. True when somebody was.
  mutating func endReceiveChanges() -> Bool {
    var was = false
    for queue in 0..<16 where receive[queue].isChanging {
      receive[queue].isChanging = false
      was = true
    }
    return was
  }

  mutating func endTransmitChanges() -> Bool {
    var was = false
    for queue in 0..<16 where transmit[queue].isChanging {
      transmit[queue].isChanging = false
      was = true
    }
    return was
  }

  // MARK: Writes of the OS

  /// A write to a queue's register; nil when the offset is none. `isEnabled` tells whether RCTL or TCTL enable the direction.
  mutating func write(
    _ offset: UInt32, _ value: UInt32, layout: IGBQueueLayout, isEnabled: (_ isTransmit: Bool) -> Bool,
    registers: RegisterFile
  ) -> RegisterEffects? {
    guard let (isTransmit, queue, place) = layout.place(offset) else { return nil }
    let effects =
      isTransmit
      ? writeTransmit(queue, place, value, layout, isEnabled(true), registers)
      : writeReceive(queue, place, value, layout, isEnabled(false), registers)
    storeShadows(queue, isTransmit: isTransmit, layout: layout, registers)
    return effects
  }

  private mutating func writeReceive(
    _ queue: Int, _ place: UInt32, _ value: UInt32, _ layout: IGBQueueLayout, _ isEnabled: Bool,
    _ registers: RegisterFile
  ) -> RegisterEffects {
    switch place {
    case Place.splitControl:
      let isSame = splitControl[queue] == value
      splitControl[queue] = value
      return isSame || !Self.isEnabled(receive[queue]) ? .none : .receiveQueue(queue)
    case Place.control:
      return Self.writeControl(&receive[queue], value) ? .receiveQueue(queue) : .none
    default:
      switch receive[queue].write(
        place, value, isEnabled: isEnabled && Self.isEnabled(receive[queue]),
        first: layout.first(queue, isTransmit: false), registers: registers)
      {
      case .nothing: return .none
      case .tail: return .receiveTail(queue)
      case .queue: return .receiveQueue(queue)
      }
    }
  }

  private mutating func writeTransmit(
    _ queue: Int, _ place: UInt32, _ value: UInt32, _ layout: IGBQueueLayout, _ isEnabled: Bool,
    _ registers: RegisterFile
  ) -> RegisterEffects {
    guard place != Place.control else {
      return Self.writeControl(&transmit[queue], value) ? .transmitQueue(queue) : .none
    }
    switch transmit[queue].write(
      place, value, isEnabled: isEnabled && Self.isEnabled(transmit[queue]),
      first: layout.first(queue, isTransmit: true), registers: registers)
    {
    case .nothing: return .none
    case .tail: return .transmitTail(queue)
    case .queue: return .transmitQueue(queue)
    }
  }

  /// RXDCTL or TXDCTL; true when the queue starts, stops or ends a change.
  private static func writeControl(_ queue: inout IntelQueueRegisters, _ value: UInt32) -> Bool {
    let isSame = (queue.control ^ value) & IGBBits.queueEnable == 0 && !queue.isChanging
    queue.control = value & ~IGBBits.flush
    queue.isChanging = false
    return !isSame
  }

  // MARK: Shadow copies

  func storeShadows(_ queue: Int, isTransmit: Bool, layout: IGBQueueLayout, _ registers: RegisterFile) {
    let state = isTransmit ? transmit[queue] : receive[queue]
    let old = (isTransmit ? IGBRegisters.oldTransmitQueue : IGBRegisters.oldReceiveQueue) + UInt32(queue) * 0x100
    let first = layout.first(queue, isTransmit: isTransmit)
    for place in [first, queue < layout.aliases ? old : first] {
      state.storeShadows(at: place, registers)
      registers.store(state.control, at: place + Place.control)
      if !isTransmit { registers.store(splitControl[queue], at: place + Place.splitControl) }
    }
  }

  func storeShadows(layout: IGBQueueLayout, _ registers: RegisterFile) {
    for queue in 0..<layout.count {
      storeShadows(queue, isTransmit: false, layout: layout, registers)
      storeShadows(queue, isTransmit: true, layout: layout, registers)
    }
  }

  mutating func setReceiveHead(_ queue: Int, _ head: UInt32, layout: IGBQueueLayout, _ registers: RegisterFile) {
    receive[queue].head = head
    storeHead(head, queue, isTransmit: false, layout, registers)
  }

  mutating func setTransmitHead(_ queue: Int, _ head: UInt32, layout: IGBQueueLayout, _ registers: RegisterFile) {
    transmit[queue].head = head
    storeHead(head, queue, isTransmit: true, layout, registers)
  }

  private func storeHead(
    _ head: UInt32, _ queue: Int, isTransmit: Bool, _ layout: IGBQueueLayout, _ registers: RegisterFile
  ) {
    registers.store(head, at: layout.first(queue, isTransmit: isTransmit) + Place.head)
    guard queue < layout.aliases else { return }
    let old = isTransmit ? IGBRegisters.oldTransmitQueue : IGBRegisters.oldReceiveQueue
    registers.store(head, at: old + UInt32(queue) * 0x100 + Place.head)
  }

  // MARK: The real NIC

  var receives: Bool { (0..<16).contains { receive[$0].isStarted } }
  var transmits: Bool { (0..<16).contains { transmit[$0].isStarted } }

  mutating func startReceive<NIC: NICDevice & ~Copyable>(
    _ queue: Int, on twin: DescriptorQueue, layout: IGBQueueLayout, nic: inout NIC
  ) {
    let first = layout.first(queue, isTransmit: false)
    IntelQueueRegisters.program(twin, first: first, on: &nic)
    nic.write(first + Place.splitControl, splitControl[queue])
    receive[queue].isStarted = true
    Self.enable(receive[queue].control, twin, first: first, on: &nic)
  }

  mutating func startTransmit<NIC: NICDevice & ~Copyable>(
    _ queue: Int, on twin: DescriptorQueue, layout: IGBQueueLayout, nic: inout NIC
  ) {
    let first = layout.first(queue, isTransmit: true)
    IntelQueueRegisters.program(twin, first: first, on: &nic)
    transmit[queue].isStarted = true
    Self.enable(transmit[queue].control, twin, first: first, on: &nic)
  }

  /// The tail counts once the queue is enabled (4.5.9).
  private static func enable<NIC: NICDevice & ~Copyable>(
    _ control: UInt32, _ twin: DescriptorQueue, first: UInt32, on nic: inout NIC
  ) {
    nic.write(first + Place.control, control | IGBBits.queueEnable)
    nic.write(first + Place.tail, twin.tail)
  }

  mutating func stopReceive<NIC: NICDevice & ~Copyable>(_ queue: Int, layout: IGBQueueLayout, nic: inout NIC) {
    receive[queue].isStarted = false
    Self.release(layout.first(queue, isTransmit: false), on: &nic)
  }

  mutating func stopTransmit<NIC: NICDevice & ~Copyable>(_ queue: Int, layout: IGBQueueLayout, nic: inout NIC) {
    transmit[queue].isStarted = false
    Self.release(layout.first(queue, isTransmit: true), on: &nic)
  }

  private static func release<NIC: NICDevice & ~Copyable>(_ first: UInt32, on nic: inout NIC) {
    nic.write(first + Place.control, 0)
    for place in [Place.tail, Place.head, 0x08] { nic.write(first + place, 0) }
  }
}
