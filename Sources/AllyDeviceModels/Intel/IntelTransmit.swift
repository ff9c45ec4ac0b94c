import AllyHW

/// What a transmit pass did, for the interrupt logic.
struct IntelTransmitPass {
  var sent = 0
  /// Descriptors taken.
  var used = 0
  var wroteBack = false
  /// No posted descriptor is left.
  var isEmpty = false
  /// The posted descriptors came down to TXDCTL.LWTHRESH.
  var isLow = false

  var causes: IntelCause {
    var causes: IntelCause = []
    if wroteBack { causes.insert(.transmitDescriptorWrittenBack) }
    if isEmpty { causes.insert(.transmitQueueEmpty) }
    if isLow { causes.insert(.transmitDescriptorLow) }
    return causes
  }
}

extension IntelController {
  /// TCTL.EN.
  var isTransmitEnabled: Bool { self[IntelRegister.transmitControl] >> 1 & 1 == 1 }

  /// Sends what software has posted in a queue whose first register is at `offset`. At most one pass over the ring.
  mutating func transmit<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    queue: Int, ring offset: UInt32, on bus: inout Bus, wire: inout End, frames: Int
  ) -> IntelTransmitPass {
    var pass = IntelTransmitPass()
    guard let ring = ring(at: offset), ring.available > 0 else { return pass }
    var head = ring.head
    // `available` was taken once and is less than the ring, so this ends.
    while pass.used < ring.available, pass.sent < frames {
      if transmissions[queue].options == nil, !wire.hasRoom(forFrameOf: maximumFrameLength) { break }
      let address = ring.address(head)
      guard let (first, second) = readDescriptor(address, on: &bus) else { break }
      let descriptor = IntelTransmitDescriptor(first: first, second: second, format: transmitFormat)
      let mismatches = faults.checksumMismatches
      if process(descriptor, at: address, queue: queue, on: &bus, wire: &wire) { pass.sent += 1 }
      let isRefused = faults.checksumMismatches != mismatches
      // Context descriptors are written back by the older controllers alone (82576 datasheet §7.2.2.2).
      if descriptor.reportsStatus || isRefused, transmitFormat == .extended || descriptor.kind != .context {
        if bus.publish(descriptor.done, at: BusAddress(address.rawValue &+ 8), requester: requester) {
          pass.wroteBack = true
        } else {
          faults.descriptorWrites &+= 1
        }
      }
      pass.used += 1
      head = head + 1 == ring.count ? 0 : head + 1
      self[offset + 0x10] = UInt32(head)
    }
    guard pass.used > 0 else { return pass }
    pass.isEmpty = pass.used == ring.available
    // TXDCTL.LWTHRESH, in units of eight descriptors.
    let low = transmitFormat == .extended ? Int(self[offset + 0x28] >> 25) * 8 : 0
    pass.isLow = ring.available > low && ring.available - pass.used <= low && low > 0
    return pass
  }

  /// Takes one descriptor; true when it ended a frame.
  private mutating func process<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    _ descriptor: IntelTransmitDescriptor, at address: BusAddress, queue: Int, on bus: inout Bus, wire: inout End
  ) -> Bool {
    switch descriptor.kind {
    case .context:
      transmissions[queue].contexts[descriptor.contextIndex] = IntelOffloadContext(descriptor)
      return false
    case .unknown:
      faults.unsendableFrames &+= 1
      return false
    case .legacy, .data:
      break
    }
    if transmissions[queue].options == nil { transmissions[queue].options = descriptor }
    gather(descriptor, queue: queue, on: &bus)
    guard descriptor.isEndOfPacket else { return false }
    let options = transmissions[queue].options ?? descriptor
    if transmissions[queue].isSpoiled {
      faults.unsendableFrames &+= 1
    } else if !verifyChecksum(queue: queue, descriptor: address, on: &bus) {
      // Somebody has changed it.
    } else if options.segments {
      sendSegments(options, last: descriptor, queue: queue, wire: &wire)
    } else {
      sendFrame(options, last: descriptor, queue: queue, wire: &wire)
    }
    transmissions[queue].endFrame()
    return true
  }

  /// Reads a descriptor's buffer behind what the frame has so far.
  private mutating func gather<Bus: DMABus & ~Copyable>(
    _ descriptor: IntelTransmitDescriptor, queue: Int, on bus: inout Bus
  ) {
    let length = descriptor.length
    guard length > 0, !transmissions[queue].isSpoiled else { return }
    let count = transmissions[queue].count
    let segments = transmissions[queue].options?.segments == true
    let limit = segments ? max(maximumFrameLength, IntelTransmission.maximumData) : maximumFrameLength
    guard length <= limit - count else {
      transmissions[queue].isSpoiled = true
      return
    }
    let missing = count + length - transmissions[queue].data.count
    // Twice as much, so that a long frame of many pieces does not grow it at each.
    if missing > 0 {
      transmissions[queue].data.append(contentsOf: repeatElement(0, count: max(missing, min(count, limit - count))))
    }
    let requester = requester
    var data = transmissions[queue].data.mutableSpan
    let isRead = bus.readMemory(
      BusAddress(descriptor.address), into: &data, range: count..<(count + length), requester: requester)
    if isRead {
      transmissions[queue].count += length
    } else {
      faults.buffers &+= 1
      transmissions[queue].isSpoiled = true
    }
  }

  /// Sends a frame that is not segmented. The VLAN options are in its last descriptor.
  private mutating func sendFrame<End: WireEnd & ~Copyable>(
    _ options: IntelTransmitDescriptor, last: IntelTransmitDescriptor, queue: Int, wire: inout End
  ) {
    var length = transmissions[queue].count
    // Without IFCS software has put a frame check sequence at the end; the wire carries none.
    if !last.insertsFrameCheckSequence { length = max(0, length - 4) }
    guard length > 0 else {
      faults.unsendableFrames &+= 1
      return
    }
    swap(&outgoing, &transmissions[queue].data)
    if last.insertsChecksum {
      insertChecksum(from: last.checksumStart, to: length, at: last.checksumOffset, length: length, zeroIsOnes: false)
    }
    insertChecksums(options, transmissions[queue].contexts[options.contextIndex], length: length)
    send(length, options: options, last: last, queue: queue, wire: &wire)
  }

  /// Puts a VLAN tag in when asked to, pads when TCTL.PSP says so, and hands the frame to the wire.
  mutating func send<End: WireEnd & ~Copyable>(
    _ count: Int, options: IntelTransmitDescriptor, last: IntelTransmitDescriptor, queue: Int, wire: inout End
  ) {
    var length = count
    // Room for the tag and the padding.
    let needed = max(length + 4, 60)
    if outgoing.count < needed { outgoing.append(contentsOf: repeatElement(0, count: needed - outgoing.count)) }
    // Of a frame to be segmented the first descriptor counts, of any other the last (SDM §3.3.7.1).
    let tagging = options.segments ? options : last
    let isTagged = options.takesTagFromContext ? options.insertsVLANTag : tagging.insertsVLANTag && isVLANEnabled
    if isTagged, length >= 12 {
      let tag =
        options.takesTagFromContext ? transmissions[queue].contexts[options.contextIndex].vlanTag : tagging.vlanTag
      for index in (12..<length).reversed() { outgoing[index + 4] = outgoing[index] }
      store(UInt16(truncatingIfNeeded: self[IntelRegister.vlanEtherType]), at: 12)
      store(tag, at: 14)
      length += 4
    }
    if self[IntelRegister.transmitControl] >> 3 & 1 == 1, length < 60 {
      for index in length..<60 { outgoing[index] = 0 }
      length = 60
    }
    guard wire.transmit(outgoing.span.extracting(0..<length)) else {
      faults.wireOverruns &+= 1
      return
    }
    countSent(length)
  }

  private mutating func countSent(_ length: Int) {
    onWire.frames &+= 1
    onWire.octets &+= UInt32(length + 4)
    statistics.count(.totalTransmitted)
    statistics.count(.goodTransmitted)
    statistics.count(length + 4, in: .totalTransmitted)
    statistics.count(length + 4, in: .goodTransmitted)
    statistics.countSize(length + 4, from: .transmitted64)
    if IntelReceiveFilter.isBroadcast(outgoing.span.extracting(0..<length)) {
      statistics.count(.broadcastTransmitted)
    } else if outgoing[0] & 1 == 1 {
      statistics.count(.multicastTransmitted)
    }
  }
}
