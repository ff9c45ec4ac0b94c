public import AllyHW
public import AllyPacket

/// The transmit direction of a NIC that sends from a few slots: the frames that the OS posts in its slots are inspected, and
/// those that pass go to the NIC's. The OS's slots complete in the order in which they were posted, whatever the verdicts.
///
/// With ``PacketProtection/inPlace`` the NIC reads the OS's memory; else frames are copied. Owned by one DPI core. All that it
/// must remember is in the DPI memory that it was given.
@frozen
@safe
public struct SlotTransmitter<Driver: ByteRingDriver>: ~Copyable {
  @usableFromInline let memory: ByteRingMemory
  @usableFromInline let partition: Partition

  @unsafe
  init(memory: ByteRingMemory, partition: Partition) {
    unsafe self.memory = memory
    self.partition = partition
  }

  /// How far it is.
  public var state: TransmitSlotState { unsafe memory.transmit.pointee }

  @inlinable static var slots: UInt32 { UInt32(Driver.transmitSlots) }
  /// The number of the slot at a place.
  @inlinable
  static func slot(_ place: UInt32) -> Int { Int(place & (slots &- 1)) }
  /// Tells the frame at a place from the one that was in its slot before, and from none.
  @inlinable
  static func mark(_ place: UInt32) -> Bool { place & slots == 0 }

  // MARK: - Start and stop

  /// The OS's transmitter was enabled, disabled or reset. Frames that the NIC has are sent, and forgotten.
  mutating func restart(protection: PacketProtection, isNICReset: Bool) {
    let state = unsafe memory.transmit
    let given = isNICReset ? 0 : self.state.given
    if isNICReset { unsafe state.pointee.sent = 0 }
    for slot in 0..<Driver.transmitSlots { unsafe state.pointee.nicSlots[slot].isOS = false }
    unsafe state.pointee.completed = 0
    unsafe state.pointee.places = TransmitSlotState.pack(taken: 0, given: given)
    unsafe state.pointee.isNoting = false
    unsafe state.pointee.protection = protection
  }

  /// Ends what a worker that died had begun.
  mutating func resume<NIC: NICDevice & ~Copyable>(_ driver: Driver, nic: inout NIC) {
    let state = unsafe memory.transmit
    let now = self.state
    if now.isGiving, now.given != now.sent {
      let place = now.given &- 1
      let slot = Self.slot(place)
      if driver.transmitMark(of: slot, nic: &nic) != Self.mark(place) {
        driver.send(now.nicSlots[slot].frame, slot: slot, mark: Self.mark(place), nic: &nic)
      }
    }
    unsafe state.pointee.isGiving = false
    // What the OS does to the slot afterwards has not been handled yet.
    if now.isNoting, now.completed != now.taken, !driver.transmitSlot(Self.slot(now.completed)).isPosted {
      unsafe state.pointee.completed = now.completed &+ 1
    }
    unsafe state.pointee.isNoting = false
  }

  // MARK: - From the OS to the NIC

  /// Takes what the OS has posted: at most every slot once.
  @inlinable
  mutating func forward<
    Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable, NIC: NICDevice & ~Copyable
  >(
    _ driver: Driver, inspecting inspector: inout Inspector, clock: inout Clock, memory: borrowing PhysicalMemory,
    nic: inout NIC
  ) -> SlotPass {
    var pass = SlotPass()
    let state = unsafe self.memory.transmit
    var answers = Inspector.actions.isEmpty ? FrameAnswers() : unsafe self.memory.answers
    for _ in 0..<Driver.transmitSlots {
      // What inspectors have added comes before the frames after it.
      if !Inspector.actions.isEmpty { sendOutbox(driver, &pass, nic: &nic) }
      guard driver.isTransmitting, hasFreeSlot,
        unsafe state.pointee.taken &- state.pointee.completed < Self.slots
      else { break }
      let programmed = unsafe driver.transmitSlot(Self.slot(state.pointee.taken))
      guard programmed.isPosted else { break }
      pass.hasMoved = true
      let length = programmed.length &- min(programmed.length, programmed.trailerLength)
      var frame = NICFrame(buffer: programmed.buffer, length: length)
      var place: UnsafeMutableRawPointer?
      if let fault = unsafe find(&frame, &place, memory: memory) {
        refuse(fault)
        continue
      }
      guard let place = unsafe place else { break }
      let stamp = clock.stamp(forFrameOf: length)
      let bytes = unsafe UnsafeRawBufferPointer(start: place, count: Int(length)).bytes
      let verdict = inspect(Packet(bytes: bytes, stamp: stamp, direction: .transmit), with: &inspector, &answers)
      pass.frames &+= 1
      switch verdict {
      case .accept:
        unsafe state.pointee.counters.accepted &+= 1
        give(frame, isOS: true, driver, nic: &nic)
      case .replace: sendReplacement(answers, driver, nic: &nic)
      case .drop, .reject:
        unsafe state.pointee.counters.countRefused(verdict)
        end(.sent)
      }
    }
    if !Inspector.actions.isEmpty { sendOutbox(driver, &pass, nic: &nic) }
    if unsafe pass.frames > state.pointee.counters.highWater { unsafe state.pointee.counters.highWater = pass.frames }
    return pass
  }

  /// Whether the NIC has a slot that is free.
  @inlinable var hasFreeSlot: Bool {
    let state = unsafe memory.transmit
    return unsafe state.pointee.given &- state.pointee.sent < Self.slots
  }

  /// Where the frame that the OS posted is, or its copy, which the NIC is given then.
  @unsafe
  @usableFromInline
  func find(
    _ frame: inout NICFrame, _ place: inout UnsafeMutableRawPointer?, memory: borrowing PhysicalMemory
  ) -> RingFault? {
    guard frame.length > 0 else { return .emptyFrame }
    guard unsafe frame.length <= min(Driver.longestFrame, UInt32(ByteRingMemory.slotLength)) else {
      return .frameTooLong
    }
    let address = frame.buffer.rawValue
    if partition.touchesDPI(PhysicalAddress(address), length: UInt64(frame.length)) { return .bufferInDPIMemory }
    guard
      let found = unsafe memory.pointer(at: PhysicalAddress(address), length: UInt64(frame.length), for: .read)
    else { return .bufferAbsent }
    unsafe place = found
    guard state.protection != .inPlace else { return nil }
    let slot = Self.slot(state.given)
    let copy = unsafe self.memory.copy(slot)
    unsafe copy.copyMemory(from: found, byteCount: Int(frame.length))
    unsafe self.memory.transmit.pointee.counters.copiedBytes &+= UInt64(frame.length)
    unsafe place = copy
    frame.buffer = unsafe self.memory.copyAddress(slot)
    return nil
  }

  /// The OS's next slot is done with, without the NIC.
  @inlinable
  mutating func end(_ status: SlotStatus) {
    let state = unsafe memory.transmit
    let taken = unsafe state.pointee.taken
    unsafe state.pointee.osSlots[Self.slot(taken)].status = status
    unsafe state.pointee.osSlots[Self.slot(taken)].isDone = true
    unsafe state.pointee.places = TransmitSlotState.pack(taken: taken &+ 1, given: state.pointee.given)
  }

  @usableFromInline
  mutating func refuse(_ fault: RingFault) {
    unsafe memory.transmit.pointee.counters.faults.count(fault)
    unsafe memory.transmit.pointee.counters.faulted &+= 1
    end(.refused)
  }

  /// Gives a frame to the NIC, in its next slot, which is free: the frame of the OS's next slot, or another.
  @inlinable
  mutating func give<NIC: NICDevice & ~Copyable>(_ frame: NICFrame, isOS: Bool, _ driver: Driver, nic: inout NIC) {
    let state = unsafe memory.transmit
    let place = unsafe state.pointee.given
    let slot = Self.slot(place)
    let taken = unsafe state.pointee.taken
    unsafe state.pointee.nicSlots[slot].frame = frame
    unsafe state.pointee.nicSlots[slot].isOS = isOS
    unsafe state.pointee.nicSlots[slot].osSlot = UInt8(truncatingIfNeeded: Self.slot(taken))
    if isOS { unsafe state.pointee.osSlots[Self.slot(taken)].isDone = false }
    unsafe state.pointee.isGiving = true
    unsafe state.pointee.places = TransmitSlotState.pack(taken: isOS ? taken &+ 1 : taken, given: place &+ 1)
    driver.send(frame, slot: slot, mark: Self.mark(place), nic: &nic)
    unsafe state.pointee.isGiving = false
  }

  // MARK: - Back to the OS

  /// Completes the OS's slots whose frames are done with, as far as none before them is not.
  ///
  /// - Returns: whether anything moved.
  @inlinable
  mutating func complete<NIC: NICDevice & ~Copyable>(
    _ driver: inout Driver, registers: RegisterFile, nic: inout NIC
  ) -> Bool {
    let state = unsafe memory.transmit
    var hasMoved = false
    while unsafe state.pointee.sent != state.pointee.given {
      let slot = unsafe Self.slot(state.pointee.sent)
      guard let status = driver.transmitStatus(of: slot, nic: &nic) else { break }
      let owner = unsafe state.pointee.nicSlots[slot]
      if owner.isOS {
        unsafe state.pointee.osSlots[Int(owner.osSlot)].status = status
        unsafe state.pointee.osSlots[Int(owner.osSlot)].isDone = true
      }
      unsafe state.pointee.sent &+= 1
      hasMoved = true
    }
    while unsafe state.pointee.completed != state.pointee.taken {
      let slot = unsafe Self.slot(state.pointee.completed)
      let osSlot = unsafe state.pointee.osSlots[slot]
      guard osSlot.isDone else { break }
      unsafe state.pointee.isNoting = true
      driver.noteTransmitted(slot, osSlot.status, registers: registers)
      unsafe state.pointee.completed &+= 1
      unsafe state.pointee.isNoting = false
      hasMoved = true
    }
    return hasMoved
  }
}

/// What taking frames out of transmit slots did.
@frozen
@usableFromInline
struct SlotPass: BitwiseCopyable {
  /// Frames that were inspected.
  @usableFromInline var frames: UInt32 = 0
  /// Whether anything moved.
  @usableFromInline var hasMoved = false

  @inlinable
  init() {}
}
