import AllyHW

/// The receive ring (datasheet 5.1 and chapter 7): bytes, without descriptors. Each frame stands behind four bytes of status and
/// length, with its frame check sequence, and the next begins at the next multiple of four.
extension RTL8139Model {
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

  /// One frame to the ring.
  mutating func receive<Bus: DMABus & ~Copyable>(
    _ frame: Span<UInt8>, on bus: inout Bus, isPaced: Bool
  ) -> FrameReception {
    guard command.contains(.receiverEnable) else { return isPaced ? .mustWait : .filtered }
    guard !frame.isEmpty, frame.count <= Self.maximumReceiveLength else {
      if receiveErrors < .max { receiveErrors += 1 }
      interruptStatus.insert(.receiveError)
      return .lost
    }
    guard let match = match(frame) else { return .filtered }
    let ring = receiveConfiguration.ringLength
    let length = frame.count + 4
    let taken = (4 + length + 3) & ~3
    // Equal pointers mean an empty ring, so it is never filled to the last byte.
    let used = (writePlace - readPlace + ring) % ring
    guard taken < ring - used else {
      if isPaced { return .mustWait }
      missedPackets = (missedPackets + 1) & 0xFF_FFFF
      interruptStatus.insert(.receiveBufferOverflow)
      return .lost
    }
    let status = match | RTL8139ReceiveStatus.ok
    guard write(frame, status: status, at: writePlace, ring: ring, on: &bus) else {
      faults.receiveWrites &+= 1
      interruptStatus.insert(.systemError)
      return .lost
    }
    writePlace = (writePlace + taken) % ring
    interruptStatus.insert(.receiveOK)
    return .completed
  }

  /// Header, frame and frame check sequence. The frame is written before the header that announces it; drivers look at CBR
  /// or CR.BUFE, which move later still.
  private func write<Bus: DMABus & ~Copyable>(
    _ frame: Span<UInt8>, status: UInt16, at place: Int, ring: Int, on bus: inout Bus
  ) -> Bool {
    let length = frame.count + 4
    let sequence = frameCheckSequence.continued(0, frame, from: 0, to: frame.count)
    let trailer: InlineArray<4, UInt8> = [
      UInt8(sequence & 0xFF), UInt8(sequence >> 8 & 0xFF), UInt8(sequence >> 16 & 0xFF), UInt8(sequence >> 24),
    ]
    let header: InlineArray<4, UInt8> = [
      UInt8(status & 0xFF), UInt8(status >> 8), UInt8(length & 0xFF), UInt8(length >> 8),
    ]
    return put(frame, at: place + 4, ring: ring, on: &bus)
      && put(trailer.span, at: place + 4 + frame.count, ring: ring, on: &bus)
      && put(header.span, at: place, ring: ring, on: &bus)
  }

  /// Bytes at a place that may lie behind the ring's end: there without wrapping (RCR.WRAP), else from the start on.
  private func put<Bus: DMABus & ~Copyable>(_ bytes: Span<UInt8>, at place: Int, ring: Int, on bus: inout Bus) -> Bool {
    let wraps = !receiveConfiguration.contains(.doesNotWrap) || ring == 65_536
    let start = wraps ? place % ring : place
    let first = wraps ? min(bytes.count, ring - start) : bytes.count
    let base = UInt64(receiveBuffer)
    guard
      bus.writeMemory(BusAddress(base &+ UInt64(start)), bytes.extracting(0..<first), requester: requester)
    else { return false }
    guard first < bytes.count else { return true }
    return bus.writeMemory(BusAddress(base), bytes.extracting(first..<bytes.count), requester: requester)
  }

  // MARK: The filter

  /// Why the frame is received, as its status says; nil when it is not.
  private func match(_ frame: Span<UInt8>) -> UInt16? {
    let acceptsAll = receiveConfiguration.contains(.acceptAll)
    guard frame.count >= 6 else { return acceptsAll ? 0 : nil }
    var isBroadcast = true
    var isOwn = true
    for index in 0..<6 {
      if frame[index] != 0xFF { isBroadcast = false }
      if frame[index] != stationAddress[index] { isOwn = false }
    }
    if isBroadcast {
      let status = RTL8139ReceiveStatus.broadcast
      return acceptsAll || receiveConfiguration.contains(.acceptBroadcast) ? status : nil
    }
    if frame[0] & 1 == 1 {
      let isWanted = receiveConfiguration.contains(.acceptMulticast) && multicast >> UInt64(hash(frame)) & 1 == 1
      return acceptsAll || isWanted ? RTL8139ReceiveStatus.multicast : nil
    }
    if isOwn {
      let status = RTL8139ReceiveStatus.physicalMatch
      return acceptsAll || receiveConfiguration.contains(.acceptPhysicalMatch) ? status : nil
    }
    return acceptsAll ? 0 : nil
  }

  /// Which bit of the multicast filter an address selects: the upper six bits of its CRC, sent most significant bit first.
  private func hash(_ frame: Span<UInt8>) -> Int {
    var value = UInt32.max
    for index in 0..<6 {
      for bit in 0..<8 {
        let isSet = value >> 31 != UInt32(frame[index] >> UInt8(bit) & 1)
        value = value << 1 ^ (isSet ? 0x04C1_1DB7 : 0)
      }
    }
    return Int(value >> 26)
  }
}
