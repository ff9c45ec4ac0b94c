public import AllyHW
public import AllyPacket

/// The transmit direction of a virtualized pair of virtqueues: the OS's buffers go to the NIC once their frames were
/// inspected, and back to the OS in the order in which it posted them.
///
/// Owned by one DPI core. All that it must remember is in the DPI memory that it was given. Of the OS side's far words,
/// ``VirtqueueOSState/taken`` has the entries made and the buffers given to the NIC, ``VirtqueueOSState/used`` the entries
/// given back; 16 bits each.
@frozen
@safe
public struct VirtqueueTransmitter: ~Copyable {
  @usableFromInline let memory: VirtqueueMemory
  @usableFromInline let queue: UInt16
  public var os: VirtqueueOSSide
  @usableFromInline var nic: VirtqueueNICSide
  @usableFromInline var isResuming: Bool

  @unsafe
  init(memory: VirtqueueMemory, partition: Partition, queue: UInt16, start: RingStart) {
    unsafe self.memory = memory
    self.queue = queue
    os = unsafe memory.osSide(partition: partition, start: start)
    nic = unsafe memory.nicSide()
    isResuming = start == .resuming
    if isResuming, os.state.isRunning {
      unsafe nic.resume(size: memory.state.pointee.nicSize, lastUsed: memory.state.pointee.nicUsed)
    }
  }

  public var counters: QueueCounters { unsafe memory.state.pointee.counters }

  /// Takes up the OS's queue; `nicSize` are the descriptors of its twin, a power of two.
  mutating func start(
    _ programmed: ProgrammedVirtqueue, nicSize: UInt32, protection: PacketProtection, memory: borrowing PhysicalMemory
  ) -> RingFault? {
    stop()
    let limits = unsafe self.memory.limits
    if let fault = os.start(programmed, limits: limits, memory: memory) {
      unsafe self.memory.state.pointee.counters.faults.count(fault)
      return fault
    }
    for index in 0..<Int(unsafe self.memory.capacity) { unsafe self.memory.entries[index] = VirtqueueEntry() }
    unsafe self.memory.outbox.removeAll()
    nic.start(size: nicSize)
    unsafe self.memory.state.pointee.nicSize = nicSize
    unsafe self.memory.state.pointee.nicUsed = 0
    unsafe self.memory.state.pointee.protection = protection
    return nil
  }

  mutating func stop() {
    os.stop()
    nic.stop()
    isResuming = false
  }

  // MARK: - Entries

  var made: UInt16 { UInt16(truncatingIfNeeded: os.state.taken >> 16) }
  var returned: UInt16 { UInt16(truncatingIfNeeded: os.state.used >> 16) }
  func place(_ entry: UInt16) -> Int { unsafe Int(UInt32(entry) & (memory.capacity &- 1)) }

  /// Begins a pass: what the NIC is done with is noted.
  ///
  /// - Returns: false when there is nothing to do a pass over.
  @usableFromInline
  mutating func begin(memory: borrowing PhysicalMemory) -> Bool {
    guard os.begin(memory: memory) else { return false }
    if isResuming { resume() }
    collect()
    return true
  }

  /// Carries out what a worker that died had begun.
  private mutating func resume() {
    isResuming = false
    if os.resume() { os.finish() }
    let posted = UInt16(truncatingIfNeeded: os.state.taken >> 32)
    if nic.posted != posted {
      let entry = unsafe memory.entries[place(made)]
      os.advance(to: entry.next, far: UInt64(made &+ 1) | UInt64(nic.posted) << 16)
    }
  }

  /// Notes what the NIC has sent: at most one turn around its queue.
  private mutating func collect() {
    var left = min(UInt32(nic.usedCount), nic.size)
    while left > 0 {
      left &-= 1
      if let (head, _) = nic.used(at: nic.lastUsed) {
        let entry = UInt16(truncatingIfNeeded: nic.token(head) &- 1)
        unsafe memory.entries[place(entry)].isDone = true
        nic.release(head)
      }
      nic.lastUsed &+= 1
      unsafe memory.state.pointee.nicUsed = nic.lastUsed
    }
  }

  /// Hands back what is done, as far as nothing before it is not.
  ///
  /// - Returns: whether there was anything.
  @usableFromInline
  mutating func handBack() -> Bool {
    var entry = returned
    let end = made
    var any = false
    while entry != end {
      let first = entry
      while entry != end, unsafe memory.entries[place(entry)].isDone {
        var chain = VirtqueueChain()
        unsafe chain.id = memory.entries[place(entry)].id
        unsafe chain.slots = memory.entries[place(entry)].slots
        guard chain.slots == 0 || os.stage(chain, length: 0) else { break }
        entry &+= 1
      }
      guard entry != first else { break }
      os.decide(far: UInt64(entry))
      os.show()
      os.finish()
      any = true
    }
    return any
  }

  /// What the next buffer calls for.
  @usableFromInline
  enum Step {
    /// Inspect the frame, which was found.
    case inspect
    /// Go on; the buffer was passed over.
    case next
    /// Nothing more for now.
    case end
    /// The OS broke the queue.
    case broken
  }

  /// Where the frame to be inspected is, and what its header says.
  @safe
  @usableFromInline
  struct Found: BitwiseCopyable {
    /// Invariant: `length` bytes from here on.
    @usableFromInline var frame: UnsafeMutableRawPointer
    @usableFromInline var length: Int
    @usableFromInline var header: VirtqueueFrameHeader
    /// Where the copy, or a replacement, begins in the copy memory, counted on without wrapping.
    @usableFromInline var copyStart: UInt64
    /// How many bytes there is room for at that place, header included; 0 for none.
    @usableFromInline var room: UInt64
  }

  /// Finds the next frame to inspect, and with `mayBeReplaced` the room for another in its place.
  @usableFromInline
  mutating func nextFrame(
    _ found: inout Found?, mayBeReplaced: Bool, memory: borrowing PhysicalMemory
  ) -> Step {
    found = nil
    let capacity = unsafe self.memory.capacity
    guard UInt32(made &- returned) < capacity &- 1 else { return .end }
    switch os.take(memory: memory) {
    case .none: return .end
    case .broken:
      unsafe self.memory.state.pointee.counters.faults.count(os.fault)
      return .broken
    case .refused: return passOver(os.fault)
    case .chain: break
    }
    let header = VirtqueueFrameHeader.length
    let chain = os.chain
    guard chain.count == chain.readable else { return passOver(.malformedChain) }
    guard chain.readableLength > header else { return passOver(.emptyFrame) }
    let limits = unsafe self.memory.limits
    guard chain.readableLength &- header <= limits.maximumFrameLength else {
      return passOver(.frameTooLong)
    }
    let length = Int(chain.readableLength)
    if unsafe self.memory.state.pointee.protection == .inPlace {
      guard UInt32(chain.count) <= nic.size else { return passOver(.endlessChain) }
      guard UInt32(chain.count) <= nic.freeCount else { return .end }
      var inPlace = findInPlace(length)
      if mayBeReplaced, limits.copyMemory > 0 {
        inPlace.room = min(UInt64(length) &+ Self.replacementGrowth, limits.copyMemory)
        guard let start = roomForCopy(inPlace.room, limits.copyMemory) else { return .end }
        inPlace.copyStart = start
      }
      found = inPlace
      return .inspect
    }
    guard nic.freeCount > 0 else { return .end }
    guard UInt64(length) <= limits.copyMemory else { return passOver(.frameTooLong) }
    let room = min(UInt64(length) &+ (mayBeReplaced ? Self.replacementGrowth : 0), limits.copyMemory)
    guard let start = roomForCopy(room, limits.copyMemory) else { return .end }
    let copy = unsafe self.memory.copies + Int(start % limits.copyMemory)
    unsafe os.copyReadable(to: copy)
    let copied = unsafe Found(
      frame: copy + Int(header), length: length &- Int(header), header: VirtqueueFrameHeader(at: copy),
      copyStart: start, room: room)
    guard Self.hasHeadersInPlace(copied) else { return passOver(.misplacedHeaders) }
    unsafe self.memory.state.pointee.counters.copiedBytes &+= UInt64(copied.length)
    found = copied
    return .inspect
  }

  /// Whether the NIC will write nowhere in a frame but in its headers. One that it is to cut has a checksum to be completed
  /// (virtio 1.2, §5.1.6.2).
  private static func hasHeadersInPlace(_ found: Found) -> Bool {
    let offloads = found.header.offloads
    guard offloads.transportChecksum || offloads.segmentSize != 0 else { return true }
    let bytes = unsafe UnsafeRawBufferPointer(start: found.frame, count: found.length).bytes
    let stamp = FrameStamp(time: 0, ordinal: 0, lengthOnWire: UInt32(truncatingIfNeeded: found.length))
    return offloads.transportChecksum
      && found.header.places.areHeaders(
        of: Packet(bytes: bytes, stamp: stamp, direction: .transmit, offloads: offloads))
  }

  private func findInPlace(_ length: Int) -> Found {
    let header = Int(VirtqueueFrameHeader.length)
    if let piece = unsafe os.readablePiece(from: header), os.segment(0).length >= UInt32(header) {
      return unsafe Found(
        frame: piece, length: length &- header, header: VirtqueueFrameHeader(at: os.segment(0).place), copyStart: 0,
        room: 0)
    }
    let gather = unsafe memory.gather
    unsafe os.copyReadable(to: gather)
    return unsafe Found(
      frame: gather + header, length: length &- header, header: VirtqueueFrameHeader(at: gather), copyStart: 0, room: 0)
  }

  /// Where so many bytes go in the copy memory, in one piece; nil while there is no room.
  func roomForCopy(_ length: UInt64, _ capacity: UInt64) -> UInt64? {
    let first = unsafe memory.entries[place(returned &- 1)].copyEnd
    var start = unsafe memory.entries[place(made &- 1)].copyEnd
    let rest = capacity &- start % capacity
    if rest < length { start &+= rest }
    return start &+ length &- first <= capacity ? start : nil
  }

  /// The buffer goes back uninspected.
  private mutating func passOver(_ fault: RingFault) -> Step {
    unsafe memory.state.pointee.counters.faults.count(fault)
    unsafe memory.state.pointee.counters.faulted &+= 1
    discard()
    return .next
  }

  mutating func makeEntry(isDone: Bool, copyEnd: UInt64) {
    var entry = VirtqueueEntry()
    entry.id = os.chain.id
    entry.slots = os.chain.slots
    entry.next = os.following
    entry.isDone = isDone
    entry.copyEnd = copyEnd
    unsafe memory.entries[place(made)] = entry
  }

  /// The buffer goes back, and the NIC never gets it.
  mutating func discard() {
    makeEntry(isDone: true, copyEnd: unsafe memory.entries[place(made &- 1)].copyEnd)
    os.advance(far: UInt64(made &+ 1) | UInt64(nic.posted) << 16)
  }

  /// Carries a verdict out.
  @usableFromInline
  mutating func settle(_ found: Found, _ verdict: Verdict) {
    let state = unsafe memory.state
    let isCopied = unsafe state.pointee.protection != .inPlace
    var copyEnd = unsafe memory.entries[place(made &- 1)].copyEnd
    let entry = made
    guard verdict.passes else {
      if verdict == .reject {
        unsafe state.pointee.counters.rejected &+= 1
      } else {
        unsafe state.pointee.counters.dropped &+= 1
      }
      discard()
      return
    }
    unsafe state.pointee.counters.accepted &+= 1
    var head: UInt16 = 0
    if isCopied {
      let length = found.length &+ Int(VirtqueueFrameHeader.length)
      copyEnd = found.copyStart &+ UInt64(length)
      let offset = unsafe found.copyStart % memory.limits.copyMemory
      head = unsafe nic.add(memory.copiesAddress &+ offset, UInt32(length), isWritable: false, after: nil)
    } else {
      var previous: UInt16?
      for index in 0..<Int(os.chain.count) {
        let part = os.segment(index)
        let descriptor = nic.add(part.address, part.length, isWritable: false, after: previous)
        if previous == nil { head = descriptor }
        previous = descriptor
      }
    }
    nic.setToken(head, UInt64(entry) &+ 1)
    makeEntry(isDone: false, copyEnd: copyEnd)
    nic.expose(head)
    os.advance(far: UInt64(entry &+ 1) | UInt64(nic.posted) << 16)
  }

  /// One pass: what the NIC has sent goes back to the OS, what the OS posted goes through the inspector to the NIC.
  ///
  /// `towardsOS` is where an inspector's own frames go that are for the OS: ``VirtqueueReceiver/outbox`` of the same pair.
  @inlinable
  public mutating func service<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    inspecting inspector: inout Inspector, towardsOS: FrameOutbox = FrameOutbox(), clock: inout Clock,
    memory: borrowing PhysicalMemory
  ) -> VirtqueuePass {
    var pass = VirtqueuePass()
    guard begin(memory: memory) else { return pass }
    let posted = nic.posted
    let written = nic.written
    pass.hasMoved = handBack()
    let hasActions = !Inspector.actions.isEmpty
    let mayBeReplaced = Inspector.actions.contains(.replacesTransmitted)
    var answers = FrameAnswers()
    if hasActions {
      answers = unsafe self.memory.answers(towardsOS: towardsOS, towardsWire: outbox)
      if sendWaiting() { pass.hasMoved = true }
    }
    // At most one turn around the OS's queue.
    var left = os.state.queue.size
    var found: Found?
    loop: while left > 0 {
      left &-= 1
      // What an inspector added goes before the next frame.
      if hasActions, !outbox.isEmpty { break }
      switch nextFrame(&found, mayBeReplaced: mayBeReplaced, memory: memory) {
      case .end: break loop
      case .broken:
        pass.hasBroken = true
        break loop
      case .next: pass.hasMoved = true
      case .inspect:
        guard let found else { break loop }
        let verdict = unsafe Self.inspect(
          found, queue: queue, inspecting: &inspector, answers: &answers, clock: &clock)
        pass.frames &+= 1
        pass.hasMoved = true
        if hasActions, verdict == .replace { replace(found, answers) } else { settle(found, verdict) }
        if hasActions { _ = sendWaiting() }
      }
    }
    if handBack() { pass.hasMoved = true }
    pass.descriptors = nic.written &- written
    pass.notifiesNIC = nic.posted != posted && nic.wantsNotification
    os.requestNotification()
    pass.interruptsOS = os.wantsInterrupt()
    return pass
  }

  @unsafe
  @inlinable
  @inline(__always)
  static func inspect<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    _ found: Found, queue: UInt16, inspecting inspector: inout Inspector, answers: inout FrameAnswers,
    clock: inout Clock
  ) -> Verdict {
    let stamp = clock.stamp(forFrameOf: UInt32(truncatingIfNeeded: found.length))
    let bytes = unsafe UnsafeRawBufferPointer(start: found.frame, count: found.length).bytes
    let packet = Packet(
      bytes: bytes, stamp: stamp, direction: .transmit, queue: queue, offloads: found.header.offloads)
    return AllyRings.inspect(packet, with: &inspector, &answers)
  }
}
