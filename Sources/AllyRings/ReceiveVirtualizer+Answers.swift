public import AllyHW
public import AllyPacket

/// Frames that inspectors made, on their way to the OS.
extension ReceiveVirtualizer {
  /// Puts a replacement together as the OS is to see it: behind the header that the inspector did not see, with a frame
  /// check sequence when the OS expects one.
  ///
  /// - Returns: where it is, and its length.
  @unsafe
  @inlinable
  func wholeReplacement(
    _ answers: borrowing FrameAnswers, behind original: UnsafeMutableRawPointer, _ skipped: Int
  ) -> (place: UnsafeMutableRawPointer, length: UInt32)? {
    // The scratch area has a margin of 64 bytes on either side.
    guard let replacement = unsafe answers.replacement else { return nil }
    let place = unsafe replacement - skipped
    unsafe place.copyMemory(from: original, byteCount: skipped)
    let length = skipped &+ answers.replacementLength
    return unsafe (place, withTrailer(place, length))
  }

  /// Appends a frame check sequence when the OS expects one.
  ///
  /// - Returns: the length with it.
  @unsafe
  @inlinable
  func withTrailer(_ place: UnsafeMutableRawPointer, _ length: Int) -> UInt32 {
    guard unsafe ring.state.pointee.receive.trailerLength == 4 else { return UInt32(truncatingIfNeeded: length) }
    let sequence = unsafe FrameCheckSequence.of(UnsafeRawBufferPointer(start: place, count: length).bytes)
    unsafe (place + length).storeBytes(of: sequence.littleEndian, as: UInt32.self)
    return UInt32(truncatingIfNeeded: length &+ 4)
  }

  /// In place: writes a replacement into the buffers of the frame that it replaces, and publishes them. Slots that it does
  /// not need are given back as dropped frames.
  ///
  /// - Returns: false when it is too long for the buffers; nothing has been published then.
  @unsafe
  @inlinable
  @inline(never)
  mutating func publishReplacement(
    from first: UInt32, to end: UInt32, _ answers: borrowing FrameAnswers, behind original: UnsafeMutableRawPointer,
    _ skipped: Int, _ os: DescriptorSlots<OSSide>, memory: borrowing PhysicalMemory
  ) -> Bool {
    let state = unsafe ring.state
    let bufferLength = unsafe state.pointee.receive.bufferLength
    guard let (place, length) = unsafe wholeReplacement(answers, behind: original, skipped) else { return false }
    let slots = unsafe state.pointee.osQueue.distance(from: first, to: end)
    guard UInt64(length) <= UInt64(slots) &* UInt64(bufferLength) else { return false }
    // A worker that takes over in the middle gives the rest up.
    unsafe state.pointee.receive.publishEnd = end
    unsafe state.pointee.receive.publishesDropped = true
    unsafe state.pointee.receive.isPublishing = true
    var window = BufferWindow()
    scrub(from: first, to: end, window: &window, memory: memory)
    unsafe spread(
      place, length, answers.replacementOffloads, from: first, slots: slots, os, window: window, memory: memory)
    unsafe state.pointee.receive.isPublishing = false
    return true
  }

  /// When copying: publishes a replacement in the next slots of the OS queue, or has it wait for them.
  @unsafe
  @inlinable
  @inline(never)
  mutating func publishReplacement(
    _ answers: borrowing FrameAnswers, behind original: UnsafeMutableRawPointer, _ skipped: Int,
    _ os: DescriptorSlots<OSSide>, window: inout BufferWindow, memory: borrowing PhysicalMemory
  ) {
    let state = unsafe ring.state
    unsafe state.pointee.counters.replaced &+= 1
    guard let (place, length) = unsafe wholeReplacement(answers, behind: original, skipped) else { return }
    let slots = slotsNeeded(length)
    if unsafe slots < state.pointee.osQueue.count, prepareOSSlots(slots, os, window: &window, memory: memory) {
      let head = unsafe state.pointee.osQueue.head
      unsafe spread(
        place, length, answers.replacementOffloads, from: head, slots: slots, os, window: window, memory: memory)
      return
    }
    let bytes = unsafe UnsafeRawBufferPointer(start: place, count: skipped &+ answers.replacementLength).bytes
    if unsafe !ring.outbox.append(bytes, offloads: answers.replacementOffloads) {
      unsafe state.pointee.counters.faults.count(.answerRefused)
    }
  }

  /// When copying: publishes what inspectors have added.
  ///
  /// - Returns: false when some of it has to wait, because the OS has not posted enough.
  @inlinable
  mutating func publishOutbox(
    _ os: DescriptorSlots<OSSide>, window: inout BufferWindow, memory: borrowing PhysicalMemory
  ) -> Bool {
    unsafe ring.outbox.isEmpty || publishWaiting(os, window: &window, memory: memory)
  }

  @inlinable
  @inline(never)
  mutating func publishWaiting(
    _ os: DescriptorSlots<OSSide>, window: inout BufferWindow, memory: borrowing PhysicalMemory
  ) -> Bool {
    let state = unsafe ring.state
    while unsafe !ring.outbox.isEmpty {
      // The frame goes to the gathering area, where there is room for a frame check sequence behind it.
      let gather = unsafe ring.gather
      let limit = unsafe Int(ring.limits.maximumFrameLength) &- 4
      let frame: (length: Int, offloads: FrameOffloads)? = unsafe ring.outbox.withFirst { bytes, offloads in
        guard bytes.byteCount <= limit else { return (0, offloads) }
        unsafe bytes.withUnsafeBytes { source in
          if let base = source.baseAddress { unsafe gather.copyMemory(from: base, byteCount: source.count) }
        }
        return (bytes.byteCount, offloads)
      }
      guard let frame else { return true }
      let length = unsafe frame.length == 0 ? 0 : withTrailer(gather, frame.length)
      let slots = slotsNeeded(length)
      if unsafe frame.length == 0 || slots >= state.pointee.osQueue.count {
        unsafe state.pointee.counters.faults.count(.answerRefused)
        unsafe ring.outbox.removeFirst()
        continue
      }
      guard prepareOSSlots(slots, os, window: &window, memory: memory) else { return false }
      let head = unsafe state.pointee.osQueue.head
      unsafe ring.outbox.removeFirst()
      unsafe state.pointee.counters.injected &+= 1
      unsafe spread(gather, length, frame.offloads, from: head, slots: slots, os, window: window, memory: memory)
    }
    return true
  }

  /// How many buffers a frame takes.
  @inlinable
  func slotsNeeded(_ length: UInt32) -> UInt32 {
    let bufferLength = unsafe ring.state.pointee.receive.bufferLength
    return max(1, (length &+ bufferLength &- 1) / max(1, bufferLength))
  }

  /// Writes a frame into the buffers of slots of the OS queue and completes these, in order; those behind its end as
  /// dropped frames. The buffers' addresses were checked when they were noted.
  @unsafe
  @inlinable
  mutating func spread(
    _ place: UnsafeMutableRawPointer, _ length: UInt32, _ offloads: FrameOffloads, from first: UInt32, slots: UInt32,
    _ os: DescriptorSlots<OSSide>, window: BufferWindow, memory: borrowing PhysicalMemory
  ) {
    let bufferLength = unsafe ring.state.pointee.receive.bufferLength
    var window = window
    var index = first
    var done: UInt32 = 0
    for _ in 0..<slots {
      let address = unsafe ring.words[Int(index)]
      let part = min(bufferLength, length &- done)
      var descriptor = OSSide(
        ReceiveCompletion(length: part, endsFrame: done &+ part == length, offloads: offloads),
        buffer: BusAddress(address))
      if part == 0 {
        descriptor.markDropped()
      } else {
        if unsafe window.pointer(at: address, length: part) == nil {
          _ = window.move(to: address, length: part, memory: memory, partition: partition, rights: .readWrite)
        }
        if let target = unsafe window.pointer(at: address, length: part) {
          unsafe target.copyMemory(from: place + Int(done), byteCount: Int(part))
        }
      }
      done &+= part
      os.store(descriptor, at: index)
      index = unsafe ring.state.pointee.osQueue.next(after: index)
      advanceHead(to: index)
    }
  }
}
