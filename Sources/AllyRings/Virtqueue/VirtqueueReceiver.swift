public import AllyHW
public import AllyPacket

/// The receive direction of a virtualized pair of virtqueues.
///
/// With ``PacketProtection/inPlace`` the NIC fills the OS's buffers, and those of a frame that is dropped are given to the
/// NIC again (``ReceiveDropAppearance/bufferKept``): virtqueues complete in any order. With
/// ``PacketProtection/copyToDPIMemory`` it fills buffers that no OS core can reach, and frames that pass are copied.
///
/// Owned by one DPI core. Of the OS side's far words, ``VirtqueueOSState/taken`` has the buffers given to the NIC, and
/// ``VirtqueueOSState/used`` the place in the NIC's used ring; 16 bits each.
@frozen
@safe
public struct VirtqueueReceiver: ~Copyable {
  @usableFromInline let memory: VirtqueueMemory
  @usableFromInline let queue: UInt16
  public var os: VirtqueueOSSide
  @usableFromInline var nic: VirtqueueNICSide
  @usableFromInline var isResuming: Bool
  /// Whether the NIC has not been told of the buffers that the queue began with.
  @usableFromInline var isNew = false

  @unsafe
  init(memory: VirtqueueMemory, partition: Partition, queue: UInt16, start: RingStart) {
    unsafe self.memory = memory
    self.queue = queue
    os = unsafe memory.osSide(partition: partition, start: start)
    nic = unsafe memory.nicSide()
    isResuming = start == .resuming
    if isResuming, os.state.isRunning {
      let lastUsed = UInt16(truncatingIfNeeded: os.state.used >> 16)
      unsafe nic.resume(size: memory.state.pointee.nicSize, lastUsed: lastUsed)
    }
  }

  public var counters: QueueCounters { unsafe memory.state.pointee.counters }

  var isCopying: Bool { unsafe memory.state.pointee.protection != .inPlace }

  /// Takes up the OS's queue.
  ///
  /// `nicSize` are the descriptors of its twin, `bufferLength` the bytes of each DPI buffer, when frames are copied.
  mutating func start(
    _ programmed: ProgrammedVirtqueue, nicSize: UInt32, mergesBuffers: Bool, bufferLength: UInt32,
    protection: PacketProtection, memory: borrowing PhysicalMemory
  ) -> RingFault? {
    stop()
    let limits = unsafe self.memory.limits
    let copies = UInt32(clamping: limits.copyMemory / UInt64(bufferLength))
    var fault = os.start(programmed, limits: limits, memory: memory)
    if fault == nil, protection != .inPlace, copies < 2 {
      os.stop()
      fault = .queueLength
    }
    if let fault {
      unsafe self.memory.state.pointee.counters.faults.count(fault)
      return fault
    }
    nic.start(size: nicSize)
    unsafe self.memory.outbox.removeAll()
    let state = unsafe self.memory.state
    unsafe state.pointee.nicSize = nicSize
    unsafe state.pointee.protection = protection
    unsafe state.pointee.mergesBuffers = mergesBuffers
    unsafe state.pointee.bufferLength = bufferLength
    unsafe state.pointee.discarded = 0
    isNew = true
    if protection != .inPlace {
      for slot in 0..<min(copies, nicSize) {
        let offset = UInt64(slot) &* UInt64(bufferLength)
        let head = unsafe nic.add(self.memory.copiesAddress &+ offset, bufferLength, isWritable: true, after: nil)
        nic.setToken(head, UInt64(slot) &+ 1)
        nic.expose(head)
      }
    }
    return nil
  }

  mutating func stop() {
    os.stop()
    nic.stop()
    isResuming = false
  }

  // MARK: - The NIC's buffers

  private func token(_ chain: VirtqueueChain) -> UInt64 { UInt64(chain.id) | UInt64(chain.slots) << 16 | 1 << 32 }

  func chain(ofToken token: UInt64) -> VirtqueueChain {
    var chain = VirtqueueChain()
    chain.id = UInt16(truncatingIfNeeded: token)
    chain.slots = UInt16(truncatingIfNeeded: token >> 16)
    return chain
  }

  @usableFromInline
  mutating func begin(memory: borrowing PhysicalMemory) -> Bool {
    guard os.begin(memory: memory) else { return false }
    if isResuming { resume(memory: memory) }
    return true
  }

  private mutating func resume(memory: borrowing PhysicalMemory) {
    isResuming = false
    if os.resume() {
      let handover = os.state.handover
      nic.lastUsed = UInt16(truncatingIfNeeded: handover.used >> 16)
      settleBuffers(handover)
    }
    let state = unsafe self.memory.state.pointee
    // A frame whose bytes were being changed is what it was no more.
    if state.discarded > 0, state.discardedAt == nic.lastUsed {
      scrub(state.discarded, memory: memory)
      handOver(buffers: state.discarded)
    }
    unsafe self.memory.state.pointee.discarded = 0
    let posted = UInt16(truncatingIfNeeded: os.state.taken >> 16)
    if !isCopying, nic.posted != posted {
      os.advance(to: unsafe self.memory.state.pointee.stagedNext, far: UInt64(nic.posted))
    }
  }

  /// The far side's part of a hand-over: the NIC's buffers of the frame are freed, or given to it again.
  private mutating func settleBuffers(_ handover: VirtqueueHandover) {
    var place = UInt16(truncatingIfNeeded: handover.usedBefore >> 16)
    let end = UInt16(truncatingIfNeeded: handover.used >> 16)
    let frees = !isCopying && handover.isVisible
    // A worker that died may have given some of them already.
    var given = nic.posted &- handover.postedBefore
    while place != end {
      if let (head, _) = nic.used(at: place) {
        if frees {
          nic.release(head)
        } else if given > 0 {
          given &-= 1
        } else {
          nic.expose(head)
        }
      }
      place &+= 1
    }
    if !isCopying, !frees {
      // What was given again counts as posted.
      os.advance(to: UInt16(truncatingIfNeeded: os.state.taken), far: UInt64(nic.posted))
    }
    os.finish()
  }

  /// Ends the work on a frame that fills `buffers` of the NIC's: what is staged goes to the OS.
  mutating func handOver(buffers: UInt16) {
    nic.lastUsed &+= buffers
    os.decide(far: UInt64(nic.lastUsed), postedBefore: nic.posted)
    os.show()
    settleBuffers(os.state.handover)
  }

  /// With frames in place: gives the NIC what the OS posted.
  ///
  /// - Returns: false when the OS broke the queue.
  @usableFromInline
  mutating func post(_ pass: inout VirtqueuePass, memory: borrowing PhysicalMemory) -> Bool {
    guard !isCopying else { return true }
    var left = os.state.queue.size
    while left > 0 {
      left &-= 1
      var fault: RingFault?
      switch os.take(memory: memory) {
      case .none: return true
      case .broken:
        unsafe self.memory.state.pointee.counters.faults.count(os.fault)
        return false
      case .refused: fault = os.fault
      case .chain:
        if os.chain.readable > 0 || UInt32(os.chain.count) > nic.size {
          fault = .malformedChain
        } else if os.chain.writableLength < VirtqueueFrameHeader.length {
          fault = .lengthAboveBuffer
        }
      }
      pass.hasMoved = true
      if let fault {
        giveBack(fault)
        continue
      }
      guard UInt32(os.chain.count) <= nic.freeCount else { return true }
      var head: UInt16 = 0
      var previous: UInt16?
      for index in 0..<Int(os.chain.count) {
        let part = os.segment(index)
        let descriptor = nic.add(part.address, part.length, isWritable: true, after: previous)
        if previous == nil { head = descriptor }
        previous = descriptor
      }
      nic.setToken(head, token(os.chain))
      unsafe self.memory.state.pointee.stagedNext = os.following
      nic.expose(head)
      os.advance(far: UInt64(nic.posted))
    }
    return true
  }

  /// The buffer that was taken last goes back empty, with those that were staged before it.
  private mutating func giveBack(_ fault: RingFault) {
    unsafe memory.state.pointee.counters.faults.count(fault)
    os.emptyStaged()
    os.skip()
    _ = os.stage(os.chain, length: 0)
    handOver(buffers: 0)
  }

  // MARK: - Frames

  /// A frame that the NIC has completed.
  @safe
  @usableFromInline
  struct Found: BitwiseCopyable {
    /// Invariant: header and frame lie here, `length` bytes in all.
    @usableFromInline var place: UnsafeMutableRawPointer
    @usableFromInline var length: UInt32
    @usableFromInline var buffers: UInt16
    @usableFromInline var header: VirtqueueFrameHeader
  }

  /// The bytes that the NIC wrote into the buffer at `head`, appended to the gather area.
  ///
  /// - Returns: false when there are more than the buffer or the area holds.
  private mutating func gather(
    _ head: UInt16, _ length: UInt32, at filled: UInt32, memory: borrowing PhysicalMemory
  ) -> Bool {
    let limits = unsafe self.memory.limits
    guard UInt64(filled) &+ UInt64(length) <= UInt64(limits.maximumFrameLength) &+ 64 else { return false }
    var index = head
    var done: UInt32 = 0
    for _ in 0..<nic.size {
      let part = min(nic.length(index), length &- done)
      if part > 0 {
        guard let source = unsafe buffer(nic.address(index), part, memory: memory) else { return false }
        unsafe (self.memory.gather + Int(filled &+ done)).copyMemory(from: source, byteCount: Int(part))
        done &+= part
      }
      guard done < length, nic.hasNext(index) else { break }
      index = nic.next(index)
    }
    return done == length
  }

  /// Where a buffer of the NIC's is in this process.
  @unsafe
  private mutating func buffer(
    _ address: UInt64, _ length: UInt32, memory: borrowing PhysicalMemory
  ) -> UnsafeMutableRawPointer? {
    if isCopying {
      let offset = unsafe address &- self.memory.copiesAddress
      return unsafe self.memory.copies + Int(offset)
    }
    return unsafe os.place(address, length, memory: memory)
  }

  /// The next frame that the NIC has completed; nil when there is none, or not all of it. What is no frame is passed over.
  @usableFromInline
  mutating func nextFrame(_ pass: inout VirtqueuePass, memory: borrowing PhysicalMemory) -> Found? {
    while nic.usedCount > 0 {
      guard UInt32(nic.usedCount) <= nic.size, let (head, length) = nic.used(at: nic.lastUsed) else {
        // Not what a NIC does; the place is passed over.
        count(.malformedChain, frames: 0)
        handOver(buffers: 1)
        pass.hasMoved = true
        continue
      }
      var found = unsafe Found(
        place: gatherArea, length: length, buffers: 1, header: VirtqueueFrameHeader(at: gatherArea))
      var isGood = length > VirtqueueFrameHeader.length
      if isGood, length <= nic.length(head), let place = unsafe buffer(nic.address(head), length, memory: memory) {
        unsafe found.place = place
        unsafe found.header = VirtqueueFrameHeader(at: place)
      } else if isGood {
        isGood = gather(head, length, at: 0, memory: memory)
        unsafe found.header = VirtqueueFrameHeader(at: gatherArea)
      }
      if isGood, unsafe self.memory.state.pointee.mergesBuffers, found.header.buffers > 1 {
        found.buffers = found.header.buffers
        guard UInt32(found.buffers) <= nic.size else {
          count(.endlessChain, frames: 1)
          handOver(buffers: 1)
          pass.hasMoved = true
          continue
        }
        // The NIC uses all buffers of a frame together.
        guard nic.usedCount >= found.buffers else { return nil }
        guard Int(found.buffers) <= VirtqueueOSSide.maximumStaged else {
          count(.endlessChain, frames: 1)
          handOver(buffers: found.buffers)
          pass.hasMoved = true
          continue
        }
        isGood = gatherAll(&found, memory: memory)
      }
      if isGood { return found }
      count(.lengthAboveBuffer, frames: 1)
      handOver(buffers: found.buffers)
      pass.hasMoved = true
    }
    return nil
  }

  @unsafe var gatherArea: UnsafeMutableRawPointer { unsafe memory.gather }

  private mutating func gatherAll(_ found: inout Found, memory: borrowing PhysicalMemory) -> Bool {
    unsafe found.place = gatherArea
    found.length = 0
    for index in 0..<found.buffers {
      guard let (head, length) = nic.used(at: nic.lastUsed &+ index),
        gather(head, length, at: found.length, memory: memory)
      else { return false }
      found.length &+= length
    }
    return true
  }

  mutating func count(_ fault: RingFault, frames: UInt64) {
    unsafe memory.state.pointee.counters.faults.count(fault)
    unsafe memory.state.pointee.counters.faulted &+= frames
  }

  /// Whether a frame has a place to go to.
  @usableFromInline
  enum Room {
    /// It has; with copies the OS's buffers for it are staged.
    case ready
    /// The OS has not posted enough yet, or has broken the queue.
    case missing
    /// The OS posts no buffers that could hold it.
    case never
  }

  /// Finds room for header and frame, `length` bytes in all: with copies, stages buffers of the OS's.
  @usableFromInline
  mutating func findRoom(for length: UInt32, _ pass: inout VirtqueuePass, memory: borrowing PhysicalMemory) -> Room {
    guard isCopying else { return .ready }
    var room: UInt32 = 0
    var planned = 0
    var taken: UInt32 = 0
    os.rewind()
    while room < length {
      var fault: RingFault?
      switch os.take(memory: memory) {
      case .none:
        os.rewind()
        // All that the queue can hold is there, and it is not enough.
        return taken > 0 && taken >= os.state.queue.size ? .never : .missing
      case .broken:
        unsafe self.memory.state.pointee.counters.faults.count(os.fault)
        pass.hasBroken = true
        return .missing
      case .refused: fault = os.fault
      case .chain:
        if os.chain.readable > 0 || os.segmentLength(0) < VirtqueueFrameHeader.length { fault = .malformedChain }
      }
      if let fault {
        giveBack(fault)
        pass.hasMoved = true
        room = 0
        planned = 0
        taken = 0
        continue
      }
      let part = min(os.chain.writableLength, length &- room)
      let mergesBuffers = unsafe self.memory.state.pointee.mergesBuffers
      let fits = mergesBuffers || part == length
      guard fits, planned &+ Int(os.chain.count) <= VirtqueueOSSide.maximumSegments, os.stage(os.chain, length: part)
      else {
        os.rewind()
        return .never
      }
      for index in 0..<Int(os.chain.count) {
        unsafe self.memory.plan[planned] = os.segment(index)
        planned &+= 1
      }
      taken &+= UInt32(os.chain.slots)
      room &+= part
      os.skip()
    }
    return .ready
  }

  /// A frame that no buffers of the OS's can hold ends here.
  @usableFromInline
  mutating func passOver(_ found: Found, _ pass: inout VirtqueuePass) {
    count(.frameTooLong, frames: 1)
    handOver(buffers: found.buffers)
    pass.hasMoved = true
  }

  /// Carries a verdict out.
  @usableFromInline
  mutating func settle(_ found: Found, _ verdict: Verdict, memory: borrowing PhysicalMemory) {
    let state = unsafe self.memory.state
    guard verdict.passes else {
      if verdict == .reject {
        unsafe state.pointee.counters.rejected &+= 1
      } else {
        unsafe state.pointee.counters.dropped &+= 1
      }
      discard(found, memory: memory)
      return
    }
    unsafe state.pointee.counters.accepted &+= 1
    if isCopying {
      unsafe copyOut(found.place, length: found.length)
      unsafe state.pointee.counters.copiedBytes &+= UInt64(found.length &- VirtqueueFrameHeader.length)
    } else {
      for index in 0..<found.buffers {
        guard let (head, length) = nic.used(at: nic.lastUsed &+ index) else { continue }
        // They are no more than can be staged.
        _ = os.stage(chain(ofToken: nic.token(head)), length: length)
      }
    }
    handOver(buffers: found.buffers)
  }

  /// The frame ends here. In place its buffers are the NIC's again, without what it wrote there.
  mutating func discard(_ found: Found, memory: borrowing PhysicalMemory) {
    os.rewind()
    if !isCopying {
      noteChange(of: found)
      scrub(found.buffers, memory: memory)
    }
    handOver(buffers: found.buffers)
    unsafe self.memory.state.pointee.discarded = 0
  }

  /// Notes that the bytes of a frame are about to change.
  func noteChange(of found: Found) {
    unsafe memory.state.pointee.discardedAt = nic.lastUsed
    unsafe memory.state.pointee.discarded = found.buffers
  }

  /// Zeros in what the NIC wrote of a frame that the OS is not to see.
  mutating func scrub(_ buffers: UInt16, memory: borrowing PhysicalMemory) {
    for number in 0..<buffers {
      guard let (head, written) = nic.used(at: nic.lastUsed &+ number) else { continue }
      var index = head
      var left = written
      for _ in 0..<nic.size {
        let part = min(nic.length(index), left)
        if part > 0, let place = unsafe os.place(nic.address(index), part, memory: memory) {
          unsafe place.initializeMemory(as: UInt8.self, repeating: 0, count: Int(part))
        }
        left &-= part
        guard left > 0, nic.hasNext(index) else { break }
        index = nic.next(index)
      }
    }
  }

  /// Copies header and frame to the buffers that were staged; the header says how many these are.
  @unsafe
  func copyOut(_ place: UnsafeMutableRawPointer, length: UInt32) {
    let plan = unsafe memory.plan
    var done = 0
    var index = 0
    let total = Int(length)
    while done < total, index < VirtqueueOSSide.maximumSegments {
      let part = unsafe plan[index]
      let length = min(Int(part.length), total &- done)
      unsafe part.place.copyMemory(from: place + done, byteCount: length)
      if index == 0, length >= Int(VirtqueueFrameHeader.length) {
        unsafe part.place.storeBytes(
          of: UInt16(truncatingIfNeeded: os.stagedCount).littleEndian, toByteOffset: 10, as: UInt16.self)
      }
      done &+= length
      index &+= 1
    }
  }

  /// One pass: what the OS posted goes to the NIC, frames that the NIC completed go through the inspector to the OS.
  ///
  /// `towardsWire` is where an inspector's own frames go that are for the wire: ``VirtqueueTransmitter/outbox`` of the same
  /// pair.
  @inlinable
  public mutating func service<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    inspecting inspector: inout Inspector, towardsWire: FrameOutbox = FrameOutbox(), clock: inout Clock,
    memory: borrowing PhysicalMemory
  ) -> VirtqueuePass {
    var pass = VirtqueuePass()
    guard begin(memory: memory) else { return pass }
    let posted = nic.posted
    let written = nic.written
    if !post(&pass, memory: memory) { pass.hasBroken = true }
    let hasActions = !Inspector.actions.isEmpty
    var answers =
      unsafe hasActions ? self.memory.answers(towardsOS: outbox, towardsWire: towardsWire) : FrameAnswers()
    // At most one turn around the NIC's queue.
    var left = nic.size
    while left > 0, !pass.hasBroken {
      left &-= 1
      // What an inspector added goes before the next frame.
      if hasActions, !publishWaiting(&pass, memory: memory) { break }
      guard let found = nextFrame(&pass, memory: memory) else { break }
      let room = findRoom(for: found.length, &pass, memory: memory)
      if room == .missing { break }
      if room == .never {
        passOver(found, &pass)
        _ = clock.stamp(forFrameOf: found.length &- VirtqueueFrameHeader.length)
        continue
      }
      var skipped = 0
      let verdict = unsafe Self.inspect(
        found, queue: queue, skipped: &skipped, inspecting: &inspector, answers: &answers, clock: &clock)
      pass.frames &+= 1
      pass.hasMoved = true
      if hasActions, verdict == .replace {
        replace(found, answers, skipped, &pass, memory: memory)
      } else {
        settle(found, verdict, memory: memory)
      }
    }
    if hasActions, !pass.hasBroken { _ = publishWaiting(&pass, memory: memory) }
    pass.notifiesNIC = (isNew || nic.posted != posted) && nic.wantsNotification
    isNew = false
    pass.descriptors = nic.written &- written
    os.requestNotification()
    pass.interruptsOS = os.wantsInterrupt()
    return pass
  }

  @unsafe
  @inlinable
  @inline(__always)
  static func inspect<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    _ found: Found, queue: UInt16, skipped: inout Int, inspecting inspector: inout Inspector,
    answers: inout FrameAnswers, clock: inout Clock
  ) -> Verdict {
    let length = found.length &- VirtqueueFrameHeader.length
    let stamp = clock.stamp(forFrameOf: length)
    // What is not Ethernet came under a made-up Ethernet header (decision 15 of Docs/Architecture.md).
    skipped = stamp.linkType == .ethernet ? 0 : min(14, Int(length))
    let start = Int(VirtqueueFrameHeader.length) &+ skipped
    let bytes = unsafe UnsafeRawBufferPointer(start: found.place + start, count: Int(length) &- skipped).bytes
    let offloads = FrameOffloads(transportChecksum: found.header.isVerified)
    let packet = Packet(bytes: bytes, stamp: stamp, direction: .receive, queue: queue, offloads: offloads)
    return AllyRings.inspect(packet, with: &inspector, &answers)
  }
}
