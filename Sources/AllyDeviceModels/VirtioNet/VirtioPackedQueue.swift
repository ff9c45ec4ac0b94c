import AllyHW

/// Packed virtqueues (virtio 1.2, §2.8): one ring of descriptors, which the device overwrites with those that are used.
extension VirtioQueueAccess {
  func takePacked<Bus: DMABus & ~Copyable>(
    _ queue: inout VirtioQueue, _ buffers: inout VirtioBuffers, _ bus: inout Bus
  ) -> VirtioTake {
    var place = Int(queue.nextAvailable)
    // The flags of the first descriptor stand for all of the chain.
    guard let flags = read(queue.descriptors &+ 16 &* UInt64(place) &+ 14, &bus) else { return .broken }
    let isAvailable = flags & Flag.available != 0
    guard isAvailable == queue.availableWrap, (flags & Flag.used != 0) != queue.availableWrap else { return .empty }
    let start = buffers.segments.count
    var buffer = VirtioBuffer(
      id: 0, slots: 0, readable: start..<start, writable: start..<start, readableLength: 0, writableLength: 0)
    while true {
      guard buffer.slots < queue.size,
        let descriptor = readDescriptor(queue.descriptors &+ 16 &* UInt64(place), &bus)
      else { return .broken }
      buffer.slots += 1
      place = place + 1 == queue.size ? 0 : place + 1
      let flags = descriptor.packedFlags
      if flags & Flag.indirect != 0 {
        guard features.contains(.indirectDescriptors), buffer.slots == 1, flags & Flag.next == 0,
          appendTable(descriptor, to: &buffer, &buffers, &bus)
        else { return .broken }
      } else if !append(descriptor, flags: flags, to: &buffer, &buffers.segments) {
        return .broken
      }
      if flags & Flag.next == 0 {
        // The id is in the last descriptor of the chain.
        buffer.id = descriptor.id
        break
      }
    }
    buffers.list.append(buffer)
    if Int(queue.nextAvailable) + buffer.slots >= queue.size { queue.availableWrap.toggle() }
    queue.nextAvailable = UInt16(place)
    return .taken
  }

  /// The descriptors of an indirect table follow one another, and only their write flag counts (§2.8.7).
  private func appendTable<Bus: DMABus & ~Copyable>(
    _ table: VirtioDescriptor, to buffer: inout VirtioBuffer, _ buffers: inout VirtioBuffers, _ bus: inout Bus
  ) -> Bool {
    let entries = table.length / 16
    guard table.length % 16 == 0, entries > 0, entries <= Self.maximumSegments else { return false }
    for index in 0..<UInt64(entries) {
      guard let descriptor = readDescriptor(table.address &+ 16 &* index, &bus),
        append(descriptor, flags: descriptor.packedFlags, to: &buffer, &buffers.segments)
      else { return false }
    }
    return true
  }

  func usePacked<Bus: DMABus & ~Copyable>(
    _ buffers: Span<VirtioBuffer>, _ lengths: Span<Int>, _ queue: inout VirtioQueue, _ bus: inout Bus
  ) -> Bool {
    var first: (address: BusAddress, value: UInt64)?
    for index in buffers.indices {
      var flags: UInt16 = queue.usedWrap ? Flag.available | Flag.used : 0
      if lengths[index] > 0 { flags |= Flag.write }
      let value = UInt64(UInt32(lengths[index])) | UInt64(buffers[index].id) << 32 | UInt64(flags) << 48
      let address = BusAddress(queue.descriptors &+ 16 &* UInt64(queue.nextUsed) &+ 8)
      if index == 0 {
        first = (address, value)
      } else if !bus.publish(value, at: address, requester: requester) {
        return false
      }
      let next = Int(queue.nextUsed) + buffers[index].slots
      if next >= queue.size { queue.usedWrap.toggle() }
      queue.nextUsed = UInt16(next >= queue.size ? next - queue.size : next)
    }
    guard let first else { return true }
    return bus.publish(first.value, at: first.address, requester: requester)
  }

  func wantsPacked<Bus: DMABus & ~Copyable>(
    _ queue: VirtioQueue, _ before: UInt32, _ now: UInt32, _ bus: inout Bus
  ) -> Bool {
    guard let flags = read(queue.driverArea &+ 2, &bus) else { return true }
    switch flags & 3 {
    case 0: return true
    case 1: return false
    default: break
    }
    guard features.contains(.eventIndex), let event = read(queue.driverArea, &bus) else { return true }
    let place = UInt32(event & 0x7FFF)
    guard place < UInt32(queue.size) else { return true }
    return Self.isReached(
      place + (event >> 15 == 1 ? 0 : UInt32(queue.size)), from: before, to: now, modulus: 2 * UInt32(queue.size))
  }
}
