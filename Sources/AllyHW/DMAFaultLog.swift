/// The IOMMU's record of refused accesses: bounded, and limited by rate for each requester, so that a device that floods
/// it neither fills it with its own faults only nor keeps the DPI core busy.
///
/// Every fault is counted; one is recorded as long as its requester has credit and there is room. A requester's credit is
/// ``burst`` records, and comes back at one for each ``interval`` that passes. Requesters that fall into the same of 64
/// classes share their credit.
@frozen
public struct DMAFaultLog: Sendable, BitwiseCopyable {
  /// How many records can wait.
  public static var capacity: Int { 64 }
  /// How many records of one requester may come at once.
  public static var burst: UInt32 { 8 }
  /// Nanoseconds until a requester may have one more.
  public static var interval: UInt64 { 1_000_000 }

  private var records: InlineArray<64, DMAFaultRecord>
  private var first: Int
  /// How many records wait.
  public private(set) var count: Int
  /// Faults that were not recorded because their requester had no credit.
  public private(set) var suppressed: UInt64
  /// Faults that were not recorded because nobody took the records out in time.
  public private(set) var overflowed: UInt64
  private var credit: InlineArray<64, UInt32>
  /// Up to when each class's credit has been topped up, in nanoseconds.
  private var creditedUntil: InlineArray<64, UInt64>
  private var now: UInt64

  @usableFromInline
  init() {
    let nothing = DMAFaultRecord(
      requester: RequesterID(rawValue: 0), address: BusAddress(0), rights: [], cause: .badRange)
    records = .init(repeating: nothing)
    first = 0
    count = 0
    suppressed = 0
    overflowed = 0
    credit = .init(repeating: Self.burst)
    creditedUntil = .init(repeating: 0)
    now = 0
  }

  /// The clock moves on; a time before the last one changes nothing.
  mutating func advance(to nanoseconds: UInt64) { now = max(now, nanoseconds) }

  mutating func append(_ record: DMAFaultRecord) {
    let requester = record.requester.rawValue
    let place = Int((requester ^ requester >> 6) & 63)
    let earned = (now &- creditedUntil[place]) / Self.interval
    if earned > 0 {
      credit[place] = UInt32(min(UInt64(Self.burst), UInt64(credit[place]) &+ min(earned, UInt64(Self.burst))))
      creditedUntil[place] &+= earned &* Self.interval
    }
    guard credit[place] > 0 else {
      suppressed &+= 1
      return
    }
    credit[place] &-= 1
    guard count < Self.capacity else {
      overflowed &+= 1
      return
    }
    records[(first &+ count) % Self.capacity] = record
    count &+= 1
  }

  mutating func removeFirst() -> DMAFaultRecord? {
    guard count > 0 else { return nil }
    let record = records[first]
    first = (first &+ 1) % Self.capacity
    count &-= 1
    return record
  }
}
