internal import AllyPacket

/// What happens to each packet after it was decoded: flow and stream, detection, records.
struct PacketInspection: ~Copyable {
  let configuration: DPIConfiguration
  var counters: FrameCounters
  private let program: DetectionProgram
  private var tracker: ConnectionTracker
  private var detector: Detector
  private var application: ApplicationLayer
  private var eve: EVEWriter
  /// The clock of the traffic, in nanoseconds since 1970.
  private var now: UInt64 = 0

  init(program: DetectionProgram, configuration: DPIConfiguration, sink: any RecordSink) throws(DPIEngineError) {
    let detector = try Detector(
      tables: program.tables, configuration: configuration, seed: configuration.hashSeed ?? .random(in: .min ... .max))
    self.detector = detector
    self.program = program
    self.configuration = configuration
    tracker = ConnectionTracker(configuration: configuration)
    application = ApplicationLayer(limits: configuration.application)
    eve = EVEWriter(program: program, configuration: configuration, sink: sink)
    counters = FrameCounters(recordCount: program.records.count)
  }

  /// One packet of a frame.
  mutating func inspect(_ packet: DecodedPacket, of frame: borrowing Packet, _ dissector: borrowing FrameDissector)
    -> Actions
  {
    now = max(now, frame.stamp.time)
    let bytes = dissector.bytes(of: packet, in: frame.bytes)
    var context = tracker.track(packet, bytes: bytes, time: frame.stamp.time)
    var actions = inspect(packet, context, of: frame, dissector)
    // A segment that closes a gap may bring more than one window shows.
    context.isContinuation = true
    while context.hasStreamData && tracker.nextWindow() {
      actions.formUnion(inspect(packet, context, of: frame, dissector))
    }
    return actions
  }

  private mutating func inspect(
    _ packet: DecodedPacket, _ context: PacketContext, of frame: borrowing Packet,
    _ dissector: borrowing FrameDissector
  ) -> Actions {
    let bytes = dissector.bytes(of: packet, in: frame.bytes)
    var marks = FlowMarks()
    var session: ApplicationSession? = nil
    if !context.flow.isNone {
      session = listen(to: packet, context, bytes: bytes)
      marks = FlowMarks(tracker.flow(context.flow))
    }

    var decision = Detector.Decision()
    var isInspected = false
    if marks.flags.contains(.drop) {
      decision.actions = .drop
      decision.dropReason = .flow
    } else if !marks.flags.contains(.pass) {
      isInspected = true
      decision = detector.inspect(packet, context, bytes: bytes, tracker, session, marks: &marks, time: now)
      if !context.flow.isNone { tracker.withFlow(context.flow) { marks.store(in: &$0) } }
    }
    if context.mustDrop && !decision.actions.contains(.drop) {
      decision.actions.insert(.drop)
      decision.dropReason = .stream
    }
    let records = configuration.records
    if isInspected && detector.alerts.count > 0 || configuration.isInline && decision.actions.contains(.drop)
      || records.contains(.decodeAnomalies) && !packet.events.isEmpty
      || records.contains(.streamAnomalies) && !context.streamEvents.isEmpty || session != nil
    {
      writeRecords(decision, isInspected: isInspected, packet, context, session, of: frame, dissector)
    }
    return decision.actions
  }

  /// Lets the application layer hear what a packet brings.
  ///
  /// - Returns: the flow's session when it heard something.
  private mutating func listen(to packet: DecodedPacket, _ context: PacketContext, bytes: RawSpan)
    -> ApplicationSession?
  {
    let isDatagram = packet.transport == .udp && packet.payloadLength > 0 && !packet.carriesPacket
    guard context.hasStreamData || context.endsStream || isDatagram else { return nil }
    var flow = tracker.flow(context.flow)
    if flow.flags.contains(.drop) || flow.application == .max && flow.flags.isSuperset(of: .noApplication) {
      return nil
    }
    var hasHeard = false
    if context.hasStreamData {
      hasHeard = application.receive(tracker.window(bytes: bytes), from: context.side, flow: &flow)
    } else if isDatagram {
      hasHeard = application.receive(datagram: bytes.extracting(packet.payloadRange), from: context.side, flow: &flow)
    }
    tracker.withFlow(context.flow) {
      $0.application = flow.application
      $0.protocolNumber = flow.protocolNumber
      $0.flags = flow.flags
    }
    guard let session = application.session(flow) else { return nil }
    if context.endsStream && session.close(context.side) { hasHeard = true }
    if context.endsConnection && session.close(context.side.opposite) { hasHeard = true }
    return hasHeard ? session : nil
  }

  // MARK: records

  private mutating func writeRecords(
    _ decision: Detector.Decision, isInspected: Bool, _ packet: DecodedPacket, _ context: PacketContext,
    _ session: ApplicationSession?, of frame: borrowing Packet, _ dissector: borrowing FrameDissector
  ) {
    let bytes = dissector.bytes(of: packet, in: frame.bytes)
    let flow: Flow? = context.flow.isNone ? nil : tracker.flow(context.flow)
    // A datagram put together from fragments has a packet before it, too, but was not inside one.
    let isInner = packet.depth > 0 && packet.origin != .defragmented
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
        detector, decision, flow: flow, known, about: subject, tracker, program, &counters, &eve)
    }
    if configuration.isInline && records.contains(.drops) && decision.actions.contains(.drop) {
      writeDrop(decision, flow: flow, context, about: subject)
    }
    if let session, let flow { PacketInspection.writeTransactions(session, records, flow: flow, about: subject, &eve) }
    if context.isContinuation { return }
    if records.contains(.decodeAnomalies) {
      for event in DecoderEvent.allCases where packet.events.contains(event) {
        eve.writeAnomaly("decode", origin: "decoder.", event: event.name, flow: flow, about: subject)
      }
    }
    if records.contains(.streamAnomalies) {
      for event in StreamEvent.allCases where context.streamEvents.contains(event) {
        eve.writeAnomaly("stream", origin: "stream.", event: event.name, flow: flow, about: subject)
      }
    }
  }

  /// The tracker goes in by itself: stream data borrows it while records are written.
  private static func writeAlerts(
    _ alerts: borrowing Detector, _ decision: Detector.Decision, flow: Flow?, _ session: ApplicationSession?,
    about subject: borrowing EVEWriter.Subject,
    _ tracker: borrowing ConnectionTracker, _ program: DetectionProgram, _ counters: inout FrameCounters,
    _ eve: inout EVEWriter
  ) {
    let window = tracker.window(bytes: subject.bytes)
    for index in 0..<alerts.alerts.count {
      let match = alerts.alerts[index]
      counters.countAlert(of: program.tables.records[match.signature])
      let data = match.isStream ? window.bytes : subject.bytes.extracting(subject.packet.payloadRange)
      eve.writeAlert(
        match, isDropped: decision.actions.contains(.drop), data: data, flow: flow, session, about: subject)
    }
  }

  /// Records of transactions that are complete, and of files; then the transactions are done with.
  private static func writeTransactions(
    _ session: ApplicationSession, _ records: RecordKinds, flow: Flow, about subject: borrowing EVEWriter.Subject,
    _ eve: inout EVEWriter
  ) {
    var index = 0
    while index < session.parser.transactionCount {
      let transaction = session.parser.transaction(at: index)
      let inspection = transaction.inspection
      while inspection.filesRecorded < transaction.files.count {
        let file = transaction.files[inspection.filesRecorded]
        if file.state == .open { break }
        if records.contains(.files) {
          eve.writeFile(file, of: transaction, session, flow: flow, about: subject)
        }
        inspection.filesRecorded += 1
      }
      if records.contains(.applicationAnomalies) && inspection.eventsRecorded != transaction.events {
        for (number, event) in session.eventNames.enumerated() {
          let number = UInt8(number)
          guard transaction.events.contains(number), !inspection.eventsRecorded.contains(number) else { continue }
          eve.writeAnomaly(event, of: transaction, session, flow: flow, about: subject)
        }
        inspection.eventsRecorded = transaction.events
      }
      let isComplete =
        transaction.stage(of: .toServer) == TransactionStage.complete
        && transaction.stage(of: .toClient) == TransactionStage.complete
      guard isComplete else {
        index += 1
        continue
      }
      if records.contains(session.recordKind) {
        eve.writeTransaction(transaction, session, flow: flow, about: subject)
      }
      session.parser.removeTransaction(at: index)
    }
  }

  /// Of a flow that is dropped as a whole, the first packet of each side and those that a rule drops, unless every packet is
  /// asked for.
  private mutating func writeDrop(
    _ decision: Detector.Decision, flow: Flow?, _ context: PacketContext, about subject: borrowing EVEWriter.Subject
  ) {
    if !configuration.dropRecordsEveryPacket, let flow, decision.dropMatch == nil {
      let recorded: Flow.Flags = context.side == .toServer ? .dropRecordedToServer : .dropRecordedToClient
      if flow.flags.contains(recorded) { return }
      tracker.withFlow(context.flow) { _ = $0.flags.insert(recorded) }
    }
    eve.writeDrop(decision.dropReason, match: decision.dropMatch, flow: flow, about: subject)
  }

  /// Ends the applications of flows that ended since, and writes their records.
  mutating func endFlows() {
    while let flow = tracker.nextEndedFlow() {
      if let session = application.session(flow) { end(session, of: flow) }
      if configuration.records.contains(.flows) { eve.writeFlow(flow, at: now) }
    }
  }

  /// What an application has said when its flow ends is all that it says: both sides are inspected once more, as if by
  /// a last packet each.
  private mutating func end(_ session: ApplicationSession, of flow: Flow) {
    for side in [FlowSide.toServer, .toClient] where session.close(side) {
      let packet = DecodedPacket(endOf: flow, side)
      var context = PacketContext()
      context.side = side
      context.flow = .ended
      context.isEstablished = true
      var marks = FlowMarks(flow)
      var decision = Detector.Decision()
      let isInspected = !marks.flags.contains(.drop) && !marks.flags.contains(.pass)
      let empty = StreamWindow(bytes: RawSpan(), streamOffset: 0, freshOffset: 0)
      if isInspected {
        decision = detector.inspectEnd(
          packet, context, window: empty, session, marks: &marks, time: now)
      }
      let subject = EVEWriter.Subject(
        packet: packet, bytes: RawSpan(), linkHeader: RawSpan(),
        stamp: FrameStamp(time: flow.lastTime), side: side, outer: nil)
      if isInspected && configuration.records.contains(.alerts) {
        PacketInspection.writeAlerts(
          detector, decision, flow: flow, session, about: subject, tracker, program, &counters, &eve)
      }
      PacketInspection.writeTransactions(session, configuration.records, flow: flow, about: subject, &eve)
    }
    application.remove(flow)
  }

  // MARK: end

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
  }
}
