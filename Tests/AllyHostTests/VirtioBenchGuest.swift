import AllyPacket
import CAllyLinux
import Foundation
import Testing

@testable import AllyHost

/// A guest with a virtio network device and its emulator: a vhost-user front end over a real socket with memory of its own, a
/// small driver of split virtqueues, and the far end of the cable.
@safe
final class VirtioBenchGuest: FarEnd {
  static let base: UInt64 = 0x10_0000
  static let length = 4 << 20
  /// Where the front end itself has the memory.
  static let userBase: UInt64 = 0x7F00_0000_0000
  /// Both rings, each in 64 KiB, and what the driver's buffers are behind.
  static let endOfRings: UInt64 = 0x2_0000
  private static let available: UInt64 = 0x4000
  private static let used: UInt64 = 0x8000
  private static let size: UInt64 = 64
  private static let headerLength: UInt64 = 12
  private static let bufferLength: UInt64 = 2048

  private let path: String
  let cable: Int32
  let cableServer: String
  private var socket: Int32 = -1
  private let file: Int32
  /// Invariant: `length` bytes, mapped until this object is gone.
  private let memory: UnsafeMutableRawPointer
  /// Ours of what was lent.
  private var events: [Int32] = []
  private var kicks: [Int32] = []
  private var posted: [UInt16] = [0, 0]
  private var seen: UInt16 = 0

  struct Gone: Error {}

  init<Inspector: PacketInspector & SendableMetatype & ~Copyable>(
    _ bench: borrowing GuestBench<Inspector>, _ number: Int
  ) throws {
    path = bench.folder + "/nic\(number)"
    cable = bench.cables[number]
    cableServer = bench.folder + "/ours\(number)"
    file = unsafe ally_memory_file("guest")
    #expect(ftruncate(file, off_t(Self.length)) == 0)
    let place = unsafe mmap(nil, Self.length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
    unsafe memory = try #require(place)
    try connect()
  }

  deinit {
    closeEvents()
    close(socket)
    close(file)
    unsafe munmap(memory, Self.length)
  }

  private func closeEvents() {
    for event in events { close(event) }
    events = []
    kicks = []
  }

  // MARK: - The protocol

  /// Connects, anew if need be: the server lets go of whoever says what it cannot answer.
  func connect() throws {
    if socket >= 0 { close(socket) }
    socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var isConnected = false
    for _ in 0..<1000 where !isConnected {
      isConnected = unsafe ally_connect_unix(socket, path) == 0
      // The server listens again a moment after it has let go of the one before.
      if !isConnected { usleep(10_000) }
    }
    #expect(isConnected)
    var patience = timeval(tv_sec: 60, tv_usec: 0)
    unsafe setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
  }

  /// Says what has no answer.
  func post(_ request: UInt32, _ payload: [UInt8], descriptors: [Int32] = []) throws {
    let message = bytes(request, 1, UInt32(payload.count)) + payload
    guard sendWhole(message, over: socket, descriptors: descriptors) else { throw Gone() }
  }

  func post(_ request: UInt32, numbers: [UInt64]) throws {
    var payload: [UInt8] = []
    for number in numbers { payload.append(littleEndian: number) }
    try post(request, payload)
  }

  /// Asks, and waits for the answer.
  func request(_ request: UInt32, _ payload: [UInt8]) throws -> [UInt8] {
    try post(request, payload)
    let header = try #require(VhostUserHeader(try take(12)[...]))
    #expect(header.request == request && header.isReply)
    return try take(Int(header.size))
  }

  private func take(_ count: Int) throws -> [UInt8] {
    guard let bytes = takeWhole(count, from: socket) else { throw Gone() }
    return bytes
  }

  func lendMemory(at address: UInt64 = base, length: UInt64 = UInt64(length), offset: UInt64 = 0) throws {
    var table = bytes(1, 0)
    for word in [address, length, Self.userBase, offset] { table.append(littleEndian: word) }
    try post(5, table, descriptors: [file])
  }

  /// Lends a new eventfd for kicks, and for calls and errors a pipe: when we have closed its other end, the server writes for nobody.
  func lendEvent(_ request: UInt32, _ ring: UInt32) throws {
    var theirs = ally_event()
    if request == 12 {
      kicks.append(dup(theirs))
      events.append(kicks[kicks.count - 1])
    } else {
      close(theirs)
      var ends: [Int32] = [0, 0]
      guard unsafe pipe(&ends) == 0 else { throw Gone() }
      events.append(ends[0])
      theirs = ends[1]
    }
    defer { close(theirs) }
    try post(request, bytes(ring, 0), descriptors: [theirs])
    if events.count > 12 { closeEvents() }
  }

  // MARK: - A driver

  func store<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: UInt64) {
    // Inside the memory: the callers' offsets are below its length.
    unsafe memory.storeBytes(of: value.littleEndian, toByteOffset: Int(offset), as: Value.self)
  }
  private func load16(_ offset: UInt64) -> UInt16 {
    unsafe memory.load(fromByteOffset: Int(offset), as: UInt16.self)
  }

  static func ring(_ index: Int) -> UInt64 { UInt64(index) * 0x1_0000 }
  private static func buffer(_ ring: Int, _ slot: UInt64) -> UInt64 {
    0x10_0000 + UInt64(ring) * 0x10_0000 + slot * bufferLength
  }

  /// A reset as a front end's: both rings are taken back, and everything is said from the beginning.
  func reset() throws {
    for ring in 0..<4 as Range<UInt32> { _ = try request(11, bytes(ring, 0)) }
    closeEvents()
    posted = [0, 0]
    seen = 0
    for offset in stride(from: 0, to: Self.endOfRings, by: 8) { store(0 as UInt64, at: offset) }
    try post(16, numbers: [0])
    try post(3, [])
    try post(2, numbers: [1 << 30 | 1 << 32 | 1 << 15])
    try lendMemory()
    for ring in 0..<2 as Range<UInt32> {
      let user = Self.userBase + Self.ring(Int(ring))
      try post(8, bytes(ring, UInt32(Self.size)))
      try post(10, bytes(ring, 0))
      var addresses = bytes(ring, 0)
      for address in [user, user + Self.used, user + Self.available, 0] { addresses.append(littleEndian: address) }
      try post(9, addresses)
      for event in [12, 13, 14] as [UInt32] { try lendEvent(event, ring) }
      try post(18, bytes(ring, 1))
    }
    for _ in 0..<Self.size { make(0, availableBytes: Self.bufferLength, flags: 2) }
    // When this is answered all of it was heard.
    _ = try request(1, [])
  }

  /// Makes the descriptor of the next slot available: there are as many buffers as slots.
  private func make(_ ring: Int, availableBytes count: UInt64, flags: UInt64) {
    let slot = UInt64(posted[ring]) % Self.size
    let table = Self.ring(ring)
    store(Self.base + Self.buffer(ring, slot), at: table + 16 * slot)
    store(count | flags << 32, at: table + 16 * slot + 8)
    store(UInt16(slot), at: table + Self.available + 4 + 2 * slot)
    posted[ring] &+= 1
    store(posted[ring], at: table + Self.available + 2)
  }

  func kick() {
    var one: UInt64 = 1
    for kick in kicks { _ = unsafe write(kick, &one, 8) }
  }

  /// Sends a frame, and waits until it is at the far end of the cable.
  func send(_ frame: [UInt8]) -> [UInt8]? {
    let place = Self.buffer(1, UInt64(posted[1]) % Self.size)
    for index in 0..<Self.headerLength { store(0 as UInt8, at: place + index) }
    for (index, byte) in frame.enumerated() { store(byte, at: place + Self.headerLength + UInt64(index)) }
    make(1, availableBytes: Self.headerLength + UInt64(frame.count), flags: 0)
    kick()
    return farEnd(milliseconds: 20_000)
  }

  /// Waits for a received frame.
  func receive() -> [UInt8]? {
    let table = Self.ring(0) + Self.used
    // A guest that polls; 20 seconds, or nothing comes.
    for _ in 0..<2000 where load16(table + 2) == seen { usleep(10_000) }
    guard load16(table + 2) != seen else { return nil }
    let element = table + 4 + 8 * (UInt64(seen) % Self.size)
    let slot = UInt64(load16(element)) % Self.size
    let length = min(UInt64(load16(element + 4)), Self.bufferLength)
    seen &+= 1
    let start = Self.buffer(0, slot)
    let frame = (min(Self.headerLength, length)..<length).map {
      unsafe memory.load(fromByteOffset: Int(start + $0), as: UInt8.self)
    }
    make(0, availableBytes: Self.bufferLength, flags: 2)
    kick()
    return frame
  }
}
