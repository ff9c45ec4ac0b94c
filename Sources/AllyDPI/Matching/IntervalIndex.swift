internal import AllyPacket

/// Which signatures apply to a port or an address: a sorted list of places at which the answer changes, and the answer
/// for each interval between two of them.
struct IntervalIndex<Bound: BitwiseCopyable & Comparable & Sendable>: BitwiseCopyable, Sendable {
  /// Into a table of first values, ascending.
  private var boundaries: TableRange
  /// Into a table of lists: one for the values before the first boundary, then one for each boundary.
  private var firstList: UInt32

  /// An index that never has a list.
  static var empty: IntervalIndex { IntervalIndex(boundaries: .empty, firstList: 0) }

  private init(boundaries: TableRange, firstList: UInt32) {
    self.boundaries = boundaries
    self.firstList = firstList
  }

  /// The signatures for a value.
  @inline(__always)
  func list(for value: Bound, in bounds: ConstantTable<Bound>, _ lists: ConstantTable<TableRange>) -> TableRange {
    if boundaries.isEmpty { return .empty }
    let place = bounds.firstIndex(above: value, from: Int(boundaries.start), count: Int(boundaries.count))
    return lists[Int(firstList) &+ place &- Int(boundaries.start)]
  }

  /// Builds an index.
  ///
  /// - Parameters:
  ///   - entries: intervals, both ends included, and the signature that applies in each.
  ///   - successor: the next value; nil behind the last one.
  ///   - bounds, lists, candidates: where the index's parts are appended.
  init(
    _ entries: [(first: Bound, last: Bound, signature: UInt32)], successor: (Bound) -> Bound?, bounds: inout [Bound],
    lists: inout [TableRange], candidates: inout [UInt32]
  ) {
    var changes: [(at: Bound, signature: UInt32, isStart: Bool)] = []
    for entry in entries {
      changes.append((entry.first, entry.signature, true))
      if let after = successor(entry.last) { changes.append((after, entry.signature, false)) }
    }
    changes.sort { $0.at < $1.at }
    boundaries = TableRange(start: UInt32(bounds.count), count: 0)
    firstList = UInt32(lists.count)
    if changes.isEmpty { return }
    lists.append(.empty)
    // How often each signature is open: lists of one signature do not overlap, but may touch.
    var open: [UInt32: Int] = [:]
    var index = 0
    while index < changes.count {
      let place = changes[index].at
      while index < changes.count, changes[index].at == place {
        let change = changes[index]
        let depth = open[change.signature, default: 0] + (change.isStart ? 1 : -1)
        open[change.signature] = depth == 0 ? nil : depth
        index += 1
      }
      bounds.append(place)
      boundaries.count += 1
      lists.append(candidates.appendRun(open.keys.sorted()))
    }
  }
}

extension AddressList {
  /// Whether the list holds so many addresses that most packets may meet it: more than a /8 of IPv4, or a /32 of IPv6.
  var isBroad: Bool {
    included.contains { range in
      range.first.isIPv4 && range.last.isIPv4
        ? range.last.v4Bits - range.first.v4Bits >= 1 << 24 : range.last.high - range.first.high >= 1 << 32
    }
  }
}
