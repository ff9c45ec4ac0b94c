internal import AllyPacket

/// A connection that another one announces.
struct FlowExpectation {
  /// Which end of the announcing connection will listen: its server, when the data will go to the client's side of it
  /// (``FlowSide/toClient``), else its client.
  var listener: FlowSide
  var port: UInt16
  var parser: any ApplicationParser.Type
  /// For ``ApplicationParser/adopt(_:)``.
  var announcement: AnyObject
}

/// The connections that were announced and have not come.
struct ExpectedFlows {
  private struct Entry {
    var opener: IPAddress
    var listener: IPAddress
    var deadline: UInt64
    var expectation: FlowExpectation
  }

  private var entries: [Entry] = []

  /// Announcements that are kept; older ones give way.
  private static var limit: Int { 1024 }
  /// How long one is waited for, in nanoseconds of the traffic.
  private static var patience: UInt64 { 30_000_000_000 }

  var isEmpty: Bool { entries.isEmpty }

  mutating func add(_ expectation: FlowExpectation, announcedBy flow: Flow) {
    entries.removeAll { $0.deadline < flow.lastTime }
    if entries.count >= ExpectedFlows.limit { entries.removeFirst() }
    let isServer = expectation.listener == .toClient
    entries.append(
      Entry(
        opener: isServer ? flow.client : flow.server, listener: isServer ? flow.server : flow.client,
        deadline: flow.lastTime &+ ExpectedFlows.patience, expectation: expectation))
  }

  /// Takes out what announced a flow; nil when nothing did.
  mutating func take(for flow: Flow) -> FlowExpectation? {
    let index = entries.firstIndex { entry in
      entry.expectation.port == flow.serverPort && entry.listener == flow.server && entry.opener == flow.client
        && entry.deadline >= flow.lastTime
    }
    return index.map { entries.remove(at: $0).expectation }
  }
}
