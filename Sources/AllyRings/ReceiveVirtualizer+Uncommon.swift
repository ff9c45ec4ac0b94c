public import AllyHW
public import AllyPacket

/// The receive cases that are not one good frame in one good buffer.
extension ReceiveVirtualizer {
  /// Publishes the frame that begins at `first`, whatever is the matter with it.
  ///
  /// - Returns: the slot after it, or `first` when its end has not arrived.
  @inline(never)
  @inlinable
  mutating func publishUncommon<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    from first: UInt32, _ os: DescriptorSlots<OSSide>, window: inout BufferWindow, result: inout PublishResult,
    inspecting inspector: inout Inspector, answers: inout FrameAnswers, clock: inout Clock,
    memory: borrowing PhysicalMemory
  ) -> UInt32 {
    let state = unsafe ring.state
    let dpi = nicSlots
    let end = unsafe state.pointee.dpiQueue.tail
    let bufferLength = unsafe state.pointee.receive.bufferLength
    let discarding = unsafe state.pointee.receive.isDiscarding
    let isChecked = unsafe state.pointee.protection == .checksum
    var fault: RingFault?
    var total: UInt32 = 0
    var index = first
    var frameEnded = false
    var single: UnsafeMutableRawPointer?
    var offloads = FrameOffloads.none
    var checksum: UInt64?
    // At most one turn around the queue: the NIC cannot complete what it was not given.
    while index != end, !frameEnded {
      let descriptor = dpi.load(at: index)
      guard descriptor.isCompleted else { break }
      frameEnded = descriptor.endsFrame
      if frameEnded {
        offloads = descriptor.offloads
        checksum = descriptor.frameChecksum
      }
      let length = descriptor.completedLength
      if fault == nil, !discarding {
        let address = unsafe ring.words[Int(index)]
        if unsafe address == ring.refusedBuffer.rawValue {
          fault = .bufferAbsent
        } else if length > bufferLength {
          unsafe state.pointee.counters.faults.count(.lengthAboveBuffer)
          fault = .lengthAboveBuffer
        } else if unsafe length > ring.limits.maximumFrameLength &- total {
          unsafe state.pointee.counters.faults.count(.frameTooLong)
          fault = .frameTooLong
        } else {
          if unsafe window.pointer(at: address, length: length) == nil,
            let moveFault = window.move(
              to: address, length: length, memory: memory, partition: partition, rights: .readWrite)
          {
            // It was there when it was posted; the memory went away since.
            unsafe state.pointee.counters.faults.count(moveFault)
            fault = moveFault
          } else if let place = unsafe window.pointer(at: address, length: length) {
            if frameEnded, index == first, !isChecked {
              unsafe single = place
            } else {
              unsafe (ring.gather + Int(total)).copyMemory(from: place, byteCount: Int(length))
            }
            total &+= length
          }
        }
      }
      index = unsafe state.pointee.osQueue.next(after: index)
    }
    guard frameEnded else {
      // The NIC has used up all that the OS has posted: the frame is longer than the queue, and without giving slots
      // back it would never end.
      if fault == nil, !discarding {
        guard index == end, unsafe state.pointee.osQueue.tail == end else { return first }
        unsafe state.pointee.counters.faults.count(.endlessChain)
      }
      unsafe state.pointee.receive.isDiscarding = true
      publish(from: first, to: index, dropped: true, os, memory: memory)
      return index
    }
    if isChecked { unsafe state.pointee.counters.copiedBytes &+= UInt64(total) }
    if isChecked, fault == nil, !discarding, !isAuthentic(length: total, checksum) {
      unsafe state.pointee.counters.faults.count(.checksumMismatch)
      fault = .checksumMismatch
    }
    let trailerLength = unsafe state.pointee.receive.trailerLength
    let frameLength = total > trailerLength ? total &- trailerLength : 0
    if discarding || fault != nil {
      // The frame's stamp is used up all the same.
      _ = clock.stamp(forFrameOf: frameLength)
      unsafe state.pointee.counters.faulted &+= 1
      publish(from: first, to: index, dropped: true, os, memory: memory)
      unsafe state.pointee.receive.isDiscarding = false
      return index
    }
    let place = unsafe single ?? ring.gather
    var skipped = 0
    let verdict = unsafe Self.inspectReceived(
      place, length: frameLength, queue: queue, offloads: offloads, skipped: &skipped, inspecting: &inspector,
      answers: &answers, clock: &clock)
    result.frames &+= 1
    if verdict == .replace {
      if unsafe publishReplacement(
        from: first, to: index, answers, behind: place, skipped, os, memory: memory)
      {
        unsafe state.pointee.counters.replaced &+= 1
        return index
      }
      unsafe state.pointee.counters.faults.count(.answerRefused)
    }
    if verdict.passes { unsafe state.pointee.counters.accepted &+= 1 } else { countRefused(verdict) }
    publish(from: first, to: index, dropped: !verdict.passes, os, memory: memory)
    return index
  }

  /// Whether the snapshot of a frame is what the NIC received.
  @inlinable
  func isAuthentic(length: UInt32, _ checksum: UInt64?) -> Bool {
    let bytes = unsafe UnsafeRawBufferPointer(start: ring.gather, count: Int(length)).bytes
    return unsafe checksum == FrameChecksum.of(bytes, key: ring.state.pointee.checksumKey)
  }

  /// Carries one verdict out on the slots of a frame. What is to be done is noted first, so that another worker can
  /// finish it.
  @inlinable
  mutating func publish(
    from first: UInt32, to end: UInt32, dropped: Bool, _ os: DescriptorSlots<OSSide>, memory: borrowing PhysicalMemory
  ) {
    unsafe ring.state.pointee.receive.publishEnd = end
    unsafe ring.state.pointee.receive.publishesDropped = dropped
    unsafe ring.state.pointee.receive.isPublishing = true
    finishPublishing(from: first, os, memory: memory)
  }

  /// Completes the slots from `first` to the noted end in the OS queue.
  @inlinable
  mutating func finishPublishing(
    from first: UInt32, _ os: DescriptorSlots<OSSide>, memory: borrowing PhysicalMemory
  ) {
    let dpi = nicSlots
    let dropped = unsafe ring.state.pointee.receive.publishesDropped
    let end = unsafe ring.state.pointee.receive.publishEnd
    var window = BufferWindow()
    var index = first
    while index != end {
      let descriptor = dpi.load(at: index)
      let address = unsafe ring.words[Int(index)]
      var published = OSSide(published: descriptor, buffer: address)
      if unsafe address == ring.refusedBuffer.rawValue {
        // The OS gets its own address back, not ours.
        published = OSSide(descriptor.completion, buffer: os.load(at: index).offeredBuffer)
        published.markDropped()
      } else if dropped {
        scrub(index, window: &window, memory: memory)
        published.markDropped()
      }
      os.store(published, at: index)
      index = unsafe ring.state.pointee.osQueue.next(after: index)
      advanceHead(to: index)
    }
    unsafe ring.state.pointee.receive.isPublishing = false
  }

  /// Overwrites what the NIC has written into the buffers of a frame.
  @inlinable
  func scrub(from first: UInt32, to end: UInt32, window: inout BufferWindow, memory: borrowing PhysicalMemory) {
    var index = first
    while index != end {
      scrub(index, window: &window, memory: memory)
      index = unsafe ring.state.pointee.osQueue.next(after: index)
    }
  }

  @inlinable
  func scrub(_ index: UInt32, window: inout BufferWindow, memory: borrowing PhysicalMemory) {
    // No more than the NIC may have written, whatever it says.
    let length = unsafe min(nicSlots.load(at: index).completedLength, ring.state.pointee.receive.bufferLength)
    let address = unsafe ring.words[Int(index)]
    if unsafe window.pointer(at: address, length: length) == nil {
      _ = window.move(to: address, length: length, memory: memory, partition: partition, rights: .readWrite)
    }
    if let place = unsafe window.pointer(at: address, length: length) {
      unsafe place.initializeMemory(as: UInt8.self, repeating: 0, count: Int(length))
    }
  }

  /// Finishes what another worker had begun: a verdict on several slots; or a frame that it had published without
  /// noting so, which shows by the OS's descriptor being completed.
  @inline(never)
  @inlinable
  mutating func finishInterrupted(_ os: DescriptorSlots<OSSide>, memory: borrowing PhysicalMemory) {
    isResuming = false
    // Within a run the head is stored without wrapping around.
    let head = unsafe wrapped(ring.state.pointee.osQueue.head)
    unsafe ring.state.pointee.osQueue.head = head
    if unsafe ring.state.pointee.receive.isPublishing {
      finishPublishing(from: head, os, memory: memory)
    } else if unsafe head != ring.state.pointee.dpiQueue.tail, nicSlots.load(at: head).isCompleted,
      os.load(at: head).isCompleted
    {
      advanceHead(to: unsafe ring.state.pointee.osQueue.next(after: head))
    }
    unsafe ring.state.pointee.dpiQueue.head = ring.state.pointee.osQueue.head
  }
}
