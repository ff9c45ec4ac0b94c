internal import AllyPacket

/// What happens to each packet after it was decoded: flow and stream, detection, records.
struct PacketInspection: ~Copyable {
  let configuration: DPIConfiguration
  var counters: FrameCounters
  private(set) var program: DetectionProgram
  private let store: (any FileStore)?
  private let seed: UInt64
  private var tracker: ConnectionTracker
  private var detector: Detector
  private var application: ApplicationLayer
  private var eve: EVEWriter
  private var fastLog: FastLogWriter?
  private var hardware = HardwareAddressTable()
  /// Stream data is looked at as it comes.
  private let isImmediate: Bool
  /// The clock of the traffic, in nanoseconds since 1970.
  private var now: UInt64 = 0
  /// What becomes of flows whose application is lost.
  private let applicationPolicy: ExceptionPolicy
  /// What the traffic's frames begin with.
  private var linkType = LinkType.ethernet

  init(
    program: DetectionProgram, configuration: DPIConfiguration, sink: any RecordSink, store: (any FileStore)?,
    fastLog: (any RecordSink)?, dropped: DroppedFlows?
  ) throws(DPIEngineError) {
    let files = try FilePolicy(configuration, needs: program.tables.fileNeeds, store: store)
    let seed = configuration.hashSeed ?? UInt64.random(in: .min ... .max)
    let detector = try Detector(tables: program.tables, configuration: configuration, seed: seed)
    self.detector = detector
    self.store = store
    self.seed = seed
    self.program = program
    self.configuration = configuration
    isImmediate = configuration.streamInline ?? configuration.isInline
    applicationPolicy = configuration.applicationPolicy.asSeen(byInline: configuration.isInline)
    tracker = ConnectionTracker(configuration: configuration, dropped: dropped)
    application = ApplicationLayer(limits: PacketInspection.limits(configuration, program), files: files)
    eve = EVEWriter(program: program, configuration: configuration, sink: sink)
    if let fastLog {
      self.fastLog = FastLogWriter(program: program, isInline: configuration.isInline, sink: fastLog)
    } else {
      self.fastLog = nil
    }
    counters = FrameCounters(recordCount: program.records.count)
  }

  /// What applications keep, as operator and rules want it.
  private static func limits(_ configuration: DPIConfiguration, _ program: DetectionProgram) -> ApplicationLimits {
    var limits = configuration.application
    limits.options.resolve(for: program)
    limits.options.isInline = configuration.isInline
    limits.options.showsStreamFrames = configuration.records.contains(.frames)
    limits.options.frames = program.framesAskedFor(records: configuration.records)
    return limits
  }

  /// Goes on with other rules (``DPIEngine/reload(_:)``).
  mutating func reload(_ program: DetectionProgram) throws(DPIEngineError) {
    // All that can fail comes first.
    let files = try FilePolicy(configuration, needs: program.tables.fileNeeds, store: store)
    var detector = try Detector(tables: program.tables, configuration: configuration, seed: seed)
    detector.takeOver(from: &self.detector)
    self.detector = detector
    var counters = FrameCounters(recordCount: program.records.count)
    counters.takeOver(from: self.counters, records: self.program.records)
    self.counters = counters
    let limits = PacketInspection.limits(configuration, program)
    application.reload(limits: limits, files: files, MatchTranslation(from: self.program, to: program))
    tracker.forgetSearches()
    eve.program = program
    fastLog?.program = program
    self.program = program
  }

  mutating func takeOverConnections() { tracker.takeOver() }

  var ruleCosts: [RuleCost] {
    var costs: [RuleCost] = []
    for (index, record) in program.records.enumerated() {
      let cost = detector.costs[index]
      if cost.evaluations == 0 { continue }
      costs.append(
        RuleCost(
          gid: record.gid, sid: record.sid, rev: record.rev, message: record.message, evaluations: cost.evaluations,
          matches: cost.matches, nanoseconds: cost.nanoseconds))
    }
    return costs.sorted { ($1.nanoseconds, $0.sid) < ($0.nanoseconds, $1.sid) }
  }

  /// One packet of a frame.
  mutating func inspect(_ packet: DecodedPacket, of frame: borrowing Packet, _ dissector: borrowing FrameDissector)
    -> Actions
  {
    now = max(now, frame.stamp.time)
    linkType = frame.stamp.linkType
    let bytes = dissector.bytes(of: packet, in: frame.bytes)
    var context = tracker.track(packet, bytes: bytes, time: frame.stamp.time)
    var actions = inspect(packet, &context, of: frame, dissector)
    // A segment that closes a gap may bring more than one window shows.
    context.isContinuation = true
    while context.hasStreamData && tracker.nextWindow() {
      actions.formUnion(inspect(packet, &context, of: frame, dissector))
    }
    return actions
  }

  private mutating func inspect(
    _ packet: DecodedPacket, _ context: inout PacketContext, of frame: borrowing Packet,
    _ dissector: borrowing FrameDissector
  ) -> Actions {
    let bytes = dissector.bytes(of: packet, in: frame.bytes)
    context.detectionEvents = DetectionEventSet()
    var marks = FlowMarks()
    // The flow's application when there is something to inspect or to record.
    var session: ApplicationSession? = nil
    if !context.flow.isNone {
      let hasHeard = listen(to: packet, &context, bytes: bytes)
      let flow = tracker.flow(context.flow)
      marks = FlowMarks(flow)
      if !context.isContinuation { marks.noteProtocol(of: context.side) }
      if configuration.recordOptions.ethernet && !context.isContinuation && frame.stamp.linkType == .ethernet {
        hardware.note(frame.bytes, from: context.side, flow: flow.identifier)
      }
      if let known = application.session(flow), hasHeard || known.needsInspection(context.side) { session = known }
    }

    var decision = Detector.Decision()
    var isInspected = false
    if marks.flags.contains(.drop) {
      decision.actions = .drop
      decision.dropReason = .flow
    } else if context.exception != .ignore && (!context.isContinuation || context.isApplicationLost) {
      decision = except(context.exception, context.flow, context.isApplicationLost ? .application : .midstream)
    } else if marks.flags.isDisjoint(with: [.pass, .bypassed]) {
      isInspected = true
      decision = detector.inspect(packet, context, bytes: bytes, tracker, session, marks: &marks, time: now)
      if let search = detector.streamSearch { tracker.keep(search) }
      if !context.flow.isNone {
        // From the next packet on.
        if let session, session.parser.isEncrypted { noteEncryption(session, from: context.side, &marks) }
        tracker.withFlow(context.flow) { marks.store(in: &$0) }
      }
    }
    if context.mustDrop && !decision.actions.contains(.drop) {
      decision.actions.insert(.drop)
      decision.dropReason = .stream
    }
    if configuration.isInline, decision.actions.contains(.drop), !context.flow.isNone {
      tracker.noteDropped(context.flow)
    }
    let records = configuration.records
    let isTagged = !context.isContinuation && detector.isTagged(packet, marks, at: now)
    if isInspected && detector.alerts.count > 0 || configuration.isInline && decision.actions.contains(.drop)
      || records.contains(.decodeAnomalies) && !packet.events.isEmpty
      || records.contains(.streamAnomalies) && !context.streamEvents.isEmpty || session != nil
      || isTagged
    {
      writeRecords(
        decision, isInspected: isInspected, isTagged: isTagged, packet, context, session, of: frame, dissector)
    }
    return decision.actions
  }

  /// What of a side was said in clear has been inspected when the next packet of that side has.
  private func noteEncryption(_ session: ApplicationSession, from side: FlowSide, _ marks: inout FlowMarks) {
    guard session.application == .tls else { return marks.flags.formUnion(.encrypted(side)) }
    let encrypted = configuration.application.options.tls.encrypted
    if encrypted != .inspected { marks.flags.formUnion([.encryptedToServer, .encryptedToClient]) }
    if encrypted == .bypassed { marks.flags.insert(.bypassed) }
  }

  /// The connection runs the other way than it was taken for.
  private mutating func turn(_ flow: inout Flow, _ context: inout PacketContext) {
    tracker.swapSides(context.flow)
    context.side = context.side.opposite
    swap(&context.endsStream, &context.endsOther)
    swap(&context.clientSize, &context.serverSize)
    let (application, number, protocols, flags) = (flow.application, flow.protocolNumber, flow.protocols, flow.flags)
    flow = tracker.flow(context.flow)
    flow.application = application
    flow.protocols = protocols
    flow.protocolNumber = number
    flow.flags = flags
  }

  /// Lets the application layer hear what a packet brings.
  ///
  /// - Returns: whether the flow has a session that heard something.
  private mutating func listen(to packet: DecodedPacket, _ context: inout PacketContext, bytes: RawSpan) -> Bool {
    let isDatagram = packet.transport == .udp && packet.payloadLength > 0 && !packet.carriesPacket
    let hasNews = context.hasStreamData || context.releasesOther || context.endsStream || context.endsOther
    let isOver = !isImmediate && packet.transport == .tcp && tracker.isClosed(context.flow)
    guard hasNews || isDatagram || isOver else { return false }
    var flow = tracker.flow(context.flow)
    if !flow.flags.isDisjoint(with: [.drop, .bypassed]) { return false }
    if flow.application == .max && flow.flags.isSuperset(of: .noApplication) { return false }
    var hasHeard = false
    let wasUnknown = flow.application == .max
    let mayBeLost = applicationPolicy != .ignore && application.session(flow)?.parser.isLost != true
    // Beyond the depth nothing is heard any more; passively, what the receiver has not acknowledged until then is not, either.
    let isBeyond = context.streamEvents.contains(.reassemblyDepthReached)
    if isBeyond && !isImmediate, let session = application.session(flow), session.close(context.side) {
      hasHeard = true
    }
    let isMidstream = flow.application == .max && tracker.connection(context.flow)?.flags.contains(.midstream) == true
    if flow.application == .max && !flow.flags.isDisjoint(with: .noApplication) && !isDatagram {
      hearFirst(&flow, context, bytes: bytes, mayRunTheOtherWay: isMidstream)
    }
    if context.releasesOther && !context.isContinuation {
      var side = context.side.opposite
      hasHeard = application.receive(
        tracker.otherWindow(bytes: bytes), from: &side, flow: &flow, mayRunTheOtherWay: isMidstream)
      if side == context.side { turn(&flow, &context) }
    }
    if context.hasStreamData {
      var side = context.side
      let isNew = application.receive(
        tracker.window(bytes: bytes), from: &side, flow: &flow, mayRunTheOtherWay: isMidstream)
      if side != context.side { turn(&flow, &context) }
      hasHeard = hasHeard || isNew
    } else if isDatagram {
      hasHeard = application.receive(datagram: bytes.extracting(packet.payloadRange), from: context.side, flow: &flow)
    }
    tracker.withFlow(context.flow) {
      $0.application = flow.application
      $0.parent = flow.parent
      $0.protocolNumber = flow.protocolNumber
      $0.protocols = flow.protocols
      $0.flags = flow.flags
    }
    context.detectionEvents = application.takeEvents()
    guard let session = application.session(flow) else { return false }
    if mayBeLost && session.parser.isLost {
      context.exception = applicationPolicy
      context.isApplicationLost = true
    }
    if wasUnknown && session.isReadToTheEnd { tracker.liftDepth(of: context.flow) }
    if hasHeard && session.parser.isFinished { tracker.stopReassembly(of: context.flow) }
    if isBeyond && session.close(context.side) { hasHeard = true }
    // Passively a side is over when the connection is: what it said last has been acknowledged then.
    if isImmediate || tracker.connection(context.flow)?.state == .closed {
      if context.endsStream || isOver, session.close(context.side) { hasHeard = true }
      if context.endsConnection || context.endsOther || isOver, session.close(context.side.opposite) { hasHeard = true }
    }
    return hasHeard
  }

  /// When a side tells the protocol of a flow in which the other spoke first and said nothing that is known, as servers of mail do,
  /// the other is heard first.
  private mutating func hearFirst(
    _ flow: inout Flow, _ context: PacketContext, bytes: RawSpan, mayRunTheOtherWay: Bool
  ) {
    let knows: FlowSide = flow.flags.contains(.noApplicationToClient) ? .toServer : .toClient
    var side = knows
    let isOwn = knows == context.side
    guard isOwn ? context.hasStreamData : context.releasesOther && !context.isContinuation else { return }
    if isOwn {
      _ = application.receive(
        tracker.window(bytes: bytes), from: &side, flow: &flow, mayRunTheOtherWay: false, onlyDetects: true)
    } else {
      _ = application.receive(
        tracker.otherWindow(bytes: bytes), from: &side, flow: &flow, mayRunTheOtherWay: false, onlyDetects: true)
    }
    guard flow.application != .max else { return }
    side = knows.opposite
    if isOwn {
      _ = application.receive(tracker.otherWindow(bytes: bytes), from: &side, flow: &flow)
    } else {
      _ = application.receive(tracker.window(bytes: bytes), from: &side, flow: &flow)
    }
  }

  /// What becomes of a packet that the engine cannot follow, and of its flow.
  private mutating func except(_ policy: ExceptionPolicy, _ flow: FlowIndex, _ reason: Detector.DropReason)
    -> Detector.Decision
  {
    var decision = Detector.Decision()
    if policy.stopsTraffic {
      decision.actions = policy == .reject ? [.drop, .reject, .tellsSender] : .drop
      decision.dropReason = reason
    }
    let flag: Flow.Flags
    switch policy {
    case .dropFlow, .reject: flag = .drop
    case .passFlow: flag = .pass
    case .bypass: flag = [.pass, .bypassed]
    case .ignore, .dropPacket, .passPacket: flag = []
    }
    tracker.withFlow(flow) { $0.flags.formUnion(flag) }
    return decision
  }

  // MARK: records

  private mutating func writeRecords(
    _ decision: Detector.Decision, isInspected: Bool, isTagged: Bool, _ packet: DecodedPacket,
    _ context: PacketContext, _ session: ApplicationSession?, of frame: borrowing Packet,
    _ dissector: borrowing FrameDissector
  ) {
    let bytes = dissector.bytes(of: packet, in: frame.bytes)
    let flow: Flow? = context.flow.isNone ? nil : tracker.flow(context.flow)
    // Where alerts are the only records, most packets that come here have none.
    if detector.alerts.count > 0 || isTagged || !configuration.records.subtracting(.alerts).isEmpty {
      note(flow, ofPacket: isInspected)
    }
    // A datagram put together from fragments has the last of them in front of it, as if it had been inside.
    let isInner = packet.depth > 0 || packet.origin == .defragmented
    let outer: DecodedPacket? = isInner ? dissector.packet(at: Int(packet.parent)) : nil
    var linkLength = 0
    if packet.origin == .defragmented {
      let fragment = dissector.packet(at: Int(packet.parent))
      if fragment.depth == 0 && fragment.buffer == 0 { linkLength = Int(fragment.networkOffset) }
    }
    let subject = EVEWriter.Subject(
      packet: packet, bytes: bytes, linkHeader: frame.bytes.extracting(0..<min(linkLength, frame.bytes.byteCount)),
      stamp: frame.stamp, side: context.side, outer: outer)
    let records = configuration.records
    if isInspected && records.contains(.alerts) {
      let known = flow.flatMap { application.session($0) }
      PacketInspection.writeAlerts(
        detector, decision, flow: flow, known, about: subject, tracker, program, &counters, &eve, &fastLog)
    }
    if isTagged && records.contains(.alerts) && configuration.recordOptions.alert.taggedPackets {
      eve.writeTaggedPacket(flow: flow, about: subject)
    }
    if configuration.isInline && records.contains(.drops) && decision.actions.contains(.drop) {
      writeDrop(decision, flow: flow, context, about: subject)
    }
    if let session, let flow {
      // Passively each side is inspected with a packet of its own, which may be still to come.
      let waits = isInspected && packet.transport == .tcp && detector.tables.signatures.count > 0
      PacketInspection.writeTransactions(
        session, records, waits: waits && !isImmediate, waitsIfLate: waits,
        filesWait: packet.transport == .tcp && !isImmediate && !session.isClosed, flow: flow, about: subject, &eve)
    }
    if let session, let flow {
      if records.contains(.frames) { eve.writeFrames(session, from: context.side, flow: flow, about: subject) }
      session.frames?.removeDone(from: context.side, areInspected: isInspected && detector.tables.frames.count > 0)
    }
    if records.contains(.applicationAnomalies), let flow {
      eve.writeAnomalies(context.detectionEvents, flow: flow, about: subject)
    }
    if context.isContinuation { return }
    if records.contains(.decodeAnomalies) {
      for event in DecoderEvent.allCases where packet.events.contains(event) {
        for _ in 0..<(packet.repeatedEvent == event ? 2 : 1) {
          eve.writeAnomaly(
            "decode", origin: "decoder.", event: event.name, flow: flow,
            showsPacket: configuration.recordOptions.anomalyPacket, about: subject)
        }
      }
    }
    if records.contains(.streamAnomalies) {
      for event in StreamEvent.allCases where context.streamEvents.contains(event) {
        eve.writeAnomaly(
          "stream", origin: "stream.", event: event.name, flow: flow,
          showsPacket: configuration.recordOptions.anomalyPacket, about: subject)
      }
    }
  }

  /// The tracker goes in by itself: stream data borrows it while records are written.
  private static func writeAlerts(
    _ alerts: borrowing Detector, _ decision: Detector.Decision, flow: Flow?, _ session: ApplicationSession?,
    about subject: borrowing EVEWriter.Subject,
    _ tracker: borrowing ConnectionTracker, _ program: DetectionProgram, _ counters: inout FrameCounters,
    _ eve: inout EVEWriter, _ fastLog: inout FastLogWriter?
  ) {
    // Of a stream, made when the first alert asks for it.
    var excerpt: [UInt8]? = nil
    let options = eve.configuration.recordOptions.alert
    for index in 0..<alerts.alerts.count {
      let match = alerts.alerts[index]
      counters.countAlert(of: program.tables.records[match.signature])
      fastLog?.write(match, about: subject)
      if match.isStream, excerpt == nil, options.payload || options.payloadPrintable, let flow {
        excerpt = tracker.excerpt(of: flow, subject.side, atMost: options.payloadBytes)
      }
      let payload = subject.bytes.extracting(subject.packet.payloadRange)
      if match.isStream, let excerpt, !excerpt.isEmpty {
        eve.writeAlert(
          match, isDropped: decision.actions.contains(.drop), data: excerpt.rawBytes, flow: flow, session,
          about: subject)
      } else {
        eve.writeAlert(
          match, isDropped: decision.actions.contains(.drop), data: payload, flow: flow, session, about: subject)
      }
    }
  }

  /// Records of transactions that are complete, and of files; then the transactions are done with.
  ///
  /// - Parameters:
  ///   - session: whose transactions they are.
  ///   - records: which records there are.
  ///   - waits: a side's rules may not have seen what is complete; then it stays.
  ///   - waitsIfLate: likewise for what the other side's words complete.
  ///   - filesWait: a file is recorded with a packet of the side that sent it.
  ///   - isEnd: nothing more comes of the flow.
  ///   - flow: the flow.
  ///   - subject: the packet.
  ///   - eve: what writes.
  private static func writeTransactions(
    _ session: ApplicationSession, _ records: RecordKinds, waits: Bool, waitsIfLate: Bool, filesWait: Bool = false,
    isEnd: Bool = false, flow: Flow,
    about subject: borrowing EVEWriter.Subject, _ eve: inout EVEWriter
  ) {
    let (front, back) = isEnd ? TransactionNumbers.all.runs : session.takeUnrecorded().runs
    writeTransactions(
      front, of: session, records, waits: waits, waitsIfLate: waitsIfLate, filesWait: filesWait, isEnd: isEnd,
      flow: flow,
      about: subject, &eve)
    if back.isEmpty { return }
    writeTransactions(
      back, of: session, records, waits: waits, waitsIfLate: waitsIfLate, filesWait: filesWait, isEnd: isEnd,
      flow: flow,
      about: subject, &eve)
  }

  private static func writeTransactions(
    _ run: TransactionNumbers.Run, of session: ApplicationSession, _ records: RecordKinds, waits: Bool,
    waitsIfLate: Bool, filesWait: Bool, isEnd: Bool, flow: Flow, about subject: borrowing EVEWriter.Subject,
    _ eve: inout EVEWriter
  ) {
    if run.isEmpty { return }
    var index = session.parser.place(of: run.first)
    while index < session.parser.transactionCount {
      let transaction = session.parser.transaction(at: index)
      if transaction.number > run.last { return }
      let inspection = transaction.inspection
      while inspection.filesRecorded < transaction.files.count {
        let file = transaction.files[inspection.filesRecorded]
        if file.state == .open && !isEnd || filesWait && file.side != subject.side { break }
        file.finishStorage()
        if records.contains(.files) {
          eve.writeFile(file, of: transaction, session, flow: flow, about: subject)
        }
        inspection.filesRecorded += 1
      }
      if records.contains(.applicationAnomalies) && inspection.eventsRecorded != transaction.events {
        for (number, event) in session.eventNames.enumerated() {
          let number = UInt8(number)
          guard transaction.events.contains(number), !inspection.eventsRecorded.contains(number) else { continue }
          for _ in 0..<transaction.occurrences(of: number) {
            eve.writeAnomaly(event, of: transaction, session, flow: flow, about: subject)
          }
        }
        inspection.eventsRecorded = transaction.events
      }
      if !inspection.isRecorded && transaction.isRecordable {
        inspection.isRecorded = true
        if records.contains(session.recordKind) && !inspection.isSilent {
          eve.writeTransaction(transaction, session, flow: flow, about: subject)
        }
      }
      let isComplete =
        isEnd
        || transaction.stage(of: .toServer) == TransactionStage.complete
          && transaction.stage(of: .toClient) == TransactionStage.complete
      guard isComplete else {
        if inspection.filesRecorded < transaction.files.count { session.keepUnrecorded(transaction.number) }
        index += 1
        continue
      }
      if filesWait && inspection.filesRecorded < transaction.files.count
        || (waits || waitsIfLate && transaction.isInspectedLate) && !inspection.isOver
      {
        session.keepUnrecorded(transaction.number)
        index += 1
      } else {
        session.parser.removeTransaction(at: index)
      }
    }
  }

  /// Of a flow that is dropped as a whole, the first packet of each side and those that a rule drops, unless every packet is
  /// asked for.
  private mutating func writeDrop(
    _ decision: Detector.Decision, flow: Flow?, _ context: PacketContext, about subject: borrowing EVEWriter.Subject
  ) {
    if !configuration.recordOptions.drop.everyPacket, let flow {
      let recorded: Flow.Flags = context.side == .toServer ? .dropRecordedToServer : .dropRecordedToClient
      if decision.dropMatch == nil && flow.flags.contains(recorded) { return }
      tracker.withFlow(context.flow) { _ = $0.flags.insert(recorded) }
    }
    eve.writeDrop(decision.dropReason, match: decision.dropMatch, flow: flow, about: subject)
  }

  /// Ends the applications of flows that ended since, and writes their records.
  mutating func endFlows() {
    if !tracker.hasEndedFlows { return }
    if let flow = tracker.takeLostFlow() { application.remove(flow) }
    while let ended = tracker.nextEndedFlow() {
      var flow = ended
      let records = configuration.records
      end(&flow)
      tracker.close(flow)
      application.remove(flow)
      if !records.isDisjoint(with: [.flows, .netflows]) { note(flow) }
      eve.hardware = configuration.recordOptions.ethernet ? hardware.remove(flow.identifier) : nil
      if records.contains(.flows) { eve.writeFlow(flow, at: now) }
      if records.contains(.netflows) { eve.writeNetflows(flow, at: now) }
    }
  }

  /// Lets records say what rules noted about a flow, and about the packet in hand.
  private mutating func note(_ flow: Flow?, ofPacket: Bool = false) {
    guard configuration.recordOptions.stateBits else { return }
    eve.notes = flow.flatMap { detector.notes(of: $0, ofPacket: ofPacket, program, at: now) }
  }

  /// What was said when a flow ends is all that is said: what nobody has looked at is inspected on both sides, as if it came
  /// with a last packet each.
  private mutating func end(_ flow: inout Flow) {
    var isTurned = false
    let wasOpen = tracker.isOpen(flow)
    for first in [FlowSide.toServer, .toClient] {
      // It changes when the connection turns out to run the other way.
      var side = isTurned ? first.opposite : first
      defer { isTurned = side != first }
      var hasData = tracker.showRest(of: flow, first)
      let session = application.session(flow)
      if !hasData && session == nil { continue }
      note(flow)
      var standsForEnd =
        detector.hasApplicationRules && flow.ipProtocol == IPProtocolNumber.tcp
        && (wasOpen || hasData || session?.hasUninspected(side) == true)
      repeat {
        endSide(&side, &flow, hasData: hasData, standsForEnd: standsForEnd)
        standsForEnd = false
        hasData = hasData && tracker.nextWindow()
      } while hasData
      let isClosing = application.session(flow)?.close(side) == true
      let isLast = first == .toClient
      // The other side has been heard to its end, or has nothing to say.
      if isLast { _ = application.session(flow)?.close(side.opposite) }
      if isClosing || isLast { endSide(&side, &flow, hasData: false, isLast: isLast) }
    }
  }

  /// - Parameters:
  ///   - standsForEnd: ``PacketContext/standsForEnd``.
  ///   - isLast: nothing more is said; transactions that are not complete stay so.
  private mutating func endSide(
    _ side: inout FlowSide, _ flow: inout Flow, hasData: Bool, standsForEnd: Bool = false, isLast: Bool = false
  ) {
    let isOpen = flow.flags.isDisjoint(with: [.drop, .bypassed])
    if hasData && isOpen && !(flow.application == .max && flow.flags.isSuperset(of: .noApplication)) {
      let isMidstream = flow.application == .max && tracker.isMidstream(flow)
      var heard = side
      _ = application.receive(
        tracker.window(bytes: RawSpan()), from: &heard, flow: &flow, mayRunTheOtherWay: isMidstream)
      if heard != side {
        flow.swapSides()
        side = heard
      }
    }
    let packet = DecodedPacket(endOf: flow, side)
    var context = PacketContext()
    context.side = side
    context.flow = .ended
    context.isEstablished = true
    context.isContinuation = true
    context.standsForEnd = standsForEnd
    context.hasStreamData = hasData
    context.detectionEvents = application.takeEvents()
    var marks = FlowMarks(flow)
    let session = application.session(flow)
    var decision = Detector.Decision()
    let isInspected = isOpen && !marks.flags.contains(.pass)
    if isInspected {
      decision = detector.inspect(packet, context, bytes: RawSpan(), tracker, session, marks: &marks, time: now)
      if let search = detector.streamSearch { tracker.keep(search) }
      marks.store(in: &flow)
    }
    let sequence = detector.alerts.count > 0 ? tracker.nextSequence(of: flow, side) : nil
    let bytes = sequence.map { FlowEndPacket.bytes(of: packet, sequence: $0) } ?? []
    let subject = EVEWriter.Subject(
      packet: packet, bytes: bytes.rawBytes, linkHeader: RawSpan(),
      stamp: FrameStamp(time: flow.lastTime, linkType: linkType), side: side, outer: nil)
    if isInspected && configuration.records.contains(.alerts) {
      PacketInspection.writeAlerts(
        detector, decision, flow: flow, session, about: subject, tracker, program, &counters, &eve, &fastLog)
    }
    if configuration.records.contains(.applicationAnomalies) {
      eve.writeAnomalies(context.detectionEvents, flow: flow, about: subject)
    }
    guard let session, !flow.flags.contains(.drop) else { return }
    if configuration.records.contains(.frames) { eve.writeFrames(session, from: side, flow: flow, about: subject) }
    session.frames?.removeDone(from: side, areInspected: isInspected && detector.tables.frames.count > 0)
    PacketInspection.writeTransactions(
      session, configuration.records, waits: isInspected && !isLast, waitsIfLate: false, isEnd: isLast, flow: flow,
      about: subject, &eve)
  }

  // MARK: end

  /// Writes what was counted (`stats`).
  mutating func write(_ statistics: DPIStatistics) { eve.writeStatistics(statistics, at: now) }

  var savedDataSets: [(file: String, text: [UInt8])] { detector.evaluator.dataSets.saved }

  mutating func finish() {
    tracker.finish()
    endFlows()
  }

  /// Fills in what is counted here.
  func fill(_ statistics: inout DPIStatistics) {
    counters.fill(&statistics, records: program.records)
    let detection = detector.statistics
    statistics.alerts = counters.alerts
    statistics.discardedAlerts = detection.discardedAlerts
    statistics.suppressedAlerts = detection.suppressedAlerts
    statistics.scanOverflows = detection.overflows
    statistics.evaluationLimits = detector.evaluationLimits
    statistics.patternLimits = detector.patternLimits
    let flows = tracker.statistics
    statistics.flows = flows.flows
    statistics.flowEvictions = flows.evictions
    statistics.streamGaps = flows.gaps
    statistics.droppedRecords = eve.sink.droppedRecords
    statistics.packetsWithoutFlow = flows.withoutFlow
    statistics.connectionsNotFollowed = flows.streamMemoryCap
    statistics.streamBytesNotKept = flows.reassemblyMemoryCap
    statistics.conversationsNotFollowed = application.statistics.refused
  }
}
