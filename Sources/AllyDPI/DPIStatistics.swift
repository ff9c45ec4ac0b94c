/// What an engine counted.
public struct DPIStatistics: Sendable {
  /// Frames.
  public var packets: UInt64 = 0
  /// Bytes of frames.
  public var bytes: UInt64 = 0
  /// Alert records written.
  public var alerts: UInt64 = 0
  /// Frames by verdict.
  public var accepted: UInt64 = 0
  public var dropped: UInt64 = 0
  public var rejected: UInt64 = 0
  /// Alerts by signature, for the summary: those that occurred, most first.
  public var alertsBySignature: [(sid: UInt32, gid: UInt32, message: String, count: UInt64)] = []
  /// Alerts left out because a packet had more than ``DPIConfiguration/maximumAlertsPerPacket``.
  public var discardedAlerts: UInt64 = 0
  /// Matches that a threshold or a suppression kept from a record.
  public var suppressedAlerts: UInt64 = 0
  /// Pattern scans given up because they reported too much; every rule was evaluated instead.
  public var scanOverflows: UInt64 = 0
  /// Evaluations of one rule on one packet given up at the bound that protects the core, and searches of `pcre` likewise:
  /// each counts as no match.
  public var evaluationLimits: UInt64 = 0
  public var patternLimits: UInt64 = 0
  /// Packets decoded, those inside tunnels and put together from fragments included, and those with broken headers.
  public var decodedPackets: UInt64 = 0
  public var invalidPackets: UInt64 = 0
  public var reassembledDatagrams: UInt64 = 0
  public var flows: UInt64 = 0
  /// Flows that gave way to others at the memory cap.
  public var flowEvictions: UInt64 = 0
  public var streamGaps: UInt64 = 0
  /// Records that were given up because nobody took them in time.
  public var droppedRecords: UInt64 = 0
  /// What was given up at memory caps: packets that no flow could be had for, TCP connections that were not followed, and bytes of
  /// their streams that were not kept.
  public var packetsWithoutFlow: UInt64 = 0
  public var connectionsNotFollowed: UInt64 = 0
  public var streamBytesNotKept: UInt64 = 0
  /// Conversations whose application was not followed because too many were.
  public var conversationsNotFollowed: UInt64 = 0

  public init() {}
}
