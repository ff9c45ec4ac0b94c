import AllyDPI
import AllyHW
import AllyPacket
import CAllyLinux
import Foundation
import Glibc
import Synchronization
import Testing

@testable import AllyHost

/// An inspector in another process: what crosses, in which order, and what an inspector can do that ends, sleeps or means harm.
@Suite struct InspectionTests {
  /// Judges by the frame's number, which are its first four bytes, and notes the order.
  private struct Judge: PacketInspector {
    let seen: Seen
    static var actions: InspectorActions { .all }

    mutating func inspect(_ packet: borrowing Packet) -> Verdict {
      let number = unsafe packet.bytes.unsafeLoadUnaligned(as: UInt32.self)
      seen.list.withLock { $0.append(Int(number)) }
      return Self.verdict(Int(number))
    }

    mutating func inspect(_ packet: borrowing Packet, answering answers: inout FrameAnswers) -> Verdict {
      inspect(packet)
    }

    static func verdict(_ number: Int) -> Verdict { number % 3 == 0 ? .drop : number % 7 == 0 ? .reject : .accept }
  }

  private final class Seen: Sendable {
    let list = Mutex<[Int]>([])
    var all: [Int] { list.withLock { $0 } }
  }

  private func ask(_ remote: inout RemoteInspector<Judge>, _ bench: InspectionBench, _ number: Int) -> Verdict {
    remote.inspect(bench.put(number))
  }

  // MARK: - What crosses

  /// More than three times around the ring, in batches of every length up to more than it holds.
  @Test func verdictsComeInOrderWhateverTheBatches() throws {
    let seen = Seen()
    let bench = try InspectionBench(InspectionBench.serving { _ in Judge(seen: seen) })
    #expect(try bench.link.begin() == nil)
    var remote = RemoteInspector<Judge>(bench.link)
    var random = SeededGenerator(seed: 3)
    var number = 0
    for length in [1, 511, 512, 513, 700] + (0..<40).map({ _ in Int(random.next() % 100) + 1 }) {
      for index in 0..<length { remote.announce(bench.put(number + index)) }
      for index in 0..<length {
        let verdict = remote.inspect(bench.frame(number + index))
        #expect(verdict == Judge.verdict(number + index), "frame \(number + index)")
      }
      number += length
    }
    #expect(bench.end() == 0)
    let isInOrder = seen.all == Array(0..<number)
    #expect(isInOrder)
    #expect(bench.link.report.inspected == UInt64(number))
    #expect(bench.link.report.copies == 0)
    #expect(bench.link.report.undecided == 0)
    #expect(bench.link.report.withdrawn == 0)
    // What does not fit into the ring is asked one by one.
    #expect(bench.link.report.batches < 45 + 400)
    #expect(bench.link.report.inspectorWakeUps <= bench.link.report.batches)
  }

  @Test func aFrameThatLiesElsewhereIsCopied() throws {
    let seen = Seen()
    let bench = try InspectionBench(InspectionBench.serving { _ in Judge(seen: seen) })
    #expect(try bench.link.begin() == nil)
    var remote = RemoteInspector<Judge>(bench.link)
    let bytes = [UInt8](repeating: 0, count: 60)
    unsafe bytes.withUnsafeBytes {
      let elsewhere = unsafe BenchFrame($0.baseAddress!, count: 60, ordinal: 0)
      // Nor is what comes behind it announced before it.
      remote.announce(elsewhere)
      remote.announce(bench.put(1))
      let verdict = remote.inspect(elsewhere)
      #expect(verdict == .drop)
    }
    let next = remote.inspect(bench.frame(1))
    #expect(next == .accept)
    #expect(bench.end() == 0)
    #expect(seen.all == [0, 1])
    #expect(bench.link.report.copies == 1)
  }

  @Test func framesThatWereAnnouncedAndDoNotComeAreForgotten() throws {
    let seen = Seen()
    let bench = try InspectionBench(InspectionBench.serving { _ in Judge(seen: seen) })
    #expect(try bench.link.begin() == nil)
    var remote = RemoteInspector<Judge>(bench.link)
    for number in 0..<5 { remote.announce(bench.put(number)) }
    let first = remote.inspect(bench.frame(0))
    #expect(first == .drop)
    #expect(ask(&remote, bench, 9) == .drop)
    #expect(ask(&remote, bench, 10) == .accept)
    #expect(bench.end() == 0)
    #expect(seen.all == [0, 1, 2, 3, 4, 9, 10])
    #expect(bench.link.report.withdrawn == 4)
    #expect(bench.link.report.inspected == 3)
  }

  // MARK: - A keeper's worker after another

  @Test func aSuccessorGoesOnWithTheSameInspector() throws {
    let seen = Seen()
    let page = try KeeperPage()
    let bench = try InspectionBench(InspectionBench.serving { _ in Judge(seen: seen) })
    #expect(try bench.link.begin() == nil)
    bench.link.begin(page, hasPredecessor: false)
    var remote = RemoteInspector<Judge>(bench.link)
    var number = 0
    for left in [0, 3, 5] {
      // Five are under way, of which the worker has taken so many when it dies; in the end a sixth is not even submitted.
      for index in 0..<5 { remote.announce(bench.put(number + index)) }
      for index in 0..<(5 - left) {
        let verdict = remote.inspect(bench.frame(number + index))
        #expect(verdict == Judge.verdict(number + index))
      }
      if left > 0 { remote.announce(bench.put(number + 5)) }
      bench.link.begin(page, hasPredecessor: true)
      // The frames come again, and others.
      for index in (5 - left)..<12 { #expect(ask(&remote, bench, number + index) == Judge.verdict(number + index)) }
      number += 12
    }
    #expect(bench.end() == 0)
    #expect(Set(seen.all) == Set(0..<number))
    #expect(bench.link.report.undecided == 0)
    #expect(!bench.events.all.contains { $0.contains("misbehaved") || $0.contains("stuck") })
  }

  @Test func aSuccessorHearsThatTheInspectorHasEnded() throws {
    let page = try KeeperPage()
    let bench = try InspectionBench(failure: .open) { number, bench in
      guard number == 1 else { return InspectionBench.serving { _ in Judge(seen: Seen()) }(number, bench) }
      bench.claimReady(1)
      return bench.awaitSubmitted(1) ? 7 : 8
    }
    #expect(try bench.link.begin() == nil)
    bench.link.begin(page, hasPredecessor: false)
    var remote = RemoteInspector<Judge>(bench.link)
    // The worker dies with the verdict under way, and so does the inspector.
    #expect(ask(&remote, bench, 3) == .accept)
    bench.link.begin(page, hasPredecessor: true)
    bench.awaitReady(1)
    #expect(ask(&remote, bench, 3) == .drop)
    #expect(bench.link.report.restarts == 1)
    #expect(bench.end() == 0)
  }

  /// Replaces, injects both ways, and says how often it was asked.
  private struct Answerer: PacketInspector {
    static var actions: InspectorActions { .all }
    mutating func inspect(_ packet: borrowing Packet) -> Verdict { .accept }
    mutating func inspect(_ packet: borrowing Packet, answering answers: inout FrameAnswers) -> Verdict {
      let number = unsafe packet.bytes.unsafeLoadUnaligned(as: UInt32.self)
      let own = [UInt8](repeating: UInt8(number), count: 20 + Int(number))
      unsafe own.withUnsafeBytes {
        _ = unsafe answers.inject($0.bytes, towards: .receive, offloads: FrameOffloads(vlan: 5))
        _ = unsafe answers.inject($0.bytes, towards: .transmit)
      }
      return answers.replace(packet) { $0[20] = 0xEE } ? .replace : .drop
    }
  }

  /// Memory for answers, as rings have it.
  @safe
  private final class AnswerMemory {
    let scratch = UnsafeMutableRawPointer.allocate(byteCount: 4096, alignment: 16)
    let outboxes = UnsafeMutableRawPointer.allocate(byteCount: 2 * 4096, alignment: 16)
    init() { unsafe outboxes.initializeMemory(as: UInt8.self, repeating: 0, count: 2 * 4096) }
    deinit {
      unsafe scratch.deallocate()
      unsafe outboxes.deallocate()
    }
    func answers() -> FrameAnswers {
      unsafe FrameAnswers(
        scratch: scratch, capacity: 4096, towardsOS: FrameOutbox(storage: outboxes, length: 4096),
        towardsWire: FrameOutbox(storage: outboxes + 4096, length: 4096))
    }
  }

  private func frames(_ outbox: FrameOutbox) -> [(bytes: [UInt8], vlan: UInt16?)] {
    var all: [(bytes: [UInt8], vlan: UInt16?)] = []
    while let next = outbox.withFirst({ bytes, offloads in
      (unsafe bytes.withUnsafeBytes { unsafe Array($0) }, offloads.vlan)
    }) {
      all.append(next)
      outbox.removeFirst()
    }
    return all
  }

  @Test func whatAnInspectorAnswersCrossesToo() throws {
    let bench = try InspectionBench(InspectionBench.serving { _ in Answerer() })
    #expect(try bench.link.begin() == nil)
    var remote = RemoteInspector<Answerer>(bench.link)
    let memory = AnswerMemory()
    for number in 1...20 { remote.announce(bench.put(number)) }
    for number in 1...20 {
      var answers = memory.answers()
      answers.begin()
      let verdict = remote.inspect(bench.frame(number), answering: &answers)
      #expect(verdict == .replace)
      #expect(answers.replacementLength == 64)
      #expect(unsafe memory.scratch.load(fromByteOffset: 20, as: UInt8.self) == 0xEE)
      let (towardsOS, towardsWire) = (frames(answers.towardsOS), frames(answers.towardsWire))
      #expect(towardsOS.map(\.bytes) == [[UInt8](repeating: UInt8(number), count: 20 + number)])
      #expect(towardsOS.map(\.vlan) == [5])
      #expect(towardsWire.map(\.bytes) == [[UInt8](repeating: UInt8(number), count: 20 + number)])
    }
    #expect(bench.end() == 0)
    #expect(bench.link.report.refusedAnswers == 0)
  }

  @Test func theInspectorCannotWriteFrames() throws {
    let bench = try InspectionBench { _, _ in 0 }
    #expect(bench.withFrameFile { unsafe mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, $0, 0) == MAP_FAILED })
    #expect(bench.withFrameFile { unsafe write($0, "x", 1) } == -1)
    #expect(bench.withFrameFile { ftruncate($0, 0) } == -1)
    #expect(bench.withFrameFile { unsafe mmap(nil, 4096, PROT_READ, MAP_SHARED, $0, 0) != MAP_FAILED })
    _ = bench.end()
  }

  // MARK: - Death at each step

  @Test func anInspectorThatDoesNotBeginIsTold() throws {
    let bench = try InspectionBench { _, _ in 78 }
    #expect(try bench.link.begin() == 78)
    #expect(bench.end() == nil)
  }

  enum Step: String, CaseIterable, Sendable {
    /// It ends before it has looked, after some verdicts, and after it has written a verdict that it has not counted.
    case beforeTheFirst, betweenVerdicts, insideAVerdict
  }

  @Test(arguments: Step.allCases, [InspectorFailure.open, .closed])
  func anInspectorThatEndsIsReplaced(_ step: Step, _ failure: InspectorFailure) throws {
    let seen = Seen()
    let bench = try InspectionBench(failure: failure) { number, bench in
      guard number == 1 else { return InspectionBench.serving { _ in Judge(seen: seen) }(number, bench) }
      bench.claimReady(1)
      guard bench.awaitSubmitted(4) else { return 1 }
      if step != .beforeTheFirst {
        for place: UInt32 in 0..<2 { bench.area.setVerdict(UInt64(Verdict.reject.rawValue), place) }
        bench.area.store(2, .done)
        bench.wakeInterceptor()
      }
      if step == .insideAVerdict { bench.area.setVerdict(UInt64(Verdict.reject.rawValue), 2) }
      return 139
    }
    #expect(try bench.link.begin() == nil)
    var remote = RemoteInspector<Judge>(bench.link)
    for number in 0..<4 { remote.announce(bench.put(number)) }
    let verdicts = (0..<4).map { remote.inspect(bench.frame($0)) }
    let instead = failure == .open ? Verdict.accept : .drop
    #expect(verdicts[2...] == [instead, instead])
    let first = step == .beforeTheFirst ? instead : .reject
    #expect(verdicts[..<2] == [first, first], "what it had said before its end counts")
    bench.awaitReady(1)
    #expect(ask(&remote, bench, 6) == .drop)
    #expect(ask(&remote, bench, 7) == .reject)
    #expect(bench.end() == 0)
    #expect(seen.all == [6, 7])
    let report = bench.link.report
    #expect(report.ended == 1)
    #expect(report.restarts == 1)
    #expect(report.undecided == (step == .beforeTheFirst ? 4 : 2))
    #expect(report.inspected == 6 - report.undecided)
    #expect(bench.events.all == ["ended(status: 139)", "began"])
  }

  @Test(arguments: [InspectorFailure.open, .closed])
  func anInspectorThatIsStuckIsEndedAndReplaced(_ failure: InspectorFailure) throws {
    let seen = Seen()
    let isKilled = DispatchSemaphore(value: 0)
    let bench = try InspectionBench(failure: failure, timeout: 50_000_000) { number, bench in
      guard number == 1 else { return InspectionBench.serving { _ in Judge(seen: seen) }(number, bench) }
      bench.claimReady(1)
      isKilled.wait()
      return 137
    }
    #expect(try bench.link.begin() == nil)
    var remote = RemoteInspector<Judge>(bench.link)
    let instead = failure == .open ? Verdict.accept : .drop
    #expect((0..<3).map { ask(&remote, bench, $0) } == [instead, instead, instead])
    #expect(bench.link.report.stuck == 1)
    isKilled.signal()
    bench.awaitReady(1)
    // Under load a good one may take its time, too; not twice.
    #expect(
      (0..<100).contains { _ in
        ask(&remote, bench, 7) == .reject
          || {
            bench.awaitReady(2); return false
          }()
      })
    _ = bench.end()
    #expect(bench.link.report.ended == 0)
    #expect(bench.link.report.undecided >= 3)
  }

  // MARK: - An inspector that means harm

  enum Harm: String, CaseIterable, Sendable {
    /// More verdicts than frames, fewer than before, a verdict that is none, flags that are none.
    case more, fewer, unknownVerdict, unknownFlags
  }

  @Test(arguments: Harm.allCases)
  func nonsenseEndsTheInspector(_ harm: Harm) throws {
    let bench = try InspectionBench { number, bench in
      bench.claimReady(number)
      guard number == 1, bench.awaitSubmitted(1) else {
        // An inspector that does nothing until it is to end.
        while bench.area.load(.isOver) == 0 { usleep(500) }
        return 0
      }
      switch harm {
      case .more: bench.area.store(2, .done)
      case .fewer: bench.area.store(.max, .done)
      case .unknownVerdict:
        bench.area.setVerdict(4, 0)
        bench.area.store(1, .done)
      case .unknownFlags:
        bench.area.setVerdict(1 << 63, 0)
        bench.area.store(1, .done)
      }
      bench.wakeInterceptor()
      return 0
    }
    #expect(try bench.link.begin() == nil)
    var remote = RemoteInspector<Judge>(bench.link)
    #expect(ask(&remote, bench, 1) == .drop)
    #expect(bench.link.report.misbehaved == 1)
    #expect(bench.events.all == ["misbehaved"])
    _ = bench.end()
  }

  /// Answers of random bytes, which change while they are read: no trap, nothing outside of what they go to, and frames that are
  /// carried out are frames.
  @Test(arguments: 1...20)
  func anyAnswersAreSurvived(seed: Int) throws {
    let bench = try InspectionBench { number, bench in
      bench.claimReady(number)
      var random = SeededGenerator(seed: UInt64(seed))
      var done: UInt32 = 0
      while bench.area.load(.isOver) == 0 {
        guard bench.area.load(.submitted) != done else { continue }
        let answers = unsafe bench.area.answers
        for place in stride(from: 0, to: 4096, by: 4) {
          let value = random.next()
          let word = value & 7 == 0 ? UInt32(truncatingIfNeeded: value >> 8) : UInt32(value >> 8 & 0xFF)
          unsafe answers.storeBytes(of: word, toByteOffset: place, as: UInt32.self)
        }
        unsafe answers.storeBytes(of: UInt32(random.next() & 0xFFFF), as: UInt32.self)
        bench.area.setVerdict(random.next() & 3 | 0x100, done)
        done += 1
        bench.area.store(done, .done)
        bench.wakeInterceptor()
        // While the interceptor reads.
        for _ in 0..<200 {
          unsafe answers.storeBytes(
            of: UInt32(truncatingIfNeeded: random.next()), toByteOffset: Int(random.next() % 1024) * 4, as: UInt32.self)
        }
      }
      return 0
    }
    #expect(try bench.link.begin() == nil)
    var remote = RemoteInspector<Answerer>(bench.link)
    let memory = AnswerMemory()
    for number in 0..<200 {
      var answers = memory.answers()
      answers.begin()
      let verdict = remote.inspect(bench.put(number), answering: &answers)
      #expect(verdict != .replace || (14...4096).contains(answers.replacementLength), "seed \(seed)")
      for frame in frames(answers.towardsOS) + frames(answers.towardsWire) {
        #expect((14...4096).contains(frame.bytes.count), "seed \(seed)")
      }
    }
    #expect(bench.link.report.refusedAnswers > 0, "seed \(seed)")
    #expect(bench.end() == 0)
  }

  // MARK: - The engine

  private final class Records: RecordSink, Sendable {
    let lines = Mutex<[String]>([])
    func write(record: RawSpan) {
      let line = unsafe record.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
      lines.withLock { $0.append(line) }
    }
    /// What of alerts does not depend on when and where they were written.
    var alerts: [String] {
      lines.withLock { $0 }.compactMap { line in
        guard let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
          let alert = object["alert"] as? [String: Any]
        else { return nil }
        return ["pcap_cnt", "timestamp", "src_ip", "src_port", "dest_ip", "dest_port"].map { "\(object[$0] ?? "")" }
          .joined(separator: " ") + " \(alert["signature_id"] ?? "")"
      }
    }
  }

  /// The engine has a thread of its own from the first to the last.
  private struct Engine: PacketInspector, ~Copyable {
    var engine: DPIEngine
    init(_ records: Records) throws {
      let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Examples/Demo/")
      let rules = try Data(contentsOf: folder.appending(path: "demo.rules"))
      let configuration = DPIConfiguration()
      let report = RuleReader(configuration: configuration).read(Array(rules), file: "demo.rules")
      let program = try DetectionProgram(rules: report.rules, configuration: configuration)
      engine = try DPIEngine(program: program, configuration: configuration, sink: records)
    }
    static var actions: InspectorActions { DPIEngine.actions }
    mutating func inspect(_ packet: borrowing Packet) -> Verdict { engine.inspect(packet) }
    mutating func inspect(_ packet: borrowing Packet, answering answers: inout FrameAnswers) -> Verdict {
      engine.inspect(packet, answering: &answers)
    }
  }

  /// The frames of a capture in microseconds and this machine's byte order.
  private func demo() throws -> [(time: UInt64, bytes: [UInt8])] {
    let path = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Examples/Demo/demo.pcap")
    let data = [UInt8](try Data(contentsOf: path))
    func word(_ place: Int) -> UInt64 { data[place..<(place + 4)].reversed().reduce(0) { $0 << 8 | UInt64($1) } }
    #expect(word(0) == 0xA1B2_C3D4)
    var frames: [(UInt64, [UInt8])] = []
    var place = 24
    while place + 16 <= data.count {
      let length = Int(word(place + 8))
      frames.append(
        (word(place) * 1_000_000_000 + word(place + 4) * 1000, Array(data[(place + 16)..<(place + 16 + length)])))
      place += 16 + length
    }
    return frames
  }

  @Test func alertsAreThoseOfTheEngineHere() throws {
    let frames = try demo()
    let here = Records()
    var engine = try Engine(here)
    let memory = AnswerMemory()
    for (number, frame) in frames.enumerated() {
      var answers = memory.answers()
      unsafe frame.bytes.withUnsafeBytes {
        let frame = unsafe BenchFrame($0.baseAddress!, count: $0.count, time: frame.time, ordinal: number + 1)
        _ = engine.inspect(frame, answering: &answers)
      }
    }
    engine.engine.finish()

    let there = Records()
    let bench = try InspectionBench { number, bench in
      do {
        var engine = try Engine(there)
        try bench.seat(number).run(inspecting: &engine) { _ in true }
        engine.engine.finish()
        return 0
      } catch {
        return 70
      }
    }
    #expect(try bench.link.begin() == nil)
    var remote = RemoteInspector<Engine>(bench.link)
    // In batches of 32, which is what a pass may have.
    for start in stride(from: 0, to: frames.count, by: 32) {
      let batch = start..<min(start + 32, frames.count)
      var offset = 0
      let placed = batch.map { number in
        defer { offset += (frames[number].bytes.count + 63) & ~63 }
        return bench.put(frames[number].bytes, at: offset, time: frames[number].time, ordinal: number + 1)
      }
      for frame in placed { remote.announce(frame) }
      for frame in placed {
        var answers = memory.answers()
        _ = remote.inspect(frame, answering: &answers)
      }
    }
    #expect(bench.end() == 0)
    #expect(bench.link.report.inspected == UInt64(frames.count))
    #expect(bench.link.report.batches == UInt64((frames.count + 31) / 32))
    #expect(here.alerts.count > 30)
    #expect(there.alerts == here.alerts)
  }
}
