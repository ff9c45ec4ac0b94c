public import AllyHW
public import AllyPacket

/// A virtio network device, virtualized: pairs of virtqueues between the OS and the NIC, and the control queue.
///
/// All state, the driver's included, is in the DPI memory that it was given; ``RingStart/resuming`` takes it up.
@frozen
@safe
public struct VirtqueueVirtualizer<Driver: VirtqueueDriver>: NICVirtualizer, ~Copyable {
  /// How well frames are protected on queues that start from now on.
  public var protection: PacketProtection
  @usableFromInline let saved: UnsafeMutablePointer<SavedVirtqueueDriver<Driver>>
  @usableFromInline let limits: RingLimits
  /// Invariant: `Driver.queuePairs` of each are initialized, and this value owns them.
  @usableFromInline let receivers: UnsafeMutablePointer<VirtqueueReceiver>
  @usableFromInline let transmitters: UnsafeMutablePointer<VirtqueueTransmitter>
  @usableFromInline var relay: VirtqueueRelay
  /// Where queues begin when they are enabled next.
  private var beginnings: InlineArray<30, VirtqueuePosition?> = .init(repeating: nil)

  public static var registers: [RegisterRange] { Driver.registers }

  public static func requiredMemory(limits: RingLimits) -> UInt64 {
    unsafe pageSize &+ VirtqueueMemory.requiredLength(VirtqueueRelay.limits)
      &+ 2 &* UInt64(Driver.queuePairs) &* VirtqueueMemory.requiredLength(limits)
  }

  /// What an OS driver sees of a received frame that was dropped in place: virtqueues complete in any order, so nothing.
  public static var receiveDrop: ReceiveDropAppearance { .bufferKept }

  /// All of them when there is memory for frames; in place a received frame has the buffers that it came in.
  public static func supportedActions(at protection: PacketProtection, limits: RingLimits) -> InspectorActions {
    guard limits.copyMemory > 0 else { return [] }
    return protection == .inPlace ? [.replacesReceived, .replacesTransmitted, .injectsTowardsWire] : .all
  }

  public init(
    region: DPIRegion, memory: borrowing PhysicalMemory, partition: Partition, limits: RingLimits = RingLimits(),
    protection: PacketProtection, start: RingStart = .fresh
  ) throws(RingSetupError) {
    guard Self.supports(protection) else { throw .protection }
    guard (1...15).contains(Driver.queuePairs), MemoryLayout<SavedVirtqueueDriver<Driver>>.size <= Int(pageSize),
      protection == .inPlace || limits.copyMemory > 0, limits.maximumDescriptors >= 8,
      limits.maximumDescriptors <= 1 << 20, limits.maximumFrameLength <= 1 << 30, limits.copyMemory <= 1 << 40
    else { throw .limits }
    let needed = Self.requiredMemory(limits: limits)
    guard region.length >= needed else { throw .memoryTooSmall(needed: needed) }
    guard region.base.rawValue % pageSize == 0,
      let place = unsafe memory.pointer(at: region.base, length: needed, for: .readWrite),
      UInt(bitPattern: place) % 16 == 0
    else { throw .memoryUnusable }
    guard partition.isDPI(region.base), partition.isDPI(region.base.advanced(by: needed &- 1)) else {
      throw .memoryOutsideDPIMemory
    }
    let saved = unsafe place.assumingMemoryBound(to: SavedVirtqueueDriver<Driver>.self)
    if start == .resuming {
      guard unsafe saved.pointee.isValid(limits) else { throw .noState }
    } else {
      unsafe saved.initialize(to: SavedVirtqueueDriver(driver: Driver(), limits: limits))
    }
    var offset = pageSize
    let relayLength = unsafe VirtqueueMemory.requiredLength(VirtqueueRelay.limits)
    let length = unsafe VirtqueueMemory.requiredLength(limits)
    relay = unsafe VirtqueueRelay(
      memory: VirtqueueMemory(
        base: place + Int(offset), address: region.base.advanced(by: offset), limits: VirtqueueRelay.limits,
        start: start),
      partition: partition, start: start)
    offset &+= relayLength
    unsafe receivers = .allocate(capacity: Driver.queuePairs)
    unsafe transmitters = .allocate(capacity: Driver.queuePairs)
    for pair in 0..<Driver.queuePairs {
      let receive = unsafe VirtqueueMemory(
        base: place + Int(offset), address: region.base.advanced(by: offset), limits: limits, start: start)
      offset &+= length
      let transmit = unsafe VirtqueueMemory(
        base: place + Int(offset), address: region.base.advanced(by: offset), limits: limits, start: start)
      offset &+= length
      unsafe (receivers + pair).initialize(
        to: VirtqueueReceiver(memory: receive, partition: partition, queue: UInt16(pair), start: start))
      unsafe (transmitters + pair).initialize(
        to: VirtqueueTransmitter(memory: transmit, partition: partition, queue: UInt16(pair), start: start))
    }
    self.protection = protection
    self.limits = limits
    unsafe self.saved = saved
  }

  deinit {
    unsafe receivers.deinitialize(count: Driver.queuePairs)
    unsafe receivers.deallocate()
    unsafe transmitters.deinitialize(count: Driver.queuePairs)
    unsafe transmitters.deallocate()
  }

  /// What the OS has programmed so far.
  public var driver: Driver { unsafe saved.pointee.driver }

  @inlinable public var queuePairs: Int { Driver.queuePairs }

  public func counters(queue: Int) -> QueuePairCounters {
    precondition(queue >= 0 && queue < Driver.queuePairs, "there is no such queue pair")
    return unsafe QueuePairCounters(receive: receivers[queue].counters, transmit: transmitters[queue].counters)
  }

  public mutating func attach<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) {
    unsafe saved.pointee.driver.attach(registers: registers, nic: &nic)
  }

  /// Takes up the NIC's queues after ``RingStart/resuming``: tells the NIC of every queue, of which it may have missed the
  /// last time.
  public mutating func resume<NIC: NICDevice & ~Copyable>(on nic: inout NIC) {
    guard driver.isLive else { return }
    for queue in 0..<(2 &* Driver.queuePairs) where driver.queue(queue).isEnabled { driver.notify(queue, nic: &nic) }
    if let control = driver.controlQueue, driver.queue(control).isEnabled { driver.notify(control, nic: &nic) }
  }

  // MARK: - What the OS does to registers

  public mutating func handle<NIC: NICDevice & ~Copyable>(
    _ access: RedirectedAccess, memory: borrowing PhysicalMemory, registers: RegisterFile, nic: inout NIC
  ) {
    var changed = unsafe saved.pointee.driver.handle(access, registers: registers, nic: &nic)
    while let queue = changed.removeFirst() { restart(queue, memory: memory, nic: &nic) }
  }

  /// Lets go of a queue, and takes up the one that the OS has programmed now, if any. A queue that cannot be served stays
  /// stopped, and its fault is counted.
  private mutating func restart<NIC: NICDevice & ~Copyable>(
    _ queue: Int, memory: borrowing PhysicalMemory, nic: inout NIC
  ) {
    var programmed = driver.queue(queue)
    let isControl = queue == driver.controlQueue
    guard programmed.isEnabled else {
      if queue < 2 &* Driver.queuePairs {
        if queue & 1 == 0 { unsafe receivers[queue / 2].stop() } else { unsafe transmitters[queue / 2].stop() }
      }
      // Without features there is no telling which number the control queue had.
      if isControl || queue >= 2 { relay.stop() }
      return
    }
    guard isControl || queue < 2 &* Driver.queuePairs else { return }
    if queue < 2 &* Driver.queuePairs {
      programmed.beginning = beginnings[queue]
      beginnings[queue] = nil
    }
    let most = min(driver.maximumSize(queue, nic: &nic), 32768)
    guard most > 1 else { return }
    let capacity =
      isControl ? unsafe VirtqueueMemory.capacity(VirtqueueRelay.limits) : unsafe VirtqueueMemory.capacity(limits)
    // The largest power of two.
    let size = min(capacity, 1 << (31 &- UInt32(most.leadingZeroBitCount)))
    let fault: RingFault?
    let twin: ProgrammedVirtqueue
    if isControl {
      fault = relay.start(programmed, nicSize: size, limits: limits, memory: memory)
      twin = relay.nic.programmed
    } else if queue & 1 == 0 {
      fault = unsafe receivers[queue / 2].start(
        programmed, nicSize: size, mergesBuffers: driver.mergesBuffers, bufferLength: driver.receiveBufferLength,
        protection: protection, memory: memory)
      twin = unsafe receivers[queue / 2].nic.programmed
    } else {
      fault = unsafe transmitters[queue / 2].start(programmed, nicSize: size, protection: protection, memory: memory)
      twin = unsafe transmitters[queue / 2].nic.programmed
    }
    if fault == nil { unsafe saved.pointee.driver.startQueue(queue, on: twin, nic: &nic) }
  }

  // MARK: - What the NIC does

  @discardableResult
  public mutating func takeInterrupt<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) -> Bool {
    unsafe saved.pointee.driver.takeInterrupt(registers: registers, nic: &nic)
  }

  @discardableResult
  @inlinable
  public mutating func service<
    Inspector: PacketInspector & ~Copyable, ReceiveClock: FrameClock & ~Copyable,
    TransmitClock: FrameClock & ~Copyable, NIC: NICDevice & ~Copyable
  >(
    queue: Int, inspecting inspector: inout Inspector, receiveClock: inout ReceiveClock,
    transmitClock: inout TransmitClock, memory: borrowing PhysicalMemory, registers: RegisterFile, nic: inout NIC
  ) -> ServiceResult {
    precondition(queue >= 0 && queue < Driver.queuePairs, "there is no such queue pair")
    var result = ServiceResult()
    guard unsafe saved.pointee.driver.isLive else { return result }
    if queue == 0, serviceControl(memory: memory, registers: registers, nic: &nic) { result.hasMoved = true }
    let hasAnswers = !Inspector.actions.isEmpty
    let towardsWire = unsafe hasAnswers ? transmitters[queue].outbox : FrameOutbox()
    let received = unsafe receivers[queue].service(
      inspecting: &inspector, towardsWire: towardsWire, clock: &receiveClock, memory: memory)
    if conclude(received, queue: 2 &* queue, registers: registers, nic: &nic) { result.hasMoved = true }
    let towardsOS = unsafe hasAnswers ? receivers[queue].outbox : FrameOutbox()
    let sent = unsafe transmitters[queue].service(
      inspecting: &inspector, towardsOS: towardsOS, clock: &transmitClock, memory: memory)
    if conclude(sent, queue: 2 &* queue &+ 1, registers: registers, nic: &nic) { result.hasMoved = true }
    result.received = received.frames
    result.transmitted = sent.frames
    // A descriptor has 16 bytes (virtio 1.2, §2.7.5 and §2.8.13).
    result.descriptorBytes = 16 &* (received.descriptors &+ sent.descriptors)
    return result
  }

  @usableFromInline
  mutating func serviceControl<NIC: NICDevice & ~Copyable>(
    memory: borrowing PhysicalMemory, registers: RegisterFile, nic: inout NIC
  ) -> Bool {
    guard let control = driver.controlQueue else { return false }
    let pass = relay.service(memory: memory)
    return conclude(pass, queue: control, registers: registers, nic: &nic)
  }

  /// Tells the NIC and the OS's interrupt side what a pass calls for.
  @usableFromInline
  mutating func conclude<NIC: NICDevice & ~Copyable>(
    _ pass: VirtqueuePass, queue: Int, registers: RegisterFile, nic: inout NIC
  ) -> Bool {
    if pass.notifiesNIC { unsafe saved.pointee.driver.notify(queue, nic: &nic) }
    if pass.interruptsOS { unsafe saved.pointee.driver.noteUsed(queue, registers: registers) }
    if pass.hasBroken { unsafe saved.pointee.driver.noteBroken(registers: registers) }
    return pass.hasMoved
  }

  // MARK: - What the OS hears

  public mutating func takeOSInterrupts(
    at now: UInt64, by delivery: InterruptDelivery = .pin, registers: RegisterFile
  ) -> NICInterrupts {
    unsafe saved.pointee.driver.takeOSInterrupts(at: now, by: delivery, registers: registers)
  }

  /// A virtio device has no rate limit.
  public var nextOSInterrupt: UInt64? { nil }
}

extension VirtqueueVirtualizer: PositionedVirtqueues {
  public func position(ofQueue queue: Int) -> VirtqueuePosition? {
    guard (0..<(2 &* Driver.queuePairs)).contains(queue) else { return nil }
    return unsafe queue & 1 == 0 ? receivers[queue / 2].os.position : transmitters[queue / 2].os.position
  }

  public mutating func setBeginning(_ position: VirtqueuePosition, ofQueue queue: Int) {
    if (0..<(2 &* Driver.queuePairs)).contains(queue) { beginnings[queue] = position }
  }
}

/// A driver module's value in persistent memory.
@usableFromInline
@frozen
struct SavedVirtqueueDriver<Driver: VirtqueueDriver>: BitwiseCopyable {
  @usableFromInline var magic: UInt64 = 0x416C_6C79_5669_7274
  @usableFromInline var size = MemoryLayout<Driver>.size
  @usableFromInline var limits: RingLimits
  @usableFromInline var driver: Driver

  init(driver: Driver, limits: RingLimits) {
    self.driver = driver
    self.limits = limits
  }

  func isValid(_ limits: RingLimits) -> Bool {
    magic == 0x416C_6C79_5669_7274 && size == MemoryLayout<Driver>.size && self.limits == limits
  }
}
