internal import AllyPacket

/// Kerberos 5 over UDP and TCP (RFC 4120): each message is a transaction.
final class KerberosParser: MessageParser {
  static var applicationProtocol: ApplicationProtocol { .krb5 }
  static var recordName: StaticString { "krb5" }
  static var recordKind: RecordKinds { .krb5 }
  static var transports: [UInt8] { [IPProtocolNumber.udp, IPProtocolNumber.tcp] }
  static let eventNames: [StaticString] = KerberosEvent.allCases.map(\.name)

  var list: TransactionList<KerberosTransaction>
  private let limits: ApplicationLimits
  private let isStream: Bool
  /// What was asked for last: an error does not say.
  private var lastRequest: UInt8? = nil
  private var toServer = Reading()
  private var toClient = Reading()
  var isLost: Bool { toServer.isLost || toClient.isLost }

  /// A message over TCP so far, with its length before it (RFC 4120 §7.2.2).
  private struct Reading {
    var pending: [UInt8] = []
    var isLost = false
  }

  init(limits: ApplicationLimits, transport: UInt8) {
    self.limits = limits
    isStream = transport == IPProtocolNumber.tcp
    list = TransactionList(limits: limits)
  }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? {
    side == .toClient && (buffer == .krb5ClientName || buffer == .krb5ServerName)
      ? BufferAvailability(stage: TransactionStage.complete) : nil
  }

  /// A message of a known type whose version is 5.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    var bytes: [UInt8] = []
    bytes.append(start)
    var message = bytes[...]
    if transport == IPProtocolNumber.tcp {
      var reader = ByteReader(message)
      guard let length = reader.u32() else { return .needsMore }
      guard length > 10, length < 1 << 20 else { return .no }
      message = reader.rest
    }
    guard message.count >= 12 else { return transport == IPProtocolNumber.tcp ? .needsMore : .no }
    guard let tag = message.first, tag & 0xE0 == 0x60, KerberosMessage.names[tag & 0x1F] != nil else { return .no }
    // Behind tags and lengths: [0] or [1] with the version.
    var place = message.startIndex + 1
    for _ in 0..<2 {
      guard place < message.endIndex else { return .no }
      place += message[place] & 0x80 != 0 ? 1 + Int(message[place] & 0x7F) : 1
      guard place < message.endIndex else { return .no }
      if message[place] != DERTag.sequence { break }
      place += 1
    }
    let expected: [UInt8] = [3, 2, 1, 5]
    guard place + 5 <= message.endIndex, message[place] & 0xFE == 0xA0 else { return .no }
    return message[(place + 1)..<(place + 5)].elementsEqual(expected) ? .yes : .no
  }

  // MARK: data

  func receive(_ data: RawSpan, from side: FlowSide) {
    if !isStream {
      var bytes: [UInt8] = []
      bytes.append(data)
      take(bytes[...], side)
    } else if side == .toServer {
      read(data, &toServer, side)
    } else {
      read(data, &toClient, side)
    }
  }

  private func read(_ data: RawSpan, _ reading: inout Reading, _ side: FlowSide) {
    var offset = 0
    while offset < data.byteCount, !reading.isLost {
      var wanted = 4
      if reading.pending.count >= 4 {
        var reader = ByteReader(reading.pending)
        let length = Int(reader.u32() ?? 0)
        guard (1...limits.handshake).contains(length) else {
          // An empty message is none.
          if length == 0 { take([], side) }
          reading.isLost = true
          return
        }
        wanted += length
      }
      let count = min(wanted - reading.pending.count, data.byteCount - offset)
      reading.pending.append(data.extracting(offset..<(offset + count)))
      offset += count
      guard reading.pending.count == wanted, wanted > 4 else { continue }
      take(reading.pending[4...], side)
      reading.pending.removeAll(keepingCapacity: true)
    }
  }

  private func take(_ bytes: ArraySlice<UInt8>, _ side: FlowSide) {
    let isStream = isStream
    guard let message = KerberosMessage(bytes) else {
      list.begin { KerberosTransaction(number: $0, side: side, isStream: isStream, message: nil, request: nil) }?.note(
        .malformedData)
      return
    }
    if message.isRequest { lastRequest = message.type }
    let request = lastRequest
    let transaction = list.begin {
      KerberosTransaction(
        number: $0, side: side, isStream: isStream, message: message, request: request)
    }
    if let encryption = message.encryption, KerberosMessage.isWeak(encryption) { transaction?.note(.weakEncryption) }
  }

  func skip(_ count: Int, from side: FlowSide) {
    if side == .toServer { toServer.isLost = true } else { toClient.isLost = true }
  }
}

/// What is odd about a message. The names are those that rules ask for as `app-layer-event:krb5.NAME`.
enum KerberosEvent: UInt8, CaseIterable, Sendable {
  case malformedData, weakEncryption

  var name: StaticString { self == .malformedData ? "malformed_data" : "weak_encryption" }
}
