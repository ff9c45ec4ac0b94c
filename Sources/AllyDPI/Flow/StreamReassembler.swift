import AllyPacket

/// One side of a stream on its way to be contiguous.
struct StreamSide: BitwiseCopyable, Sendable {
  /// The sequence number of the byte at ``delivered``.
  fileprivate(set) var expected: UInt32 = 0
  /// Bytes that are contiguous from the begin, or given up. 0 is the first byte after the SYN.
  fileprivate(set) var delivered = 0
  /// How many of them may be looked at: all, or passively those that the other side has acknowledged.
  fileprivate(set) var released = 0
  /// Where the other side's acknowledgements reach; beyond ``delivered`` when bytes are missing.
  fileprivate(set) var acknowledged = 0
  /// Nothing more will be acknowledged: all that comes is released at once.
  var releasesEverything = false
  /// Where the window of this side's packet in hand begins with new bytes.
  fileprivate(set) var freshFrom = 0
  /// Where that of its next packet will.
  fileprivate(set) var shown = 0
  /// Bytes beyond a gap.
  fileprivate(set) var waiting = PieceList()
  /// The last bytes that were delivered, for patterns that reach across segments.
  fileprivate(set) var window = Block.none
  /// How much of ``window`` is filled; its end is ``delivered``.
  fileprivate(set) var windowLength = 0
  /// How much of that came before the last gap, and how long the gap is: patterns do not reach across it, records show both.
  fileprivate(set) var lengthBeforeGap = 0
  fileprivate(set) var gapLength = 0

  /// Nothing of it has come.
  var isFresh: Bool { delivered == 0 && waiting.isEmpty }

  /// Which copy of bytes that come twice its receiver keeps.
  var policy = OverlapPolicy.bsd
  /// Where the last segment began that was delivered.
  fileprivate(set) var lastSegment = 0

  /// How far rules' literals were searched for.
  var search = StreamSearch()

  /// Keeps the last bytes of the window alone.
  fileprivate mutating func keepWindow(_ count: Int) {
    lengthBeforeGap = max(0, lengthBeforeGap - (windowLength - count))
    if lengthBeforeGap == 0 && windowLength > count { gapLength = 0 }
    windowLength = count
  }

  /// Begins with the byte of this sequence number.
  mutating func begin(at sequence: UInt32) {
    if waiting.isEmpty && window.isNone { expected = sequence }
  }
}

/// Puts segments in order (RFC 9293 §3.10.7.4), under a memory cap that all streams of a core share.
///
/// Inline, data is released as soon as it is contiguous: an in-order segment costs one copy behind its predecessors, so
/// that patterns across segments can be seen. Passively it is released when its receiver has acknowledged it, as Suricata
/// does: what the receiver never took is not what it was told. Only data beyond a gap waits apart, and only there do
/// overlap policies have a say: of contiguous data the first copy stays.
struct StreamReassembler: ~Copyable {
  /// Bytes before the new ones that a window shows.
  static var history: Int { 2560 }
  /// New bytes that one window shows at most.
  static var maximumFresh: Int { 65_536 }
  /// Segments of one side that may wait beyond a gap.
  static var maximumPieces: UInt32 { 512 }
  /// Contiguous bytes of one side that may wait for an acknowledgement, as many as hosts without window scaling send; more
  /// are released without.
  static var maximumUnacknowledged: Int { 64_240 }
  /// Windows grow up to this size before their begin is given up.
  private static var settledWindow: Int { 8192 }

  /// Bytes of each side that are reassembled.
  let depth: Int
  /// Unacknowledged bytes are kept, so that a retransmission with other bytes is noticed (decision 11).
  let keepsUnacknowledged: Bool
  /// Bytes are released when they are acknowledged, not when they come.
  let releasesOnAcknowledgement: Bool
  private var store: PieceStore
  /// Counts the sets of rules that were in effect.
  var ruleGeneration: UInt32 = 0
  private(set) var gaps: UInt64 = 0
  private(set) var overlaps: UInt64 = 0
  private(set) var differing: UInt64 = 0
  /// Bytes for which there was no memory.
  private(set) var unkept: UInt64 = 0

  init(
    memoryCap: Int, depth: Int, keepsUnacknowledged: Bool, releasesOnAcknowledgement: Bool
  ) {
    self.releasesOnAcknowledgement = releasesOnAcknowledgement
    self.depth = depth
    self.keepsUnacknowledged = keepsUnacknowledged
    store = PieceStore(
      byteCap: memoryCap - memoryCap / 8, pieceCap: max(64, memoryCap / 8 / MemoryLayout<Piece>.stride),
      maximumPieces: Self.maximumPieces)
  }

  var bytesHeld: Int { store.blocks.used }

  /// A side's packet begins: its window shows what no packet of this side has shown.
  mutating func begin(_ side: inout TCPSide) { side.stream.freshFrom = side.stream.shown }

  /// Releases what may be looked at now.
  ///
  /// - Returns: whether that is more than before.
  @discardableResult
  mutating func release(_ side: inout TCPSide) -> Bool {
    let before = side.stream.released
    let delivered = side.stream.delivered
    let isWhole =
      !releasesOnAcknowledgement || side.stream.releasesEverything || side.flags.contains(.depthReached)
      || delivered - before > Self.maximumUnacknowledged
    side.stream.released = isWhole ? delivered : max(before, min(delivered, side.stream.acknowledged))
    return side.stream.released > before
  }

  /// Shows a side's released bytes with the packet in hand.
  ///
  /// - Returns: whether there are new ones.
  mutating func show(_ side: inout TCPSide) -> Bool {
    release(&side)
    side.stream.shown = side.stream.released
    return side.stream.released > side.stream.freshFrom
  }

  /// Takes a segment's data.
  ///
  /// - Parameters:
  ///   - data: not empty.
  ///   - sequence: of its first byte.
  ///   - side: the sender's.
  /// - Returns: whether the data, or some of it, is part of the stream: now, or once a gap closes.
  mutating func take(
    _ data: RawSpan, sequence: UInt32, side: inout TCPSide, events: inout StreamEventSet
  ) -> Bool {
    if side.flags.contains(.depthReached) { return false }
    let from = side.stream.delivered
    let distance = Int(Int32(bitPattern: sequence &- side.stream.expected))
    var isPart = true
    var fresh = data

    if distance < 0 {
      // The begin was handed on before; compare as far as it is still there.
      let old = min(-distance, data.byteCount)
      overlaps &+= 1
      if !matchesWindow(data.extracting(first: old), at: from + distance, side.stream) {
        noteDifference(&events)
        if keepsUnacknowledged { return false }
        replace(data, at: from + distance, &side.stream)
      }
      if from + distance < 0 { events.insert(.reassemblySegmentBeforeBaseSequence) }
      if old == data.byteCount { return false }
      fresh = data.extracting(old..<data.byteCount)
    }

    if distance <= 0 && (side.stream.waiting.isEmpty || from + fresh.byteCount <= firstWaiting(side.stream)) {
      deliver(fresh, side: &side, events: &events)
    } else {
      let position = max(from, from + distance)
      // Inline, a segment that differs is dropped as a whole: none of it may become part of the stream.
      if keepsUnacknowledged && store.differs(fresh, at: position, in: side.stream.waiting) {
        noteDifference(&events)
        return false
      }
      // Inline, what has passed has passed.
      let policy = keepsUnacknowledged ? .first : side.stream.policy
      let insertion = store.insert(fresh, at: position, policy: policy, into: &side.stream.waiting)
      if insertion.overlaps { overlaps &+= 1 }
      if insertion.differs { noteDifference(&events) }
      if !insertion.isComplete {
        events.insert(
          side.stream.waiting.count >= Self.maximumPieces ? .reassemblyInsertLimit : .reassemblyInsertMemoryCap)
        if distance <= 0 {
          // In order, but no memory to settle the overlap: what waits gives way.
          store.removeAll(of: &side.stream.waiting)
          deliver(fresh, side: &side, events: &events)
        } else {
          unkept &+= UInt64(fresh.byteCount)
          isPart = false
        }
      }
    }
    drain(side: &side, events: &events)
    return isPart
  }

  /// Hands on more of what waits, after a window was looked at.
  ///
  /// - Returns: whether there was any.
  @discardableResult
  mutating func drainMore(side: inout TCPSide, events: inout StreamEventSet) -> Bool {
    side.stream.freshFrom = side.stream.shown
    closeGap(&side, events: &events)
    drain(side: &side, events: &events)
    return show(&side)
  }

  /// The other end has all bytes up to `acknowledgement`: those missing here will not come any more.
  mutating func acknowledge(_ acknowledgement: UInt32, side: inout TCPSide, events: inout StreamEventSet) {
    var missing = Int(Int32(bitPattern: acknowledgement &- side.stream.expected))
    guard !side.flags.contains(.depthReached) else { return }
    side.stream.acknowledged = max(side.stream.acknowledged, side.stream.delivered + min(missing, 0))
    guard missing > 0 else { return }
    // Until data behind them comes, the capture may be out of order, and a FIN takes a number of its own.
    if side.stream.waiting.isEmpty { return }
    if side.flags.contains(.finSent) && acknowledgement == side.finSequence &+ 1 { missing -= 1 }
    if missing > 0 && side.stream.delivered + missing > side.stream.acknowledged {
      events.insert(.reassemblySequenceGap)
    }
    side.stream.acknowledged = max(side.stream.acknowledged, side.stream.delivered + missing)
    // What was not shown yet would be lost with the gap: it is shown with this side's next packet, and then the gap.
    if side.stream.shown < side.stream.delivered { return }
    closeGap(&side, events: &events)
    if releasesOnAcknowledgement {
      side.stream.freshFrom = side.stream.shown
      drain(side: &side, events: &events)
    }
  }

  /// Gives up bytes that were acknowledged and never seen.
  private mutating func closeGap(_ side: inout TCPSide, events: inout StreamEventSet) {
    guard side.stream.freshFrom == side.stream.delivered || side.stream.shown == side.stream.delivered else { return }
    var missing = side.stream.acknowledged - side.stream.delivered
    if let piece = store.first(of: side.stream.waiting) { missing = min(missing, piece.start - side.stream.delivered) }
    guard missing > 0 else { return }
    skip(missing, side: &side, events: &events)
    release(&side)
    side.stream.freshFrom = side.stream.delivered
    side.stream.shown = side.stream.delivered
  }

  /// Whether all that a side has sent in order was shown.
  func isSpent(_ side: TCPSide) -> Bool { side.stream.shown == side.stream.delivered && side.stream.waiting.isEmpty }

  /// Gives back what a side holds.
  mutating func close(_ side: inout TCPSide) {
    store.removeAll(of: &side.stream.waiting)
    store.blocks.release(side.stream.window)
    side.stream.window = .none
    side.stream.keepWindow(0)
  }

  /// The bytes that a side's packet in hand shows, with those before them.
  @_lifetime(borrow self)
  func window(of side: StreamSide) -> StreamWindow {
    // What is contiguous but not released lies at the end.
    let end = max(side.lengthBeforeGap, side.windowLength - (side.delivered - side.released))
    let fresh = min(max(0, side.released - side.freshFrom), end - side.lengthBeforeGap)
    let shown = min(end - side.lengthBeforeGap, fresh + Self.history)
    if side.window.isNone {
      return StreamWindow(bytes: RawSpan(), streamOffset: UInt64(side.released), freshOffset: 0)
    }
    let window = StreamWindow(
      bytes: store.blocks.bytes(side.window, (end - shown)..<end), streamOffset: UInt64(side.released - shown),
      freshOffset: shown - fresh,
      search: side.search.generation == ruleGeneration ? side.search : StreamSearch(generation: ruleGeneration))
    // The block belongs to `store`, which is part of `self`.
    return unsafe _overrideLifetime(window, borrowing: self)
  }

  /// What records show of a side's stream, in one piece, with a note where bytes are missing.
  ///
  /// - Parameters:
  ///   - start: where it begins, as far as that is still known.
  ///   - limit: bytes at most.
  func excerpt(of side: StreamSide, from start: Int, atMost limit: Int) -> [UInt8] {
    var result: [UInt8] = []
    let resumed = side.delivered - (side.windowLength - side.lengthBeforeGap)
    let stopped = resumed - side.gapLength
    var next = max(start, stopped - side.lengthBeforeGap)
    let first = resumed - side.gapLength - side.lengthBeforeGap
    if next < stopped {
      result.append(store.blocks.bytes(side.window, (next - first)..<side.lengthBeforeGap))
      next = stopped
    }
    if next < resumed && resumed < side.released {
      result.append(missing: resumed - next)
      next = resumed
    }
    if resumed <= next && next < side.released {
      let offset = side.lengthBeforeGap - resumed
      result.append(store.blocks.bytes(side.window, (next + offset)..<(side.released + offset)))
      next = side.released
    }
    // At the end of a flow, what never became contiguous is all there is.
    var piece = side.releasesEverything ? store.first(of: side.waiting) : nil
    while let waiting = piece, result.count < limit {
      if waiting.start > next { result.append(missing: waiting.start - next) }
      if waiting.end > next {
        let bytes = store.bytes(of: waiting)
        result.append(bytes.extracting(max(0, next - waiting.start)..<bytes.byteCount))
        next = waiting.end
      }
      piece = store.piece(after: waiting)
    }
    if result.count > limit { result.removeLast(result.count - limit) }
    return result
  }

  // MARK: Steps

  private func firstWaiting(_ stream: StreamSide) -> Int { store.first(of: stream.waiting)?.start ?? .max }

  private mutating func noteDifference(_ events: inout StreamEventSet) {
    differing &+= 1
    events.insert(.reassemblyOverlapDifferentData)
  }

  /// Moves pieces that have become contiguous into the window, as many as one window shows.
  private mutating func drain(side: inout TCPSide, events: inout StreamEventSet) {
    while let piece = store.first(of: side.stream.waiting), piece.start <= side.stream.delivered {
      // A piece may have been overtaken by data in order.
      if piece.end > side.stream.delivered {
        let fresh = side.stream.delivered - side.stream.freshFrom
        if fresh > 0 && fresh + piece.count > Self.maximumFresh { return }
        side.stream.lastSegment = piece.start
        if !append(piece: piece, side: &side) { unkept &+= UInt64(piece.count) }
        advance(piece.end - side.stream.delivered, side: &side, events: &events)
      }
      store.removeFirst(of: &side.stream.waiting)
    }
  }

  /// Bytes come again, as others, and the receiver takes the new ones: nobody has looked at those before, which were not
  /// acknowledged. Of what is in order, only the last segment is still known as such.
  private mutating func replace(_ data: RawSpan, at start: Int, _ stream: inout StreamSide) {
    let existing = stream.lastSegment..<max(stream.lastSegment, stream.delivered)
    let new = start..<(start + data.byteCount)
    guard !existing.isEmpty, !stream.policy.existingWins(existing: existing, new: new), !stream.window.isNone else {
      return
    }
    let windowStart = stream.delivered - (stream.windowLength - stream.lengthBeforeGap)
    let from = max(start, existing.lowerBound, stream.released, windowStart)
    let to = min(new.upperBound, stream.delivered)
    guard from < to else { return }
    store.blocks.write(
      data.extracting((from - start)..<(to - start)), to: stream.window,
      at: from - windowStart + stream.lengthBeforeGap)
  }

  private mutating func deliver(_ data: RawSpan, side: inout TCPSide, events: inout StreamEventSet) {
    side.stream.lastSegment = side.stream.delivered
    makeRoom(for: data.byteCount, side: &side)
    if side.stream.window.isNone {
      unkept &+= UInt64(data.byteCount)
    } else {
      store.blocks.write(data, to: side.stream.window, at: side.stream.windowLength)
      side.stream.windowLength += data.byteCount
    }
    advance(data.byteCount, side: &side, events: &events)
  }

  private mutating func append(piece: Piece, side: inout TCPSide) -> Bool {
    let skipped = side.stream.delivered - piece.start
    let count = piece.count - skipped
    makeRoom(for: count, side: &side)
    guard !side.stream.window.isNone else { return false }
    store.copy(piece, from: skipped, to: side.stream.window, at: side.stream.windowLength)
    side.stream.windowLength += count
    return true
  }

  private mutating func advance(_ count: Int, side: inout TCPSide, events: inout StreamEventSet) {
    side.stream.delivered += count
    side.stream.expected = side.stream.expected &+ UInt32(truncatingIfNeeded: count)
    if depth > 0 && side.stream.delivered >= depth && side.flags.isDisjoint(with: [.depthReached, .noDepth]) {
      side.flags.insert(.depthReached)
      events.insert(.reassemblyDepthReached)
      store.removeAll(of: &side.stream.waiting)
    }
  }

  private mutating func skip(_ count: Int, side: inout TCPSide, events: inout StreamEventSet) {
    gaps &+= 1
    side.flags.insert(.gap)
    if side.stream.lengthBeforeGap == side.stream.windowLength {
      side.stream.gapLength += count
    } else {
      // What came before the gap before this one is forgotten.
      let kept = side.stream.windowLength - side.stream.lengthBeforeGap
      if side.stream.lengthBeforeGap > 0 {
        store.blocks.move(side.stream.lengthBeforeGap..<side.stream.windowLength, to: 0, in: side.stream.window)
      }
      side.stream.windowLength = kept
      side.stream.lengthBeforeGap = kept
      side.stream.gapLength = count
    }
    advance(count, side: &side, events: &events)
  }

  /// Sees to it that `count` bytes fit behind those of the window, giving up its begin or taking a larger block.
  private mutating func makeRoom(for count: Int, side: inout TCPSide) {
    let stream = side.stream
    if stream.windowLength + count <= stream.window.capacityOrZero { return }
    var kept = min(stream.windowLength, Self.history + stream.delivered - stream.freshFrom)
    if keepsUnacknowledged {
      let unacknowledged = Int(Int32(bitPattern: stream.expected &- side.lastACK))
      kept = min(stream.windowLength, max(kept, min(unacknowledged, BlockPool.largest - Self.maximumFresh)))
    }
    kept = max(0, min(kept, BlockPool.largest - count))
    // Short streams need little; those that go on get a block in which the begin is given up now and then only.
    let wanted = stream.windowLength + count <= Self.settledWindow ? stream.windowLength + count : kept + count
    let source = (stream.windowLength - kept)..<stream.windowLength
    if wanted <= stream.window.capacityOrZero && stream.window.capacityOrZero <= max(Self.settledWindow, 2 * wanted) {
      store.blocks.move(source, to: 0, in: stream.window)
      side.stream.keepWindow(kept)
      return
    }
    let size = wanted > Self.settledWindow / 4 ? max(wanted, Self.settledWindow) : wanted
    if let block = store.blocks.allocate(size) ?? store.blocks.allocate(wanted) {
      if !stream.window.isNone { store.blocks.copy(from: stream.window, source, to: block) }
      store.blocks.release(stream.window)
      side.stream.window = block
      side.stream.keepWindow(kept)
      return
    }
    // At the memory cap: less history, or in the end none and no window.
    side.stream.keepWindow(0)
    if stream.window.capacityOrZero >= count {
      let less = min(kept, stream.window.capacityOrZero - count)
      store.blocks.move((stream.windowLength - less)..<stream.windowLength, to: 0, in: stream.window)
      side.stream = stream
      side.stream.keepWindow(less)
      return
    }
    store.blocks.release(stream.window)
    side.stream.window = store.blocks.allocate(count) ?? .none
  }

  /// Whether bytes that came before are the same now, as far as they are still known.
  private func matchesWindow(_ data: RawSpan, at start: Int, _ stream: StreamSide) -> Bool {
    let windowStart = stream.delivered - (stream.windowLength - stream.lengthBeforeGap)
    let from = max(start, windowStart)
    let to = min(start + data.byteCount, stream.delivered)
    guard from < to, !stream.window.isNone else { return true }
    let offset = stream.lengthBeforeGap - windowStart
    return store.blocks.bytes(stream.window, (from + offset)..<(to + offset))
      .hasSameBytes(as: data.extracting((from - start)..<(to - start)))
  }
}

extension [UInt8] {
  /// As Suricata's records have it.
  fileprivate mutating func append(missing count: Int) { append(contentsOf: "[\(count) bytes missing]".utf8) }
}

extension Block {
  fileprivate var capacityOrZero: Int { isNone ? 0 : capacity }
}
