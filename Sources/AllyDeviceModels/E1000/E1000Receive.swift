import AllyHW

/// The status and error bytes of a receive descriptor (SDM §3.2.3).
private enum ReceiveStatus {
  static let descriptorDone: UInt64 = 1 << 32
  static let endOfPacket: UInt64 = 1 << 33
  static let ignoreChecksum: UInt64 = 1 << 34
  static let vlanPacket: UInt64 = 1 << 35
  static let tcpChecksumCalculated: UInt64 = 1 << 37
  static let ipChecksumCalculated: UInt64 = 1 << 38
  static let tcpChecksumError: UInt64 = 1 << 45
  static let ipChecksumError: UInt64 = 1 << 46
  static let dataError: UInt64 = 1 << 47
}

/// The bytes of a frame as they go to memory: without a stripped VLAN tag, with the frame check sequence unless that is
/// stripped.
private struct ReceivedContent {
  /// Where the tag of four bytes is that does not go to memory.
  var strippedTag: Int?
  var frameLength: Int
  var sequence: UInt32?

  var length: Int { frameLength - (strippedTag == nil ? 0 : 4) + (sequence == nil ? 0 : 4) }
}

extension E1000Model {
  mutating func receive<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    on bus: inout Bus, wire: inout End, frames: Int
  ) -> Int {
    let isPaced = wire.isPaced
    var taken = 0
    while taken < frames {
      guard let answer = wire.receive({ frame in receive(frame, on: &bus, isPaced: isPaced) }), answer != .mustWait
      else { break }
      taken += 1
    }
    return taken
  }

  /// One frame from the wire to the receive ring.
  private mutating func receive<Bus: DMABus & ~Copyable>(
    _ frame: Span<UInt8>, on bus: inout Bus, isPaced: Bool
  ) -> FrameReception {
    let receiveControl = E1000ReceiveControl(rawValue: self[E1000Register.receiveControl])
    guard receiveControl.contains(.enable) else { return isPaced ? .mustWait : .filtered }
    let lengthOnWire = frame.count + 4
    guard !frame.isEmpty else {
      statistics.count(.receiveUndersize)
      return .lost
    }
    guard lengthOnWire <= (receiveControl.contains(.longPacket) ? maximumFrameLength : 1522) else {
      countReceived(lengthOnWire)
      statistics.count(.receiveOversize)
      return .lost
    }

    let filter = E1000ReceiveFilter(
      control: receiveControl, vlanEtherType: UInt16(truncatingIfNeeded: self[E1000Register.vlanEtherType]))
    let tag = filter.vlanTag(frame)
    guard filter.accepts(frame, vlanTag: tag, register: { self[$0] }) else {
      countReceived(lengthOnWire)
      return .filtered
    }

    // CTRL.VME: the tag goes to the descriptor instead of memory (SDM chapter 9).
    let isStripped = tag != nil && control >> 30 & 1 == 1
    let content = ReceivedContent(
      strippedTag: isStripped ? 12 : nil, frameLength: frame.count,
      sequence: receiveControl.contains(.stripFrameCheckSequence)
        ? nil : frameCheckSequence(of: frame, strippedTag: isStripped ? 12 : nil))
    guard let ring = ring(at: E1000Register.receiveBaseLow) else {
      return noDescriptors(lengthOnWire, mayWait: isPaced && self[E1000Register.receiveLength] == 0)
    }
    let bufferSize = receiveControl.bufferSize
    let needed = (content.length + bufferSize - 1) / bufferSize
    guard needed <= ring.available else {
      // A frame that the whole ring cannot hold would wait for ever.
      return noDescriptors(lengthOnWire, mayWait: isPaced && needed < ring.count)
    }

    var status = checksumStatus(frame, tag: tag)
    if isStripped, let tag { status |= ReceiveStatus.vlanPacket | UInt64(tag) << 48 }
    guard write(frame, content, status: status, ring: ring, bufferSize: bufferSize, on: &bus) else { return .lost }
    countReceived(lengthOnWire)
    countGood(frame, lengthOnWire)
    raiseReceiveCauses(frame, ring: ring, used: needed, control: receiveControl)
    return .completed
  }

  /// Writes a frame into the buffers of as many descriptors as it needs, and completes these.
  ///
  /// - Returns: false when no descriptor with end-of-packet could be completed.
  private mutating func write<Bus: DMABus & ~Copyable>(
    _ frame: Span<UInt8>, _ content: ReceivedContent, status: UInt64, ring: E1000Ring, bufferSize: Int,
    on bus: inout Bus
  ) -> Bool {
    var index = ring.head
    var done = 0
    while done < content.length {
      let address = ring.address(index)
      guard let (buffer, _) = readDescriptor(address, on: &bus) else { return false }
      let end = min(done + bufferSize, content.length)
      let isWritten = write(frame, content, from: done, to: end, at: buffer, on: &bus)
      var word = UInt64(end - done) | status | ReceiveStatus.descriptorDone
      if end == content.length { word |= ReceiveStatus.endOfPacket }
      if !isWritten {
        faults.buffers &+= 1
        if end < content.length { faults.cutFrames &+= 1 }
        word =
          ReceiveStatus.descriptorDone | ReceiveStatus.endOfPacket | ReceiveStatus.ignoreChecksum
          | ReceiveStatus.dataError
      }
      // The status is in the word that is written last, in one piece.
      guard bus.publish(word, at: BusAddress(address.rawValue &+ 8), requester: requester) else {
        faults.descriptorWrites &+= 1
        return false
      }
      index = index + 1 == ring.count ? 0 : index + 1
      self[E1000Register.receiveHead] = UInt32(index)
      if !isWritten { return true }
      done = end
    }
    return true
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

  private func frameCheckSequence(of frame: Span<UInt8>, strippedTag: Int?) -> UInt32 {
    guard let tag = strippedTag else {
      return frameCheckSequence.continued(0, frame, from: 0, to: frame.count)
    }
    let first = frameCheckSequence.continued(0, frame, from: 0, to: tag)
    return frameCheckSequence.continued(first, frame, from: tag + 4, to: frame.count)
  }

  private mutating func noDescriptors(_ lengthOnWire: Int, mayWait: Bool) -> FrameReception {
    if mayWait { return .mustWait }
    countReceived(lengthOnWire)
    statistics.count(.receiveNoBuffers)
    statistics.count(.missedPackets)
    cause.insert(.receiverOverrun)
    return .lost
  }

  private mutating func countReceived(_ lengthOnWire: Int) {
    statistics.count(.totalReceived)
    statistics.count(lengthOnWire, in: .totalReceived)
  }

  private mutating func countGood(_ frame: Span<UInt8>, _ lengthOnWire: Int) {
    statistics.count(.goodReceived)
    statistics.count(lengthOnWire, in: .goodReceived)
    statistics.countSize(lengthOnWire, from: .received64)
    if E1000ReceiveFilter.isBroadcast(frame) {
      statistics.count(.broadcastReceived)
    } else if frame[0] & 1 == 1 {
      statistics.count(.multicastReceived)
    }
  }

  private mutating func raiseReceiveCauses(
    _ frame: Span<UInt8>, ring: E1000Ring, used: Int, control: E1000ReceiveControl
  ) {
    cause.insert(.receiverTimer)
    let small = Int(self[E1000Register.receiveSmallPacket])
    if small > 0, frame.count <= small { cause.insert(.smallReceivePacket) }
    let threshold = ring.count >> control.minimumThresholdShift
    if ring.available > threshold, ring.available - used <= threshold { cause.insert(.receiveDescriptorMinimum) }
  }

  /// Receive checksum offload (SDM §3.2.9): the status and error bits that say what was checked, and whether it was
  /// right. While it is off, the bit that says to ignore them.
  private func checksumStatus(_ frame: Span<UInt8>, tag: UInt16?) -> UInt64 {
    let ipOffload = self[E1000Register.receiveChecksum] >> 8 & 1 == 1
    let tcpOffload = self[E1000Register.receiveChecksum] >> 9 & 1 == 1
    let ip = tag == nil ? 14 : 18
    guard ipOffload || tcpOffload, frame.count >= ip + 20, frame[ip - 2] == 0x08, frame[ip - 1] == 0x00,
      frame[ip] >> 4 == 4
    else { return ReceiveStatus.ignoreChecksum }
    let headerLength = Int(frame[ip] & 15) * 4
    let totalLength = Int(frame[ip + 2]) << 8 | Int(frame[ip + 3])
    guard headerLength >= 20, totalLength >= headerLength, ip + totalLength <= frame.count else {
      return ReceiveStatus.ignoreChecksum
    }
    var status: UInt64 = 0
    if ipOffload {
      var checksum = InternetChecksum()
      checksum.add(frame, from: ip, to: ip + headerLength)
      status |= ReceiveStatus.ipChecksumCalculated
      if checksum.folded != 0xFFFF { status |= ReceiveStatus.ipChecksumError }
    }
    let isFragment = frame[ip + 6] & 0x3F != 0 || frame[ip + 7] != 0
    let transport = ip + headerLength
    let end = ip + totalLength
    let transportProtocol = frame[ip + 9]
    let isTCP = transportProtocol == 6 && end - transport >= 20
    // A UDP checksum of zero says that there is none.
    let isUDP =
      transportProtocol == 17 && end - transport >= 8 && (frame[transport + 6] | frame[transport + 7]) != 0
    if tcpOffload, !isFragment, isTCP || isUDP {
      var checksum = InternetChecksum()
      checksum.add(frame, from: ip + 12, to: ip + 20)
      checksum.add(UInt16(transportProtocol))
      checksum.add(UInt16(truncatingIfNeeded: end - transport))
      checksum.add(frame, from: transport, to: end)
      status |= ReceiveStatus.tcpChecksumCalculated
      if checksum.folded != 0xFFFF { status |= ReceiveStatus.tcpChecksumError }
    }
    return status == 0 ? ReceiveStatus.ignoreChecksum : status
  }
}
