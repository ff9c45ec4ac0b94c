internal import AllyPacket

/// What happens to each packet after it was decoded: flow and stream, detection, records.
struct PacketInspection: ~Copyable {
  let configuration: DPIConfiguration
  var counters: FrameCounters
  private let program: DetectionProgram
  private var tracker: ConnectionTracker
  private var detector: Detector
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
    eve = EVEWriter(program: program, configuration: configuration, sink: sink)
    counters = FrameCounters(recordCount: program.records.count)
  }

  /// One packet of a frame.
  mutating func inspect(_ packet: DecodedPacket, of frame: borrowing Packet, _ dissector: borrowing FrameDissector)
    -> Actions
  {
    now = max(now, frame.stamp.time)
    let bytes = dissector.bytes(of: packet, in: frame.bytes)
    let context = tracker.track(packet, bytes: bytes, time: frame.stamp.time)
    var marks = FlowMarks()
    if !context.flow.isNone { marks = FlowMarks(tracker.flow(context.flow)) }

    var decision = Detector.Decision()
    var isInspected = false
    if marks.flags.contains(.drop) {
      decision.actions = .drop
      decision.dropReason = .flow
    } else if !marks.flags.contains(.pass) {
      isInspected = true
      decision = detector.inspect(packet, context, bytes: bytes, tracker, marks: &marks, time: now)
      if !context.flow.isNone { tracker.withFlow(context.flow) { marks.store(in: &$0) } }
    }
    if context.mustDrop && !decision.actions.contains(.drop) {
      decision.actions.insert(.drop)
      decision.dropReason = .stream
    }
    let records = configuration.records
    if isInspected && detector.alerts.count > 0 || configuration.isInline && decision.actions.contains(.drop)
      || records.contains(.decodeAnomalies) && !packet.events.isEmpty
      || records.contains(.streamAnomalies) && !context.streamEvents.isEmpty
    {
      writeRecords(decision, isInspected: isInspected, packet, context, of: frame, dissector)
    }
    return decision.actions
  }

  // MARK: records

  private mutating func writeRecords(
    _ decision: Detector.Decision, isInspected: Bool, _ packet: DecodedPacket, _ context: PacketContext,
    of frame: borrowing Packet, _ dissector: borrowing FrameDissector
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
      PacketInspection.writeAlerts(detector, decision, flow: flow, about: subject, tracker, program, &counters, &eve)
    }
    if configuration.isInline && records.contains(.drops) && decision.actions.contains(.drop) {
      writeDrop(decision, flow: flow, context, about: subject)
    }
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
    _ alerts: borrowing Detector, _ decision: Detector.Decision, flow: Flow?,
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
        match, isDropped: decision.actions.contains(.drop), data: data, flow: flow, about: subject)
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

  /// Records of flows that ended since.
  mutating func writeEndedFlows() {
    while let flow = tracker.nextEndedFlow() { eve.writeFlow(flow, at: now) }
  }

  // MARK: end

  mutating func finish() {
    tracker.finish()
    if configuration.records.contains(.flows) { writeEndedFlows() }
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
