public import AllyHW
public import AllyPacket

/// A NIC that receives into a ring of bytes and sends from a few slots, virtualized.
///
/// Frames are copied between the NIC's ring and the OS's at every protection level: there are no buffers that could be lent. What
/// the level chooses is whether the NIC reads the frames that the OS sends from the OS's memory.
///
/// All state, the driver's included, is in the DPI memory that it was given; ``RingStart/resuming`` takes it up.
@frozen
@safe
public struct ByteRingVirtualizer<Driver: ByteRingDriver>: NICVirtualizer, ~Copyable {
  /// How well frames are protected once the OS starts its transmitter anew.
  public var protection: PacketProtection
  @usableFromInline let saved: UnsafeMutablePointer<SavedByteRingDriver<Driver>>
  @usableFromInline let memory: ByteRingMemory
  @usableFromInline var receiver: ByteRingReceiver<Driver.Header>
  @usableFromInline var transmitter: SlotTransmitter<Driver>
  /// Whether the OS may have missed something that a worker that died did.
  @usableFromInline var isResuming: Bool

  /// The most frames that the OS is told of at once.
  @inlinable static var batch: UInt32 { 32 }

  public static var registers: [RegisterRange] { Driver.registers }

  /// Nothing: at no protection level is a frame in the OS's memory before it was let pass.
  public static var receiveDrop: ReceiveDropAppearance { .bufferKept }

  public static func requiredMemory(limits: RingLimits) -> UInt64 {
    ByteRingMemory.Layout(ringLength: Driver.nicRing.length, limits: limits).end
  }

  public static func supportedActions(at protection: PacketProtection, limits: RingLimits) -> InspectorActions {
    // What inspectors make lies in memory that there is when there is memory for copies.
    limits.copyMemory > 0 ? .all : []
  }

  public init(
    region: DPIRegion, memory: borrowing PhysicalMemory, partition: Partition, limits: RingLimits = RingLimits(),
    protection: PacketProtection, start: RingStart = .fresh
  ) throws(RingSetupError) {
    let ring = Driver.nicRing
    let slots = Driver.transmitSlots
    guard (1...8).contains(slots), slots & (slots - 1) == 0, ring.length >= 4096, ring.length & (ring.length - 1) == 0,
      unsafe Driver.longestFrame <= UInt32(ByteRingMemory.slotLength),
      MemoryLayout<SavedByteRingDriver<Driver>>.size <= Int(pageSize), limits.maximumFrameLength <= 1 << 30
    else { throw .limits }
    let needed = Self.requiredMemory(limits: limits)
    guard region.length >= needed else { throw .memoryTooSmall(needed: needed) }
    // The NIC has to reach its ring and buffers.
    guard region.base.rawValue % pageSize == 0, region.base.rawValue <= Driver.highestAddress,
      Driver.highestAddress - region.base.rawValue >= needed - 1,
      let place = unsafe memory.pointer(at: region.base, length: needed, for: .readWrite),
      UInt(bitPattern: place) % 16 == 0
    else { throw .memoryUnusable }
    guard partition.isDPI(region.base), partition.isDPI(region.base.advanced(by: needed &- 1)) else {
      throw .memoryOutsideDPIMemory
    }
    let saved = unsafe place.assumingMemoryBound(to: SavedByteRingDriver<Driver>.self)
    if start == .resuming {
      guard unsafe saved.pointee.isValid(limits) else { throw .noState }
    } else {
      unsafe saved.initialize(to: SavedByteRingDriver(driver: Driver(), limits: limits))
    }
    let parts = unsafe ByteRingMemory(
      base: place, address: region.base, ringLength: ring.length, limits: limits, start: start)
    receiver = unsafe ByteRingReceiver(
      memory: parts, nicRing: ring, partition: partition, longestFrame: Driver.longestFrame)
    transmitter = unsafe SlotTransmitter(memory: parts, partition: partition)
    unsafe self.memory = parts
    unsafe self.saved = saved
    self.protection = protection
    isResuming = start == .resuming
  }

  /// What the OS has programmed so far.
  public var driver: Driver { unsafe saved.pointee.driver }

  @inlinable public var queuePairs: Int { 1 }

  public func counters(queue: Int) -> QueuePairCounters {
    QueuePairCounters(receive: receiver.state.counters, transmit: transmitter.state.counters)
  }

  public mutating func attach<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) {
    unsafe saved.pointee.driver.attach(registers: registers, nic: &nic)
  }

  /// Takes up the NIC's ring and slots after ``RingStart/resuming``: tells the NIC again what it may have missed.
  public mutating func resume<NIC: NICDevice & ~Copyable>(on nic: inout NIC) {
    if receiver.state.isNICRunning { driver.setReadPlace(receiver.state.nicPlace, nic: &nic) }
    transmitter.resume(driver, nic: &nic)
  }

  // MARK: - What the OS does to registers

  public mutating func handle<NIC: NICDevice & ~Copyable>(
    _ access: RedirectedAccess, memory: borrowing PhysicalMemory, registers: RegisterFile, nic: inout NIC
  ) {
    let effects = unsafe saved.pointee.driver.handle(access, registers: registers, nic: &nic)
    if effects.restartsReceiver {
      if receiver.state.isNICRunning { unsafe saved.pointee.driver.stopReceive(nic: &nic) }
      receiver.restart()
    }
    let wasNICRunning = receiver.state.isNICRunning
    if effects.restartsReceiver || effects.movesRing {
      receiver.program(driver.receiveRing, memory: memory)
      startOrStopNIC(&nic)
    }
    if effects.changesReceiver, wasNICRunning, receiver.state.isNICRunning {
      // What it has received comes first.
      unsafe saved.pointee.driver.stopReceive(nic: &nic)
      receiver.noteNICStopped(drains: true)
      if driver.writePlace(of: &nic) == receiver.state.nicPlace { startNIC(&nic) }
    }
    if effects.movesReadPlace { receiver.moveReadPlace(to: driver.readPlace) }
    if effects.movesRing {
      unsafe saved.pointee.driver.noteReceived(
        upTo: receiver.state.writePlace, hasFrames: false, registers: registers)
    }
    if effects.restartsTransmitter {
      transmitter.restart(protection: protection, isNICReset: effects.resetsNIC)
    }
  }

  /// The NIC receives as long as the OS has a ring.
  private mutating func startOrStopNIC<NIC: NICDevice & ~Copyable>(_ nic: inout NIC) {
    let state = receiver.state
    if state.isRunning, !state.isNICRunning {
      startNIC(&nic)
    } else if !state.isRunning, state.isNICRunning {
      unsafe saved.pointee.driver.stopReceive(nic: &nic)
      receiver.noteNICStopped(drains: false)
    }
  }

  @usableFromInline
  mutating func startNIC<NIC: NICDevice & ~Copyable>(_ nic: inout NIC) {
    receiver.noteNICStarted()
    unsafe saved.pointee.driver.startReceive(at: memory.ringAddress, nic: &nic)
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
    precondition(queue == 0, "there is no such queue pair")
    if isResuming { finishResuming(registers) }
    var result = serviceReceive(
      inspecting: &inspector, clock: &receiveClock, memory: memory, registers: registers, nic: &nic)
    let sent = transmitter.forward(
      driver, inspecting: &inspector, clock: &transmitClock, memory: memory, nic: &nic)
    let hasCompleted = unsafe transmitter.complete(&saved.pointee.driver, registers: registers, nic: &nic)
    result.transmitted = sent.frames
    result.hasMoved = result.hasMoved || sent.hasMoved || hasCompleted
    return result
  }

  /// One pass over the receive direction: at most all that the NIC's ring holds now.
  @inlinable
  mutating func serviceReceive<
    Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable, NIC: NICDevice & ~Copyable
  >(
    inspecting inspector: inout Inspector, clock: inout Clock, memory: borrowing PhysicalMemory,
    registers: RegisterFile, nic: inout NIC
  ) -> ServiceResult {
    var result = ServiceResult()
    let isNICRunning = receiver.state.isNICRunning
    let writePlace = isNICRunning ? driver.writePlace(of: &nic) : receiver.state.nicPlace
    let before = receiver.state.nicPlace
    var pass: ByteRingPass
    repeat {
      pass = receiver.publish(
        upTo: writePlace, most: Self.batch, inspecting: &inspector, clock: &clock, memory: memory)
      result.received &+= pass.frames
      result.hasMoved = result.hasMoved || pass.hasMoved
      if pass.hasPublished {
        unsafe saved.pointee.driver.noteReceived(
          upTo: receiver.state.writePlace, hasFrames: true, registers: registers)
      }
    } while pass.frames == Self.batch
    guard isNICRunning else { return result }
    if pass.isLost || receiver.state.isDraining && receiver.state.nicPlace == writePlace {
      unsafe saved.pointee.driver.stopReceive(nic: &nic)
      startNIC(&nic)
      result.hasMoved = true
    } else if receiver.state.nicPlace != before {
      driver.setReadPlace(receiver.state.nicPlace, nic: &nic)
    }
    return result
  }

  @usableFromInline
  mutating func finishResuming(_ registers: RegisterFile) {
    isResuming = false
    unsafe saved.pointee.driver.resume(upTo: receiver.state.writePlace, registers: registers)
  }

  // MARK: - What the OS hears

  public mutating func takeOSInterrupts(
    at now: UInt64, by delivery: InterruptDelivery = .pin, registers: RegisterFile
  ) -> NICInterrupts {
    unsafe saved.pointee.driver.takeOSInterrupts(at: now, by: delivery, registers: registers)
  }

  /// A NIC of this kind has no rate limit.
  public var nextOSInterrupt: UInt64? { nil }
}

/// A driver module's value in persistent memory.
@usableFromInline
@frozen
struct SavedByteRingDriver<Driver: ByteRingDriver>: BitwiseCopyable {
  @usableFromInline var magic: UInt64 = 0x416C_6C79_4279_7465
  @usableFromInline var size = MemoryLayout<Driver>.size
  @usableFromInline var limits: RingLimits
  @usableFromInline var driver: Driver

  init(driver: Driver, limits: RingLimits) {
    self.driver = driver
    self.limits = limits
  }

  func isValid(_ limits: RingLimits) -> Bool {
    magic == 0x416C_6C79_4279_7465 && size == MemoryLayout<Driver>.size && self.limits == limits
  }
}
