public import AllyPacket

/// Batches for inspectors that hear of frames before they are asked about them (``PacketInspector/announce(_:)``), with
/// ``PacketProtection/copyToDPIMemory``: each frame is copied and announced, and goes on as if it had passed; at the end of the pass,
/// before the NIC hears of any, they are asked about in their order, and those that do not pass are taken out again.
extension TransmitVirtualizer {
  /// Frames of a batch. Their records lie in the gathering area, which nothing else uses when frames are copied.
  @inlinable static var mostAnnounced: Int { 64 }

  @unsafe
  @inlinable
  var announcedFrames: UnsafeMutablePointer<AnnouncedFrame> {
    unsafe ring.gather.assumingMemoryBound(to: AnnouncedFrame.self)
  }

  /// Announces the staged frame, whose copy is complete.
  ///
  /// - Returns: false when it has to be asked about at once; nothing has changed then.
  @inlinable
  mutating func announce<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    _ pass: inout TransmitPass, length: UInt32, copy: UInt64, to inspector: inout Inspector, clock: borrowing Clock
  ) -> Bool {
    let room = unsafe Int(ring.limits.maximumFrameLength) / MemoryLayout<AnnouncedFrame>.stride
    guard room >= Self.mostAnnounced, let stamp = clock.stamp(forFrameOf: length, after: UInt32(pass.announced)) else {
      return false
    }
    let place = unsafe ring.copies + Int(copy)
    let bytes = unsafe UnsafeRawBufferPointer(start: place, count: Int(length)).bytes
    inspector.announce(
      Packet(bytes: bytes, stamp: stamp, direction: .transmit, queue: queue, offloads: pass.staged.offloads))
    unsafe announcedFrames[pass.announced] = AnnouncedFrame(pass, length: length, copy: copy)
    pass.announced &+= 1
    unsafe pointAtCopy(pass, place)
    pass.copyTail = copy &+ UInt64(length)
    pass.tail = stagedEnd(pass)
    pass.staged = PartialFrame()
    return true
  }

  /// Asks about the frames that were announced, and closes the gaps that those leave that do not pass. What is staged of a frame
  /// behind them moves up too.
  @inline(never)
  @inlinable
  mutating func settleAnnounced<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    _ pass: inout TransmitPass, inspecting inspector: inout Inspector, answers: inout FrameAnswers, clock: inout Clock
  ) {
    let nic = nicSlots
    let end = pass.tail
    var source = unsafe announcedFrames[0].first
    var target = source
    for index in 0..<pass.announced {
      let frame = unsafe announcedFrames[index]
      // Contexts between the frames stay.
      while source != frame.first { moveStaged(&source, &target) }
      let verdict = unsafe Self.inspectTransmitted(
        ring.copies + Int(frame.copy), length: frame.length, queue: queue, offloads: frame.offloads,
        inspecting: &inspector, answers: &answers, clock: &clock)
      if verdict.passes {
        unsafe ring.state.pointee.counters.accepted &+= 1
        for _ in 0..<frame.slots { moveStaged(&source, &target) }
        continue
      }
      // An inspector that replaces frames on their way out is asked about each at once.
      countRefused(verdict == .replace ? .drop : verdict)
      var slot = frame.taken
      for _ in 0..<frame.slots {
        slot = unsafe ring.state.pointee.osQueue.moved(slot, back: 1)
        setDisposition(.dropped, at: slot)
        source = wrapped(source &+ 1, nic.count)
      }
    }
    while source != end { moveStaged(&source, &target) }
    pass.tail = target
    for _ in 0..<pass.staged.slots { moveStaged(&source, &target) }
    pass.announced = 0
  }

  /// Moves a slot of the DPI queue that the NIC has not heard of, and goes on to the next.
  @inlinable
  func moveStaged(_ source: inout UInt32, _ target: inout UInt32) {
    let nic = nicSlots
    if source != target {
      nic.store(nic.load(at: source), at: target)
      unsafe ring.words[Int(target)] = ring.words[Int(source)]
    }
    source = wrapped(source &+ 1, nic.count)
    target = wrapped(target &+ 1, nic.count)
  }
}
