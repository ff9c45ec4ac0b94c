import AllyHW

/// A transmit descriptor, whichever of the three kinds it is (SDM §3.3.3, §3.3.6, §3.3.7).
struct E1000TransmitDescriptor {
  var first: UInt64
  var second: UInt64

  enum Kind {
    case legacy
    case context
    case data
    /// An extended descriptor of a type that the manual does not have.
    case unknown
  }

  var kind: Kind {
    guard second >> 29 & 1 == 1 else { return .legacy }
    return switch second >> 20 & 15 {
    case 0: .context
    case 1: .data
    default: .unknown
    }
  }

  var address: UInt64 { first }
  /// Bytes in the buffer: 16 bits in a legacy descriptor, 20 in a data descriptor.
  var length: Int { Int(second & (kind == .legacy ? 0xFFFF : 0xF_FFFF)) }
  // The command byte: the same bits in a legacy and in a data descriptor.
  var isEndOfPacket: Bool { second >> 24 & 1 == 1 }
  var insertsFrameCheckSequence: Bool { second >> 25 & 1 == 1 }
  /// IC of a legacy descriptor; TSE of a data descriptor.
  var insertsChecksum: Bool { kind == .legacy && second >> 26 & 1 == 1 }
  var segments: Bool { kind == .data && second >> 26 & 1 == 1 }
  var reportsStatus: Bool { second >> 27 & 1 == 1 }
  var insertsVLANTag: Bool { second >> 30 & 1 == 1 }
  var vlanTag: UInt16 { UInt16(truncatingIfNeeded: second >> 48) }
  // A legacy descriptor's checksum fields.
  var checksumOffset: Int { Int(second >> 16 & 0xFF) }
  var checksumStart: Int { Int(second >> 40 & 0xFF) }
  // A data descriptor's POPTS.
  var insertsIPChecksum: Bool { kind == .data && second >> 40 & 1 == 1 }
  var insertsTCPChecksum: Bool { kind == .data && second >> 41 & 1 == 1 }

  /// The second word with DD set.
  var done: UInt64 { second | 1 << 32 }
}

/// What a context descriptor says about the frames that follow (SDM §3.3.6).
struct E1000OffloadContext {
  var ipStart = 0
  var ipOffset = 0
  var ipEnd = 0
  var tcpStart = 0
  var tcpOffset = 0
  /// The last byte of the TCP or UDP checksum; 0 for the end of the frame.
  var tcpEnd = 0
  var payloadLength = 0
  var headerLength = 0
  var segmentSize = 0
  var isTCP = false
  var isIPv4 = false

  init() {}

  init(_ descriptor: E1000TransmitDescriptor) {
    ipStart = Int(descriptor.first & 0xFF)
    ipOffset = Int(descriptor.first >> 8 & 0xFF)
    ipEnd = Int(descriptor.first >> 16 & 0xFFFF)
    tcpStart = Int(descriptor.first >> 32 & 0xFF)
    tcpOffset = Int(descriptor.first >> 40 & 0xFF)
    tcpEnd = Int(descriptor.first >> 48)
    payloadLength = Int(descriptor.second & 0xF_FFFF)
    isTCP = descriptor.second >> 24 & 1 == 1
    isIPv4 = descriptor.second >> 25 & 1 == 1
    headerLength = Int(descriptor.second >> 40 & 0xFF)
    segmentSize = Int(descriptor.second >> 48)
  }
}

/// What the transmitter keeps between descriptors.
struct E1000Transmission {
  /// The data of the frame that is being gathered.
  var data: [UInt8]
  var count = 0
  /// The first descriptor of the frame, whose options hold for all of it; nil between frames.
  var options: E1000TransmitDescriptor?
  /// The frame cannot be sent; its descriptors are completed nevertheless.
  var isSpoiled = false
  var context = E1000OffloadContext()
  /// The frame as it goes out.
  var frame: [UInt8]

  init(maximumFrameLength: Int) {
    // A frame to be segmented has up to 2^20 - 1 bytes of data (PAYLEN) and 255 of header.
    let size = max(maximumFrameLength, 1 << 20 + 256)
    data = [UInt8](repeating: 0, count: size)
    frame = [UInt8](repeating: 0, count: size)
  }

  mutating func reset() {
    endFrame()
    context = E1000OffloadContext()
  }

  /// Makes what was gathered the outgoing frame.
  mutating func takeData() { swap(&frame, &data) }

  /// Puts the header and a part of the payload into the outgoing frame.
  mutating func copySegment(header: Int, from start: Int, count: Int) {
    Self.copy(data, 0..<header, to: 0, in: &frame)
    Self.copy(data, start..<(start + count), to: header, in: &frame)
  }

  private static func copy(_ source: [UInt8], _ range: Range<Int>, to start: Int, in target: inout [UInt8]) {
    let bytes = source.span
    var span = target.mutableSpan
    for index in 0..<range.count { span[start + index] = bytes[range.lowerBound + index] }
  }

  mutating func endFrame() {
    count = 0
    options = nil
    isSpoiled = false
  }
}

extension E1000Model {
  private var isTransmitEnabled: Bool { self[E1000Register.transmitControl] >> 1 & 1 == 1 }

  /// Sends what software has posted. At most one pass over the ring.
  mutating func transmit<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    on bus: inout Bus, wire: inout End, frames: Int
  ) -> Int {
    guard isTransmitEnabled, let ring = ring(at: E1000Register.transmitBaseLow), ring.available > 0 else { return 0 }
    var sent = 0
    var used = 0
    var wroteBack = false
    var head = ring.head
    // `available` was taken once and is less than the ring, so this ends.
    while used < ring.available, sent < frames {
      if transmission.options == nil, !wire.hasRoom(forFrameOf: maximumFrameLength) { break }
      let address = ring.address(head)
      guard let (first, second) = readDescriptor(address, on: &bus) else { break }
      let descriptor = E1000TransmitDescriptor(first: first, second: second)
      if process(descriptor, on: &bus, wire: &wire) { sent += 1 }
      if descriptor.reportsStatus {
        if bus.publish(descriptor.done, at: BusAddress(address.rawValue &+ 8), requester: requester) {
          wroteBack = true
        } else {
          faults.descriptorWrites &+= 1
        }
      }
      used += 1
      head = head + 1 == ring.count ? 0 : head + 1
      self[E1000Register.transmitHead] = UInt32(head)
    }
    guard used > 0 else { return sent }
    if wroteBack { cause.insert(.transmitDescriptorWrittenBack) }
    if used == ring.available { cause.insert(.transmitQueueEmpty) }
    // TXDCTL.LWTHRESH, in units of eight descriptors.
    let low = Int(self[E1000Register.transmitDescriptorControl] >> 25) * 8
    if ring.available > low, ring.available - used <= low, low > 0 { cause.insert(.transmitDescriptorLow) }
    return sent
  }

  /// Takes one descriptor; true when it ended a frame.
  private mutating func process<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    _ descriptor: E1000TransmitDescriptor, on bus: inout Bus, wire: inout End
  ) -> Bool {
    switch descriptor.kind {
    case .context:
      transmission.context = E1000OffloadContext(descriptor)
      return false
    case .unknown:
      faults.unsendableFrames &+= 1
      return false
    case .legacy, .data:
      break
    }
    if transmission.options == nil { transmission.options = descriptor }
    gather(descriptor, on: &bus)
    guard descriptor.isEndOfPacket else { return false }
    let options = transmission.options ?? descriptor
    if transmission.isSpoiled {
      faults.unsendableFrames &+= 1
    } else if options.segments {
      sendSegments(options, last: descriptor, wire: &wire)
    } else {
      sendFrame(options, last: descriptor, wire: &wire)
    }
    transmission.endFrame()
    return true
  }

  /// Reads a descriptor's buffer behind what the frame has so far.
  private mutating func gather<Bus: DMABus & ~Copyable>(
    _ descriptor: E1000TransmitDescriptor, on bus: inout Bus
  ) {
    let length = descriptor.length
    guard length > 0, !transmission.isSpoiled else { return }
    let limit = transmission.options?.segments == true ? transmission.data.count : maximumFrameLength
    guard length <= limit - transmission.count else {
      transmission.isSpoiled = true
      return
    }
    let range = transmission.count..<(transmission.count + length)
    let requester = requester
    var data = transmission.data.mutableSpan
    let isRead = bus.readMemory(BusAddress(descriptor.address), into: &data, range: range, requester: requester)
    if isRead {
      transmission.count += length
    } else {
      faults.buffers &+= 1
      transmission.isSpoiled = true
    }
  }

  /// Sends a frame that is not segmented. The VLAN options are in its last descriptor.
  private mutating func sendFrame<End: WireEnd & ~Copyable>(
    _ options: E1000TransmitDescriptor, last: E1000TransmitDescriptor, wire: inout End
  ) {
    var length = transmission.count
    // Without IFCS software has put a frame check sequence at the end; the wire carries none.
    if !last.insertsFrameCheckSequence { length = max(0, length - 4) }
    guard length > 0 else {
      faults.unsendableFrames &+= 1
      return
    }
    transmission.takeData()
    if last.insertsChecksum {
      insertChecksum(from: last.checksumStart, to: length, at: last.checksumOffset, length: length, zeroIsOnes: false)
    }
    if options.insertsIPChecksum || options.insertsTCPChecksum { insertChecksums(options, length: length) }
    send(length, last: last, wire: &wire)
  }

  /// The checksums that a data descriptor asks for, with the offsets of the last context descriptor.
  private mutating func insertChecksums(_ options: E1000TransmitDescriptor, length: Int) {
    let context = transmission.context
    if options.insertsIPChecksum {
      let end = context.ipEnd == 0 ? length : min(context.ipEnd + 1, length)
      insertChecksum(from: context.ipStart, to: end, at: context.ipOffset, length: length, zeroIsOnes: false)
    }
    if options.insertsTCPChecksum {
      let end = context.tcpEnd == 0 ? length : min(context.tcpEnd + 1, length)
      insertChecksum(
        from: context.tcpStart, to: end, at: context.tcpOffset, length: length, zeroIsOnes: !context.isTCP)
    }
  }

  /// Inserts the checksum of the bytes from `start` up to `end`. Nothing happens when the offsets lie outside the frame
  /// (SDM §3.3.3.2).
  private mutating func insertChecksum(from start: Int, to end: Int, at offset: Int, length: Int, zeroIsOnes: Bool) {
    guard start < end, end <= length, offset + 2 <= length else { return }
    var checksum = InternetChecksum()
    checksum.add(transmission.frame.span, from: start, to: end)
    var value = ~checksum.folded
    if value == 0, zeroIsOnes { value = 0xFFFF }
    store(value, at: offset)
  }

  private mutating func store(_ value: UInt16, at offset: Int) {
    transmission.frame[offset] = UInt8(truncatingIfNeeded: value >> 8)
    transmission.frame[offset + 1] = UInt8(truncatingIfNeeded: value)
  }

  private func load(_ offset: Int) -> UInt16 {
    UInt16(transmission.frame[offset]) << 8 | UInt16(transmission.frame[offset + 1])
  }

  /// TCP segmentation offload (SDM §3.5): the header is repeated before each part of the payload, and its lengths,
  /// identification, sequence number, flags and checksums follow.
  private mutating func sendSegments<End: WireEnd & ~Copyable>(
    _ options: E1000TransmitDescriptor, last: E1000TransmitDescriptor, wire: inout End
  ) {
    let context = transmission.context
    let header = context.headerLength
    let payload = min(context.payloadLength, transmission.count - header)
    let transportHeader = context.isTCP ? 20 : 8
    let largest = header + context.segmentSize
    guard payload > 0, context.segmentSize > 0, largest + 8 <= maximumFrameLength,
      context.ipStart + (context.isIPv4 ? 20 : 40) <= context.tcpStart,
      context.tcpStart + transportHeader <= header,
      !options.insertsTCPChecksum || context.tcpOffset >= context.tcpStart && context.tcpOffset + 2 <= header,
      !options.insertsIPChecksum || context.ipOffset >= context.ipStart && context.ipOffset + 2 <= context.tcpStart
    else {
      faults.unsendableFrames &+= 1
      return
    }
    statistics.count(.segmentationContexts)
    var done = 0
    var number: UInt16 = 0
    while done < payload {
      let part = min(context.segmentSize, payload - done)
      let length = header + part
      transmission.copySegment(header: header, from: header + done, count: part)
      fillHeader(context, length: length, done: done, number: number, isLast: done + part == payload)
      if options.insertsTCPChecksum {
        // Software leaves the pseudo-header's sum, without its length, in the checksum field.
        let field = UInt32(load(context.tcpOffset)) + UInt32(length - context.tcpStart)
        store(UInt16(truncatingIfNeeded: field & 0xFFFF + field >> 16), at: context.tcpOffset)
      }
      insertChecksums(options, length: length)
      send(length, last: last, wire: &wire)
      done += part
      number &+= 1
    }
  }

  private mutating func fillHeader(
    _ context: E1000OffloadContext, length: Int, done: Int, number: UInt16, isLast: Bool
  ) {
    if context.isIPv4 {
      store(UInt16(truncatingIfNeeded: length - context.ipStart), at: context.ipStart + 2)
      store(load(context.ipStart + 4) &+ number, at: context.ipStart + 4)
    } else {
      store(UInt16(truncatingIfNeeded: length - context.ipStart - 40), at: context.ipStart + 4)
    }
    if context.isTCP {
      let sequence = UInt32(load(context.tcpStart + 4)) << 16 | UInt32(load(context.tcpStart + 6))
      let next = sequence &+ UInt32(truncatingIfNeeded: done)
      store(UInt16(truncatingIfNeeded: next >> 16), at: context.tcpStart + 4)
      store(UInt16(truncatingIfNeeded: next), at: context.tcpStart + 6)
      // FIN and PSH only in the last segment.
      if !isLast { transmission.frame[context.tcpStart + 13] &= ~0x09 }
    } else {
      store(UInt16(truncatingIfNeeded: length - context.tcpStart), at: context.tcpStart + 4)
    }
  }

  /// Puts a VLAN tag in when asked to, pads when TCTL.PSP says so, and hands the frame to the wire.
  private mutating func send<End: WireEnd & ~Copyable>(
    _ count: Int, last: E1000TransmitDescriptor, wire: inout End
  ) {
    var length = count
    if last.insertsVLANTag, control >> 30 & 1 == 1, length >= 12, length + 4 <= transmission.frame.count {
      for index in (12..<length).reversed() { transmission.frame[index + 4] = transmission.frame[index] }
      store(UInt16(truncatingIfNeeded: self[E1000Register.vlanEtherType]), at: 12)
      store(last.vlanTag, at: 14)
      length += 4
    }
    if self[E1000Register.transmitControl] >> 3 & 1 == 1, length < 60 {
      for index in length..<60 { transmission.frame[index] = 0 }
      length = 60
    }
    guard wire.transmit(transmission.frame.span.extracting(0..<length)) else {
      faults.wireOverruns &+= 1
      return
    }
    countSent(length)
  }

  private mutating func countSent(_ length: Int) {
    statistics.count(.totalTransmitted)
    statistics.count(.goodTransmitted)
    statistics.count(length + 4, in: .totalTransmitted)
    statistics.count(length + 4, in: .goodTransmitted)
    statistics.countSize(length + 4, from: .transmitted64)
    if E1000ReceiveFilter.isBroadcast(transmission.frame.span.extracting(0..<length)) {
      statistics.count(.broadcastTransmitted)
    } else if transmission.frame[0] & 1 == 1 {
      statistics.count(.multicastTransmitted)
    }
  }
}
