/// `stats`: what an engine counted, under Suricata's names where it has them.
extension EVEWriter {
  /// - Parameters:
  ///   - statistics: since the engine was made.
  ///   - time: the clock of the traffic, nanoseconds since 1970.
  mutating func writeStatistics(_ statistics: DPIStatistics, at time: UInt64) {
    json.reset()
    json.beginObject()
    json.key("timestamp")
    json.string { $0.appendTimestamp(time) }
    json.key("event_type")
    json.string("stats")
    json.key("stats")
    json.beginObject()
    group(
      "decoder",
      [
        ("pkts", statistics.packets), ("bytes", statistics.bytes), ("invalid", statistics.invalidPackets),
        ("packets", statistics.decodedPackets),
      ])
    group("defrag", [("reassembled", statistics.reassembledDatagrams)])
    group(
      "flow",
      [("total", statistics.flows), ("evicted", statistics.flowEvictions), ("memcap", statistics.packetsWithoutFlow)])
    group(
      "tcp",
      [
        ("reassembly_gap", statistics.streamGaps), ("ssn_memcap_drop", statistics.connectionsNotFollowed),
        ("segment_memcap_drop", statistics.streamBytesNotKept),
      ])
    group("app_layer", [("not_followed", statistics.conversationsNotFollowed)])
    group(
      "detect",
      [
        ("alert", statistics.alerts), ("alert_queue_overflow", statistics.discardedAlerts),
        ("alerts_suppressed", statistics.suppressedAlerts), ("scan_overflows", statistics.scanOverflows),
        ("evaluation_limits", statistics.evaluationLimits), ("pcre_limits", statistics.patternLimits),
      ])
    group(
      "ips",
      [("accepted", statistics.accepted), ("blocked", statistics.dropped), ("rejected", statistics.rejected)])
    group("output", [("records_dropped", statistics.droppedRecords)])
    json.endObject()
    json.endObject()
    submit()
  }

  private mutating func group(_ name: StaticString, _ counters: [(name: StaticString, value: UInt64)]) {
    json.key(name)
    json.beginObject()
    for counter in counters {
      json.key(counter.name)
      json.number(counter.value)
    }
    json.endObject()
  }
}
