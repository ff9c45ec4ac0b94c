internal import AllyPacket

/// DHCP for IPv4 (RFC 2131, RFC 2132): each datagram is a transaction.
final class DHCPParser: MessageParser {
  static var applicationProtocol: ApplicationProtocol { .dhcp }
  static var recordName: StaticString { "dhcp" }
  static var recordKind: RecordKinds { .dhcp }
  static var transports: [UInt8] { [IPProtocolNumber.udp] }
  static let eventNames: [StaticString] = DHCPEvent.allCases.map(\.name)

  var list: TransactionList<DHCPTransaction>

  init(limits: ApplicationLimits, transport: UInt8) { list = TransactionList(limits: limits) }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? { nil }

  /// The cookie behind a header that makes sense.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    guard let operation = Window<1>(start, at: 0), operation.u8(0) == 1 || operation.u8(0) == 2,
      let cookie = Window<4>(start, at: 236)
    else { return .no }
    return cookie.u32(0) == DHCPMessage.cookie ? .yes : .no
  }

  func receive(_ data: RawSpan, from side: FlowSide) {
    var bytes: [UInt8] = []
    bytes.append(data)
    guard let message = DHCPMessage(bytes) else { return }
    let transaction = list.begin { DHCPTransaction(number: $0, side: side, message: message) }
    if message.hasMalformedOptions { transaction?.note(.malformedOptions) }
    if message.hasTruncatedOptions { transaction?.note(.truncatedOptions) }
  }
}

/// What is odd about a message. The names are those that rules ask for as `app-layer-event:dhcp.NAME`.
enum DHCPEvent: UInt8, CaseIterable, Sendable {
  case truncatedOptions, malformedOptions

  var name: StaticString { self == .truncatedOptions ? "truncated_options" : "malformed_options" }
}

/// A message, read once.
struct DHCPMessage {
  static var cookie: UInt32 { 0x6382_5363 }

  var isRequest: Bool
  var identifier: UInt32
  var client: ArraySlice<UInt8>
  var assigned: ArraySlice<UInt8>
  var nextServer: ArraySlice<UInt8>
  var relay: ArraySlice<UInt8>
  var hardware: ArraySlice<UInt8>
  var options: [(code: UInt8, data: ArraySlice<UInt8>)] = []
  var hasMalformedOptions = false
  var hasTruncatedOptions = false

  /// - Returns: nil without a header and the cookie.
  init?(_ bytes: [UInt8]) {
    var reader = ByteReader(bytes)
    guard let operation = reader.u8(), reader.skip(1), let length = reader.u8(), reader.skip(1),
      let identifier = reader.u32(), reader.skip(4), let client = reader.take(4), let assigned = reader.take(4),
      let nextServer = reader.take(4), let relay = reader.take(4), let hardware = reader.take(16), reader.skip(192),
      reader.u32() == DHCPMessage.cookie
    else { return nil }
    isRequest = operation == 1
    self.identifier = identifier
    (self.client, self.assigned, self.nextServer, self.relay) = (client, assigned, nextServer, relay)
    self.hardware = hardware.prefix(Int(length))
    while let code = reader.u8(), code != 255 {
      if code == 0 { continue }
      guard let data = reader.vector8() else {
        hasTruncatedOptions = true
        return
      }
      if [51, 58, 59].contains(code) && data.count != 4 || code == 61 && data.count < 2 {
        hasMalformedOptions = true
        return
      }
      options.append((code, data))
    }
  }

  /// The first option of a code.
  func option(_ code: UInt8) -> ArraySlice<UInt8>? { options.first { $0.code == code }?.data }

  func number(_ code: UInt8) -> UInt32? {
    guard let data = option(code), data.count == 4 else { return nil }
    return data.reduce(0) { $0 << 8 | UInt32($1) }
  }
}

/// A message.
final class DHCPTransaction: MessageTransaction {
  let number: UInt64
  let side: FlowSide
  private let message: DHCPMessage
  private(set) var events = ApplicationEvents()
  let inspection = TransactionInspection()

  init(number: UInt64, side: FlowSide, message: DHCPMessage) {
    self.number = number
    self.side = side
    self.message = message
  }

  func note(_ event: DHCPEvent) { events.insert(event.rawValue) }

  func meets(_ number: ApplicationNumber, _ test: NumberTest, from side: FlowSide) -> Bool {
    guard side == self.side else { return false }
    let value: UInt32? =
      switch number {
      case .dhcpLeaseTime: message.number(51)
      case .dhcpRenewalTime: message.number(58)
      case .dhcpRebindingTime: message.number(59)
      default: nil
      }
    return value.map { test.matches($0) } ?? false
  }

  // MARK: records

  var recordSide: FlowSide? { side }
  /// Unless more is asked for, only what gives an address to a client.
  func recordCount(_ options: RecordOptions) -> Int {
    options.extended.contains(.dhcp) || message.option(53)?.first == 5 ? 1 : 0
  }

  var recordsHaveNumber: Bool { false }
  /// Records of alerts say nothing about it.
  func writeAlertFields(to json: inout JSONWriter, _ options: RecordOptions) {}

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
    let isExtended = options.extended.contains(.dhcp)
    json.key("dhcp")
    json.beginObject()
    json.key("type")
    json.string(message.isRequest ? "request" : "reply")
    json.key("id")
    json.number(message.identifier)
    json.text("client_mac", TLSCertificate.digits(message.hardware, isUppercase: false))
    address("assigned_ip", message.assigned, to: &json)
    if isExtended {
      address("client_ip", message.client, to: &json)
      if !message.isRequest {
        address("relay_ip", message.relay, to: &json)
        address("next_server_ip", message.nextServer, to: &json)
      }
    }
    for option in message.options { write(option.code, option.data, isExtended, to: &json) }
    json.endObject()
  }

  private func write(_ code: UInt8, _ data: ArraySlice<UInt8>, _ isExtended: Bool, to json: inout JSONWriter) {
    switch code {
    case 12: if !data.isEmpty { json.text("hostname", Array(data)) }
    case 53:
      json.key("dhcp_type")
      let names: [StaticString] = [
        "unknown", "discover", "offer", "request", "decline", "ack", "nak", "release", "inform",
      ]
      json.string(names[data.first.map { $0 < 9 ? Int($0) : 0 } ?? 0])
    case 61: json.text("client_id", TLSCertificate.digits(data.dropFirst(), isUppercase: false))
    default: if isExtended { writeExtended(code, data, to: &json) }
    }
  }

  private func writeExtended(_ code: UInt8, _ data: ArraySlice<UInt8>, to json: inout JSONWriter) {
    switch code {
    case 1: address("subnet_mask", data, to: &json)
    case 3: addresses("routers", data, to: &json)
    case 6: addresses("dns_servers", data, to: &json)
    case 50: address("requested_ip", data, to: &json)
    case 51: number("lease_time", 51, to: &json)
    case 58: number("renewal_time", 58, to: &json)
    case 59: number("rebinding_time", 59, to: &json)
    case 60: json.text("vendor_class_identifier", Array(data))
    case 55:
      json.key("params")
      json.beginArray()
      for parameter in data {
        if let name = DHCPTransaction.parameters[parameter] { json.string(name) }
      }
      json.endArray()
    default: break
    }
  }

  private static let parameters: [UInt8: StaticString] = [
    1: "subnet_mask", 3: "router", 6: "dns_server", 15: "domain", 35: "arp_timeout", 42: "ntp_server",
    66: "tftp_server_name", 150: "tftp_server_ip",
  ]

  private func number(_ name: StaticString, _ code: UInt8, to json: inout JSONWriter) {
    guard let value = message.number(code) else { return }
    json.key(name)
    json.number(value)
  }

  private func address(_ name: StaticString, _ bytes: ArraySlice<UInt8>, to json: inout JSONWriter) {
    json.key(name)
    json.string { DHCPTransaction.append(bytes, to: &$0) }
  }

  private func addresses(_ name: StaticString, _ bytes: ArraySlice<UInt8>, to json: inout JSONWriter) {
    json.key(name)
    json.beginArray()
    var rest = bytes
    while rest.count >= 4 {
      let one = rest.prefix(4)
      json.string { DHCPTransaction.append(one, to: &$0) }
      rest = rest.dropFirst(4)
    }
    json.endArray()
  }

  private static func append(_ bytes: ArraySlice<UInt8>, to text: inout [UInt8]) {
    for (place, byte) in bytes.prefix(4).enumerated() {
      if place > 0 { text.append(UInt8(ascii: ".")) }
      text.appendDecimal(UInt64(byte))
    }
  }
}
