import AllyHW
import AllyPacket
import CAllyLinux
import Foundation
import Glibc
import Synchronization

@testable import AllyHost

/// Both ends of an inspector in another process, without the process: the inspector is a thread, or the test itself as one that
/// means harm, and the test is the one that starts it.
final class InspectionBench: @unchecked Sendable {
  // Shared with the threads; each of its parts is made before they begin, or is a lock.
  let link: InspectorLink
  let area: InspectionArea
  let memory: MappedMemory
  let events = EventList()
  private let areaMemory: MappedMemory
  private let areaFile: OwnedFile
  private let frameFile: OwnedFile
  private let inspectorWake: Int32
  private let interceptorWake: Int32
  private let starter: Int32
  private let thread = DispatchSemaphore(value: 0)
  /// The other end of what the present inspector takes for the interceptor's life.
  private let life = Mutex<Int32>(-1)

  final class EventList: Sendable {
    private let list = Mutex<[String]>([])
    func append(_ event: InspectorLink.Event) { list.withLock { $0.append("\(event)") } }
    var all: [String] { list.withLock { $0 } }
  }

  /// What stands for an inspector's process: returns its exit status.
  typealias Body = @Sendable (_ number: UInt32, _ bench: InspectionBench) -> Int32

  init(
    failure: InspectorFailure = .closed, timeout: UInt64 = 20_000_000_000, memoryLength: UInt64 = 1 << 20,
    _ body: @escaping Body
  ) throws {
    areaFile = OwnedFile(unsafe ally_memory_file("area"))
    ftruncate(areaFile.number, InspectionArea.length)
    areaMemory = try MappedMemory(
      areaFile.number, offset: 0, length: UInt64(InspectionArea.length), rights: .readWrite)
    area = unsafe InspectionArea(areaMemory.storage)
    frameFile = OwnedFile(unsafe ally_memory_file("frames"))
    let first = try WakeUp()
    let second = try WakeUp()
    inspectorWake = dup(first.descriptor)
    interceptorWake = dup(second.descriptor)
    var ends: [Int32] = [-1, -1]
    unsafe socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0, &ends)
    starter = ends[1]
    let events = events
    link = InspectorLink(
      area: areaMemory, inspectorWake: first, interceptorWake: second, life: OwnedFile(-1), socket: OwnedFile(ends[0]),
      frameFiles: [OwnedFile(dup(frameFile.number))], failure: failure, timeout: timeout, tell: { events.append($0) })
    memory = try link.makeFrameMemory(memoryLength)
    Thread.detachNewThread { self.start(body) }
  }

  /// Stands for ``InspectorStarter``.
  private func start(_ body: @escaping Body) {
    while true {
      var bytes = [UInt8](repeating: 0, count: InspectorStarter.orderLength)
      guard unsafe read(starter, &bytes, bytes.count) == bytes.count, let order = InspectorStarter.Order(bytes) else {
        break
      }
      switch order {
      case .kill: endLife()
      case .start(let number):
        Thread.detachNewThread {
          let status = body(number, self)
          let report = InspectorStarter.littleEndian(UInt32(bitPattern: status))
          _ = unsafe write(self.starter, report, report.count)
        }
      }
    }
    close(starter)
    thread.signal()
  }

  private func endLife() {
    life.withLock {
      if $0 >= 0 { close($0) }
      $0 = -1
    }
  }

  /// A seat as an inspector's process has one, in this one.
  func seat(_ number: UInt32) throws -> InspectorSeat {
    var ends: [Int32] = [-1, -1]
    unsafe pipe(&ends)
    life.withLock { $0 = ends[1] }
    return InspectorSeat(
      area: areaMemory, inspectorWake: WakeUp(dup(inspectorWake)), interceptorWake: WakeUp(dup(interceptorWake)),
      life: OwnedFile(ends[0]), frameFiles: [OwnedFile(dup(frameFile.number))], number: number)
  }

  /// What an inspector's process does, with the inspector that `make` makes.
  static func serving<Inspector: PacketInspector & SendableMetatype & ~Copyable>(
    _ make: @escaping @Sendable (_ number: UInt32) -> Inspector
  ) -> Body {
    { number, bench in
      do {
        var inspector = make(number)
        try bench.seat(number).run(inspecting: &inspector) { _ in true }
        return 0
      } catch {
        return 70
      }
    }
  }

  func withFrameFile<Result>(_ body: (Int32) -> Result) -> Result { body(frameFile.number) }

  /// Says that an inspector is ready, as a hostile one would.
  func claimReady(_ number: UInt32) {
    area.store(number, .ready)
    wakeInterceptor()
  }

  func wakeInterceptor() {
    var one: UInt64 = 1
    _ = unsafe write(interceptorWake, &one, 8)
  }

  /// Waits, as a hostile inspector, for as many frames; false when it is killed first. It looks, because what wakes inspectors
  /// is what is tested.
  func awaitSubmitted(_ count: UInt32) -> Bool {
    for _ in 0..<20_000 {
      if area.load(.submitted) &- count < 1 << 31 { return true }
      usleep(500)
    }
    return false
  }

  /// Ends everything.
  func end() -> Int32? {
    let status = link.end()
    endLife()
    thread.wait()
    close(inspectorWake)
    close(interceptorWake)
    return status
  }

  /// Waits until the link says that there is an inspector, which it finds out when it is asked to look.
  func awaitReady(_ times: Int) {
    for _ in 0..<20_000 where events.all.count(where: { $0 == "began" }) < times {
      link.look()
      usleep(500)
    }
  }
}

/// A frame somewhere in memory.
@safe
struct BenchFrame {
  /// Invariant: whoever made it keeps `count` bytes there.
  private let start: UnsafeRawPointer
  private let count: Int
  private let stamp: FrameStamp

  @unsafe
  init(_ start: UnsafeRawPointer, count: Int, time: UInt64 = 1, ordinal: Int) {
    unsafe self.start = start
    self.count = count
    stamp = FrameStamp(time: time, ordinal: UInt64(ordinal), lengthOnWire: UInt32(count))
  }

  func withPacket<Result>(_ body: (borrowing Packet) -> Result) -> Result {
    let bytes = unsafe UnsafeRawBufferPointer(start: start, count: count).bytes
    return body(Packet(bytes: bytes, stamp: stamp, direction: .receive))
  }
}

extension PacketInspector where Self: ~Copyable {
  mutating func announce(_ frame: BenchFrame) { frame.withPacket { announce($0) } }
  mutating func inspect(_ frame: BenchFrame) -> Verdict { frame.withPacket { inspect($0) } }
  mutating func inspect(_ frame: BenchFrame, answering answers: inout FrameAnswers) -> Verdict {
    frame.withPacket { inspect($0, answering: &answers) }
  }
}

extension InspectionBench {
  /// A frame of 64 bytes in memory that the inspector sees, at a place of its own; its first bytes are its number.
  func put(_ number: Int) -> BenchFrame {
    let place = unsafe memory.storage + (number * 64) % (memory.length - 64)
    unsafe place.initializeMemory(as: UInt8.self, repeating: UInt8(truncatingIfNeeded: number), count: 64)
    unsafe place.storeBytes(of: UInt32(number), as: UInt32.self)
    return frame(number)
  }

  /// A frame that was put there before.
  func frame(_ number: Int) -> BenchFrame {
    unsafe BenchFrame(memory.storage + (number * 64) % (memory.length - 64), count: 64, ordinal: number)
  }

  /// Any bytes in memory that the inspector sees.
  func put(_ bytes: [UInt8], at offset: Int, time: UInt64, ordinal: Int) -> BenchFrame {
    let place = unsafe memory.storage + offset
    unsafe bytes.withUnsafeBytes { unsafe place.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    return unsafe BenchFrame(place, count: bytes.count, time: time, ordinal: ordinal)
  }
}
