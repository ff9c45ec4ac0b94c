/// What flows and streams counted.
struct FlowStatistics: BitwiseCopyable, Sendable {
  /// Flows ever made, and those of now.
  var flows: UInt64 = 0
  var activeFlows: UInt64 = 0
  var tcpFlows: UInt64 = 0
  var udpFlows: UInt64 = 0
  var icmpFlows: UInt64 = 0
  var timeouts: UInt64 = 0
  /// Flows that gave way at the memory cap.
  var evictions: UInt64 = 0
  /// Packets without a flow because none could be had.
  var withoutFlow: UInt64 = 0
  /// Ended flows that were overwritten before anyone asked for them.
  var unrecorded: UInt64 = 0
  var tcpSessions: UInt64 = 0
  /// TCP packets that no session takes.
  var tcpWithoutSession: UInt64 = 0
  var tcpInvalidChecksum: UInt64 = 0
  /// Sessions that could not be had at the stream memory cap.
  var streamMemoryCap: UInt64 = 0
  /// Bytes of segments or windows that could not be kept at the reassembly memory cap.
  var reassemblyMemoryCap: UInt64 = 0
  var gaps: UInt64 = 0
  var overlaps: UInt64 = 0
  var differingOverlaps: UInt64 = 0
}
