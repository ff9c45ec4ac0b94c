internal import AllyPacket

/// QUIC (RFC 9000) as far as anybody can read it: the Initial packets with the hellos, and those of Google's version before
/// it. Each packet that is looked at is a transaction.
final class QUICParser: ApplicationParser {
  static var applicationProtocol: ApplicationProtocol { .quic }
  static var recordName: StaticString { "quic" }
  static var standardPort: UInt16 { 443 }
  static var recordKind: RecordKinds { .quic }
  static var transports: [UInt8] { [IPProtocolNumber.udp] }
  static let eventNames: [StaticString] = QUICEvent.allCases.map(\.name)

  /// Bytes of the handshake's stream that are put together.
  private static var largestHello: Int { 65_536 }

  private let limits: ApplicationLimits
  private var transactions: [QUICTransaction] = []
  private var transactionsBegun: UInt64 = 0
  private var clientKeys: QUICKeys? = nil
  private var serverKeys: QUICKeys? = nil
  private var hasRetried = false
  private var toServer = Hello()
  private var toClient = Hello()

  /// What one side's CRYPTO frames brought.
  private struct Hello {
    var isDone = false
    var bytes: [UInt8] = []
    /// Which of the bytes are there, in order and apart from each other.
    var ranges: [Range<Int>] = []

    mutating func insert(_ data: ArraySlice<UInt8>, at offset: Int) {
      let range = offset..<(offset + data.count)
      if bytes.count < range.upperBound {
        bytes.append(contentsOf: [UInt8](repeating: 0, count: range.upperBound - bytes.count))
      }
      bytes.replaceSubrange(range, with: data)
      ranges.append(range)
      ranges.sort { $0.lowerBound < $1.lowerBound }
      var merged: [Range<Int>] = []
      for range in ranges {
        if let last = merged.last, range.lowerBound <= last.upperBound {
          merged[merged.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
        } else {
          merged.append(range)
        }
      }
      ranges = merged
    }

    /// The first handshake message, when all of it is there.
    var message: ArraySlice<UInt8>? {
      guard let first = ranges.first, first.lowerBound == 0, first.upperBound >= 4 else { return nil }
      let length = 4 + (Int(bytes[1]) << 16 | Int(bytes[2]) << 8 | Int(bytes[3]))
      return length <= first.upperBound ? bytes[..<length] : nil
    }
  }

  init(limits: ApplicationLimits, transport: UInt8) { self.limits = limits }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? {
    switch buffer {
    case .quicVersion: BufferAvailability(stage: TransactionStage.complete)
    case .quicServerName, .quicUserAgent, .quicCYUHash, .quicCYUString, .ja3Hash, .ja3String, .ja4Hash:
      side == .toServer ? BufferAvailability(stage: TransactionStage.complete) : nil
    case .ja3sHash, .ja3sString: side == .toClient ? BufferAvailability(stage: TransactionStage.complete) : nil
    default: nil
    }
  }

  /// A long header of a version that is known.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    guard start.byteCount >= 16 else { return .no }
    var bytes: [UInt8] = []
    bytes.append(start)
    guard let header = QUICHeader(bytes[...]) else { return .no }
    if header.kind == .short || header.kind == .versionNegotiation { return .no }
    return QUICVersion.isKnown(header.version) || serverPort == 443 ? .yes : .no
  }

  // MARK: data

  func receive(_ data: RawSpan, from side: FlowSide) {
    var bytes: [UInt8] = []
    bytes.append(data)
    var rest = bytes[...]
    while !rest.isEmpty {
      guard let header = QUICHeader(rest), !isDone(side), header.kind != .short else { return }
      let packet = rest.prefix(header.length + header.rest)
      rest = rest.dropFirst(packet.count)
      guard take(header, packet, side) else { return }
    }
  }

  private func isDone(_ side: FlowSide) -> Bool { side == .toServer ? toServer.isDone : toClient.isDone }

  /// - Returns: whether what follows in the datagram can be read.
  private func take(_ header: QUICHeader, _ packet: ArraySlice<UInt8>, _ side: FlowSide) -> Bool {
    guard let transaction = begin(header, side) else { return false }
    guard header.kind == .initial else {
      if header.kind == .retry, !hasRetried {
        // The client begins again, with other keys, and once only (RFC 9000 §17.2.5).
        hasRetried = true
        (clientKeys, serverKeys) = (nil, nil)
        (toServer, toClient) = (Hello(), Hello())
      }
      return true
    }
    if QUICVersion.isGoogle(header.version) {
      // Behind the packet number are 12 bytes that prove the hello is whole.
      GoogleHello.read(packet.dropFirst(header.length), into: transaction)
      return true
    }
    if clientKeys == nil, side == .toServer {
      clientKeys = QUICKeys(version: header.version, connection: header.destination, from: .toServer)
      serverKeys = QUICKeys(version: header.version, connection: header.destination, from: .toClient)
    }
    guard let keys = side == .toServer ? clientKeys : serverKeys else { return true }
    guard let frames = keys.open(packet, headerLength: header.length) else {
      transaction.note(.failedDecrypt)
      return false
    }
    if side == .toServer {
      read(frames, &toServer, transaction)
    } else {
      read(frames, &toClient, transaction)
    }
    return true
  }

  /// RFC 9000 §19: only CRYPTO frames are of interest.
  private func read(_ frames: [UInt8], _ hello: inout Hello, _ transaction: QUICTransaction) {
    var reader = ByteReader(frames)
    while let type = QUICHeader.variableNumber(&reader) {
      switch type {
      case 0, 1: continue
      case 2, 3:
        guard skipAcknowledgement(&reader, hasCounts: type == 3) else { return transaction.note(.errorOnData) }
      case 6:
        guard let offset = QUICHeader.variableNumber(&reader), let length = QUICHeader.variableNumber(&reader),
          let data = reader.take(Int(clamping: length))
        else { return transaction.note(.errorOnData) }
        guard offset <= UInt64(QUICParser.largestHello), Int(offset) + data.count <= QUICParser.largestHello else {
          return transaction.note(.cryptoFragmentTooLong)
        }
        hello.insert(data, at: Int(offset))
      case 0x1C, 0x1D:
        // The connection is closed; the rest is a reason.
        return
      default: return transaction.note(.errorOnData)
      }
    }
    guard !hello.isDone, let message = hello.message else { return }
    hello.isDone = true
    transaction.read(message)
  }

  private func skipAcknowledgement(_ reader: inout ByteReader, hasCounts: Bool) -> Bool {
    guard QUICHeader.variableNumber(&reader) != nil, QUICHeader.variableNumber(&reader) != nil,
      let ranges = QUICHeader.variableNumber(&reader), QUICHeader.variableNumber(&reader) != nil, ranges <= 1024
    else { return false }
    for _ in 0..<(Int(ranges) * 2 + (hasCounts ? 3 : 0)) where QUICHeader.variableNumber(&reader) == nil {
      return false
    }
    return true
  }

  private func begin(_ header: QUICHeader, _ side: FlowSide) -> QUICTransaction? {
    guard transactions.count < limits.transactions else { return nil }
    let transaction = QUICTransaction(number: transactionsBegun, side: side, version: header.version)
    transactionsBegun += 1
    transactions.append(transaction)
    return transaction
  }

  func skip(_ count: Int, from side: FlowSide) {}
  func close(_ side: FlowSide) {}

  var transactionCount: Int { transactions.count }
  func transaction(at index: Int) -> any ApplicationTransaction { transactions[index] }
  func removeTransaction(at index: Int) { transactions.remove(at: index) }
}

/// What is odd about a packet. The names are those that rules ask for as `app-layer-event:quic.NAME`.
enum QUICEvent: UInt8, CaseIterable, Sendable {
  case failedDecrypt, errorOnData, cryptoFragmentTooLong

  var name: StaticString {
    switch self {
    case .failedDecrypt: "failed_decrypt"
    case .errorOnData: "error_on_data"
    case .cryptoFragmentTooLong: "crypto_frag_too_long"
    }
  }
}

/// The hello of Google's QUIC: a message of tags and values in a STREAM frame.
enum GoogleHello {
  /// Tags of one message that are read at most.
  private static var most: Int { 256 }

  /// - Parameter rest: what follows the connection's identifiers.
  static func read(_ rest: ArraySlice<UInt8>, into transaction: QUICTransaction) {
    guard let start = find(rest) else { return }
    var reader = ByteReader(rest[start...])
    guard let name = reader.take(4), let count = reader.littleU16(), reader.skip(2), Int(count) <= most else { return }
    guard name.elementsEqual([UInt8]("CHLO".utf8)) else { return }
    var tags: [(name: [UInt8], end: Int)] = []
    for _ in 0..<count {
      guard let tag = reader.take(4), let end = reader.littleU32() else { return }
      tags.append((tag.filter { $0 != 0 }, Int(end)))
    }
    var begin = 0
    var names: [[UInt8]] = []
    for tag in tags {
      names.append(tag.name)
      guard tag.end >= begin, let value = reader.take(tag.end - begin) else { return }
      begin = tag.end
      if tag.name == [UInt8]("SNI".utf8) { transaction.serverName = Array(value) }
      if tag.name == [UInt8]("UAID".utf8) { transaction.userAgent = Array(value) }
    }
    transaction.cyu = Array(names.joined(separator: [UInt8(ascii: "-")]))
  }

  /// The message lies behind a number, a proof and a frame's header, whose lengths vary.
  private static func find(_ rest: ArraySlice<UInt8>) -> Int? {
    let name = [UInt8]("CHLO".utf8)
    guard rest.count >= 8 else { return nil }
    for start in rest.startIndex..<min(rest.startIndex + 64, rest.endIndex - 4)
    where rest[start..<(start + 4)].elementsEqual(name) {
      return start
    }
    return nil
  }
}
