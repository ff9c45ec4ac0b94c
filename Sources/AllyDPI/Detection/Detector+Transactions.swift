internal import AllyPacket

/// Rules on what applications say: evaluated on a transaction when it has come so far that their buffers are there, and
/// matched once per transaction and side.
extension Detector {
  /// Bytes of a growing buffer that are new before it is searched again; inline every byte is looked at as it comes, so that
  /// the frame that completes a match can be dropped.
  static func growth(isInline: Bool) -> Int { isInline ? 1 : 32 << 10 }

  /// Looks at a flow's transactions after one side was heard.
  mutating func inspectTransactions(
    of session: ApplicationSession, _ packet: DecodedPacket, _ context: PacketContext, bytes: RawSpan,
    window: borrowing StreamWindow, marks: inout FlowMarks, time: UInt64
  ) {
    let (front, back) = session.setInspected(context.side).runs
    let side = tables.application.side(session.index, context.side)
    inspectTransactions(
      front, of: session.parser, side, packet, context, bytes: bytes, window: window, marks: &marks, time: time)
    if back.isEmpty { return }
    inspectTransactions(
      back, of: session.parser, side, packet, context, bytes: bytes, window: window, marks: &marks, time: time)
  }

  private mutating func inspectTransactions(
    _ run: TransactionNumbers.Run, of parser: any ApplicationParser, _ side: ApplicationSide?,
    _ packet: DecodedPacket, _ context: PacketContext, bytes: RawSpan, window: borrowing StreamWindow,
    marks: inout FlowMarks, time: UInt64
  ) {
    if run.isEmpty { return }
    var index = parser.place(of: run.first)
    while index < parser.transactionCount {
      let transaction = parser.transaction(at: index)
      if transaction.number > run.last { return }
      index &+= 1
      guard let side, !side.isEmpty else {
        let stage = transaction.stage(of: context.side)
        transaction.inspection.withSide(context.side) { $0.stage = stage }
        continue
      }
      // What is complete and has nothing pending only waits for the other side.
      let (isSpent, events) = transaction.inspection.withSide(context.side) {
        ($0.stage == TransactionStage.complete && $0.pending.isEmpty, $0.events)
      }
      if isSpent && transaction.events == events { continue }
      guard take(side, transaction, context.side) || growth == 1 else { continue }
      evaluatePending(
        transaction, packet, context, bytes: bytes, window: window, marks: &marks, time: time)
    }
  }

  /// Keeps the records of transactions back that rules with `config` matched in. A match outside a transaction means the flow's
  /// first, as in Suricata.
  func silenceRecords(of session: ApplicationSession) {
    for index in 0..<matches.count where tables.signatures[matches[index].signature].silencesRecord {
      let number = matches[index].transaction
      session.transaction(number == Match.noTransaction ? 0 : number)?.inspection.isSilent = true
    }
  }

  // MARK: candidates

  /// Turns what has become available into candidates.
  ///
  /// - Returns: whether there is anything new for those that are pending.
  private mutating func take(
    _ side: ApplicationSide, _ transaction: any ApplicationTransaction, _ flowSide: FlowSide
  ) -> Bool {
    let stage = transaction.stage(of: flowSide)
    let inspection = transaction.inspection
    if stage == TransactionStage.none { return false }
    if let only = transaction.inspectedSide, only != flowSide {
      inspection.withSide(flowSide) { $0.stage = stage }
      return false
    }
    var (hasNews, searched) = inspection.withSide(flowSide) { ($0.stage != stage, $0.searched) }
    // There are at most ``ApplicationPrefilterBuilder/mostGroups``, in the order of their stages.
    for (place, index) in side.groups.indices.enumerated() {
      let mask: UInt64 = 1 &<< UInt64(place)
      if searched & mask != 0 { continue }
      let group = tables.application.groups[index]
      let isComplete = stage >= group.availability.stage
      if !isComplete {
        if stage &+ 1 < group.availability.stage { break }
        if !group.availability.grows || stage != group.availability.stage &- 1 { continue }
      }
      if search(group, place: place, isComplete: isComplete, transaction, flowSide) { hasNews = true }
      if isComplete { searched |= mask }
    }
    inspection.withSide(flowSide) { $0.searched = searched }
    takeUnsearched(side, transaction, flowSide, stage)
    let events = transaction.events
    if !side.events.isEmpty, inspection.withSide(flowSide, { $0.events != events }) {
      for index in side.events.indices { propose(tables.application.candidates[index], inspection, flowSide) }
      hasNews = true
    }
    inspection.withSide(flowSide) { $0.events = events }
    return hasNews
  }

  /// Makes candidates of signatures that are not searched for, once their buffers are there: all of them, but those whose bytes do not
  /// stand at their place.
  private mutating func takeUnsearched(
    _ side: ApplicationSide, _ transaction: any ApplicationTransaction, _ flowSide: FlowSide, _ stage: UInt8
  ) {
    let inspection = transaction.inspection
    var next = inspection.withSide(flowSide) { $0.unsearched }
    var buffer: InspectionBuffer? = nil
    var bytes: ArraySlice<UInt8>? = nil
    while next < side.unsearched.count {
      let candidate = tables.application.candidates[Int(side.unsearched.start) &+ next]
      if candidate.earliest > stage { break }
      next &+= 1
      if !isPossible(candidate.signature) { continue }
      if candidate.anchor != Signature.any {
        let anchor = tables.application.anchors[candidate.anchor]
        if buffer != anchor.buffer {
          buffer = anchor.buffer
          bytes = transaction.bytes(of: anchor.buffer, from: flowSide, at: 0)
        }
        guard let bytes, bytes.rawBytes.withByteView({ anchor.literal.isIn($0) }) else { continue }
      }
      inspection.withSide(flowSide) { $0.pending.append(candidate) }
    }
    inspection.withSide(flowSide) {
      $0.unsearched = next
      $0.stage = stage
    }
  }

  /// Searches a buffer for the literals of its signatures.
  ///
  /// - Returns: whether there was anything new to search.
  private mutating func search(
    _ group: ApplicationGroup, place: Int, isComplete: Bool, _ transaction: any ApplicationTransaction,
    _ side: FlowSide
  ) -> Bool {
    guard let database = group.database, mayFind(group.searched, { tables.application.candidates[$0].signature }) else {
      return false
    }
    let inspection = transaction.inspection
    var index = 0
    // A name comes whole; content is worth a search when enough of it is new.
    let step = group.buffer == .fileName || group.buffer == .fileMagic ? 1 : growth
    var hasSearched = false
    while let buffer = transaction.bytes(of: group.buffer, from: side, at: index) {
      let occurrence = index
      index &+= 1
      var start = 0
      if group.availability.grows {
        let known = inspection.withSide(side) { $0.lengthSearched(of: place, at: occurrence) }
        if buffer.count == known || !isComplete && buffer.count &- known < step { continue }
        inspection.withSide(side) { $0.setLengthSearched(of: place, at: occurrence, to: buffer.count) }
        // What a transform makes of a part is no part of what it makes of the whole.
        // A literal may have begun in what was searched before.
        if group.transform == Signature.any { start = max(0, known &- (database.longest &- 1)) }
      }
      hasSearched = true
      statistics.scans &+= 1
      statistics.scannedBytes &+= UInt64(buffer.count &- start)
      let found = evaluator.scan(
        buffer.rawBytes.extracting(start...), through: group.transform, &scratch, for: database)
      guard let found else {
        statistics.overflows &+= 1
        for place in group.searched.indices { propose(tables.application.candidates[place], inspection, side) }
        continue
      }
      for hit in 0..<found {
        for use in tables.application.literalUses[group.firstUse &+ scratch.literal(at: hit)].indices {
          propose(tables.application.candidates[use], inspection, side)
        }
      }
    }
    return hasSearched
  }

  /// What one side says in a flow has the same ends in all packets.
  private func propose(_ candidate: ApplicationCandidate, _ inspection: TransactionInspection, _ side: FlowSide) {
    if !isPossible(candidate.signature) { return }
    inspection.withSide(side) { state in
      if state.matched.contains(candidate.signature) { return }
      if !state.pending.contains(where: { $0.signature == candidate.signature }) { state.pending.append(candidate) }
    }
  }

  // MARK: evaluation

  private mutating func evaluatePending(
    _ transaction: any ApplicationTransaction, _ packet: DecodedPacket, _ context: PacketContext, bytes: RawSpan,
    window: borrowing StreamWindow, marks: inout FlowMarks, time: UInt64
  ) {
    let inspection = transaction.inspection
    let stage = transaction.stage(of: context.side)
    let count = inspection.withSide(context.side) { $0.pending.count }
    if count == 0 { return }
    // Flow bits that one rule sets are another's condition: the order is that of all rules.
    inspection.withSide(context.side) { $0.pending.sort { $0.signature < $1.signature } }
    var kept = 0
    for index in 0..<count {
      let candidate = inspection.withSide(context.side) { $0.pending[index] }
      var isDone = false
      if stage >= candidate.earliest {
        statistics.evaluated &+= 1
        evaluator.forgetCaptures()
        let start = costs.isMeasuring ? RuleCosts.now : 0
        let signature = tables.signatures[candidate.signature]
        let isMatch = matches(
          candidate.signature, signature, transaction, packet, context, bytes: bytes, window: window, marks: marks,
          time: time)
        if costs.isMeasuring { costs.count(tables.records[candidate.signature], since: start, isMatch: isMatch) }
        if isMatch {
          isDone = true
          inspection.withSide(context.side) { $0.matched.append(candidate.signature) }
          if signature.storesFiles {
            let rule = tables.records[candidate.signature]
            for file in transaction.files where file.side == context.side { file.store(for: rule) }
          }
          _ = append(
            Match(
              signature: candidate.signature, actions: signature.actions, isStream: packet.transport == .tcp,
              isReplaced: false, transaction: transaction.number))
          change(signature, for: packet, &marks, at: time)
        } else {
          isDone = stage >= candidate.stage
        }
      }
      if !isDone {
        inspection.withSide(context.side) { $0.pending[kept] = candidate }
        kept += 1
      }
    }
    inspection.withSide(context.side) { $0.pending.removeSubrange(kept..<count) }
  }

  private mutating func matches(
    _ rank: UInt32, _ signature: Signature, _ transaction: any ApplicationTransaction, _ packet: DecodedPacket,
    _ context: PacketContext, bytes: RawSpan, window: borrowing StreamWindow, marks: FlowMarks, time: UInt64
  ) -> Bool {
    guard
      matchesPacket(
        signature, packet, context, bytes: bytes, marks: marks, time: time, transaction: transaction)
    else { return false }
    for index in tables.application.bufferRanges[rank].indices {
      let buffer = tables.application.buffers[index]
      guard matches(buffer, transaction, context.side) else { return false }
    }
    if signature.payload.isEmpty { return true }
    // The transaction is what the rule is about: the payload may be anywhere in what is known of the stream.
    if signature.data.contains(.stream), window.bytes.byteCount > 0,
      window.bytes.withByteView({ evaluator.evaluate(signature.payload, on: $0) }) != nil
    {
      return true
    }
    return evaluatePayload(signature, packet, context, bytes: bytes, window: window) != .none
  }

  /// All steps must hold within one of the buffer's occurrences.
  private mutating func matches(
    _ buffer: BufferSteps, _ transaction: any ApplicationTransaction, _ side: FlowSide
  ) -> Bool {
    var index = 0
    evaluator.isLittleEndian = transaction.isLittleEndian
    while let bytes = transaction.bytes(of: buffer.buffer, from: side, at: index) {
      if evaluator.evaluate(buffer.steps, on: bytes.rawBytes, through: buffer.transform) != nil { return true }
      index &+= 1
    }
    return false
  }
}
