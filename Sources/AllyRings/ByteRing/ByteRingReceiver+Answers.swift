public import AllyHW
public import AllyPacket

/// Frames that inspectors made, on their way to the OS's ring of bytes.
extension ByteRingReceiver {
  /// What came of trying to give the OS a frame of an inspector's own.
  @usableFromInline
  enum Attempt {
    case published
    /// There is no room for now.
    case waits
    /// It never will be: too long, or without a place to go to.
    case refused
  }

  /// Publishes a replacement in the place of a frame, or has it wait for room.
  @unsafe
  @usableFromInline
  mutating func publishReplacement(
    _ answers: borrowing FrameAnswers, behind original: UnsafeMutableRawPointer, _ skipped: Int, nextPlace: UInt32,
    _ pass: inout ByteRingPass, _ window: inout BufferWindow, memory: borrowing PhysicalMemory
  ) {
    let state = unsafe self.memory.receive
    // The scratch area has a margin of 64 bytes on either side: for the header that the inspector did not see, and for a
    // frame check sequence.
    guard let replacement = unsafe answers.replacement else { return }
    let place = unsafe replacement - skipped
    unsafe place.copyMemory(from: original, byteCount: skipped)
    let count = skipped &+ answers.replacementLength
    unsafe state.pointee.counters.replaced &+= 1
    switch unsafe publish(own: place, count, nicPlace: nextPlace, &window, memory: memory) {
    case .published: pass.hasPublished = true
    case .waits:
      let bytes = unsafe UnsafeRawBufferPointer(start: place, count: count).bytes
      if unsafe !self.memory.towardsOS.append(bytes, offloads: .none) {
        unsafe state.pointee.counters.faults.count(.answerRefused)
      }
      commit(writePlace: self.state.writePlace, nicPlace: nextPlace)
    case .refused:
      unsafe state.pointee.counters.faults.count(.answerRefused)
      commit(writePlace: self.state.writePlace, nicPlace: nextPlace)
    }
  }

  /// Publishes what inspectors have added.
  ///
  /// - Returns: false when some of it has to wait, because the OS has not read enough.
  @inlinable
  mutating func publishOutbox(
    _ pass: inout ByteRingPass, _ window: inout BufferWindow, memory: borrowing PhysicalMemory
  ) -> Bool {
    unsafe self.memory.towardsOS.isEmpty || publishWaiting(&pass, &window, memory: memory)
  }

  @usableFromInline
  mutating func publishWaiting(
    _ pass: inout ByteRingPass, _ window: inout BufferWindow, memory: borrowing PhysicalMemory
  ) -> Bool {
    let state = unsafe self.memory.receive
    let outbox = unsafe self.memory.towardsOS
    let gather = unsafe self.memory.gather
    let limit = Int(min(longestFrame, nicRing.length &- 8))
    while !outbox.isEmpty {
      // The gathering area has room for a frame check sequence behind the frame.
      let count = outbox.withFirst { bytes, _ in
        guard bytes.byteCount <= limit else { return 0 }
        unsafe bytes.withUnsafeBytes { source in
          if let base = source.baseAddress { unsafe gather.copyMemory(from: base, byteCount: source.count) }
        }
        return bytes.byteCount
      }
      guard let count else { return true }
      switch unsafe publish(own: gather, count, nicPlace: self.state.nicPlace, &window, memory: memory) {
      case .published:
        unsafe state.pointee.counters.injected &+= 1
        pass.hasPublished = true
      case .waits: return false
      case .refused: unsafe state.pointee.counters.faults.count(.answerRefused)
      }
      pass.hasMoved = true
      outbox.removeFirst()
    }
    return true
  }

  /// Stores a frame of an inspector's own in the OS's ring and makes it the OS's. `place` has room for four bytes more.
  @unsafe
  private mutating func publish(
    own place: UnsafeMutableRawPointer, _ count: Int, nicPlace: UInt32, _ window: inout BufferWindow,
    memory: borrowing PhysicalMemory
  ) -> Attempt {
    let length = UInt32(truncatingIfNeeded: count) &+ 4
    let taken = ByteRing.bytesTaken(by: length)
    let ring = state.ring
    guard count >= 6, count <= Int(longestFrame), taken < ring.length else { return .refused }
    guard hasRoom(for: taken) else { return .waits }
    let bytes = unsafe UnsafeRawBufferPointer(start: place, count: count)
    var destination: UInt64 = 0
    for index in 0..<6 { unsafe destination |= UInt64(bytes[index]) << UInt64(8 &* index) }
    let sequence = unsafe FrameCheckSequence.of(bytes.bytes)
    unsafe (place + count).storeBytes(of: sequence.littleEndian, as: UInt32.self)
    let header = Header(destination: destination, length: length)
    guard unsafe store(place, header, &window, memory: memory) == nil else { return .refused }
    commit(writePlace: ring.place(state.writePlace, advancedBy: taken), nicPlace: nicPlace)
    return .published
  }
}
