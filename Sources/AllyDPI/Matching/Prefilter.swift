internal import AllyPacket

/// Which signatures are worth evaluating for a packet, by protocol and side: found through Hyperscan, or, when a
/// signature has no literal that is rare enough, through its ports.
struct PrefilterTables: Sendable {
  var groups: ConstantTable<PrefilterGroup>
  /// For each literal of each database, the signatures that have it, in `candidates`.
  var literalUses: ConstantTable<TableRange>
  var candidates: ConstantTable<UInt32>
  /// For the indexes.
  var portBounds: ConstantTable<UInt16>
  var addressBounds: ConstantTable<IPAddress>
  var lists: ConstantTable<TableRange>

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
    unsafe portBounds.deallocate()
    unsafe addressBounds.deallocate()
    unsafe lists.deallocate()
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
  var byDestinationPort: IntervalIndex<UInt16>
  /// … or for certain source ports and any destination.
  var bySourcePort: IntervalIndex<UInt16>
  /// Signatures on addresses alone, evaluated once for each side of a flow: for few sources, …
  var bySource: IntervalIndex<IPAddress>
  /// … for few destinations, …
  var byDestination: IntervalIndex<IPAddress>
  /// … or for many of both.
  var addresses: TableRange
  /// Signatures on decoder events alone.
  var decoderEvents: TableRange
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
    var source: AddressList
    var destination: AddressList
    var sourcePorts: PortList
    var destinationPorts: PortList
  }

  private var entries: [Entry] = []
  private var literalUses: [TableRange] = []
  private var candidates: [UInt32] = []
  private var portBounds: [UInt16] = []
  private var addressBounds: [IPAddress] = []
  private var lists: [TableRange] = []

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
      portBounds: ConstantTable(portBounds), addressBounds: ConstantTable(addressBounds), lists: ConstantTable(lists))
  }

  private mutating func buildGroup(_ members: [Entry], target: HyperscanDatabase.Target) throws(DetectionProgramError)
    -> PrefilterGroup
  {
    var literals: [HyperscanDatabase.Literal] = []
    var places: [HyperscanDatabase.Literal: Int] = [:]
    var uses: [[UInt32]] = []
    var searched: [UInt32] = []
    var always: [UInt32] = []
    var byDestinationPort: [(first: UInt16, last: UInt16, signature: UInt32)] = []
    var bySourcePort = byDestinationPort
    var byDestination: [(first: IPAddress, last: IPAddress, signature: UInt32)] = []
    var bySource = byDestination
    var addresses: [UInt32] = []
    var decoderEvents: [UInt32] = []
    for member in members {
      switch member.kind {
      case .addressesOnly:
        if !member.source.isBroad {
          for range in member.source.included { bySource.append((range.first, range.last, member.signature)) }
        } else if !member.destination.isBroad {
          for range in member.destination.included { byDestination.append((range.first, range.last, member.signature)) }
        } else {
          addresses.append(member.signature)
        }
      case .decoderEvents: decoderEvents.append(member.signature)
      case .negatedAddressesOnly, .packet, .payload, .application, .transaction, .frame:
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
          for range in member.destinationPorts.included {
            byDestinationPort.append((range.lowerBound, range.upperBound, member.signature))
          }
        } else if !member.sourcePorts.isAny {
          for range in member.sourcePorts.included {
            bySourcePort.append((range.lowerBound, range.upperBound, member.signature))
          }
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
      byDestinationPort: portIndex(byDestinationPort),
      bySourcePort: portIndex(bySourcePort),
      bySource: addressIndex(bySource),
      byDestination: addressIndex(byDestination),
      addresses: candidates.appendRun(addresses),
      decoderEvents: candidates.appendRun(decoderEvents))
  }

  private mutating func portIndex(_ entries: [(first: UInt16, last: UInt16, signature: UInt32)])
    -> IntervalIndex<UInt16>
  {
    IntervalIndex(
      entries, successor: { $0 < .max ? $0 + 1 : nil }, bounds: &portBounds, lists: &lists, candidates: &candidates)
  }

  private mutating func addressIndex(_ entries: [(first: IPAddress, last: IPAddress, signature: UInt32)])
    -> IntervalIndex<IPAddress>
  {
    IntervalIndex(
      entries, successor: \.successor, bounds: &addressBounds, lists: &lists, candidates: &candidates)
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
