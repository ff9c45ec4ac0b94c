import AllyHW

extension VirtioNetModel {
  mutating func receive<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    on bus: inout Bus, wire: inout End, frames: Int
  ) -> Int {
    let isPaced = wire.isPaced
    var taken = 0
    while taken < frames, isLive {
      guard let answer = wire.receive({ frame in receive(frame, on: &bus, isPaced: isPaced) }), answer != .mustWait
      else { break }
      taken += 1
    }
    for pair in 0..<activePairs { finishQueue(2 * pair, on: &bus) }
    return taken
  }

  /// One frame from the wire to a receive queue.
  private mutating func receive<Bus: DMABus & ~Copyable>(
    _ frame: Span<UInt8>, on bus: inout Bus, isPaced: Bool
  ) -> FrameReception {
    guard !frame.isEmpty, frame.count <= maximumFrameLength else { return .lost }
    guard filter.accepts(frame, filtersVLANs: accepted.contains(.controlVLAN)) else { return .filtered }
    let index = activePairs == 1 ? 0 : 2 * Int(VirtioNetSteering.hash(frame) % UInt32(activePairs))
    guard queues[index].isEnabled else { return isPaced ? .mustWait : .lost }
    let before = (queues[index].nextAvailable, queues[index].availableWrap)
    switch takeRoom(for: VirtioNetHeader.length + frame.count, in: index, on: &bus) {
    case .taken: break
    case .broken:
      breakQueue()
      return .lost
    case .empty:
      // What was taken goes back.
      (queues[index].nextAvailable, queues[index].availableWrap) = before
      if isPaced, buffers.list.count < queues[index].size, accepted.contains(.mergeableBuffers) || buffers.list.isEmpty
      {
        return .mustWait
      }
      faults.noBuffers &+= 1
      return .lost
    }
    let isWritten = write(frame, on: &bus)
    if !isWritten { faults.buffers &+= 1 }
    guard useBuffers(in: index, on: &bus) else {
      breakQueue()
      return .lost
    }
    return .completed
  }

  /// Takes buffers until they hold `needed` bytes; without mergeable buffers one has to. Empty when there are too few, or the
  /// one is too small.
  private mutating func takeRoom<Bus: DMABus & ~Copyable>(
    for needed: Int, in queue: Int, on bus: inout Bus
  ) -> VirtioTake {
    buffers.removeAll()
    lengths.removeAll(keepingCapacity: true)
    var room = 0
    while room < needed, buffers.list.count < queues[queue].size {
      let answer = access.take(&queues[queue], into: &buffers, on: &bus)
      guard answer == .taken else { return answer }
      let buffer = buffers.list[buffers.list.count - 1]
      // A receive buffer is only written to, and the first holds the header (§5.1.6.3).
      guard buffer.readable.isEmpty, buffer.writableLength >= VirtioNetHeader.length else {
        queues[queue].isBroken = true
        return .broken
      }
      lengths.append(min(buffer.writableLength, needed - room))
      room += buffer.writableLength
      if room < needed, !accepted.contains(.mergeableBuffers) { return .empty }
    }
    return room < needed ? .empty : .taken
  }

  /// Writes header and frame into the buffers that were taken.
  private mutating func write<Bus: DMABus & ~Copyable>(_ frame: Span<UInt8>, on bus: inout Bus) -> Bool {
    // §5.1.6.4.1: 1 without mergeable buffers.
    let count = accepted.contains(.mergeableBuffers) ? UInt16(buffers.list.count) : 1
    let isValid = accepted.contains(.guestChecksum) && hasGoodChecksum(frame)
    let header = VirtioNetHeader(flags: isValid ? VirtioNetHeader.Flag.dataValid : 0, buffers: count).bytes
    let end = VirtioNetHeader.length + frame.count
    var place = 0
    for part in buffers.segments {
      var address = part.address
      var left = min(part.length, end - place)
      while left > 0 {
        let isHeader = place < VirtioNetHeader.length
        let run = isHeader ? min(left, VirtioNetHeader.length - place) : left
        let from = isHeader ? place : place - VirtioNetHeader.length
        let isWritten =
          isHeader
          ? bus.writeMemory(BusAddress(address), header.span.extracting(from..<(from + run)), requester: requester)
          : bus.writeMemory(BusAddress(address), frame.extracting(from..<(from + run)), requester: requester)
        guard isWritten else { return false }
        address &+= UInt64(run)
        place += run
        left -= run
      }
    }
    return true
  }

  /// Whether a TCP or UDP checksum over IPv4 or IPv6 was verified and is right.
  private func hasGoodChecksum(_ frame: Span<UInt8>) -> Bool {
    let ip = frame.count > 18 && frame[12] == 0x81 && frame[13] == 0 ? 18 : 14
    guard frame.count >= ip + 20 else { return false }
    let type = Int(frame[ip - 2]) << 8 | Int(frame[ip - 1])
    let transport: Int
    let end: Int
    let next: UInt8
    var checksum = InternetChecksum()
    switch type {
    case 0x0800 where frame[ip] >> 4 == 4:
      transport = ip + Int(frame[ip] & 15) * 4
      end = ip + (Int(frame[ip + 2]) << 8 | Int(frame[ip + 3]))
      next = frame[ip + 9]
      guard frame[ip] & 15 >= 5, frame[ip + 6] & 0x3F == 0, frame[ip + 7] == 0 else { return false }
      checksum.add(frame, from: ip + 12, to: ip + 20)
    case 0x86DD where frame.count >= ip + 40:
      transport = ip + 40
      end = transport + (Int(frame[ip + 4]) << 8 | Int(frame[ip + 5]))
      next = frame[ip + 6]
      checksum.add(frame, from: ip + 8, to: ip + 40)
    default: return false
    }
    guard end <= frame.count else { return false }
    switch next {
    case 6 where end - transport >= 20: break
    case 17 where end - transport >= 8 && (frame[transport + 6] | frame[transport + 7]) != 0: break
    default: return false
    }
    checksum.add(UInt16(next))
    checksum.add(UInt16(truncatingIfNeeded: end - transport))
    checksum.add(frame, from: transport, to: end)
    return checksum.folded == 0xFFFF
  }
}
