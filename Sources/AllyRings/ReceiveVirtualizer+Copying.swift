public import AllyHW
public import AllyPacket

/// Receiving into DPI memory (``PacketProtection/copyToDPIMemory``): the NIC fills buffers that no OS core can reach, and
/// frames that pass are copied to the next slots of the OS queue. A frame that is dropped leaves no trace; frames wait, in
/// order, while the OS has posted no slots for them.
extension ReceiveVirtualizer {
  /// Where the buffer of a slot of the DPI queue lies within the copies.
  @inlinable
  func copyOffset(of slot: UInt32) -> Int {
    unsafe Int(slot) &* Int(ring.state.pointee.receive.bufferLength)
  }

  /// Offers the buffer of a slot of the DPI queue to the NIC.
  @inlinable
  func offerCopy(_ slot: UInt32) {
    let address = unsafe ring.copiesAddress.advanced(by: UInt64(copyOffset(of: slot)))
    nicSlots.store(NICSide(offering: BusAddress(address.rawValue)), at: slot)
  }

  /// Offers every buffer but one; a full queue cannot be told from an empty one.
  @inlinable
  func offerCopies() {
    let count = unsafe ring.state.pointee.dpiQueue.count
    for slot in 0..<count { offerCopy(slot) }
    unsafe ring.state.pointee.dpiQueue.tail = count &- 1
  }

  @inline(never)
  @inlinable
  mutating func publishCopies<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    inspecting inspector: inout Inspector, answers: inout FrameAnswers, clock: inout Clock,
    memory: borrowing PhysicalMemory
  ) -> PublishResult {
    let os = self.os.slots
    var window = self.os.window
    let state = unsafe ring.state
    let dpi = nicSlots
    isResuming = false
    var result = PublishResult()
    let osStart = unsafe state.pointee.osQueue.head
    // At most one turn around the DPI queue.
    var remaining = unsafe state.pointee.dpiQueue.outstanding
    if Inspector.takesAnnouncements { announceCopies(remaining, to: &inspector, clock: clock) }
    while remaining > 0 {
      // What inspectors have added comes before the frames after it.
      guard publishOutbox(os, window: &window, memory: memory) else { break }
      let first = unsafe state.pointee.dpiQueue.head
      var total: UInt32 = 0
      var slots: UInt32 = 0
      var index = first
      var frameEnded = false
      var fault: RingFault?
      var offloads = FrameOffloads.none
      while slots < remaining, !frameEnded {
        let descriptor = dpi.load(at: index)
        guard descriptor.isCompleted else { break }
        frameEnded = descriptor.endsFrame
        if frameEnded { offloads = descriptor.offloads }
        let length = descriptor.completedLength
        if unsafe length > state.pointee.receive.bufferLength {
          fault = .lengthAboveBuffer
        } else if unsafe length > ring.limits.maximumFrameLength &- total {
          fault = .frameTooLong
        } else {
          total &+= length
        }
        slots &+= 1
        index = unsafe state.pointee.dpiQueue.next(after: index)
      }
      guard frameEnded else {
        // Longer than the whole DPI queue: it would never end.
        guard slots == remaining, unsafe slots == state.pointee.dpiQueue.count &- 1 else { break }
        unsafe state.pointee.counters.faults.count(.endlessChain)
        unsafe state.pointee.receive.isDiscarding = true
        recycle(slots)
        break
      }
      if unsafe fault == nil && slots > state.pointee.osQueue.count &- 1 { fault = .frameTooLong }
      if unsafe state.pointee.receive.isDiscarding || fault != nil {
        if let fault { unsafe state.pointee.counters.faults.count(fault) }
        unsafe state.pointee.receive.isDiscarding = false
        unsafe state.pointee.counters.faulted &+= 1
        _ = clock.stamp(forFrameOf: total)
        recycle(slots)
        remaining &-= slots
        continue
      }
      guard prepareOSSlots(slots, os, window: &window, memory: memory) else { break }
      let place = unsafe contiguousFrame(from: first, slots: slots)
      let trailerLength = unsafe state.pointee.receive.trailerLength
      let frameLength = total > trailerLength ? total &- trailerLength : 0
      var skipped = 0
      let verdict = unsafe Self.inspectReceived(
        place, length: frameLength, queue: queue, offloads: offloads, skipped: &skipped, inspecting: &inspector,
        answers: &answers, clock: &clock)
      result.frames &+= 1
      if verdict.passes {
        unsafe state.pointee.counters.accepted &+= 1
        unsafe state.pointee.counters.copiedBytes &+= UInt64(total)
        copyOut(from: first, slots: slots, os, window: &window, memory: memory)
      } else if verdict == .replace {
        unsafe publishReplacement(answers, behind: place, skipped, os, window: &window, memory: memory)
      } else {
        countRefused(verdict)
      }
      recycle(slots)
      remaining &-= slots
    }
    _ = publishOutbox(os, window: &window, memory: memory)
    result.descriptors = unsafe state.pointee.osQueue.distance(from: osStart, to: state.pointee.osQueue.head)
    let handled = result.descriptors
    if unsafe handled > state.pointee.counters.highWater { unsafe state.pointee.counters.highWater = handled }
    return result
  }

  /// Tells the inspector of the frames that this pass will ask it about, as far as each is whole in one buffer and the OS has posted
  /// slots for all of them.
  @inline(never)
  @inlinable
  func announceCopies<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    _ outstanding: UInt32, to inspector: inout Inspector, clock: borrowing Clock
  ) {
    let state = unsafe ring.state
    let dpi = nicSlots
    let posted = unsafe state.pointee.osQueue.distance(from: state.pointee.osQueue.head, to: state.pointee.osQueue.tail)
    // What waits for the OS takes slots before these.
    guard unsafe ring.outbox.isEmpty, unsafe !state.pointee.receive.isDiscarding else { return }
    let trailer = unsafe state.pointee.receive.trailerLength
    let longest = unsafe min(state.pointee.receive.bufferLength, ring.limits.maximumFrameLength)
    var index = unsafe state.pointee.dpiQueue.head
    for number in 0..<min(outstanding, posted) {
      let descriptor = dpi.load(at: index)
      guard descriptor.isCompleted, descriptor.endsFrame, descriptor.completedLength <= longest else { return }
      let total = descriptor.completedLength
      let length = total > trailer ? total &- trailer : 0
      guard let stamp = clock.stamp(forFrameOf: length, after: number) else { return }
      let skipped = stamp.linkType == .ethernet ? 0 : min(14, Int(length))
      let place = unsafe ring.copies + copyOffset(of: index)
      let bytes = unsafe UnsafeRawBufferPointer(start: place + skipped, count: Int(length) &- skipped).bytes
      inspector.announce(
        Packet(bytes: bytes, stamp: stamp, direction: .receive, queue: queue, offloads: descriptor.offloads))
      index = unsafe state.pointee.dpiQueue.next(after: index)
    }
  }

  /// The frame's bytes in one piece. Buffers of neighbouring slots are neighbours, so a frame that does not wrap around
  /// the queue and fills its buffers lies in one piece already.
  @unsafe
  @inlinable
  func contiguousFrame(from first: UInt32, slots: UInt32) -> UnsafeMutableRawPointer {
    let count = unsafe ring.state.pointee.dpiQueue.count
    let bufferLength = unsafe ring.state.pointee.receive.bufferLength
    let dpi = nicSlots
    var isContiguous = first &+ slots <= count
    if isContiguous, slots > 1 {
      for slot in first..<(first &+ slots &- 1) where dpi.load(at: slot).completedLength != bufferLength {
        isContiguous = false
      }
    }
    if isContiguous { return unsafe ring.copies + copyOffset(of: first) }
    var index = first
    var filled = 0
    for _ in 0..<slots {
      let length = Int(dpi.load(at: index).completedLength)
      unsafe (ring.gather + filled).copyMemory(from: ring.copies + copyOffset(of: index), byteCount: length)
      filled &+= length
      index = unsafe ring.state.pointee.dpiQueue.next(after: index)
    }
    return unsafe ring.gather
  }

  /// Sees to it that the next `needed` slots of the OS queue are posted and have usable buffers. Slots up to one that has
  /// none are given back to the OS as dropped frames, which is all that it can be told.
  ///
  /// - Returns: false when the OS has not posted enough; the frame then waits.
  @inlinable
  mutating func prepareOSSlots(
    _ needed: UInt32, _ os: DescriptorSlots<OSSide>, window: inout BufferWindow, memory: borrowing PhysicalMemory
  ) -> Bool {
    let state = unsafe ring.state
    let length = unsafe state.pointee.receive.bufferLength
    var good: UInt32 = 0
    var index = unsafe state.pointee.osQueue.head
    while good < needed {
      guard unsafe index != state.pointee.osQueue.tail else { return false }
      // The one load of this slot; copyOut uses the address that was checked.
      let buffer = os.load(at: index).offeredBuffer.rawValue
      let following = unsafe state.pointee.osQueue.next(after: index)
      unsafe ring.words[Int(index)] = buffer
      if unsafe window.pointer(at: buffer, length: length) == nil,
        let fault = window.move(
          to: buffer, length: length, memory: memory, partition: partition, rights: .readWrite)
      {
        unsafe state.pointee.counters.faults.count(fault)
        var refused = unsafe state.pointee.osQueue.head
        while refused != following {
          let address = unsafe BusAddress(ring.words[Int(refused)])
          var descriptor = OSSide(ReceiveCompletion(length: 0, endsFrame: true), buffer: address)
          descriptor.markDropped()
          os.store(descriptor, at: refused)
          refused = unsafe state.pointee.osQueue.next(after: refused)
        }
        advanceHead(to: following)
        good = 0
      } else {
        good &+= 1
      }
      index = following
    }
    return true
  }

  /// Copies a frame to the slots of the OS queue that were prepared for it, and completes them.
  @inlinable
  mutating func copyOut(
    from first: UInt32, slots: UInt32, _ os: DescriptorSlots<OSSide>, window: inout BufferWindow,
    memory: borrowing PhysicalMemory
  ) {
    let state = unsafe ring.state
    let dpi = nicSlots
    var source = first
    var target = unsafe state.pointee.osQueue.head
    for _ in 0..<slots {
      let descriptor = dpi.load(at: source)
      let length = descriptor.completedLength
      let address = unsafe ring.words[Int(target)]
      if unsafe window.pointer(at: address, length: length) == nil {
        _ = window.move(to: address, length: length, memory: memory, partition: partition, rights: .readWrite)
      }
      if let place = unsafe window.pointer(at: address, length: length) {
        unsafe place.copyMemory(from: ring.copies + copyOffset(of: source), byteCount: Int(length))
      }
      os.store(OSSide(descriptor.completion, buffer: BusAddress(address)), at: target)
      source = unsafe state.pointee.dpiQueue.next(after: source)
      target = unsafe state.pointee.osQueue.next(after: target)
      advanceHead(to: target)
    }
  }

  /// Offers the buffers of the next `slots` slots of the DPI queue to the NIC again.
  @inlinable
  mutating func recycle(_ slots: UInt32) {
    let state = unsafe ring.state
    for _ in 0..<slots {
      // The slot that was kept free; the one just emptied takes its place.
      let free = unsafe state.pointee.dpiQueue.tail
      offerCopy(free)
      unsafe state.pointee.dpiQueue.tail = state.pointee.dpiQueue.next(after: free)
      unsafe state.pointee.dpiQueue.head = state.pointee.dpiQueue.next(after: state.pointee.dpiQueue.head)
    }
  }
}
