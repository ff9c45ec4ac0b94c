internal import AllyPacket

/// Which signatures are worth evaluating for a packet, by protocol, side and what they look at: found through Hyperscan, or,
/// when a signature has no literal that is rare enough, through its ports.
struct PrefilterTables: Sendable {
  var groups: ConstantTable<PrefilterGroup>
  var literalSets: ConstantTable<LiteralSet>
  /// For ``LiteralSetIndex``.
  var setNumbers: ConstantTable<UInt16>
  var servicePorts: ConstantTable<UInt16>
  /// For each literal of each database, the signatures that have it, in `candidates`.
  var literalUses: ConstantTable<TableRange>
  var candidates: ConstantTable<UInt32>
  /// Into which the lists of an ``UnsearchedGroup`` point.
  var unsearched: ConstantTable<UnsearchedSignature>
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
    for index in 0..<literalSets.count {
      for database in literalSets[index].databases { unsafe database.deallocate() }
    }
    unsafe groups.deallocate()
    unsafe literalSets.deallocate()
    unsafe setNumbers.deallocate()
    unsafe servicePorts.deallocate()
    unsafe literalUses.deallocate()
    unsafe candidates.deallocate()
    unsafe unsearched.deallocate()
    unsafe portBounds.deallocate()
    unsafe addressBounds.deallocate()
    unsafe lists.deallocate()
  }
}

/// The signatures for one protocol and side.
struct PrefilterGroup: BitwiseCopyable, Sendable {
  /// What is searched for.
  var sets: LiteralSetIndex
  /// Signatures whose literals are common, or that have none: those that look at streams, …
  var unsearchedStreams: UnsearchedGroup
  /// … at payloads, …
  var unsearchedPayloads: UnsearchedGroup
  /// … or at headers alone.
  var headers: UnsearchedGroup
  /// Signatures on addresses alone, evaluated once for each side of a flow: for few sources, …
  var bySource: IntervalIndex<IPAddress>
  /// … for few destinations, …
  var byDestination: IntervalIndex<IPAddress>
  /// … or for many of both.
  var addresses: TableRange
  /// Signatures on decoder events alone.
  var decoderEvents: TableRange
}

/// A signature that is not searched for: a candidate where a few bytes are, or whatever the bytes are.
struct UnsearchedSignature: BitwiseCopyable, Sendable {
  var literal: AnchoredLiteral?
  var signature: UInt32
  /// ``Signature/applications``: most flows are of another protocol, which is seen without a look at their bytes.
  var applications: ApplicationMask
}

/// Signatures that are not searched for: lists of places in ``PrefilterTables/unsearched``.
struct UnsearchedGroup: BitwiseCopyable, Sendable {
  /// For any ports, …
  var always: TableRange
  /// … for certain destination ports, …
  var byDestinationPort: IntervalIndex<UInt16>
  /// … or for certain source ports and any destination.
  var bySourcePort: IntervalIndex<UInt16>
}

/// Builds ``PrefilterTables``: what is known about each signature goes in, one after the other.
struct PrefilterBuilder {
  /// A signature to be found.
  struct Entry {
    var signature: UInt32
    var kind: SignatureKind
    var data: InspectedData
    /// ``Signature/countsFromStreamStart``.
    var countsFromStreamStart: Bool
    var protocolFilter: ProtocolFilter
    var flow: FlowRequirements
    var applications: ApplicationMask
    var pattern: FastPattern?
    /// What must be there; used when the pattern is weak.
    var anchored: AnchoredLiteral?
    var source: AddressList
    var destination: AddressList
    var sourcePorts: PortList
    var destinationPorts: PortList

    /// Whether it is found by a search: frequent bytes that have one place are compared there.
    var isSearched: Bool {
      guard let pattern, pattern.rarity != .common else { return false }
      return !pattern.isFrequent || anchored?.hasOnePlace != true
    }

    /// How far its literal is of use behind the packet that brings it.
    enum Reach: CaseIterable { case inStreams, atStarts, inPackets }

    var reach: Reach {
      if !data.contains(.stream) { return .inPackets }
      return countsFromStreamStart ? .atStarts : .inStreams
    }
  }

  private var entries: [Entry] = []
  private var sets: [LiteralSet] = []
  private var setNumbers: [UInt16] = []
  private var servicePorts: [UInt16] = []
  private var literalUses: [TableRange] = []
  private var candidates: [UInt32] = []
  private var unsearched: [UnsearchedSignature] = []
  private var portBounds: [UInt16] = []
  private var addressBounds: [IPAddress] = []
  private var lists: [TableRange] = []

  mutating func add(_ entry: Entry) { entries.append(entry) }

  mutating func build(compiler: DatabaseCompiler) throws(DetectionProgramError) -> PrefilterTables {
    var groups: [PrefilterGroup] = []
    do throws(DetectionProgramError) {
      for transport in TransportClass.allCases {
        for side in [FlowSide.toServer, .toClient] {
          let members = entries.filter { $0.protocolFilter.admits(transport) && $0.flow.admits(side) }
          groups.append(try buildGroup(members, transport, side, compiler: compiler))
        }
      }
    } catch {
      for database in sets.flatMap(\.databases) { unsafe database.deallocate() }
      throw error
    }
    return PrefilterTables(
      groups: ConstantTable(groups), literalSets: ConstantTable(sets), setNumbers: ConstantTable(setNumbers),
      servicePorts: ConstantTable(servicePorts), literalUses: ConstantTable(literalUses),
      candidates: ConstantTable(candidates),
      unsearched: ConstantTable(unsearched), portBounds: ConstantTable(portBounds),
      addressBounds: ConstantTable(addressBounds), lists: ConstantTable(lists))
  }

  private mutating func buildGroup(
    _ members: [Entry], _ transport: TransportClass, _ side: FlowSide, compiler: DatabaseCompiler
  ) throws(DetectionProgramError) -> PrefilterGroup {
    var searched: [Entry] = []
    var streams: [Entry] = []
    var payloads: [Entry] = []
    var headers: [Entry] = []
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
      case .payload where transport == .tcp:
        searched.append(member)
        if member.data.contains(.stream) { streams.append(member) }
        if member.data.contains(.packet) { payloads.append(member) }
      // Without streams, what looks at streams looks at packets, unless it insists.
      case .payload where !member.data.contains(.onlyStream):
        searched.append(member)
        payloads.append(member)
      case .payload: break
      case .negatedAddressesOnly, .packet, .application, .detectedProtocol, .transaction, .frame: headers.append(member)
      }
    }
    return PrefilterGroup(
      sets: try buildSets(LiteralSetBuilder(searched, side: side), compiler: compiler),
      unsearchedStreams: unsearched(streams),
      unsearchedPayloads: unsearched(payloads), headers: unsearched(headers),
      bySource: addressIndex(bySource),
      byDestination: addressIndex(byDestination),
      addresses: candidates.appendRun(addresses),
      decoderEvents: candidates.appendRun(decoderEvents))
  }

  /// Makes each set once, however many kinds of flows it is for.
  private mutating func buildSets(_ builder: LiteralSetBuilder, compiler: DatabaseCompiler)
    throws(DetectionProgramError) -> LiteralSetIndex
  {
    let first = setNumbers.count
    var places: [[UInt32]: UInt16] = [:]
    for members in builder.rows() {
      let signatures = members.map(\.signature)
      if let place = places[signatures] {
        setNumbers.append(place)
        continue
      }
      let place = UInt16(sets.count)
      sets.append(try buildSet(of: members, compiler: compiler))
      places[signatures] = place
      setNumbers.append(place)
    }
    let firstPort = servicePorts.count
    servicePorts += builder.servicePorts
    return LiteralSetIndex(
      servicePorts: TableRange(start: UInt32(firstPort), count: UInt32(builder.servicePorts.count)), firstNumber: first)
  }

  private mutating func buildSet(of members: [Entry], compiler: DatabaseCompiler)
    throws(DetectionProgramError) -> LiteralSet
  {
    let rare = try literals(of: members, .rare, compiler: compiler)
    do throws(DetectionProgramError) {
      return LiteralSet(literals: rare, shortLiterals: try literals(of: members, .short, compiler: compiler))
    } catch {
      unsafe rare.database?.deallocate()
      throw error
    }
  }

  /// Those whose literal is that rare.
  private mutating func literals(of members: [Entry], _ rarity: FastPattern.Rarity, compiler: DatabaseCompiler)
    throws(DetectionProgramError) -> LiteralGroup
  {
    var literals: [HyperscanDatabase.Literal] = []
    var places: [HyperscanDatabase.Literal: Int] = [:]
    var uses: [[UInt32]] = []
    var searched: [UInt32] = []
    var ends: [Int] = []
    for reach in Entry.Reach.allCases {
      for member in members where member.reach == reach {
        guard let pattern = member.pattern, pattern.rarity == rarity else { continue }
        searched.append(member.signature)
        if let place = places[pattern.literal] {
          uses[place].append(member.signature)
        } else {
          places[pattern.literal] = literals.count
          literals.append(pattern.literal)
          uses.append([member.signature])
        }
      }
      ends.append(literals.count)
    }
    let firstUse = UInt32(literalUses.count)
    for use in uses { literalUses.append(candidates.appendRun(use)) }
    return LiteralGroup(
      database: literals.isEmpty ? nil : try compiler.database(of: literals),
      firstUse: firstUse, searched: candidates.appendRun(searched),
      inStreams: UInt32(ends[0]), atStarts: UInt32(ends[1]))
  }

  /// Those that have none worth a search.
  private mutating func unsearched(_ members: [Entry]) -> UnsearchedGroup {
    var always: [UInt32] = []
    var byDestinationPort: [(first: UInt16, last: UInt16, signature: UInt32)] = []
    var bySourcePort = byDestinationPort
    for member in members {
      if member.isSearched { continue }
      let place = UInt32(unsearched.count)
      unsearched.append(
        UnsearchedSignature(
          literal: member.anchored, signature: member.signature, applications: member.applications))
      if !member.destinationPorts.isAny {
        for range in member.destinationPorts.included {
          byDestinationPort.append((range.lowerBound, range.upperBound, place))
        }
      } else if !member.sourcePorts.isAny {
        for range in member.sourcePorts.included {
          bySourcePort.append((range.lowerBound, range.upperBound, place))
        }
      } else {
        always.append(place)
      }
    }
    return UnsearchedGroup(
      always: candidates.appendRun(always), byDestinationPort: portIndex(byDestinationPort),
      bySourcePort: portIndex(bySourcePort))
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
