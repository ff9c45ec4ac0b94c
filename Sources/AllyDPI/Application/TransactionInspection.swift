/// What detection and records keep about one transaction.
@safe
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

    mutating func reload(_ translation: MatchTranslation) {
      // A side that is over stays over: what its packets showed was inspected with them.
      if stage == TransactionStage.complete {
        pending.removeAll(keepingCapacity: true)
        matched = matched.flatMap(translation.signatures(of:))
        searched = .max
        unsearched = .max
        return
      }
      let matched = matched
      reset()
      self.matched = matched.flatMap(translation.signatures(of:))
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

  /// To the server, to the client. Behind a pointer, so that no access is checked for others at the same time: this class alone
  /// reaches them, for the time of a call.
  private let sides: UnsafeMutablePointer<Side>
  /// Events that have been recorded.
  var eventsRecorded = ApplicationEvents()
  /// The transaction's own records are written.
  var isRecorded = false
  /// A rule wants none of them.
  var isSilent = false
  /// How many of the transaction's files have been recorded.
  var filesRecorded = 0

  init() {
    unsafe sides = .allocate(capacity: 2)
    unsafe sides.initialize(repeating: Side(), count: 2)
  }

  deinit {
    unsafe sides.deinitialize(count: 2)
    unsafe sides.deallocate()
  }

  func reset() {
    unsafe sides[0].reset()
    unsafe sides[1].reset()
    eventsRecorded = ApplicationEvents()
    filesRecorded = 0
    isRecorded = false
    isSilent = false
  }

  /// Other rules are in effect: what was searched for is searched for again, what has matched does not match once more.
  func reload(_ translation: MatchTranslation) {
    unsafe sides[0].reload(translation)
    unsafe sides[1].reload(translation)
  }

  /// Whether packets of both sides were inspected since the transaction was complete.
  var isOver: Bool {
    unsafe sides[0].stage == TransactionStage.complete && sides[1].stage == TransactionStage.complete
  }

  @inline(__always)
  func withSide<Result>(_ side: FlowSide, _ body: (inout Side) -> Result) -> Result {
    // A side's number is 0 or 1.
    unsafe body(&sides[Int(side.rawValue)])
  }
}
