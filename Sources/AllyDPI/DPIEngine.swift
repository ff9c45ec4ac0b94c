public import AllyPacket

/// Where records (EVE lines) go.
public protocol RecordSink: AnyObject {
  /// Takes one record: a JSON object without the line feed. Called on the engine's core, for records only, never for
  /// every frame.
  func write(record: RawSpan)
}

/// The deep packet inspection engine of one DPI core.
///
/// ``inspect(_:)`` is one ordinary call per frame: decode, defragmentation, flow, stream, detection, records.
public struct DPIEngine: ~Copyable, PacketInspector {
  /// - Parameters:
  ///   - program: the compiled rules; shared by all cores.
  ///   - sink: where records go; kept for the engine's life.
  public init(program: DetectionProgram, configuration: DPIConfiguration, sink: any RecordSink) throws(DPIEngineError) {
  }

  public mutating func inspect(_ packet: borrowing Packet) -> Verdict { .accept }

  /// Ends the traffic: what streams and flows still hold is inspected and recorded.
  public mutating func finish() {}

  /// Counters so far.
  public var statistics: DPIStatistics { DPIStatistics() }
}

/// Why an engine cannot be made.
public enum DPIEngineError: Error, Sendable {
  case outOfMemory(String)
}

/// Rules, compiled: immutable, shared by all cores.
public final class DetectionProgram: Sendable {
  public init(rules: [Rule], configuration: DPIConfiguration) throws(DetectionProgramError) {}
}

public enum DetectionProgramError: Error, Sendable {
  /// The matcher's library refused; a defect or a lack of memory, since rules were checked when read.
  case matcher(String)
}

/// What an engine counted.
public struct DPIStatistics: Sendable {
  public var packets: UInt64 = 0
  public var bytes: UInt64 = 0
  public var alerts: UInt64 = 0
  public var accepted: UInt64 = 0
  public var dropped: UInt64 = 0
  public var rejected: UInt64 = 0
  /// Alerts by signature, for the summary.
  public var alertsBySignature: [(sid: UInt32, gid: UInt32, message: String, count: UInt64)] = []
  public init() {}
}
