/// Builds ``ApplicationTables``: what is known about each signature on transactions goes in, one after the other.
struct ApplicationPrefilterBuilder {
  /// A signature to be found.
  struct Entry {
    var signature: UInt32
    /// A bit for each parser that the rule is about.
    var applications: UInt32
    var flow: FlowRequirements
    /// The buffers that it looks at.
    var buffers: [InspectionBuffer]
    /// The literal by which it is found, and the buffer that holds it.
    var pattern: (literal: FastPattern, view: SearchedView)?
    /// Used when it is not searched for.
    var anchor: ApplicationAnchor?
    /// It asks for events: whenever there are new ones, it is evaluated.
    var hasEvents: Bool
    /// It asks for something that may come to hold at any time.
    var hasConditions: Bool
  }

  /// A buffer, and what is done with it before it is searched.
  struct SearchedView: Hashable {
    var buffer: InspectionBuffer
    /// Index of the program's ``TransformChain``; ``Signature/any`` for none.
    var transform: UInt32
  }

  /// Buffers that are searched for one side of a protocol: the state of a transaction has a bit for each.
  static var mostGroups: Int { 64 }

  private var entries: [Entry] = []
  private var sides: [ApplicationSide] = []
  private var groups: [ApplicationGroup] = []
  private var literalUses: [TableRange] = []
  private var candidates: [ApplicationCandidate] = []
  private var anchors: [ApplicationAnchor] = []

  mutating func add(_ entry: Entry) { entries.append(entry) }

  mutating func build(
    buffers: [BufferSteps], bufferRanges: [TableRange], compiler: DatabaseCompiler
  ) throws(DetectionProgramError) -> ApplicationTables {
    do throws(DetectionProgramError) {
      for (number, parser) in ApplicationParsers.all.enumerated() {
        for side in [FlowSide.toServer, .toClient] {
          let members = entries.filter { $0.applications & 1 << UInt32(number) != 0 && $0.flow.admits(side) }
          sides.append(try buildSide(members, parser, side, compiler: compiler))
        }
      }
    } catch {
      for group in groups { unsafe group.database?.deallocate() }
      throw error
    }
    return ApplicationTables(
      sides: ConstantTable(sides), groups: ConstantTable(groups), literalUses: ConstantTable(literalUses),
      candidates: ConstantTable(candidates), anchors: ConstantTable(anchors), buffers: ConstantTable(buffers),
      bufferRanges: ConstantTable(bufferRanges))
  }

  private struct Member {
    var candidate: ApplicationCandidate
    var pattern: (literal: FastPattern, view: SearchedView)?
  }

  private mutating func buildSide(
    _ entries: [Entry], _ parser: any ApplicationParser.Type, _ side: FlowSide, compiler: DatabaseCompiler
  ) throws(DetectionProgramError) -> ApplicationSide {
    var searched: [SearchedView: [Member]] = [:]
    var unsearched: [ApplicationCandidate] = []
    var events: [ApplicationCandidate] = []
    for entry in entries {
      guard var candidate = ApplicationPrefilterBuilder.candidate(entry, parser, side) else { continue }
      if entry.hasEvents {
        events.append(candidate)
      } else if let pattern = entry.pattern, pattern.literal.rarity == .rare {
        searched[pattern.view, default: []].append(Member(candidate: candidate, pattern: pattern))
      } else {
        // A buffer that is there once and whole decides at once.
        if let anchor = entry.anchor, !anchor.buffer.isRepeated,
          parser.availability(of: anchor.buffer, from: side)?.grows == false
        {
          candidate.anchor = UInt32(anchors.count)
          anchors.append(anchor)
        }
        unsearched.append(candidate)
      }
    }
    // The views that fewest rules search give way.
    while searched.count > Self.mostGroups, let least = searched.min(by: { $0.value.count < $1.value.count })?.key {
      unsearched += (searched.removeValue(forKey: least) ?? []).map(\.candidate)
    }
    let firstGroup = groups.count
    let ordered = searched.keys.compactMap { view in
      parser.availability(of: view.buffer, from: side).map { (view: view, availability: $0) }
    }
    .sorted {
      ($0.availability.stage, $0.view.buffer.rawValue, $0.view.transform)
        < ($1.availability.stage, $1.view.buffer.rawValue, $1.view.transform)
    }
    for (view, availability) in ordered {
      groups.append(try buildGroup(searched[view] ?? [], view, availability, compiler: compiler))
    }
    // Those that look at one buffer stand together.
    unsearched.sort { (left, right) in
      func buffer(_ candidate: ApplicationCandidate) -> String {
        candidate.anchor == Signature.any ? "" : anchors[Int(candidate.anchor)].buffer.rawValue
      }
      return (left.earliest, buffer(left), left.signature) < (right.earliest, buffer(right), right.signature)
    }
    return ApplicationSide(
      groups: TableRange(start: UInt32(firstGroup), count: UInt32(groups.count - firstGroup)),
      unsearched: append(unsearched), events: append(events))
  }

  /// The stages that a signature needs; nil when this side never has all of its buffers.
  private static func candidate(_ entry: Entry, _ parser: any ApplicationParser.Type, _ side: FlowSide)
    -> ApplicationCandidate?
  {
    var stage = TransactionStage.none
    var earliest = TransactionStage.none
    for buffer in entry.buffers {
      guard let availability = parser.availability(of: buffer, from: side) else { return nil }
      stage = max(stage, availability.stage)
      earliest = max(earliest, availability.grows ? availability.stage - 1 : availability.stage)
    }
    if entry.hasConditions { stage = TransactionStage.complete }
    return ApplicationCandidate(signature: entry.signature, stage: stage, earliest: earliest)
  }

  private mutating func buildGroup(
    _ members: [Member], _ view: SearchedView, _ availability: BufferAvailability,
    compiler: DatabaseCompiler
  ) throws(DetectionProgramError) -> ApplicationGroup {
    var literals: [HyperscanDatabase.Literal] = []
    var places: [HyperscanDatabase.Literal: Int] = [:]
    var uses: [[ApplicationCandidate]] = []
    for member in members {
      guard let literal = member.pattern?.literal.literal else { continue }
      if let place = places[literal] {
        uses[place].append(member.candidate)
      } else {
        places[literal] = literals.count
        literals.append(literal)
        uses.append([member.candidate])
      }
    }
    let firstUse = UInt32(literalUses.count)
    for use in uses { literalUses.append(append(use)) }
    return ApplicationGroup(
      buffer: view.buffer, transform: view.transform, availability: availability,
      database: literals.isEmpty ? nil : try compiler.database(of: literals), firstUse: firstUse,
      searched: append(members.map(\.candidate)))
  }

  private mutating func append(_ list: [ApplicationCandidate]) -> TableRange {
    let range = TableRange(start: UInt32(candidates.count), count: UInt32(list.count))
    candidates.append(contentsOf: list)
    return range
  }
}
