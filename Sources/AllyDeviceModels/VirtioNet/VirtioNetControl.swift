import AllyHW

/// The control queue (virtio 1.2, §5.1.6.5): commands, each of a class, a command, its data, and an acknowledgement.
extension VirtioNetModel {
  private enum Answer {
    static let ok: UInt8 = 0
    static let error: UInt8 = 1
  }

  /// The most bytes of a command.
  private static var maximumCommand: Int { 4096 }

  mutating func runControlQueue<Bus: DMABus & ~Copyable>(on bus: inout Bus) {
    let index = controlQueue
    // At most one turn around the queue.
    for _ in 0..<queues[index].size {
      buffers.removeAll()
      switch access.take(&queues[index], into: &buffers, on: &bus) {
      case .empty: return finishQueue(index, on: &bus)
      case .broken: return breakQueue()
      case .taken: break
      }
      let buffer = buffers.list[0]
      var written = 0
      let isRead = gather(buffer, limit: Self.maximumCommand, on: &bus)
      if buffer.writableLength > 0 {
        let answer = isRead && execute(length: buffer.readableLength) ? Answer.ok : Answer.error
        if answer == Answer.error { faults.refusedCommands &+= 1 }
        var bytes: InlineArray<1, UInt8> = [answer]
        bytes[0] = answer
        // The acknowledgement is the first byte that can be written.
        for place in buffer.writable where buffers.segments[place].length > 0 {
          let address = BusAddress(buffers.segments[place].address)
          if bus.writeMemory(address, bytes.span, requester: requester) { written = 1 } else { faults.buffers &+= 1 }
          break
        }
      }
      guard useBuffers(lengths: [written], in: index, on: &bus) else { return breakQueue() }
    }
    finishQueue(index, on: &bus)
  }

  /// Carries a command out, which lies in ``data``.
  private mutating func execute(length: Int) -> Bool {
    guard length >= 2 else { return false }
    let argument = length - 2
    switch (data[0], data[1]) {
    case (0, let command) where accepted.contains(.controlReceive) && argument == 1:
      return setMode(command, data[2] != 0)
    case (1, 0) where accepted.contains(.controlReceive): return setTables(length)
    case (1, 1) where accepted.contains(.controlMACAddress) && argument == 6:
      for index in 0..<6 { filter.stationAddress[index] = data[2 + index] }
      return true
    case (2, let command) where accepted.contains(.controlVLAN) && command < 2 && argument == 2:
      let identifier = (Int(data[2]) | Int(data[3]) << 8)
      guard identifier < 4096 else { return false }
      if command == 0 {
        filter.vlans[identifier / 64] |= 1 << UInt64(identifier % 64)
      } else {
        filter.vlans[identifier / 64] &= ~(1 << UInt64(identifier % 64))
      }
      return true
    case (4, 0) where accepted.contains(.multipleQueues) && argument == 2:
      let pairs = Int(data[2]) | Int(data[3]) << 8
      guard pairs >= 1, pairs <= queuePairs else { return false }
      activePairs = pairs
      return true
    default: return false
    }
  }

  private mutating func setMode(_ command: UInt8, _ isOn: Bool) -> Bool {
    switch command {
    case 0: filter.isPromiscuous = isOn
    case 1: filter.allMulticast = isOn
    case 2...5 where !accepted.contains(.controlReceiveExtra): return false
    case 2: filter.allUnicast = isOn
    case 3: filter.noMulticast = isOn
    case 4: filter.noUnicast = isOn
    case 5: filter.noBroadcast = isOn
    default: return false
    }
    return true
  }

  /// Two tables, each a count of 32 bits and so many addresses: unicast, then multicast.
  private mutating func setTables(_ length: Int) -> Bool {
    var unicast: [UInt64] = []
    var multicast: [UInt64] = []
    var overflows = (unicast: false, multicast: false)
    var place = 2
    for isMulticast in [false, true] {
      guard length - place >= 4 else { return false }
      let count = Int(data[place]) | Int(data[place + 1]) << 8 | Int(data[place + 2]) << 16 | Int(data[place + 3]) << 24
      place += 4
      guard count <= (length - place) / 6 else { return false }
      let fits = count <= VirtioNetFilter.tableLimit
      for index in 0..<(fits ? count : 0) {
        let address = VirtioNetFilter.address(data.span, at: place + 6 * index)
        if isMulticast { multicast.append(address) } else { unicast.append(address) }
      }
      if !fits { if isMulticast { overflows.multicast = true } else { overflows.unicast = true } }
      place += 6 * count
    }
    guard place == length else { return false }
    filter.unicast = unicast
    filter.multicast = multicast
    filter.overflows = overflows
    return true
  }

  // MARK: - Buffers

  /// Reads what a buffer holds for the device into ``data``; false when it is longer than `limit`, or refused.
  mutating func gather<Bus: DMABus & ~Copyable>(_ buffer: VirtioBuffer, limit: Int, on bus: inout Bus) -> Bool {
    guard buffer.readableLength <= min(limit, data.count) else { return false }
    var filled = 0
    let requester = requester
    for index in buffer.readable {
      let part = buffers.segments[index]
      guard part.length > 0 else { continue }
      var span = data.mutableSpan
      guard
        bus.readMemory(
          BusAddress(part.address), into: &span, range: filled..<(filled + part.length), requester: requester)
      else {
        faults.buffers &+= 1
        return false
      }
      filled += part.length
    }
    return true
  }

  /// Uses the buffers that were taken, with the bytes written into each.
  mutating func useBuffers<Bus: DMABus & ~Copyable>(lengths new: [Int], in queue: Int, on bus: inout Bus) -> Bool {
    lengths.removeAll(keepingCapacity: true)
    lengths.append(contentsOf: new)
    return useBuffers(in: queue, on: &bus)
  }

  /// Uses the buffers that were taken, with the bytes that ``lengths`` has for each.
  mutating func useBuffers<Bus: DMABus & ~Copyable>(in queue: Int, on bus: inout Bus) -> Bool {
    let list = buffers.list
    let used = lengths
    return access.use(list.span, lengths: used.span, in: &queues[queue], on: &bus)
  }
}
