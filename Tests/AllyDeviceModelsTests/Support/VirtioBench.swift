import AllyDeviceModels
import AllyHW

/// A virtio network device in a machine of 4 MiB, of which the last is DPI memory, and software that drives its queues by
/// hand.
@safe
final class VirtioBench {
  static let memoryLength = 4 << 20
  static let dpiBase: UInt64 = 3 << 20
  static let requester = RequesterID(bus: 0, device: 4, function: 0)
  static let macAddress: [UInt8] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56]
  static let buffers: UInt64 = 0x10_0000
  static let tables: UInt64 = 0x2F_0000

  /// A piece of a buffer.
  struct Segment {
    var address: UInt64
    var length: Int
    var isWritable = false
  }

  struct Used: Equatable {
    var id: UInt16
    var length: UInt32
  }

  /// What the driver keeps for a queue.
  private struct Queue {
    var size: UInt64 = 0
    var base: UInt64 = 0
    var next: UInt64 = 0
    var nextUsed: UInt64 = 0
    var wrap = true
    var usedWrap = true
    /// Of each id, the elements that it takes.
    var slots: [UInt16: UInt64] = [:]
    var nextID: UInt16 = 0

    var driverArea: UInt64 { base + 0x4000 }
    var deviceArea: UInt64 { base + 0x6000 }
  }

  private let storage: UnsafeMutableRawPointer
  var northbridge: Northbridge
  var nic: VirtioNetModel
  var wire: Wire<TestStamp>
  private var queues: [Int: Queue] = [:]
  private var ordinal: UInt64 = 0
  private(set) var features: VirtioNetFeatures = []

  init(
    queuePairs: Int = 1, queueSize: Int = 256, maximumFrameLength: Int = 1518,
    offered: VirtioNetFeatures = .all, isPaced: Bool = false
  ) {
    unsafe storage = .allocate(byteCount: Self.memoryLength, alignment: 4096)
    unsafe storage.initializeMemory(as: UInt8.self, repeating: 0, count: Self.memoryLength)
    var memory = PhysicalMemory()
    try! unsafe memory.map(
      base: PhysicalAddress(0), length: UInt64(Self.memoryLength), storage: storage, rights: .readWrite)
    let partition = Partition(
      boundary: PhysicalAddress(Self.dpiBase), end: PhysicalAddress(UInt64(Self.memoryLength)))
    let table = unsafe RemappingTable(at: PhysicalAddress(Self.dpiBase), in: memory)!
    northbridge = Northbridge(
      memory: memory, iommu: IOMMU(partition: partition),
      interrupts: InterruptUnit(cores: [LocalAPICID(0)]), remapping: table)
    nic = VirtioNetModel(
      requester: Self.requester, macAddress: Self.macAddress, queuePairs: queuePairs, queueSize: queueSize,
      maximumFrameLength: maximumFrameLength, offered: offered)
    wire = Wire(transmitStamp: TestStamp(ordinal: 0), isPaced: isPaced)
  }

  deinit { unsafe storage.deallocate() }

  // MARK: Registers and memory

  var assertsInterrupt: Bool { nic.assertsInterrupt }
  var accepted: VirtioNetFeatures { nic.accepted }
  var function: PCIFunction { nic.function }
  func takeInterrupts(by delivery: InterruptDelivery) -> NICInterrupts { nic.takeInterrupts(by: delivery) }

  func read(_ offset: UInt32, _ width: RegisterWidth) -> UInt64 { nic.readRegister(offset, width: width) }
  func write(_ offset: UInt32, _ value: UInt64, _ width: RegisterWidth) {
    nic.writeRegister(offset, value: value, width: width)
  }
  func load(_ address: UInt64) -> UInt64 {
    northbridge.memory.load(UInt64.self, at: PhysicalAddress(address)) ?? 0xDEAD
  }
  func load16(_ address: UInt64) -> UInt16 {
    northbridge.memory.load(UInt16.self, at: PhysicalAddress(address)) ?? 0xDEAD
  }
  func store(_ value: UInt64, at address: UInt64) { _ = northbridge.memory.store(value, at: PhysicalAddress(address)) }
  func store16(_ value: UInt16, at address: UInt64) {
    _ = northbridge.memory.store(value, at: PhysicalAddress(address))
  }
  func bytes(_ address: UInt64, _ count: Int) -> [UInt8] {
    (0..<UInt64(count)).map { northbridge.memory.load(UInt8.self, at: PhysicalAddress(address + $0)) ?? 0xEE }
  }
  func store(_ bytes: [UInt8], at address: UInt64) {
    for (index, byte) in bytes.enumerated() {
      _ = northbridge.memory.store(byte, at: PhysicalAddress(address + UInt64(index)))
    }
  }

  // MARK: Initialization (virtio 1.2, §3.1.1)

  /// Negotiates, sets `queues` up with `size` elements each, and says DRIVER_OK. Returns the status that the device shows.
  @discardableResult
  func start(_ features: VirtioNetFeatures, queues: [Int] = [0, 1], size: UInt64 = 16) -> UInt64 {
    self.features = features
    write(0x14, 0, .byte)
    write(0x14, 1, .byte)
    write(0x14, 3, .byte)
    for half: UInt64 in [0, 1] {
      write(0x08, half, .doubleWord)
      write(0x0C, features.rawValue >> (32 * half) & 0xFFFF_FFFF, .doubleWord)
    }
    write(0x14, 11, .byte)
    for queue in queues { startQueue(queue, size: size) }
    write(0x14, 15, .byte)
    return read(0x14, .byte)
  }

  func startQueue(_ index: Int, size: UInt64) {
    let queue = Queue(size: size, base: 0x1_0000 + UInt64(index) * 0x8000)
    queues[index] = queue
    for address in stride(from: queue.base, to: queue.base + 0x8000, by: 8) { store(0, at: address) }
    write(0x16, UInt64(index), .word)
    write(0x18, size, .word)
    write(0x1A, UInt64(index), .word)
    for (offset, address) in [(UInt32(0x20), queue.base), (0x28, queue.driverArea), (0x30, queue.deviceArea)] {
      write(offset, address & 0xFFFF_FFFF, .doubleWord)
      write(offset + 4, address >> 32, .doubleWord)
    }
    write(0x1C, 1, .word)
  }

  var isPacked: Bool { features.contains(.packedRing) }

  // MARK: Queues

  /// Makes a buffer available, through an indirect table when wanted. Returns its id.
  @discardableResult
  func post(_ index: Int, _ segments: [Segment], indirect: Bool = false) -> UInt16 {
    isPacked ? postPacked(index, segments, indirect) : postSplit(index, segments, indirect)
  }

  private func postSplit(_ index: Int, _ segments: [Segment], _ indirect: Bool) -> UInt16 {
    var queue = queues[index]!
    var parts = segments
    let head = queue.nextID
    if indirect {
      let table = Self.tables + UInt64(index) * 0x4000 + UInt64(head) * 0x100
      for (place, part) in segments.enumerated() {
        let isLast = place == segments.count - 1
        let flags: UInt64 = (isLast ? 0 : 1) | (part.isWritable ? 2 : 0)
        store(part.address, at: table + 16 * UInt64(place))
        store(UInt64(part.length) | flags << 32 | UInt64(place + 1) << 48, at: table + 16 * UInt64(place) + 8)
      }
      parts = [Segment(address: table, length: 16 * segments.count)]
    }
    for (place, part) in parts.enumerated() {
      let descriptor = (UInt64(head) + UInt64(place)) % queue.size
      let isLast = place == parts.count - 1
      let flags: UInt64 = (isLast ? 0 : 1) | (part.isWritable ? 2 : 0) | (indirect ? 4 : 0)
      store(part.address, at: queue.base + 16 * descriptor)
      store(
        UInt64(part.length) | flags << 32 | ((descriptor + 1) % queue.size) << 48, at: queue.base + 16 * descriptor + 8)
    }
    queue.nextID = UInt16((UInt64(head) + UInt64(parts.count)) % queue.size)
    store16(head, at: queue.driverArea + 4 + 2 * (queue.next % queue.size))
    queue.next += 1
    store16(UInt16(truncatingIfNeeded: queue.next), at: queue.driverArea + 2)
    queues[index] = queue
    return head
  }

  private func postPacked(_ index: Int, _ segments: [Segment], _ indirect: Bool) -> UInt16 {
    var queue = queues[index]!
    var parts = segments
    // Ids need not be places; these are not.
    let id = 0x100 + queue.nextID
    queue.nextID = (queue.nextID + 1) % UInt16(queue.size)
    if indirect {
      let table = Self.tables + UInt64(index) * 0x4000 + UInt64(id & 0xFF) * 0x100
      for (place, part) in segments.enumerated() {
        store(part.address, at: table + 16 * UInt64(place))
        store(UInt64(part.length) | (part.isWritable ? 2 : 0) << 48, at: table + 16 * UInt64(place) + 8)
      }
      parts = [Segment(address: table, length: 16 * segments.count)]
    }
    var words: [(UInt64, UInt64)] = []
    for (place, part) in parts.enumerated() {
      let isLast = place == parts.count - 1
      let owner: UInt64 = queue.wrap ? 1 << 7 : 1 << 15
      let flags = owner | (isLast ? 0 : 1) | (part.isWritable ? 2 : 0) | (indirect ? 4 : 0)
      let address = queue.base + 16 * queue.next
      store(part.address, at: address)
      words.append((address + 8, UInt64(part.length) | UInt64(id) << 32 | flags << 48))
      queue.next += 1
      if queue.next == queue.size {
        queue.next = 0
        queue.wrap.toggle()
      }
    }
    for (address, word) in words.reversed() { store(word, at: address) }
    queue.slots[id] = UInt64(parts.count)
    queues[index] = queue
    return id
  }

  /// The buffers that the device has used since the last call.
  func used(_ index: Int) -> [Used] {
    var queue = queues[index]!
    defer { queues[index] = queue }
    var found: [Used] = []
    if isPacked {
      while true {
        let word = load(queue.base + 16 * queue.nextUsed + 8)
        let flags = word >> 48
        guard (flags >> 7 & 1 == 1) == queue.usedWrap, (flags >> 15 & 1 == 1) == queue.usedWrap else { return found }
        let id = UInt16(truncatingIfNeeded: word >> 32)
        found.append(Used(id: id, length: UInt32(truncatingIfNeeded: word)))
        queue.nextUsed += queue.slots[id] ?? 1
        if queue.nextUsed >= queue.size {
          queue.nextUsed -= queue.size
          queue.usedWrap.toggle()
        }
      }
    }
    while UInt16(truncatingIfNeeded: queue.nextUsed) != load16(queue.deviceArea + 2) {
      let element = queue.deviceArea + 4 + 8 * (queue.nextUsed % queue.size)
      let id = load16(element)
      found.append(
        Used(id: id, length: UInt32(load16(element + 4)) | UInt32(load16(element + 6)) << 16))
      queue.nextUsed += 1
    }
    return found
  }

  /// Asks for no notification of used buffers, or for one again.
  func suppress(_ index: Int, _ isSuppressed: Bool) {
    let queue = queues[index]!
    store16(isSuppressed ? 1 : 0, at: isPacked ? queue.driverArea + 2 : queue.driverArea)
  }

  /// Asks for a notification once `count` more buffers were used.
  func askForEvent(_ index: Int, after count: UInt64) {
    let queue = queues[index]!
    if isPacked {
      let place = queue.nextUsed + count - 1
      let isOver = place >= queue.size
      let wrap = queue.usedWrap != isOver
      store16(UInt16(isOver ? place - queue.size : place) | (wrap ? 1 << 15 : 0), at: queue.driverArea)
      store16(2, at: queue.driverArea + 2)
    } else {
      store16(
        UInt16(truncatingIfNeeded: queue.nextUsed + count - 1), at: queue.driverArea + 4 + 2 * queue.size)
    }
  }

  // MARK: Frames

  /// Posts `count` receive buffers of `length` bytes.
  func postReceive(_ count: Int, length: Int = 2048, queue: Int = 0) {
    for index in 0..<count {
      post(
        queue,
        [
          Segment(
            address: Self.buffers + UInt64(queue) * 0x2_0000 + UInt64(index * length), length: length, isWritable: true)
        ])
    }
  }

  @discardableResult
  func offer(_ frame: [UInt8]) -> Bool {
    ordinal += 1
    return wire.toNIC.append(frame.span, stamp: TestStamp(ordinal: ordinal))
  }

  @discardableResult
  func run(frames: Int = 1000) -> Int { nic.run(on: &northbridge, wire: &wire, frames: frames) }

  /// A header with a checksum to complete, or a frame to segment.
  static func header(
    flags: UInt8 = 0, segmentation: UInt8 = 0, segmentSize: UInt16 = 0, start: UInt16 = 0, offset: UInt16 = 0
  ) -> [UInt8] {
    let words = [0, segmentSize, start, offset, 0]
    return [flags, segmentation] + words.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
  }

  /// Sends a frame in pieces of the given lengths, or in one.
  func send(_ frame: [UInt8], header: [UInt8] = VirtioBench.header(), pieces: [Int] = [], indirect: Bool = false) {
    let all = header + frame
    store(all, at: Self.buffers)
    var segments: [Segment] = []
    var place = 0
    for piece in pieces + [all.count - pieces.reduce(0, +)] {
      segments.append(Segment(address: Self.buffers + UInt64(place), length: piece))
      place += piece
    }
    post(1, segments, indirect: indirect)
    run()
  }

  func sentFrames() -> [[UInt8]] {
    var frames: [[UInt8]] = []
    while let frame = wire.fromNIC.withFirst({ span, _ in (0..<span.count).map { span[$0] } }) {
      frames.append(frame)
      wire.fromNIC.removeFirst()
    }
    return frames
  }

  /// A command to the control queue; its acknowledgement.
  func command(_ bytes: [UInt8], queue: Int = 2) -> UInt8 {
    store(bytes, at: Self.buffers)
    store([0xAA], at: Self.buffers + 0x1000)
    post(
      queue,
      [
        Segment(address: Self.buffers, length: 2), Segment(address: Self.buffers + 2, length: bytes.count - 2),
        Segment(address: Self.buffers + 0x1000, length: 1, isWritable: true),
      ])
    run()
    return self.bytes(Self.buffers + 0x1000, 1)[0]
  }
}
