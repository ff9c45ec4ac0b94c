internal import AllyPacket

/// Commands of SMB 2 (MS-SMB2 2.2.1).
enum SMB2Command {
  static var negotiate: UInt16 { 0 }
  static var sessionSetup: UInt16 { 1 }
  static var treeConnect: UInt16 { 3 }
  static var create: UInt16 { 5 }
  static var close: UInt16 { 6 }
  static var read: UInt16 { 8 }
  static var write: UInt16 { 9 }
  static var ioctl: UInt16 { 11 }
  static var getInfo: UInt16 { 16 }
  static var setInfo: UInt16 { 17 }
}

extension SMBParser {
  /// Messages in a row, each with the place of the next.
  func takeVersion2(_ data: RawSpan, from side: FlowSide) {
    var start = 0
    var rounds = 0
    while let header = SMBHeader(data.extracting(start...)), header.version == 2, rounds < 64 {
      rounds += 1
      let isChained = header.next >= SMBHeader.length2 && start + header.next < data.byteCount
      let end = isChained ? start + header.next : data.byteCount
      let message = data.extracting(start..<end)
      if header.isResponse { response2(header, message) } else { request2(header, message) }
      guard isChained else { return }
      start = end
    }
  }

  /// Part of a message.
  @_lifetime(copy message)
  private func slice(_ message: RawSpan, _ offset: Int, _ length: Int) -> RawSpan {
    let start = min(max(0, offset), message.byteCount)
    return message.extracting(start..<min(message.byteCount, start + max(0, length)))
  }

  // MARK: requests

  private func request2(_ header: SMBHeader, _ message: RawSpan) {
    var body = FieldReader(message, at: SMBHeader.length2)
    let isPipe = trees[header.treeKey]?.isPipe ?? false
    body.skip(2)
    switch header.command {
    case SMB2Command.negotiate:
      let count = Int(body.u16())
      body.skip(8)
      var negotiation = SMBTransaction.Negotiation()
      negotiation.clientIdentifier = body.bytes(16).array
      body.skip(8)
      for _ in 0..<min(count, 64) where body.left >= 2 {
        negotiation.dialects.append(Array(SMBNames.dialect(body.u16()).utf8))
      }
      _ = begin(header, .negotiation(negotiation))
    case SMB2Command.sessionSetup:
      body.skip(10)
      let offset = Int(body.u16())
      let length = Int(body.u16())
      beginSession(header, slice(message, offset, length))
    case SMB2Command.treeConnect:
      body.skip(2)
      let offset = Int(body.u16())
      let length = Int(body.u16())
      let name = UTF16Text.utf8(slice(message, offset, length))
      _ = begin(header, .tree(SMBTransaction.Tree(name: name)))
    case SMB2Command.create:
      body.skip(34)
      let disposition = body.u32()
      let options = body.u32()
      let offset = Int(body.u16())
      let length = Int(body.u16())
      let name = UTF16Text.utf8(slice(message, offset, length))
      lastCreated = name
      _ = begin(
        header,
        .create(
          SMBTransaction.Create(
            name: name, disposition: disposition, isDirectory: options & 1 != 0,
            isDeletedOnClose: options & 0x1000 != 0)))
    case SMB2Command.close:
      body.skip(6)
      let identifier = body.bytes(16).array
      closeFile(identifier)
      _ = begin(header, .other)
    case SMB2Command.read:
      body.skip(2)
      let length = Int(body.u32())
      let offset = body.u64()
      let identifier = body.bytes(16).array
      if body.isShort { break }
      if isTooLarge(length, isRead: true) {
        note(.readRequestTooLarge)
        break
      }
      reads[header.messageID] = SMBRead(identifier: identifier, offset: offset)
      if isPipe { break }
    case SMB2Command.write:
      guard let write = SMB2Write(message) else { break }
      guard admits(write.length, of: write.identifier, from: .toServer) else { break }
      let data = slice(message, write.start, write.length)
      if isPipe || carriesCalls(header, write.identifier, data) {
        takePipeData(data, write.identifier, from: .toServer, header)
      } else if let content = content2(header, write) {
        content.transaction.take(data, at: content.offset)
      }
    case SMB2Command.ioctl:
      body.skip(2)
      let function = body.u32()
      let identifier = body.bytes(16).array
      let offset = Int(body.u32())
      let length = Int(body.u32())
      // Only pipes are asked to transceive.
      if function == 0x0011_C017, isPipe || trees[header.treeKey] == nil {
        takePipeData(slice(message, offset, length), identifier, from: .toServer, header)
      } else {
        _ = begin(header, .control(function))
      }
    case SMB2Command.setInfo: setInfo(header, message)
    case SMB2Command.getInfo: break
    default: _ = begin(header, .other)
    }
  }

  /// Whether an open file is a pipe though its tree was not seen: it is known as one, or carries DCE/RPC.
  private func carriesCalls(_ header: SMBHeader, _ identifier: [UInt8], _ data: RawSpan) -> Bool {
    guard trees[header.treeKey] == nil else { return false }
    return pipes[identifier] != nil || DCERPCHeader(data).map { $0.fragmentLength >= data.byteCount } ?? false
  }

  private func setInfo(_ header: SMBHeader, _ message: RawSpan) {
    var body = FieldReader(message, at: SMBHeader.length2 + 2)
    let kind = body.u8()
    let level = body.u8()
    let length = Int(body.u32())
    let offset = Int(body.u16())
    body.skip(6)
    let identifier = body.bytes(16).array
    let data = slice(message, offset, length)
    // In a chain, all ones stand for the file that was opened before.
    let old = identifier.allSatisfy { $0 == 0xFF } ? lastCreated : names[identifier] ?? []
    switch (kind, level) {
    case (1, 10):
      var reader = FieldReader(data, at: 16)
      let nameLength = Int(reader.u32())
      let new = UTF16Text.utf8(reader.bytes(nameLength))
      _ = begin(
        header, .rename(SMBTransaction.Rename(from: old, to: new, identifier: identifier)))
    case (1, 13):
      let isDeleted = data.byteCount > 0 && data.byte(at: 0) != 0
      _ = begin(header, .disposition(SMBTransaction.Disposition(name: old, identifier: identifier, deletes: isDeleted)))
    default: break
    }
  }

  // MARK: responses

  private func response2(_ header: SMBHeader, _ message: RawSpan) {
    // The real answer is still to come.
    if header.status == 0x103 {
      awaiting(header)?.noteStatus(header)
      return
    }
    var body = FieldReader(message, at: SMBHeader.length2)
    let isPipe = trees[header.treeKey]?.isPipe ?? false
    body.skip(2)
    switch header.command {
    case SMB2Command.negotiate where header.status == 0:
      body.skip(2)
      conversation.dialect = body.u16()
      body.skip(2)
      let identifier = body.bytes(16).array
      body.skip(8)
      conversation.largestRead = body.u32()
      conversation.largestWrite = body.u32()
      let transaction = awaiting(header)
      transaction?.negotiated(serverIdentifier: identifier)
      if conversation.largestRead > limits.options.smb.largestRead { transaction?.note(.negotiateMaxReadSizeTooLarge) }
      if conversation.largestWrite > limits.options.smb.largestWrite {
        transaction?.note(.negotiateMaxWriteSizeTooLarge)
      }
    case SMB2Command.treeConnect where header.status == 0:
      let kind = body.u8()
      guard let transaction = awaiting(header), let name = transaction.connected(header, kind: kind) else { break }
      trees[header.treeKey] = SMBTree(name: name, isPipe: kind == 2)
    case SMB2Command.create where header.status == 0:
      body.skip(6)
      let times = (0..<4).map { _ in body.u64() }
      body.skip(8)
      let size = body.u64()
      body.skip(8)
      let identifier = body.bytes(16).array
      if body.isShort { break }
      if let name = awaiting(header)?.created(identifier, times: times, size: size) { names[identifier] = name }
    case SMB2Command.read:
      guard let read = reads.remove(header.messageID) else { break }
      let start = Int(body.u8())
      body.skip(1)
      let length = Int(body.u32())
      if header.status == 0 || header.status == 0x8000_0005 {
        guard admits(length, of: read.identifier, from: .toClient) else { break }
        let data = slice(message, start, length)
        if isPipe || carriesCalls(header, read.identifier, data) {
          takePipeData(data, read.identifier, from: .toClient, header)
        } else if let content = content(of: read, start: start, length: length, header) {
          content.transaction.take(data, at: content.offset)
        }
      } else if header.status == 0xC000_0011 {
        // The end of the file.
        if let transaction = files[SMBFileKey(identifier: read.identifier, side: .toClient)] {
          transaction.closeFile(isWhole: true)
          transaction.complete()
        }
      }
    case SMB2Command.write: writes.remove(header.messageID)?.noteStatus(header)
    case SMB2Command.ioctl:
      body.skip(2)
      guard isPipe || trees[header.treeKey] == nil && body.u32() == 0x0011_C017 else { break }
      if isPipe { body.skip(4) }
      let identifier = body.bytes(16).array
      body.skip(8)
      let offset = Int(body.u32())
      let length = Int(body.u32())
      if header.status == 0 || header.status == 0x8000_0005 {
        takePipeData(slice(message, offset, length), identifier, from: .toClient, header)
      }
    default: break
    }
    awaiting(header)?.answer(header)
  }

  // MARK: content

  /// Content whose message has begun to come.
  func content2(in head: RawSpan, _ header: SMBHeader, length: Int) -> SMBContent? {
    if header.next != 0 || trees[header.treeKey]?.isPipe ?? false { return nil }
    if !header.isResponse, header.command == SMB2Command.write {
      guard let write = SMB2Write(head),
        !carriesCalls(header, write.identifier, slice(head, write.start, write.length)),
        admits(write.length, of: write.identifier, from: .toServer)
      else { return nil }
      return content2(header, write)
    }
    guard header.isResponse, header.command == SMB2Command.read, header.status == 0,
      let read = reads[header.messageID], trees[header.treeKey] != nil || pipes[read.identifier] == nil
    else { return nil }
    var body = FieldReader(head, at: SMBHeader.length2 + 2)
    let start = Int(body.u8())
    body.skip(1)
    let length = Int(body.u32())
    guard admits(length, of: read.identifier, from: .toClient) else { return nil }
    reads.remove(header.messageID)
    return content(of: read, start: start, length: length, header)
  }

  private func content2(_ header: SMBHeader, _ write: SMB2Write) -> SMBContent? {
    guard let transaction = fileTransaction(write.identifier, from: .toServer, header) else { return nil }
    writes[header.messageID] = transaction
    return SMBContent(transaction: transaction, start: write.start, length: write.length, offset: write.offset)
  }

  func content(of read: SMBRead, start: Int, length: Int, _ header: SMBHeader) -> SMBContent? {
    guard let transaction = fileTransaction(read.identifier, from: .toClient, header) else { return nil }
    transaction.noteStatus(header)
    return SMBContent(transaction: transaction, start: start, length: length, offset: read.offset)
  }
}

/// The fields of a write request (MS-SMB2 2.2.21).
struct SMB2Write {
  /// Of the content, in the message.
  var start: Int
  var length: Int
  /// In the file.
  var offset: UInt64
  var identifier: [UInt8]

  init?(_ message: RawSpan) {
    var body = FieldReader(message, at: SMBHeader.length2 + 2)
    start = Int(body.u16())
    length = Int(body.u32())
    offset = body.u64()
    identifier = body.bytes(16).array
    if body.isShort { return nil }
  }
}
