internal import AllyPacket

/// Which signatures are worth evaluating for a packet, by protocol and side: found through Hyperscan, or, when a
/// signature has no literal that is rare enough, through its ports.
struct PrefilterTables: Sendable {
  var groups: ConstantTable<PrefilterGroup>
  /// For each literal of each database, the signatures that have it, in `candidates`.
  var literalUses: ConstantTable<TableRange>
  var candidates: ConstantTable<UInt32>
  /// For the port indexes.
  var boundaries: ConstantTable<UInt16>
  var intervals: ConstantTable<TableRange>

  /// The group of a packet.
  @inline(__always)
  static func groupIndex(_ transport: TransportClass, _ side: FlowSide) -> Int {
    Int(transport.rawValue) &* 2 &+ Int(side.rawValue)
  }

  /// Frees everything; no copy may be used afterwards.
  @unsafe func deallocate() {
    for index in 0..<groups.count { unsafe groups[index].database?.deallocate() }
    unsafe groups.deallocate()
    unsafe literalUses.deallocate()
    unsafe candidates.deallocate()
    unsafe boundaries.deallocate()
    unsafe intervals.deallocate()
  }
}

/// The signatures for one protocol and side.
struct PrefilterGroup: BitwiseCopyable, Sendable {
  /// The rare literals; nil without any.
  var database: HyperscanDatabase?
  /// Index of the first literal's entry in ``PrefilterTables/literalUses``.
  var firstUse: UInt32
  /// All signatures that the database stands for: what must be evaluated when a scan is given up.
  var searched: TableRange
  /// Signatures without a rare literal: for any ports, …
  var always: TableRange
  /// … for certain destination ports, …
  var byDestination: PortIndex
  /// … or for certain source ports and any destination.
  var bySource: PortIndex
  /// Signatures on addresses alone, evaluated once for each side of a flow.
  var addresses: TableRange
  /// Signatures on decoder events alone.
  var decoderEvents: TableRange

  /// Lists of signatures by port.
  struct PortIndex: BitwiseCopyable, Sendable {
    /// The first ports of all intervals but the one that begins with 0, ascending.
    var boundaries: TableRange
    /// Index of the first interval's list; there is one more than there are boundaries. With no boundary there is no list.
    var firstInterval: UInt32

    static var empty: PortIndex { PortIndex(boundaries: .empty, firstInterval: 0) }

    /// The signatures for a port.
    @inline(__always)
    func list(for port: UInt16, in tables: PrefilterTables) -> TableRange {
      if boundaries.isEmpty { return .empty }
      var low = Int(boundaries.start)
      var high = low &+ Int(boundaries.count)
      while low < high {
        let middle = (low &+ high) / 2
        if tables.boundaries[middle] <= port { low = middle &+ 1 } else { high = middle }
      }
      return tables.intervals[Int(firstInterval) &+ low &- Int(boundaries.start)]
    }
  }
}

/// Builds ``PrefilterTables``: what is known about each signature goes in, one after the other.
struct PrefilterBuilder {
  /// A signature to be found.
  struct Entry {
    var signature: UInt32
    var kind: SignatureKind
    var protocolFilter: ProtocolFilter
    var flow: FlowRequirements
    var pattern: FastPattern?
    var sourcePorts: PortList
    var destinationPorts: PortList
  }

  private var entries: [Entry] = []
  private var literalUses: [TableRange] = []
  private var candidates: [UInt32] = []
  private var boundaries: [UInt16] = []
  private var intervals: [TableRange] = []

  mutating func add(_ entry: Entry) { entries.append(entry) }

  mutating func build(target: HyperscanDatabase.Target) throws(DetectionProgramError) -> PrefilterTables {
    var groups: [PrefilterGroup] = []
    for transport in TransportClass.allCases {
      for side in [FlowSide.toServer, .toClient] {
        let members = entries.filter { $0.protocolFilter.admits(transport) && $0.flow.admits(side) }
        groups.append(try buildGroup(members, target: target))
      }
    }
    return PrefilterTables(
      groups: ConstantTable(groups), literalUses: ConstantTable(literalUses), candidates: ConstantTable(candidates),
      boundaries: ConstantTable(boundaries), intervals: ConstantTable(intervals))
  }

  private mutating func buildGroup(_ members: [Entry], target: HyperscanDatabase.Target) throws(DetectionProgramError)
    -> PrefilterGroup
  {
    var literals: [HyperscanDatabase.Literal] = []
    var places: [HyperscanDatabase.Literal: Int] = [:]
    var uses: [[UInt32]] = []
    var searched: [UInt32] = []
    var always: [UInt32] = []
    var byDestination: [(PortList, UInt32)] = []
    var bySource: [(PortList, UInt32)] = []
    var addresses: [UInt32] = []
    var decoderEvents: [UInt32] = []
    for member in members {
      switch member.kind {
      case .addressesOnly: addresses.append(member.signature)
      case .decoderEvents: decoderEvents.append(member.signature)
      case .negatedAddressesOnly, .packet, .payload:
        if let pattern = member.pattern, !pattern.isWeak {
          searched.append(member.signature)
          if let place = places[pattern.literal] {
            uses[place].append(member.signature)
          } else {
            places[pattern.literal] = literals.count
            literals.append(pattern.literal)
            uses.append([member.signature])
          }
        } else if !member.destinationPorts.isAny {
          byDestination.append((member.destinationPorts, member.signature))
        } else if !member.sourcePorts.isAny {
          bySource.append((member.sourcePorts, member.signature))
        } else {
          always.append(member.signature)
        }
      }
    }
    let firstUse = UInt32(literalUses.count)
    for use in uses { literalUses.append(candidates.appendRun(use)) }
    return PrefilterGroup(
      database: literals.isEmpty ? nil : try HyperscanDatabase(literals: literals, target: target),
      firstUse: firstUse,
      searched: candidates.appendRun(searched),
      always: candidates.appendRun(always),
      byDestination: buildIndex(byDestination),
      bySource: buildIndex(bySource),
      addresses: candidates.appendRun(addresses),
      decoderEvents: candidates.appendRun(decoderEvents))
  }

  /// Cuts the ports at every end of every list, so that within each interval the same signatures apply.
  private mutating func buildIndex(_ lists: [(ports: PortList, signature: UInt32)]) -> PrefilterGroup.PortIndex {
    if lists.isEmpty { return .empty }
    var cuts: Set<UInt16> = []
    for (ports, _) in lists {
      for interval in ports.included {
        if interval.lowerBound > 0 { cuts.insert(interval.lowerBound) }
        if interval.upperBound < .max { cuts.insert(interval.upperBound + 1) }
      }
    }
    if cuts.isEmpty { cuts.insert(1) }  // every list holds every port: any cut will do
    let firsts = cuts.sorted()
    let index = PrefilterGroup.PortIndex(
      boundaries: TableRange(start: UInt32(boundaries.count), count: UInt32(firsts.count)),
      firstInterval: UInt32(intervals.count))
    boundaries.append(contentsOf: firsts)
    for first in [0] + firsts {
      intervals.append(candidates.appendRun(lists.lazy.filter { $0.ports.contains(first) }.map(\.signature)))
    }
    return index
  }
}

extension FlowRequirements {
  /// Whether packets of a side can match.
  func admits(_ side: FlowSide) -> Bool {
    switch side {
    case .toServer: !contains(.toClient)
    case .toClient: !contains(.toServer)
    }
  }
}
