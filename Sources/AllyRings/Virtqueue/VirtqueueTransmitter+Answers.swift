internal import AllyHW
public import AllyPacket

/// Frames that inspectors made, on their way to the NIC. They lie in the copy memory, whatever the protection level; those that
/// stand for no frame of the OS's have entries that the OS gets nothing back for.
extension VirtqueueTransmitter {
  /// How many bytes longer than the frame that it replaces a replacement may be.
  static var replacementGrowth: UInt64 { 2048 }

  /// Frames of inspectors' own that wait to be handed to the NIC.
  public var outbox: FrameOutbox { unsafe memory.outbox }

  /// Hands a replacement to the NIC in the place of the frame that was taken; a replacement for which there is no room is
  /// dropped with it.
  @usableFromInline
  mutating func replace(_ found: Found, _ answers: borrowing FrameAnswers) {
    let state = unsafe memory.state
    let length = UInt64(answers.replacementLength) &+ UInt64(VirtqueueFrameHeader.length)
    guard length <= found.room, nic.freeCount > 0, let source = unsafe answers.replacement else {
      unsafe state.pointee.counters.faults.count(.answerRefused)
      unsafe state.pointee.counters.faulted &+= 1
      discard()
      return
    }
    unsafe writeCopy(UnsafeRawBufferPointer(start: source, count: answers.replacementLength), at: found.copyStart)
    unsafe state.pointee.counters.replaced &+= 1
    forwardCopy(at: found.copyStart, length: length, isOwn: false)
  }

  /// Hands the frames that inspectors have added to the NIC, between two frames of the OS, as far as there is room.
  ///
  /// - Returns: whether there was any.
  @usableFromInline
  mutating func sendWaiting() -> Bool {
    let outbox = outbox
    let limits = unsafe memory.limits
    var any = false
    while let length = outbox.withFirst({ bytes, _ in UInt64(bytes.byteCount) }) {
      let total = length &+ UInt64(VirtqueueFrameHeader.length)
      guard total <= limits.copyMemory, length > 0, length <= UInt64(limits.maximumFrameLength) else {
        unsafe memory.state.pointee.counters.faults.count(.answerRefused)
        outbox.removeFirst()
        continue
      }
      guard unsafe UInt32(made &- returned) < memory.capacity &- 1, nic.freeCount > 0,
        let start = roomForCopy(total, limits.copyMemory)
      else { break }
      outbox.withFirst { bytes, _ in
        unsafe bytes.withUnsafeBytes { unsafe writeCopy($0, at: start) }
      }
      forwardCopy(at: start, length: total, isOwn: true)
      outbox.removeFirst()
      unsafe memory.state.pointee.counters.injected &+= 1
      any = true
    }
    return any
  }

  /// Writes header and frame into the copy memory, where there is room for them.
  @unsafe
  private func writeCopy(_ frame: UnsafeRawBufferPointer, at start: UInt64) {
    let target = unsafe memory.copies + Int(start % memory.limits.copyMemory)
    unsafe VirtqueueFrameHeader.writePlain(at: target)
    if let base = frame.baseAddress {
      unsafe (target + Int(VirtqueueFrameHeader.length)).copyMemory(from: base, byteCount: frame.count)
    }
  }

  /// Gives what lies in the copy memory to the NIC, in the place of the buffer that was taken or, as an inspector's own, besides.
  private mutating func forwardCopy(at start: UInt64, length: UInt64, isOwn: Bool) {
    let offset = unsafe start % memory.limits.copyMemory
    let address = unsafe memory.copiesAddress &+ offset
    let head = nic.add(address, UInt32(truncatingIfNeeded: length), isWritable: false, after: nil)
    nic.setToken(head, UInt64(made) &+ 1)
    if isOwn {
      var entry = VirtqueueEntry()
      entry.next = os.next
      entry.copyEnd = start &+ length
      unsafe memory.entries[place(made)] = entry
    } else {
      makeEntry(isDone: false, copyEnd: start &+ length)
    }
    nic.expose(head)
    let far = UInt64(made &+ 1) | UInt64(nic.posted) << 16
    if isOwn { os.advance(to: os.next, far: far) } else { os.advance(far: far) }
  }
}
