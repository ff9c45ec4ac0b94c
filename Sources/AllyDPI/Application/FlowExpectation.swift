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
    /// The flow that announced it.
    var parent: UInt64
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
        deadline: flow.lastTime &+ ExpectedFlows.patience, parent: flow.identifier, expectation: expectation))
  }

  /// Takes out what announced a flow, and names the announcing flow in it; nil when nothing did.
  mutating func take(for flow: inout Flow) -> FlowExpectation? {
    let new = flow
    let index = entries.firstIndex { entry in
      entry.expectation.port == new.serverPort && entry.listener == new.server && entry.opener == new.client
        && entry.deadline >= new.lastTime
    }
    guard let index else { return nil }
    let entry = entries.remove(at: index)
    flow.parent = entry.parent
    return entry.expectation
  }
}
