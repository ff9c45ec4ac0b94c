internal import AllyPacket

/// Cuts what one side of a line-based protocol says into lines, within a fixed amount of memory.
struct LineReader {
  /// A line, or a piece of one that is too long.
  struct Line: ~Escapable {
    /// Without its line end.
    let bytes: RawSpan
    /// CR LF, LF, or nothing behind a piece.
    let endLength: Int
    /// More than ``LineReader/limit`` bytes came without a line end.
    let isCut: Bool
    /// It goes on a piece that was cut.
    let isContinuation: Bool

    /// Its line end; empty behind a piece.
    var end: ArraySlice<UInt8> { [.carriageReturn, .lineFeed].suffix(endLength) }

    @_lifetime(copy bytes)
    init(bytes: RawSpan, endLength: Int, isCut: Bool, isContinuation: Bool) {
      self.bytes = bytes
      self.endLength = endLength
      self.isCut = isCut
      self.isContinuation = isContinuation
    }
  }

  private var pending: [UInt8] = []
  private var isInLongLine = false
  /// Bytes of a line, without its end.
  let limit: Int
  /// Bytes of each piece of a longer one.
  private let piece: Int

  /// - Parameter piece: nil for `limit`; not less.
  init(limit: Int, piece: Int? = nil) {
    self.limit = limit
    self.piece = piece ?? limit
  }

  var isEmpty: Bool { pending.isEmpty }
  /// The beginning of the line that has not ended.
  var rest: ArraySlice<UInt8> { pending[...] }

  mutating func removeAll() {
    pending.removeAll(keepingCapacity: true)
    isInLongLine = false
  }

  /// Reads lines from `data`, and keeps what is left.
  ///
  /// - Parameter body: takes a line; returns whether to go on. When it does not, what follows the line is left.
  /// - Returns: how many bytes of `data` were used.
  mutating func read(_ data: RawSpan, _ body: (borrowing Line) -> Bool) -> Int {
    var offset = 0
    while offset < data.byteCount {
      let room = max(1, piece - pending.count)
      guard let end = data.firstIndex(of: .lineFeed, from: offset), end - offset <= max(1, limit - pending.count) else {
        if data.byteCount - offset < room && data.firstIndex(of: .lineFeed, from: offset) == nil {
          pending.append(data.extracting(offset...))
          return data.byteCount
        }
        // Too long: what there is of it goes on in pieces.
        let stop = offset + room
        let isGoingOn: Bool
        if pending.isEmpty {
          isGoingOn = body(
            Line(
              bytes: data.extracting(offset..<stop), endLength: 0, isCut: true, isContinuation: isInLongLine))
        } else {
          var line: [UInt8] = []
          swap(&line, &pending)
          line.append(data.extracting(offset..<stop))
          isGoingOn = body(Line(bytes: line.rawBytes, endLength: 0, isCut: true, isContinuation: isInLongLine))
        }
        isInLongLine = true
        offset = stop
        if !isGoingOn { return offset }
        continue
      }
      var isGoingOn: Bool
      if pending.isEmpty {
        isGoingOn = take(data.extracting(offset...end), body)
      } else {
        var line: [UInt8] = []
        swap(&line, &pending)
        line.append(data.extracting(offset...end))
        isGoingOn = take(line.rawBytes, body)
        line.removeAll(keepingCapacity: true)
        if pending.isEmpty { swap(&line, &pending) }
      }
      offset = end + 1
      if !isGoingOn { return offset }
    }
    return offset
  }

  /// A line with its line end.
  private mutating func take(_ line: RawSpan, _ body: (borrowing Line) -> Bool) -> Bool {
    let count = line.byteCount
    let endLength = count >= 2 && line.byte(at: count - 2) == .carriageReturn ? 2 : 1
    defer { isInLongLine = false }
    return body(
      Line(
        bytes: line.extracting(0..<(count - endLength)), endLength: endLength, isCut: false,
        isContinuation: isInLongLine))
  }
}

extension RawSpan {
  /// The bytes, copied.
  var array: [UInt8] {
    var copy: [UInt8] = []
    copy.append(self)
    return copy
  }

  /// Whether the first bytes are `text`, which is in lower case, letters in whichever case.
  func hasCaselessPrefix(_ text: StaticString) -> Bool {
    guard byteCount >= text.utf8CodeUnitCount else { return false }
    return text.withUTF8Buffer { other in
      for index in 0..<other.count where unsafe LiteralSearch.lowercase(byte(at: index)) != other[index] {
        return false
      }
      return true
    }
  }
}
