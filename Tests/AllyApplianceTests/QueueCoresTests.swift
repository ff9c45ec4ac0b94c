import AllyAppliance
import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import AllySimulator
import Foundation
import Testing

/// A NIC whose queue pairs have a DPI core each, all running at once: real threads. One more handles registers and interrupts;
/// it stands for the NIC and the OS core as well.
@Suite(.serialized) struct QueueCoresTests {
  private typealias Machine = SimulatedMachine<RingVirtualizer<IGBDriver>, IGBModel, IGBOSDriver>
  private static let queues = 4
  private static let connections = 32

  /// The machine, and the lock that stands for the bus: who has it runs registers, NIC and OS.
  private final class Board: @unchecked Sendable {
    private let lock = NSLock()
    /// Guarded by the lock, but for the queue pairs that are lent.
    private var machine: Machine
    private let stopped = NSLock()
    private var isStopped = false

    init(_ protection: PacketProtection) throws {
      machine = try Machine.igb(
        layout: MachineLayout(
          limits: RingLimits(
            maximumDescriptors: 256, maximumFrameLength: 20_000,
            copyMemory: protection == .copyToDPIMemory ? 1 << 20 : 0),
          protection: protection), queues: queues, receiveDescriptors: 64, transmitDescriptors: 64)
    }

    func withMachine<Result>(_ body: (inout Machine) throws -> Result) rethrows -> Result {
      lock.lock()
      defer { lock.unlock() }
      return try body(&machine)
    }

    func stop() { stopped.withLock { isStopped = true } }
    var mustStop: Bool { stopped.withLock { isStopped } }
  }

  /// What a core saw: the connections of its frames, in its order.
  private final class Core: @unchecked Sendable {
    var seen: [Seen] = []
    var passes = 0
  }

  /// A frame of a connection, with its number.
  private struct Seen: Hashable {
    var connection: Int
    var number: Int
    var direction: Direction
  }

  /// Drops each tenth frame.
  private struct Inspector: PacketInspector {
    let core: Core

    mutating func inspect(_ packet: borrowing Packet) -> Verdict {
      guard let (connection, number) = Connection.read(packet.bytes) else { return .drop }
      core.seen.append(Seen(connection: connection, number: number, direction: packet.direction))
      return number % 10 == 9 ? .drop : .accept
    }
  }

  /// Starts a core for each of the OS's queue pairs.
  private static func startCores(_ board: Board) throws -> (cores: [Core], threads: [Thread], ended: DispatchGroup) {
    let ended = DispatchGroup()
    var cores: [Core] = []
    var threads: [Thread] = []
    for queue in 0..<queues {
      let core = Core()
      let start = try board.withMachine { machine in
        try Start(
          worker: unsafe machine.hardware.dpi.virtualizer.worker(for: queue),
          memory: unsafe machine.hardware.memoryOfAnotherCore())
      }
      ended.enter()
      let thread = Thread {
        start.run(core, board)
        ended.leave()
      }
      cores.append(core)
      threads.append(thread)
      thread.start()
    }
    return (cores, threads, ended)
  }

  /// What a core's thread begins with, which is that thread's alone.
  private final class Start: @unchecked Sendable {
    private var worker: QueueWorker<IGBDriver>
    private let memory: PhysicalMemory

    init(worker: consuming QueueWorker<IGBDriver>, memory: consuming PhysicalMemory) {
      self.worker = worker
      self.memory = memory
    }

    func run(_ core: Core, _ board: Board) {
      var inspector = Inspector(core: core)
      var receiveClock = CountingClock()
      var transmitClock = CountingClock()
      while !board.mustStop {
        let report = worker.pass(
          inspecting: &inspector, receiveClock: &receiveClock, transmitClock: &transmitClock, memory: memory)
        core.passes += 1
        if let report, report.result.hasMoved {
          board.withMachine { $0.hardware.report(report) }
        } else {
          sched_yield()
        }
      }
    }
  }

  private enum Connection {
    /// A TCP segment of a connection that has its number in its payload.
    static func frame(_ connection: Int, number: Int, toOS: Bool) -> [UInt8] {
      let payload = 12 + number * 37 % 1200
      let total = 40 + payload
      var ip: [UInt8] = [
        0x45, 0, UInt8(total >> 8), UInt8(total & 0xFF), 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
      ]
      var sum = stride(from: 0, to: 20, by: 2).reduce(UInt32(0)) { $0 + UInt32(ip[$1]) << 8 + UInt32(ip[$1 + 1]) }
      sum = sum & 0xFFFF + sum >> 16
      ip[10] = UInt8(~sum >> 8 & 0xFF)
      ip[11] = UInt8(~sum & 0xFF)
      let port: [UInt8] = [0x40, UInt8(connection)]
      let tcp =
        (toOS ? [0x30, 0x39] + port : port + [0x30, 0x39]) + [0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0, 1, 0, 0, 0, 0]
      let mark =
        [UInt8(number >> 8), UInt8(number & 0xFF)] + [UInt8](repeating: UInt8(number & 0xFF), count: payload - 2)
      let addresses: [UInt8] =
        toOS
        ? [0x52, 0x54, 0, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 1] : [2, 0, 0, 0, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56]
      return addresses + [8, 0] + ip + tcp + mark
    }

    /// The connection and the number of a frame.
    static func read(_ bytes: RawSpan) -> (Int, Int)? {
      guard bytes.byteCount >= 56, bytes.byte(at: 12) == 8 else { return nil }
      let isFromOS = bytes.byte(at: 34) == 0x40
      return (
        Int(bytes.byte(at: isFromOS ? 35 : 37)), Int(bytes.byte(at: 54)) << 8 | Int(bytes.byte(at: 55))
      )
    }
  }

  /// Carries frames of all connections both ways, and returns what came out, by connection.
  private static func traffic(_ numbers: Range<Int>, on board: Board) throws -> (
    delivered: [Int: [Int]], arrived: [Int: [Int]]
  ) {
    var delivered: [Int: [Int]] = [:]
    var arrived: [Int: [Int]] = [:]
    func note(_ bytes: RawSpan, _ into: inout [Int: [Int]]) {
      if let (connection, number) = Connection.read(bytes) { into[connection, default: []].append(number) }
    }
    /// Registers, NIC and OS have their turn.
    func turn() -> Bool {
      board.withMachine { machine in
        var nobody = Nobody()
        let moved = machine.runNIC(frames: 32)
        machine.passDPI(inspecting: &nobody)
        let interrupted = machine.runOS { note($0, &delivered) }
        while machine.hardware.wire.fromNIC.withFirst({ bytes, _ in unsafe note(bytes.bytes, &arrived) }) != nil {
          machine.hardware.wire.fromNIC.removeFirst()
        }
        machine.hardware.wire.completed.removeAll()
        if moved == 0, !interrupted, let timer = machine.hardware.nextTimer, timer > machine.hardware.now {
          machine.hardware.advance(to: timer)
        }
        return moved > 0 || interrupted
      }
    }
    for number in numbers {
      for connection in 0..<connections {
        let toOS = Connection.frame(connection, number: number, toOS: true)
        let fromOS = Connection.frame(connection, number: number, toOS: false)
        board.withMachine { _ = $0.offer(toOS.span, stamp: FrameStamp()) }
        var turns = 0
        while !board.withMachine({ unsafe $0.send(fromOS.span.bytes) }) {
          if !turn() { sched_yield() }
          turns += 1
          try #require(turns < 20_000, "connection \(connection): the OS gets no descriptor back")
        }
      }
      _ = turn()
    }
    // Until all is there; a machine that stands still for long has lost something.
    let expected = numbers.count { $0 % 10 != 9 } * connections
    var idle = 0
    while delivered.values.reduce(0, { $0 + $1.count }) < expected
      || arrived.values.reduce(0, { $0 + $1.count }) < expected
    {
      idle = turn() ? 0 : idle + 1
      guard idle < 20_000 else { break }
      if idle > 0 { sched_yield() }
    }
    return (delivered, arrived)
  }

  /// The control core's inspector, which no frame may reach.
  private struct Nobody: PacketInspector {
    mutating func inspect(_ packet: borrowing Packet) -> Verdict {
      Issue.record("a frame of a queue pair that is lent")
      return .drop
    }
  }

  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory])
  func eachQueuePairHasACore(protection: PacketProtection) throws {
    let board = try Board(protection)
    let (cores, threads, ended) = try Self.startCores(board)
    defer {
      board.stop()
      ended.wait()
    }
    #expect(threads.count == Self.queues)
    board.withMachine { $0.bootOS() }
    // The last one is kept, so that all are inspected when it is there.
    let numbers = 0..<59
    let (delivered, arrived) = try Self.traffic(numbers, on: board)
    board.stop()
    ended.wait()
    let kept = numbers.filter { $0 % 10 != 9 }
    for connection in 0..<Self.connections {
      #expect(delivered[connection] == kept, "connection \(connection): order, none lost or doubled")
      #expect(arrived[connection] == kept, "connection \(connection)")
    }
    // Every frame was inspected once, all of a connection's by one core, and no core had all.
    let all = cores.flatMap(\.seen)
    #expect(all.count == 2 * numbers.count * Self.connections && Set(all).count == all.count)
    for direction in [Direction.receive, .transmit] {
      for connection in 0..<Self.connections {
        let owners = cores.filter { $0.seen.contains { $0.connection == connection && $0.direction == direction } }
        #expect(owners.count == 1, "connection \(connection)")
        let order = owners.first?.seen.filter { $0.connection == connection && $0.direction == direction }.map(\.number)
        #expect(order == Array(numbers))
      }
    }
    #expect(cores.allSatisfy { !$0.seen.isEmpty }, "the hash spreads connections over all cores")
    #expect(board.withMachine { $0.hardware.northbridge.iommu.faults.total } == 0)
  }

  /// The OS resets its NIC while all cores are at work: afterwards all is exact again.
  @Test func aResetWhileAllCoresWork() throws {
    let board = try Board(.copyToDPIMemory)
    let (cores, _, ended) = try Self.startCores(board)
    defer {
      board.stop()
      ended.wait()
    }
    board.withMachine { $0.bootOS() }
    for round in 0..<6 {
      for connection in 0..<Self.connections {
        let toOS = Connection.frame(connection, number: round, toOS: true)
        let fromOS = Connection.frame(connection, number: round, toOS: false)
        board.withMachine { machine in
          _ = machine.offer(toOS.span, stamp: FrameStamp())
          _ = unsafe machine.send(fromOS.span.bytes)
          machine.runNIC(frames: 4)
        }
      }
      // Frames are under way in every queue.
      board.withMachine { machine in
        machine.bootOS()
        while machine.hardware.wire.toNIC.count > 0 { machine.hardware.wire.toNIC.removeFirst() }
        while machine.hardware.wire.fromNIC.count > 0 { machine.hardware.wire.fromNIC.removeFirst() }
        machine.hardware.wire.completed.removeAll()
      }
      let numbers = (100 * (round + 1))..<(100 * (round + 1) + 10)
      let (delivered, arrived) = try Self.traffic(numbers, on: board)
      let kept = numbers.filter { $0 % 10 != 9 }
      for connection in 0..<Self.connections {
        #expect(delivered[connection]?.filter { $0 >= 100 } == kept, "connection \(connection), round \(round)")
        #expect(arrived[connection]?.filter { $0 >= 100 } == kept, "connection \(connection), round \(round)")
      }
    }
    board.stop()
    ended.wait()
    #expect(cores.allSatisfy { $0.passes > 0 })
  }
}
