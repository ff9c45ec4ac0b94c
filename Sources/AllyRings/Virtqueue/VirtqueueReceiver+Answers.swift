public import AllyHW
public import AllyPacket

/// Frames that inspectors made, on their way to the OS.
extension VirtqueueReceiver {
  /// Where an inspector's own frames wait until the OS has posted buffers for them; without memory when frames are in place,
  /// where there are no buffers for them.
  public var outbox: FrameOutbox { unsafe isCopying ? memory.outbox : FrameOutbox() }

  /// Gives the OS a replacement in the place of the frame that was found; one for which there can be no room is dropped with
  /// it.
  ///
  /// `skipped` bytes of the frame's beginning are a made-up header that the inspector did not see.
  @usableFromInline
  mutating func replace(
    _ found: Found, _ answers: borrowing FrameAnswers, _ skipped: Int, _ pass: inout VirtqueuePass,
    memory: borrowing PhysicalMemory
  ) {
    let state = unsafe self.memory.state
    let header = Int(VirtqueueFrameHeader.length)
    // The scratch area has a margin of 64 bytes on either side.
    guard let replacement = unsafe answers.replacement else { return refuse(found, memory: memory) }
    let place = unsafe replacement - skipped - header
    let length = UInt32(truncatingIfNeeded: header &+ skipped &+ answers.replacementLength)
    unsafe VirtqueueFrameHeader.writePlain(
      at: place, buffers: max(1, found.buffers), isVerified: answers.replacementOffloads.transportChecksum)
    unsafe (place + header).copyMemory(from: found.place + header, byteCount: skipped)
    guard isCopying else {
      guard unsafe spread(place, length, over: found, memory: memory) else { return refuse(found, memory: memory) }
      unsafe state.pointee.counters.replaced &+= 1
      handOver(buffers: found.buffers)
      unsafe state.pointee.discarded = 0
      return
    }
    switch findRoom(for: length, &pass, memory: memory) {
    case .ready: unsafe copyOut(place, length: length)
    case .missing:
      // It waits before everything that comes after it.
      os.rewind()
      let bytes = unsafe UnsafeRawBufferPointer(start: place + header, count: Int(length) &- header).bytes
      guard outbox.append(bytes, offloads: answers.replacementOffloads) else { return refuse(found, memory: memory) }
    case .never: return refuse(found, memory: memory)
    }
    unsafe state.pointee.counters.replaced &+= 1
    handOver(buffers: found.buffers)
  }

  private mutating func refuse(_ found: Found, memory: borrowing PhysicalMemory) {
    count(.answerRefused, frames: 1)
    discard(found, memory: memory)
  }

  /// In place: writes header and replacement over the buffers of the frame that was found, some of it into each, and stages
  /// them.
  ///
  /// - Returns: false when the buffers cannot hold it, or are more than its bytes; nothing has changed then.
  @unsafe
  private mutating func spread(
    _ place: UnsafeMutableRawPointer, _ length: UInt32, over found: Found, memory: borrowing PhysicalMemory
  ) -> Bool {
    var room: UInt64 = 0
    for number in 0..<found.buffers {
      guard let (head, _) = nic.used(at: nic.lastUsed &+ number) else { return false }
      room &+= UInt64(nic.bufferLength(head))
    }
    guard UInt64(length) <= room, length >= UInt32(found.buffers) else { return false }
    noteChange(of: found)
    scrub(found.buffers, memory: memory)
    var done: UInt32 = 0
    for number in 0..<found.buffers {
      guard let (head, _) = nic.used(at: nic.lastUsed &+ number) else { return false }
      // Each gets at least a byte: the OS counts the buffers of a frame.
      let after = UInt32(found.buffers &- number &- 1)
      let part = min(nic.bufferLength(head), length &- done &- after)
      unsafe fill(head, from: place + Int(done), count: part, memory: memory)
      _ = os.stage(chain(ofToken: nic.token(head)), length: part)
      done &+= part
    }
    return true
  }

  /// Writes into a buffer that the NIC has used.
  @unsafe
  private mutating func fill(
    _ head: UInt16, from source: UnsafeMutableRawPointer, count: UInt32, memory: borrowing PhysicalMemory
  ) {
    var index = head
    var done: UInt32 = 0
    for _ in 0..<nic.size {
      let part = min(nic.length(index), count &- done)
      if part > 0, let target = unsafe os.place(nic.address(index), part, memory: memory) {
        unsafe target.copyMemory(from: source + Int(done), byteCount: Int(part))
      }
      done &+= part
      guard done < count, nic.hasNext(index) else { return }
      index = nic.next(index)
    }
  }

  /// Gives the OS what inspectors have added.
  ///
  /// - Returns: false when some of it has to wait, because the OS has not posted enough.
  @usableFromInline
  mutating func publishWaiting(_ pass: inout VirtqueuePass, memory: borrowing PhysicalMemory) -> Bool {
    let outbox = outbox
    let header = Int(VirtqueueFrameHeader.length)
    let limit = unsafe Int(self.memory.limits.maximumFrameLength)
    let gather = unsafe gatherArea
    while !outbox.isEmpty {
      let length: Int? = outbox.withFirst { bytes, offloads in
        guard bytes.byteCount <= limit else { return 0 }
        unsafe VirtqueueFrameHeader.writePlain(at: gather, buffers: 1, isVerified: offloads.transportChecksum)
        unsafe bytes.withUnsafeBytes { source in
          if let base = source.baseAddress {
            unsafe (gather + header).copyMemory(from: base, byteCount: source.count)
          }
        }
        return bytes.byteCount
      }
      guard let length else { return true }
      let total = UInt32(truncatingIfNeeded: header &+ length)
      let room: Room = length == 0 ? .never : findRoom(for: total, &pass, memory: memory)
      switch room {
      case .missing: return false
      case .never:
        count(.answerRefused, frames: 0)
        outbox.removeFirst()
        continue
      case .ready: break
      }
      unsafe copyOut(gather, length: total)
      outbox.removeFirst()
      unsafe self.memory.state.pointee.counters.injected &+= 1
      handOver(buffers: 0)
      pass.hasMoved = true
    }
    return true
  }
}
