internal import AllyPacket

/// Counts matches for `threshold`, `detection_filter` and `rate_filter`, and decides what becomes of each. The cases are
/// Suricata's.
struct ThresholdCounter: ~Copyable {
  /// What becomes of a match.
  enum Outcome {
    /// Record and actions.
    case alert
    /// Actions without a record.
    case silent
    /// Neither.
    case nothing
    /// Record, with the actions of the rate filter.
    case replaced
  }

  /// What is counted, and for whom.
  struct Subject {
    /// The rule's ``DetectionTables/identities``: both directions of a rule count together.
    var rule: UInt32
    var source: IPAddress
    var destination: IPAddress
    /// The flow's identifier; 0 without a flow.
    var flow: UInt64
  }

  /// One subject's matches so far.
  struct Count: BitwiseCopyable {
    var start: UInt64
    var count: UInt32
    /// When the rate filter began to act; 0 when it does not.
    var replacedSince: UInt64
  }

  private static var second: UInt64 { 1_000_000_000 }
  private var table: TrackTable<Count>

  /// Counts that gave way to others because the table was full.
  var evictions: UInt64 { table.evictions }

  init(capacity: Int, seed: UInt64) {
    table = TrackTable(capacity: capacity, seed: seed, empty: Count(start: 0, count: 0, replacedSince: 0))
  }

  /// Goes on with what another counted.
  mutating func takeOver(from former: inout ThresholdCounter) {
    table.takeOver(from: &former.table)
  }

  /// - Parameter place: which of the rule's thresholds it is: each counts for itself.
  mutating func count(_ subject: Subject, by rule: ThresholdRule, place: UInt32, at time: UInt64) -> Outcome {
    let key = ThresholdCounter.key(for: subject, track: rule.track, scope: (place & 15) << 8)
    var entry: Count
    if let known = table.value(for: key, at: time),
      time <= known.start &+ UInt64(rule.seconds) &* ThresholdCounter.second
    {
      entry = known
      entry.count &+= 1
    } else {
      entry = Count(start: time, count: 1, replacedSince: 0)
    }
    let outcome: Outcome
    switch rule.kind {
    case .limit: outcome = entry.count <= rule.count ? .alert : .silent
    case .threshold:
      outcome = entry.count >= rule.count ? .alert : .nothing
      if outcome == .alert { entry.count = 0 }
    case .both: outcome = entry.count == rule.count ? .alert : (entry.count > rule.count ? .silent : .nothing)
    case .detectionFilter: outcome = entry.count > rule.count ? .alert : .nothing
    }
    table.store(entry, for: key, at: time)
    return outcome
  }

  mutating func count(_ subject: Subject, by rule: RateFilterRule, at time: UInt64) -> Outcome {
    let key = ThresholdCounter.key(for: subject, track: rule.track, scope: 1)
    guard var entry = table.value(for: key, at: time) else {
      table.store(Count(start: time, count: 1, replacedSince: 0), for: key, at: time)
      return rule.count == 0 ? .replaced : .alert
    }
    defer { table.store(entry, for: key, at: time) }
    if entry.replacedSince != 0 {
      if rule.timeout == 0 || time <= entry.replacedSince &+ UInt64(rule.timeout) &* ThresholdCounter.second {
        return .replaced
      }
      entry.replacedSince = 0
    }
    guard time <= entry.start &+ UInt64(rule.seconds) &* ThresholdCounter.second else {
      entry = Count(start: time, count: 1, replacedSince: 0)
      return .alert
    }
    entry.count &+= 1
    if entry.count > rule.count {
      entry.replacedSince = max(1, time)
      return .replaced
    }
    return .alert
  }

  private static func key(for subject: Subject, track: Threshold.Track, scope: UInt32) -> TrackKey {
    // Which side or sides are tracked belongs to the key: a rule and a rate filter may differ.
    switch track {
    case .bySource: TrackKey(number: subject.rule, scope: scope | 2, first: subject.source)
    case .byDestination: TrackKey(number: subject.rule, scope: scope | 4, first: subject.destination)
    case .byBoth: TrackKey.pair(number: subject.rule, scope: scope | 8, subject.source, subject.destination)
    case .byRule: TrackKey(number: subject.rule, scope: scope | 16)
    case .byFlow:
      TrackKey(number: subject.rule, scope: scope | 32, first: IPAddress(high: 0, low: subject.flow))
    }
  }
}
