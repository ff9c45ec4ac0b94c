public import AllyHW
public import AllyPacket

/// Frames that inspectors made, on their way to the NIC. They lie in the copy memory, whatever the protection level, and have
/// slots of the DPI queue that the OS knows nothing of, or stand in for those of the frame that they replace.
extension TransmitVirtualizer {
  /// How many bytes longer than the frame that it replaces a replacement may be.
  @inlinable static var replacementGrowth: UInt64 { 2048 }

  /// Marks a slot's word when the slot has a frame of an inspector's own.
  @inlinable static var injectedMark: UInt64 { 1 << 63 }

  /// Frames of inspectors' own that wait to be handed to the NIC.
  @inlinable
  public var outbox: FrameOutbox { unsafe ring.outbox }

  @inlinable
  var hasWaiting: Bool { unsafe !ring.outbox.isEmpty }

  /// Whether a slot of the DPI queue has a frame of an inspector's own.
  @inlinable
  func isInjected(_ slot: UInt32) -> Bool { unsafe ring.words[Int(slot)] & Self.injectedMark != 0 }

  /// Whether the DPI queue has a slot that is free.
  @inlinable
  func hasRoom(_ pass: TransmitPass) -> Bool {
    let queue = unsafe ring.state.pointee.dpiQueue
    return queue.distance(from: queue.head, to: pass.tail) &+ pass.staged.slots &+ 1 < queue.count
  }

  @inlinable
  mutating func forgetInjected(_ slot: UInt32) {
    unsafe ring.words[Int(slot)] &= ~Self.injectedMark
    injectedSlots &-= 1
    unusualSlots &-= 1
  }

  /// Hands a replacement to the NIC in the place of the frame that is staged.
  ///
  /// - Parameters:
  ///   - copy: where its bytes go in the copy memory.
  ///   - room: how many there is room for.
  /// - Returns: false when it is too long for that or for one descriptor.
  @inlinable
  @inline(never)
  mutating func forwardReplacement(
    _ answers: borrowing FrameAnswers, at copy: UInt64, room: UInt64, _ pass: inout TransmitPass
  ) -> Bool {
    let length = UInt32(truncatingIfNeeded: answers.replacementLength)
    guard length > 0, UInt64(length) <= room, let source = unsafe answers.replacement,
      let descriptor = unsafe descriptor(ofCopy: copy, length: length)
    else { return false }
    unsafe (ring.copies + Int(copy)).copyMemory(from: source, byteCount: Int(length))
    // Nobody but DPI cores can change it, so its descriptor has no checksum.
    // The frame's last slot stands for the replacement, those before it are done without the NIC.
    let last = unsafe ring.state.pointee.osQueue.moved(pass.taken, back: 1)
    forgetStaged(&pass)
    setDisposition(.replaced, at: last)
    append(descriptor, copy: copy, &pass)
    pass.copyTail = copy &+ UInt64(length)
    return true
  }

  /// Hands the frames that inspectors have added to the NIC, between two frames of the OS.
  @inlinable
  mutating func sendWaiting(_ pass: inout TransmitPass) {
    if hasWaiting, pass.staged.isEmpty { sendOutbox(&pass) }
  }

  @inlinable
  @inline(never)
  mutating func sendOutbox(_ pass: inout TransmitPass) {
    let outbox = unsafe ring.outbox
    while let length = outbox.withFirst({ bytes, _ in bytes.byteCount }) {
      guard hasRoom(pass) else { return }
      let isPossible =
        unsafe UInt64(length) < ring.limits.copyMemory && length <= Int(NICSide.maximumPlainFrameLength)
      var copy: UInt64?
      if isPossible {
        copy = reserveCopy(of: UInt64(length), &pass)
        if copy == nil { return }
      }
      guard let copy, let descriptor = unsafe descriptor(ofCopy: copy, length: UInt32(length)) else {
        unsafe ring.state.pointee.counters.faults.count(.answerRefused)
        outbox.removeFirst()
        continue
      }
      let place = unsafe ring.copies + Int(copy)
      outbox.withFirst { bytes, _ in
        unsafe bytes.withUnsafeBytes { source in
          if let base = source.baseAddress { unsafe place.copyMemory(from: base, byteCount: source.count) }
        }
      }
      outbox.removeFirst()
      append(descriptor, copy: copy | Self.injectedMark, &pass)
      injectedSlots &+= 1
      unusualSlots &+= 1
      unsafe ring.state.pointee.counters.injected &+= 1
    }
  }

  /// A descriptor of a whole frame in the copy memory; nil when the NIC's format cannot say it.
  @unsafe
  @inlinable
  func descriptor(ofCopy copy: UInt64, length: UInt32) -> NICSide? {
    guard length <= NICSide.maximumPlainFrameLength else { return nil }
    return unsafe NICSide(
      TransmitRequest(
        buffer: BusAddress(ring.copiesAddress.rawValue &+ copy), length: length, endsFrame: true,
        reportsCompletion: true))
  }

  @inlinable
  mutating func append(_ descriptor: NICSide, copy: UInt64, _ pass: inout TransmitPass) {
    nicSlots.store(descriptor, at: pass.tail)
    unsafe ring.words[Int(pass.tail)] = copy
    pass.tail = wrapped(pass.tail &+ 1, nicSlots.count)
  }
}
