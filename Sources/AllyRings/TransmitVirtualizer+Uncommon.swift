public import AllyHW
public import AllyPacket

/// The transmit cases that are not one frame in one descriptor: chains, contexts, drops, faults, copies.
///
/// Segments are written to the DPI queue as they come, behind the tail that the NIC knows ("staged"), so that each
/// descriptor is loaded once however slowly the OS posts a frame. When the frame ends it is gathered and inspected; then
/// either the tail moves over its descriptors, or they are forgotten.
extension TransmitVirtualizer {
  /// Takes one descriptor of the OS queue.
  ///
  /// - Returns: false when it has to wait for room in the copies; nothing has changed then.
  @inline(never)
  @inlinable
  mutating func stageUncommon<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    _ os: DescriptorSlots<OSSide>, progress: inout TransmitProgress, window: inout BufferWindow,
    inspecting inspector: inout Inspector, clock: inout Clock, memory: borrowing PhysicalMemory
  ) -> Bool {
    let state = unsafe ring.state
    let nic = nicSlots
    let descriptor = os.load(at: progress.copied)
    let endsFrame = descriptor.kind == .segment && descriptor.endsFrame
    if progress.isDiscarding {
      setDisposition(.dropped, at: progress.copied)
      progress.copied = unsafe state.pointee.osQueue.next(after: progress.copied)
      if endsFrame { progress.isDiscarding = false }
      return true
    }
    guard descriptor.kind != .invalid, var forwarded = NICSide(forwarding: descriptor) else {
      abandon(&progress, .malformedChain, endsFrame: endsFrame)
      return true
    }
    // Only the NIC says that it is done; otherwise a slot could be used again before the NIC has fetched it.
    forwarded.isCompleted = false
    if descriptor.kind == .context {
      guard progress.staged == progress.tail else {
        abandon(&progress, .malformedChain, endsFrame: false)
        return true
      }
      // Later frames refer to it, so it goes on whatever becomes of the next frame.
      nic.store(forwarded, at: progress.staged)
      unsafe ring.words[Int(progress.staged)] = progress.copyTail
      setDisposition(.forwarded, at: progress.copied)
      progress.copied = unsafe state.pointee.osQueue.next(after: progress.copied)
      progress.staged = wrapped(progress.staged &+ 1, nic.count)
      progress.tail = progress.staged
      return true
    }
    let length = descriptor.length
    if length > 0 {
      if unsafe UInt64(length) > UInt64(ring.limits.maximumFrameLength) &- progress.stagedLength {
        abandon(&progress, .frameTooLong, endsFrame: endsFrame)
        return true
      }
      let address = descriptor.buffer.rawValue
      if unsafe window.pointer(at: address, length: length) == nil,
        let fault = window.move(to: address, length: length, memory: memory, partition: partition, rights: .read)
      {
        abandon(&progress, fault, endsFrame: endsFrame)
        return true
      }
    }
    let before = progress
    nic.store(forwarded, at: progress.staged)
    setDisposition(.forwarded, at: progress.copied)
    progress.copied = unsafe state.pointee.osQueue.next(after: progress.copied)
    progress.staged = wrapped(progress.staged &+ 1, nic.count)
    progress.stagedLength &+= UInt64(length)
    guard endsFrame else { return true }
    guard progress.stagedLength > 0 else {
      progress = before
      abandon(&progress, .emptyFrame, endsFrame: true)
      return true
    }
    let total = UInt32(progress.stagedLength)
    let place: UnsafeMutableRawPointer
    if unsafe state.pointee.protection == .copyToDPIMemory {
      guard unsafe UInt64(total) < ring.limits.copyMemory else {
        progress = before
        abandon(&progress, .frameTooLong, endsFrame: true)
        return true
      }
      guard let start = reserveCopy(of: total, &progress) else {
        progress = before
        return false
      }
      unsafe place = ring.copies + Int(start)
    } else if let only = unsafe onlySegment(progress, length: total, window: window) {
      unsafe place = only
    } else {
      unsafe place = ring.gather
    }
    guard unsafe gather(progress, into: place, window: &window, memory: memory) else {
      // Memory went away since the segment was staged.
      progress = before
      abandon(&progress, .bufferAbsent, endsFrame: true)
      return true
    }
    let verdict = unsafe inspectTransmitted(place, length: total, inspecting: &inspector, clock: &clock)
    unsafe state.pointee.counters.bytes &+= UInt64(total)
    if verdict.passes {
      if unsafe state.pointee.protection == .copyToDPIMemory { unsafe pointAtCopy(progress, place) }
      unsafe state.pointee.counters.accepted &+= 1
      progress.tail = progress.staged
    } else {
      countRefused(verdict)
      progress.copyTail = before.copyTail
      forgetStaged(&progress)
    }
    progress.stagedLength = 0
    return true
  }

  /// Where a frame of one segment lies, which then need not be gathered.
  @unsafe
  @inlinable
  func onlySegment(
    _ progress: TransmitProgress, length: UInt32, window: BufferWindow
  ) -> UnsafeMutableRawPointer? {
    let first = nicSlots.load(at: progress.tail)
    guard first.length == length, wrapped(progress.tail &+ 1, nicSlots.count) == progress.staged else { return nil }
    return unsafe window.pointer(at: first.buffer.rawValue, length: length)
  }

  /// Copies the staged segments to `place`, unless that is where the only one lies.
  ///
  /// - Returns: whether all of them were there.
  @unsafe
  @inlinable
  mutating func gather(
    _ progress: TransmitProgress, into place: UnsafeMutableRawPointer, window: inout BufferWindow,
    memory: borrowing PhysicalMemory
  ) -> Bool {
    let nic = nicSlots
    var slot = progress.tail
    var filled = 0
    while slot != progress.staged {
      let segment = nic.load(at: slot)
      let length = segment.length
      if length > 0 {
        let address = segment.buffer.rawValue
        if unsafe window.pointer(at: address, length: length) == nil,
          window.move(to: address, length: length, memory: memory, partition: partition, rights: .read) != nil
        {
          return false
        }
        guard let source = unsafe window.pointer(at: address, length: length) else { return false }
        if unsafe source != place + filled {
          unsafe (place + filled).copyMemory(from: source, byteCount: Int(length))
        }
        filled &+= Int(length)
      }
      slot = wrapped(slot &+ 1, nic.count)
    }
    return true
  }

  /// Gives up the staged segments and the descriptor at `progress.copied`, and with it the rest of its frame.
  @inlinable
  mutating func abandon(_ progress: inout TransmitProgress, _ fault: RingFault, endsFrame: Bool) {
    unsafe ring.state.pointee.counters.faults.count(fault)
    unsafe ring.state.pointee.counters.faulted &+= 1
    forgetStaged(&progress)
    setDisposition(.dropped, at: progress.copied)
    progress.copied = unsafe ring.state.pointee.osQueue.next(after: progress.copied)
    progress.isDiscarding = !endsFrame
  }

  /// Takes the staged descriptors back from the DPI queue; their slots of the OS queue, the last ones copied, complete
  /// as dropped.
  @inlinable
  mutating func forgetStaged(_ progress: inout TransmitProgress) {
    let state = unsafe ring.state
    let staged = unsafe state.pointee.dpiQueue.distance(from: progress.tail, to: progress.staged)
    let count = unsafe state.pointee.osQueue.count
    var slot = progress.copied
    for _ in 0..<staged {
      slot = (slot == 0 ? count : slot) &- 1
      setDisposition(.dropped, at: slot)
    }
    progress.staged = progress.tail
    progress.stagedLength = 0
  }

  /// Gives up a chain that fills the queue without ending: the OS could never post its end.
  @inlinable
  mutating func abandonEndless(_ progress: inout TransmitProgress, end: UInt32) {
    let state = unsafe ring.state
    guard progress.staged != progress.tail, progress.copied == end else { return }
    let staged = unsafe state.pointee.dpiQueue.distance(from: progress.tail, to: progress.staged)
    guard unsafe staged == state.pointee.osQueue.count &- 1 else { return }
    unsafe state.pointee.counters.faults.count(.endlessChain)
    unsafe state.pointee.counters.faulted &+= 1
    forgetStaged(&progress)
    progress.isDiscarding = true
  }

  /// Notes what became of a slot of the OS queue.
  @inlinable
  mutating func setDisposition(_ disposition: SlotDisposition, at slot: UInt32) {
    let old = unsafe ring.dispositions[Int(slot)]
    if old == .forwarded, disposition != .forwarded { unusualSlots &+= 1 }
    if old != .forwarded, disposition == .forwarded { unusualSlots &-= 1 }
    unsafe ring.dispositions[Int(slot)] = disposition
  }

  /// Has the NIC report the last descriptor of a pass even if the OS did not ask for it: only reports tell how far the NIC
  /// is.
  @inlinable
  mutating func requestReport(_ progress: TransmitProgress) {
    let state = unsafe ring.state
    guard unsafe progress.tail != state.pointee.dpiQueue.tail else { return }
    let nic = nicSlots
    let last = (progress.tail == 0 ? nic.count : progress.tail) &- 1
    var descriptor = nic.load(at: last)
    guard !descriptor.reportsCompletion else { return }
    descriptor.reportsCompletion = true
    nic.store(descriptor, at: last)
    // The last slot of the OS queue that was forwarded and is not staged.
    var staged = unsafe state.pointee.dpiQueue.distance(from: progress.tail, to: progress.staged)
    var slot = progress.copied
    repeat {
      slot = unsafe (slot == 0 ? state.pointee.osQueue.count : slot) &- 1
      if unsafe ring.dispositions[Int(slot)] == .dropped { continue }
      if staged == 0 { break }
      staged &-= 1
    } while unsafe slot != state.pointee.osQueue.head
    setDisposition(.forwardedWithReport, at: slot)
  }

  /// Completes slots of the OS queue of any disposition. Those that nobody reports are known to be done when one after
  /// them is.
  @inline(never)
  @inlinable
  mutating func completeUncommon(
    _ os: DescriptorSlots<OSSide>, head: inout UInt32, nicHead: inout UInt32, end: UInt32, reported: inout UInt32
  ) {
    let nic = nicSlots
    let nicTail = progress.tail
    var slot = head
    var nicSlot = nicHead
    var done = head
    scan: while slot != end {
      let disposition = unsafe ring.dispositions[Int(slot)]
      let following = wrapped(slot &+ 1, os.count)
      if disposition == .dropped {
        // In its turn: only when all before it are done.
        if done == slot { done = following }
      } else {
        guard nicSlot != nicTail else { break scan }
        let descriptor = nic.load(at: nicSlot)
        nicSlot = wrapped(nicSlot &+ 1, nic.count)
        if descriptor.reportsCompletion {
          guard descriptor.isCompleted else { break scan }
          done = following
        }
      }
      slot = following
    }
    while head != done {
      let disposition = unsafe ring.dispositions[Int(head)]
      let following = wrapped(head &+ 1, os.count)
      if disposition == .dropped {
        var descriptor = os.load(at: head)
        if descriptor.reportsCompletion {
          descriptor.isCompleted = true
          os.storeOwnership(of: descriptor, at: head)
          reported &+= 1
        }
      } else {
        let descriptor = nic.load(at: nicHead)
        if descriptor.reportsCompletion, disposition == .forwarded {
          if OSSide.self == NICSide.self {
            os.storeOwnership(of: unsafe unsafeBitCast(descriptor, to: OSSide.self), at: head)
          } else {
            var original = os.load(at: head)
            original.isCompleted = true
            os.storeOwnership(of: original, at: head)
          }
          reported &+= 1
        }
        nicHead = wrapped(nicHead &+ 1, nic.count)
      }
      unsafe advanceHead(to: following)
      setDisposition(.forwarded, at: head)
      head = following
    }
  }

  /// Makes what follows from the rest follow again: a worker may have died in the middle of a pass.
  @usableFromInline
  mutating func resume() {
    let state = unsafe ring.state
    let progress = self.progress
    unsafe state.pointee.copied = progress.copied
    unsafe state.pointee.dpiQueue.tail = progress.tail
    let count = unsafe state.pointee.osQueue.count
    // Slots that are not in use, or whose copying did not take effect, start clean.
    var slot = progress.copied
    while unsafe slot != state.pointee.osQueue.head {
      unsafe ring.dispositions[Int(slot)] = .forwarded
      slot = wrapped(slot &+ 1, count)
    }
    // The NIC's side of the OS Head Pointer: as far before the tail as there are forwarded slots.
    unusualSlots = 0
    var forwarded: UInt32 = 0
    while slot != progress.copied {
      let disposition = unsafe ring.dispositions[Int(slot)]
      if disposition != .forwarded { unusualSlots &+= 1 }
      if disposition != .dropped { forwarded &+= 1 }
      slot = wrapped(slot &+ 1, count)
    }
    let staged = unsafe state.pointee.dpiQueue.distance(from: progress.tail, to: progress.staged)
    forwarded = forwarded >= staged ? forwarded &- staged : 0
    unsafe state.pointee.dpiQueue.head =
      progress.tail >= forwarded ? progress.tail &- forwarded : progress.tail &+ count &- forwarded
  }
}
