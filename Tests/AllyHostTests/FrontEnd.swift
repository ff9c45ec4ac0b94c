import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import Foundation
import Testing

@testable import AllyHost

/// A vhost-user front end with a small driver of split virtqueues: memory, two rings, and the other end of the cable.
final class FrontEnd {
  enum Layout { case split, splitWithEvents }

  static let base: UInt64 = 0x10_0000
  static let length: UInt64 = 4 << 20
  /// Where the front end itself has the memory.
  static let userBase: UInt64 = 0x7F00_0000_0000
  private static let size: UInt64 = 64
  private static let headerLength = 12
  private static let bufferLength: UInt64 = 2048

  let device: VhostUserDevice
  private let nic: any VirtioGuestDevice
  private let counter: SharedInspector<Counter>
  private var far: Uplink
  private let folder: String
  private let memoryFile: Int32
  // Pipes, which do as well as eventfds here: the end that is the device's, and ours.
  private var kicks: [(device: Int32, ours: Int32)] = []
  private var calls: [(device: Int32, ours: Int32)] = []
  private var errors: [(device: Int32, ours: Int32)] = []
  private var layout = Layout.split
  /// Memory for buffers in flight that the back end made: its file and its description; nil of a front end that keeps no such book.
  private(set) var inflight: (file: Int32, shape: VhostUserInflightShape)?
  var keepsInflight = false
  private var now: UInt64 = 0
  // The driver's half: what it has posted and what it has seen used.
  private var posted: [UInt16] = [0, 0]
  private var seen: [UInt16] = [0, 0]

  struct Counter: PacketInspector {
    var frames = 0
    mutating func inspect(_ packet: borrowing Packet) -> Verdict {
      frames += 1
      return .accept
    }
  }

  init() throws {
    var template = Array("/tmp/ally-XXXXXX".utf8CString)
    guard unsafe mkdtemp(&template) != nil else { throw HostError("cannot make a folder in /tmp") }
    folder = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    memoryFile = Self.makeFile(Int(Self.length))
    far = try Uplink.datagram(local: "\(folder)/far")
    let near = try Uplink.datagram(local: "\(folder)/near", remote: "\(folder)/far")
    try far.connect("\(folder)/near")
    counter = SharedInspector(Counter())
    let model = VirtioNetModel(
      requester: RequesterID(bus: 0, device: 0, function: 0), macAddress: [0x52, 0x54, 0, 0x12, 0x34, 0x56],
      queuePairs: 2)
    let limits = RingLimits(maximumDescriptors: 256, maximumFrameLength: 16_384, copyMemory: 1 << 18)
    let made = try GuestNIC<VirtqueueVirtualizer<VirtioNetDriver>, ModelNIC<VirtioNetModel, UplinkWire>, Counter>(
      ModelNIC(model: model, line: UplinkWire(near)), windows: [.empty, .empty, .empty, .empty, .registers],
      inspecting: counter, settings: InterceptionSettings(limits: limits))
    nic = made
    device = try VhostUserDevice(made)
  }

  deinit {
    close(memoryFile)
    if let inflight { close(inflight.file) }
    closeEvents()
    try? FileManager.default.removeItem(atPath: folder)
  }

  private static func makePipe() -> (end: Int32, beginning: Int32) {
    var ends: [Int32] = [0, 0]
    _ = unsafe pipe(&ends)
    for end in ends { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
    return (ends[0], ends[1])
  }

  private func closeEvents() {
    for (device, ours) in kicks + calls + errors {
      close(device)
      close(ours)
    }
  }

  private static func makeFile(_ length: Int) -> Int32 {
    var template = Array("/tmp/ally-memory-XXXXXX".utf8CString)
    let file = unsafe mkstemp(&template)
    unsafe unlink(&template)
    ftruncate(file, off_t(length))
    return file
  }

  /// The memory's file, for a message to take along.
  func file() -> Int32 { dup(memoryFile) }
  var region: [UInt64] { [Self.base, Self.length, Self.userBase, 0] }
  var inspected: Int { counter.withInspector { $0.frames } }
  var receivedCount: Int { Int(seen[0]) }
  var transmittedCount: Int { Int(seen[1]) }

  // MARK: - Messages

  /// Sends a message.
  ///
  /// - Returns: the reply's payload; nil without a reply.
  @discardableResult
  func send(_ request: UInt32, _ payload: [UInt8], descriptors: [Int32] = [], wantsReply: Bool = false) throws
    -> [UInt8]?
  {
    let words = bytes(request, wantsReply ? 9 : 1, UInt32(payload.count))
    let header = try #require(VhostUserHeader(words[...]))
    let received = ReceivedDescriptors()
    received.append(descriptors[...])
    let answer = try device.reply(to: .init(header: header, payload: payload[...], descriptors: received))
    if let (header, words) = answer {
      #expect(header.request == request && header.flags == 5 && Int(header.size) == words.count)
    }
    return answer?.1
  }

  private static func number(_ bytes: [UInt8]?) -> UInt64? {
    var reader = LittleEndianReader((bytes ?? [])[...])
    return reader.take(UInt64.self)
  }

  private static func payload(_ numbers: [UInt64]) -> [UInt8] {
    var payload: [UInt8] = []
    for number in numbers { payload.append(littleEndian: number) }
    return payload
  }

  /// Asks for, or says, a number.
  func ask(_ request: UInt32, _ number: UInt64? = nil) throws -> UInt64? {
    Self.number(try send(request, Self.payload(number.map { [$0] } ?? [])))
  }

  /// Says numbers, and asks how that went: 0 for done.
  func acknowledged(_ request: UInt32, _ numbers: [UInt64], descriptors: [Int32] = []) throws -> UInt64? {
    Self.number(try send(request, Self.payload(numbers), descriptors: descriptors, wantsReply: true))
  }
  func acknowledged(_ request: UInt32, _ number: UInt64) throws -> UInt64? { try acknowledged(request, [number]) }

  // MARK: - Setting up

  private static func ring(_ index: Int) -> UInt64 { base + UInt64(index) * 0x1_0000 }
  private static func buffer(_ ring: Int, _ slot: UInt64) -> UInt64 {
    base + 0x10_0000 + UInt64(ring) * 0x10_0000 + slot * bufferLength
  }
  private static let available: UInt64 = 0x4000
  private static let used: UInt64 = 0x8000

  /// Everything from the beginning, with a driver that has just started.
  func setUp(_ layout: Layout, receiveBuffers: Int = 64) throws {
    posted = [0, 0]
    seen = [0, 0]
    // Memory is written through the device's own map, so that comes first.
    _ = try send(5, bytes(1, 0) + Self.payload(region), descriptors: [file()])
    for ring in 0..<2 {
      for offset in stride(from: 0 as UInt64, to: 0x1_0000, by: 8) { store(0, Self.ring(ring) + offset) }
    }
    try connect(layout, bases: [0, 0])
    for _ in 0..<receiveBuffers { _ = postReceive() }
  }

  /// What a front end says that comes, or comes back.
  func connect(_ layout: Layout, bases: [UInt32]) throws {
    self.layout = layout
    closeEvents()
    kicks = []
    calls = []
    errors = []
    _ = try ask(16, keepsInflight ? 1 << 3 | 1 << 12 : 1 << 3)
    _ = try send(3, [])
    let events: UInt64 = layout == .splitWithEvents ? 1 << 29 : 0
    _ = try ask(2, 1 << 30 | 1 << 32 | 1 << 15 | events)
    _ = try send(5, bytes(1, 0) + Self.payload(region), descriptors: [file()])
    if keepsInflight { try lendInflight() }
    for _ in 0..<2 {
      let (kick, call, error) = (Self.makePipe(), Self.makePipe(), Self.makePipe())
      kicks.append((kick.end, kick.beginning))
      calls.append((call.beginning, call.end))
      errors.append((error.beginning, error.end))
    }
    try start(bases)
  }

  private func lendInflight() throws {
    if inflight == nil {
      let asked = VhostUserInflightShape(length: 0, offset: 0, queues: 2, size: UInt16(Self.size))
      let answer = try #require(try send(31, asked.bytes))
      let file = try #require(device.takeReplyFile())
      let made = VhostUserInflightShape(queues: 2, size: UInt16(Self.size))
      #expect(answer == made.bytes)
      inflight = (dup(file.number), made)
    }
    let (file, shape) = try #require(inflight)
    #expect(Self.number(try send(32, shape.bytes, descriptors: [dup(file)], wantsReply: true)) == 0)
  }

  /// Writes bytes into the memory for buffers in flight.
  func writeInflight(_ bytes: [UInt8], at offset: UInt64) {
    guard let inflight else { return }
    #expect(unsafe pwrite(inflight.file, bytes, bytes.count, off_t(offset)) == bytes.count)
  }

  /// A region of the memory for buffers in flight.
  func readInflight(ring: Int) -> [UInt8] {
    let length = Int(VhostUserInflightShape.regionLength(UInt16(Self.size)))
    var bytes = [UInt8](repeating: 0, count: length)
    guard let inflight else { return [] }
    #expect(unsafe pread(inflight.file, &bytes, length, off_t(ring * length)) == length)
    return bytes
  }

  /// Lends the guest's memory alone, for the driver to go on while nobody works on its rings.
  func mapAgain() throws {
    _ = try send(5, bytes(1, 0) + Self.payload(region), descriptors: [file()])
  }

  var postedCounts: [UInt32] { posted.map(UInt32.init) }

  func start(_ bases: [UInt32]) throws {
    for ring in 0..<2 as Range<UInt32> {
      let user = Self.userBase + (Self.ring(Int(ring)) - Self.base)
      _ = try send(8, bytes(ring, UInt32(Self.size)))
      _ = try send(10, bytes(ring, bases[Int(ring)]))
      _ = try send(9, bytes(ring, 0) + Self.payload([user, user + Self.used, user + Self.available, 0]))
      for (request, ends) in [(12 as UInt32, kicks), (13, calls), (14, errors)] {
        _ = try send(request, bytes(ring, 0), descriptors: [dup(ends[Int(ring)].device)])
      }
      _ = try send(18, bytes(ring, 1))
    }
  }

  /// Stops both rings.
  ///
  /// - Returns: their bases.
  func stop() throws -> [UInt32] {
    try (0..<2 as Range<UInt32>).map { ring in
      let answer = try #require(try send(11, bytes(ring, 0)))
      var reader = LittleEndianReader(answer[...])
      #expect(reader.take(UInt32.self) == ring)
      let base = reader.take(UInt32.self)
      return try #require(base)
    }
  }

  // MARK: - The guest's driver

  func load(_ address: UInt64) -> UInt64? { nic.withMemory { $0.load(UInt64.self, at: PhysicalAddress(address)) } }
  func store(_ value: UInt64, _ address: UInt64) {
    _ = nic.withMemory { $0.store(value, at: PhysicalAddress(address)) }
  }

  private func load16(_ address: UInt64) -> UInt16 {
    UInt16(truncatingIfNeeded: (load(address & ~7) ?? 0) >> (8 * (address & 7)))
  }
  private func store16(_ value: UInt16, _ address: UInt64) {
    let shift = 8 * (address & 7)
    store((load(address & ~7) ?? 0) & ~(0xFFFF << shift) | UInt64(value) << shift, address & ~7)
  }

  /// Makes the descriptor of its slot available: there are as many buffers as slots.
  ///
  /// - Returns: whether the device wants a kick, which it then gets.
  private func post(_ ring: Int, length: UInt64, flags: UInt64) -> Bool {
    let slot = UInt64(posted[ring]) % Self.size
    let table = Self.ring(ring)
    store(Self.buffer(ring, slot), table + 16 * slot)
    store(length | flags << 32, table + 16 * slot + 8)
    store16(UInt16(slot), table + Self.available + 4 + 2 * slot)
    let event = load16(table + Self.used + 4 + 8 * Self.size)
    let wantsKick = layout == .split || event == posted[ring]
    posted[ring] &+= 1
    store16(posted[ring], table + Self.available + 2)
    var one: UInt64 = 1
    if wantsKick { _ = unsafe write(kicks[ring].ours, &one, 8) }
    return wantsKick
  }

  @discardableResult
  func postReceive() -> Bool { post(0, length: Self.bufferLength, flags: 2) }

  func transmit(_ frame: [UInt8]) {
    let place = Self.buffer(1, UInt64(posted[1]) % Self.size)
    let words = [UInt8](repeating: 0, count: Self.headerLength) + frame
    for start in stride(from: 0, to: words.count, by: 8) {
      var word: UInt64 = 0
      for (index, byte) in words[start..<min(start + 8, words.count)].enumerated() {
        word |= UInt64(byte) << (8 * index)
      }
      store(word, place + UInt64(start))
    }
    _ = post(1, length: UInt64(words.count), flags: 0)
  }

  /// Frames that have come, whose buffers are posted again; those that were sent are taken back.
  func takeReceived() -> [[UInt8]] {
    var frames: [[UInt8]] = []
    for ring in 0..<2 {
      let table = Self.ring(ring) + Self.used
      while load16(table + 2) != seen[ring] {
        let place = table + 4 + 8 * (UInt64(seen[ring]) % Self.size)
        let slot = UInt64(load16(place))
        let length = Int(load16(place + 4))
        seen[ring] &+= 1
        // The next interrupt, please.
        store16(seen[ring], Self.ring(ring) + Self.available + 4 + 2 * Self.size)
        guard ring == 0 else { continue }
        var words: [UInt8] = []
        for start in stride(from: 0, to: length, by: 8) {
          words.append(littleEndian: load(Self.buffer(0, slot) + UInt64(start)) ?? 0)
        }
        frames.append(Array(words[Self.headerLength..<length]))
        postReceive()
      }
    }
    return frames
  }

  /// The index runs further than the ring is long.
  func breakTransmitRing() {
    store16(posted[1] &+ 100, Self.ring(1) + Self.available + 2)
    var one: UInt64 = 1
    _ = unsafe write(kicks[1].ours, &one, 8)
  }

  private func take(_ number: Int32) -> Bool {
    var count: UInt64 = 0
    return unsafe read(number, &count, 8) == 8
  }
  func isInterrupted(ring: Int) -> Bool { take(calls[ring].ours) }
  func isInterrupted(error ring: Int) -> Bool { take(errors[ring].ours) }

  // MARK: - Work, and the other end of the cable

  func work() {
    for _ in 0..<8 {
      now += 1_000_000
      _ = device.work(at: now)
    }
  }

  func wire(_ frame: [UInt8]) {
    let isTaken = far.send(frame.span)
    #expect(isTaken)
  }

  func takeFromWire() -> [[UInt8]] {
    defer { arrived = [] }
    fetch()
    return arrived
  }
  private var arrived: [[UInt8]] = []

  private func fetch() {
    var buffer = [UInt8](repeating: 0, count: Uplink.longestFrame)
    while true {
      var bytes = buffer.mutableSpan
      guard let count = far.receive(into: &bytes) else { return }
      arrived.append(Array(buffer[..<count]))
    }
  }

  /// Whether a frame has come over the cable, which stays to be taken.
  func wireHas(_ frame: [UInt8]) -> Bool {
    fetch()
    return arrived.contains(frame)
  }

  /// A frame to the device's address whose bytes follow from its number.
  static func frame(_ number: Int, length: Int) -> [UInt8] {
    var frame: [UInt8] = [0x52, 0x54, 0, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 1, 0x88, 0xB5]
    while frame.count < length { frame.append(UInt8(truncatingIfNeeded: number &* 31 &+ frame.count &* 7)) }
    return frame
  }
}
