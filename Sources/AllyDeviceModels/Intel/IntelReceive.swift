import AllyHW

/// The bytes of a frame as they go to memory: without a stripped VLAN tag, with the frame check sequence unless that is
/// stripped.
private struct ReceivedContent {
  /// Where the tag of four bytes is that does not go to memory.
  var strippedTag: Int?
  var frameLength: Int
  var sequence: UInt32?

  var length: Int { frameLength - (strippedTag == nil ? 0 : 4) + (sequence == nil ? 0 : 4) }
}

/// Where a frame is to go.
struct IntelReceiveTarget {
  /// The offset of the ring's first register.
  var ring: UInt32
  /// The bytes of each buffer.
  var bufferSize: Int
  var format: IntelReceiveFormat
  /// The frame check sequence does not go to memory.
  var stripsFrameCheckSequence: Bool
  /// The VLAN tag does not go to memory.
  var stripsTag: Bool
  /// A frame without descriptors is lost, even on a paced wire.
  var dropsWithoutDescriptors = false
}

/// What became of a frame, with what the interrupt logic wants to know.
struct IntelDelivery {
  var reception: FrameReception
  /// Lost for want of descriptors.
  var isOverrun = false
  /// Free descriptors before and after, of how many.
  var available = 0
  var remaining = 0
  var count = 0

  /// Whether the free descriptors came down to the threshold with this frame.
  func reached(_ threshold: Int) -> Bool { available > threshold && remaining <= threshold }
}

extension IntelController {
  /// Whether the controller takes a frame of this length at all; nil when it does. Counts what it does not.
  ///
  /// `limit` is the longest frame, in bytes with its frame check sequence.
  mutating func refusal(of frame: Span<UInt8>, isEnabled: Bool, limit: Int, isPaced: Bool) -> FrameReception? {
    guard isEnabled else { return isPaced ? .mustWait : .filtered }
    guard !frame.isEmpty else {
      statistics.count(.receiveUndersize)
      return .lost
    }
    guard frame.count + 4 <= limit else {
      countReceived(frame)
      statistics.count(.receiveOversize)
      return .lost
    }
    return nil
  }

  /// Writes a frame that passed the filters into a ring. `tag` is its VLAN tag, when it has one.
  mutating func deliver<Bus: DMABus & ~Copyable>(
    _ frame: Span<UInt8>, tag: UInt16?, report: IntelReceiveReport, to target: IntelReceiveTarget, isPaced: Bool,
    on bus: inout Bus
  ) -> IntelDelivery {
    let strippedTag = tag != nil && target.stripsTag ? 12 : nil
    let content = ReceivedContent(
      strippedTag: strippedTag, frameLength: frame.count,
      sequence: target.stripsFrameCheckSequence
        ? nil : frameCheckSequence(of: frame, strippedTag: strippedTag))
    let mayWait = isPaced && !target.dropsWithoutDescriptors
    guard let ring = ring(at: target.ring) else {
      return noDescriptors(frame, mayWait: mayWait && self[target.ring + 8] == 0)
    }
    let needed = (content.length + target.bufferSize - 1) / target.bufferSize
    guard needed <= ring.available else {
      // A frame that the whole ring cannot hold would wait for ever.
      return noDescriptors(frame, mayWait: mayWait && needed < ring.count)
    }
    var report = report
    if strippedTag != nil, let tag {
      report.status |= IntelReceiveReport.Status.vlanPacket
      report.vlanTag = tag
    }
    guard write(frame, content, report: report, ring: ring, target: target, on: &bus) else {
      return IntelDelivery(reception: .lost)
    }
    countReceived(frame)
    countGood(frame)
    return IntelDelivery(
      reception: .completed, available: ring.available, remaining: ring.available - needed, count: ring.count)
  }

  /// Writes a frame into the buffers of as many descriptors as it needs, and completes these.
  ///
  /// - Returns: false when no descriptor with end-of-packet could be completed.
  private mutating func write<Bus: DMABus & ~Copyable>(
    _ frame: Span<UInt8>, _ content: ReceivedContent, report: IntelReceiveReport, ring: IntelRing,
    target: IntelReceiveTarget, on bus: inout Bus
  ) -> Bool {
    typealias Status = IntelReceiveReport.Status
    var index = ring.head
    var done = 0
    while done < content.length {
      let address = ring.address(index)
      guard let (buffer, _) = readDescriptor(address, on: &bus) else { return false }
      let end = min(done + target.bufferSize, content.length)
      let isWritten = write(frame, content, from: done, to: end, at: buffer, on: &bus)
      let words: (UInt64?, UInt64)
      if isWritten {
        let status = report.status | Status.descriptorDone | (end == content.length ? Status.endOfPacket : 0)
        words = target.format.completed(report, status: status, errors: report.errors, length: end - done)
      } else {
        faults.buffers &+= 1
        if end < content.length { faults.cutFrames &+= 1 }
        words = target.format.completed(
          IntelReceiveReport(), status: Status.lost, errors: IntelReceiveReport.Failure.data, length: 0)
      }
      if end == content.length, isWritten, checksums?.isEnabled == true {
        guard publishChecksum(of: bytes(of: frame, content).span, at: address, on: &bus) else {
          faults.descriptorWrites &+= 1
          return false
        }
      }
      guard publish(words, at: address, on: &bus) else {
        faults.descriptorWrites &+= 1
        return false
      }
      index = index + 1 == ring.count ? 0 : index + 1
      self[ring.register + 0x10] = UInt32(index)
      if !isWritten { return true }
      done = end
    }
    return true
  }

  /// Completes a descriptor: the status is in the word that is written last, in one piece.
  private func publish<Bus: DMABus & ~Copyable>(
    _ words: (UInt64?, UInt64), at address: BusAddress, on bus: inout Bus
  ) -> Bool {
    if let first = words.0, !bus.publish(first, at: address, requester: requester) { return false }
    return bus.publish(words.1, at: BusAddress(address.rawValue &+ 8), requester: requester)
  }

  /// Writes the bytes of a frame's content from `start` up to `end`.
  private mutating func write<Bus: DMABus & ~Copyable>(
    _ frame: Span<UInt8>, _ content: ReceivedContent, from start: Int, to end: Int, at buffer: UInt64,
    on bus: inout Bus
  ) -> Bool {
    // Three runs: before the tag, after it, and the frame check sequence. Without a tag the first is the frame.
    let tag = content.strippedTag ?? content.frameLength
    let tagLength = content.strippedTag == nil ? 0 : 4
    let frameEnd = content.frameLength - tagLength
    var place = start
    while place < end {
      let address = BusAddress(buffer &+ UInt64(place - start))
      if place < tag {
        let stop = min(end, tag)
        guard bus.writeMemory(address, frame.extracting(place..<stop), requester: requester) else { return false }
        place = stop
      } else if place < frameEnd {
        let stop = min(end, frameEnd)
        let part = frame.extracting((place + tagLength)..<(stop + tagLength))
        guard bus.writeMemory(address, part, requester: requester) else { return false }
        place = stop
      } else {
        let value = content.sequence ?? 0
        let sequence: InlineArray<4, UInt8> = [
          UInt8(value & 0xFF), UInt8(value >> 8 & 0xFF), UInt8(value >> 16 & 0xFF), UInt8(value >> 24),
        ]
        let part = sequence.span.extracting((place - frameEnd)..<(end - frameEnd))
        guard bus.writeMemory(address, part, requester: requester) else { return false }
        place = end
      }
    }
    return true
  }

  /// A frame's content in one piece, as it lies in its buffers one after the other.
  private func bytes(of frame: Span<UInt8>, _ content: ReceivedContent) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(content.length)
    for index in frame.indices {
      if let tag = content.strippedTag, (tag..<(tag + 4)).contains(index) { continue }
      bytes.append(frame[index])
    }
    guard let sequence = content.sequence else { return bytes }
    for shift in stride(from: UInt32(0), to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: sequence >> shift)) }
    return bytes
  }

  private func frameCheckSequence(of frame: Span<UInt8>, strippedTag: Int?) -> UInt32 {
    guard let tag = strippedTag else {
      return frameCheckSequence.continued(0, frame, from: 0, to: frame.count)
    }
    let first = frameCheckSequence.continued(0, frame, from: 0, to: tag)
    return frameCheckSequence.continued(first, frame, from: tag + 4, to: frame.count)
  }

  private mutating func noDescriptors(_ frame: Span<UInt8>, mayWait: Bool) -> IntelDelivery {
    if mayWait { return IntelDelivery(reception: .mustWait) }
    countReceived(frame)
    statistics.count(.receiveNoBuffers)
    statistics.count(.missedPackets)
    return IntelDelivery(reception: .lost, isOverrun: true)
  }

  /// Counts a frame that came in, whatever became of it.
  mutating func countReceived(_ frame: Span<UInt8>) {
    statistics.count(.totalReceived)
    statistics.count(frame.count + 4, in: .totalReceived)
  }

  private mutating func countGood(_ frame: Span<UInt8>) {
    statistics.count(.goodReceived)
    statistics.count(.receivedForHost)
    statistics.count(frame.count + 4, in: .goodReceived)
    statistics.countSize(frame.count + 4, from: .received64)
    if IntelReceiveFilter.isBroadcast(frame) {
      statistics.count(.broadcastReceived)
    } else if frame[0] & 1 == 1 {
      statistics.count(.multicastReceived)
    }
  }
}
