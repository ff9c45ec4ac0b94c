public import AllyHW
public import AllyPacket
import Synchronization

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
  /// Queue pairs of which a worker that died may have completed descriptors without telling the OS.
  @usableFromInline var unreported: QueueSet
  /// Queue pairs that have cores of their own.
  @usableFromInline var lent = QueueSet()
  /// Invariant: `Driver.queuePairs` gates are initialized, and this value owns them.
  let gates: UnsafeMutablePointer<QueueGate>

  public static var registers: [RegisterRange] { Driver.registers }

  public static func requiredMemory(limits: RingLimits) -> UInt64 {
    let pair = QueuePair<Driver>.receiveMemory(limits) + QueuePair<Driver>.transmitMemory(limits)
    return savedLength + pair * UInt64(Driver.queuePairs)
  }

  /// Bytes of whole pages for the driver module's value.
  private static var savedLength: UInt64 {
    (UInt64(MemoryLayout<SavedDriver<Driver>>.size) + pageSize - 1) & ~(pageSize - 1)
  }

  public static func supports(_ protection: PacketProtection) -> Bool {
    Driver.supports(protection)
      && (protection != .checksum || Driver.NICReceive.hasFrameChecksum && Driver.NICTransmit.hasFrameChecksum)
  }

  public static func supportedActions(at protection: PacketProtection, limits: RingLimits) -> InspectorActions {
    // What inspectors make lies in the memory for copies, and goes out in descriptors without offloads.
    let plain = TransmitRequest(buffer: BusAddress(0), length: 60, endsFrame: true, reportsCompletion: true)
    guard limits.copyMemory > 0, supports(protection) else { return [] }
    let received: InspectorActions =
      protection == .copyToDPIMemory ? [.replacesReceived, .growsReceived, .injectsTowardsOS] : .replacesReceived
    guard Driver.NICTransmit(plain) != nil else { return received }
    return received.union([.replacesTransmitted, .injectsTowardsWire])
  }

  public init(
    region: DPIRegion, memory: borrowing PhysicalMemory, partition: Partition, limits: RingLimits = RingLimits(),
    protection: PacketProtection, start: RingStart = .fresh
  ) throws(RingSetupError) {
    guard Self.supports(protection) else { throw .protection }
    guard (1...32).contains(Driver.queuePairs), protection != .copyToDPIMemory || limits.copyMemory > 0 else {
      throw .limits
    }
    let needed = Self.requiredMemory(limits: limits)
    guard region.length >= needed else { throw .memoryTooSmall(needed: needed) }
    guard let place = unsafe memory.pointer(at: region.base, length: needed, for: .readWrite),
      UInt(bitPattern: place) % 16 == 0
    else { throw .memoryUnusable }
    guard partition.isDPI(region.base) else { throw .memoryOutsideDPIMemory }
    let saved = unsafe place.assumingMemoryBound(to: SavedDriver<Driver>.self)
    if start == .resuming {
      guard unsafe saved.pointee.isValid else { throw .noState }
      unsafe SavedDriver.finishCommit(saved)
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
    self.unreported = start == .resuming ? QueueSet(bits: .max) : QueueSet()
    unsafe self.saved = saved
    unsafe self.pairs = pairs
    unsafe gates = .allocate(capacity: Driver.queuePairs)
    for queue in 0..<Driver.queuePairs { unsafe (gates + queue).initialize(to: QueueGate()) }
  }

  deinit {
    unsafe pairs.deinitialize(count: Driver.queuePairs)
    unsafe pairs.deallocate()
    unsafe gates.deinitialize(count: Driver.queuePairs)
    unsafe gates.deallocate()
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
  /// the last, and has the OS told again what it may have missed.
  public mutating func resume<NIC: NICDevice & ~Copyable>(on nic: inout NIC) {
    unsafe saved.pointee.driver.repeatOSInterrupts()
    for queue in 0..<Driver.queuePairs {
      if self[queue].receive.state.isRunning { driver.setReceiveTail(queue, self[queue].receive.nicTail, nic: &nic) }
      if self[queue].transmit.state.isRunning { driver.setTransmitTail(queue, self[queue].transmit.nicTail, nic: &nic) }
    }
  }

  // MARK: - What the OS does to registers

  public mutating func handle<NIC: NICDevice & ~Copyable>(
    _ access: RedirectedAccess, memory: borrowing PhysicalMemory, registers: RegisterFile, nic: inout NIC
  ) {
    // The driver's value changes in one step, together with what is to be done about it, which is noted until it is done.
    var driver = self.driver
    var effects = driver.handle(access, registers: registers, nic: &nic)
    effects = unsafe effects.union(saved.pointee.pending)
    // A queue that starts anew has its tail with it.
    effects.receiveTails.subtract(effects.receiveQueues)
    effects.transmitTails.subtract(effects.transmitQueues)
    unsafe SavedDriver.commit(driver, effects, to: saved)
    carryOut(memory: memory, nic: &nic)
  }

  /// Does what register accesses called for, each part of which may be done twice.
  private mutating func carryOut<NIC: NICDevice & ~Copyable>(memory: borrowing PhysicalMemory, nic: inout NIC) {
    while let queue = unsafe saved.pointee.pending.receiveQueues.first {
      withPair(queue, isTransmit: false) { $0.restartReceive(queue, memory: memory, nic: &nic) }
      unsafe saved.pointee.pending.receiveQueues.subtract(QueueSet(queue))
    }
    while let queue = unsafe saved.pointee.pending.transmitQueues.first {
      withPair(queue, isTransmit: true) { $0.restartTransmit(queue, memory: memory, nic: &nic) }
      unsafe saved.pointee.pending.transmitQueues.subtract(QueueSet(queue))
    }
    while let queue = unsafe saved.pointee.pending.receiveTails.first {
      let tail = driver.receiveQueue(queue).tail
      if lent.contains(queue) {
        unsafe gates[queue].post(tail: tail, isTransmit: false)
      } else {
        _ = self[queue].receive.moveTail(to: tail)
      }
      unsafe saved.pointee.pending.receiveTails.subtract(QueueSet(queue))
    }
    while let queue = unsafe saved.pointee.pending.transmitTails.first {
      let tail = driver.transmitQueue(queue).tail
      if lent.contains(queue) {
        unsafe gates[queue].post(tail: tail, isTransmit: true)
      } else {
        _ = self[queue].transmit.moveTail(to: tail)
      }
      unsafe saved.pointee.pending.transmitTails.subtract(QueueSet(queue))
    }
  }

  /// Changes a queue pair while no worker is at it.
  private mutating func withPair(_ queue: Int, isTransmit: Bool, _ body: (inout Self) -> Void) {
    guard lent.contains(queue) else { return body(&self) }
    unsafe gates[queue].close(isTransmit: isTransmit)
    body(&self)
    unsafe gates[queue].open()
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
    _ = self[queue].receive.start(
      programmed, rules: Driver.queueRules, protection: protection, checksumKey: driver.checksumKey, memory: memory)
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
    _ = self[queue].transmit.start(
      programmed, rules: Driver.queueRules, protection: protection, checksumKey: driver.checksumKey, memory: memory)
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
    guard !lent.contains(queue) else { return ServiceResult() }
    let received = serviceReceive(
      queue: queue, inspecting: &inspector, clock: &receiveClock, memory: memory, registers: registers, nic: &nic)
    let sent = serviceTransmit(
      queue: queue, inspecting: &inspector, clock: &transmitClock, memory: memory, registers: registers, nic: &nic)
    return ServiceResult(
      received: received.received, transmitted: sent.transmitted, hasMoved: received.hasMoved || sent.hasMoved,
      descriptorBytes: received.descriptorBytes &+ sent.descriptorBytes)
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
    let offered = self[queue].receive.copyPosted(memory: memory)
    let towardsWire = Inspector.actions.isEmpty ? FrameOutbox() : self[queue].transmit.outbox
    let result = self[queue].receive.publishCompleted(
      inspecting: &inspector, clock: &clock, memory: memory, towardsWire: towardsWire)
    let tail = self[queue].receive.nicTail
    if tail != before { unsafe saved.pointee.driver.setReceiveTail(queue, tail, nic: &nic) }
    if result.descriptors > 0 || unreported.contains(queue) && self[queue].receive.state.isRunning {
      unsafe saved.pointee.driver.notePublished(
        queue, head: self[queue].receive.osHead, descriptors: result.descriptors, registers: registers)
    }
    return ServiceResult(
      received: result.frames, hasMoved: result.descriptors > 0 || tail != before,
      descriptorBytes: UInt64(offered) &* UInt64(MemoryLayout<Driver.NICReceive>.size)
        &+ UInt64(result.descriptors) &* UInt64(MemoryLayout<Driver.OSReceive>.size))
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
    var result = self[queue].transmit.completeTransmitted(memory: memory)
    if unreported.contains(queue) {
      unreported.subtract(QueueSet(queue))
      result.isReported = result.isReported || self[queue].transmit.state.isRunning
    }
    if result.descriptors > 0 || result.isReported {
      unsafe saved.pointee.driver.noteTransmitted(
        queue, head: self[queue].transmit.osHead, result, registers: registers)
    }
    // Of a completed descriptor the ownership word is moved.
    return ServiceResult(
      transmitted: taken, hasMoved: taken > 0 || result.descriptors > 0 || tail != before,
      descriptorBytes: UInt64(taken) &* UInt64(MemoryLayout<Driver.NICTransmit>.size)
        &+ UInt64(result.descriptors) &* 8)
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
  /// What register accesses called for and what has not been done yet.
  @usableFromInline var pending = RegisterEffects.none
  /// Both as they are to become, while ``isCommitted`` is 1.
  private var nextDriver: Driver
  private var nextPending = RegisterEffects.none
  private var isCommitted: UInt64 = 0

  init(driver: Driver) {
    self.driver = driver
    self.nextDriver = driver
  }

  /// Changes both in one step: a worker that dies in here has changed nothing, or leaves the change to its successor
  /// (``finishCommit(_:)``).
  @unsafe
  static func commit(_ driver: Driver, _ pending: RegisterEffects, to place: UnsafeMutablePointer<Self>) {
    unsafe place.pointee.nextDriver = driver
    unsafe place.pointee.nextPending = pending
    unsafe setCommitted(1, place)
    unsafe finishCommit(place)
  }

  @unsafe
  static func finishCommit(_ place: UnsafeMutablePointer<Self>) {
    guard unsafe place.pointee.isCommitted == 1 else { return }
    unsafe place.pointee.driver = place.pointee.nextDriver
    unsafe place.pointee.pending = place.pointee.nextPending
    unsafe setCommitted(0, place)
  }

  /// After all stores before it, and before all after it.
  @unsafe
  private static func setCommitted(_ value: UInt64, _ place: UnsafeMutablePointer<Self>) {
    atomicMemoryFence(ordering: .acquiringAndReleasing)
    unsafe place.pointee.isCommitted = value
    atomicMemoryFence(ordering: .acquiringAndReleasing)
  }

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
