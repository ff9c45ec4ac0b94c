public import AllyHW

/// Transmitting from DPI memory (``PacketProtection/copyToDPIMemory``): a frame is copied before it is inspected, and the NIC
/// fetches the copy, so that no OS core can change it in between.
///
/// The copies are a ring of bytes; a frame's copy is in one piece and is free again when its descriptors are done.
extension TransmitVirtualizer {
  /// Reserves room for a frame.
  ///
  /// - Parameter needed: its bytes.
  /// - Returns: where it begins, or nil when frames before it must be done first.
  @inlinable
  mutating func reserveCopy(of needed: UInt64, _ pass: inout TransmitPass) -> UInt64? {
    let size = unsafe ring.limits.copyMemory
    guard needed < size else { return nil }
    let tail = pass.copyTail
    var start = tail
    if unsafe pass.tail == ring.state.pointee.dpiQueue.head {
      // Nothing is under way.
      start = 0
      hasUnknownCopies = false
    } else {
      guard !hasUnknownCopies else { return nil }
      let head = unsafe ring.words[Int(ring.state.pointee.dpiQueue.head)] & ~Self.injectedMark
      if tail >= head {
        if needed > size &- tail {
          // An end that meets the head could not be told from emptiness.
          guard needed < head else { return nil }
          start = 0
        }
      } else {
        guard needed < head &- tail else { return nil }
      }
    }
    pass.copyTail = start &+ needed
    return start
  }

  /// Makes the staged descriptors of a frame point at its copy.
  @unsafe
  @inlinable
  func pointAtCopy(_ pass: TransmitPass, _ place: UnsafeMutableRawPointer) {
    let nic = nicSlots
    let start = unsafe UInt64(place - ring.copies)
    var filled: UInt64 = 0
    var slot = pass.tail
    for _ in 0..<pass.staged.slots {
      var segment = nic.load(at: slot)
      segment.buffer = unsafe BusAddress(ring.copiesAddress.rawValue &+ start &+ filled)
      filled &+= UInt64(segment.length)
      nic.store(segment, at: slot)
      unsafe ring.words[Int(slot)] = start
      slot = wrapped(slot &+ 1, nic.count)
    }
  }
}
