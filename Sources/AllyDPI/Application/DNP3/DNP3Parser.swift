internal import AllyPacket

/// DNP3 over TCP (IEEE 1815): link frames with their checksums, fragments put together, and application messages, each a
/// transaction of its own.
final class DNP3Parser: ApplicationParser {
  static var applicationProtocol: ApplicationProtocol { .dnp3 }
  static var recordName: StaticString { "dnp3" }
  static var recordKind: RecordKinds { .dnp3 }
  static var transports: [UInt8] { [IPProtocolNumber.tcp] }
  static var capitalizesEvents: Bool { true }
  static let eventNames: [StaticString] = DNP3Event.allCases.map(\.name)

  /// Bytes of a message that is put together.
  private static var largestMessage: Int { 65_536 }

  private let limits: ApplicationLimits
  private var transactions: [DNP3Transaction] = []
  private var transactionsBegun: UInt64 = 0
  private var toServer = Reading()
  private var toClient = Reading()
  var isLost: Bool { toServer.isLost || toClient.isLost }

  /// Where one side's stream is.
  private struct Reading {
    /// The frame so far.
    var frame: [UInt8] = []
    /// The message so far, and the number of the segment that comes next.
    var message: [UInt8] = []
    var nextSegment: UInt8? = nil
    var isLost = false
  }

  init(limits: ApplicationLimits, transport: UInt8) { self.limits = limits }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? {
    buffer == .dnp3Data ? BufferAvailability(stage: TransactionStage.complete) : nil
  }

  /// A link header whose checksum is right.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    guard start.byteCount >= 2 else { return start.byteCount == 1 && start.byte(at: 0) != 0x05 ? .no : .needsMore }
    guard start.byte(at: 0) == 0x05, start.byte(at: 1) == 0x64 else { return .no }
    guard start.byteCount >= DNP3Link.headerLength else { return .needsMore }
    var header: [UInt8] = []
    header.append(start.extracting(0..<DNP3Link.headerLength))
    return header[2] >= 5 && DNP3Link.hasChecksum(header[...]) ? .yes : .no
  }

  // MARK: data

  func receive(_ data: RawSpan, from side: FlowSide) {
    if side == .toServer { read(data, &toServer, side) } else { read(data, &toClient, side) }
  }

  private func read(_ data: RawSpan, _ reading: inout Reading, _ side: FlowSide) {
    var offset = 0
    while offset < data.byteCount, !reading.isLost {
      let wanted = reading.frame.count < 3 ? 3 : DNP3Link.frameLength(reading.frame[2])
      let count = min(wanted - reading.frame.count, data.byteCount - offset)
      reading.frame.append(data.extracting(offset..<(offset + count)))
      offset += count
      guard reading.frame.count == wanted, wanted > 3 else {
        if reading.frame.count == 3, reading.frame[2] < 5 {
          begin(side)?.note(.lengthTooSmall)
          reading.isLost = true
        }
        continue
      }
      take(&reading, side)
      reading.frame.removeAll(keepingCapacity: true)
    }
  }

  /// A frame is there as a whole.
  private func take(_ reading: inout Reading, _ side: FlowSide) {
    let frame = reading.frame
    guard frame[0] == 0x05, frame[1] == 0x64, DNP3Link.hasChecksum(frame[..<DNP3Link.headerLength]) else {
      begin(side)?.note(.badLinkChecksum)
      reading.isLost = true
      return
    }
    let control = frame[3]
    // Only user data, confirmed or not, carries messages (IEEE 1815 table 9-1).
    guard control & 0x40 != 0, control & 0x0F == 3 || control & 0x0F == 4, frame[2] > 5 else { return }
    guard let data = DNP3Link.userData(frame) else {
      begin(side)?.note(.badTransportChecksum)
      return
    }
    guard let transport = data.first else { return }
    let segment = transport & 0x3F
    if transport & 0x40 != 0 {
      reading.message.removeAll(keepingCapacity: true)
    } else if reading.nextSegment != segment {
      reading.nextSegment = nil
      return
    }
    guard reading.message.count + data.count <= DNP3Parser.largestMessage else {
      reading.nextSegment = nil
      return
    }
    reading.message.append(contentsOf: data.dropFirst())
    reading.nextSegment = (segment &+ 1) & 0x3F
    guard transport & 0x80 != 0 else { return }
    reading.nextSegment = nil
    // What confirms a message says nothing itself.
    if reading.message.count > 1 && reading.message[1] == 0 { return }
    begin(side)?.read(reading.message, link: frame)
  }

  private func begin(_ side: FlowSide) -> DNP3Transaction? {
    guard transactions.count < limits.transactions else {
      transactions.last?.note(.flooded)
      return nil
    }
    let transaction = DNP3Transaction(number: transactionsBegun, side: side)
    transactionsBegun += 1
    transactions.append(transaction)
    return transaction
  }

  func skip(_ count: Int, from side: FlowSide) {
    if side == .toServer { toServer.isLost = true } else { toClient.isLost = true }
  }

  func close(_ side: FlowSide) {}

  var transactionCount: Int { transactions.count }
  func transaction(at index: Int) -> any ApplicationTransaction { transactions[index] }
  func removeTransaction(at index: Int) { transactions.remove(at: index) }
}

/// Frames of the data link layer (IEEE 1815 §9.2): a header of 8 bytes, then blocks of up to 16, each with a checksum
/// behind it.
enum DNP3Link {
  static var headerLength: Int { 10 }

  /// - Parameter length: the header's: what it counts are the 5 bytes behind it, and the user data.
  static func frameLength(_ length: UInt8) -> Int {
    let data = max(0, Int(length) - 5)
    return headerLength + data + (data + 15) / 16 * 2
  }

  /// The user data without checksums; nil when one of them is wrong.
  static func userData(_ frame: [UInt8]) -> [UInt8]? {
    var data: [UInt8] = []
    var rest = frame[headerLength...]
    while !rest.isEmpty {
      let block = rest.prefix(18)
      guard hasChecksum(block) else { return nil }
      data.append(contentsOf: block.dropLast(2))
      rest = rest.dropFirst(18)
    }
    return data
  }

  /// Whether the last two bytes are the checksum of those before them.
  static func hasChecksum(_ block: ArraySlice<UInt8>) -> Bool {
    guard block.count > 2 else { return false }
    var sum: UInt16 = 0
    for byte in block.dropLast(2) {
      sum ^= UInt16(byte)
      for _ in 0..<8 { sum = sum & 1 != 0 ? sum >> 1 ^ 0xA6BC : sum >> 1 }
    }
    sum = ~sum
    return block[block.endIndex - 2] == UInt8(sum & 0xFF) && block[block.endIndex - 1] == UInt8(sum >> 8)
  }
}

/// What is odd about a message. The names are those that rules ask for as `app-layer-event:dnp3.NAME`.
enum DNP3Event: UInt8, CaseIterable, Sendable {
  case flooded, lengthTooSmall, badLinkChecksum, badTransportChecksum, unknownObject

  var name: StaticString {
    switch self {
    case .flooded: "flooded"
    case .lengthTooSmall: "len_too_small"
    case .badLinkChecksum: "bad_link_crc"
    case .badTransportChecksum: "bad_transport_crc"
    case .unknownObject: "unknown_object"
    }
  }
}
