internal import AllyPacket

/// SNMP 1, 2c and 3 over UDP (RFC 1157, RFC 3416, RFC 3412).
final class SNMPParser: MessageParser {
  static var applicationProtocol: ApplicationProtocol { .snmp }
  static var recordName: StaticString { "snmp" }
  static var recordKind: RecordKinds { .snmp }
  static var transports: [UInt8] { [IPProtocolNumber.udp] }
  static let eventNames: [StaticString] = SNMPEvent.allCases.map(\.name)

  var list: TransactionList<SNMPTransaction>
  /// Of the first message: a flow does not change it.
  private var version: UInt32? = nil

  init(limits: ApplicationLimits, transport: UInt8) { list = TransactionList(limits: limits) }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? {
    buffer == .snmpCommunity || buffer == .snmpUser ? BufferAvailability(stage: TransactionStage.complete) : nil
  }

  /// A message that is sound.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    guard start.byteCount > 8, start.byte(at: 0) == DERTag.sequence else { return .no }
    var bytes: [UInt8] = []
    bytes.append(start)
    guard let message = SNMPMessage(bytes) else { return .no }
    return message.isMalformed ? .no : .yes
  }

  func receive(_ data: RawSpan, from side: FlowSide) {
    var bytes: [UInt8] = []
    bytes.append(data)
    let message = SNMPMessage(bytes)
    guard let transaction = list.begin({ SNMPTransaction(number: $0, side: side, message: message) }) else { return }
    guard let message, !message.isMalformed else { return transaction.note(.malformedData) }
    if let version, version != message.version { transaction.note(.versionMismatch) }
    version = version ?? message.version
    if message.hasUnknownSecurity { transaction.note(.unknownSecurityModel) }
  }
}

/// What is odd about a message. The names are those that rules ask for as `app-layer-event:snmp.NAME`.
enum SNMPEvent: UInt8, CaseIterable, Sendable {
  case malformedData, unknownSecurityModel, versionMismatch

  var name: StaticString {
    switch self {
    case .malformedData: "malformed_data"
    case .unknownSecurityModel: "unknown_security_model"
    case .versionMismatch: "version_mismatch"
    }
  }
}

/// A message, read once.
struct SNMPMessage {
  /// 1, 2 or 3.
  var version: UInt32
  var community: ArraySlice<UInt8>? = nil
  var user: ArraySlice<UInt8>? = nil
  /// The number behind the context tag; nil when it is encrypted.
  var kind: UInt8? = nil
  var isEncrypted = false
  var error: Int64 = 0
  /// Object identifiers.
  var variables: [ArraySlice<UInt8>] = []
  var trap: (enterprise: ArraySlice<UInt8>, address: ArraySlice<UInt8>, type: Int64)? = nil
  var hasUnknownSecurity = false
  private(set) var isMalformed = false

  /// Variables of one message that are read at most.
  private static var mostVariables: Int { 256 }

  /// - Returns: nil when it does not even begin as one.
  init?(_ bytes: [UInt8]) {
    var outer = DERReader(bytes[...])
    guard var fields = outer.enter(DERTag.sequence), let number = fields.integer(), (0...3).contains(number) else {
      return nil
    }
    version = number == 0 ? 1 : number == 1 ? 2 : UInt32(number)
    if number == 3 {
      isMalformed = !readThird(&fields)
    } else {
      guard number != 2, let community = fields.octets() else {
        isMalformed = true
        return
      }
      self.community = community
      isMalformed = !readPDU(&fields)
    }
  }

  /// RFC 3412 §6.
  private mutating func readThird(_ fields: inout DERReader) -> Bool {
    guard var global = fields.enter(DERTag.sequence), global.integer() != nil, global.integer() != nil,
      let flags = global.octets()?.first, let model = global.integer(), let parameters = fields.octets()
    else { return false }
    if model == 3 {
      var security = DERReader(parameters)
      guard var user = security.enter(DERTag.sequence), user.octets() != nil, user.integer() != nil,
        user.integer() != nil, let name = user.octets()
      else { return false }
      self.user = name
    } else {
      hasUnknownSecurity = true
    }
    if flags & 2 != 0 {
      isEncrypted = true
      return fields.octets() != nil
    }
    guard var scoped = fields.enter(DERTag.sequence), scoped.octets() != nil, scoped.octets() != nil else {
      return false
    }
    return readPDU(&scoped)
  }

  private mutating func readPDU(_ fields: inout DERReader) -> Bool {
    guard let value = fields.next(), value.tag & 0xE0 == 0xA0, value.tag & 0x1F <= 8 else { return false }
    kind = value.tag & 0x1F
    var pdu = DERReader(value.content)
    if kind == 4 {
      guard let enterprise = pdu.next(DERTag.objectIdentifier)?.content, let address = pdu.next(0x40)?.content,
        let type = pdu.integer(), pdu.integer() != nil, pdu.next(0x43) != nil
      else { return false }
      trap = (enterprise, address, type)
    } else {
      guard pdu.integer() != nil, let error = pdu.integer(), pdu.integer() != nil else { return false }
      // A bulk request has other numbers there.
      if kind != 5 { self.error = error }
    }
    guard var list = pdu.enter(DERTag.sequence) else { return false }
    while !list.isEmpty, variables.count < SNMPMessage.mostVariables {
      guard var pair = list.enter(DERTag.sequence), let name = pair.next(DERTag.objectIdentifier)?.content else {
        return false
      }
      variables.append(name)
    }
    return true
  }
}

/// A message, whichever side sent it.
final class SNMPTransaction: MessageTransaction {
  let number: UInt64
  let side: FlowSide
  private let message: SNMPMessage?
  private(set) var events = ApplicationEvents()
  let inspection = TransactionInspection()

  init(number: UInt64, side: FlowSide, message: SNMPMessage?) {
    self.number = number
    self.side = side
    self.message = message
  }

  func note(_ event: SNMPEvent) { events.insert(event.rawValue) }

  func bytes(of buffer: InspectionBuffer, from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? {
    guard side == self.side, index == 0 else { return nil }
    return buffer == .snmpCommunity ? message?.community : buffer == .snmpUser ? message?.user : nil
  }

  func meets(_ number: ApplicationNumber, _ test: NumberTest, from side: FlowSide) -> Bool {
    guard side == self.side, let message else { return false }
    switch number {
    case .snmpVersion: return test.matches(message.version)
    case .snmpPDUType: return message.kind.map { test.matches(UInt32($0)) } ?? false
    default: return false
    }
  }

  // MARK: records

  var recordSide: FlowSide? { side }
  func recordCount(_ options: RecordOptions) -> Int { message == nil ? 0 : 1 }

  var recordsHaveNumber: Bool { false }

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("snmp")
    json.beginObject()
    if let message { write(message, to: &json) }
    json.endObject()
  }

  private func write(_ message: SNMPMessage, to json: inout JSONWriter) {
    json.key("version")
    json.number(message.version)
    if message.isEncrypted {
      json.key("pdu_type")
      json.string("encrypted")
    } else if let kind = message.kind {
      json.key("pdu_type")
      json.string(SNMPTransaction.kinds[Int(min(kind, 8))])
      if message.error != 0 {
        json.key("error")
        json.string(SNMPTransaction.error(message.error))
      }
      if let trap = message.trap {
        json.key("trap_type")
        json.string(SNMPTransaction.trap(trap.type))
        json.key("trap_oid")
        json.string { DistinguishedName.appendDotted(trap.enterprise, to: &$0) }
        json.key("trap_address")
        json.string { text in
          for (place, byte) in trap.address.prefix(4).enumerated() {
            if place > 0 { text.append(UInt8(ascii: ".")) }
            text.appendDecimal(UInt64(byte))
          }
        }
      }
      if !message.variables.isEmpty {
        json.key("vars")
        json.beginArray()
        for name in message.variables { json.string { DistinguishedName.appendDotted(name, to: &$0) } }
        json.endArray()
      }
    }
    for (name, text) in [("community" as StaticString, message.community), ("usm", message.user)] {
      guard let text, !message.isEncrypted else { continue }
      json.key(name)
      json.text(text)
    }
  }

  private static let kinds: [StaticString] = [
    "get_request", "get_next_request", "response", "set_request", "trap_v1", "get_bulk_request", "inform_request",
    "trap_v2", "report",
  ]

  private static func error(_ number: Int64) -> String {
    let names = [
      "NoError", "TooBig", "NoSuchName", "BadValue", "ReadOnly", "GenErr", "NoAccess", "WrongType", "WrongLength",
      "WrongEncoding", "WrongValue", "NoCreation", "InconsistentValue", "ResourceUnavailable", "CommitFailed",
      "UndoFailed", "AuthorizationError", "NotWritable", "InconsistentName",
    ]
    return number >= 0 && number < names.count ? names[Int(number)] : "ErrorStatus(\(number))"
  }

  private static func trap(_ number: Int64) -> String {
    let names = [
      "ColdStart", "WarmStart", "LinkDown", "LinkUp", "AuthenticationFailure", "EgpNeighborLoss", "EnterpriseSpecific",
    ]
    return number >= 0 && number < names.count ? names[Int(number)] : "TrapType(\(number))"
  }
}
