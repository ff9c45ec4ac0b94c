import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import CAllyLinux
import Foundation
import Synchronization
import Testing

@testable import AllyHost

/// A server of guests' NICs on a thread of its own, over real sockets, with the far end of each cable in the test's hands.
final class GuestBench<Inspector: PacketInspector & SendableMetatype & ~Copyable> {
  typealias Kind = GuestBenchKind

  let folder: String
  /// The far ends of the cables.
  let cables: [Int32]
  private let stop: FileHandle
  private let ended = DispatchSemaphore(value: 0)
  private let failure = Mutex<String?>(nil)

  /// Starts the server; ``end()`` ends it.
  ///
  /// - Parameters:
  ///   - kinds: the NICs, each with a socket and a cable.
  ///   - hasVirtio: whether a virtio network device comes behind them, over vhost-user.
  ///   - protection: of the frames.
  ///   - waiting: of the server's thread.
  ///   - inspector: makes the appliance, on the server's thread.
  init(
    _ kinds: [Kind], hasVirtio: Bool = false, protection: PacketProtection = .copyToDPIMemory,
    waiting: CoreWaiting = .interrupt, inspector: @escaping @Sendable () -> Inspector
  ) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "ally-\(UUID().uuidString.prefix(8))").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    self.folder = folder
    cables = (0..<kinds.count + (hasVirtio ? 1 : 0)).map { number in
      let cable = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
      #expect(unsafe ally_bind_unix(cable, folder + "/theirs\(number)") == 0)
      return cable
    }
    let pipe = Pipe()
    stop = pipe.fileHandleForWriting
    let stopped = pipe.fileHandleForReading
    let ended = ended
    nonisolated(unsafe) let bench = self
    // The bench outlives the thread: `end()` waits for it.
    Thread.detachNewThread {
      do throws(HostError) {
        let server = GuestServer { _ in }
        let shared = SharedInspector(inspector())
        for (number, kind) in kinds.enumerated() {
          try server.serve(
            Self.makeNIC(kind, folder, number, shared, protection), at: folder + "/nic\(number)")
        }
        if hasVirtio {
          let number = kinds.count
          try server.serveRings(
            of: Self.makeVirtio(folder, number, shared, protection), at: folder + "/nic\(number)")
        }
        try server.run(until: stopped.fileDescriptor, waiting: waiting) { true }
      } catch {
        unsafe bench.failure.withLock { $0 = error.message }
      }
      ended.signal()
    }
  }

  /// Ends the server.
  ///
  /// - Returns: why it had ended by itself, if it had.
  func end() -> String? {
    try? stop.write(contentsOf: [1])
    let isOver = ended.wait(timeout: .now() + 60) == .success
    for cable in cables { close(cable) }
    try? FileManager.default.removeItem(atPath: folder)
    return isOver ? failure.withLock { $0 } : "the server does not end"
  }

  private static func makeNIC(
    _ kind: Kind, _ folder: String, _ number: Int, _ shared: SharedInspector<Inspector>,
    _ protection: PacketProtection
  ) throws(HostError) -> any GuestDevice {
    let line = try makeLine(folder, number)
    let settings = settings(protection)
    let requester = RequesterID(bus: 0, device: UInt8(number), function: 0)
    let address: [UInt8] = [0x52, 0x54, 0, 0, 0, UInt8(number + 1)]
    switch kind {
    case .e1000:
      return try GuestNIC<RingVirtualizer<E1000Driver>, ModelNIC<E1000Model, UplinkWire>, Inspector>(
        ModelNIC(model: E1000Model(requester: requester, macAddress: address), line: line),
        windows: [.registers, .indirect], inspecting: shared, settings: settings)
    case .e1000e:
      return try GuestNIC<RingVirtualizer<E1000EDriver>, ModelNIC<E1000EModel, UplinkWire>, Inspector>(
        ModelNIC(model: E1000EModel(requester: requester, macAddress: address), line: line),
        windows: [.registers, .empty, .indirect, .empty], inspecting: shared, settings: settings)
    case .igb:
      return try GuestNIC<RingVirtualizer<IGBDriver>, ModelNIC<IGBModel, UplinkWire>, Inspector>(
        ModelNIC(model: IGBModel(requester: requester, macAddress: address), line: line),
        windows: [.registers, .empty, .indirect, .empty], inspecting: shared, settings: settings)
    }
  }

  private static func makeVirtio(
    _ folder: String, _ number: Int, _ shared: SharedInspector<Inspector>, _ protection: PacketProtection
  ) throws(HostError) -> any VirtioGuestDevice {
    let model = VirtioNetModel(
      requester: RequesterID(bus: 0, device: UInt8(number), function: 0),
      macAddress: [0x52, 0x54, 0, 0, 0, UInt8(number + 1)], queuePairs: 2)
    return try GuestNIC<VirtqueueVirtualizer<VirtioNetDriver>, ModelNIC<VirtioNetModel, UplinkWire>, Inspector>(
      ModelNIC(model: model, line: makeLine(folder, number)), windows: [.empty, .empty, .empty, .empty, .registers],
      inspecting: shared, settings: settings(protection))
  }

  private static func settings(_ protection: PacketProtection) -> InterceptionSettings {
    InterceptionSettings(
      limits: RingLimits(copyMemory: protection == .copyToDPIMemory ? 8 << 20 : 0), protection: protection)
  }

  private static func makeLine(_ folder: String, _ number: Int) throws(HostError) -> UplinkWire {
    try UplinkWire(Uplink.datagram(local: folder + "/ours\(number)", remote: folder + "/theirs\(number)"))
  }
}

/// The NICs that guests have.
enum GuestBenchKind: String, CaseIterable, Sendable {
  case e1000, e1000e, igb
}

/// A guest and its emulator: a vfio-user client with memory of its own, and the far end of the cable.
@safe
final class BenchGuest: FarEnd {
  /// Where the guest's memory is to its NIC.
  static let base: UInt64 = 0x10_0000
  static let length = 2 << 20
  private static let transmitRing: UInt64 = 0x1000
  private static let receiveRing: UInt64 = 0x2000
  static let transmitBuffer: UInt64 = 0x4000
  static let receiveBuffers: UInt64 = 0x1_0000
  private static let slots = 64

  let kind: GuestBenchKind
  private let socket: Int32
  let cable: Int32
  let cableServer: String
  let file: Int32
  /// Invariant: `length` bytes, mapped until this object is gone.
  let memory: UnsafeMutableRawPointer
  private var identifier: UInt16 = 0
  private var transmitTail = 0
  private var receiveHead = 0
  private var receiveTail = 0

  struct Gone: Error {}
  struct Refused: Error, Equatable { var code: Int32 }

  convenience init<Inspector: PacketInspector & SendableMetatype & ~Copyable>(
    _ bench: borrowing GuestBench<Inspector>, _ number: Int, _ kind: GuestBenchKind = .e1000
  ) throws {
    let socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var isConnected = false
    for _ in 0..<1000 where !isConnected {
      isConnected = unsafe ally_connect_unix(socket, bench.folder + "/nic\(number)") == 0
      if !isConnected { usleep(10_000) }
    }
    #expect(isConnected)
    try self.init(kind, socket: socket, cable: bench.cables[number], cableServer: bench.folder + "/ours\(number)")
  }

  /// - Parameters:
  ///   - socket: a connection to the server, this object's from now on.
  ///   - cable: the far end of the cable, and `cableServer` the near one.
  init(_ kind: GuestBenchKind, socket: Int32, cable: Int32, cableServer: String) throws {
    self.kind = kind
    self.cable = cable
    self.cableServer = cableServer
    self.socket = socket
    file = unsafe ally_memory_file("guest")
    #expect(ftruncate(file, off_t(Self.length)) == 0)
    let place = unsafe mmap(nil, Self.length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
    unsafe memory = try #require(place)
    var patience = timeval(tv_sec: 60, tv_usec: 0)
    unsafe setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    _ = try request(1, [0, 0, 0, 0] + Array("{}".utf8) + [0])
    var map = bytes(32, 3)
    for word in [0, Self.base, UInt64(Self.length)] { map.append(littleEndian: word) }
    _ = try request(2, map, descriptors: [file])
    try allowDMA()
  }

  deinit {
    close(socket)
    close(file)
    unsafe munmap(memory, Self.length)
  }

  // MARK: - The protocol

  private func message(_ command: UInt16, _ payload: [UInt8], flags: UInt32) -> [UInt8] {
    identifier &+= 1
    var words: [UInt8] = []
    words.append(littleEndian: identifier)
    words.append(littleEndian: command)
    words.append(littleEndian: UInt32(16 + payload.count))
    words.append(littleEndian: flags)
    words.append(littleEndian: 0 as UInt32)
    return words + payload
  }

  private func put(_ message: [UInt8], descriptors: [Int32] = []) throws {
    guard sendWhole(message, over: socket, descriptors: descriptors) else { throw Gone() }
  }

  private func take(_ count: Int) throws -> [UInt8] {
    guard let bytes = takeWhole(count, from: socket) else { throw Gone() }
    return bytes
  }

  /// Asks, and waits for the answer.
  func request(_ command: UInt16, _ payload: [UInt8], descriptors: [Int32] = []) throws -> [UInt8] {
    try put(message(command, payload, flags: 0), descriptors: descriptors)
    let header = try #require(VFIOUserHeader(try take(16)[...]))
    #expect(header.identifier == identifier && header.command == command)
    let reply = try take(Int(header.size) - 16)
    if header.error != 0 { throw Refused(code: Int32(bitPattern: header.error)) }
    return reply
  }

  /// Sends what wants no answer.
  func post(_ command: UInt16, _ payload: [UInt8], descriptors: [Int32] = []) throws {
    try put(message(command, payload, flags: 0x10), descriptors: descriptors)
  }

  func write(_ register: UInt32, _ value: UInt32, region: UInt32 = 0) throws {
    try post(10, bytes(register, 0, region, 4, value))
  }

  func read(_ register: UInt32) throws -> UInt32 {
    try request(9, bytes(register, 0, 0, 4)).suffix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }

  func allowDMA() throws { _ = try request(10, bytes(4, 0, 7, 4, 7)) }

  func reset() throws {
    _ = try request(13, [])
    try allowDMA()
  }

  // MARK: - A driver

  func store(_ value: UInt64, at offset: UInt64) {
    // Inside the memory: the callers' offsets are below its length.
    unsafe memory.storeBytes(of: value.littleEndian, toByteOffset: Int(offset), as: UInt64.self)
  }

  func load(_ offset: UInt64) -> UInt64 { unsafe memory.load(fromByteOffset: Int(offset), as: UInt64.self) }

  func fill(_ offset: UInt64, _ bytes: [UInt8]) {
    for (index, byte) in bytes.enumerated() {
      unsafe memory.storeBytes(of: byte, toByteOffset: Int(offset) + index, as: UInt8.self)
    }
  }

  /// Sets both queues up, as a driver with legacy descriptors would (8254x SDM §14.4 and §14.5).
  func bringUp() throws {
    try write(0x0000, 0x40)  // CTRL: set link up
    for slot in 0..<UInt64(Self.slots) {
      store(Self.base + Self.receiveBuffers + slot * 2048, at: Self.receiveRing + slot * 16)
      store(0, at: Self.receiveRing + slot * 16 + 8)
    }
    for (first, ring) in [(0x2800, Self.receiveRing), (0x3800, Self.transmitRing)] as [(UInt32, UInt64)] {
      try write(first, UInt32(Self.base + ring))
      try write(first + 4, 0)
      try write(first + 8, UInt32(Self.slots * 16))
      try write(first + 0x10, 0)
      try write(first + 0x18, 0)
      if kind == .igb { try write(first + 0x28, 1 << 25) }
    }
    // Receive descriptors of the format that is served.
    switch kind {
    case .e1000: break
    case .e1000e: try write(0x5008, 1 << 15)  // RFCTL: extended
    case .igb: try write(0x280C, 1 << 25 | 2)  // SRRCTL: advanced, one buffer of 2 KiB
    }
    try write(0x0100, 0x0400_801A)  // RCTL: enable, all addresses, broadcasts, no frame check sequence
    try write(0x0400, 0x0000_000A)  // TCTL: enable, pad short frames
    transmitTail = 0
    receiveHead = 0
    receiveTail = Self.slots - 1
    try write(0x2818, UInt32(receiveTail))
    _ = try read(0x0008)
  }

  /// Sends a frame, and waits until it is at the far end of the cable.
  func send(_ frame: [UInt8]) throws -> [UInt8]? {
    fill(Self.transmitBuffer, frame)
    return try sendBuffer(count: frame.count)
  }

  /// Sends what the buffer holds.
  func sendBuffer(count: Int) throws -> [UInt8]? {
    let place = Self.transmitRing + UInt64(transmitTail) * 16
    store(Self.base + Self.transmitBuffer, at: place)
    // End of packet, insert the frame check sequence, report status.
    store(UInt64(count) | 0x0B << 24, at: place + 8)
    transmitTail = (transmitTail + 1) % Self.slots
    try write(0x3818, UInt32(transmitTail))
    return farEnd(milliseconds: 20_000)
  }

  /// Waits for a received frame.
  func receive() throws -> [UInt8]? {
    let place = Self.receiveRing + UInt64(receiveHead) * 16 + 8
    for _ in 0..<2000 {
      let status = load(place)
      // Extended and advanced descriptors have the length behind the status.
      guard (kind == .e1000 ? status >> 32 : status) & 1 != 0 else {
        usleep(10_000)
        continue
      }
      let start = Int(Self.receiveBuffers) + receiveHead * 2048
      let frame = (0..<Int((kind == .e1000 ? status : status >> 32) & 0xFFFF)).map {
        unsafe memory.load(fromByteOffset: start + $0, as: UInt8.self)
      }
      store(Self.base + UInt64(start), at: place - 8)
      store(0, at: place)
      receiveHead = (receiveHead + 1) % Self.slots
      receiveTail = (receiveTail + 1) % Self.slots
      try write(0x2818, UInt32(receiveTail))
      return frame
    }
    return nil
  }
}
