internal import AllyPacket

/// Which signatures are worth evaluating on a packet.
extension Detector {
  private static var fewSignatures: Int { 64 }

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
    if !context.isContinuation || context.standsForEnd { insert(group.headers, packet, marks, in: RawSpan()) }
    if marks.flags.contains(.encrypted(context.side)) { return }
    let number = tables.prefilter.setNumber(group.sets, packet, from: context.side, marks.protocolNumber)
    if context.hasStreamData {
      insert(group.unsearchedStreams, packet, marks, in: window.bytes, isStart: window.streamOffset == 0)
      search(window, number)
    }
    guard !context.isContinuation && packet.payloadLength > 0 else { return }
    let payload = bytes.extracting(packet.payloadRange)
    insert(group.unsearchedPayloads, packet, marks, in: payload)
    if !context.isInStream { insert(group.unsearchedStreams, packet, marks, in: payload) }
    if context.hasStreamData && window.freshBegins(with: payload) { return }
    let set = tables.prefilter.literalSets[number]
    _ = scan(payload, set.literals)
    _ = scan(payload, set.shortLiterals)
  }

  /// Searches what of a stream was not searched, and all that is new. Literals found before and still shown make candidates as those
  /// that are found now.
  private mutating func search(_ window: StreamWindow, _ setNumber: Int) {
    let set = tables.prefilter.literalSets[setNumber]
    let start = Int(clamping: window.streamOffset)
    let count = window.bytes.byteCount
    // What was searched while the application was not known was searched for something else.
    var search = window.search.of(setNumber)
    search.forget(before: start)
    for index in 0..<Int(search.count) { insert(tables.prefilter.literalUses[search.literal(at: index)]) }
    let bytes = window.bytes.extracting(min(max(0, search.end - start), window.freshOffset)...)
    let isStart = start == 0
    let hasNoted = scan(bytes, set.literals, noting: &search, before: start + count, isStart: isStart)
    let hasNotedShort = scan(bytes, set.shortLiterals, noting: &search, before: start + count, isStart: isStart)
    guard hasNoted && hasNotedShort else { return }
    // The last bytes may be the begin of a literal.
    let longest = max(1, set.literals.database?.longest ?? 0, set.shortLiterals.database?.longest ?? 0)
    search.finish(at: start + max(0, count - (longest - 1)))
    streamSearch = search
  }

  /// - Returns: whether all literals that were found, and stay of use, are noted.
  private mutating func scan(
    _ bytes: RawSpan, _ group: LiteralGroup, noting search: inout StreamSearch, before end: Int, isStart: Bool
  ) -> Bool {
    guard let found = scan(bytes, group) else { return false }
    for index in 0..<found {
      let literal = scratch.literal(at: index)
      if !group.staysOfUse(literal, isStart: isStart) { continue }
      if !search.note(group.firstUse &+ literal, before: end) { return false }
    }
    return true
  }

  /// - Returns: how many literals were found; nil when too many were.
  private mutating func scan(_ data: RawSpan, _ group: LiteralGroup) -> Int? {
    guard let database = group.database, mayFind(group.searched, { tables.prefilter.candidates[$0] }) else { return 0 }
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

  /// Whether one of few signatures is about these ends: to look costs less than a scan for nothing. In a stream the ends stay as they are.
  @inline(__always)
  func mayFind(_ searched: TableRange, _ signature: (Int) -> UInt32) -> Bool {
    searched.count > Detector.fewSignatures || searched.indices.contains { isPossible(signature($0)) }
  }

  /// Makes candidates of signatures that are not searched for; `isStart` says whether a stream's data begins where the stream does.
  private mutating func insert(
    _ group: UnsearchedGroup, _ packet: DecodedPacket, _ marks: FlowMarks, in data: RawSpan, isStart: Bool = true
  ) {
    let prefilter = tables.prefilter
    let byDestination = group.byDestinationPort.list(
      for: packet.destinationPort, in: prefilter.portBounds, prefilter.lists)
    let bySource = group.bySourcePort.list(for: packet.sourcePort, in: prefilter.portBounds, prefilter.lists)
    data.withByteView { data in
      insert(unsearched: group.always, of: marks.protocolNumber, in: data, isStart: isStart)
      insert(unsearched: byDestination, of: marks.protocolNumber, in: data, isStart: isStart)
      insert(unsearched: bySource, of: marks.protocolNumber, in: data, isStart: isStart)
    }
  }

  private mutating func insert(
    unsearched range: TableRange, of protocolNumber: UInt8, in data: ByteView, isStart: Bool
  ) {
    if range.isEmpty { return }
    let prefilter = tables.prefilter
    let question = PossibleSignatures.Question(start: range.start, protocolNumber: protocolNumber, ends: ends)
    let place = possible.place(of: question)
    var count = possible.count(of: question, at: place)
    if count == nil {
      let (tables, ends) = (tables, ends)
      count = possible.choose(question, at: place, from: prefilter.candidates, range) {
        tables.isPossible(prefilter.unsearched[$0], between: ends, in: protocolNumber)
      }
    }
    if let count {
      for index in 0..<count {
        let entry = prefilter.unsearched[possible.signature(index, at: place)]
        if mayStand(entry.literal, in: data, isStart: isStart) { candidates.insert(entry.signature) }
      }
      return
    }
    for index in range.indices {
      let entry = prefilter.unsearched[prefilter.candidates[index]]
      if tables.isPossible(entry, between: ends, in: protocolNumber),
        mayStand(entry.literal, in: data, isStart: isStart)
      {
        candidates.insert(entry.signature)
      }
    }
  }

  /// What counts from the start of a stream stands in its first window.
  @inline(__always)
  private func mayStand(_ literal: AnchoredLiteral?, in data: ByteView, isStart: Bool) -> Bool {
    guard let literal else { return true }
    return (isStart || !literal.needsStart) && literal.isIn(data)
  }

  @inline(__always)
  private mutating func insert(_ range: TableRange) {
    for index in range.indices {
      let signature = tables.prefilter.candidates[index]
      if isPossible(signature) { candidates.insert(signature) }
    }
  }

  /// Whether a signature is about packets between the ends of the packet in hand.
  @inline(__always)
  func isPossible(_ signature: UInt32) -> Bool { tables.ends.signatures[signature].admit(ends) }
}

extension DetectionTables {
  @inline(__always)
  fileprivate func isPossible(_ entry: UnsearchedSignature, between ends: PacketEnds, in protocolNumber: UInt8) -> Bool
  {
    entry.applications.admits(protocolNumber) && self.ends.signatures[entry.signature].admit(ends)
  }
}
