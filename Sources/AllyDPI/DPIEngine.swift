public import AllyPacket

/// Where records (EVE lines) go.
public protocol RecordSink: AnyObject {
  /// Takes one record: a JSON object without the line feed. Called on the engine's core, for records only, never for
  /// every frame.
  func write(record: RawSpan)
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
  /// - Throws: ``DPIEngineError/outOfMemory(_:)`` when a library has no memory.
  public init(program: DetectionProgram, configuration: DPIConfiguration, sink: any RecordSink) throws(DPIEngineError) {
    let inspection = try PacketInspection(program: program, configuration: configuration, sink: sink)
    self.inspection = inspection
    dissector = FrameDissector(configuration: configuration)
  }

  /// Inspects a frame, and writes the records that it gives rise to.
  ///
  /// - Returns: `accept` unless the engine is inline and a rule, or an earlier verdict about the flow, says otherwise.
  ///   For a frame that holds several packets (a tunnel, a completed datagram) it is the hardest of theirs.
  public mutating func inspect(_ packet: borrowing Packet) -> Verdict {
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
    return verdict
  }

  /// Ends the traffic: what streams and flows still hold is inspected and recorded.
  public mutating func finish() { inspection.finish() }

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
}

extension Verdict {
  /// What actions on a frame's packets mean for the frame.
  init(_ actions: Actions) {
    self = !actions.contains(.drop) ? .accept : actions.contains(.reject) ? .reject : .drop
  }
}
