import AllyPacket

/// The bytes of one datagram or of one side of a stream that wait for others before them: pieces in order, none overlapping another.
struct PieceList: BitwiseCopyable, Sendable {
  fileprivate(set) var first: UInt32 = .max
  fileprivate(set) var last: UInt32 = .max
  fileprivate(set) var count: UInt32 = 0
  /// Bytes that are there.
  fileprivate(set) var covered: Int = 0
  var isEmpty: Bool { count == 0 }
}

/// What entering bytes into a ``PieceList`` found.
struct PieceInsertion: BitwiseCopyable, Sendable {
  /// Some of the bytes were there already.
  var overlaps = false
  /// And they were others.
  var differs = false
  /// All of them are kept now, those aside that gave way to earlier ones. False at the memory cap.
  var isComplete = true
}

/// A run of bytes in a ``PieceList``.
struct Piece: BitwiseCopyable, Sendable {
  fileprivate(set) var next: UInt32
  fileprivate(set) var previous: UInt32
  /// Its place in the datagram or stream.
  fileprivate(set) var start: Int
  fileprivate(set) var end: Int
  /// The whole range of the fragment or segment it came with: what policies compare.
  fileprivate var originStart: Int
  fileprivate var originEnd: Int
  fileprivate var block: Block
  /// Bytes at the block's begin that gave way to others.
  fileprivate var skip: Int

  var count: Int { end - start }
  fileprivate var origin: Range<Int> { originStart..<originEnd }
}

/// Keeps pieces of many lists under one memory cap, and settles who wins where they overlap.
struct PieceStore: ~Copyable {
  /// Pieces that one list may have. Entering one takes at most as many steps.
  let maximumPieces: UInt32
  private var pieces: Pool<Piece>
  var blocks: BlockPool

  /// - Parameters:
  ///   - byteCap: bytes for data.
  ///   - pieceCap: pieces in all lists together.
  init(byteCap: Int, pieceCap: Int, maximumPieces: UInt32) {
    self.maximumPieces = maximumPieces
    pieces = Pool(capacity: pieceCap)
    blocks = BlockPool(capacity: byteCap)
  }

  /// Enters bytes at `start`.
  ///
  /// In order, which is the common case, it takes a constant number of steps.
  mutating func insert(_ bytes: RawSpan, at start: Int, policy: OverlapPolicy, into list: inout PieceList)
    -> PieceInsertion
  {
    var result = PieceInsertion()
    let range = start..<(start + bytes.byteCount)
    var cursor = list.last
    if cursor == .max || pieces[cursor].end <= start {
      result.isComplete = link(range, of: bytes, origin: range, before: .max, in: &list)
      return result
    }
    while pieces[cursor].previous != .max && pieces[pieces[cursor].previous].end > start {
      cursor = pieces[cursor].previous
    }

    // Bytes before `settled` are where they belong, or gave way.
    var settled = start
    while settled < range.upperBound && cursor != .max && pieces[cursor].start < range.upperBound {
      let existing = pieces[cursor]
      if existing.end <= settled {
        cursor = existing.next
        continue
      }
      let common = max(settled, existing.start)..<min(existing.end, range.upperBound)
      result.overlaps = true
      if !isEqual(existing, common, bytes, from: start) { result.differs = true }
      if policy.existingWins(existing: existing.origin, new: range) {
        if settled < existing.start {
          result.isComplete = link(settled..<existing.start, of: bytes, origin: range, before: cursor, in: &list)
          guard result.isComplete else { return result }
        }
        settled = existing.end
        cursor = existing.next
      } else {
        guard let following = yield(cursor, common, in: &list) else {
          result.isComplete = false
          return result
        }
        cursor = following
      }
    }
    if settled < range.upperBound {
      result.isComplete = link(settled..<range.upperBound, of: bytes, origin: range, before: cursor, in: &list)
    }
    return result
  }

  /// Whether bytes at `start` would differ from those that are there.
  func differs(_ bytes: RawSpan, at start: Int, in list: PieceList) -> Bool {
    let end = start + bytes.byteCount
    var cursor = list.last
    while cursor != .max && pieces[cursor].end > start {
      let piece = pieces[cursor]
      if piece.start < end {
        let common = max(start, piece.start)..<min(end, piece.end)
        if !isEqual(piece, common, bytes, from: start) { return true }
      }
      cursor = piece.previous
    }
    return false
  }

  /// The first piece of a list.
  func first(of list: PieceList) -> Piece? { list.first == .max ? nil : pieces[list.first] }

  /// The piece behind another.
  func piece(after piece: Piece) -> Piece? { piece.next == .max ? nil : pieces[piece.next] }

  /// A piece's bytes.
  @_lifetime(borrow self)
  func bytes(of piece: Piece) -> RawSpan {
    let span = blocks.bytes(piece.block, piece.skip..<(piece.skip + piece.count))
    // The block belongs to `blocks`, which is part of `self`.
    return unsafe _overrideLifetime(span, borrowing: self)
  }

  /// Copies a piece's bytes from the one at `offset` on into a block.
  mutating func copy(_ piece: Piece, from offset: Int, to block: Block, at target: Int) {
    blocks.copy(from: piece.block, (piece.skip + offset)..<(piece.skip + piece.count), to: block, at: target)
  }

  /// Takes the first piece out and gives its memory back.
  mutating func removeFirst(of list: inout PieceList) {
    guard list.first != .max else { return }
    list.covered -= pieces[list.first].count
    unlink(list.first, in: &list)
  }

  /// Takes all pieces out.
  mutating func removeAll(of list: inout PieceList) {
    while list.first != .max { removeFirst(of: &list) }
  }

  // MARK: One piece

  /// Whether the bytes that a piece and a new run have in common are the same.
  private func isEqual(_ existing: Piece, _ common: Range<Int>, _ bytes: RawSpan, from start: Int) -> Bool {
    let offset = existing.skip + common.lowerBound - existing.start
    return blocks.bytes(existing.block, offset..<(offset + common.count))
      .hasSameBytes(as: bytes.extracting((common.lowerBound - start)..<(common.upperBound - start)))
  }

  /// Copies part of a run that begins at `origin` into a new piece.
  private mutating func link(
    _ range: Range<Int>, of bytes: RawSpan, origin: Range<Int>, before next: UInt32, in list: inout PieceList
  ) -> Bool {
    guard list.count < maximumPieces, let block = blocks.allocate(range.count) else { return false }
    let previous = next == .max ? list.last : pieces[next].previous
    let piece = Piece(
      next: next, previous: previous, start: range.lowerBound, end: range.upperBound, originStart: origin.lowerBound,
      originEnd: origin.upperBound, block: block, skip: 0)
    guard let place = pieces.insert(piece) else {
      blocks.release(block)
      return false
    }
    let offset = range.lowerBound - origin.lowerBound
    blocks.write(bytes.extracting(offset..<(offset + range.count)), to: block, at: 0)
    if previous == .max { list.first = place } else { pieces[previous].next = place }
    if next == .max { list.last = place } else { pieces[next].previous = place }
    list.count += 1
    list.covered += range.count
    return true
  }

  /// Takes a range away from a piece: cuts its begin or its end, removes it, or splits it.
  ///
  /// - Returns: the piece behind the range, `UInt32.max` when there is none; nil when memory ran out.
  private mutating func yield(_ place: UInt32, _ range: Range<Int>, in list: inout PieceList) -> UInt32? {
    let piece = pieces[place]
    list.covered -= range.count
    if range.lowerBound <= piece.start && range.upperBound >= piece.end {
      unlink(place, in: &list)
      return piece.next
    }
    if range.lowerBound <= piece.start {
      pieces[place].skip += range.upperBound - piece.start
      pieces[place].start = range.upperBound
      return place
    }
    pieces[place].end = range.lowerBound
    if range.upperBound >= piece.end { return piece.next }

    // The right part moves to a block of its own; without memory for it, it is lost and may come again.
    let right = range.upperBound..<piece.end
    list.covered -= right.count
    guard list.count < maximumPieces, let block = blocks.allocate(right.count) else { return nil }
    let rightPiece = Piece(
      next: piece.next, previous: place, start: right.lowerBound, end: right.upperBound,
      originStart: piece.originStart, originEnd: piece.originEnd, block: block, skip: 0)
    guard let rightPlace = pieces.insert(rightPiece) else {
      blocks.release(block)
      return nil
    }
    let offset = piece.skip + right.lowerBound - piece.start
    blocks.copy(from: piece.block, offset..<(offset + right.count), to: block)
    pieces[place].next = rightPlace
    if piece.next == .max { list.last = rightPlace } else { pieces[piece.next].previous = rightPlace }
    list.count += 1
    list.covered += right.count
    return rightPlace
  }

  private mutating func unlink(_ place: UInt32, in list: inout PieceList) {
    let piece = pieces[place]
    if piece.previous == .max { list.first = piece.next } else { pieces[piece.previous].next = piece.next }
    if piece.next == .max { list.last = piece.previous } else { pieces[piece.next].previous = piece.previous }
    list.count -= 1
    blocks.release(piece.block)
    pieces.remove(place)
  }
}

extension RawSpan {
  /// Whether two spans of the same length hold the same bytes.
  func hasSameBytes(as other: RawSpan) -> Bool {
    guard byteCount == other.byteCount else { return false }
    var offset = 0
    while let left = Window<8>(self, at: offset), let right = Window<8>(other, at: offset) {
      if left.u64(0) != right.u64(0) { return false }
      offset &+= 8
    }
    while let left = Window<1>(self, at: offset), let right = Window<1>(other, at: offset) {
      if left.u8(0) != right.u8(0) { return false }
      offset &+= 1
    }
    return true
  }
}
