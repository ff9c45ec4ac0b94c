import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings

/// Memory for ring tests: OS memory from 0, DPI memory from 16 MiB, nothing above.
@safe
struct TestMachine: ~Copyable {
  static let osLength: UInt64 = 0x10_0000
  static let dpiBase: UInt64 = 0x100_0000
  static let queue = PhysicalAddress(0x2000)
  static let bufferLength: UInt32 = 2048

  var memory: PhysicalMemory
  let partition: Partition
  @unsafe private let os: UnsafeMutableRawPointer
  @unsafe private let dpi: UnsafeMutableRawPointer
  let dpiLength: UInt64

  init(dpiLength: UInt64 = 0x40_0000) {
    self.dpiLength = dpiLength
    partition = Partition(
      boundary: PhysicalAddress(Self.dpiBase), end: PhysicalAddress(Self.dpiBase + dpiLength))
    unsafe os = .allocate(byteCount: Int(Self.osLength), alignment: 4096)
    unsafe dpi = .allocate(byteCount: Int(dpiLength), alignment: 4096)
    unsafe os.initializeMemory(as: UInt8.self, repeating: 0, count: Int(Self.osLength))
    // DPI memory holds a pattern, so that a leak shows.
    unsafe dpi.initializeMemory(as: UInt8.self, repeating: 0xD1, count: Int(dpiLength))
    memory = PhysicalMemory()
    do {
      try unsafe memory.map(base: PhysicalAddress(0), length: Self.osLength, storage: os, rights: .readWrite)
      try unsafe memory.map(
        base: PhysicalAddress(Self.dpiBase), length: dpiLength, storage: dpi, rights: .readWrite)
    } catch {
      fatalError("test memory: \(error)")
    }
  }

  deinit {
    unsafe os.deallocate()
    unsafe dpi.deallocate()
  }

  var region: DPIRegion { DPIRegion(base: PhysicalAddress(Self.dpiBase), length: dpiLength) }

  func programmed(
    count: UInt32, base: PhysicalAddress = TestMachine.queue, head: UInt32 = 0, tail: UInt32? = nil,
    bufferLength: UInt32 = TestMachine.bufferLength, trailerLength: UInt32 = 4
  ) -> ProgrammedQueue {
    ProgrammedQueue(
      base: BusAddress(base.rawValue), byteLength: count * 16, head: head, tail: tail ?? head, isEnabled: true,
      bufferLength: bufferLength, trailerLength: trailerLength)
  }

  /// The buffer that the tests' driver has for a slot.
  static func buffer(_ slot: UInt32) -> UInt64 { 0x2_0000 + UInt64(slot) * UInt64(bufferLength) }

  // MARK: - Slots and bytes

  func words(_ queue: PhysicalAddress, _ slot: UInt32) -> (UInt64, UInt64) {
    let place = queue.advanced(by: UInt64(slot) * 16)
    return (memory.load(UInt64.self, at: place) ?? 0, memory.load(UInt64.self, at: place.advanced(by: 8)) ?? 0)
  }

  func store(_ words: (UInt64, UInt64), _ queue: PhysicalAddress, _ slot: UInt32) {
    let place = queue.advanced(by: UInt64(slot) * 16)
    precondition(memory.store(words.0, at: place) && memory.store(words.1, at: place.advanced(by: 8)))
  }

  func write(_ bytes: [UInt8], at address: UInt64) {
    guard !bytes.isEmpty else { return }
    guard
      let place = unsafe memory.pointer(at: PhysicalAddress(address), length: UInt64(bytes.count), for: .write)
    else { fatalError("no memory at \(address)") }
    unsafe bytes.withUnsafeBytes { unsafe place.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
  }

  /// The bytes at `address`; nothing when some are absent.
  func read(_ count: Int, at address: UInt64) -> [UInt8] {
    guard count > 0,
      let place = unsafe memory.pointer(at: PhysicalAddress(address), length: UInt64(count), for: .read)
    else { return [] }
    return unsafe Array(UnsafeRawBufferPointer(start: place, count: count))
  }
}

/// A NIC that knows nothing but a descriptor queue.
struct PlainNIC {
  var head: UInt32 = 0

  /// Receives a frame: writes it to the buffers that the queue offers, four bytes of checksum behind it.
  ///
  /// - Returns: false when the queue has no room for it; nothing was written then.
  mutating func receive(
    _ frame: [UInt8], on queue: DescriptorQueue, bufferLength: UInt32 = TestMachine.bufferLength,
    machine: borrowing TestMachine
  ) -> Bool {
    let bytes = frame + [0xFC, 0xFC, 0xFC, 0xFC]
    let needed = max(1, (bytes.count + Int(bufferLength) - 1) / Int(bufferLength))
    guard UInt32(needed) <= queue.distance(from: head, to: queue.tail) else { return false }
    for part in 0..<needed {
      let from = part * Int(bufferLength)
      let piece = Array(bytes[from..<min(from + Int(bufferLength), bytes.count)])
      let buffer = machine.words(queue.base, head).0
      machine.write(piece, at: buffer)
      let status: UInt64 = part == needed - 1 ? 3 : 1
      machine.store((buffer, UInt64(piece.count) | status << 32), queue.base, head)
      head = queue.next(after: head)
    }
    return true
  }

  /// Sends what the queue holds, completing every descriptor that asks for a report.
  mutating func send(on queue: DescriptorQueue, machine: borrowing TestMachine) -> [[UInt8]] {
    var frames: [[UInt8]] = []
    var frame: [UInt8] = []
    while head != queue.tail {
      let (address, fields) = machine.words(queue.base, head)
      let isContext = fields >> 20 & 0xF == 0 && fields & 1 << 29 != 0
      if !isContext {
        frame += machine.read(Int(fields & 0xFFFF), at: address)
        if fields & 1 << 24 != 0 {
          frames.append(frame)
          frame = []
        }
      }
      if fields & 1 << 27 != 0 { machine.store((address, fields | 1 << 32), queue.base, head) }
      head = queue.next(after: head)
    }
    return frames
  }
}

/// Notes every frame, and judges each by its first byte.
struct ScriptedInspector: PacketInspector {
  var seen: [[UInt8]] = []
  var ordinals: [UInt64] = []
  var verdicts: [UInt8: Verdict] = [:]

  init(dropping first: UInt8...) {
    for byte in first { verdicts[byte] = .drop }
  }

  mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    let bytes = packet.bytes
    let copy = unsafe bytes.withUnsafeBytes { unsafe Array($0) }
    seen.append(copy)
    ordinals.append(packet.stamp.ordinal)
    return copy.first.flatMap { verdicts[$0] } ?? .accept
  }
}

/// An inspector whose verdicts a test gives, and that a test asks what it saw.
protocol InspectorWithScript: PacketInspector {
  var script: ScriptedInspector { get }
  /// What the rings did that they must not.
  var complaint: String? { get }
}

extension ScriptedInspector: InspectorWithScript {
  var script: ScriptedInspector { self }
  var complaint: String? { nil }
}

/// Hears of frames before it is asked about them, and compares.
struct ForewarnedInspector: InspectorWithScript {
  private(set) var script: ScriptedInspector
  private(set) var complaint: String?
  /// Frames that were announced and have not come.
  private(set) var expected: [(bytes: [UInt8], stamp: FrameStamp, direction: Direction, offloads: FrameOffloads)] = []
  /// The most of them at a time.
  private(set) var longestBatch = 0

  init(_ script: ScriptedInspector) { self.script = script }

  static var takesAnnouncements: Bool { true }

  mutating func announce(_ packet: borrowing Packet) {
    let bytes = packet.bytes
    expected.append(
      (unsafe bytes.withUnsafeBytes { unsafe Array($0) }, packet.stamp, packet.direction, packet.offloads))
    longestBatch = max(longestBatch, expected.count)
  }

  mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    if let first = expected.first {
      expected.removeFirst()
      let bytes = packet.bytes
      let copy = unsafe bytes.withUnsafeBytes { unsafe Array($0) }
      if copy != first.bytes || packet.stamp != first.stamp || packet.direction != first.direction
        || packet.offloads != first.offloads
      {
        complaint = "frame \(script.seen.count) is not the one that was announced"
      }
    }
    return script.inspect(packet)
  }
}

/// A frame of `count` bytes that begins with `first`.
func frame(_ first: UInt8, count: Int = 60) -> [UInt8] {
  (0..<count).map { $0 == 0 ? first : UInt8(truncatingIfNeeded: Int(first) &+ $0) }
}

/// A frame of `count` bytes with an IPv4 header, and a TCP header behind it or a UDP header (17), without checksums.
func tcpFrame(_ first: UInt8, count: Int, transport: UInt8 = 6) -> [UInt8] {
  var bytes = frame(first, count: count)
  let length = count - 14
  bytes[12..<34] = [
    0x08, 0x00, 0x45, 0, UInt8(length >> 8), UInt8(length & 0xFF), 0, 1, 0, 0, 64, transport, 0, 0, 192, 0, 2, 1, 198,
    51,
    100, 1,
  ]
  let body = length - 20
  bytes[34..<54] =
    transport == 17
    ? [0x04, 0, 0, 53, UInt8(body >> 8), UInt8(body & 0xFF), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    : [0x04, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 4, 0, 0, 0, 0, 0]
  return bytes
}

/// Numbers that are the same for the same seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}
