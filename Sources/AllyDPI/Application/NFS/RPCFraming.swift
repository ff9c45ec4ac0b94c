internal import AllyPacket

/// Cuts one side's stream into records (RFC 5531 §11). Content of files passes through without being kept.
struct RPCFraming {
  /// What must be there of a record before its content is let through.
  private static var headBytes: Int { 1024 }
  /// Bytes of a record's mark.
  private static var markBytes: Int { 4 }

  /// The mark and as much of the record as has come.
  private var pending: [UInt8] = []
  /// Content that is passing.
  private var content: (transaction: NFSTransaction, offset: UInt64, left: Int)?
  /// Bytes to be passed over.
  private var skipping = 0
  private var isLost = false
  /// The last of what was looked at in vain for a record.
  private var tail: [UInt8] = []

  /// - Parameter parser: whose stream it is.
  mutating func receive(_ data: RawSpan, from side: FlowSide, _ parser: NFSParser) {
    if isLost { return find(data, from: side, parser) }
    var offset = 0
    while offset < data.byteCount {
      if let current = content {
        let count = min(current.left, data.byteCount - offset)
        current.transaction.countPiece()
        current.transaction.take(data.extracting(offset..<(offset + count)), at: current.offset)
        parser.note(current.transaction)
        offset += count
        pass(count)
      } else if skipping > 0 {
        let count = min(skipping, data.byteCount - offset)
        skipping -= count
        offset += count
      } else {
        offset += take(data.extracting(offset...), from: side, parser)
      }
    }
  }

  /// - Returns: how many bytes were used.
  private mutating func take(_ data: RawSpan, from side: FlowSide, _ parser: NFSParser) -> Int {
    var used = 0
    if pending.count < RPCFraming.markBytes {
      used = min(RPCFraming.markBytes - pending.count, data.byteCount)
      pending.append(data.extracting(0..<used))
      if pending.count < RPCFraming.markBytes { return used }
    }
    let length = pending[..<4].reduce(0) { $0 << 8 | Int($1) } & 0x7FFF_FFFF
    let count = min(RPCFraming.markBytes + length - pending.count, data.byteCount - used)
    pending.append(data.extracting(used..<(used + count)))
    used += count
    let known = pending.count - RPCFraming.markBytes
    if known == length {
      var whole: [UInt8] = []
      swap(&whole, &pending)
      parser.take(whole[RPCFraming.markBytes...], from: side)
      whole.removeAll(keepingCapacity: true)
      swap(&whole, &pending)
    } else if known >= RPCFraming.headBytes {
      if let passing = parser.content(in: pending[RPCFraming.markBytes...], length: length, from: side) {
        // Behind the content there are padding, and what else there may be. No content is longer than its record.
        let left = min(passing.left, length - known)
        skipping = length - known - left
        content = left > 0 ? (passing.transaction, passing.offset, left) : nil
        pending.removeAll(keepingCapacity: true)
      } else if known > parser.limits.handshake {
        skipping = length - known
        pending.removeAll(keepingCapacity: true)
      }
    }
    return used
  }

  /// So much of the content has come, or is missing: then what follows it is ahead of the file.
  private mutating func pass(_ count: Int) {
    guard let current = content else { return }
    if count == current.left {
      current.transaction.endPiece()
      content = nil
    } else {
      content = (current.transaction, current.offset &+ UInt64(count), current.left - count)
    }
  }

  mutating func skip(_ count: Int, _ parser: NFSParser) {
    if let current = content, count <= current.left {
      current.transaction.countPiece()
      parser.note(current.transaction)
      pass(count)
    } else if content == nil, pending.isEmpty, count <= skipping {
      skipping -= count
    } else {
      content?.transaction.endPiece()
      content = nil
      skipping = 0
      pending.removeAll()
      tail.removeAll()
      isLost = true
    }
  }

  /// Looks for the next record behind a gap.
  private mutating func find(_ data: RawSpan, from side: FlowSide, _ parser: NFSParser) {
    let bytes = tail + data.array
    var start = 0
    while start + NFSParser.recognizedBytes <= bytes.count {
      if NFSParser.isRecord(bytes[start...], from: side) {
        isLost = false
        tail.removeAll()
        let found = bytes[start...]
        return receive(found.rawBytes, from: side, parser)
      }
      start += 1
    }
    tail = Array(bytes[start...])
  }
}
