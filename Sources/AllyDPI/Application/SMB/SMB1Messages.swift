internal import AllyPacket

/// Commands of SMB 1 (MS-CIFS 2.2.2.1).
enum SMB1Command {
  static var close: UInt16 { 0x04 }
  static var write: UInt16 { 0x0B }
  static var transaction: UInt16 { 0x25 }
  static var transaction2: UInt16 { 0x32 }
  static var openAndX: UInt16 { 0x2D }
  static var readAndX: UInt16 { 0x2E }
  static var writeAndX: UInt16 { 0x2F }
  static var negotiate: UInt16 { 0x72 }
  static var sessionSetupAndX: UInt16 { 0x73 }
  static var treeConnectAndX: UInt16 { 0x75 }
  static var createAndX: UInt16 { 0xA2 }

  /// Whether another command may follow in the same message.
  static func isChained(_ command: UInt16) -> Bool {
    [openAndX, readAndX, writeAndX, sessionSetupAndX, treeConnectAndX, createAndX, 0x24, 0x74].contains(command)
  }
}

extension SMBParser {
  /// A command and those that are chained to it.
  func takeVersion1(_ header: SMBHeader, _ message: RawSpan, from side: FlowSide) {
    var header = header
    var offset = SMBHeader.length1
    for _ in 0..<16 {
      guard let block = SMB1Block(message, at: offset) else { return note(.malformedData) }
      if header.isResponse { response1(header, block) } else { request1(header, block) }
      guard SMB1Command.isChained(header.command), block.words.byteCount >= 4 else { return }
      var words = FieldReader(block.words)
      let next = UInt16(words.u8())
      words.skip(1)
      let place = Int(words.u16())
      guard next != 0xFF, place > offset, place < message.byteCount else { return }
      header.command = next
      offset = place
    }
  }

  // MARK: requests

  private func request1(_ header: SMBHeader, _ block: SMB1Block) {
    var words = FieldReader(block.words)
    switch header.command {
    case SMB1Command.negotiate:
      var negotiation = SMBTransaction.Negotiation()
      for part in block.bytes.array.split(separator: 0) where negotiation.dialects.count < 64 {
        negotiation.dialects.append(part.first == 2 ? Array(part.dropFirst()) : Array(part))
      }
      let transaction = begin(header, .negotiation(negotiation))
      // Each has a byte in front that says what it is, and a zero behind it.
      let texts = block.bytes.array.split(separator: 0, omittingEmptySubsequences: false).dropLast()
      if texts.contains(where: { $0.count < 2 }) { transaction?.note(.negotiateMalformedDialects) }
    case SMB1Command.sessionSetupAndX: session1(header, block)
    case SMB1Command.treeConnectAndX:
      words.skip(6)
      let passwordLength = Int(words.u16())
      var text = SMB1Text(block, isUnicode: header.isUnicode, at: passwordLength)
      // Records have one backslash of the two in front of a server's name.
      var name = text.next()
      if name.count > 1 { name.removeFirst() }
      text.isUnicode = false
      var tree = SMBTransaction.Tree(name: name)
      tree.requestedService = text.next()
      _ = begin(header, .tree(tree))
    case SMB1Command.createAndX:
      words.skip(5)
      let nameLength = Int(words.u16())
      words.skip(28)
      let disposition = words.u32()
      let options = words.u32()
      var text = SMB1Text(block, isUnicode: header.isUnicode)
      let name = text.next(nameLength)
      _ = begin(
        header,
        .create(
          SMBTransaction.Create(
            name: name, disposition: disposition, isDirectory: options & 1 != 0,
            isDeletedOnClose: options & 0x1000 != 0)))
    case SMB1Command.openAndX:
      var text = SMB1Text(block, isUnicode: header.isUnicode)
      _ = begin(
        header,
        .create(
          SMBTransaction.Create(
            name: text.next(), disposition: 1, isDirectory: false, isDeletedOnClose: false)))
    case SMB1Command.readAndX:
      words.skip(4)
      let identifier = words.bytes(2).array
      var offset = UInt64(words.u32())
      words.skip(10)
      if words.left >= 4 { offset |= UInt64(words.u32()) << 32 }
      reads[header.messageID] = SMBRead(identifier: identifier, offset: offset)
    case SMB1Command.writeAndX, SMB1Command.write:
      guard let write = SMB1Write(header, block) else { break }
      if trees[header.treeKey]?.isPipe ?? false {
        takePipeData(block.slice(write.start, write.length), write.identifier, from: .toServer, header)
      } else if let content = content1(header, write) {
        content.transaction.take(block.slice(content.start, content.length), at: content.offset)
      }
    case SMB1Command.transaction: transact1(header, block)
    case SMB1Command.close:
      closeFile(words.bytes(2).array)
      _ = begin(header, .other)
    // Its subcommands have no records.
    case SMB1Command.transaction2: break
    default: _ = begin(header, .other)
    }
  }

  private func session1(_ header: SMBHeader, _ block: SMB1Block) {
    var words = FieldReader(block.words)
    words.skip(14)
    var systems = SMBTransaction.Systems()
    if block.words.byteCount == 24 {
      let length = Int(words.u16())
      var text = SMB1Text(block, isUnicode: header.isUnicode, at: length)
      systems.system = text.next()
      systems.manager = text.next()
      beginSession(header, block.bytes.extracting(0..<min(length, block.bytes.byteCount)), systems)
    } else {
      let passwords = Int(words.u16()) + Int(words.u16())
      var text = SMB1Text(block, isUnicode: header.isUnicode, at: passwords)
      _ = text.next()
      _ = text.next()
      systems.system = text.next()
      systems.manager = text.next()
      beginSession(header, RawSpan(), systems)
    }
  }

  /// `SMB_COM_TRANSACTION` in a named pipe (MS-CIFS 2.2.5.6).
  private func transact1(_ header: SMBHeader, _ block: SMB1Block) {
    var words = FieldReader(block.words, at: 22)
    let length = Int(words.u16())
    let offset = Int(words.u16())
    let setupCount = Int(words.u8())
    words.skip(1)
    let function = words.u16()
    let identifier = words.bytes(2).array
    guard setupCount == 2, function == 0x26, identifier.count == 2 else { return }
    pipesInTransactions[header.messageID] = identifier
    takePipeData(block.slice(offset, length), identifier, from: .toServer, header)
  }

  // MARK: responses

  private func response1(_ header: SMBHeader, _ block: SMB1Block) {
    var words = FieldReader(block.words)
    switch header.command {
    case SMB1Command.negotiate:
      let chosen = Int(words.u16())
      words.skip(17)
      let capabilities = words.u32()
      guard let transaction = awaiting(header) else { break }
      let hasIdentifier = capabilities & 0x8000_0000 != 0 && block.bytes.byteCount >= 16
      let identifier = hasIdentifier ? block.bytes.extracting(0..<16).array : []
      conversation.dialectName = transaction.negotiated(serverIdentifier: identifier, chosen: chosen)
    case SMB1Command.sessionSetupAndX:
      words.skip(6)
      let length = block.words.byteCount >= 8 ? Int(words.u16()) : 0
      var text = SMB1Text(block, isUnicode: header.isUnicode, at: length)
      let systems = SMBTransaction.Systems(system: text.next(), manager: text.next())
      if block.bytes.byteCount > 0 { awaiting(header)?.answered(by: systems) }
    case SMB1Command.treeConnectAndX where header.status == 0:
      var text = SMB1Text(block, isUnicode: false)
      let service = text.next()
      let isPipe = service.starts(with: "IPC".utf8)
      guard let transaction = awaiting(header),
        let name = transaction.connected(header, kind: isPipe ? 2 : 1, service: service)
      else { break }
      trees[header.treeKey] = SMBTree(name: name, isPipe: isPipe)
    case SMB1Command.createAndX where header.status == 0:
      words.skip(5)
      let identifier = words.bytes(2).array
      words.skip(4)
      let times = (0..<4).map { _ in words.u64() }
      words.skip(12)
      let size = words.u64()
      if words.isShort { break }
      if let name = awaiting(header)?.created(identifier, times: times, size: size) { names[identifier] = name }
    case SMB1Command.openAndX where header.status == 0:
      words.skip(4)
      let identifier = words.bytes(2).array
      if words.isShort { break }
      if let name = awaiting(header)?.created(identifier, times: [0, 0, 0, 0], size: 0) { names[identifier] = name }
    case SMB1Command.readAndX:
      guard let read = reads.remove(header.messageID), let place = SMB1Write.content(ofRead: block) else { break }
      if trees[header.treeKey]?.isPipe ?? false {
        takePipeData(block.slice(place.start, place.length), read.identifier, from: .toClient, header)
      } else if header.status == 0, place.length > 0,
        let content = content(of: read, start: place.start, length: place.length, header)
      {
        content.transaction.take(block.slice(content.start, content.length), at: content.offset)
      }
    case SMB1Command.writeAndX, SMB1Command.write: break
    case SMB1Command.transaction:
      guard let identifier = pipesInTransactions.remove(header.messageID) else { break }
      words.skip(12)
      let length = Int(words.u16())
      let offset = Int(words.u16())
      takePipeData(block.slice(offset, length), identifier, from: .toClient, header)
    default: break
    }
    awaiting(header)?.answer(header)
  }

  // MARK: content

  func content1(in head: RawSpan, _ header: SMBHeader) -> SMBContent? {
    guard !(trees[header.treeKey]?.isPipe ?? false), let block = SMB1Block(head, at: SMBHeader.length1) else {
      return nil
    }
    // A command that another one is chained to must be whole.
    if SMB1Command.isChained(header.command), block.words.byteCount > 0, block.words.byte(at: 0) != 0xFF { return nil }
    if !header.isResponse, header.command == SMB1Command.writeAndX {
      return SMB1Write(header, block).flatMap { content1(header, $0) }
    }
    guard header.isResponse, header.command == SMB1Command.readAndX, header.status == 0,
      let place = SMB1Write.content(ofRead: block), let read = reads.remove(header.messageID)
    else { return nil }
    return content(of: read, start: place.start, length: place.length, header)
  }

  private func content1(_ header: SMBHeader, _ write: SMB1Write) -> SMBContent? {
    guard let transaction = fileTransaction(write.identifier, from: .toServer, header) else { return nil }
    return SMBContent(transaction: transaction, start: write.start, length: write.length, offset: write.offset)
  }
}

/// A command's words and bytes (MS-CIFS 2.2.3.2), as far as they have come.
struct SMB1Block: ~Escapable {
  let message: RawSpan
  let words: RawSpan
  let bytes: RawSpan
  /// Where the bytes begin in the message.
  let bytesOffset: Int

  @_lifetime(copy message)
  init?(_ message: RawSpan, at offset: Int) {
    guard offset >= 0, offset < message.byteCount else { return nil }
    let wordBytes = Int(message.byte(at: offset)) * 2
    let start = offset + 1
    guard start + wordBytes <= message.byteCount else { return nil }
    self.message = message
    words = message.extracting(start..<(start + wordBytes))
    bytesOffset = min(message.byteCount, start + wordBytes + 2)
    bytes = message.extracting(bytesOffset...)
  }

  /// Part of the message.
  @_lifetime(copy self)
  func slice(_ offset: Int, _ length: Int) -> RawSpan {
    let start = min(max(0, offset), message.byteCount)
    return message.extracting(start..<min(message.byteCount, start + max(0, length)))
  }
}

/// Reads the texts in a command's bytes.
struct SMB1Text: ~Escapable {
  private let bytes: RawSpan
  /// Where the bytes begin in the message: UTF-16 is aligned there.
  private let base: Int
  private var offset: Int
  var isUnicode: Bool

  @_lifetime(copy block)
  init(_ block: borrowing SMB1Block, isUnicode: Bool, at offset: Int = 0) {
    bytes = block.bytes
    base = block.bytesOffset
    self.isUnicode = isUnicode
    self.offset = min(max(0, offset), block.bytes.byteCount)
  }

  /// A text that a zero ends, or that has a known length in bytes; as UTF-8.
  @_lifetime(self: copy self)
  mutating func next(_ length: Int? = nil) -> [UInt8] {
    if isUnicode && (base + offset) % 2 != 0 && offset < bytes.byteCount { offset += 1 }
    let start = offset
    let limit = length.map { min(bytes.byteCount, start + $0) } ?? bytes.byteCount
    var end = start
    let width = isUnicode ? 2 : 1
    while end + width <= limit {
      if bytes.byte(at: end) == 0 && (width == 1 || bytes.byte(at: end + 1) == 0) { break }
      end += width
    }
    offset = min(bytes.byteCount, end + width)
    let text = bytes.extracting(start..<min(end, limit))
    return isUnicode ? UTF16Text.utf8(text) : text.array
  }
}

/// The fields of a write request (MS-SMB 2.2.4.3, MS-CIFS 2.2.4.12).
struct SMB1Write {
  /// Of the content, in the message.
  var start: Int
  var length: Int
  /// In the file.
  var offset: UInt64
  var identifier: [UInt8]

  init?(_ header: SMBHeader, _ block: borrowing SMB1Block) {
    var words = FieldReader(block.words)
    if header.command == SMB1Command.write {
      identifier = words.bytes(2).array
      length = Int(words.u16())
      offset = UInt64(words.u32())
      // A format byte and the length once more.
      start = block.bytesOffset + 3
    } else {
      words.skip(4)
      identifier = words.bytes(2).array
      offset = UInt64(words.u32())
      words.skip(8)
      let high = Int(words.u16())
      length = high << 16 | Int(words.u16())
      start = Int(words.u16())
      if words.left >= 4 { offset |= UInt64(words.u32()) << 32 }
    }
    if words.isShort { return nil }
  }

  /// Where the content of a read's response is.
  static func content(ofRead block: borrowing SMB1Block) -> (start: Int, length: Int)? {
    var words = FieldReader(block.words, at: 10)
    let length = Int(words.u16())
    let start = Int(words.u16())
    let high = Int(words.u16())
    return words.isShort ? nil : (start, high << 16 | length)
  }
}
