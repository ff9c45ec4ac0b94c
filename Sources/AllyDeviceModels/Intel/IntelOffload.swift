/// Checksum insertion and TCP segmentation of outgoing frames.
extension IntelController {
  /// The checksums that a data descriptor asks for, where the context says.
  mutating func insertChecksums(_ options: IntelTransmitDescriptor, _ context: IntelOffloadContext, length: Int) {
    if options.insertsIPChecksum {
      let end = context.ipEnd == 0 ? length : min(context.ipEnd + 1, length)
      insertChecksum(from: context.ipStart, to: end, at: context.ipOffset, length: length, zeroIsOnes: false)
    }
    guard options.insertsTransportChecksum else { return }
    let end = context.transportEnd == 0 ? length : min(context.transportEnd + 1, length)
    if context.transport == .sctp {
      insertCastagnoli(from: context.transportStart, to: end, at: context.transportOffset)
    } else {
      insertChecksum(
        from: context.transportStart, to: end, at: context.transportOffset, length: length,
        zeroIsOnes: context.transport == .udp)
    }
  }

  /// Inserts the checksum of the bytes from `start` up to `end`. Nothing happens when the offsets lie outside the frame
  /// (SDM §3.3.3.2).
  mutating func insertChecksum(from start: Int, to end: Int, at offset: Int, length: Int, zeroIsOnes: Bool) {
    guard start < end, end <= length, offset + 2 <= length else { return }
    var checksum = InternetChecksum()
    checksum.add(outgoing.span, from: start, to: end)
    var value = ~checksum.folded
    if value == 0, zeroIsOnes { value = 0xFFFF }
    store(value, at: offset)
  }

  /// Inserts the CRC-32C of an SCTP packet (RFC 9260 §6.8 and appendix A): four bytes, least significant first, over
  /// the packet with zeros in their place.
  private mutating func insertCastagnoli(from start: Int, to end: Int, at offset: Int) {
    guard start < end, offset >= start, offset + 4 <= end, end <= outgoing.count else { return }
    for index in offset..<(offset + 4) { outgoing[index] = 0 }
    var value = UInt32.max
    for index in start..<end {
      value ^= UInt32(outgoing[index])
      for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0x82F6_3B78 : value >> 1 }
    }
    value = ~value
    for index in 0..<4 { outgoing[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(8 * index)) }
  }

  mutating func store(_ value: UInt16, at offset: Int) {
    outgoing[offset] = UInt8(truncatingIfNeeded: value >> 8)
    outgoing[offset + 1] = UInt8(truncatingIfNeeded: value)
  }

  private func load(_ offset: Int) -> UInt16 { UInt16(outgoing[offset]) << 8 | UInt16(outgoing[offset + 1]) }

  /// TCP segmentation offload (SDM §3.5; 82576 datasheet §7.2.4): the header is repeated before each part of the payload,
  /// and its lengths, identification, sequence number, flags and checksums follow.
  mutating func sendSegments<End: WireEnd & ~Copyable>(
    _ options: IntelTransmitDescriptor, last: IntelTransmitDescriptor, queue: Int, wire: inout End
  ) {
    let context = transmissions[queue].contexts[options.contextIndex]
    let header = context.headerLength
    let announced = options.format == .advanced ? options.payloadLength : context.payloadLength
    let payload = min(announced, transmissions[queue].count - header)
    let largest = header + context.segmentSize
    guard payload > 0, context.segmentSize > 0, largest + 8 <= maximumFrameLength, isConsistent(context, options) else {
      faults.unsendableFrames &+= 1
      return
    }
    statistics.count(.segmentationContexts)
    if outgoing.count < largest { outgoing.append(contentsOf: repeatElement(0, count: largest - outgoing.count)) }
    var done = 0
    var number: UInt16 = 0
    while done < payload {
      let part = min(context.segmentSize, payload - done)
      let length = header + part
      copyData(of: queue, 0..<header, to: 0)
      copyData(of: queue, (header + done)..<(header + done + part), to: header)
      fillHeader(context, length: length, done: done, number: number, isLast: done + part == payload)
      if options.insertsTransportChecksum {
        // Software leaves the pseudo-header's sum, without its length, in the checksum field.
        let field = UInt32(load(context.transportOffset)) + UInt32(length - context.transportStart)
        store(UInt16(truncatingIfNeeded: field & 0xFFFF + field >> 16), at: context.transportOffset)
      }
      insertChecksums(options, context, length: length)
      send(length, options: options, last: last, queue: queue, wire: &wire)
      done += part
      number &+= 1
    }
  }

  /// Whether the headers that a context describes lie one after the other, and the checksums in them.
  private func isConsistent(_ context: IntelOffloadContext, _ options: IntelTransmitDescriptor) -> Bool {
    let transportHeader = context.transport == .tcp ? 20 : 8
    let ipIsInside = context.ipOffset >= context.ipStart && context.ipOffset + 2 <= context.transportStart
    let transportIsInside =
      context.transportOffset >= context.transportStart && context.transportOffset + 2 <= context.headerLength
    return context.transport != .sctp && context.ipStart + (context.isIPv4 ? 20 : 40) <= context.transportStart
      && context.transportStart + transportHeader <= context.headerLength
      && (!options.insertsIPChecksum || ipIsInside) && (!options.insertsTransportChecksum || transportIsInside)
  }

  private mutating func copyData(of queue: Int, _ range: Range<Int>, to start: Int) {
    Self.copy(transmissions[queue].data, range, to: start, in: &outgoing)
  }

  private static func copy(_ source: [UInt8], _ range: Range<Int>, to start: Int, in target: inout [UInt8]) {
    let bytes = source.span
    var span = target.mutableSpan
    for index in 0..<range.count { span[start + index] = bytes[range.lowerBound + index] }
  }

  private mutating func fillHeader(
    _ context: IntelOffloadContext, length: Int, done: Int, number: UInt16, isLast: Bool
  ) {
    if context.isIPv4 {
      store(UInt16(truncatingIfNeeded: length - context.ipStart), at: context.ipStart + 2)
      store(load(context.ipStart + 4) &+ number, at: context.ipStart + 4)
    } else {
      store(UInt16(truncatingIfNeeded: length - context.ipStart - 40), at: context.ipStart + 4)
    }
    if context.transport == .tcp {
      let sequence =
        UInt32(load(context.transportStart + 4)) << 16 | UInt32(load(context.transportStart + 6))
      let next = sequence &+ UInt32(truncatingIfNeeded: done)
      store(UInt16(truncatingIfNeeded: next >> 16), at: context.transportStart + 4)
      store(UInt16(truncatingIfNeeded: next), at: context.transportStart + 6)
      // FIN and PSH only in the last segment.
      if !isLast { outgoing[context.transportStart + 13] &= ~0x09 }
    } else {
      store(UInt16(truncatingIfNeeded: length - context.transportStart), at: context.transportStart + 4)
    }
  }
}
