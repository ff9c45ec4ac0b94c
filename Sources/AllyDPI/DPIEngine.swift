public import AllyPacket
internal import Glibc

/// Where records (EVE lines) go.
public protocol RecordSink: AnyObject {
  /// Takes one record: a JSON object without the line feed. Called on the engine's core, for records only, never for
  /// every frame.
  func write(record: RawSpan)

  /// Records that were given up because nobody took them in time; they are in the statistics.
  var droppedRecords: UInt64 { get }
}

extension RecordSink {
  public var droppedRecords: UInt64 { 0 }
}

/// The deep packet inspection engine of one DPI core.
///
/// ``inspect(_:)`` is one ordinary call per frame: decode, defragmentation, flow, stream, detection, records. In the steady state
/// it allocates nothing: tables have their size from the start, and give up what is old when they are full.
public struct DPIEngine: ~Copyable, PacketInspector {
  private var dissector: FrameDissector
  private var inspection: PacketInspection

  /// - Parameters:
  ///   - program: the compiled rules; shared by all cores.
  ///   - configuration: the settings that the rules were compiled with.
  ///   - sink: where records go; kept for the engine's life.
  ///   - store: where files go that rules or settings keep; without one none is kept.
  ///   - fastLog: where a line for each alert goes, as `fast.log` has it; nil for nowhere.
  /// - Throws: ``DPIEngineError/outOfMemory(_:)`` when the system or a library has not the memory.
  public init(
    program: DetectionProgram, configuration: DPIConfiguration, sink: any RecordSink,
    store: (any FileStore)? = nil, fastLog: (any RecordSink)? = nil
  ) throws(DPIEngineError) {
    unsafe try self.init(
      program: program, configuration: configuration, sink: sink, store: store, fastLog: fastLog, droppedFlows: nil)
  }

  /// As ``init(program:configuration:sink:store:fastLog:)``, with something that outlives the engine.
  ///
  /// - Parameters:
  ///   - program: the compiled rules; shared by all cores.
  ///   - configuration: the settings that the rules were compiled with.
  ///   - sink: where records go; kept for the engine's life.
  ///   - store: where files go that rules or settings keep.
  ///   - fastLog: where a line for each alert goes.
  ///   - droppedFlows: memory for what an engine that takes this one's place is to know of dropped flows: zeros,
  ///     ``droppedFlowMemory`` bytes, aligned to 16, which stay valid as long as this value exists. Nil keeps nothing.
  /// - Throws: ``DPIEngineError/outOfMemory(_:)`` when the system or a library has not the memory.
  public init(
    program: DetectionProgram, configuration: DPIConfiguration, sink: any RecordSink,
    store: (any FileStore)?, fastLog: (any RecordSink)?, droppedFlows: UnsafeMutableRawBufferPointer?
  ) throws(DPIEngineError) {
    try Self.requireMemory(configuration)
    let inspection = unsafe try PacketInspection(
      program: program, configuration: configuration, sink: sink, store: store, fastLog: fastLog,
      dropped: droppedFlows.map { unsafe DroppedFlows(in: $0) })
    self.inspection = inspection
    dissector = FrameDissector(configuration: configuration)
  }

  /// Bytes of `droppedFlows`.
  public static var droppedFlowMemory: Int { DroppedFlows.byteCount }
  /// What is in them: an engine of another program that has another word for it cannot read them.
  public static var droppedFlowLayout: String { DroppedFlows.layout }

  /// Takes the place of an engine that died: TCP connections go on as if they had been picked up in the middle, whatever
  /// ``DPIConfiguration/midstream`` and ``DPIConfiguration/midstreamPolicy`` say of them. Flows that it dropped, inline, stay dropped
  /// when it had the same `droppedFlows` and the same ``DPIConfiguration/hashSeed`` (a fork of this process has both). To be
  /// called before the first frame.
  public mutating func takeOverConnections() { inspection.takeOverConnections() }

  /// Asks the system once for as much as the tables take together, and gives it back: their own allocations end the
  /// process when they fail, and how large they are is for the operator to say.
  private static func requireMemory(_ configuration: DPIConfiguration) throws(DPIEngineError) {
    let caps = [
      configuration.flowMemoryCap, configuration.streamMemoryCap, configuration.reassemblyMemoryCap,
      configuration.defragmentationMemoryCap,
    ]
    var total = 0
    for cap in caps {
      let (sum, overflow) = total.addingReportingOverflow(cap)
      total = overflow ? .max : sum
    }
    let memory = unsafe malloc(total)
    guard unsafe memory != nil else { throw .outOfMemory("\(total) bytes, the sum of the memory caps") }
    unsafe free(memory)
  }

  /// Inspects a frame, and writes the records that it gives rise to.
  ///
  /// - Returns: `accept` unless the engine is inline and a rule, or an earlier verdict about the flow, says otherwise.
  ///   For a frame that holds several packets (a tunnel, a completed datagram) it is the hardest of theirs.
  public mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    var answers = FrameAnswers()
    return inspect(packet, answering: &answers)
  }

  /// It tells endpoints of what it rejects.
  public static var actions: InspectorActions { [.injectsTowardsOS, .injectsTowardsWire] }

  /// As ``inspect(_:)``; the endpoints that a rule's `reject`, `rejectdst` or `rejectboth` names are told of a rejected packet: a
  /// TCP connection's by a reset, the sender of anything else by an ICMP error that says that communication with the host is
  /// prohibited, which are Suricata's answers.
  public mutating func inspect(_ packet: borrowing Packet, answering answers: inout FrameAnswers) -> Verdict {
    let count = dissector.dissect(packet)
    var actions: Actions = []
    var index = count - 1
    while index >= 0 {
      let part = dissector.packet(at: index)
      // The parts go in separately: the packet's bytes borrow the dissector while the others change.
      actions.formUnion(inspection.inspect(part, of: packet, dissector))
      index -= 1
    }
    inspection.endFlows()
    let verdict = inspection.configuration.isInline ? Verdict(actions) : .accept
    inspection.counters.count(verdict, bytes: packet.bytes.byteCount)
    if verdict == .reject { Self.tell(of: packet, actions, &answers) }
    return verdict
  }

  private static func tell(of packet: borrowing Packet, _ actions: Actions, _ answers: inout FrameAnswers) {
    if actions.contains(.tellsReceiver) { answers.reject(packet, with: .tcpReset, telling: .receiver) }
    if actions.contains(.tellsSender), !answers.reject(packet, with: .tcpReset, telling: .sender) {
      // RFC 1812 §5.2.7.1, RFC 4443 §3.1.
      answers.reject(packet, with: .icmpx(icmpCode: 10, icmpv6Code: 1), telling: .sender)
    }
  }

  /// Goes on with other rules, between two frames: flows, streams and conversations stay as they are, and what rules noted about
  /// flows and hosts, as long as rules speak of it under the same name (a rule: under the same generator and signature id).
  ///
  /// What a transaction said before is looked at again by the new rules; a rule that matched it does not match it once more.
  ///
  /// - Parameter program: compiled with the engine's own configuration and with ``DetectionProgram/init(rules:configuration:following:)``
  ///   after the rules in effect.
  /// - Throws: ``DPIEngineError/outOfMemory(_:)``, ``DPIEngineError/noMagicDatabase``; then the rules before stay in effect.
  public mutating func reload(_ program: DetectionProgram) throws(DPIEngineError) {
    try inspection.reload(program)
  }

  /// The rules in effect.
  public var program: DetectionProgram { inspection.program }

  /// What rules cost so far, the dearest first; those that no measured packet came to are left out.
  public var ruleCosts: [RuleCost] { inspection.ruleCosts }

  /// Ends the traffic: what streams and flows still hold is inspected and recorded, and then what was counted.
  public mutating func finish() {
    inspection.finish()
    if inspection.configuration.records.contains(.statistics) { inspection.write(statistics) }
  }

  /// The sets that rules want kept (`dataset`, `save`), each with its file's name and its new contents.
  public var savedDataSets: [(file: String, text: [UInt8])] { inspection.savedDataSets }

  /// Counters so far.
  public var statistics: DPIStatistics {
    var result = DPIStatistics()
    inspection.fill(&result)
    let decode = dissector.statistics
    result.decodedPackets = decode.packets
    result.invalidPackets = decode.invalid
    result.reassembledDatagrams = decode.reassembled
    return result
  }
}

/// Why an engine cannot be made.
public enum DPIEngineError: Error, Sendable {
  case outOfMemory(String)
  /// A rule or a setting asks for the kind of files (`file.magic`), and libmagic's database is not there.
  case noMagicDatabase
}

extension Verdict {
  /// What actions on a frame's packets mean for the frame.
  init(_ actions: Actions) {
    self = !actions.contains(.drop) ? .accept : actions.contains(.reject) ? .reject : .drop
  }
}
