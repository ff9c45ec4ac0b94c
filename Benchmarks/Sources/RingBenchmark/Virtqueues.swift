import AllyHW
import AllyPacket
import AllyRings

/// A transport of nothing but two queues: what the OS has programmed, and where their twins are.
struct PlainVirtqueues: VirtqueueDriver {
  static var registers: [RegisterRange] { [] }
  static var queuePairs: Int { 1 }

  var receive = ProgrammedVirtqueue()
  var transmit = ProgrammedVirtqueue()
  var twins: InlineArray<2, ProgrammedVirtqueue> = .init(repeating: ProgrammedVirtqueue())

  func queue(_ index: Int) -> ProgrammedVirtqueue { index == 0 ? receive : transmit }
  var controlQueue: Int? { nil }
  var isLive: Bool { true }
  var mergesBuffers: Bool { true }
  var receiveBufferLength: UInt32 { 2048 }

  mutating func attach<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) {}

  /// A write to register 0 enables the queue of its value, which is at the beginning of OS memory.
  mutating func handle<NIC: NICDevice & ~Copyable>(
    _ access: RedirectedAccess, registers: RegisterFile, nic: inout NIC
  ) -> VirtqueueSet {
    let queue = Int(access.value)
    if queue == 0 { receive = VirtqueueHarness.programmed } else { transmit = VirtqueueHarness.programmed }
    return VirtqueueSet(queue)
  }

  func maximumSize<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC) -> UInt32 { descriptors }
  mutating func startQueue<NIC: NICDevice & ~Copyable>(
    _ queue: Int, on twin: ProgrammedVirtqueue, nic: inout NIC
  ) { twins[queue] = twin }
  func notify<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC) {}
  mutating func takeInterrupt<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) -> Bool { false }
  mutating func noteUsed(_ queue: Int, registers: RegisterFile) {}
  mutating func noteBroken(registers: RegisterFile) {}
  mutating func takeOSInterrupts(
    at now: UInt64, by delivery: InterruptDelivery, registers: RegisterFile
  ) -> NICInterrupts { NICInterrupts() }
}

/// A NIC without registers.
struct NoRegisters: NICDevice {
  mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 { 0 }
  mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {}
}

/// A driver's and a NIC's part of moving one batch over split virtqueues, a buffer of one descriptor for each frame. Not
/// inlined, so that both kinds of run execute the same code.
@safe
struct VirtqueueHarness {
  /// A queue's three parts.
  @safe
  struct Place {
    let table: UnsafeMutablePointer<(UInt64, UInt64)>
    let available: UnsafeMutablePointer<UInt16>
    let used: UnsafeMutablePointer<UInt16>
  }

  /// The OS's queue, at the beginning of its memory.
  static var programmed: ProgrammedVirtqueue {
    var queue = ProgrammedVirtqueue()
    queue.size = descriptors
    queue.driverArea = BusAddress(0x4000)
    queue.deviceArea = BusAddress(0x8000)
    queue.isEnabled = true
    return queue
  }

  /// The virtio header and the frame.
  static var length: UInt64 { frameLength &+ 12 }

  var posted: UInt16 = 0
  var taken: UInt16 = 0
  var completed: UInt16 = 0

  @inline(never)
  mutating func post(_ count: UInt32, on queue: Place, buffers: UInt64, isWritable: Bool) {
    for _ in 0..<count {
      let slot = Int(UInt32(posted) & (descriptors &- 1))
      unsafe queue.table[slot].0 = buffers &+ UInt64(slot) &* 2048
      unsafe queue.table[slot].1 = isWritable ? 2048 | 2 << 32 : Self.length
      unsafe queue.available[2 &+ slot] = UInt16(slot)
      posted &+= 1
    }
    unsafe queue.available[1] = posted
  }

  @inline(never)
  mutating func complete(on queue: Place) {
    for _ in 0..<batch {
      let slot = Int(UInt32(completed) & (descriptors &- 1))
      let head = unsafe queue.available[2 &+ slot]
      unsafe queue.used[2 &+ 4 &* slot] = head
      unsafe queue.used[2 &+ 4 &* slot &+ 2] = UInt16(Self.length)
      completed &+= 1
    }
    unsafe queue.used[1] = completed
  }

  @inline(never)
  mutating func take(from queue: Place) -> UInt64 {
    let before = taken
    while unsafe taken != queue.used[1], taken &- before < UInt16(batch) { taken &+= 1 }
    return UInt64(taken &- before)
  }
}

extension Machine {
  /// Where a virtqueue's parts are in this process.
  func place(of queue: ProgrammedVirtqueue) -> VirtqueueHarness.Place {
    func part(_ address: BusAddress, _ length: UInt64) -> UnsafeMutableRawPointer {
      guard let place = unsafe memory.pointer(at: PhysicalAddress(address.rawValue), length: length, for: .readWrite)
      else { fatalError("the queue is not in memory") }
      return unsafe place
    }
    let size = UInt64(queue.size)
    return unsafe VirtqueueHarness.Place(
      table: part(queue.descriptors, 16 * size).assumingMemoryBound(to: (UInt64, UInt64).self),
      available: part(queue.driverArea, 6 + 2 * size).assumingMemoryBound(to: UInt16.self),
      used: part(queue.deviceArea, 6 + 8 * size).assumingMemoryBound(to: UInt16.self))
  }
}

func moveVirtqueues(isReceive: Bool, frames: UInt64, isVirtual: Bool) -> UInt64 {
  let machine = Machine(dpiLength: 0x400_0000)
  var harness = VirtqueueHarness()
  var moved: UInt64 = 0
  let os = machine.place(of: VirtqueueHarness.programmed)
  guard isVirtual else {
    if isReceive { harness.post(descriptors - 1, on: os, buffers: machine.buffers, isWritable: true) }
    for _ in 0..<(frames / UInt64(batch)) {
      if !isReceive { harness.post(batch, on: os, buffers: machine.buffers, isWritable: false) }
      harness.complete(on: os)
      moved &+= harness.take(from: os)
      if isReceive { harness.post(batch, on: os, buffers: machine.buffers, isWritable: true) }
    }
    return moved
  }
  var inspector = AcceptAll()
  var receiveClock = CountingClock()
  var transmitClock = CountingClock()
  var nic = NoRegisters()
  do {
    let region = machine.region
    let rings = DPIRegion(base: region.base.advanced(by: 0x1000), length: region.length - 0x1000)
    guard let registers = unsafe RegisterFile(at: region.base, length: 0x1000, in: machine.memory) else { return 0 }
    var virtualizer = try VirtqueueVirtualizer<PlainVirtqueues>(
      region: rings, memory: machine.memory, partition: machine.partition, protection: .inPlace)
    let queue = isReceive ? 0 : 1
    virtualizer.handle(
      RedirectedAccess(offset: 0, width: .doubleWord, isWrite: true, value: UInt64(queue)), memory: machine.memory,
      registers: registers, nic: &nic)
    let twin = machine.place(of: virtualizer.driver.twins[queue])
    func pass() {
      virtualizer.service(
        queue: 0, inspecting: &inspector, receiveClock: &receiveClock, transmitClock: &transmitClock,
        memory: machine.memory, registers: registers, nic: &nic)
    }
    if isReceive {
      harness.post(descriptors - 1, on: os, buffers: machine.buffers, isWritable: true)
      pass()
    }
    for _ in 0..<(frames / UInt64(batch)) {
      if !isReceive {
        harness.post(batch, on: os, buffers: machine.buffers, isWritable: false)
        pass()
      }
      harness.complete(on: twin)
      pass()
      moved &+= harness.take(from: os)
      if isReceive { harness.post(batch, on: os, buffers: machine.buffers, isWritable: true) }
    }
    return receiveClock.count + transmitClock.count == frames ? moved : 0
  } catch {
    print("cannot set up: \(error)")
    return 0
  }
}
