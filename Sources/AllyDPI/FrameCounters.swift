internal import AllyPacket

/// What an engine counts by frame and by rule.
@safe
struct FrameCounters: ~Copyable {
  private var packets: UInt64 = 0
  private var bytes: UInt64 = 0
  private var accepted: UInt64 = 0
  private var dropped: UInt64 = 0
  private var rejected: UInt64 = 0
  private(set) var alerts: UInt64 = 0
  private let alertsByRecord: UnsafeMutablePointer<UInt64>
  private let recordCount: Int
  /// Alerts of rules before the last reload, by generator and signature id.
  private var former: [UInt64: (sid: UInt32, gid: UInt32, message: String, count: UInt64)] = [:]

  init(recordCount: Int) {
    self.recordCount = recordCount
    unsafe alertsByRecord = .allocate(capacity: max(1, recordCount))
    unsafe alertsByRecord.initialize(repeating: 0, count: max(1, recordCount))
  }

  deinit { unsafe alertsByRecord.deallocate() }

  /// Goes on with what was counted under other rules.
  ///
  /// - Parameter records: those rules'.
  mutating func takeOver(from counters: borrowing FrameCounters, records: [SignatureRecord]) {
    var statistics = DPIStatistics()
    counters.fill(&statistics, records: records)
    packets = statistics.packets
    bytes = statistics.bytes
    accepted = statistics.accepted
    dropped = statistics.dropped
    rejected = statistics.rejected
    alerts = counters.alerts
    for rule in statistics.alertsBySignature { former[FrameCounters.key(rule.gid, rule.sid)] = rule }
  }

  private static func key(_ gid: UInt32, _ sid: UInt32) -> UInt64 { UInt64(gid) << 32 | UInt64(sid) }

  mutating func count(_ verdict: Verdict, bytes: Int) {
    packets &+= 1
    self.bytes &+= UInt64(bytes)
    switch verdict {
    case .accept, .replace: accepted &+= 1
    case .drop: dropped &+= 1
    case .reject: rejected &+= 1
    }
  }

  mutating func countAlert(of record: UInt32) {
    precondition(record < recordCount)
    alerts &+= 1
    unsafe alertsByRecord[Int(record)] &+= 1
  }

  func fill(_ statistics: inout DPIStatistics, records: [SignatureRecord]) {
    statistics.packets = packets
    statistics.bytes = bytes
    statistics.accepted = accepted
    statistics.dropped = dropped
    statistics.rejected = rejected
    var former = former
    for (index, record) in records.enumerated() where index < recordCount {
      // `index` was just compared with the number of counters.
      let before = former.removeValue(forKey: FrameCounters.key(record.gid, record.sid))?.count ?? 0
      let count = unsafe alertsByRecord[index] &+ before
      if count > 0 { statistics.alertsBySignature.append((record.sid, record.gid, record.message, count)) }
    }
    statistics.alertsBySignature += former.values
    statistics.alertsBySignature.sort { ($1.count, $0.sid) < ($0.count, $1.sid) }
  }
}
