internal import AllyPacket

/// HTTP/2 (RFC 9113) from its first byte on: frames, compressed header fields, and a transaction for each stream, and
/// for each frame that belongs to none.
final class HTTP2Parser: ApplicationParser {
  static var applicationProtocol: ApplicationProtocol { .http2 }
  static var recordName: StaticString { "http2" }
  static var recordType: StaticString { "http" }
  static var recordKind: RecordKinds { .http2 }
  static var transports: [UInt8] { [IPProtocolNumber.tcp] }
  static let eventNames: [StaticString] = HTTP2Event.allCases.map(\.name)

  private static let preface = [UInt8]("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

  private let limits: ApplicationLimits
  private var transactions: [HTTP2Transaction] = []
  private var transactionsBegun: UInt64 = 0
  private var toServer = Reading()
  private var toClient = Reading()
  var isLost: Bool { toServer.isLost || toClient.isLost }

  /// Where one side's stream is.
  private struct Reading {
    var headerTable = HTTP2HeaderTable()
    /// The frame so far: its header, and its payload unless that is data.
    var pending: [UInt8] = []
    /// Bytes of data that have not come, and of padding behind them.
    var data = 0
    var padding = 0
    /// Bytes of a frame of no interest.
    var skipped = 0
    /// A header block that goes on in the next frame.
    var block: [UInt8] = []
    var hasBegun = false
    var isLost = false
  }

  private var filePolicy = FilePolicy()

  func useFiles(_ policy: FilePolicy) { filePolicy = policy }

  init(limits: ApplicationLimits, transport: UInt8) { self.limits = limits }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? {
    HTTP2Transaction.availability(of: buffer, from: side)
  }

  /// The client's preface; of a server a SETTINGS frame.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    if side == .toServer {
      for index in 0..<min(start.byteCount, preface.count) where start.byte(at: index) != preface[index] { return .no }
      return start.byteCount >= preface.count ? .yes : .needsMore
    }
    // What servers say first does not tell it from other protocols.
    return .no
  }

  // MARK: data

  func receive(_ data: RawSpan, from side: FlowSide) {
    if side == .toServer { read(data, &toServer, side) } else { read(data, &toClient, side) }
  }

  private func read(_ data: RawSpan, _ reading: inout Reading, _ side: FlowSide) {
    var offset = 0
    while offset < data.byteCount, !reading.isLost {
      let rest = data.byteCount - offset
      if reading.data > 0 {
        let count = min(reading.data, rest)
        stream(of: reading, side)?.append(data.extracting(offset..<(offset + count)), side, limits)
        reading.data -= count
        offset += count
        if reading.data == 0 { endData(&reading, side) }
      } else if reading.padding > 0 || reading.skipped > 0 {
        let count = min(reading.padding + reading.skipped, rest)
        let ofPadding = min(count, reading.padding)
        reading.padding -= ofPadding
        reading.skipped -= count - ofPadding
        offset += count
        if reading.padding == 0 && reading.skipped == 0 { reading.pending.removeAll(keepingCapacity: true) }
      } else {
        readFrame(data, &offset, &reading, side)
      }
    }
  }

  private func readFrame(_ data: RawSpan, _ offset: inout Int, _ reading: inout Reading, _ side: FlowSide) {
    if side == .toServer && !reading.hasBegun {
      take(HTTP2Parser.preface.count, data, &offset, &reading)
      guard reading.pending.count == HTTP2Parser.preface.count else { return }
      reading.hasBegun = true
      reading.isLost = reading.pending != HTTP2Parser.preface
      if reading.isLost { transactions.last?.note(.invalidClientMagic) }
      reading.pending.removeAll(keepingCapacity: true)
      return
    }
    take(9, data, &offset, &reading)
    guard reading.pending.count >= 9 else { return }
    let frame = HTTP2FrameHeader(reading.pending)
    guard frame.length <= 1 << 20 || frame.type == HTTP2FrameType.data else {
      begin(frame, side)?.note(.longFrameData)
      reading.isLost = true
      return
    }
    if frame.type == HTTP2FrameType.data {
      readData(frame, data, &offset, &reading, side)
      return
    }
    guard frame.type <= HTTP2FrameType.continuation, frame.length <= limits.handshake else {
      if frame.type > HTTP2FrameType.continuation { begin(frame, side)?.note(.invalidFrameHeader) }
      reading.skipped = frame.length
      if frame.length == 0 { reading.pending.removeAll(keepingCapacity: true) }
      return
    }
    take(9 + frame.length, data, &offset, &reading)
    guard reading.pending.count == 9 + frame.length else { return }
    let payload = Array(reading.pending[9...])
    take(frame, payload[...], &reading, side)
    reading.pending.removeAll(keepingCapacity: true)
  }

  private func take(_ wanted: Int, _ data: RawSpan, _ offset: inout Int, _ reading: inout Reading) {
    let count = min(wanted - reading.pending.count, data.byteCount - offset)
    guard count > 0 else { return }
    reading.pending.append(data.extracting(offset..<(offset + count)))
    offset += count
  }

  /// §6.1: what is padded has the padding's length in front.
  private func readData(
    _ frame: HTTP2FrameHeader, _ data: RawSpan, _ offset: inout Int, _ reading: inout Reading, _ side: FlowSide
  ) {
    let isPadded = frame.flags & HTTP2FrameHeader.padded != 0 && frame.length > 0
    if isPadded {
      take(10, data, &offset, &reading)
      guard reading.pending.count == 10 else { return }
    }
    let padding = isPadded ? min(Int(reading.pending[9]), frame.length - 1) : 0
    reading.padding = padding
    reading.data = frame.length - padding - (isPadded ? 1 : 0)
    begin(frame, side)?.note(frame: frame.type, side)
    if reading.data == 0 { endData(&reading, side) }
  }

  private func endData(_ reading: inout Reading, _ side: FlowSide) {
    let frame = HTTP2FrameHeader(reading.pending)
    if frame.flags & HTTP2FrameHeader.endStream != 0 { stream(of: reading, side)?.end(side) }
    if reading.padding == 0 { reading.pending.removeAll(keepingCapacity: true) }
  }

  private func stream(of reading: Reading, _ side: FlowSide) -> HTTP2Transaction? {
    reading.pending.count < 9 ? nil : transaction(ofStream: HTTP2FrameHeader(reading.pending).stream)
  }

  /// Any frame but data.
  private func take(
    _ frame: HTTP2FrameHeader, _ payload: ArraySlice<UInt8>, _ reading: inout Reading, _ side: FlowSide
  ) {
    guard let transaction = begin(frame, side) else { return }
    transaction.note(frame: frame.type, side)
    var reader = ByteReader(payload)
    switch frame.type {
    case HTTP2FrameType.headers:
      guard let block = frame.unpadded(&reader) else { return transaction.note(.invalidFrameData) }
      var rest = ByteReader(block)
      if frame.flags & HTTP2FrameHeader.priority != 0 {
        guard rest.skip(4), let weight = rest.u8() else { return transaction.note(.invalidFrameData) }
        transaction.note(priority: weight, side)
      }
      take(block: rest.rest, frame, transaction, &reading, side)
      if frame.flags & HTTP2FrameHeader.endStream != 0 { transaction.endsWithHeaders(side) }
    case HTTP2FrameType.continuation: take(block: payload, frame, transaction, &reading, side)
    case HTTP2FrameType.pushPromise:
      guard let block = frame.unpadded(&reader) else { return transaction.note(.invalidFrameData) }
      take(block: block.dropFirst(4), frame, transaction, &reading, side)
    case HTTP2FrameType.priority:
      guard reader.skip(4), let weight = reader.u8() else { return transaction.note(.invalidFrameLength) }
      transaction.note(priority: weight, side)
    case HTTP2FrameType.reset:
      guard let code = reader.u32() else { return transaction.note(.invalidFrameLength) }
      transaction.note(error: code, side)
      transaction.end(.toServer)
      transaction.end(.toClient)
    case HTTP2FrameType.settings:
      guard frame.length % 6 == 0 else { return transaction.note(.invalidFrameLength) }
      while let identifier = reader.u16(), let value = reader.u32() {
        transaction.note(setting: identifier, value, side)
      }
    case HTTP2FrameType.goAway:
      guard reader.skip(4), let code = reader.u32() else { return transaction.note(.invalidFrameLength) }
      transaction.note(error: code, side)
    case HTTP2FrameType.windowUpdate:
      guard let size = reader.u32() else { return transaction.note(.invalidFrameLength) }
      transaction.note(window: size & 0x7FFF_FFFF, side)
    default: break
    }
  }

  /// A piece of a header block; it can be read when all pieces are there (§4.3).
  private func take(
    block: ArraySlice<UInt8>, _ frame: HTTP2FrameHeader, _ transaction: HTTP2Transaction, _ reading: inout Reading,
    _ side: FlowSide
  ) {
    guard reading.block.count + block.count <= limits.handshake else {
      transaction.note(.reassemblyLimitReached)
      reading.block.removeAll()
      return
    }
    reading.block.append(contentsOf: block)
    guard frame.flags & HTTP2FrameHeader.endHeaders != 0 else { return }
    var fields: [HTTP2HeaderTable.Field] = []
    do throws(HTTP2HeaderTable.Problem) {
      fields = try reading.headerTable.decode(reading.block[...], limits: limits)
    } catch {
      transaction.note(error == .integerOverflow ? .headerIntegerOverflow : .invalidHeader)
    }
    if reading.headerTable.hasMore { transaction.note(.extraHeaderData) }
    for update in reading.headerTable.updates { transaction.note(update: update.size, before: update.place, side) }
    // What a server promises is the request for another stream.
    if frame.type != HTTP2FrameType.pushPromise && !fields.isEmpty { transaction.take(fields, side, limits) }
    reading.block.removeAll(keepingCapacity: true)
  }

  // MARK: transactions

  private func transaction(ofStream stream: UInt32) -> HTTP2Transaction? {
    stream == 0 ? nil : transactions.last { $0.stream == stream }
  }

  /// The stream's transaction; one of its own for a frame of no stream.
  private func begin(_ frame: HTTP2FrameHeader, _ side: FlowSide) -> HTTP2Transaction? {
    if let known = transaction(ofStream: frame.stream) {
      // For a while, a stream that is over may still be reset, and told of windows and priorities.
      let mayCome = [HTTP2FrameType.reset, HTTP2FrameType.windowUpdate, HTTP2FrameType.priority].contains(frame.type)
      if known.isOver && !mayCome { known.note(.streamIDReuse) }
      return known
    }
    guard transactions.count < limits.transactions else {
      transactions.last?.note(.tooManyStreams)
      return nil
    }
    let transaction = HTTP2Transaction(number: transactionsBegun, stream: frame.stream, files: filePolicy)
    transactionsBegun += 1
    transactions.append(transaction)
    return transaction
  }

  func skip(_ count: Int, from side: FlowSide) {
    if side == .toServer { toServer.isLost = true } else { toClient.isLost = true }
    for transaction in transactions { transaction.markGap(side) }
  }

  func close(_ side: FlowSide) {
    for transaction in transactions { transaction.end(side) }
  }

  var transactionCount: Int { transactions.count }
  func transaction(at index: Int) -> any ApplicationTransaction { transactions[index] }
  func removeTransaction(at index: Int) { transactions.remove(at: index) }
}

/// A frame's header (§4.1).
struct HTTP2FrameHeader {
  var length: Int
  var type: UInt8
  var flags: UInt8
  var stream: UInt32

  static var endStream: UInt8 { 0x01 }
  static var endHeaders: UInt8 { 0x04 }
  static var padded: UInt8 { 0x08 }
  static var priority: UInt8 { 0x20 }

  /// - Parameter bytes: nine at least.
  init(_ bytes: [UInt8]) {
    var reader = ByteReader(bytes)
    length = Int(reader.u24() ?? 0)
    type = reader.u8() ?? 0
    flags = reader.u8() ?? 0
    stream = (reader.u32() ?? 0) & 0x7FFF_FFFF
  }

  /// The payload without padding; nil when there is more padding than payload.
  func unpadded(_ reader: inout ByteReader) -> ArraySlice<UInt8>? {
    guard flags & HTTP2FrameHeader.padded != 0 else { return reader.rest }
    guard let padding = reader.u8(), Int(padding) <= reader.count else { return nil }
    return reader.rest.dropLast(Int(padding))
  }
}

/// Types of frames (§6).
enum HTTP2FrameType {
  static var data: UInt8 { 0 }
  static var headers: UInt8 { 1 }
  static var priority: UInt8 { 2 }
  static var reset: UInt8 { 3 }
  static var settings: UInt8 { 4 }
  static var pushPromise: UInt8 { 5 }
  static var goAway: UInt8 { 7 }
  static var windowUpdate: UInt8 { 8 }
  static var continuation: UInt8 { 9 }
}

/// What is odd about a conversation. The names are those that rules ask for as `app-layer-event:http2.NAME`.
enum HTTP2Event: UInt8, CaseIterable, Sendable {
  case invalidFrameHeader, invalidFrameLength, longFrameData, invalidHeader, headerIntegerOverflow, tooManyStreams
  case failedDecompression, userInfoInURI, reassemblyLimitReached, authorityHostMismatch
  case invalidClientMagic, invalidFrameData, extraHeaderData, streamIDReuse, invalidRange
  /// Never: a connection that HTTP/1 upgrades is read from its own first frame on.
  case invalidHTTP1Settings

  var name: StaticString {
    switch self {
    case .invalidFrameHeader: "invalid_frame_header"
    case .invalidFrameLength: "invalid_frame_length"
    case .longFrameData: "long_frame_data"
    case .invalidHeader: "invalid_header"
    case .headerIntegerOverflow: "header_integer_overflow"
    case .tooManyStreams: "too_many_streams"
    case .failedDecompression: "failed_decompression"
    case .userInfoInURI: "userinfo_in_uri"
    case .reassemblyLimitReached: "reassembly_limit_reached"
    case .authorityHostMismatch: "authority_host_mismatch"
    case .invalidClientMagic: "invalid_client_magic"
    case .invalidFrameData: "invalid_frame_data"
    case .extraHeaderData: "extra_header_data"
    case .streamIDReuse: "stream_id_reuse"
    case .invalidRange: "invalid_range"
    case .invalidHTTP1Settings: "invalid_http1_settings"
    }
  }
}
