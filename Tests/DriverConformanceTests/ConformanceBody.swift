import AllyAppliance
import AllyDrivers
import AllyHW
import AllyHost
import AllyRings
import AllySimulator
import Glibc
import Testing

/// What every NIC has to hold, whoever wrote it.
extension ConformanceBed where Virtualizer: ~Copyable, NIC: ~Copyable, OSDriver: ~Copyable {
  /// Rounds without progress after which a test gives up: each lets a good deal of the NIC's time pass.
  private static var patience: Int { 3000 }

  /// Frames each way at once, of mixed size; those that the inspector lets through arrive in order, none lost, doubled or
  /// changed.
  mutating func exchange(_ count: UInt32, jumbo: Bool) {
    start()
    let inspector = inspector
    let expected = (0..<count).filter { !inspector.drops($0) }
    var offered: UInt32 = 0
    var posted: UInt32 = 0
    var toOS = Arrivals(expected, jumbo: jumbo)
    var toWire = Arrivals(expected, jumbo: jumbo)
    var idle = 0
    while idle < Self.patience, !toOS.isComplete || !toWire.isComplete || offered < count || posted < count {
      let before = (offered, posted, toOS.next, toWire.next)
      // A frame that needs more descriptors than there are is lost by right (82540EM: RXO); so jumbo frames do not come
      // faster than they are taken.
      while offered < count, !jumbo || Int(offered) < self.inspector.received + 48 {
        guard offer(TestFrame.make(offered, length: TestFrame.length(offered, jumbo: jumbo))) else { break }
        offered += 1
      }
      // A few at a time, so that both directions are busy.
      for _ in 0..<32 where posted < count {
        guard send(TestFrame.make(posted, length: TestFrame.length(posted, jumbo: jumbo))) else { break }
        posted += 1
      }
      turn(delivered: { toOS.take(copy($0)) }, sent: { toWire.take(Array($0)) })
      idle = before == (offered, posted, toOS.next, toWire.next) ? idle + 1 : 0
      if idle > 16 { usleep(1000) }
    }
    // What would come twice comes now.
    for _ in 0..<20 { turn(delivered: { toOS.take(copy($0)) }, sent: { toWire.take(Array($0)) }) }

    #expect(offered == count && posted == count)
    #expect(toOS.problems == [], "from the wire to the OS")
    #expect(toWire.problems == [], "from the OS to the wire")
    #expect(toOS.next == expected.count && toWire.next == expected.count)
    #expect(self.inspector.received == Int(count))
    #expect(self.inspector.transmitted == Int(count))
    let counters = os.intercepted.counters
    #expect(counters.core.nicInterrupts > 0 && counters.core.osInterrupts > 0)
    #expect(counters.receive.faults.total == 0 && counters.transmit.faults.total == 0)
    #expect(os.faults == 0)
  }
}

extension ConformanceBed where Virtualizer: ~Copyable, NIC: ~Copyable, OSDriver: ~Copyable {
  /// The OS resets its NIC in mid-traffic, and sets it up again. What was completed before is neither lost nor doubled; what
  /// was on its way is lost at most, and once; afterwards order and content are exact.
  ///
  /// - Parameter unfinished: frames that the driver has posted and not seen completed; each has one descriptor.
  mutating func resetInTheMiddle(unfinished: (borrowing OSDriver) -> UInt32) {
    start()
    let inspector = inspector
    var toOS = Sequence()
    var toWire = Sequence()
    var offered: UInt32 = 0
    var posted: UInt32 = 0
    var idle = 0
    // More is on its way than has arrived when the reset comes.
    while idle < Self.patience, toOS.numbers.count < 500 || toWire.numbers.count < 500 {
      let before = (toOS.numbers.count, toWire.numbers.count)
      for _ in 0..<64 where offer(TestFrame.make(offered, length: TestFrame.length(offered, jumbo: false))) {
        offered += 1
      }
      for _ in 0..<32 where send(TestFrame.make(posted, length: TestFrame.length(posted, jumbo: false))) {
        posted += 1
      }
      turn(delivered: { toOS.take(copy($0)) }, sent: { toWire.take(Array($0)) })
      idle = before == (toOS.numbers.count, toWire.numbers.count) ? idle + 1 : 0
      if idle > 16 { usleep(1000) }
    }
    for _ in 0..<20 where send(TestFrame.make(posted, length: 60)) { posted += 1 }
    let completed = posted - unfinished(osDriver)
    start(delivered: { toOS.take(copy($0)) }, sent: { toWire.take(Array($0)) })
    let begin: UInt32 = 1_000_000
    let end = begin + 1000
    let expected = (begin..<end).filter { !inspector.drops($0) }
    var offeredAgain = begin
    var postedAgain = begin
    idle = 0
    while idle < Self.patience, toOS.count(from: begin) < expected.count || toWire.count(from: begin) < expected.count {
      let before = (offeredAgain, postedAgain, toOS.numbers.count, toWire.numbers.count)
      while offeredAgain < end, offer(TestFrame.make(offeredAgain, length: 60)) { offeredAgain += 1 }
      for _ in 0..<32 where postedAgain < end {
        guard send(TestFrame.make(postedAgain, length: 60)) else { break }
        postedAgain += 1
      }
      turn(delivered: { toOS.take(copy($0)) }, sent: { toWire.take(Array($0)) })
      idle = before == (offeredAgain, postedAgain, toOS.numbers.count, toWire.numbers.count) ? idle + 1 : 0
      if idle > 16 { usleep(1000) }
    }
    for _ in 0..<20 { turn(delivered: { toOS.take(copy($0)) }, sent: { toWire.take(Array($0)) }) }

    #expect(toOS.problems == [], "from the wire to the OS")
    #expect(toWire.problems == [], "from the OS to the wire")
    #expect(toOS.numbers.filter { $0 >= begin } == expected)
    #expect(toWire.numbers.filter { $0 >= begin } == expected)
    // What the driver saw completed has reached the wire, all of it.
    let sent = Set(toWire.numbers)
    #expect(completed > 0)
    #expect((0..<completed).filter { !inspector.drops($0) && !sent.contains($0) } == [])
    // Order is strict, so that nothing is there twice; what is missing was on its way at the reset, in one piece.
    let arrived = Set(toOS.numbers)
    let missing = (0..<offered).filter { !inspector.drops($0) && !arrived.contains($0) }
    if let first = missing.first, let last = missing.last {
      #expect(!toOS.numbers.contains { $0 > first && $0 < last }, "frames were lost at two times")
    }
    #expect(os.faults == 0)
  }
}

/// Frames whose numbers grow.
struct Sequence {
  private(set) var numbers: [UInt32] = []
  private(set) var problems: [String] = []

  func count(from number: UInt32) -> Int { numbers.reversed().prefix { $0 >= number }.count }

  mutating func take(_ frame: [UInt8]) {
    guard problems.count < 5 else { return }
    guard let number = TestFrame.number(in: frame), frame == TestFrame.make(number, length: frame.count) else {
      problems.append("a frame of \(frame.count) bytes that nobody sent")
      return
    }
    if let last = numbers.last, number <= last { problems.append("\(number) after \(last)") }
    numbers.append(number)
  }
}

/// Frames in the order in which they come, held against those that are due.
struct Arrivals {
  let expected: [UInt32]
  let jumbo: Bool
  /// How many of the expected came.
  private(set) var next = 0
  private(set) var problems: [String] = []

  init(_ expected: [UInt32], jumbo: Bool) {
    self.expected = expected
    self.jumbo = jumbo
  }

  var isComplete: Bool { next == expected.count }

  mutating func take(_ frame: [UInt8]) {
    // A few say it all.
    guard problems.count < 5 else { return }
    guard next < expected.count else {
      problems.append("a frame too many: \(TestFrame.number(in: frame) ?? 0)")
      return
    }
    let number = expected[next]
    next += 1
    guard frame == TestFrame.make(number, length: TestFrame.length(number, jumbo: jumbo)) else {
      let found = TestFrame.number(in: frame).map(String.init) ?? "no number"
      problems.append("\(found) with \(frame.count) bytes, expected \(number)")
      return
    }
  }
}

/// The bytes of a frame, to keep.
func copy(_ bytes: RawSpan) -> [UInt8] { unsafe bytes.withUnsafeBytes { unsafe Array($0) } }
