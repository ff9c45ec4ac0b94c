import AllyHW

/// A virtqueue as the driver has programmed it, and how far the device is (virtio 1.2, §2.6).
struct VirtioQueue {
  /// Elements; a power of two in a split queue.
  var size: Int
  var maximumSize: Int
  var isEnabled = false
  /// The MSI-X vector; 0xFFFF for none.
  var vector: UInt16 = 0xFFFF
  /// Descriptor table or ring, driver area and device area.
  var descriptors: UInt64 = 0
  var driverArea: UInt64 = 0
  var deviceArea: UInt64 = 0

  /// Split: the number of the buffer taken next, which runs on. Packed: its place.
  var nextAvailable: UInt16 = 0
  /// Split: the number of the buffer used next. Packed: its place.
  var nextUsed: UInt16 = 0
  // The laps of a packed ring (virtio 1.2, §2.8.1).
  var availableWrap = true
  var usedWrap = true
  /// ``position`` when the driver was last asked whether it wants to be notified.
  var lastPosition: UInt32 = 0
  /// Whether buffers were used since.
  var hasUsed = false
  /// Whether the driver did something that makes the queue unusable until it is reset.
  var isBroken = false
  /// Whether the driver has written the queue's notification address since the device last looked.
  var isNotified = false

  init(maximumSize: Int) {
    self.maximumSize = maximumSize
    size = maximumSize
  }

  /// The place of the next used buffer, counted over two laps of a packed ring, or over all 16 bits of a split one.
  func position(isPacked: Bool) -> UInt32 {
    isPacked ? UInt32(nextUsed) + (usedWrap ? 0 : UInt32(size)) : UInt32(nextUsed)
  }
}

/// A piece of a buffer.
struct VirtioSegment {
  var address: UInt64
  var length: Int
}

/// A buffer that the driver has made available.
struct VirtioBuffer {
  /// What the driver calls it.
  var id: UInt16
  /// Elements of a packed ring that it takes.
  var slots: Int
  /// Its segments among those of ``VirtioBuffers``: those that the device reads come first.
  var readable: Range<Int>
  var writable: Range<Int>
  var readableLength: Int
  var writableLength: Int
}

/// The buffers that a device has taken and not yet used, with room that is kept from frame to frame.
struct VirtioBuffers {
  var segments: [VirtioSegment] = []
  var list: [VirtioBuffer] = []

  mutating func removeAll() {
    segments.removeAll(keepingCapacity: true)
    list.removeAll(keepingCapacity: true)
  }
}

/// Why a queue gave no buffer.
enum VirtioTake {
  case taken
  case empty
  /// The bus refused, or the driver broke the rules; the queue is broken.
  case broken
}

/// How the device reads and writes a queue: the one place for what both layouts share.
struct VirtioQueueAccess {
  var requester: RequesterID
  var features: VirtioNetFeatures

  var isPacked: Bool { features.contains(.packedRing) }
  /// The most segments of one buffer.
  static let maximumSegments = 1024

  enum Flag {
    static let next: UInt16 = 1
    static let write: UInt16 = 2
    static let indirect: UInt16 = 4
    static let available: UInt16 = 1 << 7
    static let used: UInt16 = 1 << 15
  }

  /// Takes the next buffer.
  func take<Bus: DMABus & ~Copyable>(
    _ queue: inout VirtioQueue, into buffers: inout VirtioBuffers, on bus: inout Bus
  ) -> VirtioTake {
    guard queue.isEnabled, !queue.isBroken else { return .empty }
    let answer = isPacked ? takePacked(&queue, &buffers, &bus) : takeSplit(&queue, &buffers, &bus)
    if answer == .broken { queue.isBroken = true }
    return answer
  }

  /// Hands buffers back, in order, each with the bytes written into it; the driver sees the first one last.
  ///
  /// - Returns: false when the bus refused.
  func use<Bus: DMABus & ~Copyable>(
    _ buffers: Span<VirtioBuffer>, lengths: Span<Int>, in queue: inout VirtioQueue, on bus: inout Bus
  ) -> Bool {
    guard !buffers.isEmpty else { return true }
    queue.hasUsed = true
    return isPacked ? usePacked(buffers, lengths, &queue, &bus) : useSplit(buffers, lengths, &queue, &bus)
  }

  /// Asks for a notification of the next buffer, and says whether the driver wants one about those that were used.
  func finish<Bus: DMABus & ~Copyable>(_ queue: inout VirtioQueue, on bus: inout Bus) -> Bool {
    guard queue.isEnabled, !queue.isBroken else { return false }
    askForNotification(&queue, &bus)
    guard queue.hasUsed else { return false }
    queue.hasUsed = false
    let now = queue.position(isPacked: isPacked)
    let before = queue.lastPosition
    queue.lastPosition = now
    return isPacked ? wantsPacked(queue, before, now, &bus) : wantsSplit(queue, before, now, &bus)
  }

  private func askForNotification<Bus: DMABus & ~Copyable>(_ queue: inout VirtioQueue, _ bus: inout Bus) {
    guard features.contains(.eventIndex) else { return }
    if isPacked {
      let place = queue.nextAvailable | (queue.availableWrap ? 1 << 15 : 0)
      // The place before the flags: 2 is "at that place" (virtio 1.2, §2.8.10).
      _ = bus.publish(place, at: BusAddress(queue.deviceArea), requester: requester)
      _ = bus.publish(UInt16(2), at: BusAddress(queue.deviceArea &+ 2), requester: requester)
    } else {
      let event = queue.deviceArea &+ 4 &+ 8 &* UInt64(queue.size)
      _ = bus.publish(queue.nextAvailable, at: BusAddress(event), requester: requester)
    }
  }

  /// Whether `event` lies in what was used between two positions, of `modulus` (virtio 1.2, §2.7.10).
  static func isReached(_ event: UInt32, from before: UInt32, to now: UInt32, modulus: UInt32) -> Bool {
    let sinceEvent = (now &+ modulus &- event &- 1) % modulus
    return sinceEvent < (now &+ modulus &- before) % modulus
  }

  func read<Bus: DMABus & ~Copyable>(_ address: UInt64, _ bus: inout Bus) -> UInt16? {
    bus.acquire(at: BusAddress(address), requester: requester)
  }

  /// A descriptor's two halves: the address, and length, and the two 16-bit fields behind it.
  func readDescriptor<Bus: DMABus & ~Copyable>(_ address: UInt64, _ bus: inout Bus) -> VirtioDescriptor? {
    var bytes = InlineArray<16, UInt8>(repeating: 0)
    var span = bytes.mutableSpan
    guard bus.readMemory(BusAddress(address), into: &span, range: 0..<16, requester: requester) else { return nil }
    var words: (UInt64, UInt64) = (0, 0)
    for index in 0..<8 {
      words.0 |= UInt64(bytes[index]) << UInt64(8 * index)
      words.1 |= UInt64(bytes[8 + index]) << UInt64(8 * index)
    }
    return VirtioDescriptor(address: words.0, second: words.1)
  }

  /// Appends a descriptor's segment to the buffer that is being put together; false when the rules are broken.
  func append(
    _ descriptor: VirtioDescriptor, flags: UInt16, to buffer: inout VirtioBuffer, _ segments: inout [VirtioSegment]
  )
    -> Bool
  {
    guard buffer.readable.count + buffer.writable.count < Self.maximumSegments else { return false }
    segments.append(VirtioSegment(address: descriptor.address, length: descriptor.length))
    if flags & Flag.write != 0 {
      buffer.writable = buffer.writable.lowerBound..<segments.count
      buffer.writableLength += descriptor.length
    } else {
      // What the device reads comes before what it writes (virtio 1.2, §2.6.4.2).
      guard buffer.writable.isEmpty else { return false }
      buffer.readable = buffer.readable.lowerBound..<segments.count
      buffer.writable = segments.count..<segments.count
      buffer.readableLength += descriptor.length
    }
    return true
  }
}

/// A descriptor of either layout: behind the address, a length and two fields of 16 bits.
struct VirtioDescriptor {
  var address: UInt64
  var second: UInt64
  var length: Int { Int(second & 0xFFFF_FFFF) }
  // Split.
  var flags: UInt16 { UInt16(truncatingIfNeeded: second >> 32) }
  var next: UInt16 { UInt16(truncatingIfNeeded: second >> 48) }
  // Packed.
  var id: UInt16 { UInt16(truncatingIfNeeded: second >> 32) }
  var packedFlags: UInt16 { UInt16(truncatingIfNeeded: second >> 48) }
}
