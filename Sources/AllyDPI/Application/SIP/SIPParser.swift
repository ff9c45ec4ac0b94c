internal import AllyPacket

/// SIP over UDP (RFC 3261): the first line and the header of each message.
final class SIPParser: MessageParser {
  static var applicationProtocol: ApplicationProtocol { .sip }
  static var recordName: StaticString { "sip" }
  static var recordKind: RecordKinds { .sip }
  static var transports: [UInt8] { [IPProtocolNumber.udp] }
  static let eventNames: [StaticString] = SIPEvent.allCases.map(\.name)

  static let frameTypes: [StaticString] = [
    "pdu", "request.line", "request.headers", "request.body", "response.line", "response.headers", "response.body",
  ]

  var list: TransactionList<SIPTransaction>
  private var frames: FrameList?
  private let limits: ApplicationLimits

  init(limits: ApplicationLimits, transport: UInt8) {
    self.limits = limits
    list = TransactionList(limits: limits)
  }

  func useFrames(_ list: FrameList) { frames = list }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? {
    switch buffer {
    case .sipMethod, .sipURI, .sipRequestLine:
      side == .toServer ? BufferAvailability(stage: TransactionStage.complete) : nil
    case .sipStatusCode, .sipStatusMessage, .sipResponseLine:
      side == .toClient ? BufferAvailability(stage: TransactionStage.complete) : nil
    case .sipProtocol, .sipHeader, .sipBody: BufferAvailability(stage: TransactionStage.complete)
    default: nil
    }
  }

  private static let methods = [
    "REGISTER ", "INVITE ", "ACK ", "BYE ", "CANCEL ", "UPDATE ", "REFER ", "PRACK ", "SUBSCRIBE ", "NOTIFY ",
    "PUBLISH ", "MESSAGE ", "INFO ", "OPTIONS ",
  ].map { [UInt8]($0.utf8) }
  private static let version = [UInt8]("SIP/2.0".utf8)

  /// A method with SIP's version on its line, or a response of that version.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    var line: [UInt8] = []
    line.append(start.extracting(0..<(start.firstIndex(of: .lineFeed, from: 0) ?? start.byteCount)))
    if line.starts(with: version + [0x20]) { return .yes }
    guard methods.contains(where: { line.starts(with: $0) }) else { return .no }
    while line.last == .carriageReturn { line.removeLast() }
    return line.suffix(version.count).elementsEqual(version) ? .yes : .no
  }

  func receive(_ data: RawSpan, from side: FlowSide) {
    var bytes: [UInt8] = []
    bytes.append(data)
    // Empty lines between messages keep the way through firewalls open (RFC 5626 §3.5.1).
    if bytes.allSatisfy({ $0 == .lineFeed || $0 == .carriageReturn || $0 == 0 }) { return }
    let transaction = list.begin { SIPTransaction(number: $0, side: side) }
    transaction?.read(bytes)
    if let frames, let transaction { show(transaction.layout, data, frames, side) }
  }

  private func show(_ layout: SIPLayout, _ data: RawSpan, _ frames: FrameList, _ side: FlowSide) {
    frames.begin(0, side, at: 0, data, length: data.byteCount)
    let parts = [side == .toServer ? layout.line : 0..<0, layout.fields, layout.body]
    for (place, part) in parts.enumerated() where !part.isEmpty {
      let type = UInt8(place + (side == .toServer ? 1 : 4))
      frames.begin(type, side, at: part.lowerBound, data.extracting(part), length: part.count)
    }
  }
}

/// What is odd about a message. The names are those that rules ask for as `app-layer-event:sip.NAME`.
enum SIPEvent: UInt8, CaseIterable, Sendable {
  case incompleteData, invalidData

  var name: StaticString { self == .incompleteData ? "incomplete_data" : "invalid_data" }
}

/// Where the parts of a message are.
struct SIPLayout {
  /// With its line end.
  var line: Range<Int>
  /// Without the empty line behind them.
  var fields: Range<Int>
  var body: Range<Int>
}

/// A request or a response.
final class SIPTransaction: MessageTransaction {
  let number: UInt64
  let side: FlowSide
  private(set) var events = ApplicationEvents()
  let inspection = TransactionInspection()
  private var bytes: [UInt8] = []
  private var line: Range<Int> = 0..<0
  /// Method, target and version of a request; version, code and reason of a response.
  private var parts: [Range<Int>] = []
  private var header: Range<Int> = 0..<0

  init(number: UInt64, side: FlowSide) {
    self.number = number
    self.side = side
  }

  func read(_ bytes: [UInt8]) {
    self.bytes = bytes
    guard let feed = bytes.firstIndex(of: .lineFeed) else { return note(.incompleteData) }
    var end = feed
    while end > 0, bytes[end - 1] == .carriageReturn { end -= 1 }
    guard let first = bytes[..<end].firstIndex(of: 0x20),
      let second = bytes[(first + 1)..<end].firstIndex(of: 0x20)
    else { return note(.invalidData) }
    let isResponse = bytes.starts(with: [UInt8]("SIP/".utf8))
    guard isResponse == (side == .toClient), first > 0 else { return note(.invalidData) }
    line = 0..<end
    parts = [0..<first, (first + 1)..<second, (second + 1)..<end]
    header = (feed + 1)..<SIPTransaction.endOfHeader(bytes, from: feed + 1)
  }

  private static func endOfHeader(_ bytes: [UInt8], from start: Int) -> Int {
    var place = start
    while let feed = bytes[place...].firstIndex(of: .lineFeed) {
      let isEmpty = bytes[place..<feed].allSatisfy { $0 == .carriageReturn }
      place = feed + 1
      if isEmpty { return place }
    }
    return bytes.count
  }

  var layout: SIPLayout {
    var end = header.upperBound
    if !header.isEmpty, bytes[end - 1] == .lineFeed {
      var blank = end - 1
      while blank > header.lowerBound, bytes[blank - 1] == .carriageReturn { blank -= 1 }
      if blank == header.lowerBound || bytes[blank - 1] == .lineFeed { end = blank }
    }
    return SIPLayout(
      line: 0..<header.lowerBound, fields: header.lowerBound..<end,
      body: header.upperBound..<max(header.upperBound, bytes.count))
  }

  private func note(_ event: SIPEvent) { events.insert(event.rawValue) }

  /// What is no message has events only.
  var isRecordable: Bool { events.isEmpty }

  func bytes(of buffer: InspectionBuffer, from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? {
    guard side == self.side, index == 0, parts.count == 3 else { return nil }
    let isRequest = side == .toServer
    switch buffer {
    case .sipMethod where isRequest: return bytes[parts[0]]
    case .sipURI where isRequest: return bytes[parts[1]]
    case .sipProtocol: return bytes[isRequest ? parts[2] : parts[0]]
    case .sipRequestLine where isRequest: return bytes[line]
    case .sipStatusCode where !isRequest: return bytes[parts[1]]
    case .sipStatusMessage where !isRequest: return bytes[parts[2]]
    case .sipResponseLine where !isRequest: return bytes[line]
    case .sipHeader: return bytes[header]
    case .sipBody: return header.upperBound < bytes.count ? bytes[header.upperBound...] : nil
    default: return nil
    }
  }

  // MARK: records

  var recordSide: FlowSide? { side }
  func recordCount(_ options: RecordOptions) -> Int { parts.isEmpty ? 0 : 1 }

  var recordsHaveNumber: Bool { false }

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("sip")
    json.beginObject()
    if parts.count == 3 {
      let isRequest = side == .toServer
      let names: [StaticString] = isRequest ? ["method", "uri", "version"] : ["version", "code", "reason"]
      for (name, part) in zip(names, parts) {
        json.key(name)
        json.text(bytes[part])
      }
      json.key(isRequest ? "request_line" : "response_line")
      json.text(bytes[line])
    }
    json.endObject()
  }
}
