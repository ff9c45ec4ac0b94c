public import AllyHW
public import AllyPacket

/// A NIC's queue pair, virtualized: both directions, the driver module's knowledge, and the interrupt side (paper §4.3).
///
/// One DPI core owns it and calls, run to completion: ``handle(_:memory:registers:nic:)`` for each access that the
/// Remapping Table redirected; ``takeInterrupt(registers:nic:)`` when the NIC interrupted; ``serviceReceive(inspecting:clock:memory:registers:nic:)``
/// and ``serviceTransmit(inspecting:clock:memory:registers:nic:)``; and then ``takeOSInterrupt(at:)``, which says whether to
/// mimic a NIC interrupt with an IPI to an OS core.
///
/// All state, the driver's included, is in the DPI memory that it was given; ``RingStart/resuming`` takes it up.
@frozen
@safe
public struct RingVirtualizer<Driver: NICDriver>: ~Copyable {
  /// The receive direction.
  public var receive: ReceiveVirtualizer<Driver.OSReceive, Driver.NICReceive>
  /// The transmit direction.
  public var transmit: TransmitVirtualizer<Driver.OSTransmit, Driver.NICTransmit>
  /// How well frames are protected on queues that start from now on.
  public var protection: PacketProtection
  @usableFromInline let saved: UnsafeMutablePointer<SavedDriver<Driver>>

  /// How many bytes of DPI memory a queue pair needs.
  public static func requiredMemory(limits: RingLimits) -> UInt64 {
    pageSize
      + ReceiveVirtualizer<Driver.OSReceive, Driver.NICReceive>.requiredMemory(limits: limits)
      + TransmitVirtualizer<Driver.OSTransmit, Driver.NICTransmit>.requiredMemory(limits: limits)
  }

  /// Takes possession of DPI memory for a queue pair.
  ///
  /// The `region` has at least ``requiredMemory(limits:)`` bytes of DPI memory, 4,096-byte aligned, which must stay
  /// mapped as long as this value exists. `queue` is the queue pair's number, for the inspector; `start` tells whether to
  /// go on with the state that another worker left in the memory.
  public init(
    region: DPIRegion, memory: borrowing PhysicalMemory, partition: Partition, limits: RingLimits = RingLimits(),
    protection: PacketProtection, queue: UInt16 = 0, start: RingStart = .fresh
  ) throws(RingSetupError) {
    guard MemoryLayout<SavedDriver<Driver>>.size <= Int(pageSize) else { throw .limits }
    guard protection == .inPlace || limits.copyMemory > 0 else { throw .limits }
    let needed = Self.requiredMemory(limits: limits)
    guard region.length >= needed else { throw .memoryTooSmall(needed: needed) }
    guard let place = unsafe memory.pointer(at: region.base, length: needed, for: .readWrite),
      UInt(bitPattern: place) % 16 == 0
    else { throw .memoryUnusable }
    guard partition.isDPI(region.base) else { throw .memoryOutsideDPIMemory }
    let receiveLength = ReceiveVirtualizer<Driver.OSReceive, Driver.NICReceive>.requiredMemory(limits: limits)
    let receiveBase = region.base.advanced(by: pageSize)
    let receive = try ReceiveVirtualizer<Driver.OSReceive, Driver.NICReceive>(
      region: DPIRegion(base: receiveBase, length: receiveLength), memory: memory, partition: partition,
      limits: limits, queue: queue, start: start)
    let transmit = try TransmitVirtualizer<Driver.OSTransmit, Driver.NICTransmit>(
      region: DPIRegion(base: receiveBase.advanced(by: receiveLength), length: needed &- pageSize &- receiveLength),
      memory: memory, partition: partition, limits: limits, queue: queue, start: start)
    let saved = unsafe place.assumingMemoryBound(to: SavedDriver<Driver>.self)
    switch start {
    case .fresh: unsafe saved.initialize(to: SavedDriver(driver: Driver()))
    case .resuming: guard unsafe saved.pointee.isValid else { throw .noState }
    }
    self.receive = receive
    self.transmit = transmit
    self.protection = protection
    unsafe self.saved = saved
  }

  /// What the OS has programmed so far.
  public var driver: Driver { unsafe saved.pointee.driver }

  /// Takes the NIC over, once, before the OS starts: afterwards the shadow copies read as the NIC's registers do.
  public mutating func attach<NIC: NICDevice & ~Copyable>(
    registers: RegisterFile, nic: inout NIC
  ) {
    unsafe saved.pointee.driver.attach(registers: registers, nic: &nic)
  }

  /// Takes up the NIC's queues after ``RingStart/resuming``: tells the NIC the tails again, of which it may have missed
  /// the last.
  public mutating func resume<NIC: NICDevice & ~Copyable>(on nic: inout NIC) {
    if receive.state.isRunning { driver.setReceiveTail(receive.nicTail, on: &nic) }
    if transmit.state.isRunning { driver.setTransmitTail(transmit.nicTail, on: &nic) }
  }

  // MARK: - What the OS does to registers

  /// An OS core accessed a redirected register.
  ///
  /// Queues that the OS enables, moves, resizes, resets or disables are rebuilt or stopped here, and tails are checked;
  /// frames move in the `service` calls.
  ///
  /// - Returns: what there is to do next.
  @discardableResult
  public mutating func handle<NIC: NICDevice & ~Copyable>(
    _ access: RedirectedAccess, memory: borrowing PhysicalMemory, registers: RegisterFile, nic: inout NIC
  ) -> RegisterEffects {
    let effects = unsafe saved.pointee.driver.handle(access, registers: registers, nic: &nic)
    if effects.contains(.receiveQueue) {
      restartReceive(memory: memory, nic: &nic)
    } else if effects.contains(.receiveTail) {
      _ = receive.moveTail(to: driver.receiveQueue.tail)
    }
    if effects.contains(.transmitQueue) {
      restartTransmit(memory: memory, nic: &nic)
    } else if effects.contains(.transmitTail) {
      _ = transmit.moveTail(to: driver.transmitQueue.tail)
    }
    return effects
  }

  /// Lets the NIC go of the receive queue, and takes up the one that the OS has programmed now, if any. A queue that
  /// cannot be served stays stopped, and its fault is counted.
  private mutating func restartReceive<NIC: NICDevice & ~Copyable>(
    memory: borrowing PhysicalMemory, nic: inout NIC
  ) {
    unsafe saved.pointee.driver.stopReceive(on: &nic)
    receive.stop()
    let programmed = driver.receiveQueue
    guard programmed.isEnabled else { return }
    _ = receive.start(programmed, rules: Driver.queueRules, protection: protection, memory: memory)
    if receive.state.isRunning {
      unsafe saved.pointee.driver.startReceive(receive.state.dpiQueue, on: &nic)
    }
  }

  private mutating func restartTransmit<NIC: NICDevice & ~Copyable>(
    memory: borrowing PhysicalMemory, nic: inout NIC
  ) {
    unsafe saved.pointee.driver.stopTransmit(on: &nic)
    transmit.stop()
    let programmed = driver.transmitQueue
    guard programmed.isEnabled else { return }
    _ = transmit.start(programmed, rules: Driver.queueRules, protection: protection, memory: memory)
    if transmit.state.isRunning {
      unsafe saved.pointee.driver.startTransmit(transmit.state.dpiQueue, on: &nic)
    }
  }

  // MARK: - What the NIC does

  /// Acknowledges the NIC's interrupt, which is redirected to this DPI core.
  ///
  /// - Returns: whether the NIC had interrupted.
  @discardableResult
  public mutating func takeInterrupt<NIC: NICDevice & ~Copyable>(
    registers: RegisterFile, nic: inout NIC
  ) -> Bool {
    unsafe saved.pointee.driver.takeInterrupt(registers: registers, nic: &nic)
  }

  /// One pass over the receive direction: newly posted descriptors to the NIC, completed frames through the inspector to
  /// the OS (paper Figure 4(b) to (d)).
  @discardableResult
  @inlinable
  public mutating func serviceReceive<
    Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable,
    NIC: NICDevice & ~Copyable
  >(
    inspecting inspector: inout Inspector, clock: inout Clock, memory: borrowing PhysicalMemory,
    registers: RegisterFile, nic: inout NIC
  ) -> PublishResult {
    let before = receive.nicTail
    _ = receive.copyPosted(memory: memory)
    let result = receive.publishCompleted(inspecting: &inspector, clock: &clock, memory: memory)
    let tail = receive.nicTail
    if tail != before { unsafe saved.pointee.driver.setReceiveTail(tail, on: &nic) }
    if result.descriptors > 0 {
      unsafe saved.pointee.driver.notePublished(
        head: receive.osHead, descriptors: result.descriptors, registers: registers)
    }
    return result
  }

  /// One pass over the transmit direction: newly posted frames through the inspector to the NIC, completed ones back to
  /// the OS.
  @discardableResult
  @inlinable
  public mutating func serviceTransmit<
    Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable,
    NIC: NICDevice & ~Copyable
  >(
    inspecting inspector: inout Inspector, clock: inout Clock, memory: borrowing PhysicalMemory,
    registers: RegisterFile, nic: inout NIC
  ) -> TransmitCompletions {
    let before = transmit.nicTail
    _ = transmit.copyPosted(inspecting: &inspector, clock: &clock, memory: memory)
    let tail = transmit.nicTail
    if tail != before { unsafe saved.pointee.driver.setTransmitTail(tail, on: &nic) }
    let result = transmit.completeTransmitted(memory: memory)
    if result.descriptors > 0 {
      unsafe saved.pointee.driver.noteTransmitted(
        head: transmit.osHead, isReported: result.isReported, isEmpty: result.isEmpty, registers: registers)
    }
    return result
  }

  // MARK: - What the OS hears

  /// Whether an IPI that mimics a NIC interrupt is to be sent to an OS core now; true at most once per rise of the
  /// interrupt, and not more often than the OS asked for.
  ///
  /// - Parameter now: nanoseconds of a clock that does not run backwards.
  public mutating func takeOSInterrupt(at now: UInt64) -> Bool {
    unsafe saved.pointee.driver.interrupts.takeInterrupt(at: now)
  }
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
