internal import AllyPacket

/// Finds the signatures that a packet matches, and applies their actions. One per core.
struct Detector: ~Copyable {
  /// A signature that matched a packet.
  struct Match: BitwiseCopyable {
    var signature: UInt32
    /// What is to be done: the signature's, or a rate filter's.
    var actions: Actions
    /// Found in the stream, not in the packet.
    var isStream: Bool
    /// A rate filter has changed the actions.
    var isReplaced: Bool
    /// The application's transaction that it was found in; ``noTransaction`` for none.
    var transaction: UInt64 = noTransaction
    /// The frame that it was found in; 0 for none.
    var frame: UInt64 = 0

    static var noTransaction: UInt64 { .max }
  }

  /// Why a packet is dropped, as records say it.
  enum DropReason: UInt8, BitwiseCopyable {
    case none, rules, rateFilter, flow, stream, midstream, application

    var name: StaticString {
      switch self {
      case .none: "none"
      case .rules: "rules"
      case .rateFilter: "threshold detection_filter"
      case .flow: "flow drop"
      case .stream: "stream error"
      case .midstream: "stream midstream"
      case .application: "applayer error"
      }
    }
  }

  /// What the matches of a packet come to.
  struct Decision: BitwiseCopyable {
    var actions: Actions = []
    var dropReason = DropReason.none
    /// The first signature that dropped the packet.
    var dropMatch: Match? = nil
  }

  let tables: DetectionTables
  private let maximumAlerts: Int
  /// There are rules on a flow's application and nothing else, which its end is about, too.
  let hasApplicationRules: Bool
  /// New bytes of a growing buffer that are worth a search.
  let growth: Int
  var candidates: CandidateSet
  /// Of the packet in hand.
  var ends = PacketEnds()
  /// Of those that are not searched for.
  var possible = PossibleSignatures()
  var scratch: HyperscanScratch
  var evaluator: PayloadEvaluator
  private var thresholds: ThresholdCounter
  private var stateBits: StateBitTable
  private var integers: FlowIntegerTable
  private var variables = FlowVariables()
  /// What rules captured of the packet in hand.
  private(set) var packetVariables: [(name: UInt32, text: [UInt8])] = []
  private var tagged: TagTable
  private(set) var matches: FixedList<Match>
  /// How far the stream of the last packet is searched now; nil when that is as before.
  var streamSearch: StreamSearch? = nil
  /// The matches of the last packet that records are written for.
  private(set) var alerts: FixedList<Match>
  var statistics = DetectionStatistics()
  var costs: RuleCosts

  init(tables: DetectionTables, configuration: DPIConfiguration, seed: UInt64) throws(DPIEngineError) {
    var databases: [HyperscanDatabase] = []
    for index in 0..<tables.prefilter.literalSets.count {
      databases += tables.prefilter.literalSets[index].databases
    }
    for index in 0..<tables.application.groups.count {
      if let database = tables.application.groups[index].database { databases.append(database) }
    }
    // All that can fail comes first: a type without copies is not half made.
    let scratch = try HyperscanScratch(for: databases)
    let evaluator = try PayloadEvaluator(program: tables, configuration: configuration)
    self.tables = tables
    self.scratch = scratch
    self.evaluator = evaluator
    hasApplicationRules = (0..<tables.signatures.count).contains { tables.signatures[$0].kind == .application }
    maximumAlerts = max(1, configuration.maximumAlertsPerPacket)
    growth = Detector.growth(isInline: configuration.isInline)
    candidates = CandidateSet(capacity: tables.signatures.count)
    let hasCounts = tables.thresholds.count + tables.rateFilters.count > 0
    thresholds = ThresholdCounter(capacity: hasCounts ? configuration.thresholdEntries : 0, seed: seed)
    let stateEntries = tables.changes.count > 0 ? configuration.stateBitEntries : 0
    stateBits = StateBitTable(capacity: stateEntries, seed: ~seed)
    tagged = TagTable(capacity: tables.tags.count > 0 ? configuration.stateBitEntries : 0, seed: seed)
    integers = FlowIntegerTable(capacity: stateEntries, seed: ~seed)
    // A transaction's signatures may match in several transactions that one packet completes.
    matches = FixedList(capacity: tables.signatures.count + 256)
    alerts = FixedList(capacity: maximumAlerts)
    costs = RuleCosts(recordCount: tables.recordCount)
  }

  /// Takes over what is remembered of flows and hosts from the detector of the rules before: counts, bits, numbers, sets and tags.
  mutating func takeOver(from former: inout Detector) {
    thresholds.takeOver(from: &former.thresholds)
    stateBits.takeOver(from: &former.stateBits)
    integers.takeOver(from: &former.integers)
    tagged.takeOver(from: &former.tagged)
    swap(&variables, &former.variables)
    evaluator.takeOver(from: former.evaluator)
    statistics = former.statistics
  }

  /// Evaluations given up at ``PayloadEvaluator/attemptLimit``.
  var evaluationLimits: UInt64 { evaluator.attemptLimitsReached }
  /// Searches of `pcre` given up at a limit of PCRE2.
  var patternLimits: UInt64 { evaluator.patternScratch.limitsReached }

  // MARK: one packet

  /// Finds what a packet matches, and decides; the stream data is the tracker's for this packet.
  mutating func inspect(
    _ packet: DecodedPacket, _ context: PacketContext, bytes: RawSpan, _ tracker: borrowing ConnectionTracker,
    _ session: ApplicationSession?, marks: inout FlowMarks, time: UInt64
  ) -> Decision {
    inspect(packet, context, bytes: bytes, window: tracker.window(bytes: bytes), session, marks: &marks, time: time)
  }

  /// Finds what a packet matches, and decides.
  ///
  /// - Parameters:
  ///   - bytes: what the packet's offsets count in.
  ///   - window: the stream data that the packet brought within reach; of use when the context says so.
  ///   - session: the flow's application, when the packet told it something.
  ///   - marks: the flow's; changed by rules.
  ///   - time: nanoseconds since 1970.
  mutating func inspect(
    _ packet: DecodedPacket, _ context: PacketContext, bytes: RawSpan,
    window: StreamWindow, _ session: ApplicationSession? = nil, marks: inout FlowMarks, time: UInt64
  ) -> Decision {
    matches.removeAll()
    alerts.removeAll()
    streamSearch = nil
    if !packetVariables.isEmpty { packetVariables.removeAll() }
    costs.begin()
    guard tables.signatures.count > 0 else { return Decision() }
    ends = tables.ends.ends(of: packet)
    let group = tables.prefilter.groups[PrefilterTables.groupIndex(TransportClass(packet), context.side)]
    collect(group, packet, context, bytes: bytes, window: window, marks: &marks)
    while let rank = candidates.popFirst() {
      statistics.evaluated &+= 1
      evaluator.forgetCaptures()
      let signature = tables.signatures[rank]
      let start = costs.isMeasuring ? RuleCosts.now : 0
      let found = evaluate(
        signature, packet, context, bytes: bytes, window: window, marks: marks, time: time)
      if costs.isMeasuring { costs.count(tables.records[rank], since: start, isMatch: found != .none) }
      if found == .none { continue }
      _ = append(
        Match(
          signature: rank, actions: signature.actions, isStream: found == .stream, isReplaced: false))
      change(signature, for: packet, &marks, at: time)
    }
    if let session {
      let packetMatches = matches.count
      inspectFrames(of: session, packet, context, bytes: bytes, marks: &marks, time: time)
      inspectTransactions(of: session, packet, context, bytes: bytes, window: window, marks: &marks, time: time)
      if matches.count > packetMatches {
        matches.sort { ($0.signature, $0.transaction) < ($1.signature, $1.transaction) }
      }
      if matches.count > 0 { silenceRecords(of: session) }
    }
    if matches.count == 0 { return Decision() }
    return decide(packet, marks: &marks, time: time)
  }

  mutating func append(_ match: Match) -> Bool { matches.append(match) }

  /// What rules noted about a flow; nil when there is nothing.
  mutating func notes(
    of flow: Flow, ofPacket: Bool, _ program: DetectionProgram, at time: UInt64
  ) -> FlowNotes? {
    let ofPacket = ofPacket ? packetVariables : []
    let hasNotes = flow.flags.contains(.hasNotes)
    guard hasNotes || flow.bits != (0, 0, 0, 0) || !ofPacket.isEmpty else { return nil }
    var notes = FlowNotes()
    notes.packetVariables = texts(ofPacket, program)
    let marks = FlowMarks(flow)
    let nobody = DecodedPacket()
    for (number, name) in program.flowBitNames.enumerated() where number < 256 || hasNotes {
      let bit = StateBit(number: UInt32(number), track: .flow)
      if stateBits.isSet(bit, for: nobody, marks, at: time) { notes.bits.append(name) }
    }
    guard hasNotes else { return notes }
    notes.variables = texts(variables.noted(for: flow.identifier), program)
    for (number, name) in program.integerNames.enumerated() {
      if let value = integers.value(UInt32(number), flow: flow.identifier, at: time) {
        notes.integers.append((name, value))
      }
    }
    return notes
  }

  private func texts(
    _ noted: [(name: UInt32, text: [UInt8])], _ program: DetectionProgram
  ) -> [(name: String, text: [UInt8])] {
    noted.compactMap { name, text in
      Int(name) < program.variableNames.count ? (program.variableNames[Int(name)], text) : nil
    }
  }

  /// Whether a packet without an alert is recorded because an earlier one had one. Once for each packet, after ``inspect``.
  mutating func isTagged(_ packet: DecodedPacket, _ marks: FlowMarks, at time: UInt64) -> Bool {
    tagged.isActive && tagged.count(packet, flow: marks.identifier, at: time)
  }

  /// What a signature leaves behind for others.
  mutating func change(_ signature: Signature, for packet: DecodedPacket, _ marks: inout FlowMarks, at time: UInt64) {
    if !evaluator.captured.isEmpty {
      for text in evaluator.captured where text.scope == .packet { packetVariables.append((text.name, text.text)) }
      let ofFlow = evaluator.captured.filter { $0.scope == .flow }
      if marks.hasFlow && !ofFlow.isEmpty {
        variables.note(ofFlow.map { ($0.name, $0.text) }, for: marks.identifier)
        marks.flags.insert(.hasNotes)
      }
      evaluator.forgetCaptures()
    }
    for index in signature.changes.indices {
      switch tables.changes[index] {
      case .bit(let change):
        stateBits.apply(change, for: packet, &marks, at: time)
        if change.bit.track == .flow && change.bit.number >= 256 { marks.flags.insert(.hasNotes) }
      case .integer(let step):
        guard marks.hasFlow else { continue }
        integers.apply(step, flow: marks.identifier, at: time)
        marks.flags.insert(.hasNotes)
      }
    }
  }

  // MARK: evaluation

  enum Found { case none, packet, stream }

  private mutating func evaluate(
    _ signature: Signature, _ packet: DecodedPacket, _ context: PacketContext, bytes: RawSpan,
    window: StreamWindow, marks: FlowMarks, time: UInt64
  ) -> Found {
    // The end of a flow is a packet of its application, and has no headers.
    let isAbout = !context.isContinuation || context.standsForEnd && signature.kind == .application
    if signature.payload.isEmpty && !isAbout { return .none }
    if signature.kind == .detectedProtocol && !marks.tellsProtocol { return .none }
    guard matchesPacket(signature, packet, context, bytes: bytes, marks: marks, time: time, transaction: nil) else {
      return .none
    }
    if signature.payload.isEmpty { return .packet }
    if marks.flags.contains(.encrypted(context.side)) { return .none }
    return evaluatePayload(signature, packet, context, bytes: bytes, window: window)
  }

  /// Everything but the payload and the buffers of a transaction.
  mutating func matchesPacket(
    _ signature: Signature, _ packet: DecodedPacket, _ context: PacketContext, bytes: RawSpan, marks: FlowMarks,
    time: UInt64, transaction: (any ApplicationTransaction)?
  ) -> Bool {
    guard signature.protocolFilter.matches(packet), signature.applications.admits(marks.protocolNumber),
      signature.flow.matches(packet, context),
      matchesPorts(signature, packet, marks.protocolNumber), tables.address(packet.source, isIn: signature.source),
      tables.address(packet.destination, isIn: signature.destination)
    else { return false }
    for index in signature.tests.indices {
      let test = tables.tests[index]
      switch test {
      case .bits(let condition):
        guard matches(condition, packet, marks, time: time) else { return false }
      case .payloadSize(let test):
        guard packet.payloadLength > 0, !marks.flags.contains(.encrypted(context.side)),
          test.matches(packet.payloadLength)
        else { return false }
      case .flowInteger(let step):
        guard marks.hasFlow, integers.holds(step, flow: marks.identifier, at: time) else { return false }
      case .variable(let test):
        guard matches(test, marks) else { return false }
      case .reputation(let test):
        guard test.matches(packet, tables.reputations) else { return false }
      case .streamSize(let side, let size):
        guard context.matches(side, size) else { return false }
      case .flowAge(let age):
        guard marks.hasFlow, age.matches(marks.age) else { return false }
      case .applicationProtocol(let condition):
        guard condition.matches(marks, context) else { return false }
      case .applicationEvent(let event):
        guard transaction?.events.contains(event.number(in: marks.protocolNumber)) == true else { return false }
      case .detectionEvent(let event):
        guard context.detectionEvents.contains(event) else { return false }
      case .transaction(let condition):
        guard
          transaction?.matches(condition, in: packet, from: context.side, ranges: tables.numberRanges) == true
        else { return false }
      case .file:
        guard let transaction, hasFile(signature.tests, transaction, context.side) else { return false }
      case .applicationNumber(let number, let condition):
        guard transaction?.meets(number, condition, from: context.side) == true else { return false }
      case .applicationCondition(let index):
        guard let transaction, transaction.meets(tables.conditions[Int(index)], from: context.side, at: time)
        else { return false }
      default:
        guard test.matches(packet, bytes: bytes, streamEvents: context.streamEvents) else { return false }
      }
    }
    for index in signature.headers.indices {
      let header = tables.headerSteps[index]
      guard let range = packet.range(of: header.buffer, bytes: bytes), range.upperBound <= bytes.byteCount,
        evaluator.evaluate(header.steps, on: bytes.extracting(range), through: header.transform) != nil
      else { return false }
    }
    return true
  }

  private func matches(_ test: VariableTest, _ marks: FlowMarks) -> Bool {
    let literal = unsafe ByteView(base: tables.literals.pointer + Int(test.text.start), count: Int(test.text.count))
    let texts =
      test.scope == .packet ? packetVariables : marks.hasFlow ? variables.noted(for: marks.identifier) : []
    return texts.contains { noted in
      noted.name == test.name
        && noted.text.rawBytes.withByteView {
          LiteralSearch.find(literal, in: $0, from: 0, to: $0.count, isCaseless: false) >= 0
        }
    }
  }

  private func hasFile(_ tests: TableRange, _ transaction: any ApplicationTransaction, _ side: FlowSide) -> Bool {
    transaction.files.contains { file in
      guard file.side == side else { return false }
      for index in tests.indices {
        if case .file(let condition) = tables.tests[index], !condition.matches(file, tables.digests) { return false }
      }
      return true
    }
  }

  @inline(__always)
  private func matchesPorts(_ signature: Signature, _ packet: DecodedPacket, _ protocolNumber: UInt8) -> Bool {
    if signature.services != 0 && protocolNumber < 32 { return signature.services & 1 &<< UInt32(protocolNumber) != 0 }
    if signature.sourcePorts == Signature.any && signature.destinationPorts == Signature.any { return true }
    switch packet.transport {
    case .tcp, .udp, .sctp:
      return tables.port(packet.destinationPort, isIn: signature.destinationPorts)
        && tables.port(packet.sourcePort, isIn: signature.sourcePorts)
    case .none, .icmpv4, .icmpv6: return false
    }
  }

  private mutating func matches(
    _ condition: BitCondition, _ packet: DecodedPacket, _ marks: FlowMarks, time: UInt64
  ) -> Bool {
    if condition.track == .flow && !marks.hasFlow { return false }
    for index in condition.names.indices {
      let bit = StateBit(number: tables.bitNumbers[index], track: condition.track)
      if stateBits.isSet(bit, for: packet, marks, at: time) == condition.wantsSet { return true }
    }
    return false
  }

  /// Stream data first; the packet's own payload when the rule looks at packets, or when the payload did not become part of
  /// the stream. So data is not reported twice, and nothing escapes.
  mutating func evaluatePayload(
    _ signature: Signature, _ packet: DecodedPacket, _ context: PacketContext, bytes: RawSpan,
    window: borrowing StreamWindow
  ) -> Found {
    if signature.data.contains(.stream) {
      if context.hasStreamData && evaluateStream(signature, window) { return .stream }
      if context.isContinuation { return .none }
      if !signature.data.contains(.packet) && (context.isInStream || signature.data.contains(.onlyStream)) {
        return .none
      }
    }
    guard packet.payloadLength > 0, !context.isContinuation else { return .none }
    if context.hasStreamData && signature.data.contains(.stream) && window.freshIsPayload(of: packet, in: bytes) {
      return .none  // the same bytes have just been evaluated
    }
    let payload = bytes.extracting(packet.payloadRange)
    return payload.withByteView { evaluator.evaluate(signature.payload, on: $0) } != nil ? .packet : .none
  }

  /// First the new bytes alone, then together with those before: a match that lies wholly in the old bytes has been
  /// reported. What counts from the start of the data is tried with old bytes only while these reach back to the start of the
  /// stream; contents with `offset` or `depth` count from there and from nowhere else.
  private mutating func evaluateStream(_ signature: Signature, _ window: StreamWindow) -> Bool {
    if signature.countsFromStreamStart {
      guard window.streamOffset == 0 else { return false }
      guard let end = window.bytes.withByteView({ evaluator.evaluate(signature.payload, on: $0) }) else { return false }
      return window.freshOffset == 0 || end > window.freshOffset
    }
    let fresh = window.bytes.extracting(window.freshOffset..<window.bytes.byteCount)
    if fresh.byteCount > 0, fresh.withByteView({ evaluator.evaluate(signature.payload, on: $0) }) != nil { return true }
    guard window.freshOffset > 0, !signature.hasAbsolutePositions || window.streamOffset == 0 else { return false }
    guard let end = window.bytes.withByteView({ evaluator.evaluate(signature.payload, on: $0) }) else { return false }
    return end > window.freshOffset
  }

  // MARK: decision

  /// Applies the actions of all matches in their order: thresholds and suppressions first, then the packet and the flow.
  private mutating func decide(_ packet: DecodedPacket, marks: inout FlowMarks, time: UInt64) -> Decision {
    var decision = Decision()
    for index in 0..<matches.count {
      var match = matches[index]
      let signature = tables.signatures[match.signature]
      let outcome = threshold(&match, signature, packet, marks, time: time)
      if outcome == .nothing { continue }
      apply(match, signature, to: &decision, marks: &marks)
      if match.actions.contains(.pass) {
        // A pass ends the packet's inspection: what ranks behind it is neither recorded nor done.
        if outcome != .silent && match.actions.contains(.alert) { record(match, packet, marks, at: time) }
        break
      }
      if outcome == .silent || !match.actions.contains(.alert) { continue }
      record(match, packet, marks, at: time)
    }
    if alerts.count > 0 { marks.flags.insert(.alerted) }
    return decision
  }

  private mutating func record(_ match: Match, _ packet: DecodedPacket, _ marks: FlowMarks, at time: UInt64) {
    for tag in tables.signatures[match.signature].tags.indices {
      tagged.start(tables.tags[tag], for: packet, flow: marks.identifier, at: time)
    }
    if alerts.append(match) { statistics.alerts &+= 1 } else { statistics.discardedAlerts &+= 1 }
  }

  private mutating func threshold(
    _ match: inout Match, _ signature: Signature, _ packet: DecodedPacket, _ marks: FlowMarks,
    time: UInt64
  ) -> ThresholdCounter.Outcome {
    guard packet.ipVersion != 0 else { return .alert }
    for index in signature.suppressions.indices where isSuppressed(tables.suppressions[index], packet) {
      statistics.suppressedAlerts &+= 1
      return .silent
    }
    if signature.thresholds.isEmpty && signature.rateFilter == Signature.any { return .alert }
    let subject = ThresholdCounter.Subject(
      rule: tables.identities[match.signature], source: packet.source, destination: packet.destination,
      flow: marks.identifier)
    var outcome = ThresholdCounter.Outcome.alert
    for (place, index) in signature.thresholds.indices.enumerated() where outcome == .alert {
      outcome = thresholds.count(subject, by: tables.thresholds[index], place: UInt32(place), at: time)
    }
    if outcome == .alert, signature.rateFilter != Signature.any {
      let filter = tables.rateFilters[signature.rateFilter]
      outcome = thresholds.count(subject, by: filter, at: time)
      if outcome == .replaced {
        match.actions = filter.newActions
        match.isReplaced = true
      }
    }
    if outcome == .silent || outcome == .nothing { statistics.suppressedAlerts &+= 1 }
    return outcome
  }

  private func isSuppressed(_ test: SuppressionTest, _ packet: DecodedPacket) -> Bool {
    switch test.side {
    case .everything: true
    case .source: tables.address(packet.source, isIn: test.addresses)
    case .destination: tables.address(packet.destination, isIn: test.addresses)
    case .either:
      tables.address(packet.source, isIn: test.addresses) || tables.address(packet.destination, isIn: test.addresses)
    }
  }

  private func apply(_ match: Match, _ signature: Signature, to decision: inout Decision, marks: inout FlowMarks) {
    if signature.bypasses && marks.hasFlow { marks.flags.insert(.bypassed) }
    let isFlow = signature.kind.actsOnFlow(matchedStream: match.isStream) && marks.hasFlow
    if match.actions.contains(.drop) {
      if decision.dropMatch == nil {
        decision.dropMatch = match
        decision.dropReason = match.isReplaced ? .rateFilter : .rules
      }
      decision.actions.formUnion(match.actions)
      // The first to decide about a flow wins. Passive, too: no more alerts of a flow that would be gone.
      if isFlow && !marks.flags.contains(.pass) { marks.flags.insert(.drop) }
    } else {
      decision.actions.formUnion(match.actions)
      if match.actions.contains(.pass) && isFlow && !marks.flags.contains(.drop) { marks.flags.insert(.pass) }
    }
  }
}

/// What detection counted.
struct DetectionStatistics: BitwiseCopyable, Sendable {
  /// Matches that a record was made for.
  var alerts: UInt64 = 0
  /// Matches left out because a packet had more than `maximumAlertsPerPacket`.
  var discardedAlerts: UInt64 = 0
  /// Matches that a threshold or a suppression kept from a record.
  var suppressedAlerts: UInt64 = 0
  var scans: UInt64 = 0
  var scannedBytes: UInt64 = 0
  /// Scans that reported too much: every signature was evaluated instead.
  var overflows: UInt64 = 0
  /// Evaluations of a signature on a packet.
  var evaluated: UInt64 = 0
}

extension PacketContext {
  /// `stream_size`.
  func matches(_ side: StreamSize.Side, _ size: NumberTest) -> Bool {
    guard isInConnection else { return false }
    return switch side {
    case .server: size.matches(serverSize)
    case .client: size.matches(clientSize)
    case .both: size.matches(serverSize) && size.matches(clientSize)
    case .either: size.matches(serverSize) || size.matches(clientSize)
    }
  }
}

extension StreamWindow {
  /// Whether a packet's payload is the first that is new in the window.
  func freshBegins(with payload: RawSpan) -> Bool {
    guard payload.byteCount <= bytes.byteCount - freshOffset else { return false }
    let fresh = bytes.extracting(freshOffset..<(freshOffset + payload.byteCount))
    return fresh.withByteView { fresh in payload.withByteView { fresh.isEqual(to: $0) } }
  }

  /// Whether the new bytes of the window are a packet's whole payload.
  func freshIsPayload(of packet: DecodedPacket, in packetBytes: RawSpan) -> Bool {
    bytes.byteCount - freshOffset == Int(packet.payloadLength)
      && freshBegins(with: packetBytes.extracting(packet.payloadRange))
  }
}
