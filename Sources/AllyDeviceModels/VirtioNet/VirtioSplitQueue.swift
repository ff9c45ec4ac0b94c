import AllyHW

/// Split virtqueues (virtio 1.2, §2.7): a descriptor table, and two rings of buffers made available and used.
extension VirtioQueueAccess {
  func takeSplit<Bus: DMABus & ~Copyable>(
    _ queue: inout VirtioQueue, _ buffers: inout VirtioBuffers, _ bus: inout Bus
  ) -> VirtioTake {
    guard let index = read(queue.driverArea &+ 2, &bus) else { return .broken }
    guard index != queue.nextAvailable else { return .empty }
    guard Int(index &- queue.nextAvailable) <= queue.size else { return .broken }
    let place = UInt64(Int(queue.nextAvailable) % queue.size)
    guard let head = read(queue.driverArea &+ 4 &+ 2 &* place, &bus), Int(head) < queue.size else { return .broken }
    let start = buffers.segments.count
    var buffer = VirtioBuffer(
      id: head, slots: 1, readable: start..<start, writable: start..<start, readableLength: 0, writableLength: 0)
    guard walk(queue.descriptors, from: Int(head), count: queue.size, isTable: false, &buffer, &buffers, &bus) else {
      return .broken
    }
    buffers.list.append(buffer)
    queue.nextAvailable &+= 1
    return .taken
  }

  /// Follows a chain in a table of `count` descriptors, which may lead into one indirect table.
  private func walk<Bus: DMABus & ~Copyable>(
    _ table: UInt64, from first: Int, count: Int, isTable: Bool, _ buffer: inout VirtioBuffer,
    _ buffers: inout VirtioBuffers, _ bus: inout Bus
  ) -> Bool {
    var index = first
    // A chain has no more descriptors than its table.
    for _ in 0..<count {
      guard let descriptor = readDescriptor(table &+ 16 &* UInt64(index), &bus) else { return false }
      if descriptor.flags & Flag.indirect != 0 {
        let entries = descriptor.length / 16
        // §2.7.5.3.1: no indirect descriptor within an indirect table, and none that has a next one.
        guard !isTable, features.contains(.indirectDescriptors), descriptor.flags & Flag.next == 0,
          descriptor.length % 16 == 0, entries > 0, entries <= Self.maximumSegments
        else { return false }
        return walk(descriptor.address, from: 0, count: entries, isTable: true, &buffer, &buffers, &bus)
      }
      guard append(descriptor, flags: descriptor.flags, to: &buffer, &buffers.segments) else { return false }
      guard descriptor.flags & Flag.next != 0 else { return true }
      index = Int(descriptor.next)
      guard index < count else { return false }
    }
    return false
  }

  func useSplit<Bus: DMABus & ~Copyable>(
    _ buffers: Span<VirtioBuffer>, _ lengths: Span<Int>, _ queue: inout VirtioQueue, _ bus: inout Bus
  ) -> Bool {
    for index in buffers.indices {
      let place = UInt64(Int(queue.nextUsed) % queue.size)
      let element = UInt64(buffers[index].id) | UInt64(UInt32(lengths[index])) << 32
      var bytes = InlineArray<8, UInt8>(repeating: 0)
      for byte in 0..<8 { bytes[byte] = UInt8(truncatingIfNeeded: element >> UInt64(8 * byte)) }
      let address = BusAddress(queue.deviceArea &+ 4 &+ 8 &* place)
      guard bus.writeMemory(address, bytes.span, requester: requester) else { return false }
      queue.nextUsed &+= 1
    }
    return bus.publish(queue.nextUsed, at: BusAddress(queue.deviceArea &+ 2), requester: requester)
  }

  func wantsSplit<Bus: DMABus & ~Copyable>(
    _ queue: VirtioQueue, _ before: UInt32, _ now: UInt32, _ bus: inout Bus
  ) -> Bool {
    if features.contains(.eventIndex) {
      guard let event = read(queue.driverArea &+ 4 &+ 2 &* UInt64(queue.size), &bus) else { return true }
      return Self.isReached(UInt32(event), from: before, to: now, modulus: 1 << 16)
    }
    guard let flags = read(queue.driverArea, &bus) else { return true }
    return flags & 1 == 0
  }
}
