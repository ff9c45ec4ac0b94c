public import AllyHW
public import AllyPacket
public import Synchronization

/// The transmit cases that are not one frame in one descriptor: chains, contexts, drops, faults, copies.
///
/// Segments are written to the DPI queue as they come, behind the tail that the NIC knows ("staged"), so that each
/// descriptor is loaded once however slowly the OS posts a frame. When the frame ends it is gathered and inspected; then
/// either the tail moves over its descriptors, or they are forgotten.
extension TransmitVirtualizer {
  /// Goes on with a pass that met something else than a plain frame.
  ///
  /// - Parameters:
  ///   - start: the slot of the OS queue where the pass is; staged slots come on top.
  ///   - tail: the slot of the DPI queue where it is.
  @inline(never)
  @inlinable
  mutating func copyUncommon<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    from start: UInt32, _ tail: UInt32, inspecting inspector: inout Inspector, answers: inout FrameAnswers,
    clock: inout Clock, memory: borrowing PhysicalMemory
  ) -> UInt32 {
    let state = unsafe ring.state
    let nic = nicSlots
    let count = os.slots.count
    let end = unsafe state.pointee.osQueue.tail
    let isInPlace = unsafe state.pointee.protection == .inPlace
    var window = os.window
    var pass = unsafe TransmitPass(
      taken: start &+ partial.slots, tail: tail, staged: partial,
      isDiscarding: state.pointee.transmit.isDiscarding, copyTail: state.pointee.transmit.copyTail)
    if pass.taken >= count { pass.taken &-= count }
    let canBePlain = Inspector.actions.isEmpty && isInPlace && injectedSlots == 0
    sendWaiting(&pass)
    while pass.taken != end {
      if canBePlain, pass.staged.isEmpty, !pass.isDiscarding {
        hasUnknownCopies = true
        let run = min((end > pass.taken ? end : count) &- pass.taken, nic.count &- pass.tail)
        let plain = unsafe Self.forwardPlainFrames(
          run, before: os.slots.place(of: pass.taken &+ run), nic.place(of: pass.tail &+ run), window: window,
          queue: queue, context: ring.context(OSSide.self).pointee, inspecting: &inspector, clock: &clock)
        pass.taken = wrapped(pass.taken &+ plain.frames, count)
        pass.tail = wrapped(pass.tail &+ plain.frames, nic.count)
        unsafe state.pointee.counters.accepted &+= UInt64(plain.frames)
        if plain.frames == run { continue }
        if !plain.verdict.passes {
          countRefused(plain.verdict)
          setDisposition(.dropped, at: pass.taken)
          pass.taken = wrapped(pass.taken &+ 1, count)
          continue
        }
      }
      guard
        stageUncommon(
          &pass, window: &window, inspecting: &inspector, answers: &answers, clock: &clock, memory: memory)
      else { break }
      if Inspector.takesAnnouncements, pass.announced == Self.mostAnnounced {
        settleAnnounced(&pass, inspecting: &inspector, answers: &answers, clock: &clock)
      }
      sendWaiting(&pass)
    }
    if Inspector.takesAnnouncements, pass.announced > 0 {
      settleAnnounced(&pass, inspecting: &inspector, answers: &answers, clock: &clock)
      sendWaiting(&pass)
    }
    abandonEndless(&pass)
    partial = pass.staged
    unsafe state.pointee.transmit.copyTail = pass.copyTail
    return finish(
      unsafe state.pointee.transmit, taken: unsafe state.pointee.osQueue.moved(pass.taken, back: pass.staged.slots),
      tail: pass.tail,
      isDiscarding: pass.isDiscarding)
  }

  /// Takes one descriptor of the OS queue.
  ///
  /// - Returns: false when it has to wait for room in the DPI queue or in the copies; nothing has changed then.
  @inline(never)
  @inlinable
  mutating func stageUncommon<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    _ pass: inout TransmitPass, window: inout BufferWindow,
    inspecting inspector: inout Inspector, answers: inout FrameAnswers, clock: inout Clock,
    memory: borrowing PhysicalMemory
  ) -> Bool {
    let state = unsafe ring.state
    let nic = nicSlots
    // Frames of inspectors' own take slots of the DPI queue that the OS knows nothing of.
    guard injectedSlots == 0 || hasRoom(pass) else { return false }
    let descriptor = os.slots.load(at: pass.taken)
    let endsFrame = descriptor.kind != .context && descriptor.endsFrame
    if pass.isDiscarding {
      setDisposition(.dropped, at: pass.taken)
      pass.taken = unsafe state.pointee.osQueue.next(after: pass.taken)
      if endsFrame { pass.isDiscarding = false }
      return true
    }
    guard descriptor.kind != .invalid, var forwarded = NICSide(forwarding: descriptor) else {
      abandon(&pass, .malformedChain, endsFrame: endsFrame)
      return true
    }
    // Only the NIC says that it is done; otherwise a slot could be used again before the NIC has fetched it.
    forwarded.isCompleted = false
    if descriptor.kind == .context {
      guard pass.staged.slots == 0 else {
        abandon(&pass, .malformedChain, endsFrame: false)
        return true
      }
      // Later frames refer to it, so it goes on whatever becomes of the next frame.
      unsafe descriptor.remember(in: &ring.context(OSSide.self).pointee)
      // A report that the NIC never makes would be waited for.
      if !NICSide.reportsContexts { forwarded.reportsCompletion = false }
      nic.store(forwarded, at: pass.tail)
      unsafe ring.words[Int(pass.tail)] = pass.copyTail
      setDisposition(.forwarded, at: pass.taken)
      pass.taken = wrapped(pass.taken &+ 1, os.slots.count)
      pass.tail = wrapped(pass.tail &+ 1, nic.count)
      return true
    }
    let length = descriptor.length
    if length > 0 {
      if unsafe UInt64(length) > UInt64(ring.limits.maximumFrameLength) &- pass.staged.length {
        abandon(&pass, .frameTooLong, endsFrame: endsFrame)
        return true
      }
      let address = descriptor.buffer.rawValue
      if unsafe window.pointer(at: address, length: length) == nil,
        let fault = window.move(to: address, length: length, memory: memory, partition: partition, rights: .read)
      {
        abandon(&pass, fault, endsFrame: endsFrame)
        return true
      }
    }
    let before = pass
    nic.store(forwarded, at: stagedEnd(pass))
    unsafe ring.words[Int(stagedEnd(pass))] = pass.copyTail
    setDisposition(.forwarded, at: pass.taken)
    pass.taken = unsafe state.pointee.osQueue.next(after: pass.taken)
    pass.staged.add(
      descriptor.offloads(in: unsafe ring.context(OSSide.self).pointee),
      descriptor.headerPlaces(in: unsafe ring.context(OSSide.self).pointee))
    pass.staged.slots &+= 1
    pass.staged.length &+= UInt64(length)
    guard endsFrame else { return true }
    guard pass.staged.length > 0 else {
      pass = before
      abandon(&pass, .emptyFrame, endsFrame: true)
      return true
    }
    let total = UInt32(pass.staged.length)
    let isCopied = unsafe state.pointee.protection == .copyToDPIMemory
    let isChecked = unsafe state.pointee.protection == .checksum
    let mayBeReplaced = Inspector.actions.contains(.replacesTransmitted)
    let room = UInt64(total) &+ (mayBeReplaced ? Self.replacementGrowth : 0)
    guard unsafe room < ring.limits.copyMemory || !isCopied else {
      pass = before
      abandon(&pass, .frameTooLong, endsFrame: true)
      return true
    }
    var copy: UInt64?
    if isCopied || mayBeReplaced {
      copy = reserveCopy(of: room, &pass)
      guard copy != nil else {
        pass = before
        return false
      }
    }
    let place: UnsafeMutableRawPointer
    if isCopied, let copy {
      unsafe place = ring.copies + Int(copy)
    } else if !isChecked, let only = unsafe onlySegment(pass, length: total, window: window) {
      unsafe place = only
    } else {
      unsafe place = ring.gather
    }
    guard unsafe gather(pass, into: place, window: &window, memory: memory) else {
      // Memory went away since the segment was staged.
      pass = before
      abandon(&pass, .bufferAbsent, endsFrame: true)
      return true
    }
    if isCopied || isChecked, unsafe !areHeaders(of: place, length: total, pass.staged) {
      pass = before
      abandon(&pass, .misplacedHeaders, endsFrame: true)
      return true
    }
    if isCopied || isChecked { unsafe state.pointee.counters.copiedBytes &+= UInt64(total) }
    if isChecked { setChecksum(of: pass, length: total) }
    if Inspector.takesAnnouncements, !mayBeReplaced, isCopied, let copy {
      if announce(&pass, length: total, copy: copy, to: &inspector, clock: clock) { return true }
    }
    let verdict = unsafe Self.inspectTransmitted(
      place, length: total, queue: queue, offloads: pass.staged.offloads, inspecting: &inspector, answers: &answers,
      clock: &clock)
    if verdict.passes {
      if isCopied, let copy {
        unsafe pointAtCopy(pass, place)
        pass.copyTail = copy &+ UInt64(total)
      } else {
        pass.copyTail = before.copyTail
      }
      unsafe state.pointee.counters.accepted &+= 1
      pass.tail = stagedEnd(pass)
      pass.staged = PartialFrame()
    } else if verdict == .replace, let copy, forwardReplacement(answers, at: copy, room: room, &pass) {
      unsafe state.pointee.counters.replaced &+= 1
    } else {
      if verdict == .replace {
        unsafe state.pointee.counters.faults.count(.answerRefused)
        unsafe state.pointee.counters.faulted &+= 1
      } else {
        countRefused(verdict)
      }
      pass.copyTail = before.copyTail
      forgetStaged(&pass)
    }
    return true
  }

  /// Where a frame of one segment lies, which then need not be gathered.
  @unsafe
  @inlinable
  func onlySegment(
    _ pass: TransmitPass, length: UInt32, window: BufferWindow
  ) -> UnsafeMutableRawPointer? {
    let first = nicSlots.load(at: pass.tail)
    guard pass.staged.slots == 1, first.length == length else { return nil }
    return unsafe window.pointer(at: first.buffer.rawValue, length: length)
  }

  /// Copies the staged segments to `place`, unless that is where the only one lies.
  ///
  /// - Returns: whether all of them were there.
  @unsafe
  @inlinable
  mutating func gather(
    _ pass: TransmitPass, into place: UnsafeMutableRawPointer, window: inout BufferWindow,
    memory: borrowing PhysicalMemory
  ) -> Bool {
    let nic = nicSlots
    var slot = pass.tail
    var filled = 0
    for _ in 0..<pass.staged.slots {
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

  /// Whether the NIC will write nowhere in a frame but in its headers.
  @unsafe
  @usableFromInline
  func areHeaders(of place: UnsafeMutableRawPointer, length: UInt32, _ frame: PartialFrame) -> Bool {
    let bytes = unsafe UnsafeRawBufferPointer(start: place, count: Int(length)).bytes
    let stamp = FrameStamp(time: 0, ordinal: 0, lengthOnWire: length)
    return !frame.isContradictory
      && frame.places.areHeaders(
        of: Packet(bytes: bytes, stamp: stamp, direction: .transmit, offloads: frame.offloads))
  }

  /// Tells the NIC, in the last of the staged descriptors, the checksum of their gathered bytes.
  @inlinable
  @inline(never)
  func setChecksum(of pass: TransmitPass, length: UInt32) {
    let bytes = unsafe UnsafeRawBufferPointer(start: ring.gather, count: Int(length)).bytes
    let nic = nicSlots
    let last = nic.count &- 1
    let end = stagedEnd(pass)
    let slot = end == 0 ? last : end &- 1
    var descriptor = nic.load(at: slot)
    descriptor.frameChecksum = unsafe FrameChecksum.of(bytes, key: ring.state.pointee.checksumKey)
    nic.store(descriptor, at: slot)
  }

  /// Gives up the staged segments and the descriptor at `pass.taken`, and with it the rest of its frame.
  @inlinable
  mutating func abandon(_ pass: inout TransmitPass, _ fault: RingFault, endsFrame: Bool) {
    unsafe ring.state.pointee.counters.faults.count(fault)
    unsafe ring.state.pointee.counters.faulted &+= 1
    forgetStaged(&pass)
    setDisposition(.dropped, at: pass.taken)
    pass.taken = unsafe ring.state.pointee.osQueue.next(after: pass.taken)
    pass.isDiscarding = !endsFrame
  }

  /// Takes the staged descriptors back from the DPI queue; their slots of the OS queue, the last ones copied, complete
  /// as dropped.
  @inlinable
  mutating func forgetStaged(_ pass: inout TransmitPass) {
    var slot = pass.taken
    for _ in 0..<pass.staged.slots {
      slot = unsafe ring.state.pointee.osQueue.moved(slot, back: 1)
      setDisposition(.dropped, at: slot)
    }
    pass.staged = PartialFrame()
  }

  /// Gives up a chain that fills the queue without ending: the OS could never post its end.
  @inlinable
  mutating func abandonEndless(_ pass: inout TransmitPass) {
    let state = unsafe ring.state
    guard unsafe pass.staged.slots == state.pointee.osQueue.count &- 1 else { return }
    unsafe state.pointee.counters.faults.count(.endlessChain)
    unsafe state.pointee.counters.faulted &+= 1
    forgetStaged(&pass)
    pass.isDiscarding = true
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
  mutating func requestReport(of last: UInt32, since first: UInt32, taken: UInt32) {
    let nic = nicSlots
    var nicSlot = last
    var slot = taken
    // Back to the last descriptor of the pass that the NIC completes at all: contexts may follow it, whose frames were dropped.
    while true {
      // The slot of the OS queue that it came from: the last one that was not dropped. There is one for each slot of the
      // DPI queue that is not an inspector's own.
      repeat {
        slot = unsafe ring.state.pointee.osQueue.moved(slot, back: 1)
      } while unsafe ring.dispositions[Int(slot)] == .dropped
      var descriptor = nic.load(at: nicSlot)
      if NICSide.reportsContexts || descriptor.kind != .context {
        guard !descriptor.reportsCompletion else { return }
        descriptor.reportsCompletion = true
        nic.store(descriptor, at: nicSlot)
        return setDisposition(.forwardedWithReport, at: slot)
      }
      guard nicSlot != first else { return }
      nicSlot = (nicSlot == 0 ? nic.count : nicSlot) &- 1
      // These report.
      if isInjected(nicSlot) { return }
    }
  }

  /// The slot of the DPI queue after the staged ones.
  @inlinable
  func stagedEnd(_ pass: TransmitPass) -> UInt32 {
    let count = nicSlots.count
    let end = pass.tail &+ pass.staged.slots
    return end >= count ? end &- count : end
  }

  /// Completes slots of the OS queue of any disposition. Those that nobody reports are known to be done when one after
  /// them is.
  @inline(never)
  @inlinable
  mutating func completeUncommon(
    since start: UInt32, from first: UInt32, _ firstNIC: UInt32
  ) -> TransmitCompletions {
    let nic = nicSlots
    let os = self.os.slots
    let end = unsafe ring.state.pointee.transmit.copied
    var isReported = first != start
    var head = first
    var nicHead = firstNIC
    let nicTail = unsafe ring.state.pointee.transmit.tail
    var slot = head
    var nicSlot = nicHead
    var done = head
    scan: while true {
      while nicSlot != nicTail, isInjected(nicSlot) {
        guard nic.loadOwnership(at: nicSlot).isCompleted else { break scan }
        nicSlot = wrapped(nicSlot &+ 1, nic.count)
      }
      guard slot != end else { break }
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
    while true {
      while nicHead != nicTail, isInjected(nicHead), nic.loadOwnership(at: nicHead).isCompleted {
        forgetInjected(nicHead)
        nicHead = wrapped(nicHead &+ 1, nic.count)
      }
      guard head != done else { break }
      let disposition = unsafe ring.dispositions[Int(head)]
      let following = wrapped(head &+ 1, os.count)
      if disposition != .dropped {
        let descriptor = nic.load(at: nicHead)
        if NICSide.hasFrameChecksum, descriptor.isRefused { countChanged() }
        if descriptor.reportsCompletion, disposition == .forwarded, OSSide.self == NICSide.self {
          os.storeOwnership(of: unsafe unsafeBitCast(descriptor, to: OSSide.self), at: head)
          isReported = true
        } else if descriptor.reportsCompletion, disposition != .forwardedWithReport {
          if complete(os, head) { isReported = true }
        }
        nicHead = wrapped(nicHead &+ 1, nic.count)
      } else if complete(os, head) {
        isReported = true
      }
      unsafe headPlace.pointee.store(following, ordering: .releasing)
      setDisposition(.forwarded, at: head)
      head = following
    }
    unsafe ring.state.pointee.osQueue.head = head
    unsafe ring.state.pointee.dpiQueue.head = nicHead
    return unsafe TransmitCompletions(
      descriptors: ring.state.pointee.osQueue.distance(from: start, to: head), isReported: isReported,
      isEmpty: head == ring.state.pointee.osQueue.tail)
  }

  /// Counts a frame that passed, and that the NIC did not send because it was changed since.
  @inlinable
  func countChanged() {
    unsafe ring.state.pointee.counters.faults.count(.checksumMismatch)
    unsafe ring.state.pointee.counters.faulted &+= 1
  }

  /// Completes a slot of the OS queue as the NIC would, from what the OS has there.
  ///
  /// - Returns: whether the OS wanted it reported.
  @inlinable
  func complete(_ os: DescriptorSlots<OSSide>, _ slot: UInt32) -> Bool {
    var original = os.load(at: slot)
    guard original.reportsCompletion else { return false }
    original.isCompleted = true
    os.storeOwnership(of: original, at: slot)
    return true
  }

  /// Makes what follows from the rest follow again: a worker may have died in the middle of a pass.
  @usableFromInline
  mutating func resume() {
    let state = unsafe ring.state
    let progress = unsafe state.pointee.transmit
    let count = unsafe state.pointee.osQueue.count
    // Within a run the head is stored without wrapping around.
    unsafe state.pointee.osQueue.head = wrapped(state.pointee.osQueue.head, count)
    // Slots that are not in use, or whose copying did not take effect, start clean.
    var slot = progress.copied
    while unsafe slot != state.pointee.osQueue.head {
      unsafe ring.dispositions[Int(slot)] = .forwarded
      slot = wrapped(slot &+ 1, count)
    }
    // The NIC's side of the OS Head Pointer: as far before the tail as there are forwarded slots, and frames of
    // inspectors' own among them.
    var forwarded: UInt32 = 0
    while slot != progress.copied {
      let disposition = unsafe ring.dispositions[Int(slot)]
      if disposition != .forwarded { unusualSlots &+= 1 }
      if disposition != .dropped { forwarded &+= 1 }
      slot = wrapped(slot &+ 1, count)
    }
    var nicSlot = progress.tail
    for _ in 0..<count {
      let before = unsafe state.pointee.dpiQueue.moved(nicSlot, back: 1)
      if isInjected(before) {
        injectedSlots &+= 1
        unusualSlots &+= 1
      } else {
        guard forwarded > 0 else { break }
        forwarded &-= 1
      }
      nicSlot = before
    }
    unsafe state.pointee.dpiQueue.head = nicSlot
  }
}
