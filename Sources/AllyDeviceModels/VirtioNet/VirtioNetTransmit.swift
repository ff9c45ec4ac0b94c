import AllyHW

extension VirtioNetModel {
  /// Sends what software has posted: at most one turn around each queue.
  mutating func transmit<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    on bus: inout Bus, wire: inout End, frames: Int
  ) -> Int {
    var sent = 0
    // A driver may send on every queue that it has enabled (§5.1.6.5.6).
    for pair in 0..<(accepted.contains(.multipleQueues) ? queuePairs : 1) where queues[2 * pair + 1].isEnabled {
      sent += transmit(from: 2 * pair + 1, on: &bus, wire: &wire, frames: frames - sent)
    }
    return sent
  }

  private mutating func transmit<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    from index: Int, on bus: inout Bus, wire: inout End, frames: Int
  ) -> Int {
    var sent = 0
    while sent < min(frames, queues[index].size), wire.hasRoom(forFrameOf: maximumFrameLength) {
      buffers.removeAll()
      let answer = access.take(&queues[index], into: &buffers, on: &bus)
      if answer == .broken {
        breakQueue()
        return sent
      }
      guard answer == .taken else { break }
      if !send(buffers.list[0], on: &bus, wire: &wire) { faults.unsendableFrames &+= 1 }
      guard useBuffers(lengths: [0], in: index, on: &bus) else {
        breakQueue()
        return sent
      }
      sent += 1
    }
    finishQueue(index, on: &bus)
    return sent
  }

  /// Sends a buffer's frame; false when it is none.
  private mutating func send<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    _ buffer: VirtioBuffer, on bus: inout Bus, wire: inout End
  ) -> Bool {
    guard buffer.writable.isEmpty, buffer.readableLength > VirtioNetHeader.length,
      gather(buffer, limit: data.count, on: &bus)
    else { return false }
    let header = VirtioNetHeader(data.span)
    let length = buffer.readableLength - VirtioNetHeader.length
    // The frame moves to the front, so that the header's offsets hold.
    for index in 0..<length { data[index] = data[index + VirtioNetHeader.length] }
    switch header.segmentation & ~VirtioNetHeader.Segmentation.ecn {
    case VirtioNetHeader.Segmentation.none:
      guard length <= maximumFrameLength else { return false }
      if header.flags & VirtioNetHeader.Flag.needsChecksum != 0 {
        guard accepted.contains(.checksum), Self.fillChecksum(header, &data, length: length) else { return false }
      }
      if !wire.transmit(data.span.extracting(0..<length)) { faults.wireOverruns &+= 1 }
      return true
    case VirtioNetHeader.Segmentation.tcpIPv4 where accepted.contains(.hostTSO4),
      VirtioNetHeader.Segmentation.tcpIPv6 where accepted.contains(.hostTSO6):
      return sendSegments(header, length: length, wire: &wire)
    default: return false
    }
  }

  /// Completes a checksum: the field holds the pseudo-header's sum (§5.1.6.2).
  private static func fillChecksum(_ header: VirtioNetHeader, _ frame: inout [UInt8], length: Int) -> Bool {
    let field = header.checksumStart + header.checksumOffset
    guard header.checksumStart < length, field + 2 <= length else { return false }
    var checksum = InternetChecksum()
    checksum.add(frame.span, from: header.checksumStart, to: length)
    var value = ~checksum.folded
    // A UDP checksum of zero would say that there is none; to TCP both zeros are the same.
    if value == 0 { value = 0xFFFF }
    store(value, at: field, in: &frame)
    return true
  }

  private static func store(_ value: UInt16, at offset: Int, in frame: inout [UInt8]) {
    frame[offset] = UInt8(truncatingIfNeeded: value >> 8)
    frame[offset + 1] = UInt8(truncatingIfNeeded: value)
  }

  private static func load(_ offset: Int, in frame: [UInt8]) -> UInt16 {
    UInt16(frame[offset]) << 8 | UInt16(frame[offset + 1])
  }

  /// TCP segmentation (§5.1.6.2): the headers, which end with the TCP header, stand before each part of the payload; lengths,
  /// identification, sequence number, flags and checksums follow.
  private mutating func sendSegments<End: WireEnd & ~Copyable>(
    _ header: VirtioNetHeader, length: Int, wire: inout End
  ) -> Bool {
    let isIPv4 = header.segmentation & ~VirtioNetHeader.Segmentation.ecn == VirtioNetHeader.Segmentation.tcpIPv4
    let tcp = header.checksumStart
    // The IP header is what ends where the TCP header begins, behind at most two VLAN tags.
    guard header.flags & VirtioNetHeader.Flag.needsChecksum != 0, header.segmentSize > 0, tcp + 20 <= length,
      header.checksumOffset == 16, let ip = Self.networkHeader(data, length: length), ip + (isIPv4 ? 20 : 40) <= tcp,
      data[ip] >> 4 == (isIPv4 ? 4 : 6)
    else { return false }
    let headers = tcp + Int(data[tcp + 12] >> 4) * 4
    guard headers >= tcp + 20, headers < length, headers + header.segmentSize <= maximumFrameLength else {
      return false
    }
    let payload = length - headers
    var done = 0
    var number: UInt16 = 0
    while done < payload {
      let part = min(header.segmentSize, payload - done)
      for index in 0..<headers { segment[index] = data[index] }
      for index in 0..<part { segment[headers + index] = data[headers + done + index] }
      let total = headers + part
      let isLast = done + part == payload
      if isIPv4 {
        Self.store(UInt16(truncatingIfNeeded: total - ip), at: ip + 2, in: &segment)
        Self.store(Self.load(ip + 4, in: data) &+ number, at: ip + 4, in: &segment)
        Self.store(0, at: ip + 10, in: &segment)
        var checksum = InternetChecksum()
        checksum.add(segment.span, from: ip, to: min(ip + Int(segment[ip] & 15) * 4, tcp))
        Self.store(~checksum.folded, at: ip + 10, in: &segment)
      } else {
        Self.store(UInt16(truncatingIfNeeded: total - ip - 40), at: ip + 4, in: &segment)
      }
      let sequence = UInt32(Self.load(tcp + 4, in: data)) << 16 | UInt32(Self.load(tcp + 6, in: data))
      let next = sequence &+ UInt32(done)
      Self.store(UInt16(truncatingIfNeeded: next >> 16), at: tcp + 4, in: &segment)
      Self.store(UInt16(truncatingIfNeeded: next), at: tcp + 6, in: &segment)
      // FIN and PSH only in the last segment; CWR only in the first.
      if !isLast { segment[tcp + 13] &= ~0x09 }
      if done > 0, header.segmentation & VirtioNetHeader.Segmentation.ecn != 0 { segment[tcp + 13] &= ~0x80 }
      // The pseudo-header's sum, of which the driver's field has the length of the whole.
      var pseudoHeader = InternetChecksum()
      pseudoHeader.add(segment.span, from: isIPv4 ? ip + 12 : ip + 8, to: isIPv4 ? ip + 20 : ip + 40)
      pseudoHeader.add(6)
      pseudoHeader.add(UInt16(truncatingIfNeeded: total - tcp))
      Self.store(pseudoHeader.folded, at: tcp + 16, in: &segment)
      guard Self.fillChecksum(header, &segment, length: total) else { return false }
      if !wire.transmit(segment.span.extracting(0..<total)) { faults.wireOverruns &+= 1 }
      done += part
      number &+= 1
    }
    return true
  }

  /// Where the IP header begins, behind at most two VLAN tags.
  private static func networkHeader(_ frame: [UInt8], length: Int) -> Int? {
    var offset = 12
    for _ in 0..<3 {
      guard offset + 2 < length else { return nil }
      switch UInt16(frame[offset]) << 8 | UInt16(frame[offset + 1]) {
      case 0x8100, 0x88A8: offset += 4
      case 0x0800, 0x86DD: return offset + 2
      default: return nil
      }
    }
    return nil
  }
}
