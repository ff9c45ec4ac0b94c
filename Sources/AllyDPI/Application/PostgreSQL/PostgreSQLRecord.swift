/// `"pgsql":{…}`.
extension PostgreSQLTransaction {
  var recordsHaveNumber: Bool { false }

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("pgsql")
    json.beginObject()
    json.key("tx_id")
    json.number(number)
    json.key("request")
    json.beginObject()
    writeRequest(to: &json, showsPasswords: options.passwords.contains(.pgsql))
    json.endObject()
    if hasResponse {
      json.key("response")
      json.beginObject()
      writeResponse(to: &json)
      json.endObject()
    }
    json.endObject()
  }

  private func writeRequest(to json: inout JSONWriter, showsPasswords: Bool) {
    switch request {
    case .encryption: message("SSL Request", to: &json)
    case .terminate: message("termination_message", to: &json)
    case .cancel(let process, let key):
      message("cancel_request", to: &json)
      json.key("process_id")
      json.number(process)
      json.key("secret_key")
      json.number(key)
    case .startup(let major, let minor, let parameters):
      json.key("protocol_version")
      json.string("\(major).\(minor)")
      json.key("startup_parameters")
      json.beginObject()
      if let user = parameters.first(where: { $0.name.elementsEqual("user".utf8) }) {
        json.text("user", user.value)
      }
      list("optional_parameters", parameters.filter { !$0.name.elementsEqual("user".utf8) }, to: &json)
      json.endObject()
    case .password(let password): if showsPasswords { json.text("password", password) }
    case .sasl(let mechanism, let response):
      json.text(
        "sasl_authentication_mechanism", mechanism.map { $0 == 0x2D ? 0x5F : LiteralSearch.lowercase($0) })
      json.text("sasl_param", response)
    case .saslResponse(let response): json.text("sasl_response", response)
    case .query(let query): json.text("simple_query", query)
    case .other: message("unknown request", to: &json)
    }
  }

  private var hasResponse: Bool {
    response.isEncryptionAccepted != nil || response.authentication != nil || !response.parameters.isEmpty
      || response.process != nil || response.fieldCount != nil || response.rows > 0 || response.completed != nil
      || !response.notices.isEmpty
  }

  private func writeResponse(to json: inout JSONWriter) {
    if let isAccepted = response.isEncryptionAccepted {
      json.key("ssl_accepted")
      json.bool(isAccepted)
    }
    writeAuthentication(to: &json)
    for (letter, value) in response.notices {
      if let name = PostgreSQLTransaction.noticeNames[letter] { json.text(name, value) }
    }
    list("parameter_status", response.parameters.map { (PostgreSQLTransaction.inWords($0.name), $0.value) }, to: &json)
    if let process = response.process {
      json.key("process_id")
      json.number(process.number)
      json.key("secret_key")
      json.number(process.key)
    }
    if let count = response.fieldCount {
      json.key("field_count")
      json.number(count)
    }
    if response.rows > 0 {
      json.key("data_rows")
      json.number(UInt64(response.rows))
      json.key("data_size")
      json.number(UInt64(response.rowBytes))
    }
    if let completed = response.completed { json.text("command_completed", completed) }
  }

  private func writeAuthentication(to json: inout JSONWriter) {
    switch response.authentication {
    case 0: message("authentication_ok", to: &json)
    case 2: message("authentication_kerb5", to: &json)
    case 3: message("authentication_cleartext_password", to: &json)
    case 5: json.text("authentication_md5_password", response.authenticationData)
    case 7: message("authentication_gss", to: &json)
    case 9: message("authentication_sspi", to: &json)
    case 10:
      json.key("authentication_sasl_mechanisms")
      json.beginArray()
      for name in response.authenticationData.split(separator: 0) { json.text(name) }
      json.endArray()
    case 11: json.text("authentication_sasl_continue", response.authenticationData)
    case 12: json.text("authentication_sasl_final", response.authenticationData)
    default: break
    }
  }

  /// Fields of errors and notices ("Error and Notice Message Fields").
  private static let noticeNames: [UInt8: StaticString] = [
    0x53: "severity_localizable", 0x56: "severity_non_localizable", 0x43: "code", 0x4D: "message", 0x44: "detail",
    0x48: "hint", 0x50: "position", 0x70: "internal_position", 0x71: "internal_query", 0x57: "where",
    0x73: "schema_name", 0x74: "table_name", 0x63: "column_name", 0x64: "data_type_name", 0x6E: "constraint_name",
    0x46: "file", 0x4C: "line", 0x52: "routine",
  ]

  /// `DateStyle` as `date_style`.
  private static func inWords(_ name: [UInt8]) -> [UInt8] {
    var words: [UInt8] = []
    for (index, byte) in name.enumerated() {
      if byte &- 0x41 < 26 && index > 0 && words.last != 0x5F { words.append(0x5F) }
      words.append(LiteralSearch.lowercase(byte))
    }
    return words
  }

  private func message(_ text: StaticString, to json: inout JSONWriter) {
    json.key("message")
    json.string(text)
  }

  private func list(_ name: StaticString, _ values: [(name: [UInt8], value: [UInt8])], to json: inout JSONWriter) {
    if values.isEmpty { return }
    json.key(name)
    json.beginArray()
    for (name, value) in values {
      json.beginObject()
      json.key(String(decoding: name, as: UTF8.self))
      json.text(value[...])
      json.endObject()
    }
    json.endArray()
  }
}
