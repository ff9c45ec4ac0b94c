public import AllyHW
public import AllyPacket

/// A NIC with descriptor rings, virtualized: its queue pairs, the driver module's knowledge, and the interrupt side
/// (paper §4.3).
///
/// All state, the driver's included, is in the DPI memory that it was given; ``RingStart/resuming`` takes it up.
@frozen
@safe
public struct RingVirtualizer<Driver: NICDriver>: NICVirtualizer, ~Copyable {
  /// How well frames are protected on queues that start from now on.
  public var protection: PacketProtection
  @usableFromInline let saved: UnsafeMutablePointer<SavedDriver<Driver>>
  /// Invariant: `Driver.queuePairs` pairs are initialized, and this value owns them.
  @usableFromInline let pairs: UnsafeMutablePointer<QueuePair<Driver>>

  public static var registers: [RegisterRange] { Driver.registers }

  public static func requiredMemory(limits: RingLimits) -> UInt64 {
    let pair = QueuePair<Driver>.receiveMemory(limits) + QueuePair<Driver>.transmitMemory(limits)
    return savedLength + pair * UInt64(Driver.queuePairs)
  }

  /// Bytes of whole pages for the driver module's value.
  private static var savedLength: UInt64 {
    (UInt64(MemoryLayout<SavedDriver<Driver>>.size) + pageSize - 1) & ~(pageSize - 1)
  }

  public static func supportedActions(at protection: PacketProtection, limits: RingLimits) -> InspectorActions {
    // What inspectors make lies in the memory for copies, and goes out in descriptors without offloads.
    let plain = TransmitRequest(buffer: BusAddress(0), length: 60, endsFrame: true, reportsCompletion: true)
    guard limits.copyMemory > 0 else { return [] }
    let received: InspectorActions =
      protection == .copyToDPIMemory ? [.replacesReceived, .growsReceived, .injectsTowardsOS] : .replacesReceived
    guard Driver.NICTransmit(plain) != nil else { return received }
    return received.union([.replacesTransmitted, .injectsTowardsWire])
  }

  public init(
    region: DPIRegion, memory: borrowing PhysicalMemory, partition: Partition, limits: RingLimits = RingLimits(),
    protection: PacketProtection, start: RingStart = .fresh
  ) throws(RingSetupError) {
    guard (1...32).contains(Driver.queuePairs), protection == .inPlace || limits.copyMemory > 0 else { throw .limits }
    let needed = Self.requiredMemory(limits: limits)
    guard region.length >= needed else { throw .memoryTooSmall(needed: needed) }
    guard let place = unsafe memory.pointer(at: region.base, length: needed, for: .readWrite),
      UInt(bitPattern: place) % 16 == 0
    else { throw .memoryUnusable }
    guard partition.isDPI(region.base) else { throw .memoryOutsideDPIMemory }
    let saved = unsafe place.assumingMemoryBound(to: SavedDriver<Driver>.self)
    if start == .resuming {
      guard unsafe saved.pointee.isValid else { throw .noState }
    }
    let pairs = UnsafeMutablePointer<QueuePair<Driver>>.allocate(capacity: Driver.queuePairs)
    var made = 0
    do throws(RingSetupError) {
      var base = region.base.advanced(by: Self.savedLength)
      while made < Driver.queuePairs {
        let receiveLength = QueuePair<Driver>.receiveMemory(limits)
        let transmitLength = QueuePair<Driver>.transmitMemory(limits)
        let pair = QueuePair<Driver>(
          receive: try ReceiveVirtualizer(
            region: DPIRegion(base: base, length: receiveLength), memory: memory, partition: partition, limits: limits,
            queue: UInt16(made), start: start),
          transmit: try TransmitVirtualizer(
            region: DPIRegion(base: base.advanced(by: receiveLength), length: transmitLength), memory: memory,
            partition: partition, limits: limits, queue: UInt16(made), start: start))
        unsafe (pairs + made).initialize(to: pair)
        base = base.advanced(by: receiveLength + transmitLength)
        made += 1
      }
    } catch {
      unsafe pairs.deinitialize(count: made)
      unsafe pairs.deallocate()
      throw error
    }
    if start == .fresh { unsafe saved.initialize(to: SavedDriver(driver: Driver())) }
    self.protection = protection
    unsafe self.saved = saved
    unsafe self.pairs = pairs
  }

  deinit {
    unsafe pairs.deinitialize(count: Driver.queuePairs)
    unsafe pairs.deallocate()
  }

  /// What the OS has programmed so far.
  public var driver: Driver { unsafe saved.pointee.driver }

  @inlinable public var queuePairs: Int { Driver.queuePairs }

  /// A queue pair.
  ///
  /// - Precondition: `queue < queuePairs`.
  @inlinable
  public subscript(queue: Int) -> QueuePair<Driver> {
    @inline(__always) _read {
      precondition(queue >= 0 && queue < Driver.queuePairs, "there is no such queue pair")
      yield unsafe pairs[queue]
    }
    @inline(__always) _modify {
      precondition(queue >= 0 && queue < Driver.queuePairs, "there is no such queue pair")
      yield unsafe &pairs[queue]
    }
  }

  public func counters(queue: Int) -> QueuePairCounters {
    QueuePairCounters(receive: self[queue].receive.state.counters, transmit: self[queue].transmit.state.counters)
  }

  public mutating func attach<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) {
    unsafe saved.pointee.driver.attach(registers: registers, nic: &nic)
  }

  /// Takes up the NIC's queues after ``RingStart/resuming``: tells the NIC the tails again, of which it may have missed
  /// the last.
  public mutating func resume<NIC: NICDevice & ~Copyable>(on nic: inout NIC) {
    for queue in 0..<Driver.queuePairs {
      if self[queue].receive.state.isRunning { driver.setReceiveTail(queue, self[queue].receive.nicTail, nic: &nic) }
      if self[queue].transmit.state.isRunning { driver.setTransmitTail(queue, self[queue].transmit.nicTail, nic: &nic) }
    }
  }

  // MARK: - What the OS does to registers

  public mutating func handle<NIC: NICDevice & ~Copyable>(
    _ access: RedirectedAccess, memory: borrowing PhysicalMemory, registers: RegisterFile, nic: inout NIC
  ) {
    var effects = unsafe saved.pointee.driver.handle(access, registers: registers, nic: &nic)
    // A queue that starts anew has its tail with it.
    effects.receiveTails.subtract(effects.receiveQueues)
    effects.transmitTails.subtract(effects.transmitQueues)
    while let queue = effects.receiveQueues.removeFirst() { restartReceive(queue, memory: memory, nic: &nic) }
    while let queue = effects.transmitQueues.removeFirst() { restartTransmit(queue, memory: memory, nic: &nic) }
    while let queue = effects.receiveTails.removeFirst() {
      _ = self[queue].receive.moveTail(to: driver.receiveQueue(queue).tail)
    }
    while let queue = effects.transmitTails.removeFirst() {
      _ = self[queue].transmit.moveTail(to: driver.transmitQueue(queue).tail)
    }
  }

  /// Lets the NIC go of a receive queue, and takes up the one that the OS has programmed now, if any. A queue that cannot
  /// be served stays stopped, and its fault is counted.
  private mutating func restartReceive<NIC: NICDevice & ~Copyable>(
    _ queue: Int, memory: borrowing PhysicalMemory, nic: inout NIC
  ) {
    unsafe saved.pointee.driver.stopReceive(queue, nic: &nic)
    self[queue].receive.stop()
    let programmed = driver.receiveQueue(queue)
    guard programmed.isEnabled else { return }
    _ = self[queue].receive.start(programmed, rules: Driver.queueRules, protection: protection, memory: memory)
    let state = self[queue].receive.state
    if state.isRunning { unsafe saved.pointee.driver.startReceive(queue, on: state.dpiQueue, nic: &nic) }
  }

  private mutating func restartTransmit<NIC: NICDevice & ~Copyable>(
    _ queue: Int, memory: borrowing PhysicalMemory, nic: inout NIC
  ) {
    unsafe saved.pointee.driver.stopTransmit(queue, nic: &nic)
    self[queue].transmit.stop()
    let programmed = driver.transmitQueue(queue)
    guard programmed.isEnabled else { return }
    _ = self[queue].transmit.start(programmed, rules: Driver.queueRules, protection: protection, memory: memory)
    let state = self[queue].transmit.state
    if state.isRunning { unsafe saved.pointee.driver.startTransmit(queue, on: state.dpiQueue, nic: &nic) }
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
    let received = serviceReceive(
      queue: queue, inspecting: &inspector, clock: &receiveClock, memory: memory, registers: registers, nic: &nic)
    let sent = serviceTransmit(
      queue: queue, inspecting: &inspector, clock: &transmitClock, memory: memory, registers: registers, nic: &nic)
    return ServiceResult(
      received: received.received, transmitted: sent.transmitted, hasMoved: received.hasMoved || sent.hasMoved)
  }

  /// One pass over the receive direction: newly posted descriptors to the NIC, completed frames through the inspector to
  /// the OS (paper Figure 4(b) to (d)).
  @discardableResult
  @inlinable
  public mutating func serviceReceive<
    Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable,
    NIC: NICDevice & ~Copyable
  >(
    queue: Int = 0, inspecting inspector: inout Inspector, clock: inout Clock, memory: borrowing PhysicalMemory,
    registers: RegisterFile, nic: inout NIC
  ) -> ServiceResult {
    let before = self[queue].receive.nicTail
    _ = self[queue].receive.copyPosted(memory: memory)
    let towardsWire = Inspector.actions.isEmpty ? FrameOutbox() : self[queue].transmit.outbox
    let result = self[queue].receive.publishCompleted(
      inspecting: &inspector, clock: &clock, memory: memory, towardsWire: towardsWire)
    let tail = self[queue].receive.nicTail
    if tail != before { unsafe saved.pointee.driver.setReceiveTail(queue, tail, nic: &nic) }
    if result.descriptors > 0 {
      unsafe saved.pointee.driver.notePublished(
        queue, head: self[queue].receive.osHead, descriptors: result.descriptors, registers: registers)
    }
    return ServiceResult(received: result.frames, hasMoved: result.descriptors > 0 || tail != before)
  }

  /// One pass over the transmit direction: newly posted frames through the inspector to the NIC, completed ones back to
  /// the OS.
  @discardableResult
  @inlinable
  public mutating func serviceTransmit<
    Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable,
    NIC: NICDevice & ~Copyable
  >(
    queue: Int = 0, inspecting inspector: inout Inspector, clock: inout Clock, memory: borrowing PhysicalMemory,
    registers: RegisterFile, nic: inout NIC
  ) -> ServiceResult {
    let before = self[queue].transmit.nicTail
    let towardsOS = Inspector.actions.isEmpty ? FrameOutbox() : self[queue].receive.outbox
    let taken = self[queue].transmit.copyPosted(
      inspecting: &inspector, clock: &clock, memory: memory, towardsOS: towardsOS)
    let tail = self[queue].transmit.nicTail
    if tail != before { unsafe saved.pointee.driver.setTransmitTail(queue, tail, nic: &nic) }
    let result = self[queue].transmit.completeTransmitted(memory: memory)
    if result.descriptors > 0 {
      unsafe saved.pointee.driver.noteTransmitted(
        queue, head: self[queue].transmit.osHead, result, registers: registers)
    }
    return ServiceResult(transmitted: taken, hasMoved: taken > 0 || result.descriptors > 0 || tail != before)
  }

  // MARK: - What the OS hears

  public mutating func takeOSInterrupts(
    at now: UInt64, by delivery: InterruptDelivery = .pin, registers: RegisterFile
  ) -> NICInterrupts {
    unsafe saved.pointee.driver.takeOSInterrupts(at: now, by: delivery, registers: registers)
  }

  public var nextOSInterrupt: UInt64? { unsafe saved.pointee.driver.nextOSInterrupt }
}

/// A driver module's value in persistent memory.
@usableFromInline
@frozen
struct SavedDriver<Driver: NICDriver>: BitwiseCopyable {
  @usableFromInline var magic: UInt64 = 0x416C_6C79_4E49_4331
  @usableFromInline var size = MemoryLayout<Driver>.size
  @usableFromInline var driver: Driver

  init(driver: Driver) { self.driver = driver }

  var isValid: Bool { magic == 0x416C_6C79_4E49_4331 && size == MemoryLayout<Driver>.size }
}

extension ReceiveVirtualizer {
  /// The DPI queue's tail.
  @inlinable
  public var nicTail: UInt32 { unsafe ring.state.pointee.dpiQueue.tail }
  /// The OS Head Pointer.
  @inlinable
  public var osHead: UInt32 { unsafe ring.state.pointee.osQueue.head }
}

extension TransmitVirtualizer {
  /// The DPI queue's tail.
  @inlinable
  public var nicTail: UInt32 { unsafe ring.state.pointee.transmit.tail }
  /// The OS Head Pointer.
  @inlinable
  public var osHead: UInt32 { unsafe ring.state.pointee.osQueue.head }
}
