/// A message to or from a key distribution centre (RFC 4120 §5), read once.
struct KerberosMessage {
  var type: UInt8
  var clientName: [ArraySlice<UInt8>] = []
  var serverName: [ArraySlice<UInt8>] = []
  var realm: ArraySlice<UInt8>? = nil
  /// Of what only the client can read.
  var encryption: Int32? = nil
  var ticketEncryption: Int32? = nil
  var error: Int32? = nil

  /// AS-REQ and TGS-REQ.
  var isRequest: Bool { type == 10 || type == 12 }

  /// - Returns: nil for what is malformed, and for what is no message of these types.
  init?(_ bytes: ArraySlice<UInt8>) {
    var outer = DERReader(bytes)
    guard let value = outer.next(), value.tag & 0xE0 == 0x60, KerberosMessage.names[value.tag & 0x1F] != nil else {
      return nil
    }
    type = value.tag & 0x1F
    var content = DERReader(value.content)
    guard var fields = content.enter(DERTag.sequence) else { return nil }
    switch type {
    case 10, 12:
      while let field = fields.next() {
        guard field.tag == DERTag.context(4) else { continue }
        var body = DERReader(field.content)
        guard var parts = body.enter(DERTag.sequence) else { return nil }
        readBody(&parts)
      }
    case 11, 13: readReply(&fields)
    case 30: readError(&fields)
    default: break
    }
  }

  /// KDC-REQ-BODY (§5.4.1).
  private mutating func readBody(_ fields: inout DERReader) {
    while let field = fields.next() {
      switch field.tag {
      case DERTag.context(1): clientName = KerberosMessage.name(field.content)
      case DERTag.context(2): realm = KerberosMessage.text(field.content)
      case DERTag.context(3): serverName = KerberosMessage.name(field.content)
      default: break
      }
    }
  }

  /// KDC-REP (§5.4.2).
  private mutating func readReply(_ fields: inout DERReader) {
    while let field = fields.next() {
      switch field.tag {
      case DERTag.context(3): realm = KerberosMessage.text(field.content)
      case DERTag.context(4): clientName = KerberosMessage.name(field.content)
      case DERTag.context(5): readTicket(field.content)
      case DERTag.context(6): encryption = KerberosMessage.encryption(field.content)
      default: break
      }
    }
  }

  /// §5.3.
  private mutating func readTicket(_ content: ArraySlice<UInt8>) {
    var outer = DERReader(content)
    guard var ticket = outer.enter(DERTag.application(1)), var fields = ticket.enter(DERTag.sequence) else { return }
    while let field = fields.next() {
      switch field.tag {
      case DERTag.context(2): serverName = KerberosMessage.name(field.content)
      case DERTag.context(3): ticketEncryption = KerberosMessage.encryption(field.content)
      default: break
      }
    }
  }

  /// KRB-ERROR (§5.9.1).
  private mutating func readError(_ fields: inout DERReader) {
    while let field = fields.next() {
      switch field.tag {
      case DERTag.context(6):
        var number = DERReader(field.content)
        error = number.integer().map { Int32(truncatingIfNeeded: $0) }
      case DERTag.context(7): realm = KerberosMessage.text(field.content)
      case DERTag.context(8): clientName = KerberosMessage.name(field.content)
      case DERTag.context(10): serverName = KerberosMessage.name(field.content)
      default: break
      }
    }
  }

  private static func text(_ content: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    var reader = DERReader(content)
    return reader.next(DERTag.generalString)?.content
  }

  /// PrincipalName (§5.2.2).
  private static func name(_ content: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
    var reader = DERReader(content)
    guard var fields = reader.enter(DERTag.sequence), fields.next(DERTag.context(0)) != nil,
      var list = fields.enter(DERTag.context(1)), var parts = list.enter(DERTag.sequence)
    else { return [] }
    var name: [ArraySlice<UInt8>] = []
    while name.count < 64, let part = parts.next() { name.append(part.content) }
    return name
  }

  /// EncryptedData (§5.2.9).
  private static func encryption(_ content: ArraySlice<UInt8>) -> Int32? {
    var reader = DERReader(content)
    guard var fields = reader.enter(DERTag.sequence), var type = fields.enter(DERTag.context(0)) else { return nil }
    return type.integer().map { Int32(truncatingIfNeeded: $0) }
  }

  static let names: [UInt8: StaticString] = [
    10: "KRB_AS_REQ", 11: "KRB_AS_REP", 12: "KRB_TGS_REQ", 13: "KRB_TGS_REP", 14: "KRB_AP_REQ", 15: "KRB_AP_REP",
    30: "KRB_ERROR",
  ]

  /// All but AES and Camellia.
  static func isWeak(_ encryption: Int32) -> Bool { ![17, 18, 19, 20, 25, 26].contains(encryption) }

  // RFC 3961 §8 and the registry that it begins.
  static func encryptionName(_ type: Int32) -> String {
    switch type {
    case 1: "des-cbc-crc"
    case 2: "des-cbc-md4"
    case 3: "des-cbc-md5"
    case 4: "reserved"
    case 5: "des3-cbc-md5"
    case 7: "des3-cbc-sha1"
    case 9: "dsawithsha1-cmsoid"
    case 10: "md5withrsaencryption-cmsoid"
    case 11: "sha1withrsaencryption-cmsoid"
    case 12: "rc2cbc-envoid"
    case 13: "rsaencryption-envoid"
    case 14: "rsaes-oaep-env-oid"
    case 15: "des-ede3-cbc-env-oid"
    case 16: "des3-cbc-sha1-kd"
    case 17: "aes128-cts-hmac-sha1-96"
    case 18: "aes256-cts-hmac-sha1-96"
    case 19: "aes128-cts-hmac-sha256-128"
    case 20: "aes256-cts-hmac-sha384-192"
    case 23: "rc4-hmac"
    case 24: "rc4-hmac-exp"
    case 25: "camellia128-cts-cmac"
    case 26: "camellia256-cts-cmac"
    case 65: "subkey-keymaterial"
    default: "encryptiontype(\(type))"
    }
  }

  // RFC 4120 §7.5.9.
  static func errorName(_ code: Int32) -> String {
    let names: [Int32: String] = [
      0: "KDC_ERR_NONE", 1: "KDC_ERR_NAME_EXP", 2: "KDC_ERR_SERVICE_EXP", 3: "KDC_ERR_BAD_PVNO",
      4: "KDC_ERR_C_OLD_MAST_KVNO", 5: "KDC_ERR_S_OLD_MAST_KVNO", 6: "KDC_ERR_C_PRINCIPAL_UNKNOWN",
      7: "KDC_ERR_S_PRINCIPAL_UNKNOWN", 8: "KDC_ERR_PRINCIPAL_NOT_UNIQUE", 9: "KDC_ERR_NULL_KEY",
      10: "KDC_ERR_CANNOT_POSTDATE", 11: "KDC_ERR_NEVER_VALID", 12: "KDC_ERR_POLICY", 13: "KDC_ERR_BADOPTION",
      14: "KDC_ERR_ETYPE_NOSUPP", 15: "KDC_ERR_SUMTYPE_NOSUPP", 16: "KDC_ERR_PADATA_TYPE_NOSUPP",
      17: "KDC_ERR_TRTYPE_NOSUPP", 18: "KDC_ERR_CLIENT_REVOKED", 19: "KDC_ERR_SERVICE_REVOKED",
      20: "KDC_ERR_TGT_REVOKED", 21: "KDC_ERR_CLIENT_NOTYET", 22: "KDC_ERR_SERVICE_NOTYET",
      23: "KDC_ERR_KEY_EXPIRED", 24: "KDC_ERR_PREAUTH_FAILED", 25: "KDC_ERR_PREAUTH_REQUIRED",
      26: "KDC_ERR_SERVER_NOMATCH", 27: "KDC_ERR_MUST_USE_USER2USER", 28: "KDC_ERR_PATH_NOT_ACCEPTED",
      29: "KDC_ERR_SVC_UNAVAILABLE", 31: "KRB_AP_ERR_BAD_INTEGRITY", 32: "KRB_AP_ERR_TKT_EXPIRED",
      33: "KRB_AP_ERR_TKT_NYV", 34: "KRB_AP_ERR_REPEAT", 35: "KRB_AP_ERR_NOT_US", 36: "KRB_AP_ERR_BADMATCH",
      37: "KRB_AP_ERR_SKEW", 38: "KRB_AP_ERR_BADADDR", 39: "KRB_AP_ERR_BADVERSION", 40: "KRB_AP_ERR_MSG_TYPE",
      41: "KRB_AP_ERR_MODIFIED", 42: "KRB_AP_ERR_BADORDER", 44: "KRB_AP_ERR_BADKEYVER", 45: "KRB_AP_ERR_NOKEY",
      46: "KRB_AP_ERR_MUT_FAIL", 47: "KRB_AP_ERR_BADDIRECTION", 48: "KRB_AP_ERR_METHOD", 49: "KRB_AP_ERR_BADSEQ",
      50: "KRB_AP_ERR_INAPP_CKSUM", 51: "KRB_AP_PATH_NOT_ACCEPTED", 52: "KRB_ERR_RESPONSE_TOO_BIG",
      60: "KRB_ERR_GENERIC", 61: "KRB_ERR_FIELD_TOOLONG", 62: "KDC_ERROR_CLIENT_NOT_TRUSTED",
      63: "KDC_ERROR_KDC_NOT_TRUSTED", 64: "KDC_ERROR_INVALID_SIG", 65: "KDC_ERR_KEY_TOO_WEAK",
      66: "KDC_ERR_CERTIFICATE_MISMATCH", 67: "KRB_AP_ERR_NO_TGT", 68: "KDC_ERR_WRONG_REALM",
      69: "KRB_AP_ERR_USER_TO_USER_REQUIRED", 70: "KDC_ERR_CANT_VERIFY_CERTIFICATE",
      71: "KDC_ERR_INVALID_CERTIFICATE", 72: "KDC_ERR_REVOKED_CERTIFICATE",
      73: "KDC_ERR_REVOCATION_STATUS_UNKNOWN", 74: "KDC_ERR_REVOCATION_STATUS_UNAVAILABLE",
      75: "KDC_ERR_CLIENT_NAME_MISMATCH", 76: "KDC_ERR_KDC_NAME_MISMATCH",
    ]
    return names[code] ?? "ErrorCode(\(code))"
  }
}

/// A message, whichever side sent it.
final class KerberosTransaction: MessageTransaction {
  let number: UInt64
  let side: FlowSide
  private let isStream: Bool
  private let message: KerberosMessage?
  /// The type of the request before it.
  private let request: UInt8?
  private(set) var events = ApplicationEvents()
  let inspection = TransactionInspection()

  init(number: UInt64, side: FlowSide, isStream: Bool, message: KerberosMessage?, request: UInt8?) {
    self.number = number
    self.side = side
    self.isStream = isStream
    self.message = message
    self.request = request
  }

  func note(_ event: KerberosEvent) { events.insert(event.rawValue) }

  func bytes(of buffer: InspectionBuffer, from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? {
    guard side == self.side, let message else { return nil }
    let name = buffer == .krb5ClientName ? message.clientName : message.serverName
    return index < name.count ? name[index] : nil
  }

  func meets(_ number: ApplicationNumber, _ test: NumberTest, from side: FlowSide) -> Bool {
    guard side == self.side, let message else { return false }
    switch number {
    case .krb5MessageType: return test.matches(UInt32(message.type))
    case .krb5ErrorCode: return message.error.map { test.matches(UInt32(bitPattern: $0)) } ?? false
    default: return false
    }
  }

  func meets(_ condition: ApplicationCondition, from side: FlowSide, at time: UInt64) -> Bool {
    guard side == self.side, case .krb5TicketEncryption(let types, let isNegated) = condition,
      let encryption = message?.ticketEncryption
    else { return false }
    return types.contains(encryption) != isNegated
  }

  // MARK: records

  /// Over TCP the record is of the packet that acknowledges the message.
  var recordSide: FlowSide? { isStream ? side.opposite : side }
  func recordCount(_ options: RecordOptions) -> Int { message == nil ? 0 : 1 }

  var recordsHaveNumber: Bool { false }
  /// Records of alerts say nothing about it.
  func writeAlertFields(to json: inout JSONWriter, _ options: RecordOptions) {}

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("krb5")
    json.beginObject()
    if let message { write(message, to: &json) }
    json.endObject()
  }

  private func write(_ message: KerberosMessage, to json: inout JSONWriter) {
    json.key("msg_type")
    json.string(KerberosMessage.names[message.type] ?? "unknown")
    if let error = message.error {
      json.key("failed_request")
      json.string(request.flatMap { KerberosMessage.names[$0] } ?? "UNKNOWN")
      json.key("error_code")
      json.string(KerberosMessage.errorName(error))
    }
    text(
      "cname", message.clientName.isEmpty ? nil : Array(message.clientName.joined(separator: [0x2F]))[...], to: &json)
    text("realm", message.realm, to: &json)
    text(
      "sname", message.serverName.isEmpty ? nil : Array(message.serverName.joined(separator: [0x2F]))[...], to: &json)
    write(message.encryption, "encryption", "weak_encryption", to: &json)
    if message.ticketEncryption != nil {
      write(message.ticketEncryption, "ticket_encryption", "ticket_weak_encryption", to: &json)
    }
  }

  private func write(
    _ encryption: Int32?, _ name: StaticString, _ weak: StaticString, to json: inout JSONWriter
  ) {
    json.key(name)
    json.string(encryption.map(KerberosMessage.encryptionName) ?? "<none>")
    json.key(weak)
    json.bool(encryption.map(KerberosMessage.isWeak) ?? false)
  }

  private func text(_ name: StaticString, _ value: ArraySlice<UInt8>?, to json: inout JSONWriter) {
    json.key(name)
    if let value { json.text(value) } else { json.string("<empty>") }
  }
}
