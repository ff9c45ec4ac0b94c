internal import AllyPacket

/// Which signatures are worth evaluating on a packet.
extension Detector {
  mutating func collect(
    _ group: PrefilterGroup, _ packet: DecodedPacket, _ context: PacketContext, bytes: RawSpan,
    window: StreamWindow, marks: inout FlowMarks
  ) {
    if !context.isContinuation && !packet.events.isEmpty { insert(group.decoderEvents) }
    if packet.ipVersion == 0 { return }
    let evaluated: Flow.Flags = context.side == .toServer ? .addressRulesToServer : .addressRulesToClient
    if !context.isContinuation && (!marks.hasFlow || !marks.flags.contains(evaluated)) {
      insert(group.addresses)
      insert(group.bySource.list(for: packet.source, in: tables.prefilter.addressBounds, tables.prefilter.lists))
      insert(
        group.byDestination.list(for: packet.destination, in: tables.prefilter.addressBounds, tables.prefilter.lists))
      if marks.hasFlow { marks.flags.insert(evaluated) }
    }
    if !context.isContinuation { insert(group.headers, packet, in: RawSpan()) }
    if marks.flags.contains(.noPayloadInspection) { return }
    if context.hasStreamData {
      insert(group.unsearchedStreams, packet, in: window.bytes, isStart: window.streamOffset == 0)
      let searched = window.bytes.extracting(window.quietLength...)
      let isQuiet = scan(searched, group.streams) == 0
      if scan(searched, group.shortStreams) == 0 && isQuiet {
        let longest = max(1, group.streams.longest, group.shortStreams.longest)
        quietUntil = Int(clamping: window.streamOffset) + max(0, window.bytes.byteCount - (longest - 1))
      }
    }
    guard !context.isContinuation && packet.payloadLength > 0 else { return }
    let payload = bytes.extracting(packet.payloadRange)
    insert(group.unsearchedPayloads, packet, in: payload)
    _ = scan(payload, group.payloads)
    _ = scan(payload, group.shortPayloads)
    if context.isInStream { return }
    insert(group.unsearchedStreams, packet, in: payload)
    _ = scan(payload, group.streams)
    _ = scan(payload, group.shortStreams)
  }

  /// - Returns: how many literals were found; nil when too many were.
  private mutating func scan(_ data: RawSpan, _ group: LiteralGroup) -> Int? {
    guard let database = group.database else { return 0 }
    statistics.scans &+= 1
    statistics.scannedBytes &+= UInt64(data.byteCount)
    let found = data.withByteView { scratch.scan($0, for: database) }
    guard let found else {
      statistics.overflows &+= 1
      insert(group.searched)
      return nil
    }
    for index in 0..<found {
      insert(tables.prefilter.literalUses[group.firstUse &+ scratch.literal(at: index)])
    }
    return found
  }

  /// Makes candidates of signatures that are not searched for; `isStart` says whether a stream's data begins where the stream does.
  private mutating func insert(
    _ group: UnsearchedGroup, _ packet: DecodedPacket, in data: RawSpan, isStart: Bool = true
  ) {
    let prefilter = tables.prefilter
    let byDestination = group.byDestinationPort.list(
      for: packet.destinationPort, in: prefilter.portBounds, prefilter.lists)
    let bySource = group.bySourcePort.list(for: packet.sourcePort, in: prefilter.portBounds, prefilter.lists)
    data.withByteView { data in
      insert(unsearched: group.always, in: data, isStart: isStart)
      insert(unsearched: byDestination, in: data, isStart: isStart)
      insert(unsearched: bySource, in: data, isStart: isStart)
    }
  }

  @inline(__always)
  private mutating func insert(unsearched range: TableRange, in data: ByteView, isStart: Bool) {
    for index in range.indices {
      let entry = tables.prefilter.unsearched[tables.prefilter.candidates[index]]
      if let literal = entry.literal {
        // What counts from the start of a stream stands in its first window.
        if literal.needsStart && !isStart || !literal.isIn(data) { continue }
      }
      candidates.insert(entry.signature)
    }
  }

  @inline(__always)
  private mutating func insert(_ range: TableRange) {
    for index in range.indices { candidates.insert(tables.prefilter.candidates[index]) }
  }
}
