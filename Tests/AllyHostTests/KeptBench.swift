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

/// Workers that serve one guest, one after the other, each on a thread of its own, with a keeper between them.
///
/// As with forks of a keeper's starter, all are made before the first begins, and share memory and nothing else. A worker dies by
/// standing still for ever at a step. Those of another executable are made with memory of their own, in whose place the first one's
/// comes.
final class KeptBench: @unchecked Sendable {
  // One thread at a time has a worker; the rest is set before the first begins, or locked.

  private let folder: String
  /// The near end of the cable, of which each worker has a copy.
  private let uplink: Uplink
  let cable: Int32
  let cableServer: String
  private let kind: GuestBenchKind
  private var waiting: [KeptSession] = []
  private var descriptors = KeptDescriptors()
  private var keeperEnd: Int32 = -1
  /// The emulator's end of the connection.
  let client: Int32
  private var connection: Int32
  private let isOver = Atomic(false)
  private let gone = DispatchSemaphore(value: 0)
  private let deaths = Mutex(0)
  let counter = FrameCount()

  /// What starts each worker.
  private var starters: [WorkerStarter] = []

  /// - Parameter areUpgrades: whether each worker after the first is another executable's.
  init(_ kind: GuestBenchKind, workers: Int, areUpgrades: Bool = false) throws {
    self.kind = kind
    folder = FileManager.default.temporaryDirectory.appending(path: "ally-\(UUID().uuidString.prefix(8))").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    cable = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    #expect(unsafe ally_bind_unix(cable, folder + "/theirs") == 0)
    cableServer = folder + "/ours"
    var ends: [Int32] = [-1, -1]
    #expect(unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
    (client, connection) = (ends[0], ends[1])
    uplink = try Uplink.datagram(local: folder + "/ours", remote: folder + "/theirs")
    var memory = try KeptMemory()
    for number in 0..<workers {
      if number > 0, areUpgrades { memory = try KeptMemory() }
      let device = try Self.makeNIC(
        kind, Uplink(OwnedDescriptor(dup(uplink.descriptor)), name: "test"), memory, counter)
      if number == 0 || areUpgrades {
        let starter = try WorkerStarter(
          StarterLine(OwnedFile(-1)), try KeeperPage(), Inheritance(list: starters.last.map(Self.bequest)))
        try device.leave(as: "guest 3", layout: "of the bench", in: starter)
        starters.append(starter)
      }
      let session = KeptSession(device, number: 3)
      recordLengths = (device.recordLength, session.recordLength)
      waiting.append(session)
    }
    waiting.reverse()
    starters.reverse()
    startWorker()
  }

  private static func makeNIC(
    _ kind: GuestBenchKind, _ uplink: consuming Uplink, _ memory: KeptMemory, _ counter: FrameCount
  ) throws -> any KeptGuestDevice {
    let requester = RequesterID(bus: 0, device: 0, function: 0)
    let address: [UInt8] = [0x52, 0x54, 0, 0, 0, 1]
    let shared = SharedInspector(CountingInspector(count: counter))
    switch kind {
    case .e1000:
      return try GuestNIC<RingVirtualizer<E1000Driver>, KeptNIC<E1000Model>, CountingInspector>(
        KeptNIC(model: E1000Model(requester: requester, macAddress: address), uplink: uplink, keeping: memory),
        windows: [.registers, .indirect], inspecting: shared, settings: InterceptionSettings(), keeping: memory)
    case .e1000e:
      return try GuestNIC<RingVirtualizer<E1000EDriver>, KeptNIC<E1000EModel>, CountingInspector>(
        KeptNIC(model: E1000EModel(requester: requester, macAddress: address), uplink: uplink, keeping: memory),
        windows: [.registers, .empty, .indirect, .empty], inspecting: shared, settings: InterceptionSettings(),
        keeping: memory)
    case .igb:
      return try GuestNIC<RingVirtualizer<IGBDriver>, KeptNIC<IGBModel>, CountingInspector>(
        KeptNIC(model: IGBModel(requester: requester, macAddress: address), uplink: uplink, keeping: memory),
        windows: [.registers, .empty, .indirect, .empty], inspecting: shared, settings: InterceptionSettings(),
        keeping: memory)
    }
  }

  /// What an executable leaves, with descriptors of their own, as another process has them.
  private static func bequest(_ starter: WorkerStarter) -> String {
    let lines = starter.inheritance.bequest(with: [:]).list.split(separator: "\u{1E}")
    return lines.map { line in
      let fields = line.split(separator: "\u{1F}", omittingEmptySubsequences: false)
      return fields.dropLast().joined(separator: "\u{1F}") + "\u{1F}\(dup(Int32(fields.last ?? "") ?? -1))"
    }.joined(separator: "\u{1E}")
  }

  /// The keeper's part: takes what the last worker said, and has the next begin.
  private func startWorker() {
    if keeperEnd >= 0 {
      _ = descriptors.receive(from: keeperEnd)
      close(keeperEnd)
    }
    guard let worker = waiting.popLast() else { return }
    do { try starters.popLast()?.settle() } catch { Issue.record(error) }
    var ends: [Int32] = [-1, -1]
    #expect(unsafe ally_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &ends) == 0)
    keeperEnd = ends[0]
    let predecessors = deaths.withLock { $0 }
    // A fork has descriptors of its own.
    nonisolated(unsafe) let channel = KeeperChannel(
      OwnedDescriptor(ends[1]), inherited: descriptors.numbers.mapValues { dup($0) }, predecessors: predecessors)
    nonisolated(unsafe) let session = worker
    let connection = predecessors == 0 ? connection : -1
    Thread.detachNewThread {
      Thread.current.threadDictionary["worker"] = ObjectIdentifier(self)
      do {
        unsafe try session.begin(channel)
        if connection >= 0 { unsafe session.connect(OwnedDescriptor(connection)) }
        while !self.isOver.load(ordering: .relaxed) {
          if unsafe session.descriptor == nil { break }
          _ = unsafe try session.serveMessages(64, at: MonotonicTime.now)
          // There is nothing to wait for that tells of both ends of the bench.
          if unsafe !session.work(at: MonotonicTime.now) { usleep(200) }
        }
      } catch {}
      self.gone.signal()
    }
  }

  /// Lets the worker that comes to a step die there, after `skipped` times.
  func arm(_ point: DeathPoint, after skipped: Int) {
    let left = Mutex(skipped)
    DeathPoint.hook.withLock {
      $0 = { reached in
        guard reached == point, self.isWorker else { return }
        let dies = left.withLock { left in
          left -= 1
          return left == -1
        }
        guard dies else { return }
        self.deaths.withLock { $0 += 1 }
        self.startWorker()
        while true { sleep(1000) }
      }
    }
  }

  /// Other suites have servers too; a worker's thread is one that this object began.
  private var isWorker: Bool {
    Thread.current.threadDictionary["worker"] as? ObjectIdentifier == ObjectIdentifier(self)
  }

  /// Bytes of a NIC's record, and of its guest's.
  private(set) var recordLengths = (0, 0)

  var died: Int { deaths.withLock { $0 } }

  /// Ends the worker that serves.
  func end() {
    DeathPoint.hook.withLock { $0 = nil }
    isOver.store(true, ordering: .relaxed)
    #expect(gone.wait(timeout: .now() + 60) == .success, "the worker ends")
    close(cable)
    try? FileManager.default.removeItem(atPath: folder)
  }
}

/// How many frames workers have inspected.
final class FrameCount: Sendable {
  let frames = Atomic(0)
}

struct CountingInspector: PacketInspector {
  let count: FrameCount

  mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    count.frames.add(1, ordering: .relaxed)
    return .accept
  }
}
