internal import AllyPacket

/// EtherNet/IP over TCP and UDP (CIP volume 2, chapter 2): one transaction for each message. There are no records of it.
final class ENIPParser: MessageParser {
  static var applicationProtocol: ApplicationProtocol { .enip }
  static var transports: [UInt8] { [IPProtocolNumber.tcp, IPProtocolNumber.udp] }
  static var recordName: StaticString { "enip" }
  static var recordKind: RecordKinds { [] }

  var list: TransactionList<ENIPTransaction>
  private let isStream: Bool
  private var toServer: [UInt8] = []
  private var toClient: [UInt8] = []
  /// Where the next message begins is not known.
  private(set) var isLost = false

  init(limits: ApplicationLimits, transport: UInt8) {
    list = TransactionList(limits: limits)
    isStream = transport == IPProtocolNumber.tcp
  }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? { nil }

  /// NOP, lists, sessions, data, status and cancellation (CIP volume 2, table 2-3.2).
  private static let commands: Set<UInt16> = [0, 0x04, 0x63, 0x64, 0x65, 0x66, 0x6F, 0x70, 0x72, 0x73]

  /// On its port alone: little in a message is always the same.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    guard serverPort == 44818 else { return .no }
    guard start.byteCount >= ENIPMessage.headerLength else {
      return transport == IPProtocolNumber.tcp ? .needsMore : .no
    }
    return commands.contains(UInt16(start.byte(at: 0)) | UInt16(start.byte(at: 1)) << 8) ? .yes : .no
  }

  func receive(_ data: RawSpan, from side: FlowSide) {
    if isLost { return }
    var pending: [UInt8] = []
    if side == .toServer { swap(&pending, &toServer) } else { swap(&pending, &toClient) }
    pending.append(data)
    var rest = pending[...]
    while let length = ENIPMessage.length(rest), rest.count >= length {
      let message = ENIPMessage(rest.prefix(length))
      _ = list.begin { ENIPTransaction(number: $0, side: side, message: message) }
      rest = rest.dropFirst(length)
    }
    // A datagram ends what is in it.
    pending.removeFirst(isStream ? pending.count - rest.count : pending.count)
    if side == .toServer { swap(&pending, &toServer) } else { swap(&pending, &toClient) }
  }

  func skip(_ count: Int, from side: FlowSide) { isLost = true }
}

/// A message.
final class ENIPTransaction: MessageTransaction {
  let number: UInt64
  private let side: FlowSide
  private let message: ENIPMessage
  var events: ApplicationEvents { ApplicationEvents() }
  let inspection = TransactionInspection()

  init(number: UInt64, side: FlowSide, message: ENIPMessage) {
    self.number = number
    self.side = side
    self.message = message
  }

  var inspectedSide: FlowSide? { side }

  func value(of number: ApplicationNumber) -> UInt32? { number == .enipCommand ? UInt32(message.command) : nil }

  func meets(_ condition: ApplicationCondition, from side: FlowSide, at time: UInt64) -> Bool {
    guard case .cipService(let service) = condition else { return false }
    return message.requests.contains { $0.matches(service) }
  }

  func recordCount(_ options: RecordOptions) -> Int { 0 }
  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {}
}
