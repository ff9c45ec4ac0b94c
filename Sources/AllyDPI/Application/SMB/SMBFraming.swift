internal import AllyPacket

/// Cuts one side's stream into messages (RFC 1002 §4.3.1). Content of files passes through without being kept.
struct SMBFraming {
  /// Larger messages are left out, unless they carry content.
  private static var largestMessage: Int { 256 << 10 }
  /// What must be there of a message before its content is let through.
  private static var headBytes: Int { 192 }

  /// The session header and as much of the message as has come.
  private var pending: [UInt8] = []
  /// Content that is passing.
  private var content: (transaction: SMBTransaction, offset: UInt64, left: Int)?
  /// Bytes to be passed over.
  private var skipping = 0
  private var isLost = false

  mutating func receive(_ data: RawSpan, from side: FlowSide, _ parser: SMBParser) {
    var offset = 0
    while offset < data.byteCount {
      if isLost && !findMessage(data, &offset) { return }
      if let current = content {
        let count = min(current.left, data.byteCount - offset)
        current.transaction.take(data.extracting(offset..<(offset + count)), at: current.offset)
        offset += count
        pass(count)
        continue
      }
      if skipping > 0 {
        let count = min(skipping, data.byteCount - offset)
        skipping -= count
        offset += count
        continue
      }
      offset += take(data.extracting(offset...), from: side, at: offset, parser)
    }
  }

  /// - Parameter place: where the data begins in what was received.
  /// - Returns: how many bytes were used.
  private mutating func take(_ data: RawSpan, from side: FlowSide, at place: Int, _ parser: SMBParser) -> Int {
    var used = 0
    if pending.count < 4 {
      used = min(4 - pending.count, data.byteCount)
      pending.append(data.extracting(0..<used))
      if pending.count < 4 { return used }
    }
    let length = Int(pending[1]) << 16 | Int(pending[2]) << 8 | Int(pending[3])
    guard pending[0] == 0 else {
      // Session requests, keep-alives and the like.
      skipping = pending[0] == 0x85 ? 0 : length & 0x1FFFF
      pending.removeAll(keepingCapacity: true)
      return used
    }
    let isLarge = length > SMBFraming.headBytes
    let wanted = 4 + (isLarge && pending.count < 4 + SMBFraming.headBytes ? SMBFraming.headBytes : length)
    let count = min(wanted - pending.count, data.byteCount - used)
    pending.append(data.extracting(used..<(used + count)))
    used += count
    guard pending.count == wanted else { return used }
    let message = pending[4...]
    if !isLarge || message.count == SMBFraming.headBytes {
      parser.show(pending, data.extracting(used...), length: length, from: side, at: place + used - pending.count)
    }
    if isLarge, message.count == SMBFraming.headBytes {
      if let passing = parser.content(in: message.rawBytes, length: length, from: side) {
        let rest = length - message.count
        let inHead = max(0, min(message.count - passing.start, passing.length))
        if inHead > 0 {
          let head = message.dropFirst(passing.start).prefix(inHead)
          passing.transaction.take(head.rawBytes, at: passing.offset)
        }
        let left = min(passing.length - inHead, rest)
        // Between the head and content that begins later there is padding.
        let gap = max(0, passing.start - message.count)
        let passes = left > 0 && gap == 0
        if passes { content = (passing.transaction, passing.offset &+ UInt64(inHead), left) }
        skipping = passes ? rest - left : rest
        pending.removeAll(keepingCapacity: true)
      } else if length > SMBFraming.largestMessage {
        skipping = length - message.count
        pending.removeAll(keepingCapacity: true)
      }
      return used
    }
    var whole: [UInt8] = []
    swap(&whole, &pending)
    let body = whole[4...]
    parser.take(body.rawBytes, from: side)
    whole.removeAll(keepingCapacity: true)
    swap(&whole, &pending)
    return used
  }

  /// So much of the content has come, or is missing: then what follows it is ahead of the file.
  private mutating func pass(_ count: Int) {
    guard let current = content else { return }
    content =
      count == current.left ? nil : (current.transaction, current.offset &+ UInt64(count), current.left - count)
  }

  mutating func skip(_ count: Int) {
    if let current = content, count <= current.left {
      pass(count)
    } else if content == nil, pending.isEmpty, count <= skipping {
      skipping -= count
    } else {
      content = nil
      skipping = 0
      pending.removeAll()
      isLost = true
    }
  }

  /// Looks for the next message behind a gap.
  private mutating func findMessage(_ data: RawSpan, _ offset: inout Int) -> Bool {
    while offset + 8 <= data.byteCount {
      if data.byte(at: offset) == 0, SMBHeader.isMagic(data.extracting((offset + 4)...)) {
        isLost = false
        return true
      }
      offset += 1
    }
    offset = data.byteCount
    return false
  }
}

/// Content of a file in a message whose end has not come.
struct SMBContent {
  var transaction: SMBTransaction
  /// In the message.
  var start: Int
  var length: Int
  /// In the file.
  var offset: UInt64
}
