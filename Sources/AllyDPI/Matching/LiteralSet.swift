internal import AllyPacket

/// The literals of payload rules that may match in flows of one kind: what is about another application, or about another port of
/// a service, is not searched for, and its literals slow nothing down.
struct LiteralSet: BitwiseCopyable, Sendable {
  /// Literals of signatures that look at streams or at packets' payloads. What became part of a stream is searched there, for
  /// both.
  var literals: LiteralGroup
  /// Short literals likewise.
  var shortLiterals: LiteralGroup

  var databases: [HyperscanDatabase] { [literals, shortLiterals].compactMap(\.database) }
}

/// Literals that are searched for together.
struct LiteralGroup: BitwiseCopyable, Sendable {
  /// nil without any.
  var database: HyperscanDatabase?
  /// Index of the first literal's entry in ``PrefilterTables/literalUses``.
  var firstUse: UInt32
  /// All signatures that the database stands for: what must be evaluated when a scan is given up.
  var searched: TableRange
  /// The first literals are of signatures that may match anywhere in a stream, …
  var inStreams: UInt32
  /// … those up to here of signatures that may match at a stream's start, too; the others look at packets alone.
  var atStarts: UInt32

  /// Whether a literal that is found in a stream finds something when more of the stream is known.
  @inline(__always)
  func staysOfUse(_ literal: UInt32, isStart: Bool) -> Bool { literal < (isStart ? atStarts : inStreams) }
}

/// Which ``LiteralSet`` is for which flow, among the packets of one protocol and side.
struct LiteralSetIndex: BitwiseCopyable, Sendable {
  /// Ports of services that have a row each, in ``PrefilterTables/servicePorts``, behind the row for all other ports.
  var servicePorts: TableRange
  /// Where the first row begins in ``PrefilterTables/setNumbers``. A row has the number of a set for each parser of
  /// ``ApplicationParsers``, and one for flows whose application is not known.
  var firstNumber: Int
}

extension PrefilterTables {
  /// Numbers in a row of ``setNumbers``.
  static var rowLength: Int { 33 }

  /// The set for a packet, as its place in ``literalSets``.
  ///
  /// - Parameters:
  ///   - index: of the packet's protocol and side.
  ///   - packet: the packet.
  ///   - side: who sent it.
  ///   - application: ``Flow/protocolNumber``.
  @inline(__always)
  func setNumber(_ index: LiteralSetIndex, _ packet: DecodedPacket, from side: FlowSide, _ application: UInt8) -> Int {
    let port = side == .toServer ? packet.destinationPort : packet.sourcePort
    var row = 0
    for place in index.servicePorts.indices where servicePorts[place] == port {
      row = place &- Int(index.servicePorts.start) &+ 1
      break
    }
    let column = min(Int(application), PrefilterTables.rowLength - 1)
    return Int(setNumbers[index.firstNumber &+ row &* PrefilterTables.rowLength &+ column])
  }
}

/// Divides the signatures that are searched for into sets.
struct LiteralSetBuilder {
  typealias Entry = PrefilterBuilder.Entry

  /// A set costs memory and time when rules are loaded: an application or a port gets its own when it has at least this many
  /// literals of its own, …
  private static var leastOwnLiterals: Int { 24 }
  /// … and only so many ports of services do.
  private static var mostServicePorts: Int { 4 }
  /// Longer lists of ports do not name a service.
  private static var longestPortList: Int { 16 }

  private let members: [Entry]
  private let side: FlowSide
  /// Ports with a row of their own, ascending.
  let servicePorts: [UInt16]
  /// A bit for each application with sets of its own.
  private let ownApplications: UInt32

  /// - Parameters:
  ///   - members: signatures that are searched for.
  ///   - side: whose packets they are to match.
  init(_ members: [Entry], side: FlowSide) {
    self.members = members.filter(\.isSearched)
    self.side = side
    var byPort: [UInt16: Set<HyperscanDatabase.Literal>] = [:]
    var byApplication: [Int: Set<HyperscanDatabase.Literal>] = [:]
    for member in self.members {
      guard let literal = member.pattern?.literal else { continue }
      let ports = member.servicePorts(side)
      if ports.included.reduce(0, { $0 + $1.count }) <= LiteralSetBuilder.longestPortList {
        for range in ports.included {
          for port in range { byPort[port, default: []].insert(literal) }
        }
      }
      for number in 0..<32 where member.applications.bits & 1 << UInt32(number) != 0 {
        byApplication[number, default: []].insert(literal)
      }
    }
    let least = LiteralSetBuilder.leastOwnLiterals
    let ports = byPort.filter { $0.value.count >= least }
      .sorted { $0.value.count != $1.value.count ? $0.value.count > $1.value.count : $0.key < $1.key }
    servicePorts = ports.prefix(LiteralSetBuilder.mostServicePorts).map(\.key).sorted()
    ownApplications = byApplication.reduce(0) { $1.value.count >= least ? $0 | 1 << UInt32($1.key) : $0 }
  }

  /// The signatures of each set, row by row as in ``PrefilterTables/setNumbers``: one for all other ports, then one for each of
  /// ``servicePorts``.
  func rows() -> [[Entry]] {
    var rows = row(members.filter { isOfOtherPorts($0.servicePorts(side)) })
    for port in servicePorts { rows += row(members.filter { $0.servicePorts(side).contains(port) }) }
    return rows
  }

  private func isOfOtherPorts(_ ports: PortList) -> Bool {
    ports.isAny || ports.included.contains { range in !range.allSatisfy { servicePorts.contains($0) } }
  }

  /// Applications with few literals, and flows whose application is not known, share a set.
  private func row(_ reachable: [Entry]) -> [[Entry]] {
    let others = reachable.filter { $0.applications.bits == 0 || $0.applications.bits & ~ownApplications != 0 }
    var row = [[Entry]](repeating: others, count: PrefilterTables.rowLength)
    for number in 0..<32 where ownApplications & 1 << UInt32(number) != 0 {
      row[number] = reachable.filter { $0.applications.admits(UInt8(number)) }
    }
    return row
  }
}

extension PrefilterBuilder.Entry {
  /// Ports of the end that is asked, on packets of a side: where a service is.
  fileprivate func servicePorts(_ side: FlowSide) -> PortList { side == .toServer ? destinationPorts : sourcePorts }
}
