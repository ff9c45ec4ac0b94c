internal import AllyPacket

/// ``Tag``, flat.
struct TagRule: BitwiseCopyable, Sendable {
  var scope: Scope
  var unit: Tag.Unit
  var count: UInt32

  enum Scope: BitwiseCopyable, Sendable { case session, sourceHost, destinationHost }

  init(_ tag: Tag) {
    switch tag.scope {
    case .session: scope = .session
    case .sourceHost: scope = .sourceHost
    case .destinationHost: scope = .destinationHost
    }
    unit = tag.unit
    count = tag.count
  }
}

/// Whose packets are recorded after an alert of a rule with `tag`: a bounded table of flows and hosts.
struct TagTable: ~Copyable {
  struct Entry: BitwiseCopyable {
    var unit: Tag.Unit
    var limit: UInt32
    /// Packets or bytes so far.
    var count: UInt64
    /// Nanoseconds.
    var start: UInt64
    /// The packet that raised the alert counts and has a record already.
    var isFirst: Bool
  }

  private var table: TrackTable<Entry>
  /// Whether anything was ever tagged.
  private(set) var isActive = false

  init(capacity: Int, seed: UInt64) {
    table = TrackTable(
      capacity: capacity, seed: seed, empty: Entry(unit: .packets, limit: 0, count: 0, start: 0, isFirst: false))
  }

  /// Goes on with what another has tagged.
  mutating func takeOver(from former: inout TagTable) {
    table.takeOver(from: &former.table)
    isActive = former.isActive
  }

  mutating func start(_ rule: TagRule, for packet: DecodedPacket, flow: UInt64, at time: UInt64) {
    guard let key = TagTable.key(rule.scope, packet, flow) else { return }
    isActive = true
    // An alert in a tagged conversation begins nothing anew.
    if table.value(for: key, at: time) != nil { return }
    table.store(Entry(unit: rule.unit, limit: rule.count, count: 0, start: time, isFirst: true), for: key, at: time)
  }

  /// Counts a packet; once for each packet, after its alerts.
  ///
  /// - Returns: whether the packet is tagged.
  mutating func count(_ packet: DecodedPacket, flow: UInt64, at time: UInt64) -> Bool {
    var isTagged = false
    for scope in [TagRule.Scope.session, .sourceHost, .destinationHost] {
      guard let key = TagTable.key(scope, packet, flow), var entry = table.value(for: key, at: time) else { continue }
      entry.count &+= entry.unit == .bytes ? UInt64(packet.accountedLength) : 1
      let isOver =
        switch entry.unit {
        case .packets, .bytes: entry.count > UInt64(entry.limit)
        case .seconds: time / 1_000_000_000 &- entry.start / 1_000_000_000 > UInt64(entry.limit)
        }
      if entry.isFirst {
        entry.isFirst = false
      } else if isOver {
        table.remove(key)
        continue
      } else {
        isTagged = true
      }
      table.store(entry, for: key, at: time)
    }
    return isTagged
  }

  private static func key(_ scope: TagRule.Scope, _ packet: DecodedPacket, _ flow: UInt64) -> TrackKey? {
    switch scope {
    case .session: flow == 0 ? nil : TrackKey(number: 0, scope: 5, first: IPAddress(high: 0, low: flow))
    case .sourceHost: packet.ipVersion == 0 ? nil : TrackKey(number: 0, scope: 6, first: packet.source)
    case .destinationHost: packet.ipVersion == 0 ? nil : TrackKey(number: 0, scope: 6, first: packet.destination)
    }
  }
}
