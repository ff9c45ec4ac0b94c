internal import Glibc

/// What evaluating each rule costs, measured on one packet of ``interval``: cheap enough to be always on.
@safe
struct RuleCosts: ~Copyable {
  struct Cost: BitwiseCopyable {
    var evaluations: UInt64 = 0
    var matches: UInt64 = 0
    var nanoseconds: UInt64 = 0
  }

  /// Packets for each one that is measured: a prime, so that traffic with a rhythm is met at all of its beats.
  static var interval: UInt32 { 61 }

  /// By record.
  private let costs: UnsafeMutablePointer<Cost>
  private let recordCount: Int
  private var packetsLeft = interval
  /// Whether the packet in hand is measured.
  private(set) var isMeasuring = false

  init(recordCount: Int) {
    self.recordCount = recordCount
    unsafe costs = .allocate(capacity: max(1, recordCount))
    unsafe costs.initialize(repeating: Cost(), count: max(1, recordCount))
  }

  deinit { unsafe costs.deallocate() }

  /// A packet begins.
  @inline(__always)
  mutating func begin() {
    packetsLeft &-= 1
    isMeasuring = packetsLeft == 0
    if isMeasuring { packetsLeft = RuleCosts.interval }
  }

  /// The clock that ``count(_:since:isMatch:)`` goes by, in nanoseconds.
  static var now: UInt64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(bitPattern: Int64(time.tv_sec)) &* 1_000_000_000 &+ UInt64(bitPattern: Int64(time.tv_nsec))
  }

  /// Counts an evaluation of a rule.
  mutating func count(_ record: UInt32, since start: UInt64, isMatch: Bool) {
    precondition(Int(record) < recordCount)
    // `record` was just compared with the number of costs.
    unsafe costs[Int(record)].evaluations &+= 1
    unsafe costs[Int(record)].nanoseconds &+= RuleCosts.now &- start
    if isMatch { unsafe costs[Int(record)].matches &+= 1 }
  }

  /// What was measured of a record.
  subscript(record: Int) -> Cost {
    precondition(record >= 0 && record < recordCount)
    return unsafe costs[record]
  }
}

/// What a rule costs, as far as it was measured (``DPIEngine/ruleCosts``).
public struct RuleCost: Sendable {
  public var gid: UInt32
  public var sid: UInt32
  public var rev: UInt32
  public var message: String
  /// Evaluations that were measured: about one of ``measuredShare``.
  public var evaluations: UInt64
  /// How many of them matched.
  public var matches: UInt64
  /// What they took together, in nanoseconds.
  public var nanoseconds: UInt64

  /// One packet of so many is measured.
  public static var measuredShare: UInt64 { UInt64(RuleCosts.interval) }
}
