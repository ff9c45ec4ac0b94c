/// What detection and records keep about one transaction.
final class TransactionInspection {
  /// About what one side says.
  struct Side {
    /// The last stage that was looked at.
    var stage: UInt8 = TransactionStage.none
    /// Buffers whose literals have been searched for: a bit for each of the protocol's buffer groups.
    var searched: UInt64 = 0
    /// How much of each growing buffer has been searched, by group and occurrence.
    var grown: [(group: Int, occurrence: Int, length: Int)] = []
    /// How many of the rules without a literal have been taken up.
    var unsearched = 0
    /// Events seen when rules on events were last looked at.
    var events = ApplicationEvents()
    /// Candidates that wait for more of the transaction.
    var pending: [ApplicationCandidate] = []
    /// Signatures that matched: each matches what a side says in a transaction once.
    var matched: [UInt32] = []

    mutating func reset() {
      stage = TransactionStage.none
      searched = 0
      grown.removeAll(keepingCapacity: true)
      unsearched = 0
      events = ApplicationEvents()
      pending.removeAll(keepingCapacity: true)
      matched.removeAll(keepingCapacity: true)
    }

    func lengthSearched(of group: Int, at occurrence: Int) -> Int {
      grown.first { $0.group == group && $0.occurrence == occurrence }?.length ?? 0
    }

    mutating func setLengthSearched(of group: Int, at occurrence: Int, to length: Int) {
      if let index = grown.firstIndex(where: { $0.group == group && $0.occurrence == occurrence }) {
        grown[index].length = length
      } else {
        grown.append((group, occurrence, length))
      }
    }
  }

  var toServer = Side()
  var toClient = Side()
  /// Events that have been recorded.
  var eventsRecorded = ApplicationEvents()
  /// The transaction's own records are written.
  var isRecorded = false
  /// How many of the transaction's files have been recorded.
  var filesRecorded = 0

  func reset() {
    toServer.reset()
    toClient.reset()
    eventsRecorded = ApplicationEvents()
    filesRecorded = 0
    isRecorded = false
  }

  /// Whether packets of both sides were inspected since the transaction was complete.
  var isOver: Bool { toServer.stage == TransactionStage.complete && toClient.stage == TransactionStage.complete }

  func withSide<Result>(_ side: FlowSide, _ body: (inout Side) -> Result) -> Result {
    side == .toServer ? body(&toServer) : body(&toClient)
  }
}
